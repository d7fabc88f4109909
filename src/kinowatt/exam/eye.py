"""A small network that sees: which colour things have at every pixel, where their middles are and what they are, how the scene is lit.

It learns from renders of the world alone (exam/learn.py), never from anything that a model made, and shares nothing with a model's own
observer. What a thing is, is said at its middle (CenterNet, Zhou et al. 2019, arXiv 1904.07850). Legend: N pictures, H W.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from kinowatt.exam.pictures import COLOURS, FIELDS, KINDS

WIDTHS = (32, 48, 72, 96)
HIDDEN = 128  # numbers from which the fields are told
WHOLE = ("ground", "time", "weather", "mood")  # fields that one picture shows as a whole
BARE = 1  # in masks: a thing without a colour of its own; 0 is nothing, colours follow
PARTS = {"masks": 2 + len(COLOURS), "kinds": len(KINDS), "colours": 1 + len(COLOURS), "sizes": 2, "centres": 1}


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
    """What the network says of pictures, at half their size h w. Logits of every pixel: masks (N, 2 + n, h, w; nothing, a thing without a
    colour, COLOURS). At the middles of things, logits: kinds (N, n, h, w), colours (N, 1 + n, h, w; 0: none of its own); and logarithms:
    sizes (N, 2, h, w; what is seen of it, as a share of the frame, and its height, as a share of the frame's). Logits of middles,
    centres (N, 1, h, w), and of fields (N, n)."""

    masks: torch.Tensor
    kinds: torch.Tensor
    colours: torch.Tensor
    sizes: torch.Tensor
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
        self.dense = nn.Sequential(nn.Conv2d(WIDTHS[0], 64, 3, padding=1), nn.SiLU(), nn.Conv2d(64, sum(PARTS.values()), 1))
        # Nearly nowhere is a middle, and training need not find that out.
        nn.init.constant_(self.dense[-1].bias[-1:], -4.0)  # type: ignore[index]
        self.light = nn.Sequential(nn.Dropout(0.1), nn.Linear(2 * sum(WIDTHS), HIDDEN), nn.SiLU(), nn.Dropout(0.1))
        self.whole = nn.ModuleDict({name: nn.Linear(HIDDEN, len(FIELDS[name])) for name in WHOLE})

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
        pooled = self.light(torch.cat([part for level in levels for part in (level.mean((2, 3)), level.std((2, 3)))], 1))
        out = levels[-1]
        for level, up, block in reversed(list(zip(levels[:-1], self.up, self.joined, strict=True))):
            out = block(level + functional.interpolate(up(out), scale_factor=2.0, mode="nearest"))
        parts = dict(zip(PARTS, self.dense(out).split(list(PARTS.values()), 1), strict=True))
        return Sight(**parts, whole={name: head(pooled) for name, head in self.whole.items()})
