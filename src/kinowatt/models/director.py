"""The director: from words to a blocking. A small network that draws where the camera is and where each thing stands, frame by frame.

Flow matching (Lipman et al. 2023, arXiv 2210.02747) on one token per thing and one for the camera, each with its whole way through the
clip; what a thing is are analog bits (Chen et al. 2023, arXiv 2208.04202). Any frames, or the camera, may be known: those have no noise.
What is known of the things of given frames (observer.py finds them) it draws the rest of: what comes of it, before and after.
Legend: B batch, S slots (the camera, then MOST things), F latent frames, K things, D width.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.models.blocking import LOOKS, MOST, TRACK, Blocking, settled
from kinowatt.models.layers import TwoLayer, sinusoid
from kinowatt.models.text import TextConfig, TextEncoder

FILE = "director.safetensors"
FRAMES = 9  # latent frames that it draws at once
SLOTS = 1 + MOST
ROW = FRAMES * TRACK + LOOKS  # numbers of a slot
STEPS, GUIDANCE = 24, 2.0  # with which it draws
LEAST = 1e-3  # of an ellipse's half axes, in half frame heights


@dataclass(frozen=True)
class DirectorConfig:
    """Sizes of a director."""

    width: int = 192
    heads: int = 4
    layers: int = 4
    text_width: int = 128
    text_layers: int = 1


class Director(nn.Module):
    """Velocity of the flow of a blocking's rows (B, SLOTS, ROW)."""

    def __init__(self, config: DirectorConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        width = config.width
        text = TextConfig(tuple(vocabulary), width=config.text_width, layers=config.text_layers)
        self.text = TextEncoder(text)
        # Beside the rows: the level of each frame and of the looks, and the frame's width over its height.
        self.inward = nn.Linear(ROW + FRAMES + 1 + 1, width)
        self.slot = nn.Parameter(torch.randn(SLOTS, width) * 0.02)
        self.heard = nn.Linear(config.text_width, width)
        self.time = TwoLayer(256, width, "silu")
        self.blocks = nn.ModuleList(SlotBlock(width, config.heads, config.text_width) for _ in range(config.layers))
        self.outward = nn.Linear(width, ROW)
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)
        # Of a track's numbers over the training's scenes: of the camera's, and of all things'.
        self.mean_2T, self.spread_2T = nn.Buffer(torch.zeros(2, TRACK)), nn.Buffer(torch.ones(2, TRACK))

    def forward(
        self, x_BSR: torch.Tensor, level_BSF: torch.Tensor, t_B: torch.Tensor, aspect_B: torch.Tensor, context: Context
    ) -> torch.Tensor:
        """Velocity of rows with levels (B, S, FRAMES + 1) of their frames and looks; `t_B` is that of all that is not known."""
        x = self.inward(torch.cat([x_BSR, level_BSF, aspect_B.log()[:, None, None].expand(-1, SLOTS, 1)], 2)) + self.slot
        time = F.silu(self.time(sinusoid(1000.0 * t_B, 256)) + context.summary_BD)[:, None]
        for block in self.blocks:
            x = block(x, context, time)
        return self.outward(F.layer_norm(x, x.shape[-1:]))

    def context(self, ids_BL: torch.Tensor) -> Context:
        """What it is told, of token rows (B, L)."""
        text = self.text(ids_BL)
        here_BL = ids_BL > 0
        mean = text.sum(1) / here_BL.sum(1, keepdim=True).clamp(min=1)
        # Without words it would attend to nothing; it may look at their (zeroed) rows instead.
        here_BL = here_BL | ~here_BL.any(1, keepdim=True)
        return Context(text, here_BL[:, None, None], self.heard(mean))

    def fit(self, ways_NT: torch.Tensor, tracks_NT: torch.Tensor) -> None:
        """Learn the mean and the spread of cameras' ways and of things' tracks."""
        for k, numbers in enumerate((ways_NT, plain(tracks_NT))):
            self.mean_2T[k], self.spread_2T[k] = numbers.mean(0), numbers.std(0).clamp(min=LEAST)

    def rows(self, camera_BFT: torch.Tensor, blocking: Blocking) -> torch.Tensor:
        """Rows (B, SLOTS, ROW) of a camera's way (B, FRAMES, TRACK) and a blocking of FRAMES frames."""
        there = blocking.looks_BKL[..., :1]
        things = (plain(blocking.tracks_BKFT) - self.mean_2T[1]) / self.spread_2T[1] * there[..., None]
        camera = (camera_BFT - self.mean_2T[0]) / self.spread_2T[0]
        looks = torch.cat([torch.zeros_like(blocking.looks_BKL[:, :1]), blocking.looks_BKL], 1) * 2.0 - 1.0
        return torch.cat([torch.cat([camera[:, None], things], 1).flatten(2), looks], 2)

    def read(self, rows_BSR: torch.Tensor) -> tuple[torch.Tensor, Blocking]:
        """The inverse of `rows`, each look the likeliest of its kind."""
        track, looks = rows_BSR[..., : FRAMES * TRACK].unflatten(2, (FRAMES, TRACK)), rows_BSR[:, 1:, FRAMES * TRACK :]
        camera = track[:, 0] * self.spread_2T[0] + self.mean_2T[0]
        things = shaped(track[:, 1:] * self.spread_2T[1] + self.mean_2T[1])
        return camera, Blocking(things, settled(looks))

    @torch.no_grad()
    def draw(
        self, ids_BL: torch.Tensor, aspect_B: torch.Tensor, noise_BSR: torch.Tensor, known_BSR: torch.Tensor, known_BSF: torch.Tensor,
        *, steps: int = STEPS, guidance: float = GUIDANCE,
    ) -> torch.Tensor:  # fmt: skip
        """Rows from noise; where `known_BSF` (B, S, FRAMES + 1) is true they are those of `known`. Guidance is towards the words."""
        fixed = spread(known_BSF.float())
        x = torch.lerp(noise_BSR, known_BSR, fixed)
        worded, wordless = self.context(ids_BL), self.context(torch.zeros_like(ids_BL))
        levels = torch.linspace(1.0, 0.0, steps + 1)
        for now, then in itertools.pairwise(levels):
            level = now * (~known_BSF).float()
            t = now.expand(len(x)).to(x)
            velocity = self(x, level, t, aspect_B, worded)
            if guidance != 1.0:
                unguided = self(x, level, t, aspect_B, wordless)
                velocity = unguided + guidance * (velocity - unguided)
            x = torch.lerp(x + (then - now) * velocity, known_BSR, fixed)
        return x


