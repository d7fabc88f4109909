"""A clip's backdrop: what its painter paints for the words of each scene, from where its camera stands, and of what stands there.

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
from kinowatt.models.blocking import Blocking
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
    blocking: Blocking | None  # of the clip

    def of(self, begin: int, count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Channels (1, BACKDROP_CHANNELS, count, height, width) of so many latent frames, with what stands there and without; after
        the last all stands still."""
        seen = self.cameras.of(begin, count).rows_BF44[0]
        scene = [sum(start <= begin + k for start in self.begins) - 1 for k in range(count)]
        focus, rows = self.cameras.focus_B.expand(count), self.rows_SL[scene]
        empty = self.painter.paint(seen[:, None], focus, rows, height, width)
        if self.blocking is None:
            return empty.transpose(0, 2), empty.transpose(0, 2)
        # Each frame is a clip to the painter: another may have other words.
        stand = self.blocking.of(begin, count).by_frame()
        return self.painter.peopled(empty, rows, stand).transpose(0, 2), empty.transpose(0, 2)


def backdrop(plan: Plan, path: Sequence[CameraKey], painter: Painter, blocking: Blocking | None, spec: ModelSpec) -> Backdrop:
    """Of a clip that is made from words, of which it is told what stands where."""
    texts = [plan.tokens, *(tokens for _, tokens in plan.scenes)]
    begins = [0, *(at for at, _ in plan.scenes)]
    return Backdrop(painter, land(plan, path, spec), begins, painter.text.ids(texts), blocking)


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
