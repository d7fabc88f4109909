"""Where the camera is: shot scale, lens, angle and move to one matrix per frame.

A camera row is 4 vec4: position and focal length (in half frame heights) | right | up | forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinowatt.worlds.toybox.physics import Motion
from kinowatt.worlds.toybox.scene import SHOTS, Scene

SENSOR_HALF_MM = 12.0  # half of a sensor 24 mm high
MARGIN = 0.86  # share of the frame that what must be seen may take
LOWEST_M = 0.12
SMALL_M = 0.4  # half the height of a thing of ordinary size
BIG: dict[str | None, Any] = {  # half the size of turbines and panels, and where so many of them stand (physics.py)
    "turbine": (3.9, lambda n: [((k - (n - 1) / 2) * 4.6, 2.4, 3.9) for k in range(n)]),
    "panel": (0.85, lambda n: [((k % c - (c - 1) / 2) * 1.95, k // c * 2.1, 0.72) for c in (2 if n <= 4 else 3,) for k in range(n)]),
}


@dataclass(frozen=True, eq=False)
class Path:
    """Camera rows (T, 4, 4), the distance to the focus in metres, and the shot scale that was reached."""

    rows_T44: np.ndarray
    distance_m: float
    shot: str


def plan(scene: Scene, motion: Motion, aspect: float) -> Path:
    """The camera of a scene, so framed that what happens is seen. `aspect` is width over height."""
    frames = len(motion.centers_TK3)
    big = scene.event in ("turbine", "solar")
    u = np.linspace(0.0, 1.0, frames)
    near = scene.shot in ("macro", "close-up")
    centers = motion.centers_TK3[:, :1] if near and not big else motion.centers_TK3
    radii = motion.radii_K[:1] if near and not big else motion.radii_K
    if scene.event in ("roll", "collide", "projectile", "wind") and not near:  # what crosses the frame may enter and leave it
        kept = slice(frames // 10, max(frames * 3 // 4, 1))
    else:
        kept = slice(None)
    focus_T3 = centers.mean(1)
    follows = near or scene.move.startswith(("track", "orbit", "zoom", "dolly"))
    aside = 0.0 if near or big else scene.aside
    middle = (centers[kept].min((0, 1)) + centers[kept].max((0, 1))) / 2
    target_T3 = _smooth(focus_T3) if follows and not big else np.repeat(middle[None], frames, 0)
    azimuth = math.radians(scene.azimuth_deg)
    if near and scene.event in ("still", "fall", "bounce") and motion.centers_TK3.shape[1] > 1:  # the first stands before the others
        away = motion.centers_TK3[0, 0] - motion.centers_TK3[0, 1:].mean(0)
        azimuth = math.atan2(away[1], away[0]) + 0.5 * math.sin(azimuth)
    elevation = _elevation(scene.move, scene.angle, big)
    focal = scene.lens_mm / SENSOR_HALF_MM
    height = 2 * float(radii.max())
    share = SHOTS[scene.shot][0] if not big else {"wide": 0.55, "medium": 0.72}.get(scene.shot, 0.72)
    distance = height * focal / (2 * share)
    if not near:
        distance = max(distance, _fit((centers - target_T3[:, None])[kept], radii, azimuth, elevation, focal, aspect, MARGIN - abs(aside)))
    reached = distance if big else height * focal / (2 * distance)
    scale = scene.shot if big else min(SHOTS, key=lambda s: abs(math.log(SHOTS[s][0] / reached)))
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    target_T3 = target_T3 - aside * distance / focal * aspect * right
    rows = _move(scene.move, u, target_T3, azimuth, elevation, distance, focal, aspect)
    return Path(rows, distance, "wide" if big and scene.shot == "wide" else "medium" if big else scale)


def _smooth(path_T3: np.ndarray, width: int = 9) -> np.ndarray:
    padded = np.pad(path_T3, ((width // 2, width // 2), (0, 0)), "edge")
    return np.stack([np.convolve(padded[:, k], np.ones(width) / width, "valid") for k in range(3)], 1)


def named(move: str, shot: str, lens_mm: float, angle: str, frames: int, aspect: float, kind: str | None = None, count: int = 1) -> Path:
    """What the words of a camera mean by themselves: its path around one small thing that stands still, as of a scene with one, or around
    so many turbines or panels."""
    focal, azimuth = lens_mm / SENSOR_HALF_MM, -math.pi / 2
    elevation = _elevation(move, angle, kind in BIG)
    middle = np.array([0.0, 0.0, SMALL_M])
    distance = SMALL_M * focal / SHOTS[shot][0]
    if kind in BIG:
        radius, centers = BIG[kind][0], np.array(BIG[kind][1](count))
        middle = (centers.min(0) + centers.max(0)) / 2
        share = {"wide": 0.55}.get(shot, 0.72)
        fit = _fit((centers - middle)[None], np.full(len(centers), radius), azimuth, elevation, focal, aspect, MARGIN)
        distance = max(radius * focal / share, fit)
    target_T3 = np.repeat(middle[None], frames, 0)
    rows = _move(move, np.linspace(0.0, 1.0, frames), target_T3, azimuth, elevation, distance, focal, aspect)
    return Path(rows, distance, shot)


def _elevation(move: str, angle: str, big: bool) -> float:
    if move.startswith("orbit"):
        return 0.30 if big else 0.40
    if move == "flyover":
        return 0.42
    return {"low": 0.05, "eye": 0.20, "high": 0.60}[angle] * (0.5 if big else 1.0)


def _fit(
    offsets_TK3: np.ndarray, radii_K: np.ndarray, azimuth: float, elevation: float, focal: float, aspect: float, margin: float
) -> float:
    """The distance at which every thing stays inside the frame at every time."""
    back = np.array([math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)])
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    up = np.cross(back, right)
    x = np.abs(offsets_TK3 @ right) + radii_K * 0.8
    y = np.abs(offsets_TK3 @ up) + radii_K * 0.8
    return float((np.maximum(x * focal / (margin * aspect), y * focal / MARGIN) + offsets_TK3 @ back).max())


def _move(
    move: str, u: np.ndarray, target: np.ndarray, azimuth: float, elevation: float, distance: float, focal: float, aspect: float
) -> np.ndarray:
    frames = len(u)
    kind, _, way = move.partition("-")
    sign = -1.0 if way in ("left", "down") else 1.0
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    forward = -np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    angle_T, distance_T, focal_T = np.full(frames, azimuth), np.full(frames, distance), np.full(frames, focal)
    half_w, half_h = distance / focal * aspect, distance / focal  # of the frame, in metres, at the focus
    if kind == "orbit":
        angle_T = azimuth + sign * (u - 0.5) * 1.3
    elif kind == "dolly":
        distance_T = distance * np.interp(u, (0, 1), {"in": (1.5, 0.85), "out": (0.85, 1.5), "zoom": (1.6, 0.6)}[way])
        if way == "zoom":  # closer with a wider lens: the subject keeps its size, the land behind it falls back
            focal_T = focal * distance_T / distance
    elif kind == "zoom":
        focal_T = focal * np.interp(u, (0, 1), (0.68, 1.25) if way == "in" else (1.25, 0.68))
    level = np.stack(
        [np.cos(angle_T) * math.cos(elevation), np.sin(angle_T) * math.cos(elevation), np.full(frames, math.sin(elevation))], 1
    )
    pos, look = target + distance_T[:, None] * level, target.copy()
    if kind == "pan":
        look = look + (sign * (u - 0.5) * half_w * 1.1)[:, None] * right
    elif kind == "tilt":
        look = look + (sign * (u - 0.5) * half_h * 1.1)[:, None] * np.array([0, 0, 1.0])
    elif kind == "track":
        shift = (sign * (u - 0.5) * half_w * 1.0)[:, None] * right
        pos, look = pos + shift, look + shift
    elif kind == "crane":
        pos[:, 2] = target[:, 2] + distance * np.interp(u, (0, 1), (0.02, 0.75) if way == "up" else (0.75, 0.02))
    elif kind == "flyover":
        along = np.interp(u, (0, 1), (-1.35, -0.35))
        pos = target + forward * (along * distance)[:, None] + np.array([0, 0, 0.48 * distance])
        look = target + forward * (np.interp(u, (0, 1), (0.0, 0.15)) * distance)[:, None]
    pos[:, 2] = np.maximum(pos[:, 2], LOWEST_M)
    return _rows(pos, look, focal_T)


def _rows(pos_T3: np.ndarray, look_T3: np.ndarray, focal_T: np.ndarray) -> np.ndarray:
    forward = look_T3 - pos_T3
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    rows = np.zeros((len(pos_T3), 4, 4), np.float32)
    rows[:, 0, :3], rows[:, 0, 3] = pos_T3, focal_T
    rows[:, 1, :3], rows[:, 2, :3], rows[:, 3, :3] = right, np.cross(right, forward), forward
    return rows


def intrinsics(rows_T44: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Camera to pixels, (T, 4, 4): multiply (x right, y down, z forward, 1) in metres, divide by the third number.

    Pixel coordinates are continuous from the picture's upper left corner, (0, 0), to (width, height): the centre of pixel (column i,
    row j) is (i + 0.5, j + 0.5). `size` is (width, height).
    """
    width, height = size
    made = np.tile(np.eye(4), (len(rows_T44), 1, 1))
    made[:, 0, 0] = made[:, 1, 1] = rows_T44[:, 0, 3] * height / 2
    made[:, 0, 2], made[:, 1, 2] = width / 2, height / 2
    return made


def extrinsics(rows_T44: np.ndarray) -> np.ndarray:
    """World to camera, (T, 4, 4), metres: the world is x, y, z up; the camera x right, y down, z forward, as in OpenCV."""
    made = np.tile(np.eye(4), (len(rows_T44), 1, 1))
    made[:, 0, :3], made[:, 1, :3], made[:, 2, :3] = rows_T44[:, 1, :3], -rows_T44[:, 2, :3], rows_T44[:, 3, :3]
    made[:, :3, 3] = -np.einsum("tij,tj->ti", made[:, :3, :3], rows_T44[:, 0, :3])
    return made


def project(rows_T44: np.ndarray, points_TK3: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """World points in metres to (T, K, 3): column and row in pixels as in `intrinsics`, and metres along the camera's axis."""
    both = intrinsics(rows_T44, size) @ extrinsics(rows_T44)
    seen = np.einsum("tij,tkj->tki", both[:, :3, :3], points_TK3) + both[:, None, :3, 3]
    return np.concatenate([seen[..., :2] / seen[..., 2:], seen[..., 2:]], -1)
