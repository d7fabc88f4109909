"""spark's codec: a latent is a small picture of every fourth frame, folded into channels; a light decoder draws the film from it.

Latent 0 holds frame 0, latent k frame 4k, each averaged over squares of 4x4 pixels, of which a latent's 48 channels hold 4x4 in three
colours. So nothing of the encoder is learnt: neighbours in the picture stay neighbours, which a denoiser learns from far sooner than
from latents that were learnt (docs/decisions/0012). Causal: a clip can be decoded in chunks; what a chunk must know of the past lies in
a `Memory`. Legend: protocols.py, and N = B * T; small: a quarter of the rows and columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.models.protocols import Memory

SMALL = 4  # pixels per side that are averaged
STRIDE = 4  # frames per latent, after the first
MEAN, SPREAD = 0.14, 0.37  # of the small pictures of the toybox, in [-1, 1]; latents are normalised by them
CUBIC = -0.75  # the parameter of bicubic interpolation (Keys 1981), as torch's and OpenCV's


@dataclass(frozen=True)
class CodecConfig:
    """Widths of the decoder's network, and blocks of each; with none it interpolates."""

    decoder_widths: tuple[int, ...] = (96, 64, 48, 24)  # at 1/16, 1/8, 1/4, 1/2 of the size
    decoder_blocks: tuple[int, ...] = (1, 2, 2, 1)


CODECS = {"plain": CodecConfig((), ()), "light": CodecConfig()}


