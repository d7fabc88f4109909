"""The second look: windows show what stands at a middle, its teacher knows whose middle it is, and it learns shapes."""

import numpy as np
import pytest
import torch

from kinowatt.exam import glances
from kinowatt.exam.judges import Judges, signal
from kinowatt.exam.namer import NEAR, SIDE, windows
from kinowatt.exam.pictures import KINDS, Pictures
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.seen import Seen


def test_windows_show_a_middle_near_and_far() -> None:
    x = torch.full((2, 3, 96, 96), -1.0)
    x[1, 0, 40:48, 20:28] = 1.0  # a red square round row 44, column 24
    at = torch.tensor([[1.0, 44 / 96, 24 / 96], [0.0, 44 / 96, 24 / 96], [1.0, 0.0, 0.0]])
    seen = windows(x, at)
    assert seen.shape == (3, 3 * len(NEAR), SIDE, SIDE)
    for i, near in enumerate(NEAR):
        half = 4 // near
        square = seen[0, 3 * i, SIDE // 2 - half : SIDE // 2 + half, SIDE // 2 - half : SIDE // 2 + half]
        assert square == pytest.approx(torch.ones_like(square))
        assert int((seen[0, 3 * i] > 0).sum()) == (2 * half) ** 2, "and nothing else is red"
    assert (seen[1, :3] == -1.0).all(), "it is not in the other picture"
    assert (seen[2, :3, : SIDE // 2 - 1, : SIDE // 2 - 1] == 0.0).all(), "beyond the edges all is grey"


def test_a_peak_belongs_to_the_thing_whose_middle_it_is_nearest_to() -> None:
    ids = np.zeros((48, 48), np.uint8)
    ids[10:20, 10:20], ids[30:40, 30:40], ids[47, 47] = 1, 2, 3  # the third is too small to be seen
    things = glances.shown(ids)
    assert things.tolist() == [[14.5, 14.5, 1.0, 10.0], [34.5, 34.5, 2.0, 10.0]]
    peaks = np.array([[12.0, 14.0], [14.0, 15.0], [39.0, 39.0], [2.0, 40.0]])
    assert glances.told(peaks, things).tolist() == [-1, 0, -1, -1], "one each, and a corner is no middle"
    assert glances.told(peaks[:0], things).tolist() == []
    assert glances.told(peaks, things[:0]).tolist() == [-1] * 4


def test_the_namer_learns_from_what_the_eye_finds_and_passes_over(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Squares and discs at random places. The Eye knows nothing: it passes them over, or finds what is none."""
    torch.manual_seed(0)
    monkeypatch.setattr(glances, "GLANCED", 32)
    rng = np.random.default_rng(0)
    frames, ids = rng.integers(90, 110, (40, 1, 3, 96, 96), dtype=np.uint8), np.zeros((40, 1, 96, 96), np.uint8)
    y, x = np.mgrid[:96, :96]
    things = []
    for i in range(40):
        row, column = rng.integers(20, 76, 2)
        there = np.hypot(y - row, x - column) < 9 if i % 2 else np.maximum(abs(y - row), abs(x - column)) < 8
        frames[i, 0, :, there], ids[i, 0, there] = 220, 1
        things.append((Thing("ball" if i % 2 else "cube", "red"),))
    nothing = tuple(Seen((), None, None, None, {}) for _ in things)
    made = Pictures(frames, ids, tuple(things), tuple({} for _ in things), nothing)
    judge = Judges()
    found = glances.found(judge, made, np.random.default_rng(0))
    real = found.kinds_K > 0
    assert int(real.sum()) == 40
    assert set(found.kinds_K[real].tolist()) == {1 + KINDS.index("ball"), 1 + KINDS.index("cube")}
    glances.teach(judge, made, 60, lambda said: None)
    named = judge.namer(windows(signal(found.frames_N3HW), found.at_K3[real]))
    assert (named.argmax(1) == found.kinds_K[real]).float().mean() > 0.8
