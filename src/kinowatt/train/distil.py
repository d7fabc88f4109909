"""Few steps without guidance: one pass of the network learns what two passes with guidance say (Meng et al. 2023, arXiv 2210.03142).

A switch among its channels of steering tells the network that the guided velocity is wanted. With no words that is the plain one, so two
passes with the switch on give every other strength of guidance, and negative prompts (docs/decisions/0011).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from kinowatt.models import precision
from kinowatt.models.dit import VideoDiT
from kinowatt.models.painter import Painter
from kinowatt.models.specs import SPARK
from kinowatt.models.steering import steered
from kinowatt.train.latents import Draw
from kinowatt.train.recipes import Recipe
from kinowatt.train.spark import OF_THINGS, Spark, SparkTask, weights_of

GUIDANCE = 2.0  # that one pass learns to imitate
GUIDED_SHARE = 0.75  # of steps; the others keep what was learnt before
LR_SHARE = 0.5  # of the recipe's learning rate: the weights are good already


class DistilTask(SparkTask):
    """spark's weights go on, with their own guided velocity as what the switch should give."""

    name = "distil"

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float, painter: Painter | None) -> None:
        super().__init__(recipe, cache, device, deadline, painter)
        self.lr *= LR_SHARE
        self.teacher = copy.deepcopy(self.model)

    def start(self, folder: Path) -> float | None:
        """Begin with weights, and learn from them."""
        cost = super().start(folder)
        _wire(self.model.dit)
        self.teacher = copy.deepcopy(self.model).to(self.device).eval().requires_grad_(False)
        return cost

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """The guided velocity, at most steps; else the loss of all training."""
        generator = torch.Generator().manual_seed(step)
        if torch.rand(1, generator=generator) >= GUIDED_SHARE:
            return super().loss(step)
        draw = self._captioned(self._draw(generator), generator)
        return self._gap(draw, generator, self.model, 1.0), len(draw.rows_BL)

    def _gap(self, draw: Draw, generator: torch.Generator, network: Spark, switch: float) -> torch.Tensor:
        """Mean squared distance of one pass of a network from the teacher's guided velocity, over latent frames that hold noise; things
        count as in all training."""
        lesson = self._lesson(draw, generator)
        at = lesson.noised(self.recipe, generator)
        rows, off, nothing = lesson.rows_BL, lesson.steering(0.0), lesson.untold().steering(0.0)
        with torch.no_grad():
            both = (off, rows), (nothing, torch.zeros_like(rows))
            worded, without = (steered(self.teacher, how)(at.x_BCFHW, at.shown_BF, r).float() for how, r in both)
        guidance = torch.where(at.level_BF.amax(1) > SPARK.guided_below, 1.0, GUIDANCE)[:, None, None, None, None]
        wanted = (without + guidance * (worded - without))[:, :, : lesson.clean_BCFHW.shape[2]]
        weight = weights_of(draw.blocking, lesson.falls_BCFHW, OF_THINGS, 1.0)
        return at.error(steered(network, lesson.steering(switch))(at.x_BCFHW, at.shown_BF, rows), wanted, weight)

    def examine(self) -> dict[str, float]:
        """Beside the velocity loss: how far one pass is from two, in parts of what guidance adds, on held-out scenes."""
        generator, ours, guidance = torch.Generator().manual_seed(1), 0.0, 0.0
        for _ in range(4):
            draw, again = self.held_out.draw(16, generator), generator.get_state()
            with precision.autocast(self.device):
                ours += float(self._gap(draw, generator, self.model, 1.0))
                generator.set_state(again)
                guidance += float(self._gap(draw, generator, self.teacher, 0.0))
        return super().examine() | {"one_pass_gap": round(ours / max(guidance, 1e-9), 4)}

    def described(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """Beside what is said of all: the guidance that the switch stands for."""
        return super().described(receipt) | {"one_pass": GUIDANCE}


@torch.no_grad()
def _wire(dit: VideoDiT) -> None:
    """Let the switch, the last channel of steering, be felt where it never was: at random, half as strong as all latents together.

    From next to nothing the network learns the guided velocity long before it learns to tell on from off (LOG.md).
    """
    patches = dit.patch_embedding.weight
    column, latents = patches[:, dit.config.in_channels - dit.config.blocking - 1], patches[:, : dit.config.out_channels]
    strength = 0.5 * latents.square().mean().mul(latents.shape[1]).sqrt()
    if column.square().mean().sqrt() < 0.25 * strength:
        column.copy_(torch.randn(column.shape, generator=torch.Generator().manual_seed(0)) * strength)
