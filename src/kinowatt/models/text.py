"""spark's text encoder: the shot lexicon's tokens, in the prompt's order, through a small transformer.

A word that the lexicon knows is one token in every language; any other word falls into one of a few hashed rows, so raw text still counts.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the encoder. `vocabulary` is stored with the weights, so a lexicon that grows does not shift the rows of old ones."""

    vocabulary: tuple[str, ...]
    buckets: int = 256  # hashed rows for words outside the vocabulary
    width: int = 256
    layers: int = 2
    heads: int = 4
    tokens: int = 40  # longer prompts are cut; the world's longest captions have about 30

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict."""
        return asdict(self) | {"vocabulary": list(self.vocabulary)}


class TextEncoder(nn.Module):
    """Token sequences to features (B, L, D) of fixed length L; rows past a sequence's end are zero (as in Wan)."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.row = {token: i + 1 for i, token in enumerate(config.vocabulary)}  # 0 is padding
        self.embed = nn.Embedding(1 + len(config.vocabulary) + config.buckets, config.width, padding_idx=0)
        self.place = nn.Parameter(torch.randn(config.tokens, config.width) * 0.02)
        self.blocks = nn.ModuleList(_Block(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def ids(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Token rows (B, L), int64, 0 where there is no token."""
        out = torch.zeros(len(prompts), self.config.tokens, dtype=torch.int64)
        first_bucket = 1 + len(self.config.vocabulary)
        for b, tokens in enumerate(prompts):
            rows = [self.row.get(token) or first_bucket + zlib.crc32(token.encode()) % self.config.buckets for token in tokens]
            rows = rows[: self.config.tokens]
            out[b, : len(rows)] = torch.tensor(rows, dtype=torch.int64)
        return out

    def forward(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Features (B, L, D) of token rows (B, L)."""
        here_BL = ids_BL > 0
        x = self.embed(ids_BL) + self.place
        # An empty prompt would attend to nothing; it may look at its own (zeroed) rows instead.
        mask = (here_BL | ~here_BL.any(1, keepdim=True))[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) * here_BL[..., None]

    def encode(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Features (B, L, D) of token sequences (`language.read(text).tokens`)."""
        return self(self.ids(prompts).to(self.place.device))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x_BLD: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        b, length, d = x_BLD.shape
        q, k, v = self.qkv(self.norm1(x_BLD)).view(b, length, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(b, length, d)
        x_BLD = x_BLD + self.out(mixed)
        return x_BLD + self.down(F.gelu(self.up(self.norm2(x_BLD))))
