"""The interpolator: frames between two pictures, by the motion that it finds in them (video frame interpolation).

spark's codec holds every fourth frame. From coarse to fine it guesses, for each frame between two held ones, where every pixel of it is
to be found in either, and which of the two shows it; features of both are looked up there, and what does not fit mends the guess (after
PWC-Net, Sun et al. 2018, arXiv 1709.02371, and IFNet of RIFE, Huang et al. 2022, arXiv 2011.06294). A frame is made of pixels of the two
alone, so nothing is invented. Legend: N pairs of pictures, T frames between, E = 2 ends (before, after), H W pixels, h w of a level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

FILE = "interpolator.safetensors"
FINEST = 4  # pixels a side of what the finest level sees as one


@dataclass(frozen=True)
class InterpolatorConfig:
    """Channels of the levels, of which each sees half as finely as the one before."""

    widths: tuple[int, ...] = (32, 48, 64, 96)


@dataclass(frozen=True, eq=False)
class Flow:
    """Where frames find their pixels: `away_NTE2HW` pixels to the right and down in each end, and `before_NTHW`, the share of the first."""

    away_NTE2HW: torch.Tensor
    before_NTHW: torch.Tensor

    def mixed(self, before_NCHW: torch.Tensor, after_NCHW: torch.Tensor) -> torch.Tensor:
        """The frames (N, T, C, H, W) of two pictures of the flow's size."""
        frames = self.away_NTE2HW.shape[1]
        looked = [
            looked_up(end.repeat_interleave(frames, 0), self.away_NTE2HW[:, :, k].flatten(0, 1)).unflatten(0, (-1, frames))
            for k, end in enumerate((before_NCHW, after_NCHW))
        ]
        return looked[1] + (looked[0] - looked[1]) * self.before_NTHW[:, :, None]


class Interpolator(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1] before and after, of any size, to what lies between."""

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.enter = nn.Conv2d(3 * FINEST**2, widths[0], 3, padding=1)
        self.same = nn.ModuleList(_Residual(w) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))
        self.steps = nn.ModuleList(
            _Step(width, after, FINEST if i == 0 else 1) for i, (width, after) in enumerate(zip(widths, (*widths[1:], 0), strict=True))
        )

    def forward(self, before_NCHW: torch.Tensor, after_NCHW: torch.Tensor, shares_T: torch.Tensor) -> list[Flow]:
        """Flows at shares of the way in (0, 1), from the finest, of the pictures' own size, to the coarsest, each in its own pixels."""
        height, width = before_NCHW.shape[2:]
        most = FINEST << (len(self.steps) - 1)
        edges = (0, -width % most, 0, -height % most)
        both = F.pad(torch.cat([before_NCHW, after_NCHW]), edges, mode="replicate")
        x = self.same[0](self.enter(F.pixel_unshuffle(both, FINEST)))
        levels = [x]
        for down, same in zip(self.down, self.same[1:], strict=True):
            x = same(down(F.silu(x)))
            levels.append(x)
        pairs, frames = len(before_NCHW), len(shares_T)
        share = shares_T.to(both).repeat(pairs)[:, None, None, None]
        away = both.new_zeros(len(share), 4, *levels[-1].shape[2:])
        logit = torch.logit(1.0 - share).expand(-1, -1, *levels[-1].shape[2:]).float()
        hidden = both.new_zeros(len(share), 0, *levels[-1].shape[2:])
        flows: list[Flow] = []
        for i in reversed(range(len(levels))):
            ends = [end.repeat_interleave(frames, 0) for end in levels[i].chunk(2)]
            away, logit, hidden = self.steps[i](ends, share, away, logit, hidden)
            flows.append(Flow(away.unflatten(1, (2, 2)).unflatten(0, (pairs, frames)), logit[:, 0].sigmoid().unflatten(0, (pairs, frames))))
            if i:
                away, logit, hidden = _twice(away) * 2.0, _twice(logit), _twice(hidden)
        finest = flows[-1]
        flows[-1] = Flow(finest.away_NTE2HW[..., :height, :width], finest.before_NTHW[..., :height, :width])
        return flows[::-1]

    @torch.inference_mode()
    def between(self, before_NCHW: torch.Tensor, after_NCHW: torch.Tensor, shares_T: torch.Tensor) -> Flow:
        """The finest flow."""
        return self(before_NCHW, after_NCHW, shares_T)[0]


class _Step(nn.Module):
    """A level's part: features of both ends, looked up where the guess says, mend the guess. The finest level says it pixel by pixel."""

    def __init__(self, width: int, coarser: int, pixels: int) -> None:
        super().__init__()
        self.pixels = pixels
        self.conv_in = nn.Conv2d(2 * width + coarser + 6, width, 3, padding=1)
        self.blocks = nn.Sequential(_Residual(width), _Residual(width))
        self.conv_out = nn.Conv2d(width, 5 * pixels**2, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]

    def forward(
        self,
        ends: list[torch.Tensor],
        share_N111: torch.Tensor,
        away_N4hw: torch.Tensor,
        logit_N1hw: torch.Tensor,
        hidden: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The guess mended, and what the next level is told."""
        looked = [looked_up(end, away) for end, away in zip(ends, away_N4hw.chunk(2, 1), strict=True)]
        told = share_N111.expand(-1, -1, *away_N4hw.shape[2:])
        x = self.blocks(self.conv_in(torch.cat([*looked, hidden, told, away_N4hw, logit_N1hw], 1)))
        mended = self.conv_out(F.silu(x)).float()
        if self.pixels > 1:
            mended = F.pixel_shuffle(mended, self.pixels)
            away_N4hw = F.interpolate(away_N4hw, scale_factor=self.pixels, mode="bilinear") * self.pixels
            logit_N1hw = F.interpolate(logit_N1hw, scale_factor=self.pixels, mode="bilinear")
        return away_N4hw + mended[:, :4], logit_N1hw + mended[:, 4:], x


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        changed: torch.Tensor = self.conv2(F.silu(self.conv1(F.silu(x))))
        return x + changed


def looked_up(pictures_NCHW: torch.Tensor, away_N2HW: torch.Tensor) -> torch.Tensor:
    """What pictures show so many pixels to the right and down of each pixel; beyond an edge, what is at the edge."""
    height, width = away_N2HW.shape[2:]
    ys = torch.arange(height, device=away_N2HW.device, dtype=torch.float32)[:, None] + 0.5
    xs = torch.arange(width, device=away_N2HW.device, dtype=torch.float32) + 0.5
    grid = torch.stack([(xs + away_N2HW[:, 0]) * (2.0 / width) - 1.0, (ys + away_N2HW[:, 1]) * (2.0 / height) - 1.0], -1)
    return F.grid_sample(pictures_NCHW.float(), grid, padding_mode="border", align_corners=False)


def load(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Interpolator:
    """An interpolator, ready to work, of a file's tensors and config. KeyError, TypeError or RuntimeError for another file."""
    made = Interpolator(InterpolatorConfig(**{k: tuple(v) for k, v in config["interpolator"].items()}))
    made.load_state_dict({k: v.float() for k, v in tensors.items()})
    return made.eval().requires_grad_(False)


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")
