"""How spark's director is trained: flow matching on blockings, from their captions and from frames of their clips."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinowatt import language
from kinowatt.models import director, weights
from kinowatt.models.blocking import TRACK
from kinowatt.models.director import FRAMES, ROW, SLOTS, Director, DirectorConfig, Pictures
from kinowatt.train.data import HELD_OUT
from kinowatt.train.latents import LatentStore, Told, latent_blocks
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import EXAM_BLOCKS, halved, in_time

SHOWN = {"none": 0.5, "start": 0.25, "end": 0.13, "both": 0.07, "key": 0.05}  # how often which frames are given as pictures
PATH_SHARE = 0.2  # of clips whose camera is known
VEIL = 0.1  # the most noise in pictures: what a model has made before is not as clean as the world
SHIFT = 1.5  # of the noise levels
ABSENT = 0.1  # what the numbers of a thing that is not there count


class DirectorTask:
    """Words to blockings, on what the latents' files hold beside the latents."""

    name, ema_decay = "director", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.director_lr
        self.model = Director(DirectorConfig(), language.VOCABULARY)
        self.module: nn.Module = self.model
        held_out, blocks = range(HELD_OUT, HELD_OUT + EXAM_BLOCKS), range(recipe.latent_blocks)

        def store(numbers: range, deadline: float) -> LatentStore:
            made = latent_blocks(cache / "latents", numbers, recipe.buckets, recipe.workers)
            return LatentStore(in_time(made, deadline), self.model.text)

        self.held_out, self.store = store(held_out, math.inf), store(blocks, deadline)
        self.model.fit(*self.store.of_things())

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Velocity loss of this step's batch."""
        generator = torch.Generator().manual_seed(step)
        batch = self.recipe.director_batch
        return self._loss(self.store.told(batch, generator, FRAMES), generator), batch

    def _loss(self, told: Told, generator: torch.Generator) -> torch.Tensor:
        batch = len(told.rows_BL)
        rows = self.model.rows(told.ways_BFT.to(self.device), told.blocking.to(self.device))
        worded = (torch.rand(batch, 1, generator=generator) >= self.recipe.caption_dropout).to(self.device)
        known = torch.zeros(batch, SLOTS, FRAMES + 1, dtype=torch.bool)
        known[torch.rand(batch, generator=generator) < PATH_SHARE, 0] = True
        known = known.to(self.device)
        veil = VEIL * torch.rand(batch, 1, 1, 1, 1, generator=generator)
        veiled = torch.lerp(told.latents_BCFHW.float(), torch.randn(told.latents_BCFHW.shape, generator=generator), veil)
        pictures = Pictures.chosen(veiled.to(self.device), random_given(batch, generator).to(self.device))
        step = torch.rand(batch, generator=generator)
        t = (SHIFT * step / (1.0 + (SHIFT - 1.0) * step)).to(self.device)
        level = t[:, None, None] * (~known).float()
        noise = torch.randn(batch, SLOTS, ROW, generator=generator).to(self.device)
        x = torch.lerp(rows, noise, director.spread(level))
        context = self.model.context(told.rows_BL.to(self.device) * worded, pictures)
        velocity = self.model(x, level, t, told.aspect_B.to(self.device), context)
        weight = self._weight(told, known)
        return (weight * (velocity - (noise - rows)).square()).sum() / weight.sum().clamp(min=1.0)

    def _weight(self, told: Told, known_BSF: torch.Tensor) -> torch.Tensor:
        """What each number of the rows counts: nothing where it is known, and little of things that are not there."""
        there = told.blocking.looks_BKL[..., :1].to(self.device)
        camera = torch.ones_like(there[:, :1])
        counts = torch.cat([camera, ABSENT + (1.0 - ABSENT) * there], 1).expand(-1, -1, ROW).clone()
        looks = FRAMES * TRACK
        counts[:, 0, looks:] = 0.0
        counts[:, 1:, looks] = 1.0  # whether there is one
        return counts * director.spread((~known_BSF).float())

    def examine(self) -> dict[str, float]:
        """Velocity loss on held-out scenes, and how many blockings that are drawn for captions have as many things as was told."""
        generator, losses, right = torch.Generator().manual_seed(0), [], []
        for _ in range(8):
            losses.append(float(self._loss(self.held_out.told(64, generator, FRAMES), generator)))
            told = self.held_out.told(64, generator, FRAMES)
            noise = torch.randn(64, SLOTS, ROW, generator=generator).to(self.device)
            unknown = torch.zeros(64, SLOTS, FRAMES + 1, dtype=torch.bool, device=self.device)
            rows = self.model.draw(told.rows_BL.to(self.device), told.aspect_B.to(self.device), noise, torch.zeros_like(noise), unknown)
            drawn = self.model.read(rows)[1].looks_BKL[..., 0].sum(1).cpu()
            right.append(float((drawn == told.blocking.looks_BKL[..., 0].sum(1)).float().mean()))
        return {"loss": round(sum(losses) / 8, 4), "count": round(sum(right) / 8, 4), "training_clips": float(self.store.clips)}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write director.safetensors."""
        config = {"director": dataclasses.asdict(self.model.config), "vocabulary": list(language.VOCABULARY)}
        held_out = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / director.FILE, halved(self.model), config | held_out)


def random_given(batch: int, generator: torch.Generator) -> torch.Tensor:
    """Which frames (B, FRAMES) are given as pictures: none, some of the first, of the last, of both, or one anywhere."""
    given, at = torch.zeros(batch, FRAMES, dtype=torch.bool), torch.arange(FRAMES)
    modes = torch.multinomial(torch.tensor(list(SHOWN.values())), batch, replacement=True, generator=generator).tolist()
    # Squaring favours few: one image or a short overlap is what people bring.
    many = 1 + (torch.rand(batch, 2, generator=generator).square() * (FRAMES - 1)).long()
    for b, mode in enumerate(list(SHOWN)[m] for m in modes):
        head, tail = many[b].tolist()
        if mode in ("start", "both"):
            given[b] |= at < head
        if mode in ("end", "both"):
            given[b] |= at >= FRAMES - tail
        if mode == "key":
            given[b, int(torch.randint(FRAMES, (1,), generator=generator))] = True
    return given
