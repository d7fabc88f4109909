"""How spark's painter is trained: pixels of the world where nothing stands, from where their rays go and from what captions say."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinowatt import language
from kinowatt.models import painter, vae, weights
from kinowatt.models.blocking import Blocking, covers
from kinowatt.models.painter import Painter, PainterConfig
from kinowatt.train.data import HELD_OUT
from kinowatt.train.latents import Draw, LatentStore, latent_blocks
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import EXAM_BLOCKS, halved, in_time

PIXELS = 512  # of each picture, in a step
WIDER = 1.4  # than its ellipse is what a thing hides, with the edge of its shadow


class PainterTask:
    """Words and rays to colours."""

    name, ema_decay = "painter", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.painter_lr
        self.model = Painter(PainterConfig(), language.VOCABULARY)
        self.module: nn.Module = self.model
        held_out, blocks = range(HELD_OUT, HELD_OUT + EXAM_BLOCKS), range(recipe.latent_blocks)

        def store(numbers: range, deadline: float) -> LatentStore:
            made = latent_blocks(cache / "latents", numbers, recipe.buckets, recipe.workers)
            return LatentStore(in_time(made, deadline), self.model.text)

        self.held_out, self.store = store(held_out, math.inf), store(blocks, deadline)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Of this step's pixels."""
        generator = torch.Generator().manual_seed(step)
        draw = self.store.draw(self.recipe.painter_batch, generator, window=1)
        worded = torch.rand(len(draw.rows_BL), 1, generator=generator) >= self.recipe.caption_dropout
        return self._loss(dataclasses.replace(draw, rows_BL=draw.rows_BL * worded), generator), len(draw.rows_BL)

    def _loss(self, draw: Draw, generator: torch.Generator) -> torch.Tensor:
        """Mean squared error where nothing stands, of normalised colours."""
        high, wide = (side * vae.SMALL for side in draw.clean_BCFHW.shape[3:])
        at = torch.randint(high * wide, (len(draw.rows_BL), PIXELS), generator=generator)[:, None]
        told = painter.told(draw.cameras.rows_BF44, draw.cameras.focus_B, high, wide).flatten(2)
        true = vae.unfold(draw.clean_BCFHW)[:, 0].float().flatten(2)
        wider = Blocking(draw.blocking.tracks_BKFT * torch.tensor([1.0, 1.0, WIDER, WIDER, WIDER, 1.0]), draw.blocking.looks_BKL)
        free = (covers(wider, high, wide)[0][:, :, 0].amax(1) < 0.5).flatten(1)
        told, true = (part.gather(2, at.expand(-1, part.shape[1], -1)).transpose(1, 2).to(self.device) for part in (told, true))
        free = free.gather(1, at[:, 0]).to(self.device)
        off = (self.model(told, draw.rows_BL.to(self.device)) - true).square().mean(-1)
        return (off * free).sum() / free.sum().clamp(min=1)

    def examine(self) -> dict[str, float]:
        """On held-out scenes: the error by captions and without, and what a mean colour of all pictures would have."""
        generator, worded, wordless, mean = torch.Generator().manual_seed(0), 0.0, 0.0, 0.0
        for _ in range(8):
            draw, before = self.held_out.draw(64, generator, window=1), generator.get_state()
            worded += float(self._loss(draw, generator)) / 8
            generator.set_state(before)
            wordless += float(self._loss(dataclasses.replace(draw, rows_BL=torch.zeros_like(draw.rows_BL)), generator)) / 8
            mean += float(draw.clean_BCFHW.float().var()) / 8
        figures = {"loss": worded, "loss_without_text": wordless, "variance": mean}
        return {name: round(value, 4) for name, value in figures.items()} | {"training_clips": float(self.store.clips)}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write painter.safetensors."""
        config = {"painter": dataclasses.asdict(self.model.config), "vocabulary": list(language.VOCABULARY)}
        said = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / painter.FILE, halved(self.model), config | said)
