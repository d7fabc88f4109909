"""A clip's backdrop: what its painter paints for the words of each scene, from where its camera stands, and of what stands there.

It is shown to the network, and the clip begins as the backdrop under noise (Meng et al. 2022, arXiv 2108.01073) of a level of the model's:
what stands where need not be found in noise, and the steps from pure noise down to there are spared. Of footage: shown.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from kinowatt.engine.conditioning import Known
from kinowatt.engine.plan import Plan
from kinowatt.engine.standing import Cameras, cameras, mixed
from kinowatt.models import vae
from kinowatt.models.blocking import Blocking
from kinowatt.models.falls import CLOCK, numbers
from kinowatt.models.limbs import hooks
from kinowatt.models.painter import Painter
from kinowatt.models.spec import ModelSpec
from kinowatt.models.spots import Views
from kinowatt.shot import CameraKey
from kinowatt.worlds.toybox import light
from kinowatt.worlds.toybox.scene import PACES, SUN_ASIDE_DEG, TIMES

LAND, LAND_M = 2**21, 10.0  # a number of its own for the lot by which a clip's place is drawn, so many metres about
LIGHT, FALLS = 2**22, 2**23  # and for those by which its light is, and its rain
HANGING = "event=pendulum"  # what words say of things on ropes


@dataclass(frozen=True, eq=False)
class Backdrop:
    """Of a clip, or of as many of its latent frames as are asked for."""

    painter: Painter
    cameras: Cameras
    lights_S3: torch.Tensor  # where most of the light comes from in each scene: unit vectors
    begins: Sequence[int]  # the latent frames at which scenes begin
    rows_SL: torch.Tensor  # token rows of their words
    hang_S: torch.Tensor  # whether things hang there
    falls_SN: torch.Tensor  # what falls there (S, FALL), at the clip's beginning
    latent_s: float  # seconds between latent frames
    blocking: Blocking | None  # of the clip, with what they would hang from

    def of(self, begin: int, count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Channels (1, BACKDROP_CHANNELS, count, height, width) of so many latent frames, with what stands there and without; after
        the last all stands still."""
        scene = [sum(start <= begin + k for start in self.begins) - 1 for k in range(count)]
        seen = self.cameras.of(begin, count).rows_BF44[0]
        falls = self.falls_SN[scene]
        falls[:, CLOCK] += self.latent_s * torch.arange(begin, begin + count)
        views = Views(seen[:, None], self.cameras.focus_B.expand(count), self.lights_S3[scene], falls[:, None])
        rows = self.rows_SL[scene]
        dry = self.painter.paint(views, rows, height, width)
        empty = self.painter.rained(dry, views, rows).transpose(0, 2)
        if self.blocking is None:
            return empty, empty
        # Each frame is a clip to the painter: another may have other words.
        stand = self.blocking.of(begin, count).by_frame()
        assert stand.hooks_BKH is not None
        stand = replace(stand, hooks_BKH=stand.hooks_BKH * self.hang_S[scene, None, None])
        full = self.painter.peopled(dry, views, rows, stand)
        return self.painter.rained(full, views, rows).transpose(0, 2), empty


def colours(seen: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Of a backdrop's channels, with what stands there and without, the first as latents (1, C, F, H, W)."""
    return seen[0][:, : vae.COLOURS * vae.SMALL**2]


def under(known: Known, seen: tuple[torch.Tensor, torch.Tensor], begins: float) -> Known:
    """What is known of a clip that begins as its backdrop under noise of a level."""
    inside = known.ceiling_1F.shape[1] - known.outside
    latents, ceiling = known.latents_1CFHW.clone(), known.ceiling_1F.clone()
    latents[:, :, :inside], ceiling[:, :inside] = colours(seen).to(latents), begins
    return Known(latents, ceiling, known.outside)


def backdrop(plan: Plan, path: Sequence[CameraKey], painter: Painter, blocking: Blocking | None, spec: ModelSpec) -> Backdrop:
    """Of a clip that is made from words, of which it is told what stands where."""
    texts = [plan.tokens, *(tokens for _, tokens in plan.scenes)]
    begins = [0, *(at for at, _ in plan.scenes)]
    seen = land(plan, path, spec)
    shines = torch.tensor([light_of(tokens, seen, plan.shot.seed) for tokens in texts])
    hang = torch.tensor([HANGING in tokens for tokens in texts])
    if blocking is not None:
        blocking = replace(blocking, hooks_BKH=hooks(blocking, seen.rows_BF44.float(), seen.focus_B))
    falls = torch.tensor([falls_of(tokens, seen, plan.shot.seed) for tokens in texts])
    latent_s = spec.frame_stride / spec.fps
    return Backdrop(painter, seen, shines, begins, painter.text.ids(texts), hang, falls, latent_s, blocking)


def light_of(tokens: Sequence[str], seen: Cameras, seed: int) -> tuple[float, float, float]:
    """Where most of the light comes from, by lot as scenes of the world have it: at the time that words name, or one by lot."""
    said = dict(token.partition("=")[::2] for token in reversed(tokens))
    lot = np.random.default_rng(mixed(seed, LIGHT))
    time, aside_deg = lot.choice(TIMES), lot.choice((-1, 1)) * lot.uniform(*SUN_ASIDE_DEG)
    x, y = (-seen.rows_BF44[0, 0, 3, :2]).tolist()
    lamp = said.get("kind") not in ("turbine", "panel")
    return light.shines_from(said.get("time", str(time)), math.degrees(math.atan2(y, x)), float(aside_deg), lamp)


def falls_of(tokens: Sequence[str], seen: Cameras, seed: int) -> list[float]:
    """What falls at a clip's beginning (FALL numbers), of the weather that words name, from a time on by lot: as scenes of the world have
    it, it drifts a little to the right, or as far as the wind blows things along."""
    said = dict(token.partition("=")[::2] for token in reversed(tokens))
    lot = np.random.default_rng(mixed(seed, FALLS))
    aside = light.DRIFT
    if said.get("event") == "wind":
        aside = light.WIND * PACES.get(said.get("speed", "normal"), 1.0) * (-1.0 if said.get("heading") == "left" else 1.0)
    x, y = seen.rows_BF44[0, 0, 1, :2].tolist()
    long = math.hypot(x, y) or 1.0
    return numbers(said.get("weather"), float(lot.uniform(0.0, light.CLOCK_S)), (aside * x / long, aside * y / long))


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