class VideoCodec(nn.Module):
    """Frames (B, 3, T = 4k+1, H, W) in [-1, 1] to normalised latents (B, C, F = k+1, H/16, W/16) and back."""

    stride = (STRIDE, 16, 16)
    channels = 48
    memoryless = True

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = LightDecoder(config)

    @classmethod
    def from_file(cls, path: Path) -> VideoCodec:
        """The codec of a weights file, in float32. WeightsError if it holds none."""
        tensors, config = weights.load(path)
        if "codec" not in config:
            raise WeightsError(f"{path} holds no codec; train one with kinowatt train codec")
        sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["codec"].items()}
        try:
            codec = cls(CodecConfig(**sizes))
            codec.load_state_dict({k: v.float() for k, v in tensors.items()})
        except (TypeError, RuntimeError) as error:
            raise WeightsError(f"{path} holds a codec of another kind; train one with kinowatt train codec") from error
        return codec

    def encode(self, frames_BCTHW: torch.Tensor) -> torch.Tensor:
        """Normalised latents."""
        return encode(frames_BCTHW)

    def encode_stream(self, frames_BCTHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        """The latents of `encode`, `chunk` latent frames at a time."""
        for begin in range(0, frames_BCTHW.shape[2], chunk * STRIDE):
            yield encode(frames_BCTHW[:, :, begin : begin + chunk * STRIDE])

    def decode_raw(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Frames of latents that are not normalised, not clamped: for training."""
        return self.decoder(latents_BCFHW)[:, :, STRIDE - 1 :]

    def raw(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Latents as the decoder takes them, of normalised ones."""
        return latents_BCFHW * SPREAD + MEAN

    def decode(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Frames in [-1, 1] of normalised latents."""
        return self.decode_raw(self.raw(latents_BCFHW)).float().clamp(-1.0, 1.0)

    def decode_stream(self, latents_BCFHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        """The frames of `decode`, `chunk` latent frames at a time, with memory bounded by one chunk."""
        memory: Memory = {}
        raw = self.raw(latents_BCFHW)
        for begin in range(0, raw.shape[2], chunk):
            frames = self.decoder(raw[:, :, begin : begin + chunk], memory)
            yield frames[:, :, 0 if begin else STRIDE - 1 :].float().clamp(-1.0, 1.0)


def encode(frames_BCTHW: torch.Tensor) -> torch.Tensor:
    """Normalised latents (B, 48, F, H/16, W/16) of frames (B, 3, T = 4k+1, H, W) in [-1, 1]; no weights are asked for."""
    return encode_held(frames_BCTHW[:, :, ::STRIDE], SMALL)


def encode_held(frames_BCFHW: torch.Tensor, square: int) -> torch.Tensor:
    """The same of the frames that latents hold, at a size at which the mean is over squares of so many pixels a side."""
    return (fold(F.avg_pool3d(frames_BCFHW.float(), (1, square, square))) - MEAN) / SPREAD


def fold(small_BCFHW: torch.Tensor) -> torch.Tensor:
    """Small pictures to latents: 4x4 pixels to channels, twice 2x2, so that `ends.Ends` can take one of the folds back."""
    flat = F.pixel_unshuffle(F.pixel_unshuffle(small_BCFHW.transpose(1, 2).flatten(0, 1), 2), 2)
    return flat.unflatten(0, (small_BCFHW.shape[0], -1)).transpose(1, 2)


def unfold(latents_BCFHW: torch.Tensor) -> torch.Tensor:
    """The inverse of `fold`, with frames before colours: (B, F, 3, H, W)."""
    flat = F.pixel_shuffle(F.pixel_shuffle(latents_BCFHW.transpose(1, 2).flatten(0, 1), 2), 2)
    return flat.unflatten(0, (latents_BCFHW.shape[0], -1))


class MemoryBlock(nn.Module):
    """Three 2D convolutions that see this frame and the one before, beside a shortcut: cheap, and causal by construction."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BTCHW: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """Same shape."""
        past = memory.get(self) if memory is not None else None
        first = torch.zeros_like(x_BTCHW[:, :1]) if past is None else past
        if memory is not None:
            memory[self] = x_BTCHW[:, -1:]
        both = F.silu(torch.cat([x_BTCHW, torch.cat([first, x_BTCHW[:, :-1]], 1)], 2))
        change = self.conv2(F.silu(self.conv1(both.flatten(0, 1))))
        return x_BTCHW + change.view_as(x_BTCHW)


class LightDecoder(nn.Module):
    """Latents (B, C, F, H/16, W/16), not normalised, to frames (B, 3, 4F, H, W); the first three hold nothing and the codec drops them.

    An interpolation: in time between the small pictures before and after, in space by a convolution that begins as the bicubic one. A
    network adds to it what it learns, where the config has one, in the manner of tiny autoencoders (TAEHV,
    github.com/madebyollin/taehv): all work at low resolution, the last doubling is a reshape.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        widths = config.decoder_widths
        self.enlarge = nn.Conv2d(3, 3 * SMALL**2, 5)
        nn.init.zeros_(self.enlarge.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.enlarge.weight.copy_(bicubic())
        self.blocks = nn.ModuleList()
        if not widths:
            return
        self.conv_in = nn.Conv2d(VideoCodec.channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(MemoryBlock(w) for _ in range(n)) for w, n in zip(widths, config.decoder_blocks, strict=True)
        )
        # The two lowest stages double the frames: one map to twice the channels, read as two frames.
        self.grow = nn.ModuleList(nn.Conv2d(w, 2 * w, 1) for w in widths[:2])
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.look = nn.Conv2d(9, widths[2], 3, padding=1)  # at the small pictures: interpolated, before, after
        self.conv_out = nn.Conv2d(widths[-1], 12, 3, padding=1)
        # PyTorch's own start shrinks the signal at every layer: 2e-5 of it came through, and training learned no colour (LOG.md).
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module is not self.enlarge:
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for block in self.modules():
            if isinstance(block, MemoryBlock):
                nn.init.zeros_(block.conv2.weight)  # starts as its shortcut
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, latents_BCFHW: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
        """Frames (B, 3, 4F, H, W), not clamped."""
        between_NCHW, *beside_NCHW = self._interpolated(latents_BCFHW, memory)
        out = F.pixel_shuffle(self.enlarge(F.pad(between_NCHW, (2, 2, 2, 2), mode="replicate")), SMALL)
        if len(self.blocks):
            out = out + self._drawn(latents_BCFHW, torch.cat([between_NCHW, *beside_NCHW], 1), memory)
        return rearrange(out, "(b t) c h w -> b c t h w", b=latents_BCFHW.shape[0])

    def _drawn(self, latents_BCFHW: torch.Tensor, seen_NCHW: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """What the network adds to the frames (N, 3, H, W)."""
        batch = latents_BCFHW.shape[0]
        x_NCHW = self.conv_in(rearrange(latents_BCFHW, "b c f h w -> (b f) c h w"))
        for i, blocks in enumerate(self.blocks):
            if i > 0:
                x_NCHW = self.up[i - 1](F.interpolate(x_NCHW, scale_factor=2.0))
            if i == len(self.grow):
                x_NCHW = x_NCHW + self.look(seen_NCHW)
            x = x_NCHW.unflatten(0, (batch, -1))
            for block in cast(nn.ModuleList, blocks):
                x = block(x, memory)
            x_NCHW = x.flatten(0, 1)
            if i < len(self.grow):
                x_NCHW = rearrange(self.grow[i](x_NCHW), "n (r c) h w -> (n r) c h w", r=2)
        return F.pixel_shuffle(self.conv_out(F.silu(x_NCHW)), 2)

    def first(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """What stands before a clip: its first small picture (B, 1, 3, H/4, W/4) held."""
        return unfold(latents_BCFHW[:, :, :1])

    def _interpolated(self, latents_BCFHW: torch.Tensor, memory: Memory | None) -> list[torch.Tensor]:
        """Small pictures (N, 3, H/4, W/4) of all frames, and those before and after them, between which they lie."""
        after = unfold(latents_BCFHW)
        past = memory.get(self) if memory is not None else None
        before = torch.cat([self.first(latents_BCFHW) if past is None else past, after[:, :-1]], 1)
        if memory is not None:
            memory[self] = after[:, -1:].clone()
        share = torch.arange(1, STRIDE + 1, device=after.device, dtype=after.dtype).view(1, 1, STRIDE, 1, 1, 1) / STRIDE
        between = before[:, :, None] + (after - before)[:, :, None] * share
        return [x.expand_as(between).flatten(0, 2) for x in (between, before[:, :, None], after[:, :, None])]


def bicubic() -> torch.Tensor:
    """Weights (3 * 16, 3, 5, 5) of a convolution that enlarges four times, one colour and place in a pixel after the other."""
    taps = torch.zeros(SMALL, 5, dtype=torch.float64)
    for i in range(SMALL):
        away = (torch.arange(5) - 2 - ((i + 0.5) / SMALL - 0.5)).abs().double()
        near = (CUBIC + 2) * away**3 - (CUBIC + 3) * away**2 + 1
        far = CUBIC * (away**3 - 5 * away**2 + 8 * away - 4)
        taps[i] = torch.where(away <= 1, near, torch.where(away < 2, far, 0.0))
    square = torch.einsum("ak,bl->abkl", taps, taps).flatten(0, 1)
    weight = torch.zeros(3, SMALL**2, 3, 5, 5)
    for colour in range(3):
        weight[colour, :, colour] = square.float()
    return weight.flatten(0, 1)
