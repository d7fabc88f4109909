"""Convolutions around the blocks of a DiT: they see the picture inside the tokens, and what stands across their borders.

A token holds a square of the picture, so a network of tokens alone has to learn every edge once for every place that it can have in a
token. Convolutions at twice the tokens' rows and columns learn it once (docs/decisions/0012). Latents must be folded pixels, as those of
`vae.Folded` are. Legend: B batch, C channels, F latent frames, H W latents, N = B * F, D width, E width of the ends.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

FINER = 2  # rows and columns of the ends, per latent


class ConvBlock(nn.Module):
    """Two convolutions in space and one over three frames, beside a shortcut; modulated by the time of each latent frame."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.time_conv = nn.Conv2d(width, width, (3, 1), padding=(1, 0))
        self.modulation = nn.Linear(time_width, 3 * width)
        for layer in (self.time_conv, self.modulation):  # it begins without either
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x_BFHWE: torch.Tensor, time_BFD: torch.Tensor) -> torch.Tensor:
        """Same shape; `time_BFD` after its activation."""
        b, f, h, w, e = x_BFHWE.shape
        scale, shift, gate = self.modulation(time_BFD)[:, :, None, None].chunk(3, -1)
        x = F.layer_norm(x_BFHWE, (e,)) * (1.0 + scale) + shift
        x = F.silu(_conv(self.conv1, x.flatten(0, 1))).view(b, f, h * w, e)
        x = (x + _conv(self.time_conv, x)).view(b * f, h, w, e)
        x = _conv(self.conv2, F.silu(F.layer_norm(x, (e,)))).view(b, f, h, w, e)
        return x_BFHWE + x * (1.0 + gate)


class Ends(nn.Module):
    """What stands before and after the blocks: latents to an addition to the tokens, tokens to an addition to the velocity."""

    def __init__(self, channels: int, width: int, dit_width: int, beside: int = 0) -> None:
        """`beside`: channels of folded pixels that follow the latents' own, to be seen but not to be changed."""
        super().__init__()
        inside = channels // FINER**2
        self.conv_in = nn.Conv2d(inside + beside // FINER**2, width, 3, padding=1)
        self.before = nn.ModuleList(ConvBlock(width, dit_width) for _ in range(2))
        self.down, self.up = nn.Linear(FINER**2 * width, dit_width), nn.Linear(dit_width, FINER**2 * width)
        self.enter, self.leave = (ConvBlock(dit_width, dit_width) for _ in range(2))
        self.after = nn.ModuleList(ConvBlock(width, dit_width) for _ in range(2))
        self.conv_out = nn.Conv2d(width, inside, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]

    def first(self, x_BCFHW: torch.Tensor, tokens_BLD: torch.Tensor, time_BFD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (B, L, D) for the blocks, and the finer picture (B, F, 2H, 2W, E) that `last` wants."""
        b, _, f, h, w = x_BCFHW.shape
        time_BFD = F.silu(time_BFD)
        x_NHWC = F.pixel_shuffle(x_BCFHW.transpose(1, 2).flatten(0, 1), FINER).permute(0, 2, 3, 1)
        fine = _conv(self.conv_in, x_NHWC).unflatten(0, (b, f))
        for block in self.before:
            fine = block(fine, time_BFD)
        coarse = F.pixel_unshuffle(fine.flatten(0, 1).permute(0, 3, 1, 2), FINER).permute(0, 2, 3, 1)
        tokens = self.enter(tokens_BLD.view(b, f, h, w, -1) + self.down(coarse).unflatten(0, (b, f)), time_BFD)
        return tokens.flatten(1, 3), fine

    def last(self, tokens_BLD: torch.Tensor, fine_BFHWE: torch.Tensor, time_BFD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens after one more look around, and an addition (B, C, F, H, W) to what they become."""
        b, f, h, w, _ = fine_BFHWE.shape
        time_BFD = F.silu(time_BFD)
        tokens = self.leave(tokens_BLD.view(b, f, h // FINER, w // FINER, -1), time_BFD)
        fine = F.pixel_shuffle(self.up(tokens).flatten(0, 1).permute(0, 3, 1, 2), FINER).permute(0, 2, 3, 1)
        fine = fine_BFHWE + fine.unflatten(0, (b, f))
        for block in self.after:
            fine = block(fine, time_BFD)
        out = _conv(self.conv_out, F.silu(F.layer_norm(fine, fine.shape[-1:])).flatten(0, 1))
        folded = F.pixel_unshuffle(out.permute(0, 3, 1, 2), FINER).unflatten(0, (b, f)).transpose(1, 2)
        return tokens.flatten(1, 3), folded


def _conv(layer: nn.Conv2d, x_NHWC: torch.Tensor) -> torch.Tensor:
    """A convolution of what has its channels last, as linear layers and norms want them."""
    return layer(x_NHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()
