"""Key frames of a camera to one camera per frame, and to what steers the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from kinowatt.models.steering import ray_maps
from kinowatt.shot import CameraKey

SENSOR_HALF_MM = 12.0  # half of a sensor 24 mm high


def rows_of(keys: Sequence[CameraKey], frames: int, fps: float) -> tuple[np.ndarray, float]:
    """Camera rows (T, 4, 4), float32: position and focal length | right | up | forward; and the first distance to what is looked at, in m.

    Between key frames each number runs along a curve through them that never overshoots (Fritsch & Carlson 1980); before the first and
    after the last the camera stands still.
    """
    at_K = np.array([k.at_s for k in keys])
    values_KN = np.array([(*k.position, *k.look_at, np.log(k.focal_mm)) for k in keys])
    values_TN = monotone(at_K, values_KN, np.arange(frames) / fps)
    position, look_at, focal_mm = values_TN[:, :3], values_TN[:, 3:6], np.exp(values_TN[:, 6])
    forward = look_at - position
    focus_m = float(np.linalg.norm(forward[0]))
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    rows = np.zeros((frames, 4, 4), np.float32)
    rows[:, 0, :3], rows[:, 0, 3] = position, focal_mm / SENSOR_HALF_MM
    rows[:, 1, :3], rows[:, 2, :3], rows[:, 3, :3] = right, np.cross(right, forward), forward
    return rows, focus_m


def monotone(at_K: np.ndarray, values_KN: np.ndarray, times_T: np.ndarray) -> np.ndarray:
    """Piecewise cubic Hermite curves (T, N) through values (K, N), without overshoot."""
    if len(at_K) == 1:
        return np.repeat(values_KN, len(times_T), 0)
    step = np.diff(at_K)[:, None]
    slope = np.diff(values_KN, axis=0) / step
    tangent = np.zeros_like(values_KN)
    tangent[0], tangent[-1] = slope[0], slope[-1]
    before, after = slope[:-1], slope[1:]
    same = before * after > 0
    weight = (2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        tangent[1:-1] = np.where(same, (weight[0] + weight[1]) / (weight[0] / before + weight[1] / after), 0.0)
    inside = np.clip(times_T, at_K[0], at_K[-1])
    k = np.clip(np.searchsorted(at_K, inside, side="right") - 1, 0, len(step) - 1)
    u, h = ((inside - at_K[k]) / step[k, 0])[:, None], step[k]
    curve: np.ndarray = (
        (1 + 2 * u) * (1 - u) ** 2 * values_KN[k]
        + u * (1 - u) ** 2 * h * tangent[k]
        + u**2 * (3 - 2 * u) * values_KN[k + 1]
        + u**2 * (u - 1) * h * tangent[k + 1]
    )
    return curve


def rays_of(keys: Sequence[CameraKey], frames: int, fps: float, size: tuple[int, int], stride: int, outside: int = 0) -> torch.Tensor:
    """Ray maps (1, RAY_CHANNELS, F, H, W) of a path for latents of `size` (H, W); zeros for the last `outside` latents."""
    rows, focus_m = rows_of(keys, frames, fps)
    rays = ray_maps(torch.from_numpy(rows), focus_m, *size, stride)[None]
    return torch.nn.functional.pad(rays, (0, 0, 0, 0, 0, outside))
