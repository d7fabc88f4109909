"""Level ground under a camera: where in the world each pixel's ray meets it, as waves of many lengths, and where it meets none.

Waves that a pixel is too coarse for fade (Barron et al. 2021, arXiv 2103.13415: integrated positional encoding). It is known before a clip
is made, as the camera's path is. Legend: B batch, F latent frames, N pixels.
"""

from __future__ import annotations

import math

import torch

FAR = 40.0  # as far as the horizon, in units of the distance to what the camera looks at
WAVES_M = (0.5, 1.0, 2.0, 2.5, 5.0, 10.0)  # joints of the toybox's pavement recur after 2 m, squares of its floors after 2.5 m
HEADINGS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, -1.0))  # in which waves run; from the slanting ones come squares
TOLD = 2 * len(WAVES_M) * len(HEADINGS) + 2  # numbers of a pixel: sines and cosines | 1 on near ground | log of metres a pixel


def points(rows_BF44: torch.Tensor, focus_B: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel's ray meets the ground (B, F, N, 3), and whether (B, F, N) it goes far: then the ray itself. With a focus of 0 all
    of them go far."""
    ray = rays(rows_BF44, height, width)
    place = rows_BF44[..., None, 0, :3]
    steps = -place[..., 2] / ray[..., 2].clamp(max=-1e-6)
    far = (ray[..., 2] > -1e-6) | (steps <= 0) | (steps * ray.norm(dim=-1) > FAR * focus_B[:, None, None].to(ray))
    return torch.where(far[..., None], ray, place + steps[..., None] * ray), far


def waves(rows_BF44: torch.Tensor, focus_B: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """What is told of each pixel (B, TOLD, F, height, width): of cameras (B, F, 4, 4), and metres (B) from the first to its focus."""
    rows_BF44 = rows_BF44.float()
    point, far = points(rows_BF44, focus_B, height, width)
    ray = rays(rows_BF44, height, width)
    down = ray[..., 2:].clamp(max=-1e-6)
    steps = -rows_BF44[..., None, 0, 2:3] / down
    # By how many metres of ground neighbours in a row, and in a column, are apart.
    axes = (rows_BF44[..., None, i, :3] * 2.0 / height for i in (1, 2))
    across, along = (steps * (axis - ray * axis[..., 2:] / down) for axis in axes)
    told = []
    for x, y in HEADINGS:
        place, *apart = (p[..., 0] * x + p[..., 1] * y for p in (point, across, along))
        variance = (apart[0].square() + apart[1].square()) / 12.0  # of what one pixel covers
        for wave_m in WAVES_M:
            turn = 2.0 * math.pi / wave_m
            keep = torch.exp(-0.5 * turn**2 * variance)
            told += [keep * (turn * place).sin(), keep * (turn * place).cos()]
    size = 0.5 * (across[..., :2].square().sum(-1) + along[..., :2].square().sum(-1) + 1e-8).log()
    told += [torch.ones_like(size), size.clamp(-6.0, 2.0) / 3.0]
    return (torch.stack(told, 1) * (~far)[:, None]).unflatten(3, (height, width))


def rays(rows_BF44: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Of each pixel (B, F, N, 3), as long as the focal length is along the camera's axis."""
    y = 1.0 - (torch.arange(height, device=rows_BF44.device) + 0.5) * 2.0 / height
    x = ((torch.arange(width, device=rows_BF44.device) + 0.5) * 2.0 / width - 1.0) * width / height
    y_N, x_N = y.repeat_interleave(width), x.repeat(height)
    right, up, forward = (rows_BF44[..., None, i, :3] for i in (1, 2, 3))
    return right * x_N[:, None] + up * y_N[:, None] + forward * rows_BF44[..., None, 0, 3:]
