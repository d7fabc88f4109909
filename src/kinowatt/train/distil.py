"""Few steps without guidance: one pass of the network learns what two passes with guidance say (Meng et al. 2023, arXiv 2210.03142).

The network keeps what it can: a switch among its channels of steering tells it which velocity is wanted, so the same weights serve both,
and negative prompts and other strengths of guidance still work with two passes.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from kinowatt.engine.noise import up
from kinowatt.models import precision
from kinowatt.models.steering import steered, steering
from kinowatt.train.latents import Draw
from kinowatt.train.loss import random_levels
from kinowatt.train.recipes import Recipe
from kinowatt.train.spark import Spark, SparkTask

GUIDANCE = 5.0  # that one pass learns to imitate
GUIDED_SHARE = 0.75  # of steps; the others keep what was learnt before
LR_SHARE = 0.25  # of the recipe's learning rate: the weights are good already


class DistilTask(SparkTask):
    """spark's weights go on, with their own guided velocity as what the switch should give."""

    name = "distil"

    def __init__(self, recipe: Recipe, cache: Path, folder: Path, device: torch.device, deadline: float) -> None:
        super().__init__(recipe, cache, folder, device, deadline)
        self.lr *= LR_SHARE
        self.teacher = copy.deepcopy(self.model)

    def start(self, folder: Path) -> float | None:
        """Begin with weights, and learn from them."""
        cost = super().start(folder)
        self.teacher = copy.deepcopy(self.model).to(self.device).eval().requires_grad_(False)
        return cost

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """The guided velocity, at most steps; else the loss of all training."""
        generator = torch.Generator().manual_seed(step)
        if torch.rand(1, generator=generator) >= GUIDED_SHARE:
            return super().loss(step)
        draw = self.store.draw(self.recipe.spark_batch, generator)
        return self._gap(draw, generator, self.model, 1.0), len(draw.rows_BL)

    def _gap(self, draw: Draw, generator: torch.Generator, network: Spark, switch: float) -> torch.Tensor:
        """Mean squared distance of one pass of a network from the teacher's guided velocity, over latent frames that hold noise."""
        clean = draw.clean_BCFHW.to(self.device).float()
        batch, _, frames = clean.shape[:3]
        level = random_levels(batch, frames, self.recipe.shift, generator).to(self.device)
        noise = torch.randn(clean.shape, generator=generator).to(self.device)
        x, rows = torch.lerp(clean, noise, up(level)), draw.rows_BL.to(self.device)
        off, on = (steering(torch.zeros_like(draw.rays_BCFHW), torch.full((batch,), v)).to(self.device) for v in (0.0, switch))
        with torch.no_grad():
            both = steered(self.teacher, torch.cat([off, off]))(torch.cat([x, x]), torch.cat([level, level]), torch.cat([rows, rows * 0]))
            worded, without = both.float().chunk(2)
        wanted = without + GUIDANCE * (worded - without)
        error = (steered(network, on)(x, level, rows).float() - wanted).square().mean(dim=(1, 3, 4))
        noisy = (level > 0).float()
        return (error * noisy).sum() / noisy.sum().clamp(min=1)

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
