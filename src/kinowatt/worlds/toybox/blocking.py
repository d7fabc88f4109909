"""Where each thing is in the picture, frame by frame, and the camera's way: what a director would have told before the film was shot.

A thing's track is 6 numbers a frame: x, y of its middle | l11, l21, l22: the matrix (l11 0; l21 l22) takes the unit disc to an ellipse as
wide and as high as what is seen of it | log of its distance over that to the focus. The camera's way is 6 numbers a frame: x, y, z in
distances to the focus, the first camera over the origin and facing +x | yaw, pitch | log focal length. Lengths in the picture, and focal
lengths, are in half frame heights.
"""

from __future__ import annotations

import math

import numpy as np

from kinowatt.worlds.toybox.physics import Motion, Thing

TRACK = 6
NEAREST = 0.05  # distances to the focus: nearer points are taken to be so far
EDGE = 4.0  # half frame heights: points farther out are taken to be there
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)


def tracks(motion: Motion, rows_T44: np.ndarray, focus_m: float) -> np.ndarray:
    """Of each thing, in the order of `motion.things`: (K, T, TRACK) float32. The middle and spread are those of its solids' corners."""
    solids = motion.solids_TN16.astype(np.float64)
    owner_N = (solids[0, :, 11] // 16).astype(int) - 1
    corners = solids[:, :, None, :3] + _turned(solids[:, :, None, 12:16], solids[:, :, None, 4:7] * _CORNERS)
    rows = rows_T44.astype(np.float64)[:, None, None]
    away = corners - rows[..., 0, :3]
    right, up, ahead = ((away * rows[..., i, :3]).sum(-1) for i in (1, 2, 3))
    ahead = np.maximum(ahead, NEAREST * focus_m)
    x, y = (np.clip(side * rows[..., 0, 3] / ahead, -EDGE, EDGE) for side in (right, up))
    found = np.zeros((len(motion.things), len(rows), TRACK), np.float32)
    for k in range(len(motion.things)):
        own_x, own_y, far = (part[:, owner_N == k].reshape(len(rows), -1) for part in (x, y, ahead))
        dx, dy = own_x - own_x.mean(1, keepdims=True), own_y - own_y.mean(1, keepdims=True)
        # Corners of a box around a ball lie each a radius off along every axis, so the root of their variance is the radius.
        l11 = np.sqrt((dx**2).mean(1) + 1e-6)
        l21 = (dx * dy).mean(1) / l11
        l22 = np.sqrt(np.maximum((dy**2).mean(1) + 1e-6 - l21**2, 1e-6))
        found[k] = np.stack([own_x.mean(1), own_y.mean(1), l11, l21, l22, np.log(far.mean(1) / focus_m)], 1)
    return found


def way(rows_T44: np.ndarray, focus_m: float) -> np.ndarray:
    """Of the camera: (T, TRACK) float32."""
    rows = rows_T44.astype(np.float64)
    forward = rows[:, 3, :3]
    yaw = np.unwrap(np.arctan2(forward[:, 1], forward[:, 0]))
    x, y = (rows[:, 0, :2] - rows[0, 0, :2]).T / focus_m
    cos, sin = math.cos(yaw[0]), math.sin(yaw[0])
    pitch = np.arcsin(np.clip(forward[:, 2], -1.0, 1.0))
    told = [cos * x + sin * y, cos * y - sin * x, rows[:, 0, 2] / focus_m, yaw - yaw[0], pitch, np.log(rows[:, 0, 3])]
    return np.stack(told, 1).astype(np.float32)


def in_order(things: tuple[Thing, ...], seen: tuple[Thing, ...]) -> list[int]:
    """The numbers of all things, those that are seen before the others: captions name them in this order."""
    left, first = list(seen), []
    for k, thing in enumerate(things):
        if left and thing == left[0]:
            first.append(k)
            left.pop(0)
    return first + [k for k in range(len(things)) if k not in first]


def mirrored_tracks(tracks_KTT: np.ndarray) -> np.ndarray:
    """The same in a picture that is flipped left to right."""
    return tracks_KTT * np.array([-1, 1, 1, -1, 1, 1], np.float32)


def mirrored_way(way_TT: np.ndarray) -> np.ndarray:
    """The same of a camera in a world that is flipped."""
    return way_TT * np.array([1, -1, 1, -1, 1, 1], np.float32)


def _turned(quat: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) turned by unit quaternions x, y, z, w."""
    axis, w = np.broadcast_to(quat[..., :3], v.shape), quat[..., 3:]
    twice = 2.0 * np.cross(axis, v)
    turned: np.ndarray = v + w * twice + np.cross(axis, twice)
    return turned
