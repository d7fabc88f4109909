"""How much of a seam between two pieces of footage can be seen: what changes there, against what usually changes on both sides.

Four things are looked at: the pixels, the mean colour, the sharpness, and how things move. The first three are compared over one frame
and over longer spans, so that a jump which is merely spread over some frames is still one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinowatt.errors import ShotError

SIDE_px = 128  # frames are averaged down to at most about this
WINDOW = 16  # frames on each side that tell what is usual
SPANS = (1, 4, 8)  # frames over which a change is looked at
BLOCK_px, REACH_px = 16, 5  # of the search for motion
LEAST = 6  # frames on each side
# Changes below these cannot be seen, so they are what is usual at least: grey values, grey values, parts, pixels.
FLOORS = {"pixels": 0.6, "colour": 0.4, "sharpness": 0.04, "motion": 0.3}
SLIGHT, PLAIN = 3.0, 6.0  # scores from which a seam can be seen, and cannot be missed (LOG.md has what real cuts score)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Seam:
    """`at` is the first frame after the seam. Ratios: the change there over the usual one; 1 is as everywhere."""

    at: int
    pixels: float
    colour: float
    sharpness: float
    motion: float

    @property
    def score(self) -> float:
        """The worst of the four."""
        return max(self.pixels, self.colour, self.sharpness, self.motion)

    @property
    def verdict(self) -> str:
        """ "none", "slight" or "plain"."""
        return "none" if self.score < SLIGHT else "slight" if self.score < PLAIN else "plain"

    def to_json(self) -> dict[str, Any]:
        """For reports."""
        ratios = {key: round(getattr(self, key), 3) for key in FLOORS}
        return {"at": self.at, **ratios, "score": round(self.score, 3), "verdict": self.verdict}


def seam(frames_TCHW: np.ndarray, at: int) -> Seam:
    """The seam before frame `at` of RGB frames, uint8. ShotError with fewer than LEAST frames on a side."""
    if not LEAST <= at <= len(frames_TCHW) - LEAST:
        raise ShotError(f"a seam is judged by {LEAST} frames on both sides; this one stands before frame {at} of {len(frames_TCHW)}")
    begin, end = max(at - WINDOW, 0), min(at + WINDOW, len(frames_TCHW))
    small_TCHW = _smaller(frames_TCHW[begin:end].astype(np.float32))
    cut, luma_THW = at - begin, np.tensordot(LUMA, small_TCHW, (0, 1))
    colour_TC = small_TCHW.mean(axis=(2, 3))
    sharp_T = np.log(np.array([_gradient(frame) for frame in luma_THW]) + 1.0)

    def pixels(a: int, b: int) -> float:
        return float(np.abs(luma_THW[b] - luma_THW[a]).mean())

    def colour(a: int, b: int) -> float:
        return float(np.abs(colour_TC[b] - colour_TC[a]).max())

    def sharpness(a: int, b: int) -> float:
        return float(abs(sharp_T[b] - sharp_T[a]))

    found = {f.__name__: max(_ratio(f, span, cut, len(luma_THW)) for span in SPANS) for f in (pixels, colour, sharpness)}
    return Seam(at, **found, motion=_motion(luma_THW, cut))


def _ratio(change: Any, span: int, cut: int, length: int) -> float:
    """The change over `span` frames that meets the seam in its middle, over the larger of what is usual on the two sides."""
    before = span - span // 2
    a, b = cut - before, cut - before + span
    if a < 0 or b >= length:
        return 0.0
    sides = ([change(i, i + span) for i in range(cut - span)], [change(i, i + span) for i in range(cut, length - span)])
    usual = [float(np.quantile(side, 0.75)) for side in sides if side]
    floor = FLOORS[change.__name__]
    return float(max(change(a, b), floor) / max([floor, *usual]))


def _motion(luma_THW: np.ndarray, cut: int) -> float:
    """How differently things move just after and just before the seam, over how much motion changes in as many frames elsewhere."""
    fields = [None if i + 1 == cut else _moves(luma_THW[i], luma_THW[i + 1]) for i in range(len(luma_THW) - 1)]

    def change(i: int) -> float:
        a, b = fields[i], fields[i + 2]
        assert a is not None
        assert b is not None
        return float(np.linalg.norm(a - b, axis=-1).mean())

    here = change(cut - 2)
    usual = [change(i) for i in range(len(fields) - 2) if i + 2 < cut - 1 or i > cut - 1]
    return max(here, FLOORS["motion"]) / max(FLOORS["motion"], float(np.quantile(usual, 0.75)))


def _moves(before_HW: np.ndarray, after_HW: np.ndarray) -> np.ndarray:
    """Rows and columns (blocks, 2) that each block of `before` has moved by; 0 where it has nothing to be known by.

    Search of the least absolute difference among all places in reach.
    """
    size = min(BLOCK_px, *(side // 3 for side in before_HW.shape))
    reach = min(REACH_px, size // 2)
    rows, columns = ((side - 2 * reach) // size for side in before_HW.shape)
    here = before_HW[reach : reach + rows * size, reach : reach + columns * size]
    places = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    costs = []
    for dy, dx in places:
        there = after_HW[reach + dy : reach + dy + rows * size, reach + dx : reach + dx + columns * size]
        away = np.abs(there - here).reshape(rows, size, columns, size).mean(axis=(1, 3))
        costs.append(away + 0.05 * np.hypot(dy, dx))  # of equals, the nearest
    found = np.array(places, np.float32)[np.argmin(costs, axis=0)].reshape(-1, 2)
    told = here.reshape(rows, size, columns, size).std(axis=(1, 3)).reshape(-1) > 3.0
    moves: np.ndarray = found * told[:, None]
    return moves


def _gradient(luma_HW: np.ndarray) -> float:
    return float(np.abs(np.diff(luma_HW, axis=0)).mean() + np.abs(np.diff(luma_HW, axis=1)).mean())


def _smaller(frames_TCHW: np.ndarray) -> np.ndarray:
    """Means of squares of pixels."""
    t, c, h, w = frames_TCHW.shape
    by = max(round(max(h, w) / SIDE_px), 1)
    cut = frames_TCHW[:, :, : h // by * by, : w // by * by]
    means: np.ndarray = cut.reshape(t, c, h // by, by, w // by, by).mean(axis=(3, 5))
    return means
