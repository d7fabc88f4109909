"""The codec: causal 3D VAE, 48 channels, 16x16 pixels and 4 frames per latent. Encoder as in Wan 2.2, light decoder of our own.

Causal: latent 0 holds frame 0, latent k the frames 4k-3..4k and their past, so a clip can be coded in chunks. What a chunk must know of
the past lies in a `Memory`; without one, the whole clip is coded at once, with equal results. Legend: protocols.py, and N = B * T.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import weights

Memory = dict[nn.Module, torch.Tensor]  # layer → the last frames that it has seen


@dataclass(frozen=True)
class CodecConfig:
    """Widths of the codec. The encoder's names are Wan's."""

    latent_channels: int = 48
    dim: int = 24  # encoder base width
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 1
    temporal_downsample: tuple[bool, ...] = (False, True, True)
    decoder_widths: tuple[int, ...] = (192, 128, 64, 32)  # at 1/16, 1/8, 1/4, 1/2 of the size
    decoder_blocks: tuple[int, ...] = (2, 2, 2, 1)


CODECS = {
    # Measured on two Zen 4 cores: see LOG.md, "Codec widths".
    "light": CodecConfig(),
}

PATCH = 2  # pixels per side that enter as channels, before the first and after the last convolution


class VideoCodec(nn.Module):
    """Frames (B, 3, T = 4k+1, H, W) in [-1, 1] to normalised latents (B, C, F = k+1, H/16, W/16) and back."""

    stride = (4, 16, 16)
    latent_mean: torch.Tensor
    latent_std: torch.Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config, self.channels = config, config.latent_channels
        self.encoder = Encoder(3 * PATCH**2, config.dim, config.dim_mult, config.res_blocks, config.temporal_downsample, 2 * self.channels)
        self.quant_conv = CausalConv3d(2 * self.channels, 2 * self.channels, 1)
        self.decoder = LightDecoder(config)
        # The noise of the latents starts far below the signal, or the decoder would learn to ignore both.
        nn.init.constant_(self.quant_conv.bias[self.channels :], -6.0)  # type: ignore[index]
        self.register_buffer("latent_mean", torch.zeros(1, self.channels, 1, 1, 1))
        self.register_buffer("latent_std", torch.ones(1, self.channels, 1, 1, 1))

    @classmethod
    def from_file(cls, path: Path) -> VideoCodec:
        """The codec of a weights file, in float32. WeightsError if it holds none."""
        tensors, config = weights.load(path)
        if "codec" not in config:
            raise WeightsError(f"{path} holds no codec; train one with kinowatt train codec")
        sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["codec"].items()}
        codec = cls(CodecConfig(**sizes))
        codec.load_state_dict({k: v.float() for k, v in tensors.items()})
        return codec

    def moments(self, frames_BCTHW: torch.Tensor, memory: Memory | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of the latents, not normalised."""
        hidden = self.quant_conv(self.encoder(patchify(frames_BCTHW.to(self.quant_conv.weight.device)), memory))
        mean, log_variance = hidden.chunk(2, dim=1)
        return mean, log_variance.clamp(-20.0, 10.0)

    def encode(self, frames_BCTHW: torch.Tensor) -> torch.Tensor:
        """Normalised latents: the mode of the distribution, minus mean, over spread per channel."""
        return ((self.moments(frames_BCTHW)[0] - self.latent_mean) / self.latent_std).float()

    def encode_stream(self, frames_BCTHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        """The latents of `encode`, `chunk` latent frames at a time, with memory bounded by one chunk."""
        memory: Memory = {}
        step = chunk * self.stride[0]
        for begin in (0, *range(1, frames_BCTHW.shape[2], step)):
            part = frames_BCTHW[:, :, begin : begin + step if begin else 1]
            yield ((self.moments(part, memory)[0] - self.latent_mean) / self.latent_std).float()

    def decode_raw(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Frames of latents that are not normalised, not clamped: for training."""
        return self.decoder(latents_BCFHW)[:, :, self.stride[0] - 1 :]

    def decode(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Frames in [-1, 1] of normalised latents."""
        return self.decode_raw(latents_BCFHW * self.latent_std + self.latent_mean).float().clamp(-1.0, 1.0)

    def decode_stream(self, latents_BCFHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        """The frames of `decode`, `chunk` latent frames at a time, with memory bounded by one chunk."""
        memory: Memory = {}
        raw = latents_BCFHW * self.latent_std + self.latent_mean
        for begin in range(0, raw.shape[2], chunk):
            frames = self.decoder(raw[:, :, begin : begin + chunk], memory)
            yield frames[:, :, 0 if begin else self.stride[0] - 1 :].float().clamp(-1.0, 1.0)

    @torch.inference_mode()
    def measure_latents(self, signals: Iterable[torch.Tensor]) -> None:
        """Set the mean and spread per channel from clips (B, 3, T, H, W), so that normalised latents have unit variance."""
        count, total, squares = 0, torch.zeros(self.channels), torch.zeros(self.channels)
        for signal in signals:
            mean = self.moments(signal)[0].float().transpose(0, 1).flatten(1).cpu()
            count, total, squares = count + mean.shape[1], total + mean.sum(1), squares + mean.square().sum(1)
        average = total / count
        spread = (squares / count - average.square()).clamp(min=1e-6).sqrt()
        self.latent_mean.copy_(average.view(1, -1, 1, 1, 1))
        self.latent_std.copy_(spread.view(1, -1, 1, 1, 1))


def patchify(x_BCTHW: torch.Tensor, patch: int = PATCH) -> torch.Tensor:
    """Patches of pixels to channels in Wan's order: colour, column, row."""
    return rearrange(x_BCTHW, "b c t (h p) (w q) -> b (c q p) t h w", p=patch, q=patch)


def unpatchify(x_BCTHW: torch.Tensor, patch: int = PATCH) -> torch.Tensor:
    """Channels back to patches of pixels."""
    return rearrange(x_BCTHW, "b (c q p) t h w -> b c t (h p) (w q)", p=patch, q=patch)


class CausalConv3d(nn.Conv3d):
    """A convolution that sees, in time, only the present and the past; zeros stand before the first frame."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, space: int | None = None) -> None:
        """`kernel` frames, and as many rows and columns unless `space` says otherwise."""
        space = kernel if space is None else space
        super().__init__(in_channels, out_channels, (kernel, space, space), padding=(0, space // 2, space // 2))
        self.reach = kernel - 1

    def forward(self, x: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
        """(B, C, T, H, W) to (B, C', T, H, W)."""
        if self.reach:
            past = memory.get(self) if memory is not None else None
            x = F.pad(x, (0, 0, 0, 0, self.reach, 0)) if past is None else torch.cat([past, x], 2)
            if memory is not None:
                memory[self] = x[:, :, -self.reach :].clone()  # a view would keep the whole chunk alive
        return super().forward(x)


class ChannelNorm(nn.Module):
    """Root mean square norm over channels (dim 1) with a gain, as Wan's; with `silu`, that follows, so that both are compiled as one."""

    def __init__(self, channels: int, dims: int, silu: bool = False) -> None:
        super().__init__()
        self.scale, self.silu = channels**0.5, silu
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * dims))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        # As F.normalize does, but one division per position, not per channel.
        x = x * torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min(1e-12).reciprocal() * (self.scale * self.gamma)
        return F.silu(x) if self.silu else x


class ResidualBlock(nn.Module):
    """Two causal convolutions beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = ChannelNorm(in_channels, 3, silu=True), CausalConv3d(in_channels, out_channels, 3)
        self.norm2, self.conv2 = ChannelNorm(out_channels, 3, silu=True), CausalConv3d(out_channels, out_channels, 3)
        self.conv_shortcut = CausalConv3d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """(B, C, T, H, W) to (B, C', T, H, W)."""
        shortcut = x if self.conv_shortcut is None else self.conv_shortcut(x)
        x = self.conv1(self.norm1(x), memory)
        return self.conv2(self.norm2(x), memory) + shortcut


class Downsample(nn.Module):
    """Half the rows and columns; with `temporal`, half the frames after the first, which passes by."""

    def __init__(self, channels: int, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))
        self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1)) if temporal else None

    def forward(self, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """(B, C, T, H, W) to (B, C, T', H/2, W/2)."""
        frames = x.shape[2]
        x = rearrange(self.resample(rearrange(x, "b c t h w -> (b t) c h w")), "(b t) c h w -> b c t h w", t=frames)
        if self.time_conv is None:
            return x
        past = memory.get(self) if memory is not None else None
        if memory is not None:
            memory[self] = x[:, :, -1:].clone()
        if past is not None:
            return self.time_conv(torch.cat([past, x], 2))
        return torch.cat([x[:, :, :1], self.time_conv(x)], 2) if x.shape[2] > 1 else x


def average_down(x: torch.Tensor, out_channels: int, time: int, space: int) -> torch.Tensor:
    """Shortcut of a down block: pixels to channels, then means of channel groups; time is filled with zeros at the front."""
    x = F.pad(x, (0, 0, 0, 0, -x.shape[2] % time, 0))
    x = rearrange(x, "b c (t r) (h p) (w q) -> b (c r p q) t h w", r=time, p=space, q=space)
    return rearrange(x, "b (d g) t h w -> b d g t h w", d=out_channels).mean(2)


class DownBlock(nn.Module):
    """Residual blocks and a downsampling, all beside one averaging shortcut."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, temporal: bool, down: bool) -> None:
        super().__init__()
        self.out_channels, self.time, self.space = out_channels, 2 if temporal else 1, 2 if down else 1
        widths = [in_channels] + [out_channels] * blocks
        self.resnets = nn.ModuleList(ResidualBlock(a, b) for a, b in itertools.pairwise(widths))
        self.downsampler = Downsample(out_channels, temporal) if down else None

    def forward(self, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """(B, C, T, H, W) to (B, C', T', H', W')."""
        shortcut = average_down(x, self.out_channels, self.time, self.space)
        for block in self.resnets:
            x = block(x, memory)
        return shortcut + (x if self.downsampler is None else self.downsampler(x, memory))


class FrameAttention(nn.Module):
    """Self-attention among the positions of each frame, one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, 2)
        self.to_qkv, self.proj = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape (B, C, T, H, W)."""
        _, _, frames, height, _ = x.shape
        x_NCHW = rearrange(x, "b c t h w -> (b t) c h w")
        q, k, v = rearrange(self.to_qkv(self.norm(x_NCHW)), "n (k c) h w -> k n 1 (h w) c", k=3)
        mixed = rearrange(F.scaled_dot_product_attention(q, k, v), "n 1 (h w) c -> n c h w", h=height)
        return x + rearrange(self.proj(mixed), "(b t) c h w -> b c t h w", t=frames)


class MidBlock(nn.Module):
    """Residual block, attention, residual block at the lowest resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([FrameAttention(channels)])

    def forward(self, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """Same shape."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x, memory)), memory)


class Encoder(nn.Module):
    """Wan's encoder: frames (B, C, T, H, W), patchified or not, to moments (B, C', F, H', W'); residual is 2.2, else 2.1."""

    def __init__(
        self,
        in_channels: int,
        dim: int,
        dim_mult: Sequence[int],
        res_blocks: int,
        temporal_downsample: Sequence[bool],
        out_channels: int,
        residual: bool = True,
    ) -> None:
        super().__init__()
        widths = [dim * m for m in (1, *dim_mult)]
        last = len(dim_mult) - 1
        self.conv_in = CausalConv3d(in_channels, widths[0], 3)
        blocks: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            temporal, down = i < last and temporal_downsample[i], i < last
            if residual:
                blocks.append(DownBlock(a, b, res_blocks, temporal, down))
            else:  # one flat list, in Wan's order
                blocks += [ResidualBlock(c, d) for c, d in itertools.pairwise([a] + [b] * res_blocks)]
                blocks += [Downsample(b, temporal)] if down else []
        self.down_blocks = nn.ModuleList(blocks)
        self.mid_block = MidBlock(widths[-1])
        self.norm_out = ChannelNorm(widths[-1], 3, silu=True)
        self.conv_out = CausalConv3d(widths[-1], out_channels, 3)

    def forward(self, x: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
        """Moments before the last 1x1 convolution."""
        x = self.conv_in(x, memory)
        for block in self.down_blocks:
            x = block(x, memory)
        return self.conv_out(self.norm_out(self.mid_block(x, memory)), memory)


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
    """Latents (B, C, F, H/16, W/16) to frames (B, 3, 4F, H, W); the first three frames hold nothing and are dropped by the codec.

    In the manner of tiny autoencoders (TAEHV, github.com/madebyollin/taehv): all work at low resolution, the last doubling is a reshape.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        widths = config.decoder_widths
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(MemoryBlock(w) for _ in range(n)) for w, n in zip(widths, config.decoder_blocks, strict=True)
        )
        # The two lowest stages double the frames: one map to twice the channels, read as two frames.
        self.grow = nn.ModuleList(nn.Conv2d(w, 2 * w, 1) for w in widths[:2])
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.conv_out = nn.Conv2d(widths[-1], 3 * PATCH**2, 3, padding=1)
        # PyTorch's own start shrinks the signal at every layer: 2e-5 of it came through, and training learned no colour (LOG.md).
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for block in self.modules():
            if isinstance(block, MemoryBlock):
                nn.init.zeros_(block.conv2.weight)  # starts as its shortcut
        nn.init.xavier_normal_(self.conv_out.weight)

    def forward(self, latents_BCFHW: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
        """Frames (B, 3, 4F, H, W), not clamped."""
        batch = latents_BCFHW.shape[0]
        x_NCHW = self.conv_in(rearrange(latents_BCFHW, "b c f h w -> (b f) c h w"))
        for i, blocks in enumerate(self.blocks):
            if i > 0:
                x_NCHW = self.up[i - 1](F.interpolate(x_NCHW, scale_factor=2.0))
            x = x_NCHW.unflatten(0, (batch, -1))
            for block in cast(nn.ModuleList, blocks):
                x = block(x, memory)
            x_NCHW = x.flatten(0, 1)
            if i < len(self.grow):
                x_NCHW = rearrange(self.grow[i](x_NCHW), "n (r c) h w -> (n r) c h w", r=2)
        out = rearrange(self.conv_out(x_NCHW), "n (c q p) h w -> n c (h p) (w q)", p=PATCH, q=PATCH)
        return rearrange(out, "(b t) c h w -> b c t h w", b=batch)