def load(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Director:
    """A director, ready to draw, of a file's tensors and config. KeyError, TypeError or RuntimeError for another file."""
    made = Director(DirectorConfig(**config["director"]), config["vocabulary"])
    made.load_state_dict({k: v.float() for k, v in tensors.items()})
    return made.eval().requires_grad_(False)


def plain(tracks: torch.Tensor) -> torch.Tensor:
    """Tracks (..., TRACK) with logarithms of the half axes, and the slant in proportion to them."""
    x, y, l11, l21, l22, far = tracks.unbind(-1)
    l11, l22 = l11.clamp(min=LEAST), l22.clamp(min=LEAST)
    return torch.stack([x, y, l11.log(), l21 / (l11 * l22).sqrt(), l22.log(), far], -1)


def shaped(numbers: torch.Tensor) -> torch.Tensor:
    """The inverse of `plain`."""
    x, y, l11, l21, l22, far = numbers.unbind(-1)
    l11, l22 = l11.exp(), l22.exp()
    return torch.stack([x, y, l11, l21 * (l11 * l22).sqrt(), l22, far], -1)


def spread(of_BSF: torch.Tensor) -> torch.Tensor:
    """A number for each frame and for the looks (B, S, FRAMES + 1) to each number of a row (B, S, ROW)."""
    frames, looks = of_BSF[..., :FRAMES], of_BSF[..., FRAMES:]
    return torch.cat([frames.repeat_interleave(TRACK, -1), looks.expand(*looks.shape[:-1], LOOKS)], -1)


@dataclass(frozen=True, eq=False)
class Context:
    """What a director is told: tokens (B, L, text_width), which of them are there (B, 1, 1, L), and the words in all (B, D)."""

    tokens_BLD: torch.Tensor
    mask_B11L: torch.Tensor
    summary_BD: torch.Tensor


class SlotBlock(nn.Module):
    """Slots look at each other and at what is told; modulated by time and the words in all."""

    def __init__(self, width: int, heads: int, text_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.q, self.kv, self.told = nn.Linear(width, width), nn.Linear(text_width, 2 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: torch.Tensor, context: Context, time: torch.Tensor) -> torch.Tensor:
        """The same slots (B, S, D) after a layer."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(time).chunk(6, -1)
        size = x.shape[-1:]
        inside = F.layer_norm(x, size) * (1.0 + scale1) + shift1
        q, k, v = self.qkv(inside).chunk(3, -1)
        x = x + self._attend(self.out, q, k, v) * (1.0 + gate1)
        k, v = self.kv(context.tokens_BLD).chunk(2, -1)
        x = x + self._attend(self.told, self.q(F.layer_norm(x, size)), k, v, context.mask_B11L)
        inside = F.layer_norm(x, size) * (1.0 + scale2) + shift2
        return x + self.down(F.gelu(self.up(inside))) * (1.0 + gate2)

    def _attend(self, out: nn.Linear, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        mixed: torch.Tensor = out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))
        return mixed
