"""The seam test: nothing where a clip is whole, plain where two are butted together, and not deceived by a jump that is spread out."""

from __future__ import annotations

import numpy as np
import pytest

from kinowatt.errors import ShotError
from kinowatt.media.seam import PLAIN, SLIGHT, seam


def scene(frames: int, seed: int = 0, speed: float = 2.0, begin: int = 0) -> np.ndarray:
    """A smooth texture that drifts, in a tint of its own (T, 3, 96, 96)."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:96].astype(np.float32)
    waves = [(dice.uniform(-0.4, 0.4, 2), dice.uniform(0, 6), dice.uniform(10, 30)) for _ in range(8)]
    tint = dice.uniform(70, 180, 3)
    out = []
    for t in range(begin, begin + frames):
        grey = sum(a * np.sin(k[0] * (x - speed * t) + k[1] * y + p) for k, p, a in waves)
        out.append(np.clip(tint[:, None, None] + grey, 0, 255))
    return np.stack(out).astype(np.uint8)


def test_a_whole_clip_has_no_seam() -> None:
    clip = scene(40)
    for at in (12, 20, 28):
        found = seam(clip, at)
        assert found.verdict == "none", found
        assert found.score < SLIGHT


def test_two_clips_butted_together_have_a_plain_one() -> None:
    found = seam(np.concatenate([scene(16, 1), scene(16, 2)]), 16)
    assert found.verdict == "plain"
    assert found.score > PLAIN
    assert found.colour > PLAIN


def test_a_jump_that_is_spread_over_frames_is_still_one() -> None:
    a, b = scene(32, 1), scene(32, 2)
    share = np.clip((np.arange(32) - 14) / 4, 0, 1)[:, None, None, None]
    assert seam((a * (1 - share) + b * share).astype(np.uint8), 16).verdict == "plain"


@pytest.mark.parametrize(
    ("harm", "by"),
    [
        (lambda x: np.clip(x.astype(int) + 12, 0, 255).astype(np.uint8), "colour"),
        (lambda x: ((x.astype(int) + np.roll(x, 4, 3) + np.roll(x, 4, 2) + np.roll(x, 8, 3)) // 4).astype(np.uint8), "sharpness"),
    ],
)
def test_what_changes_at_the_seam_is_named(harm: object, by: str) -> None:
    clip = scene(40)
    clip[20:] = harm(clip[20:])  # type: ignore[operator]
    found = seam(clip, 20)
    assert getattr(found, by) > SLIGHT
    assert found.verdict != "none"
    assert found.to_json()["verdict"] == found.verdict


def test_things_that_turn_round_are_seen() -> None:
    there, back = scene(20), scene(20, speed=-2.0)
    clip = np.concatenate([there, np.roll(back, 40, 3)])
    assert seam(clip, 20).motion > seam(scene(40), 20).motion + 1.0


def test_too_little_footage_is_refused() -> None:
    with pytest.raises(ShotError, match="on both sides"):
        seam(scene(20), 3)
