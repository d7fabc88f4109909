"""spark's codec: a latent is a small picture of every fourth frame, folded into channels; a decoder draws it large again.

Latent 0 holds frame 0, latent k frame 4k, each averaged over squares of 4x4 pixels, of which a latent's 48 channels hold 4x4 in three
colours. So nothing of the encoder is learnt: neighbours in the picture stay neighbours, which a denoiser learns from far sooner than
from latents that were learnt (docs/decisions/0012). Causal: a clip can be decoded in chunks; what a chunk must know of the past lies in
a `Memory`. Legend: protocols.py, and N = B * T; small: a quarter of the rows and columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.models.protocols import Memory

SMALL = 4  # pixels per side that are averaged
COLOURS = 3
STRIDE = 4  # frames per latent, after the first
MEAN, SPREAD = 0.14, 0.37  # of the small pictures of the toybox, in [-1, 1]; latents are normalised by them
CUBIC = -0.75  # the parameter of bicubic interpolation (Keys 1981), as torch's and OpenCV's


@dataclass(frozen=True)
class CodecConfig:
    """Channels of the decoder's network, and how many blocks it has; with none it interpolates."""

    width: int = 48
    blocks: int = 8


CODECS = {"plain": CodecConfig(0, 0), "drawn": CodecConfig()}


class VideoCodec(nn.Module):
    """Frames (B, 3, T = 4k+1, H, W) in [-1, 1] to normalised latents (B, C, F = k+1, H/16, W/16) and back."""

    stride = (STRIDE, 16, 16)
    channels = 48
    memoryless = True

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = Decoder(config)

    @classmethod
    def from_file(cls, path: Path) -> VideoCodec:
        """The codec of a weights file, in float32. WeightsError if it holds none."""
        tensors, config = weights.load(path)
        if "codec" not in config:
            raise WeightsError(f"{path} holds no codec; train one with kinowatt train codec")
        try:
            codec = cls(CodecConfig(**config["codec"]))
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


class Decoder(nn.Module):
    """Latents (B, C, F, H/16, W/16), not normalised, to frames (B, 3, 4F, H, W); the first three hold nothing and the codec drops them.

    Each picture is enlarged by itself: by a convolution that begins as the bicubic one and, where the config has blocks, by what a
    residual network at the small size adds to it (after EDSR, Lim et al. 2017, arXiv 1707.02921, without batch norm as there). Frames
    between pictures fade from one to the next; what is known to move is drawn anew by the engine (engine/between.py).
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        width = config.width
        self.enlarge = nn.Conv2d(3, 3 * SMALL**2, 5)
        nn.init.zeros_(self.enlarge.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.enlarge.weight.copy_(bicubic())
        self.blocks = nn.ModuleList(Residual(width) for _ in range(config.blocks))
        if not config.blocks:
            return
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.grow, self.fine = nn.Conv2d(width, 2 * width, 3, padding=1), Residual(width // 2)  # at a half of the size
        self.conv_out = nn.Conv2d(width // 2, 12, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]

    def forward(self, latents_BCFHW: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
        """Frames (B, 3, 4F, H, W), not clamped."""
        after = self.drawn(unfold(latents_BCFHW).flatten(0, 1)).unflatten(0, (latents_BCFHW.shape[0], -1))
        past = memory.get(self) if memory is not None else None
        before = torch.cat([after[:, :1] if past is None else past, after[:, :-1]], 1)
        if memory is not None:
            memory[self] = after[:, -1:].clone()
        share = torch.arange(1, STRIDE + 1, device=after.device, dtype=after.dtype).view(1, 1, STRIDE, 1, 1, 1) / STRIDE
        faded = before[:, :, None] + (after - before)[:, :, None] * share
        return faded.flatten(1, 2).transpose(1, 2)

    def drawn(self, small_NCHW: torch.Tensor) -> torch.Tensor:
        """Small pictures (N, 3, h, w) at their full size (N, 3, 4h, 4w)."""
        out = F.pixel_shuffle(self.enlarge(F.pad(small_NCHW, (2, 2, 2, 2), mode="replicate")), SMALL)
        if not len(self.blocks):
            return out
        x_NCHW = self.conv_in(small_NCHW)
        for block in self.blocks:
            x_NCHW = block(x_NCHW)
        x_NCHW = self.fine(F.pixel_shuffle(self.grow(x_NCHW), 2))
        return out + F.pixel_shuffle(self.conv_out(F.silu(x_NCHW)), 2)


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.conv2.weight)  # starts as its shortcut
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        changed: torch.Tensor = self.conv2(F.silu(self.conv1(x_NCHW)))
        return x_NCHW + changed


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
