"""Layers of Wan's codecs: causal convolutions that remember their past, and the encoder of 2.1 and 2.2. Parameter names are diffusers'.

Causal: what a chunk must know of the past lies in a `Memory`; without one, the whole clip is coded at once, with equal results.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from kinowatt.models.protocols import Memory

PATCH = 2  # pixels per side that enter as channels, before the first and after the last convolution


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
