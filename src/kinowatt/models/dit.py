"""The video DiT, Wan-shaped: spark is this class, small; the weights of Wan 2.x load by diffusers' key names (see wan.py).

Equations: Peebles & Xie 2023 (arXiv 2212.09748) for the modulation, Wan team 2025 (arXiv 2503.20314) for the shape. The time is given
per latent frame, as diffusion forcing needs. Legend: B batch, C channels, F latent frames, H W latents, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from kinowatt.models.blocking import BLOCKING_CHANNELS
from kinowatt.models.ends import Ends
from kinowatt.models.layers import (
    Attention,
    Context,
    FeedForward,
    Places,
    TwoLayer,
    gated,
    merged,
    modulate,
    normed,
    rotary_table,
    sinusoid,
)
from kinowatt.models.painter import BACKDROP_CHANNELS
from kinowatt.models.steering import STEERING_CHANNELS


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of a DiT; width = heads * head_dim.

    With `image_dim` the features of an image, of that width, are attended to beside the text (Wan 2.1 image-to-video);
    `image_tokens` is the length of their position embedding, where there is one (first and last frame to video: 2 * 257).
    With `ends`, convolutions of that width stand before and after the blocks (see ends.py), and the text is heard in the time, too.
    The last `blocking` of the input's channels are folded pixels, as the latents are: the ends see both.
    """

    heads: int
    head_dim: int
    ffn_dim: int
    layers: int
    text_dim: int
    in_channels: int = 48
    out_channels: int = 48
    patch: tuple[int, int, int] = (1, 2, 2)
    freq_dim: int = 256
    eps: float = 1e-6
    image_dim: int | None = None
    image_tokens: int | None = None
    ends: int | None = None
    blocking: int = 0

    @property
    def width(self) -> int:
        """Width D of a token."""
        return self.heads * self.head_dim

    @property
    def sees_backdrop(self) -> bool:
        """Whether the folded pixels are a blocking's with those of a backdrop behind them."""
        return self.blocking >= BLOCKING_CHANNELS + BACKDROP_CHANNELS


# One latent a token: at spark's sizes many a thing is no larger than a token of 2x2 latents (docs/decisions/0009).
SPARKS = DiTConfig(
    heads=4, head_dim=40, ffn_dim=640, layers=8, text_dim=160, in_channels=48 + STEERING_CHANNELS + BLOCKING_CHANNELS + BACKDROP_CHANNELS,
    patch=(1, 1, 1), ends=64, blocking=BLOCKING_CHANNELS + BACKDROP_CHANNELS,
)  # fmt: skip
DITS = {
    "xs": SPARKS,  # for two CPU cores
    "s": replace(SPARKS, heads=6, head_dim=64, ffn_dim=1536, text_dim=384, ends=96),
    "m": replace(SPARKS, heads=8, head_dim=64, ffn_dim=2048, text_dim=384, ends=128),
}


