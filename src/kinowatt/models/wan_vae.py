"""The codecs of Wan 2.1 (16 channels, 8x8 pixels per latent) and 2.2 (48 channels, 16x16), with the parameter names of diffusers.

Both are made of the layers of wan_layers.py. A clip is always coded in chunks of a few latents, so memory does not grow with its length;
a layer's past lies in a `Memory`. Format: class AutoencoderKLWan of diffusers 0.42. Legend: protocols.py, and N = B * T.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.models.protocols import Memory
from kinowatt.models.wan_layers import CausalConv3d, ChannelNorm, Encoder, MidBlock, ResidualBlock, patchify, unpatchify

CHUNK = 2  # latents per pass
WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class WanCodecConfig:
    """The entries of diffusers' vae/config.json that shape the codec, under their names ("temperal" included)."""

    latents_mean: tuple[float, ...]  # per latent channel
    latents_std: tuple[float, ...]  # a spread, not its inverse
    base_dim: int = 96
    decoder_base_dim: int | None = None  # None: as base_dim
    z_dim: int = 16
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    temperal_downsample: tuple[bool, ...] = (False, True, True)
    is_residual: bool = False  # 2.2
    in_channels: int = 3  # colours times pixels of a patch
    out_channels: int = 3
    patch_size: int | None = None  # None: no patches

    def __post_init__(self) -> None:
        if not len(self.latents_mean) == len(self.latents_std) == self.z_dim:
            raise ValueError(f"latents_mean and latents_std need {self.z_dim} values each")
        if len(self.temperal_downsample) != len(self.dim_mult) - 1:
            raise ValueError("temperal_downsample needs one value less than dim_mult")
        if not self.in_channels == self.out_channels == 3 * self.patch**2:
            raise ValueError(f"in_channels and out_channels must be {3 * self.patch**2}")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WanCodecConfig:
        """Of a config.json's values; ValueError, TypeError if they describe something else. What we do not know is passed over."""
        if values.get("_class_name") != "AutoencoderKLWan":
            raise ValueError(f"_class_name is {values.get('_class_name')!r}, not 'AutoencoderKLWan'")
        if values.get("attn_scales"):
            raise ValueError("attn_scales is not empty")
        known = {field.name for field in dataclasses.fields(cls)}
        shape: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        return cls(**shape)

    @property
    def patch(self) -> int:
        """Pixels per side that enter as channels."""
        return self.patch_size or 1

    @property
    def stride(self) -> tuple[int, int, int]:
        """Frames, rows, columns per latent."""
        side = self.patch * 2 ** (len(self.dim_mult) - 1)
        return 2 ** sum(self.temperal_downsample), side, side


