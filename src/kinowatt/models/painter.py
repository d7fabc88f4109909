"""The painter: from words and a camera's way to a backdrop, how ground and sky look behind all that stands there.

A small network paints each pixel of each frame by itself, from where its ray goes in the world (ground.py) and what the words say. So
joints and squares stand still in the world and move as the camera moves. It is taught the mean of what the world shows there: no thing,
no shadow, no cloud. Legend: B batch, F latent frames, H W pixels of the small picture that a latent frame holds, P sampled pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import ground, vae, weights
from kinowatt.models.text import TextConfig, TextEncoder

FILE = "painter.safetensors"
SKY = 5  # numbers of a pixel beside the ground's: its ray's rise in three scales | log of the camera's height and of its distance
BACKDROP = vae.COLOURS + 1  # colours | 1 where a backdrop is given
BACKDROP_CHANNELS = BACKDROP * vae.SMALL**2


@dataclass(frozen=True)
class PainterConfig:
    """Sizes of a painter."""

    width: int = 128
    layers: int = 3
    text_width: int = 96
    text_layers: int = 1


class Painter(nn.Module):
    """Normalised colours of pixels, as latents hold them."""

    def __init__(self, config: PainterConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.text = TextEncoder(TextConfig(tuple(vocabulary), width=config.text_width, layers=config.text_layers))
        widths = [ground.TOLD + SKY] + [config.width] * config.layers
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.heard = nn.Linear(config.text_width, 2 * config.width * config.layers)
        self.outward = nn.Linear(config.width, vae.COLOURS)
        nn.init.zeros_(self.outward.weight)

    def forward(self, told_BPN: torch.Tensor, ids_BL: torch.Tensor) -> torch.Tensor:
        """Colours (B, P, 3) of pixels of which is told what `told` says, by the token rows of each clip."""
        text = self.text(ids_BL)
        words = text.sum(1) / (ids_BL > 0).sum(1, keepdim=True).clamp(min=1)
        x, said = told_BPN, self.heard(words)[:, None].chunk(2 * len(self.layers), -1)
        for k, layer in enumerate(self.layers):
            x = F.silu(layer(x) * (1.0 + said[2 * k]) + said[2 * k + 1])
        return self.outward(x)

    @torch.no_grad()
    def paint(self, rows_BF44: torch.Tensor, focus_B: torch.Tensor, ids_BL: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """A backdrop (B, BACKDROP_CHANNELS, F, height, width) for so many latents, folded as they are."""
        high, wide = height * vae.SMALL, width * vae.SMALL
        frames = []
        for f in range(rows_BF44.shape[1]):  # one by one: a clip may be long
            pixels = told(rows_BF44[:, f : f + 1], focus_B, high, wide)
            colours = self(pixels.flatten(2).transpose(1, 2), ids_BL).transpose(1, 2).unflatten(2, (high, wide))
            frames.append(torch.cat([colours, torch.ones_like(colours[:, :1])], 1))
        return vae.fold(torch.stack(frames, 2))


def told(rows_BF44: torch.Tensor, focus_B: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """What is told of each pixel (B, ground.TOLD + SKY, F, height, width)."""
    rows_BF44 = rows_BF44.float()
    ray = ground.rays(rows_BF44, height, width)
    rise = F.normalize(ray, dim=-1)[..., 2]
    high = rows_BF44[..., None, 0, 2].clamp(min=1e-2).log().expand_as(rise)
    away = focus_B.float().clamp(min=1e-2).log()[:, None, None].expand_as(rise)
    sky = torch.stack([rise, (4.0 * rise).tanh(), (16.0 * rise).tanh(), high / 2.0, away / 2.0], 1)
    return torch.cat([ground.waves(rows_BF44, focus_B, height, width), sky.unflatten(3, (height, width))], 1)


def of(path: Path) -> Painter:
    """The painter of a weights file. WeightsError if it holds none."""
    tensors, config = weights.load(path)
    try:
        return load(tensors, config)
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path} holds no painter; train one with kinowatt train painter") from error


def load(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Painter:
    """A painter, ready to paint, of a file's tensors and config. KeyError, TypeError or RuntimeError for another file."""
    made = Painter(PainterConfig(**config["painter"]), config["vocabulary"])
    made.load_state_dict({k: v.float() for k, v in tensors.items()})
    return made.eval().requires_grad_(False)
