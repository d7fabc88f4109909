"""Rain and snow: which share of each pixel drops and flakes cover. What a painter is told of them (painter.py).

As in the world (worlds/toybox/world.glsl, of which this is the law): one column of drops in each cell of a grid, by a hash of the cell, and
the ray of a pixel walks through the cells until it meets the ground. What stands before the ground is left out. Legend: B batch, N
frames in which something falls, P pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kinowatt.models.precision import exact

# Numbers of a frame: 1 where it rains | 1 where it snows | seconds on the world's clock | metres of drift to +x and to +y per metre
# fallen | -1 in a world that is flipped left to right, else 1 | metres by which that is set aside.
FALL, CLOCK, ASIDE = 7, 2, 6
HALF = 2  # as the world is rendered for latents: so many pixels to one of the small picture's, a side
CELLS = 16  # of the grid, that a ray walks through
RAIN_M_S, SNOW_M_S = 8.0, 1.1
RAIN_CELL_M, SNOW_CELL_M = 0.45, 0.34
RAIN_PERIOD_M, SNOW_PERIOD_M = 1.1, 0.5  # between drops one above the other
STREAK_M = 0.25  # of a drop in a picture: half of the time between frames, 1/16 s
NEAREST_M = 0.35


def numbers(weather: str | None, seconds: float, drift: tuple[float, float]) -> list[float]:
    """FALL numbers of a frame, of a weather of the world."""
    times = 3.0 if weather == "snowfall" else 1.0
    return [float(weather == "rain"), float(weather == "snowfall"), seconds, times * drift[0], times * drift[1], 1.0, 0.0]


def covers(rows_B44: torch.Tensor, falls_BN: torch.Tensor, pixels_BP2: torch.Tensor, height: int) -> torch.Tensor:
    """Shares (B, P) of pixels of pictures so many pixels high, which lie at x and y, in half frame heights."""
    falls_B = falls_BN[:, :CLOCK].sum(1) > 0
    shares_BP = pixels_BP2.new_zeros(pixels_BP2.shape[:2])
    if bool(falls_B.any()):
        side = torch.tensor([-0.5, 0.5], device=pixels_BP2.device) / height
        apart = torch.stack([side.repeat(HALF), side.repeat_interleave(HALF)], 1)
        fine = (pixels_BP2[falls_B][:, :, None] + apart).flatten(1, 2)
        covered = _covers(rows_B44[falls_B].float(), falls_BN[falls_B].float(), fine, HALF * height)
        shares_BP[falls_B] = covered.unflatten(1, (-1, HALF**2)).mean(2)
    return shares_BP


@exact
def _covers(rows_N44: torch.Tensor, falls_NN: torch.Tensor, pixels_NP2: torch.Tensor, height: int) -> torch.Tensor:
    """Shares (N, P) of the pixels of pictures in which something falls."""
    rain, _, now, *drift, side, aside = falls_NN[:, :, None].unbind(1)
    focal = rows_N44[:, None, :1, 3].expand(-1, pixels_NP2.shape[1], -1)
    way = F.normalize(torch.cat([pixels_NP2, focal], 2) @ rows_N44[:, 1:, :3], dim=-1)
    height_m, down = rows_N44[:, 0, 2:3], way[..., 2]
    far = torch.where(down < -1e-6, height_m / -down.clamp(max=-1e-6), 1e9)
    size = torch.where(rain > 0, RAIN_CELL_M, SNOW_CELL_M)[..., None]
    slant = torch.stack(drift, -1)
    # Sheared, so that what drifts falls straight.
    mirror = torch.cat([side, torch.ones_like(side)], 1)[:, None]
    start = (rows_N44[:, None, 0, :2] - F.pad(aside, (0, 1))[:, None]) * mirror + slant * height_m[..., None]
    ray = way[..., :2] * mirror + slant * down[..., None]
    ray = torch.where(ray.abs() < 1e-4, ray + 2e-4, ray)
    cell = (start / size).floor().expand_as(ray).clone()
    step, each = ray.sign(), size / ray.abs()
    ahead = ((cell + (ray >= 0)) * size - start) / ray
    clear, blur_rad = torch.ones_like(down), 2.0 / (rows_N44[:, 0, 3:] * height)
    for _ in range(CELLS):
        walks = ahead.amin(-1) < far + size[..., 0]
        if not bool(walks.any()):
            break
        at, cover = _drop(cell, size, start, ray, height_m, down, rain > 0, now, blur_rad)
        clear = clear * (1.0 - cover * (walks & (at > NEAREST_M) & (at < far)))
        first = (ahead[..., :1] < ahead[..., 1:]).float()
        turn = torch.cat([first, 1.0 - first], -1)
        cell, ahead = cell + step * turn, ahead + each * turn
    return 1.0 - clear


def _drop(
    cell: torch.Tensor, size: torch.Tensor, start: torch.Tensor, ray: torch.Tensor, height_m: torch.Tensor, down: torch.Tensor,
    rain: torch.Tensor, now: torch.Tensor, blur_rad: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """How far along the rays what falls in these cells is, and how much of the pixels it covers (N, P)."""
    a, b, c = (_hash(cell + shift) for shift in (0.0, 31.0, 77.0))
    spot = (cell + 0.15 + 0.7 * torch.stack([a, b], -1)) * size
    along = ((spot - start) * ray).sum(-1) / ray.square().sum(-1)
    height = height_m + along * down
    period, speed = (torch.where(rain, *of) for of in ((RAIN_PERIOD_M, SNOW_PERIOD_M), (RAIN_M_S, SNOW_M_S)))
    beat = (height + speed * (0.8 + 0.4 * c) * now) / period + c * 7.0
    gap = (start + along[..., None] * ray - spot).norm(dim=-1)
    fallen = (beat - beat.floor()) * period
    on = _smooth(0.0, 0.06, fallen) * _smooth(STREAK_M, STREAK_M * 0.6, fallen) * 0.5
    # A flake is a point that sways; a drop is a streak.
    k = beat.floor()
    sway = torch.stack([(now * 1.3 + k * 2.4 + a * 6.0).sin(), (now * 1.1 + k * 1.7 + b * 6.0).cos()], -1)
    to = torch.cat([spot + 0.05 * sway - start, (height + (k + 0.5 - beat) * period - height_m)[..., None]], -1)
    course = torch.cat([ray, down[..., None]], -1)
    nearest = (to * course).sum(-1) / course.square().sum(-1)
    at = torch.where(rain, along, nearest)
    gap = torch.where(rain, gap, (to - nearest[..., None] * course).norm(dim=-1))
    width = torch.where(rain, torch.full_like(c, 0.0022), 0.008 + 0.008 * c)
    blur = (at * blur_rad).clamp(min=0.0)
    reach = width.maximum(blur)
    return at, torch.where(rain, on, 1.0) * (width / reach).clamp(max=1.0) * _smooth(reach + 0.5 * blur, reach * 0.4, gap) * 0.9


def _smooth(start: torch.Tensor | float, end: torch.Tensor | float, x: torch.Tensor) -> torch.Tensor:
    part = ((x - start) / (end - start)).clamp(0.0, 1.0)
    return part * part * (3.0 - 2.0 * part)


def _hash(cell: torch.Tensor) -> torch.Tensor:
    """A number from 0 to 1 of each cell (..., 2): the world's own lot, in whole numbers of 32 bits."""
    bits = 0xFFFFFFFF
    x, y = cell.long().unbind(-1)
    h = ((x * 1597334677) & bits) ^ ((y * 3812015801) & bits)
    h = ((h ^ (h >> 15)) * 2246822519) & bits
    h = h ^ (h >> 13)
    return (h >> 8).float() / 16777216.0
