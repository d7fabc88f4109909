"""How spark's painter is trained: pixels of the world, from where their rays go, from what stands there and from what captions say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinowatt import language
from kinowatt.models import painter, vae, weights
from kinowatt.models.blocking import covers
from kinowatt.models.painter import Painter, PainterConfig
from kinowatt.train.latents import Draw, stores
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import halved

PIXELS = 256  # of each picture, in a step
NEAR, NEARBY = 0.75, 1.8  # so many of them within so many ellipses of a thing
UNPOSED = 0.15  # of pictures: it is not known how things are turned


class PainterTask:
    """Words, rays and blockings to colours."""

    name, ema_decay = "painter", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.painter_lr
        self.model = Painter(PainterConfig(), language.VOCABULARY)
        self.module: nn.Module = self.model
        self.held_out, self.store = stores(recipe, cache, deadline, self.model.text)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Of this step's pixels."""
        generator = torch.Generator().manual_seed(step)
        draw = self.store.draw(self.recipe.painter_batch, generator, window=1)
        worded = torch.rand(len(draw.rows_BL), 1, generator=generator) >= self.recipe.caption_dropout
        posed = torch.rand(len(draw.rows_BL), generator=generator) >= UNPOSED
        return self._loss(dataclasses.replace(draw, rows_BL=draw.rows_BL * worded), posed, generator, NEAR), len(draw.rows_BL)

    def _loss(self, draw: Draw, posed_B: torch.Tensor, generator: torch.Generator, near: float) -> torch.Tensor:
        """Mean squared error of normalised colours, of so large a share of pixels near things."""
        high, wide = (side * vae.SMALL for side in draw.clean_BCFHW.shape[3:])
        batch, count = len(draw.rows_BL), round(near * PIXELS)
        beside_BN = (covers(draw.blocking.wider(NEARBY), high, wide)[0][:, :, 0].amax(1) > 0.5).flatten(1)
        at = torch.randint(high * wide, (batch, PIXELS - count), generator=generator)
        if count:
            # Anywhere where nothing stands.
            at = torch.cat([at, torch.multinomial(beside_BN + 1e-6, count, replacement=True, generator=generator)], 1)
        told = painter.told(draw.cameras.rows_BF44, draw.cameras.focus_B, high, wide).flatten(2)
        true = vae.unfold(draw.clean_BCFHW)[:, 0].float().flatten(2)
        told, true = (part.gather(2, at[:, None].expand(-1, part.shape[1], -1)).transpose(1, 2).to(self.device) for part in (told, true))
        assert draw.blocking.poses_BKFP is not None  # latents' files hold them
        poses = draw.blocking.poses_BKFP * posed_B[:, None, None, None]
        blocking = dataclasses.replace(draw.blocking, poses_BKFP=poses).to(self.device)
        words = self.model.words(draw.rows_BL.to(self.device))
        seen = self.model.before(self.model(told, words), words, blocking, painter.places(high, wide)[at].to(self.device), high)
        return (seen - true).square().mean()

    def examine(self) -> dict[str, float]:
        """On held-out scenes: the error of all pixels by captions and without; of those near things, with poses and without; and what a
        mean colour of all pictures would have."""
        asked = {
            "loss": (1, True, 0.0), "loss_without_text": (0, True, 0.0), "loss_near_things": (1, True, 1.0),
            "loss_near_things_without_poses": (1, False, 1.0),
        }  # fmt: skip
        figures = {}
        for name, (worded, posed, near) in asked.items():
            generator, losses = torch.Generator().manual_seed(0), []
            for _ in range(8):
                draw = self.held_out.draw(64, generator, window=1)
                shown = dataclasses.replace(draw, rows_BL=draw.rows_BL * worded)
                losses.append(float(self._loss(shown, torch.full((64,), posed), generator, near)))
            figures[name] = round(sum(losses) / 8, 4)
        generator = torch.Generator().manual_seed(0)
        figures["variance"] = round(float(self.held_out.draw(512, generator, window=1).clean_BCFHW.float().var()), 4)
        return figures | {"training_clips": float(self.store.clips)}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write painter.safetensors."""
        config = {"painter": dataclasses.asdict(self.model.config), "vocabulary": list(language.VOCABULARY)}
        said = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / painter.FILE, halved(self.model), config | said)
