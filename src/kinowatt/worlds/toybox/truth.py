"""Optical flow as ground truth: where what each pixel shows is, or would be if nothing hid it, in the picture of another frame.

A pixel's ray and depth give a point; the solid on which it lies carries it from one frame to the other, and the other camera projects it.
Shadows, reflections and what is seen through glass move otherwise. Legend: H W pixels, S solids (see physics.py), P points.
"""

from __future__ import annotations

import numpy as np

FAR_M = 1e4  # instead of the sky's infinity, which no number can carry


def flow(
    depth_HW: np.ndarray,
    ids_HW: np.ndarray,
    here: tuple[np.ndarray, np.ndarray],
    there: tuple[np.ndarray, np.ndarray],
    frame: tuple[int, int] | None = None,
    corner: tuple[int, int] = (0, 0),
) -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel's point is from it in another frame: (2, H, W) pixels to the right and down, and where (H, W) it lies before the
    other camera.

    `depth_HW`: metres along the camera's axis, infinite in the sky. `ids_HW`: 1 + the thing. `here`, `there`: the frames' camera rows
    (4, 4) and solids (S, 16). The picture may be a part of a frame of (height, width), whose rows and columns begin at `corner`.
    """
    height, width = depth_HW.shape
    rows, columns = frame or (height, width)
    camera, solids = here
    y = (1.0 - (np.arange(height) + corner[0] + 0.5) * 2.0 / rows).astype(np.float32)
    x = (((np.arange(width) + corner[1] + 0.5) * 2.0 / columns - 1.0) * columns / rows).astype(np.float32)
    ray_HW3 = camera[3, :3] * camera[0, 3] + x[None, :, None] * camera[1, :3] + y[:, None, None] * camera[2, :3]
    depth = np.minimum(depth_HW.astype(np.float32), FAR_M)
    point_HW3 = camera[0, :3] + ray_HW3 * (depth / camera[0, 3])[..., None]
    for thing in np.unique(ids_HW[ids_HW > 0]):
        on = ids_HW == thing
        own = np.flatnonzero(solids[:, 11] // 16 == thing)
        if len(own):
            point_HW3[on] = _carried(point_HW3[on], solids[own], there[1][own])
    camera = there[0]
    across, upwards, ahead = ((point_HW3 - camera[0, :3]) @ camera[1:, :3].T).transpose(2, 0, 1)
    scale = camera[0, 3] / np.maximum(ahead, 1e-3)
    away = np.stack([(across * scale - x) * rows / 2.0, (y[:, None] - upwards * scale) * rows / 2.0])
    return away.astype(np.float32), ahead > 1e-3


def _carried(point_P3: np.ndarray, here_S16: np.ndarray, there_S16: np.ndarray) -> np.ndarray:
    """Points on a thing's solids, carried along by the solid on which each lies."""
    turns = [(_turn(a[12:16]), _turn(b[12:16])) for a, b in zip(here_S16, there_S16, strict=True)]
    local_SP3 = np.stack([(point_P3 - s[:3]) @ turn for s, (turn, _) in zip(here_S16, turns, strict=True)])
    outside_SP = (np.abs(local_SP3) - here_S16[:, None, 4:7]).max(2)
    carried_SP3 = np.stack([p @ turn.T + s[:3] for p, s, (_, turn) in zip(local_SP3, there_S16, turns, strict=True)])
    carried: np.ndarray = carried_SP3[outside_SP.argmin(0), np.arange(len(point_P3))]
    return carried


def _turn(quat_4: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) of a unit quaternion x, y, z, w: from a solid's own frame to the world's."""
    x, y, z, w = (float(q) for q in quat_4)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ],
        np.float32,
    )
