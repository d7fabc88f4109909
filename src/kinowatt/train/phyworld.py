"""Training of phyworld: on scenes in distribution alone, measured in rendered pictures, as different cameras film them.

Mechanics does not know how large a picture is or how fast a film runs. A camera that takes a frame every k tenths of a second and makes
the picture k^2 times smaller shows the same gravity, radii r / k^2 and speeds v / k. So films of scenes in distribution do show sizes and
speeds out of it; no scene out of it is ever simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.engine.noise import noise_levels, shifted, up
from kinowatt.models import dit_file
from kinowatt.models import phyworld_model as model
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.phyworld_model import Drawing
from kinowatt.worlds import phyworld
from kinowatt.worlds.phyworld import LAWS

FRAMES = phyworld.FRAMES + 1  # one more than are judged: 4k + 1, as every clip here
SHIFT = 2.0  # of the noise levels
TICKS = (8, 15)  # hundredths of a second from frame to frame: radii from .31 to 2.3
BETA = 0.02  # of the loss: below it squares, above it absolute values, so that the one frame of a collision does not outweigh all others
HELD_OUT = 10**6  # the first seed of scenes that no training sees


@dataclass(frozen=True)
class PhyWorldRecipe:
    """One way of training phyworld."""

    batch: int
    lr: float
    minutes: float  # default wall clock of one run
    clips: tuple[int, int, int]  # of each law, made before the clock starts
    cameras: bool = True  # whether cameras differ
    held_out: int = 60  # scenes of each law, near and far, in an examination
    dit: DiTConfig = model.DIT
    ema_decay: float = 0.998


PHYWORLD_RECIPES = {
    "cpu": PhyWorldRecipe(batch=16, lr=2e-3, minutes=20.0, clips=(100, 8000, 400)),
    "gpu": PhyWorldRecipe(batch=512, lr=2e-3, minutes=8.0, clips=(1000, 30_000, 5000)),
}


class PhyWorldTask:
    """Flow matching on drawings: three given frames, the others free, the loss where a ball is wholly in view."""

    name = "phyworld"

    def __init__(self, recipe: PhyWorldRecipe, device: torch.device) -> None:
        self.recipe, self.device, self.lr, self.ema_decay = recipe, device, recipe.lr, recipe.ema_decay
        self.dit = VideoDiT(recipe.dit)
        self.module: nn.Module = self.dit
        rng, parts, laws, ticks = np.random.default_rng(0), [], [], []
        for index, (law, count) in enumerate(zip(LAWS, recipe.clips, strict=True)):
            for _ in range(count):
                tick = int(rng.integers(*TICKS, endpoint=True)) if recipe.cameras else phyworld.STEPS
                parts.append(film(phyworld.scene(law, rng), tick)[1])
                laws.append(index)
                ticks.append(tick)
        self.films, self.law_B, self.tick_B = model.joined(parts), torch.tensor(laws), torch.tensor(ticks)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Loss of this step's films."""
        generator = torch.Generator().manual_seed(step)
        films, law_B = self._draw(generator)
        # In float32: a step from frame to frame is judged to a thousandth of the box.
        with torch.autocast(self.device.type, enabled=False):
            return self._loss(films.to(self.device), law_B.to(self.device), generator), len(law_B)

    def _draw(self, generator: torch.Generator) -> tuple[Drawing, torch.Tensor]:
        """Random films, each by another camera, and mirrored or not (with the balls exchanged, so that red stays left)."""
        batch = self.recipe.batch
        pick = torch.randint(len(self.law_B), (batch,), generator=generator)
        law_B, mirror_B = self.law_B[pick], torch.rand(batch, generator=generator) < 0.5
        zoom_B = (phyworld.STEPS / self.tick_B[pick]) ** 2
        centres, seen = self.films.centres[pick] * zoom_B[:, None, None, None], self.films.seen[pick]
        radii = self.films.radii[pick] * zoom_B[:, None]
        centres = torch.where(mirror_B[:, None, None, None], centres * torch.tensor([-1.0, 1.0]), centres)
        swap_B = mirror_B & (law_B == LAWS.index("collision"))
        centres = torch.where(swap_B[:, None, None, None], centres.flip(2), centres)
        radii, seen = torch.where(swap_B[:, None], radii.flip(1), radii), torch.where(swap_B[:, None, None], seen.flip(2), seen)
        return Drawing(centres, radii, seen), law_B

    def _loss(self, films: Drawing, law_B: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        cond, clean = model.conditioning(films, law_B, FRAMES), model.clean(films)
        step = shifted(torch.sigmoid(torch.randn(len(clean), 1, generator=generator)), SHIFT).to(clean)
        level = noise_levels(step, cond.ceiling_BF)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        made = model.PhyWorld(self.dit, films, FRAMES).clean(torch.lerp(clean, noise, up(level)), level, cond.text_BLD)
        weight = (films.seen[:, None, :, None] * up(cond.ceiling_BF)).expand_as(clean)
        return (F.smooth_l1_loss(made, clean, reduction="none", beta=BETA) * weight).sum() / weight.sum().clamp_min(1.0)

    def examine(self) -> dict[str, float]:
        """Mean error of the velocities of centres, in units per second, of one step from noise: near and far scenes of each law."""
        figures = {}
        for index, law in enumerate(LAWS):
            for far in (False, True):
                rng = np.random.default_rng(HELD_OUT + index + 10 * far)
                scenes = [phyworld.scene(law, rng, far) for _ in range(self.recipe.held_out)]
                films = [film(s) for s in scenes]
                centres = self._one_step(model.joined([drawing for _, drawing in films]), index)
                errors = [phyworld.error(s, m, c) for s, (m, _), c in zip(scenes, films, centres, strict=True)]
                figures[f"{law}_{'far' if far else 'near'}"] = round(float(np.mean([e for e in errors if e is not None])), 4)
        return figures

    @torch.no_grad()
    def _one_step(self, given: Drawing, law: int) -> np.ndarray:
        given = given.to(self.device)
        cond = model.conditioning(given, torch.full((len(given.radii),), law, device=self.device), FRAMES)
        noise = torch.randn(cond.known_BCFHW.shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        x = torch.lerp(cond.known_BCFHW, noise, up(cond.ceiling_BF))
        made = model.PhyWorld(self.dit, given, FRAMES).clean(x, cond.ceiling_BF, cond.text_BLD)
        return model.drawn(made, given).centres.cpu().numpy()

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write phyworld.safetensors, in float16."""
        tensors = {k: v.half() for k, v in self.dit.state_dict().items()}
        more = {"shift": SHIFT, "cameras": self.recipe.cameras, "held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        dit_file.save(folder / model.FILE, self.dit, tensors, more)


def film(scene: phyworld.Scene, tick: int = phyworld.STEPS) -> tuple[phyworld.Motion, Drawing]:
    """Simulate, render and measure a scene: its truth, and all that a model may learn from."""
    motion = phyworld.simulate(scene, FRAMES, tick)
    return motion, model.measure(phyworld.render(motion.centres_TN2, scene.radii_N))
