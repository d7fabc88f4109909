"""How each thing is turned as the camera sees it, frame by frame: with its track (blocking.py), all that decides its outline.

A pose is 6 numbers: of the thing's own z axis and of its x axis, how far they point right, up and away, where away is from the camera
through the thing's middle. Of rotations after which a thing looks the same, one is told, and that goes on through the clip.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from kinowatt.worlds.toybox.physics import Motion

POSE = 6
ROUND = ("ball", "cylinder", "cone", "torus", "capsule")  # about their z axes: where x points is not to be seen, and is told as zeros
UPRIGHT = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float64)  # right, up and away (rows) of x, y and z of what stands before a camera
MIRROR = np.diag([-1.0, 1.0, 1.0])


def poses(motion: Motion, rows_T44: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """Of each thing, in the order of `motion.things`: (K, T, POSE) float32; mirrored: in the picture flipped left to right, of things that
    are flipped along their own x."""
    axes = seen_axes(motion, rows_T44)
    if mirrored:
        axes = MIRROR @ axes @ MIRROR
    found = np.zeros((len(motion.things), len(rows_T44), POSE), np.float32)
    for k, thing in enumerate(motion.things):
        turns = same(thing.kind, thing.striped)
        fit = (axes[0, k] @ turns * UPRIGHT).sum(1)  # of each axis
        own = axes[:, k] @ turns[int((fit[:, 2] if thing.kind in ROUND else fit.sum(1)).argmax())]
        if thing.kind != "ball" or thing.striped:
            found[k, :, :3] = own[..., 2]
        if thing.kind not in ROUND:
            found[k, :, 3:] = own[..., 0]
    return found


def seen_axes(motion: Motion, rows_T44: np.ndarray) -> np.ndarray:
    """Axes of each thing (T, K, 3, 3), a column each: how far they point right, up and away."""
    rows = rows_T44.astype(np.float64)[:, None]
    away = _unit((motion.centers_TK3.astype(np.float64) - rows[..., 0, :3])[..., None, :] @ rows[..., 1:4, :3].swapaxes(-1, -2))[..., 0, :]
    right = _unit(np.array([1.0, 0.0, 0.0]) - away[..., :1] * away)
    up = np.array([0.0, 1.0, 0.0]) - away[..., 1:2] * away
    up = _unit(up - (up * right).sum(-1, keepdims=True) * right)
    axes: np.ndarray = np.stack([right, up, away], -2) @ rows[..., 1:4, :3] @ _matrices(motion.quats_TK4.astype(np.float64))
    return axes


@functools.cache
def same(kind: str, striped: bool) -> Any:
    """Rotations (N, 3, 3) after which a thing looks the same, among them none. Stripes run across z."""
    if kind == "cube" and not striped:
        found = [np.eye(3)]
        for turn in found:  # grows while it runs
            further = [turn @ _about(axis, 4)[1] for axis in range(3)]
            found.extend(f for f in further if not any(np.allclose(f, one) for one in found))
        return np.stack(found)
    if kind == "domino":
        return np.stack([np.eye(3), *(_about(axis, 2)[1] for axis in range(3))])
    if kind in ("cylinder", "capsule", "torus") and not striped:
        return np.stack(_about(0, 2))
    return np.stack(_about(2, 4) if kind == "cube" else _about(1, 3) if kind == "turbine" else [np.eye(3)])


def _about(axis: int, count: int) -> list[np.ndarray]:
    """As many equal turns about an axis, the first by nothing."""
    turns = np.tile(np.eye(3), (count, 1, 1))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    angle = 2.0 * np.pi * np.arange(count) / count
    turns[:, i, i], turns[:, i, j], turns[:, j, i], turns[:, j, j] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return list(turns)


def _unit(v: np.ndarray) -> np.ndarray:
    unit: np.ndarray = v / np.linalg.norm(v, axis=-1, keepdims=True)
    return unit


def _matrices(quats: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) of unit quaternions x, y, z, w."""
    x, y, z, w = np.moveaxis(quats, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)
