"""How spark's observer is trained: on single frames of the world, and on where every thing is in them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.models import observer, weights
from kinowatt.models.blocking import GROUPS, TRACK, Blocking, in_picture
from kinowatt.models.director import plain
from kinowatt.models.observer import Observer, ObserverConfig, looked_at, places
from kinowatt.train.latents import stores
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import halved

VEIL = 0.1  # the most noise in pictures: what a model has made before is not as clean as the world
MIDDLE = 0.3  # how far round a middle counts as near it, in radii of the thing
CLOSE = 0.5  # how near to a middle a pixel has to be to say what stands there


class ObserverTask:
    """Frames to what stands in them."""

    name, ema_decay = "observer", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.observer_lr
        self.model = Observer(ObserverConfig())
        self.module: nn.Module = self.model
        self.held_out, self.store = stores(recipe, cache, deadline, None)
        numbers = plain(self.store.of_things()[1])
        self.model.mean_T.copy_(numbers.mean(0))
        self.model.spread_T.copy_(numbers.std(0).clamp(min=1e-3))

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Of this step's pictures."""
        generator = torch.Generator().manual_seed(step)
        latents, blocking = self.store.pictures(self.recipe.observer_batch, generator)
        veil = VEIL * torch.rand(len(latents), 1, 1, 1, 1, generator=generator)
        latents = torch.lerp(latents.float(), torch.randn(latents.shape, generator=generator), veil)
        return self._loss(latents.to(self.device), blocking.to(self.device)), len(latents)

    def _loss(self, latents_BC1HW: torch.Tensor, blocking: Blocking) -> torch.Tensor:
        maps = self.model(latents_BC1HW)[:, 0].float()
        height, width = maps.shape[2:]
        _, rows = looked_at(latents_BC1HW)
        near, seen = middles(blocking, height, width, rows)
        unseen = (near * ~seen).amax(1)
        near = near * seen
        most, owner = near.max(1)
        here, logit = (near == 1.0).any(1), maps[:, 0]
        # CenterNet's: pixels near a middle, and those of things that are all but hidden, are no great mistake.
        missed = -(1.0 - logit.sigmoid()).square() * F.logsigmoid(logit)
        false = -logit.sigmoid().square() * F.logsigmoid(-logit) * ((1.0 - most) * (1.0 - unseen)).pow(4)
        found = torch.where(here, missed, false).sum() / here.sum().clamp(min=1)
        weight = torch.where(most > CLOSE, most, 0.0)
        weight = weight / weight.sum().clamp(min=1.0)
        each = torch.arange(len(owner), device=owner.device)[:, None, None]
        true = plain(blocking.tracks_BKFT[:, :, 0])[each, owner].permute(0, 3, 1, 2)
        off = self.model.told(maps, rows) - true
        off = torch.cat([off[:, :2] * rows / 2.0, off[:, 2:] / self.model.spread_T[2:, None, None]], 1)
        shape = (F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none", beta=0.3).sum(1) * weight).sum()
        said, looks = maps[:, 1 + TRACK :], blocking.looks_BKL[each, owner][..., 1:].permute(0, 3, 1, 2)
        kind = F.binary_cross_entropy_with_logits(said[:, -1], looks[:, -1], reduction="none")
        for group in GROUPS:  # turbines and panels have no colour: nothing counts
            kind = kind - (said[:, group].log_softmax(1) * looks[:, group]).sum(1)
        return found + shape + (kind * weight).sum()

    def examine(self) -> dict[str, float]:
        """On held-out frames: how many things are found, how many of those found are there, how far off, and how many kinds are right."""
        generator = torch.Generator().manual_seed(0)
        there, found, right, apart, kinds, colors = 0, 0, 0, 0.0, 0, 0
        for _ in range(8):
            latents, blocking = self.held_out.pictures(32, generator)
            seen = in_picture(blocking, latents.shape[4] / latents.shape[3])[:, :, 0]
            for b, (one,) in enumerate(self.model.find(latents.float().to(self.device))):
                true = blocking.tracks_BKFT[b, seen[b], 0].to(self.device)
                looks = blocking.looks_BKL[b, seen[b]].to(self.device)
                there, found = there + len(true), found + len(one.sure_K)
                if not len(true) or not len(one.sure_K):
                    continue
                away = torch.cdist(one.tracks_KT[:, :2], true[:, :2])
                for k, i in enumerate(away.argmin(1).tolist()):
                    if away[k, i] < 0.15 and int(away[:, i].argmin()) == k:
                        right, apart = right + 1, apart + float(away[k, i])
                        of_color, of_kind, _ = GROUPS
                        said, true_looks = one.looks_KL[k], looks[i, 1:]
                        kinds += int(said[of_kind].argmax() == true_looks[of_kind].argmax())
                        colors += int(not true_looks[of_color].any() or said[of_color].argmax() == true_looks[of_color].argmax())
        of = max(right, 1)
        figures = {"found": right / there, "true": right / max(found, 1), "apart": apart / of, "kinds": kinds / of, "colors": colors / of}
        return {name: round(value, 4) for name, value in figures.items()} | {"training_clips": float(self.store.clips)}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write observer.safetensors."""
        config = {"observer": dataclasses.asdict(self.model.config)}
        said = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / observer.FILE, halved(self.model), config | said)


def middles(blocking: Blocking, height: int, width: int, rows: float) -> tuple[torch.Tensor, torch.Tensor]:
    """How near each pixel is to the middle of each thing of single frames (B, K, H, W), of whose rows so many are the frame's, 1 for one
    pixel; and (B, K, 1, 1) whether the thing is to be found."""
    tracks = blocking.tracks_BKFT[:, :, 0, :, None, None]
    x, y = places(height, width, rows).to(tracks)
    away = ((x - tracks[:, :, 0]).square() + (y - tracks[:, :, 1]).square()) * (rows / 2.0) ** 2
    reach = (MIDDLE * (tracks[:, :, 2] * tracks[:, :, 4]).clamp(min=0.0).sqrt() * rows / 2.0).clamp(min=0.6)
    near = torch.exp(-away / (2.0 * reach.square()))
    least = away.flatten(2).amin(2)[..., None, None]
    seen = in_picture(blocking, width / height)[..., None]
    near = near * blocking.looks_BKL[..., :1, None]
    return torch.where((away == least) & seen, 1.0, near.clamp(max=0.99)), seen
