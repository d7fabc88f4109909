"""A small network that sees: per pixel what stands there and in which colour, where things have their centres, and how the scene is lit.

It learns from renders of the world alone (exam/learn.py), never from anything that a model made. Legend: N pictures, C channels, H W.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from kinowatt.exam.pictures import COLOURS, FIELDS, KINDS

WIDTHS = (24, 40, 64, 80)
WHOLE = ("ground", "time", "weather")  # fields that one picture shows as a whole


class Block(nn.Module):
    """Two convolutions with a way past them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        changed: torch.Tensor = self.second(functional.silu(self.first(functional.silu(self.norm(x)))))
        return x + changed


@dataclass(frozen=True)
class Sight:
    """What the network says of pictures, as logits at half their size: kinds and colours (N, 1 + n, H/2, W/2) with 0 for none, centres
    (N, H/2, W/2), and fields (N, n)."""

    kinds: torch.Tensor
    colours: torch.Tensor
    centres: torch.Tensor
    whole: dict[str, torch.Tensor]


class Eye(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1], sides of whole 16 pixels, to a Sight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(5, WIDTHS[0], 5, stride=2, padding=2)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(WIDTHS))
        self.blocks = nn.ModuleList(Block(width) for width in WIDTHS)
        self.deepest = Block(WIDTHS[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.joined = nn.ModuleList(Block(width) for width in WIDTHS[:-1])
        self.dense = nn.Conv2d(WIDTHS[0], len(KINDS) + 1 + len(COLOURS) + 1 + 1, 1)
        assert self.dense.bias is not None
        nn.init.constant_(self.dense.bias[-1:], -4.0)  # nearly nowhere is a centre, and training need not find that out
        self.whole = nn.ModuleDict({name: nn.Linear(2 * sum(WIDTHS), len(FIELDS[name])) for name in WHOLE})

    def forward(self, x_N3HW: torch.Tensor) -> Sight:
        """See."""
        n, _, h, w = x_N3HW.shape
        y, x = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(n, 1, h, w), torch.linspace(-1, 1, w).view(1, 1, 1, w).expand(n, 1, h, w)
        seen = self.blocks[0](self.stem(torch.cat([x_N3HW, x.to(x_N3HW), y.to(x_N3HW)], 1)))
        levels = [seen]
        for down, block in zip(self.down, list(self.blocks)[1:], strict=True):
            levels.append(block(down(levels[-1])))
        levels[-1] = self.deepest(levels[-1])
        # Light is told by means and by what is brightest and darkest, at every scale.
        pooled = torch.cat([part for level in levels for part in (level.mean((2, 3)), level.std((2, 3)))], 1)
        out = levels[-1]
        for level, up, block in reversed(list(zip(levels[:-1], self.up, self.joined, strict=True))):
            out = block(level + functional.interpolate(up(out), scale_factor=2.0, mode="nearest"))
        kinds, colours, centres = self.dense(out).split([len(KINDS) + 1, len(COLOURS) + 1, 1], 1)
        return Sight(kinds, colours, centres[:, 0], {name: head(pooled) for name, head in self.whole.items()})
