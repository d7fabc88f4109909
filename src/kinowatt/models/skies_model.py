"""skies: the video DiT on fields of the clear-sky index. One frame is one latent; what it learns is the residual on smart persistence.

The known frames are anchors at START with ceiling 0, the horizon is free: the same rule as for video (engine/sample.py). What a pixel
needs beside the residual (present index, sun, daylight, lattice) goes in as further channels. Legend: B batch, F frames, H W cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from kinowatt.models import dit_file
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.protocols import Conditioning

PAST, LEADS = 4, 6  # frames of 30 minutes: known ones, the present among them, and those to come
SCALE = 0.25  # of the index: residuals get about unit variance
MIDDLE = 0.6  # stands for a present index that is not known because it is night
BESIDE = 4  # channels beside the residual
TEXT_DIM = 8  # of the constant row where video has its prompt
DIT = DiTConfig(
    heads=4, head_dim=32, ffn_dim=512, layers=6, text_dim=TEXT_DIM, in_channels=1 + BESIDE, out_channels=1, patch=(1, 5, 3), freq_dim=128
)
FOLDER = Path(__file__).parent / "skies"
FILE = "skies.safetensors"
SHA256 = "bc71411f917ba6a7605e0156374c4a3a9c5edf94d524908b183d7b70cb27a416"


@dataclass(frozen=True, eq=False)
class Window:
    """Indices, elevations of the sun in degrees and daylight (B, F, H, W) of PAST known frames and some to come, and the lattice's mask
    (B, H, W). Indices of frames to come may be anything when the model is asked."""

    index: torch.Tensor
    elevation: torch.Tensor
    day: torch.Tensor
    mask: torch.Tensor

    def to(self, device: torch.device) -> Window:
        """The same on a device."""
        return Window(*(getattr(self, name).to(device) for name in ("index", "elevation", "day", "mask")))


def present(window: Window) -> torch.Tensor:
    """The baseline (B, 1, H, W): the last known index, or its mean where it is night."""
    lit = window.day[:, PAST - 1 : PAST] * window.mask[:, None]
    return torch.where(lit > 0, window.index[:, PAST - 1 : PAST], MIDDLE)


def clean(window: Window) -> torch.Tensor:
    """Residuals as latents (B, 1, F, H', W'), zero where there is no index; sides filled up to the network's patch."""
    lit = window.day * window.mask[:, None]
    return padded(((window.index - present(window)) * lit / SCALE)[:, None])


def lit(window: Window) -> torch.Tensor:
    """1 where a residual counts, in the shape of `clean`."""
    return padded((window.day * window.mask[:, None])[:, None])


def beside(window: Window) -> torch.Tensor:
    """The further channels (B, BESIDE, F, H', W'): present index, height of the sun, daylight, mask."""
    frames = window.index.shape[1]
    now = ((present(window) - MIDDLE) / SCALE * window.mask[:, None]).expand(-1, frames, -1, -1)
    sun = torch.sin(torch.deg2rad(window.elevation)) * 2.0 - 1.0
    mask = window.mask[:, None].expand(-1, frames, -1, -1)
    return padded(torch.stack([now, sun, window.day, mask], 1))


def padded(x_BCFHW: torch.Tensor) -> torch.Tensor:
    """Filled with zeros to whole patches."""
    _, rows, columns = DIT.patch
    height, width = x_BCFHW.shape[-2:]
    return F.pad(x_BCFHW, (0, -width % columns, 0, -height % rows))


def conditioning(window: Window) -> Conditioning:
    """Known residuals with ceiling 0, the horizon with ceiling 1; the text is one row of zeros."""
    known = clean(window)
    known[:, :, PAST:] = 0.0
    ceiling = torch.ones(known.shape[0], known.shape[2], device=known.device)
    ceiling[:, :PAST] = 0.0
    text = known.new_zeros(known.shape[0], 1, TEXT_DIM)
    return Conditioning(text, text, known, ceiling)


class Skies:
    """A denoiser for one batch of windows: the network sees the further channels beside what it denoises."""

    def __init__(self, dit: VideoDiT, window: Window) -> None:
        self.dit, self.beside = dit, beside(window)

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity of the residuals (B, 1, F, H', W')."""
        return self.dit(torch.cat([x_BCFHW, self.beside.to(x_BCFHW)], 1), level_BF, text_BLD)


def index_of(latents_BCFHW: torch.Tensor, window: Window) -> torch.Tensor:
    """Latents to indices (B, F, H, W) of all frames, not below 0."""
    height, width = window.index.shape[-2:]
    return (latents_BCFHW[:, 0, :, :height, :width] * SCALE + present(window)).clamp_min(0.0)


def load(path: Path | None = None) -> tuple[VideoDiT, dict[str, Any]]:
    """The network, in float32, and its config: the shipped one, or a file that `kinowatt train skies` wrote. WeightsError."""
    shipped = path is None
    return dit_file.load(FOLDER / FILE if path is None else path, SHA256 if shipped else None, DIT.in_channels, "the sky", "skies")
