"""A clip's backdrop: what its painter paints for the words of each scene, from where its camera stands.

There is none of a clip that leans on footage: of the place that it shows nobody knows where its joints lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kinowatt.engine.plan import Plan
from kinowatt.engine.standing import Cameras, cameras, mixed
from kinowatt.models.painter import Painter
from kinowatt.models.spec import ModelSpec
from kinowatt.shot import CameraKey

LAND, LAND_M = 2**21, 10.0  # a number of its own for the lot by which a clip's place is drawn, so many metres about


@dataclass(frozen=True, eq=False)
class Backdrop:
    """Of a clip, or of as many of its latent frames as are asked for."""

    painter: Painter
    cameras: Cameras
    begins: Sequence[int]  # the latent frames at which scenes begin
    rows_SL: torch.Tensor  # token rows of their words

    def of(self, begin: int, count: int, height: int, width: int) -> torch.Tensor:
        """Channels (1, BACKDROP_CHANNELS, count, height, width) of so many latent frames; after the last all stands still."""
        seen = self.cameras.of(begin, count).rows_BF44[0]
        scene = [sum(start <= begin + k for start in self.begins) - 1 for k in range(count)]
        focus = self.cameras.focus_B.expand(count)
        return self.painter.paint(seen[:, None], focus, self.rows_SL[scene], height, width).transpose(0, 2)


def backdrop(plan: Plan, path: Sequence[CameraKey], painter: Painter, spec: ModelSpec) -> Backdrop:
    """Of a clip that is made from words."""
    texts = [plan.tokens, *(tokens for _, tokens in plan.scenes)]
    return Backdrop(painter, land(plan, path, spec), [0, *(at for at, _ in plan.scenes)], painter.text.ids(texts))


def land(plan: Plan, path: Sequence[CameraKey], spec: ModelSpec) -> Cameras:
    """A clip's cameras, standing somewhere on the ground of the world: by lot, where no path says where. So joints of a pavement do not lie
    alike in all clips."""
    seen = cameras(plan, path, spec)
    if path:
        return seen
    lot = np.random.default_rng(mixed(plan.shot.seed, LAND))
    angle, aside = lot.uniform(0.0, 2.0 * math.pi), lot.uniform(-LAND_M, LAND_M, 2)
    turn = torch.tensor([[math.cos(angle), math.sin(angle), 0.0], [-math.sin(angle), math.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    rows = seen.rows_BF44.clone().float()
    rows[..., :3] = rows[..., :3] @ turn
    rows[..., 0, :2] += torch.from_numpy(aside).float()
    return Cameras(rows, seen.focus_B)
