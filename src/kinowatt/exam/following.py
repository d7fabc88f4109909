"""From what the Eye says of single looks to the things of a clip: peaks of the map of middles, followed by where and what they are.

Legend: T looks, h w pixels of a Sight; places are shares of the frame's side.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from kinowatt.exam.eye import Sight
from kinowatt.worlds.toybox.seen import SEEN_SHARE

PEAK = 0.3  # a middle has to be so likely
TWICE = 0.4  # times the root of a thing's area: two middles of one colour that are nearer are one
FAR = 0.6  # sides that a thing may go from one look to the next
UNLIKE = 0.9  # by how much looks may differ, from 0 to 1, for a thing to be the same


@dataclass(eq=False)
class Thing:
    """One thing through a clip: likelihoods of its kinds and colours, summed over the looks in which it is found, and of those in which
    enough of it is seen its area and height, as shares."""

    kinds: np.ndarray
    colours: np.ndarray
    place: np.ndarray
    last: int
    areas: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)

    @property
    def kind(self) -> int:
        """The likeliest."""
        return int(self.kinds.argmax())

    @property
    def colour(self) -> int:
        """The likeliest; 0: none of its own."""
        return int(self.colours.argmax())


@dataclass(frozen=True, eq=False)
class Peak:
    """What stands at one middle of one look."""

    place: np.ndarray
    kinds: np.ndarray
    colours: np.ndarray
    area: float
    height: float


@torch.inference_mode()
def peaks(sight: Sight) -> list[list[Peak]]:
    """Of each look, the likeliest first."""
    likely = sight.centres.sigmoid()
    most = torch.where(functional.max_pool2d(likely, 3, 1, 1) == likely, likely, 0.0)[:, 0]
    kinds, colours = sight.kinds.softmax(1), sight.colours.softmax(1)
    side = torch.tensor(most.shape[1:])
    found: list[list[Peak]] = []
    for t, look in enumerate(most):
        at = (look > PEAK).nonzero()
        at = at[look[at[:, 0], at[:, 1]].argsort(descending=True)]
        kept: list[Peak] = []
        for y, x in at.tolist():
            area, height = sight.sizes[t, :, y, x].exp().tolist()
            place = ((torch.tensor([y, x]) + 0.5) / side).numpy()
            peak = Peak(place, kinds[t, :, y, x].numpy(), colours[t, :, y, x].numpy(), area, height)
            same = [p for p in kept if p.colours.argmax() == peak.colours.argmax()]
            if all(np.hypot(*(p.place - place)) > TWICE * max(p.area, area) ** 0.5 for p in same):
                kept.append(peak)
        found.append(kept)
    return found


def followed(sight: Sight) -> list[Thing]:
    """All things of a clip: each peak is the thing before it that is nearest and most alike, or a new one."""
    things: list[Thing] = []
    for t, here in enumerate(peaks(sight)):
        cost = np.array([[_cost(thing, peak, t) for peak in here] for thing in things]).reshape(len(things), len(here))
        new = set(range(len(here)))
        while cost.size and np.isfinite(cost.min()):
            k, i = (int(n) for n in np.unravel_index(cost.argmin(), cost.shape))
            cost[k], cost[:, i] = np.inf, np.inf
            new.remove(i)
            _add(things[k], here[i], t)
        for i in sorted(new):
            things.append(Thing(np.zeros_like(here[i].kinds), np.zeros_like(here[i].colours), here[i].place, t))
            _add(things[-1], here[i], t)
    return things


def _cost(thing: Thing, peak: Peak, t: int) -> float:
    """Of taking a peak for a thing; infinite where it cannot be."""
    colours, kinds = (a / a.sum() for a in (thing.colours, thing.kinds))
    unlike = float(np.abs(colours - peak.colours).sum() + 0.5 * np.abs(kinds - peak.kinds).sum()) / 3.0
    away = float(np.hypot(*(thing.place - peak.place))) / (FAR * (t - thing.last))
    return away + 2.0 * unlike if away < 1.0 and unlike < UNLIKE else np.inf


def _add(thing: Thing, peak: Peak, t: int) -> None:
    thing.kinds += peak.kinds
    thing.colours += peak.colours
    thing.place, thing.last = peak.place, t
    if peak.area >= SEEN_SHARE:
        thing.areas.append(peak.area)
        thing.heights.append(peak.height)
