"""How lines pass through what stands in a picture: the ray of a pixel, and the way of light to the ground. What a painter is told of them
(painter.py).

Around each thing there is a box as it is turned, as large as its outline says; within the box the ellipsoid and the tube that just fit.
Where a line enters and leaves these is told of every thing alike; which of it counts for a cube or a cone is the painter's to learn.
Legend: N things, M lines.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kinowatt.models.blocking import COLORS, KINDS
from kinowatt.models.precision import exact
from kinowatt.models.spots import Stands

# Half sides of the box along a thing's own axes, of the largest (worlds/toybox/layout.py). Turbines and panels are of several solids, and
# have none.
HALVES = {
    "ball": (1.0, 1.0, 1.0), "cube": (1.0, 1.0, 1.0), "cylinder": (0.8, 0.8, 1.0), "cone": (0.9, 0.9, 1.0), "torus": (1.0, 1.0, 0.3),
    "capsule": (0.5, 0.5, 1.0), "domino": (0.125, 0.542, 1.0),
}  # fmt: skip
SHARPNESS = (1.0, 4.0, 16.0)  # of the numbers by which it is told how far a line passes inside
PASSES = 3 * len(SHARPNESS)  # numbers of a line, see `Solids.passes`
MEETS = PASSES + 3 + 3 + 3 + 12 + 3 + 3 + 3  # numbers of a line, see `Solids.meets`
STEEPEST = 1e-3  # a line that runs along a side is taken to cross it, this slowly


class Solids:
    """Of the things of a blocking of one frame their boxes: axes (N, 3, 3) in the world, half sides (N, 3) in metres, and whether (N)
    there is one."""

    @exact
    def __init__(self, stands: Stands) -> None:
        kinds = stands.looks[:, 1 + len(COLORS) : 1 + len(COLORS) + len(KINDS)]
        halves = kinds @ kinds.new_tensor([HALVES.get(kind, (0.0, 0.0, 0.0)) for kind in KINDS])
        self.there = halves.any(1)
        halves = torch.where(self.there[:, None], halves, 1.0)
        self.middle, self.light = stands.middle, stands.light
        rows = stands.rows[stands.b]
        self.eye = rows[:, 0, :3]
        self.axes = _axes(stands, F.normalize(self.middle - self.eye, dim=1))
        # What the outline's area would be of a box with these sides, all of a metre, seen from here; the corners' variance is their square.
        focal = rows[:, 0, 3]
        ahead = stands.tracks[:, 5].exp() * stands.focus[stands.b]
        seen = [rows[:, 1 + i, :3] - (stands.tracks[:, i] / focal)[:, None] * rows[:, 3, :3] for i in (0, 1)]
        right, up = (torch.einsum("nij,nj->ni", self.axes, axis) * halves for axis in seen)
        area = ((right * right).sum(1) * (up * up).sum(1) - (right * up).sum(1).square()).clamp(min=1e-4).sqrt()
        told = (stands.tracks[:, 2] * stands.tracks[:, 4]).abs().clamp(min=1e-6)
        self.halves = halves * ((told / area).sqrt() * ahead / focal)[:, None]

    def passes(self, start_M3: torch.Tensor, way_M3: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        """What is told (M, PASSES) of lines from places in the world in directions: how far they pass inside box, ellipsoid and tube of
        thing n each, below 0 outside."""
        start, way = self._own(start_M3, way_M3, n)
        return _passes(start, way) * self.there[n, None]

    def meets(self, way_M3: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        """What is told (M, MEETS) of rays from the eye: the same; where they enter the box, and where they leave it, along its axes, and
        through which side; where they would enter ellipsoid and tube; and how each of these sides faces the light."""
        start, way = self._own(self.eye[n], way_M3, n)
        into, out_of = _slabs(start, way)
        around = _round(start[:, :2], way[:, :2])
        at = into.amax(1), out_of.amin(1), _round(start, way), torch.maximum(around, into[:, 2])
        enters, leaves, rounds, tubes = ((start + t[:, None] * way).clamp(-2.0, 2.0) for t in at)
        side = -way.sign() * F.one_hot(into.argmax(1), 3)
        capped = (into[:, 2] >= around)[:, None]
        about = torch.where(capped, -way.sign() * way.new_tensor([0.0, 0.0, 1.0]), tubes * way.new_tensor([1.0, 1.0, 0.0]))
        light = torch.einsum("nij,nj->ni", self.axes, self.light)[n]
        lit = [(F.normalize(face / self.halves[n], dim=1) * light).sum(1) for face in (side, rounds, about)]
        waves = [wave(2.0 * octave * enters) for octave in (1.0, 2.0) for wave in (torch.sin, torch.cos)]
        told = [_passes(start, way), enters, leaves, side, *waves, rounds, tubes, torch.stack(lit, 1)]
        return torch.cat(told, 1) * self.there[n, None]

    @exact
    def _own(self, start_M3: torch.Tensor, way_M3: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Start and direction along the axes of a box, in its half sides."""
        start, way = (torch.einsum("mij,mj->mi", self.axes[n], v) / self.halves[n] for v in (start_M3 - self.middle[n], way_M3))
        return start, torch.where(way.abs() < STEEPEST, torch.where(way < 0, -STEEPEST, STEEPEST), way)


def _axes(stands: Stands, away_N3: torch.Tensor) -> torch.Tensor:
    """Own axes x, y, z of things in the world. Where it does not matter, or is not known, how one is turned: upright, x to the side."""
    z, x = stands.own
    z = torch.where(z.any(1, keepdim=True), z, z.new_tensor([0.0, 0.0, 1.0]))
    aside = torch.linalg.cross(away_N3, z) + 1e-3 * stands.axes[:, 0]
    x = torch.where(x.any(1, keepdim=True), x, aside)
    z = F.normalize(z, dim=1)
    x = F.normalize(x - (x * z).sum(1, keepdim=True) * z, dim=1)
    return torch.stack([x, torch.linalg.cross(z, x), z], 1)


def _passes(start: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
    """How far inside: of a box by the way through it, of what is round by one less the square of the least distance from its middle."""
    into, out_of = _slabs(start, way)
    inside = (out_of.amin(1) - into.amax(1)) * way.norm(dim=1), _nearest(start, way)[0], _nearest(start[:, :2], way[:, :2])[0]
    return torch.cat([torch.stack([(times * far).tanh() for times in SHARPNESS], 1) for far in inside], 1)


def _slabs(start: torch.Tensor, way: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where lines come between the two planes of each axis, and where they leave them (M, 3), in lengths of their directions."""
    return (-way.sign() - start) / way, (way.sign() - start) / way


def _nearest(start: torch.Tensor, way: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of lines (M) one less the square of their least distance from the middle, where that is, and how long a direction is, squared."""
    a, b = way.square().sum(1), (start * way).sum(1)
    return 1.0 - start.square().sum(1) + b.square() / a, -b / a, a


def _round(start: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
    """Where lines enter what is one away from the middle; those that pass by, where they are nearest."""
    inside, at, a = _nearest(start, way)
    return at - (inside.clamp(min=1e-9) / a).sqrt()
