"""Channels that steer spark's network beside the latents: a camera path as rays, a switch for guidance that was learnt, and a blocking.

A path is told relative to its first camera: directions in its frame, places in units of its distance to what it looks at, so it means
the same in every scene. Legend: protocols.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kinowatt.models.blocking import BLOCKING_CHANNELS
from kinowatt.models.protocols import Denoiser

RAY_CHANNELS = 7  # direction x, y, z | place x, y, z | 1 where a path is given
STEERING_CHANNELS = RAY_CHANNELS + 1  # the last: 1 where the velocity of guidance is wanted in one pass (see train/distil.py)


def ray_maps(rows_T44: torch.Tensor, focus_m: float, height: int, width: int, stride: int = 4) -> torch.Tensor:
    """Ray maps (RAY_CHANNELS, F, H, W) of a path for latents of H rows and W columns, F = (T - 1) / stride + 1.

    `rows_T44`: per pixel frame, position and focal length in half frame heights | right | up | forward (metres, unit vectors).
    `focus_m`: metres from the first camera to what it looks at. A latent takes the camera of the last frame that it holds.
    """
    rows = rows_T44[::stride].float()
    basis = rows[0, 1:, :3]  # right, up, forward of the first camera
    place_F3 = (rows[:, 0, :3] - rows[0, 0, :3]) @ basis.T / focus_m
    right, up, forward = (rows[:, i, :3] @ basis.T for i in (1, 2, 3))
    y = 1.0 - (torch.arange(height) + 0.5) * 2.0 / height  # rows run down, up points up
    x = ((torch.arange(width) + 0.5) * 2.0 / width - 1.0) * width / height
    sideways = torch.einsum("fc,w->fcw", right, x)[:, :, None, :]
    upwards = torch.einsum("fc,h->fch", up, y)[..., None]
    ahead = (forward * rows[:, 0, 3:])[..., None, None]
    ray_F3HW = F.normalize(sideways + upwards + ahead, dim=1)
    given = torch.ones(len(rows), 1, height, width)
    return torch.cat([ray_F3HW, place_F3[..., None, None].expand(-1, -1, height, width), given], 1).transpose(0, 1)


def steering(rays_BCFHW: torch.Tensor, guided_B: torch.Tensor, *folded_BCFHW: torch.Tensor) -> torch.Tensor:
    """Channels (B, STEERING_CHANNELS, F, H, W) of ray maps (zeros: no path) and of the switch, per clip.

    Behind them those of folded pixels, for networks that are shown some: a blocking (blocking.py), then a backdrop (painter.py); where
    they have fewer frames, the last have none.
    """
    switch = guided_B.to(rays_BCFHW)[:, None, None, None, None].expand(-1, 1, *rays_BCFHW.shape[2:])
    parts = [rays_BCFHW, switch]
    parts += [F.pad(part, (0, 0, 0, 0, 0, rays_BCFHW.shape[2] - part.shape[2])).to(rays_BCFHW) for part in folded_BCFHW]
    return torch.cat(parts, 1)


def steering_pair(
    rays_BCFHW: torch.Tensor, blocking_BCFHW: torch.Tensor | None, behind: tuple[torch.Tensor, torch.Tensor] | None, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels of a path, of a blocking and of a backdrop, and those without what stands there: guidance moves away from the same place of
    which nothing else is told. `behind` is the backdrop with what stands there, and without."""
    off = torch.zeros(len(rays_BCFHW))
    if behind is None:
        folded = [] if blocking_BCFHW is None else [blocking_BCFHW]
        empty = [torch.zeros_like(part) for part in folded]
    else:
        if blocking_BCFHW is None:
            blocking_BCFHW = behind[0].new_zeros(len(rays_BCFHW), BLOCKING_CHANNELS, *behind[0].shape[2:])
        folded, empty = [blocking_BCFHW, behind[0]], [torch.zeros_like(blocking_BCFHW), behind[1]]
    return steering(rays_BCFHW, off, *folded).to(device), steering(rays_BCFHW, off, *empty).to(device)


def steered(denoiser: Denoiser, channels_BCFHW: torch.Tensor) -> Denoiser:
    """The denoiser with these channels beside the latents; one clip's channels serve a batch of any size."""

    def velocity(x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        beside = channels_BCFHW if len(channels_BCFHW) == len(x_BCFHW) else channels_BCFHW.expand(len(x_BCFHW), -1, -1, -1, -1)
        return denoiser(torch.cat([x_BCFHW, beside.to(x_BCFHW)], 1), level_BF, text_BLD)

    return velocity