class VideoDiT(nn.Module):
    """Velocity of the flow for latents at a noise level per latent frame."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Conv3d(config.in_channels, width, config.patch, stride=config.patch)
        self.condition_embedder = Embedders(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.proj_out = nn.Linear(width, config.out_channels * config.patch[0] * config.patch[1] * config.patch[2])
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, width) / width**0.5)
        self.ends = None if config.ends is None else Ends(config.out_channels, config.ends, width, config.blocking)
        # How much of the backdrop each token lets through to what is clean.
        self.behind = nn.Linear(width, 1) if config.sees_backdrop else None
        self.spread: Spread | None = None
        self._places: dict[tuple[int, int, int], Places] = {}
        self._start_small()

    def _start_small(self) -> None:
        """Begin as the identity: gates and output at zero, as the DiT paper found best (adaLN-Zero)."""
        for linear in (self.condition_embedder.time_proj, self.proj_out, self.behind):
            if linear is not None:
                nn.init.zeros_(linear.weight)
                nn.init.zeros_(linear.bias)
        for block in self.blocks:
            with torch.no_grad():
                block.scale_shift_table.zero_()  # type: ignore[operator]

    def places(self, size: tuple[int, int, int], device: torch.device) -> Places:
        """Of a token grid (frames, rows, columns); computed once."""
        if size not in self._places or self._places[size].cos.device != device:
            cos, sin = rotary_table(self.config.head_dim, *size)
            self._places[size] = Places(size, cos.to(device), sin.to(device))
        return self._places[size]

    def contexts(self, text_BLD: torch.Tensor, image_BLD: torch.Tensor | None = None) -> list[Context]:
        """Keys and values of a prompt in every block, to be computed once and given to `forward` in the place of the text.

        Text features (B, L, text_dim); rows of zeros at their end are merged, which changes the result by rounding only (see `merged`).
        Image features (B or 1, L, image_dim) where the config has an image_dim; first and last image one after the other.
        """
        embed = self.condition_embedder
        summary = embed.summary(text_BLD)
        text_BLD, bias_BL = merged(text_BLD)
        text_BLD = embed.text_embedder(text_BLD.to(self.proj_out.weight.dtype))
        if image_BLD is not None:
            image_BLD = embed.image_embedder(image_BLD.to(text_BLD.dtype)).expand(len(text_BLD), -1, -1)
        made = [block.attn2.keys_values(text_BLD, bias_BL, image_BLD) for block in self.blocks]  # type: ignore[operator, union-attr]
        return [replace(context, summary=summary) for context in made]

    def forward(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor | Sequence[Context]) -> torch.Tensor:
        """Velocity (B, C, F, H, W) for levels in [0, 1] per latent frame and text features (B, L, text_dim), or their `contexts`."""
        flow = self.enter(x_BCFHW, level_BF, text_BLD)
        x_BLD = flow.x_BLD
        for i in range(len(self.blocks)):
            x_BLD = self.block(i, x_BLD, flow)
        return self.leave(x_BLD, flow)

    def enter(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor | Sequence[Context]) -> Flow:
        """Latents to tokens, levels to modulation: all that the blocks take."""
        x = self.patch_embedding(x_BCFHW.to(self.patch_embedding.weight.dtype))
        size = (x.shape[2], x.shape[3], x.shape[4])
        summary = self.condition_embedder.summary(text_BLD) if isinstance(text_BLD, torch.Tensor) else text_BLD[0].summary
        time_BFD, modulation_BF6D = self.condition_embedder(level_BF[:, :: self.config.patch[0]], summary)
        if isinstance(text_BLD, torch.Tensor):
            text_BLD = self.condition_embedder.text_embedder(text_BLD.to(self.proj_out.weight.dtype))
        x_BLD, fine = x.flatten(2).transpose(1, 2), None
        if self.ends is not None:
            x_BLD, fine = self.ends.first(self._pixels(x_BCFHW).to(x.dtype), x_BLD, time_BFD)
        behind = x_BCFHW[:, -BACKDROP_CHANNELS:][:, : self.config.out_channels] if self.config.sees_backdrop else None
        flow = Flow(x_BLD, time_BFD, modulation_BF6D, text_BLD, self.places(size, x.device), fine, behind)
        return flow if self.spread is None else self.spread.part(flow)

    def _pixels(self, x_BCFHW: torch.Tensor) -> torch.Tensor:
        """Those of the channels that are folded pixels."""
        latents, blocking = self.config.out_channels, self.config.blocking
        return torch.cat([x_BCFHW[:, :latents], x_BCFHW[:, -blocking:]], 1) if blocking else x_BCFHW[:, :latents]

    def block(self, i: int, x_BLD: torch.Tensor, flow: Flow) -> torch.Tensor:
        """Tokens through block i; same shape."""
        text = flow.text if isinstance(flow.text, torch.Tensor) else flow.text[i]
        return self.blocks[i](x_BLD, text, flow.modulation_BF6D, flow.places)

    def leave(self, x_BLD: torch.Tensor, flow: Flow) -> torch.Tensor:
        """Tokens to the velocity of latents (B, C, F, H, W)."""
        x_BLD = x_BLD if self.spread is None else self.spread.whole(x_BLD, flow)
        added: torch.Tensor | float = 0.0
        if self.ends is not None:
            assert flow.fine_BFHWE is not None
            x_BLD, added = self.ends.last(x_BLD, flow.fine_BFHWE, flow.time_BFD)
        shift, scale = (self.scale_shift_table[:, None].float() + flow.time_BFD[:, :, None].float()).unbind(2)
        x = modulate(_norm(x_BLD, self.config.eps), shift, scale).to(x_BLD.dtype)
        f, h, w = flow.places.size
        pf, ph, pw = self.config.patch
        out: torch.Tensor = rearrange(self.proj_out(x), "b (f h w) (p q r c) -> b c (f p) (h q) (w r)", f=f, h=h, w=w, p=pf, q=ph, r=pw)
        if self.behind is not None:
            assert flow.behind_BCFHW is not None
            through = self.behind(x).transpose(1, 2).unflatten(2, (f, h, w))  # a token is a latent here
            out = out - through * flow.behind_BCFHW
        return added + out


@dataclass(frozen=True, eq=False)
class Flow:
    """One pass on its way through the blocks: tokens as they entered, time and modulation per latent frame, text, places, and, where
    the network has ends or is shown a backdrop, the picture that they see and its colours."""

    x_BLD: torch.Tensor
    time_BFD: torch.Tensor
    modulation_BF6D: torch.Tensor
    text: torch.Tensor | Sequence[Context]
    places: Places
    fine_BFHWE: torch.Tensor | None = None
    behind_BCFHW: torch.Tensor | None = None


class Spread(Protocol):
    """The tokens of a pass divided among processes, between `VideoDiT.enter` and `leave` (see engine/parallel.py)."""

    def part(self, flow: Flow) -> Flow:
        """The flow with some tokens of every latent frame, and their places."""
        ...

    def whole(self, x_BLD: torch.Tensor, flow: Flow) -> torch.Tensor:
        """All tokens again."""
        ...


class Embedders(nn.Module):
    """Levels, text and image to what the blocks take."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.freq_dim = config.freq_dim
        self.time_embedder = TwoLayer(config.freq_dim, config.width, "silu")
        self.time_proj = nn.Linear(config.width, 6 * config.width)
        self.text_embedder = TwoLayer(config.text_dim, config.width, "gelu")
        self.text_summary = None if config.ends is None else nn.Linear(config.text_dim, config.width)
        if config.image_dim is not None:
            self.image_embedder = ImageEmbedder(config.image_dim, config.width, config.image_tokens)

    def summary(self, text_BLD: torch.Tensor) -> torch.Tensor | None:
        """The mean of a text's rows (B, 1, D), to be heard in the time; None where the network has no use for it."""
        if self.text_summary is None:
            return None
        text_BLD = text_BLD.to(self.text_summary.weight.dtype)
        rows = text_BLD.ne(0).any(-1).sum(1).clamp(min=1).to(text_BLD.dtype)
        return self.text_summary(text_BLD.sum(1) / rows[:, None])[:, None]

    def forward(self, level_BF: torch.Tensor, summary_B1D: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Time (B, F, D) and modulation (B, F, 6, D), of levels and what the text says in all."""
        time_BFD = self.time_embedder(sinusoid(1000.0 * level_BF, self.freq_dim))
        if summary_B1D is not None:
            time_BFD = time_BFD + summary_B1D
        return time_BFD, self.time_proj(F.silu(time_BFD)).unflatten(-1, (6, -1))


class ImageEmbedder(nn.Module):
    """Features of one image, or of a first and a last one with places, to the width of the blocks."""

    def __init__(self, inputs: int, width: int, tokens: int | None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(inputs), nn.LayerNorm(width)
        self.ff = FeedForward(inputs, inputs, width, approximate="none")
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, inputs)) if tokens else None

    def forward(self, image_BLD: torch.Tensor) -> torch.Tensor:
        """(B, L, inputs) to (B, L, width)."""
        if self.pos_embed is not None:
            image_BLD = image_BLD.reshape(-1, *self.pos_embed.shape[1:]) + self.pos_embed
        return normed(self.norm2, self.ff(normed(self.norm1, image_BLD)))


class Block(nn.Module):
    """Self-attention, attention to text, feed-forward; first and last modulated by the level of each latent frame."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.attn1 = Attention(config.width, config.heads, config.eps)
        self.attn2 = Attention(config.width, config.heads, config.eps, None if config.image_dim is None else config.width)
        self.norm2 = nn.LayerNorm(config.width, config.eps)
        self.ffn = FeedForward(config.width, config.ffn_dim)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, config.width) / config.width**0.5)

    def forward(
        self,
        x: torch.Tensor,
        text_BLD: torch.Tensor | Context,
        modulation_BF6D: torch.Tensor,
        places: Places,
    ) -> torch.Tensor:
        """Same shape (B, L, D)."""
        context = self.attn2.keys_values(text_BLD) if isinstance(text_BLD, torch.Tensor) else text_BLD
        parts = (self.scale_shift_table[:, None].float() + modulation_BF6D.float()).unbind(2)
        shift1, scale1, gate1, shift2, scale2, gate2 = parts
        inside = modulate(_norm(x, self.eps), shift1, scale1).to(x.dtype)
        x = gated(x, self.attn1(inside, self.attn1.keys_values(inside), places), gate1.to(x.dtype))
        x = x + self.attn2(normed(self.norm2, x), context)
        inside = modulate(_norm(x, self.eps), shift2, scale2).to(x.dtype)
        return gated(x, self.ffn(inside), gate2.to(x.dtype))


def _norm(x: torch.Tensor, eps: float) -> torch.Tensor:
    """Layer norm without gain, in float32."""
    return F.layer_norm(x.float(), (x.shape[-1],), eps=eps)
