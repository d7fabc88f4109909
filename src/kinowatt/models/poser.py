"""The poser: from where things stand to how they are turned. A small network that draws poses as the director draws tracks.

Flow matching (Lipman et al. 2023, arXiv 2210.02747) on one token per thing with its whole way through the clip, and one of the camera;
frames of which the pose is known have no noise. Legend: director.py, and P numbers of a pose.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.models.blocking import GROUPS, KINDS, LOOKS, MOST, POSE, TRACK, Blocking
from kinowatt.models.director import FRAMES, Context, SlotBlock, plain
from kinowatt.models.layers import TwoLayer, sinusoid
from kinowatt.models.text import TextConfig, TextEncoder

FILE = "poser.safetensors"
STEPS = 16  # with which it draws
ROUND = ("ball", "cylinder", "cone", "torus", "capsule")  # about their own axes: only those are told


@dataclass(frozen=True)
class PoserConfig:
    """Sizes of a poser."""

    width: int = 128
    heads: int = 4
    layers: int = 3
    text_width: int = 96
    text_layers: int = 1


class Poser(nn.Module):
    """Velocity of the flow of poses (B, MOST, FRAMES, POSE)."""

    def __init__(self, config: PoserConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.text = TextEncoder(TextConfig(tuple(vocabulary), width=config.text_width, layers=config.text_layers))
        # Of each frame its pose, its track and the level of its noise; then looks.
        self.inward = nn.Linear(FRAMES * (POSE + TRACK + 1) + LOOKS, width)
        self.camera = nn.Linear(FRAMES * TRACK, width)
        self.heard = nn.Linear(config.text_width, width)
        self.time = TwoLayer(256, width, "silu")
        self.blocks = nn.ModuleList(SlotBlock(width, config.heads, config.text_width) for _ in range(config.layers))
        self.outward = nn.Linear(width, FRAMES * POSE)
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    def forward(self, x_BKFP: torch.Tensor, level_BKF: torch.Tensor, t_B: torch.Tensor, stage: Stage) -> torch.Tensor:
        """Velocity of poses with these levels of noise; `t_B` is that of all that are not known."""
        parts = x_BKFP.flatten(2), plain(stage.blocking.tracks_BKFT).flatten(2), level_BKF, stage.blocking.looks_BKL
        x = torch.cat([self.inward(torch.cat(parts, 2)), stage.camera_B1D], 1)
        time = F.silu(self.time(sinusoid(1000.0 * t_B, 256)) + stage.context.summary_BD)[:, None]
        for block in self.blocks:
            x = block(x, stage.context, time)
        velocity: torch.Tensor = self.outward(F.layer_norm(x[:, :MOST], x.shape[-1:]))
        return velocity.unflatten(2, (FRAMES, POSE))

    def stage(self, ids_BL: torch.Tensor, camera_BFT: torch.Tensor, blocking: Blocking) -> Stage:
        """What it is told: token rows (B, L), a camera's way (B, FRAMES, TRACK), and a blocking of FRAMES frames."""
        text, here_BL = self.text(ids_BL), ids_BL > 0
        mean = text.sum(1) / here_BL.sum(1, keepdim=True).clamp(min=1)
        here_BL = here_BL | ~here_BL.any(1, keepdim=True)  # without words it looks at their (zeroed) rows
        context = Context(text, here_BL[:, None, None], self.heard(mean))
        return Stage(blocking, self.camera(camera_BFT.flatten(1))[:, None], context)

    @torch.no_grad()
    def draw(self, stage: Stage, noise_BKFP: torch.Tensor, known_BKFP: torch.Tensor, known_BKF: torch.Tensor) -> torch.Tensor:
        """Poses from noise; where `known_BKF` is true they are those of `known`."""
        fixed = known_BKF[..., None].float()
        x = torch.lerp(noise_BKFP, known_BKFP, fixed)
        for now, then in itertools.pairwise(torch.linspace(1.0, 0.0, STEPS + 1)):
            velocity = self(x, now * (~known_BKF).float(), now.expand(len(x)), stage)
            x = torch.lerp(x + (then - now) * velocity, known_BKFP, fixed)
        return settled(x, stage.blocking.looks_BKL)


@dataclass(frozen=True, eq=False)
class Stage:
    """What a poser is told of a clip."""

    blocking: Blocking
    camera_B1D: torch.Tensor
    context: Context


def settled(poses_BKFP: torch.Tensor, looks_BKL: torch.Tensor) -> torch.Tensor:
    """The same with axes of length 1 at right angles; zeros where they are not to be seen."""
    there, striped = looks_BKL[..., :1] > 0, looks_BKL[..., -1:] > 0
    of_kind = looks_BKL[..., 1:][..., GROUPS[1]] > 0
    rounded, ball = (of_kind[..., [KINDS.index(kind) for kind in kinds]].any(-1, keepdim=True) for kinds in (ROUND, ("ball",)))
    z = F.normalize(poses_BKFP[..., :3], dim=-1)
    x = poses_BKFP[..., 3:]
    x = F.normalize(x - (x * z).sum(-1, keepdim=True) * z, dim=-1)
    z, x = z * (there & (striped | ~ball))[:, :, None], x * (there & ~rounded)[:, :, None]
    return torch.cat([z, x], -1)


def load(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Poser:
    """A poser, ready to draw, of a file's tensors and config. KeyError, TypeError or RuntimeError for another file."""
    made = Poser(PoserConfig(**config["poser"]), config["vocabulary"])
    made.load_state_dict({k: v.float() for k, v in tensors.items()})
    return made.eval().requires_grad_(False)
