"""What the engine asks of a model. Legend: B batch, C channels, F latent frames, T pixel frames, H W, L tokens, D width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

Memory = dict[nn.Module, torch.Tensor]  # layer → the last frames that it has seen


@dataclass(frozen=True, eq=False)
class Conditioning:
    """All that steers one denoising.

    `text_BLD`, `text_null_BLD`: encoded prompt and what guidance moves away from (negative or empty prompt).
    `known_BCFHW`: clean latents of the anchors, zero where nothing is known.
    `ceiling_BF`: the highest noise level that a latent frame may hold: 0 given, 1 free, between = may be redrawn so far.
    `steering_BCFHW`: channels beside the latents of networks that have such (see models/steering.py); None: nothing is steered.
    `steering_null_BCFHW`: those of the pass that guidance moves away from; None: the same.
    """

    text_BLD: torch.Tensor
    text_null_BLD: torch.Tensor
    known_BCFHW: torch.Tensor
    ceiling_BF: torch.Tensor
    steering_BCFHW: torch.Tensor | None = None
    steering_null_BCFHW: torch.Tensor | None = None


class Codec(Protocol):
    """Pixels in [-1, 1] to normalised latents and back; causal in time: latent 0 holds frame 0, latent k frames 4k-3..4k."""

    channels: int
    stride: tuple[int, int, int]  # frames, rows, columns per latent
    memoryless: bool  # whether latent k holds frame 4k alone

    def encode(self, frames_BCTHW: torch.Tensor) -> torch.Tensor:
        """Frames (T = 4k+1) to latents (F = k+1)."""
        ...

    def decode(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Latents to frames in [-1, 1]."""
        ...

    def decode_stream(self, latents_BCFHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        """The frames of `decode`, `chunk` latents at a time, with memory bounded by one chunk."""
        ...


class Denoiser(Protocol):
    """Velocity of the flow: d x / d level, for x at a noise level per latent frame."""

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity (noise - clean) of the same shape as x; where x has channels of steering behind the latents', of the latents only."""
        ...


class TextEncoder(Protocol):
    """Prompts to features of their tokens; rows past a prompt's length are zero."""

    def encode(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Features (B, L, D) with a fixed L of prompts: words of the lexicon (`language.read(text).tokens`), or one sentence each."""
        ...
