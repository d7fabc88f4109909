"""Thin parts of what stands in a picture, as lines through the world: a turbine's tower and blades, the rope that something swings on, and
the beam above it. What a painter is told of them (painter.py).

An ellipse says little of a blade and nothing of a rope; where they are follows from things' tracks and poses. Legend: B batch, K things,
F latent frames, P pixels, N limbs of all clips, M pixels of theirs.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from kinowatt.models.blocking import Blocking
from kinowatt.models.precision import exact
from kinowatt.models.spots import TURBINE, Stands, middles

KINDS = ("tower", "blade", "rope", "beam")
PER_THING = 4  # limbs: a tower and three blades, or a rope and its beam
# Metres, of worlds/toybox/physics.py and layout.py. Of a turbine from the middle of its track: how far up and before it the hub is, and how
# far behind it the tower.
TOWER_M, BLADE_M, HUB_UP_M, HUB_BEFORE_M, TOWER_BEHIND_M = 5.2, (0.1, 2.7), 0.433, 0.132, 0.288
ROPE_M, HOOK_M, BEAM_M = 1.5, 2.15, 0.75  # the beam's reach on either side of a hook
TALL_M = 1.73  # of a turbine: how far its solids' corners lie above and below their middle, root mean square
THICK_M = {"tower": 0.13, "blade": 0.17, "rope": 0.02, "beam": 0.05}  # half of what is seen of it
THIN_M = 0.05  # half of a blade, from the side
HOOK = 5  # numbers of a hook: where it is in the world, and which way below it the thing swings; zeros where nothing hangs
SIDEWAYS_M = 0.1  # things swing across the view, where no more than this tells otherwise
REACH = 2.5  # pixels beside a limb, as far as which it is painted
NEAREST = 0.05  # distances to the focus: of what is nearer nothing is painted
LIMB = 1 + len(KINDS) + 7  # numbers of a limb beside the words, see `Limbs.told`
SPAN = 12  # numbers of a pixel beside a limb, see `Limbs.spans`


@exact
def hooks(blocking: Blocking, rows_BF44: torch.Tensor, focus_B: torch.Tensor) -> torch.Tensor:
    """From what each thing of a blocking would hang (B, K, HOOK), if it swings: all of its frames count, with their cameras (B, F, 4, 4).

    On a rope of known length below a beam of known height, a height of the thing leaves a circle about the hook; along the way on which
    it swings, the hook is where these agree best (least squares).
    """
    at_BKF3 = middles(blocking.tracks_BKFT, rows_BF44[:, None].float(), focus_B[:, None, None])
    level = at_BKF3[..., :2] - at_BKF3[..., :2].mean(2, keepdim=True)
    aside = SIDEWAYS_M * F.normalize(rows_BF44[:, None, 0, 1, :2].float(), dim=-1)
    spread = torch.einsum("bkfi,bkfj->bkij", level, level) / level.shape[2] + aside[..., :, None] * aside[..., None, :]
    turn = 0.5 * torch.atan2(2.0 * spread[..., 0, 1], spread[..., 0, 0] - spread[..., 1, 1])
    way = torch.stack([turn.cos(), turn.sin()], -1)
    along = (level * way[:, :, None]).sum(-1)
    out = (ROPE_M**2 - (HOOK_M - at_BKF3[..., 2]).square()).clamp(min=0.0)
    shift = (along * (along.square() - out)).sum(2) / (2.0 * along.square().sum(2) + 1e-2)
    hook = at_BKF3[..., :2].mean(2) + shift.clamp(-ROPE_M, ROPE_M)[..., None] * way
    there = blocking.looks_BKL[..., :1]
    return torch.cat([hook, torch.full_like(hook[..., :1], HOOK_M), way], -1) * there


class Limbs:
    """Those of the things of a blocking of one frame: whose they are, b and slot, from where to where (N, 2, 3) in the world, how thick
    they are (N), metres, and of which kind (N). Fallen: their shadows on level ground."""

    @exact
    def __init__(self, blocking: Blocking, stands: Stands, *, fallen: bool = False) -> None:
        found = [*_turbine(stands), *_hanging(blocking, stands)]
        self.whose = torch.cat([whose for whose, *_ in found])
        self.b, self.slot = stands.b[self.whose], torch.cat([stands.k[whose] * PER_THING + j for whose, j, *_ in found])
        self.ends = torch.cat([torch.stack([start, end], 1) for *_, start, end, _, _ in found])
        self.thick = torch.cat([thick for *_, thick, _ in found])
        self.kind = torch.cat([torch.full_like(whose, kind) for whose, *_, kind in found])
        light = stands.light[self.whose]
        if fallen:
            self.ends = self.ends - (self.ends[..., 2:] / light[:, None, 2:].clamp(min=0.1)) * light[:, None]
        self.fallen = self.thick.new_full((len(self.b), 1), float(fallen))
        rows = stands.rows[self.b]
        self.focal, self.focus = rows[:, 0, 3], stands.focus[self.b]
        seen = torch.einsum("nei,nai->nea", self.ends - rows[:, None, 0, :3], rows[:, 1:, :3])
        seen, self.there = _before(seen, NEAREST * self.focus)
        self.ahead = seen[..., 2]
        self.picture = seen[..., :2] * (self.focal[:, None] / self.ahead)[..., None]  # half frame heights
        line = F.normalize(self.ends[:, 1] - self.ends[:, 0], dim=1)
        axes = stands.axes[self.whose]
        across = F.normalize(torch.linalg.cross(line, axes[:, 2]), dim=1)
        shines = torch.stack([(light * part).sum(1) for part in (line, across, torch.linalg.cross(across, line))], 1)
        self._lit = torch.cat([shines, light[:, 2:]], 1)
        self._slant = (line * axes[:, 2]).sum(1)

    def order(self, order_BK: torch.Tensor) -> torch.Tensor:
        """Slots (B, K * PER_THING) in the order of their things."""
        return (order_BK[..., None] * PER_THING + torch.arange(PER_THING, device=order_BK.device)).flatten(1)

    def told(self, height: int) -> torch.Tensor:
        """What is told of each limb (N, LIMB): whether it is a shadow, and of which kind; from where the light comes, along it, across and
        towards the camera, and how high; how it slants; how thick it is, in pixels, and how far away."""
        far = self.ahead.mean(1)
        thick = (self.thick * self.focal / far * height / 2.0).clamp(min=1e-3).log()
        numbers = torch.stack([self._slant, thick, (far / self.focus).log()], 1)
        return torch.cat([self.fallen, F.one_hot(self.kind, len(KINDS)).to(numbers), self._lit, numbers], 1)

    def beside(self, pixels_BP2: torch.Tensor, height: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each limb and pixel: over 0 (N, P) where it may be seen, and what `spans` makes numbers of (N, P, 5), lengths in pixels:
        across it, from it, half as thick, from its start on, to its end."""
        half = height / 2.0
        start, end = (self.picture[:, None, i] * half for i in (0, 1))
        long = (end - start).norm(dim=-1).clamp(min=1e-3)
        line = (end - start) / long[..., None]
        away = pixels_BP2[self.b] * half - start
        along = (away * line).sum(-1)
        across = away[..., 0] * line[..., 1] - away[..., 1] * line[..., 0]
        over = along - along.clamp(min=torch.zeros_like(long), max=long)
        off = (across.square() + over.square() + 1e-9).sqrt()
        # Where on the line in the picture is not where in the world; thickness goes with 1 / distance, which is linear in the picture.
        near = torch.lerp(1.0 / self.ahead[:, :1], 1.0 / self.ahead[:, 1:], (along / long).clamp(0.0, 1.0))
        thick = (self.thick * self.focal)[:, None] * near * half
        reach = torch.where(self.there[:, None], 1.0 - (off - thick) / REACH, -1.0)
        return reach, torch.stack([across, off, thick, along, long - along], -1)

    def spans(self, beside_M5: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is told of pixels (M, SPAN), and how much (M) of each a limb of sharp sides would cover."""
        across, off, thick, begun, left = beside_M5.unbind(-1)
        unit = thick + 1.0
        covers = ((off + 0.5).minimum(thick) - (off - 0.5).maximum(-thick)).clamp(min=0.0)
        lies = torch.stack([across / unit, begun / unit, left / unit], 1)
        more = [covers, covers.square(), (off - thick).tanh(), off / unit, thick.clamp(min=1e-3).log()]
        ends = [(begun / 2.0).tanh(), (left / 2.0).tanh(), begun / (begun.abs() + left.abs() + 1e-3), (across / unit).abs()]
        return torch.cat([lies, torch.stack(more + ends, 1)], 1).clamp(-6.0, 6.0), covers


def _before(ends_N23: torch.Tensor, nearest_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lines (N, 2, 3) cut off where the third number is less than `nearest`, and whether (N) anything is left."""
    ahead = ends_N23[..., 2]
    long = ahead[:, 1] - ahead[:, 0]
    cut = (nearest_N - ahead[:, 0]) / torch.where(long.abs() < 1e-6, 1e-6, long)
    at = torch.lerp(ends_N23[:, 0], ends_N23[:, 1], cut.clamp(0.0, 1.0)[:, None])
    kept = torch.where((ahead < nearest_N[:, None])[..., None], at[:, None], ends_N23)
    kept = torch.cat([kept[..., :2], kept[..., 2:].maximum(nearest_N[:, None, None])], -1)
    return kept, (ahead >= nearest_N[:, None]).any(1)


_Found = tuple[torch.Tensor, int, torch.Tensor, torch.Tensor, torch.Tensor, int]  # whose, which, start, end, thickness, kind


def _turbine(stands: Stands) -> list[_Found]:
    whose = (stands.looks[:, TURBINE] > 0).nonzero()[:, 0]
    middle, z, x = stands.middle[whose], *(axis[whose] for axis in stands.own)
    axle = torch.linalg.cross(z, x)
    up = middle.new_tensor([0.0, 0.0, 1.0])
    # Told cameras are not always as far away as the world's: it is as large as its ellipse says, seen from that high.
    away = F.normalize(middle - stands.rows[stands.b[whose], 0, :3], dim=1)
    tall = TALL_M * (1.0 - away[:, 2].square()).clamp(min=0.1).sqrt()
    times = (stands.tall[whose] / tall)[:, None]
    hub = middle + times * (HUB_UP_M * up - HUB_BEFORE_M * axle)
    top = middle + times * (HUB_UP_M * up + TOWER_BEHIND_M * axle)
    tower = THICK_M["tower"] * times[:, 0]
    found: list[_Found] = [(whose, 0, top, top - times * TOWER_M * up, tower, 0)]
    turned = z.any(1)  # where nobody knows how it is turned, there are no blades
    facing = (axle * stands.axes[whose, 2]).sum(1).abs()
    wide = (THICK_M["blade"] * facing + THIN_M * (1.0 - facing.square()).clamp(min=0.0).sqrt()) * times[:, 0]
    for j in range(3):
        angle = 2.0 * math.pi * j / 3.0
        out = math.cos(angle) * z + math.sin(angle) * x
        found.append((whose[turned], 1 + j, *((hub + times * reach * out)[turned] for reach in BLADE_M), wide[turned], 1))
    return found


def _hanging(blocking: Blocking, stands: Stands) -> list[_Found]:
    if blocking.hooks_BKH is None:
        return []
    hooks_NH = blocking.hooks_BKH[stands.b, stands.k]
    whose = (hooks_NH[:, 2] > 0).nonzero()[:, 0]
    hook, way = hooks_NH[whose, :3], F.pad(hooks_NH[whose, 3:], (0, 1))
    middle = stands.middle[whose]
    start = middle + stands.size[whose, None] * F.normalize(hook - middle, dim=1)
    thick = [middle.new_full((len(whose),), THICK_M[kind]) for kind in ("rope", "beam")]
    return [(whose, 0, start, hook, thick[0], 2), (whose, 1, hook - BEAM_M * way, hook + BEAM_M * way, thick[1], 3)]