class WanCodec(nn.Module):
    """Frames (B, 3, T = 4k+1, H, W) in [-1, 1] to normalised latents (B, C, F = k+1, H/s, W/s), s = 8 (2.1) or 16 (2.2), and back."""

    latent_mean: torch.Tensor
    latent_std: torch.Tensor
    memoryless = False

    def __init__(self, config: WanCodecConfig) -> None:
        super().__init__()
        c = config
        self.config, self.channels, self.stride = c, c.z_dim, c.stride
        self.encoder = Encoder(
            c.in_channels, c.base_dim, c.dim_mult, c.num_res_blocks, c.temperal_downsample, 2 * c.z_dim, residual=c.is_residual
        )
        self.quant_conv = CausalConv3d(2 * c.z_dim, 2 * c.z_dim, 1)
        self.post_quant_conv = CausalConv3d(c.z_dim, c.z_dim, 1)
        self.decoder = WanDecoder(c)
        # Not among the state, as in diffusers' files: the config has them. In float32 whatever the weights are.
        for name, values in (("latent_mean", c.latents_mean), ("latent_std", c.latents_std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32, device="cpu").view(1, -1, 1, 1, 1), persistent=False)
        self.channels_last()

    @classmethod
    def from_folder(cls, path: Path, dtype: torch.dtype = torch.float32) -> WanCodec:
        """The codec in vae/ of a diffusers folder. WeightsError if it is missing, damaged or not Wan's."""
        folder = path / "vae"
        config = read_config(folder)
        try:
            with torch.device("meta"):  # no time for random weights
                codec = cls(config)
        except (RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
            raise WeightsError(f"{folder / 'config.json'} describes no Wan codec ({error}); download the folder again") from error
        expected = {name: tuple(tensor.shape) for name, tensor in codec.state_dict().items()}
        files = weights.checked(folder, WEIGHTS, expected)
        codec.load_state_dict({k: v.to(dtype) for path in files for k, v in weights.load(path)[0].items()}, assign=True)
        return codec.channels_last().eval().requires_grad_(False)

    def channels_last(self) -> WanCodec:
        """Lay the kernels out with channels innermost: convolutions, norms and the turns between 2D and 3D need no copies then."""
        for parameter in self.parameters():
            if parameter.ndim >= 4 and not parameter.is_meta:
                layout = torch.channels_last_3d if parameter.ndim == 5 else torch.channels_last
                parameter.data = parameter.data.contiguous(memory_format=layout)
        return self

    def moments(self, frames_BCTHW: torch.Tensor, memory: Memory | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of the latents, not normalised. Without a memory, the whole clip in one pass."""
        patches = patchify(frames_BCTHW.to(self.quant_conv.weight), self.config.patch)
        hidden = self.quant_conv(self.encoder(patches.contiguous(memory_format=torch.channels_last_3d), memory))
        mean, log_variance = hidden.float().chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def encode(self, frames_BCTHW: torch.Tensor) -> torch.Tensor:
        """Normalised latents: the mode of the distribution, minus mean, over spread per channel. ValueError: a size that does not fit."""
        return torch.cat(list(self.encode_stream(frames_BCTHW)), 2)

    def encode_stream(self, frames_BCTHW: torch.Tensor, chunk: int = CHUNK) -> Iterator[torch.Tensor]:
        """The latents of `encode`, `chunk` latent frames at a time, with memory bounded by one chunk."""
        time, rows, columns = self.stride
        frames, height, width = frames_BCTHW.shape[2:]
        if frames % time != 1 or height % rows or width % columns:
            raise ValueError(f"{frames} frames of {width}x{height} do not fit; frames must be {time}k+1 and sides multiples of {rows}")
        memory: Memory = {}
        for begin in (0, *range(1, frames, chunk * time)):
            part = frames_BCTHW[:, :, begin : begin + chunk * time if begin else 1]
            yield (self.moments(part, memory)[0] - self.latent_mean) / self.latent_std

    def decode_raw(self, latents_BCFHW: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
        """Frames of latents that are not normalised, not clamped. Without a memory, the whole clip in one pass."""
        latents_BCFHW = latents_BCFHW.to(self.post_quant_conv.weight.dtype, memory_format=torch.channels_last_3d)
        return unpatchify(self.decoder(self.post_quant_conv(latents_BCFHW), memory), self.config.patch)

    def decode(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Frames in [-1, 1] of normalised latents."""
        batch, _, count, height, width = latents_BCFHW.shape
        time, rows, columns = self.stride
        frames = latents_BCFHW.new_empty(batch, 3, time * (count - 1) + 1, height * rows, width * columns, dtype=torch.float32)
        end = 0
        for part in self.decode_stream(latents_BCFHW):  # into its place: a list of parts would hold the clip twice
            begin, end = end, end + part.shape[2]
            frames[:, :, begin:end] = part
        return frames

    def decode_stream(self, latents_BCFHW: torch.Tensor, chunk: int = CHUNK) -> Iterator[torch.Tensor]:
        """The frames of `decode`, `chunk` latent frames at a time, with memory bounded by one chunk."""
        memory: Memory = {}
        for part in latents_BCFHW.split(chunk, 2):
            yield self.decode_raw(part * self.latent_std + self.latent_mean, memory).float().clamp(-1.0, 1.0)


def read_config(folder: Path) -> WanCodecConfig:
    """Of config.json in a folder. WeightsError if it is missing or describes no Wan codec."""
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError(f"no Wan codec at {folder}: it has no config.json; name a diffusers folder of Wan 2.1 or 2.2")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return WanCodecConfig.from_json(dict(values))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path} describes no Wan codec ({error}); name a diffusers folder of Wan 2.1 or 2.2") from error


class Upsample(nn.Module):
    """Twice the rows and columns; with `temporal`, two frames of each after the first, which passes by."""

    def __init__(self, in_channels: int, out_channels: int, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.time_conv = CausalConv3d(in_channels, 2 * in_channels, 3, space=1) if temporal else None

    def forward(self, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """(B, C, T, H, W) to (B, C', T', 2H, 2W)."""
        if self.time_conv is not None:
            x = self._double(self.time_conv, x, memory)
        frames = x.shape[2]
        return rearrange(self.resample(rearrange(x, "b c t h w -> (b t) c h w")), "(b t) c h w -> b c t h w", t=frames)

    def _double(self, time_conv: nn.Module, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        starts = memory is None or self not in memory
        if memory is not None:
            memory[self] = x.new_empty(0)  # the start of the clip is behind us
        # The convolution does not see the first frame: its past begins, with zeros, at the second.
        first, rest = x[:, :, :starts], x[:, :, starts:]
        if rest.shape[2] == 0:
            return first
        rest = rearrange(time_conv(rest, memory), "b (r c) t h w -> b c (t r) h w", r=2)
        return torch.cat([first, rest], 2) if starts else rest


def add_duplicates(x: torch.Tensor, low: torch.Tensor, time: int, space: int) -> torch.Tensor:
    """x (B, C, T', H', W') plus the shortcut of an up block, in place: the opposite of `average_down`.

    Each channel of `low` (B, C', T, H, W) is repeated, then channels become frames, rows and columns. That tensor would be the largest
    of the decoder, so it is never made: each of its phases is a slice of `low`. At the start of a clip x lacks the first `time` - 1 frames.
    """
    phases, stride = time * space**2, low.shape[1] // x.shape[1]
    absent = low.shape[2] * time - x.shape[2]
    for phase in range(phases):
        r, p, q = phase // space**2, phase // space % space, phase % space
        source = low[:, phase * stride // phases :: stride, int(r < absent) :]
        x[:, :, (r - absent) % time :: time, p::space, q::space] += source
    return x


class UpBlock(nn.Module):
    """Residual blocks and an upsampling, which halves the channels."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, temporal: bool, up: bool) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * blocks
        self.resnets = nn.ModuleList(ResidualBlock(a, b) for a, b in itertools.pairwise(widths))
        self.upsamplers = nn.ModuleList([Upsample(out_channels, out_channels // 2, temporal)]) if up else None

    def forward(self, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """(B, C, T, H, W) to (B, C', T', H', W')."""
        for block in (*self.resnets, *(self.upsamplers or ())):
            x = block(x, memory)
        return x


class ResidualUpBlock(nn.Module):
    """Residual blocks and an upsampling, all beside one duplicating shortcut; the last block has neither."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, temporal: bool, up: bool) -> None:
        super().__init__()
        self.time = 2 if temporal else 1
        if up and (in_channels % out_channels or self.time * 4 % (in_channels // out_channels)):
            raise ValueError(f"{in_channels} channels cannot be a shortcut to {out_channels}")
        widths = [in_channels] + [out_channels] * blocks
        self.resnets = nn.ModuleList(ResidualBlock(a, b) for a, b in itertools.pairwise(widths))
        self.upsampler = Upsample(out_channels, out_channels, temporal) if up else None

    def forward(self, x: torch.Tensor, memory: Memory | None) -> torch.Tensor:
        """(B, C, T, H, W) to (B, C', T', H', W')."""
        start = x
        for block in self.resnets:
            x = block(x, memory)
        if self.upsampler is None:
            return x
        return add_duplicates(self.upsampler(x, memory), start, self.time, 2)


class WanDecoder(nn.Module):
    """Latents (B, C, F, h, w) to frames (B, C', 4(F-1)+1, H, W) in patches."""

    def __init__(self, config: WanCodecConfig) -> None:
        super().__init__()
        dim = config.decoder_base_dim or config.base_dim
        mult = config.dim_mult[::-1]
        widths = [dim * m for m in (mult[0], *mult)]
        temporal = (*config.temperal_downsample[::-1], False)
        self.conv_in = CausalConv3d(config.z_dim, widths[0], 3)
        self.mid_block = MidBlock(widths[0])
        block = ResidualUpBlock if config.is_residual else UpBlock
        self.up_blocks = nn.ModuleList(
            # In 2.1 the upsampling before has halved the width.
            block(a if config.is_residual or i == 0 else a // 2, b, config.num_res_blocks + 1, temporal[i], up=i < len(mult) - 1)
            for i, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.norm_out = ChannelNorm(widths[-1], 3, silu=True)
        self.conv_out = CausalConv3d(widths[-1], config.out_channels, 3)

    def forward(self, x: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
        """Frames in patches, not clamped."""
        x = self.mid_block(self.conv_in(x, memory), memory)
        for block in self.up_blocks:
            x = block(x, memory)
        return self.conv_out(self.norm_out(x), memory)
