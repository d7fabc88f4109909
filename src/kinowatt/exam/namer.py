"""A second look: what stands at a middle that the Eye has found, by windows round it, near and far; or nothing.

The Eye names pixels, and calls all that is round a ball: from one picture in 64×64 latents of its own it cannot see an edge of two pixels.
This network sees each middle large, and refuses those that are none. Legend: N pictures, K middles.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from kinowatt.exam.eye import Block
from kinowatt.exam.pictures import KINDS

SIDE = 24  # of a window, in its own pixels
NEAR = (1, 2, 4)  # a pixel of a window is so many of the picture: windows 24, 48 and 96 pixels wide
WIDTHS = (16, 32, 64)


def windows(x_N3HW: torch.Tensor, at_K3: torch.Tensor) -> torch.Tensor:
    """Windows (K, 3 × len(NEAR), SIDE, SIDE) round middles (picture, row, column in shares of its sides); grey beyond the edges."""
    picture, middle = at_K3[:, 0].long(), at_K3[:, 1:]
    out = []
    for near in NEAR:
        small = functional.avg_pool2d(x_N3HW, near)
        scale = torch.tensor([SIDE / small.shape[3], SIDE / small.shape[2]])
        theta = torch.cat([torch.diag(scale).expand(len(at_K3), 2, 2), (2.0 * middle - 1.0).flip(1)[:, :, None]], 2)
        grid = functional.affine_grid(theta, [len(at_K3), 3, SIDE, SIDE], align_corners=False)
        out.append(functional.grid_sample(small[picture], grid, align_corners=False))
    return torch.cat(out, 1)


class Namer(nn.Module):
    """Windows (K, 3 × len(NEAR), SIDE, SIDE) to logits (K, 1 + len(KINDS)); 0: there is nothing."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.layers = nn.Sequential(
            nn.Conv2d(3 * len(NEAR), first, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            Block(second),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            Block(third),
            Block(third),
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * third, len(KINDS) + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Name."""
        seen = functional.silu(self.layers(x))
        logits: torch.Tensor = self.head(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1))
        return logits
