"""Controls become plain words behind the prompt, and unknown ones are refused."""

from __future__ import annotations

import pytest

from kinowatt.errors import ShotError
from kinowatt.language import LEXICON
from kinowatt.models.sentence import sentence
from kinowatt.shot import Camera, Shot


def test_controls_are_said_in_english() -> None:
    shot = Shot("a red ball.", camera=Camera("orbit-left", 85, "close-up", "low"), light="dusk", mood="lonely")
    assert sentence(shot) == "a red ball, camera: orbit left, 85 mm lens, close-up, low angle, at dusk, lonely mood"
    assert sentence(Shot("一顆紅球。", camera=Camera(lens_mm=27.5), light="Night")) == "一顆紅球, 27.5 mm lens, at night"
    assert sentence(Shot("...", mood="calm")) == "..., calm mood"


def test_without_controls_the_prompt_stays_as_it_is() -> None:
    assert sentence(Shot("  A red ball. ")) == "  A red ball. "


@pytest.mark.parametrize(("slot", "field"), [("move", "move"), ("shot", "shot"), ("angle", "angle")])
def test_every_value_of_the_lexicon_has_words(slot: str, field: str) -> None:
    said = {sentence(Shot("a", camera=Camera(**{field: value}))) for value in LEXICON[slot]}
    assert len(said) == len(LEXICON[slot])
    assert not any("=" in text or "_" in text for text in said)


@pytest.mark.parametrize(
    ("shot", "said"),
    [
        (Shot("a", camera=Camera(move="sideways")), "camera move 'sideways' is unknown; use one of static"),
        (Shot("a", camera=Camera(shot="huge")), "shot 'huge' is unknown"),
        (Shot("a", camera=Camera(angle="odd")), "angle 'odd' is unknown"),
        (Shot("a", light="teatime"), "light 'teatime' is unknown"),
        (Shot("a", mood="hungry"), "mood 'hungry' is unknown"),
        (Shot("a", camera=Camera(lens_mm=2)), "a lens of 2 mm does not exist"),
    ],
)
def test_unknown_values_are_refused(shot: Shot, said: str) -> None:
    with pytest.raises(ShotError, match=said):
        sentence(shot)
