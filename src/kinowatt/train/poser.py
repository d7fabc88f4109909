"""How spark's poser is trained: flow matching on the poses of things, from their tracks and their captions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kinowatt import language
from kinowatt.models import poser, weights
from kinowatt.models.blocking import MOST, POSE, TRACK, Blocking
from kinowatt.models.director import FRAMES
from kinowatt.models.poser import Poser, PoserConfig, Stage
from kinowatt.train.director import random_given
from kinowatt.train.latents import Told, stores
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import halved

OFF = 0.03  # how far off a track may be, in half frame heights and parts of a size: directors err
SHIFT = 1.5  # of the noise levels
GIVEN = 3  # frames whose poses are known where the poser is examined


class PoserTask:
    """Tracks to poses, on what the latents' files hold beside the latents."""

    name, ema_decay = "poser", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.director_lr
        self.model = Poser(PoserConfig(), language.VOCABULARY)
        self.module: nn.Module = self.model
        self.held_out, self.store = stores(recipe, cache, deadline, self.model.text)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Velocity loss of this step's batch."""
        generator = torch.Generator().manual_seed(step)
        batch = self.recipe.director_batch
        with sdpa_kernel(SDPBackend.MATH):  # faster, as in the director's training
            return self._loss(self.store.told(batch, generator, FRAMES), generator), batch

    def _loss(self, told: Told, generator: torch.Generator) -> torch.Tensor:
        batch = len(told.rows_BL)
        known = random_given(batch, generator)[:, None].expand(-1, MOST, -1).to(self.device)
        worded = (torch.rand(batch, 1, generator=generator) >= self.recipe.caption_dropout).to(self.device)
        tracks = told.blocking.tracks_BKFT
        size = tracks[..., 2:5].abs().amax(-1, keepdim=True)
        of = torch.cat([torch.ones_like(tracks[..., :2]), size.expand(-1, -1, -1, 3), torch.zeros_like(size)], -1)
        off = OFF * torch.rand(batch, 1, 1, 1, generator=generator) * torch.randn(batch, MOST, FRAMES, TRACK, generator=generator)
        stage = self._stage(told, tracks + of * off, worded)
        step = torch.rand(batch, generator=generator)
        t = (SHIFT * step / (1.0 + (SHIFT - 1.0) * step)).to(self.device)
        noise = torch.randn(batch, MOST, FRAMES, POSE, generator=generator).to(self.device)
        poses = _poses(told.blocking).to(self.device)
        level = t[:, None, None] * (~known).float()
        velocity = self.model(torch.lerp(poses, noise, level[..., None]), level, t, stage)
        there = stage.blocking.looks_BKL[..., :1] > 0
        weight = (~known & there)[..., None].float()
        return (weight * (velocity - (noise - poses)).square()).sum() / (POSE * weight.sum().clamp(min=1.0))

    def _stage(self, told: Told, tracks_BKFT: torch.Tensor, worded_B1: torch.Tensor) -> Stage:
        blocking = Blocking(tracks_BKFT, told.blocking.looks_BKL).to(self.device)
        return self.model.stage(told.rows_BL.to(self.device) * worded_B1, told.ways_BFT.to(self.device), blocking)

    def examine(self) -> dict[str, float]:
        """On held-out scenes: velocity loss; and, where the poses of the first frames are known, how far off axes are afterwards, and how
        far if nothing turned (mean distance of their ends)."""
        generator, losses = torch.Generator().manual_seed(0), list[float]()
        off, still = list[torch.Tensor](), list[torch.Tensor]()
        for _ in range(8):
            losses.append(float(self._loss(self.held_out.told(64, generator, FRAMES), generator)))
            told = self.held_out.told(64, generator, FRAMES)
            true = _poses(told.blocking).to(self.device)
            known = (torch.arange(FRAMES) < GIVEN).expand(64, MOST, -1).to(self.device)
            stage = self._stage(told, told.blocking.tracks_BKFT, torch.ones(64, 1, dtype=torch.bool, device=self.device))
            noise = torch.randn(true.shape, generator=generator).to(self.device)
            drawn = self.model.draw(stage, noise, true, known)[:, :, GIVEN:]
            for errors, guess in ((off, drawn), (still, true[:, :, GIVEN - 1 : GIVEN])):
                apart = (guess - true[:, :, GIVEN:]).unflatten(-1, (2, 3)).norm(dim=-1)
                errors.append(apart[true[:, :, GIVEN:].unflatten(-1, (2, 3)).any(-1)])
        figures = {"loss": sum(losses) / 8, "off": float(torch.cat(off).mean()), "still": float(torch.cat(still).mean())}
        return {name: round(value, 4) for name, value in figures.items()} | {"training_clips": float(self.store.clips)}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write poser.safetensors."""
        config = {"poser": dataclasses.asdict(self.model.config), "vocabulary": list(language.VOCABULARY)}
        held_out = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / poser.FILE, halved(self.model), config | held_out)


def _poses(blocking: Blocking) -> torch.Tensor:
    assert blocking.poses_BKFP is not None  # latents' files hold them
    return blocking.poses_BKFP
