"""The request: bad ones are refused with a sentence, helpers only place anchors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kinowatt.clip import Clip, join
from kinowatt.errors import InputError, PromptError, ShotError
from kinowatt.shot import END, START, Anchor, Shot, connect, extend, loop, remix, still


def clip(frames: int = 12, value: int = 0) -> Clip:
    return Clip(np.full((frames, 3, 16, 16), value, np.uint8), fps=16.0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": "x" * 100_000}, "at most 32000"),
        ({"seconds": 0}, "more than 0"),
        ({"seconds": 10_000}, "at most 60"),
        ({"seconds": float("nan")}, "more than 0"),
        ({"size": (7, 7)}, "at least 16"),
        ({"size": (20_000, 20_000)}, "too large"),
        ({"steps": 0}, "1 to 1000"),
        ({"guidance": -1.0}, "out of range"),
        ({"seed": -1}, "out of range"),
    ],
)
def test_bad_requests_are_refused_in_words(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        Shot(**({"prompt": "a red ball"} | fields))
    assert caught.value.exit_code == 2


def test_prompt_errors_have_their_own_class() -> None:
    with pytest.raises(PromptError):
        Shot("")


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.01, float("nan")])
def test_strength_lies_above_zero_up_to_one(strength: float) -> None:
    with pytest.raises(ShotError, match="strength"):
        Anchor(clip(), START, strength)


def test_an_anchor_cannot_stand_before_the_start() -> None:
    with pytest.raises(ShotError, match=">= 0"):
        Anchor(clip(), -1.0)


def test_helpers_only_place_anchors() -> None:
    shot, a, b = Shot("x", seed=1), clip(12, 1), clip(20, 2)
    forward = extend(shot, a).anchors
    assert [(x.at, x.clip.frames) for x in forward] == [(START, 9)]
    back = extend(shot, a, backward=True).anchors
    assert [(x.at, x.clip.frames) for x in back] == [(END, 9)]
    both = connect(shot, a, b).anchors
    assert [(x.at, int(x.clip.frames_TCHW[0, 0, 0, 0])) for x in both] == [(START, 1), (END, 2)]
    assert [x.at for x in loop(shot, a).anchors] == [START, END]
    assert remix(shot, a, strength=0.4).anchors[0].strength == 0.4


def test_clips_know_their_size_and_join() -> None:
    both = join([clip(4, 1), clip(8, 2)])
    assert (both.frames, both.width, both.height, both.seconds) == (12, 16, 16, 0.75)
    assert still(both, 5).frames_TCHW.max() == 1
    with pytest.raises(ShotError, match="one size"):
        join([clip(), Clip(np.zeros((1, 3, 8, 8), np.uint8), fps=16.0)])
    with pytest.raises(ShotError, match="exactly one"):
        Clip(np.zeros((1, 3, 8, 8), np.uint8))
    with pytest.raises(ShotError, match="channels"):
        Clip(np.zeros((1, 4, 8, 8), np.uint8), fps=1.0)
