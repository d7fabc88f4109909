"""How spark's director is trained: flow matching on blockings, from their captions and from frames of their clips."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kinowatt import language
from kinowatt.models import director, weights
from kinowatt.models.blocking import MOST, TRACK, Blocking, in_picture
from kinowatt.models.director import FRAMES, ROW, SLOTS, Director, DirectorConfig
from kinowatt.train.latents import Told, stores
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import halved

SHOWN = {"none": 0.4, "start": 0.32, "end": 0.15, "both": 0.08, "key": 0.05}  # how often of which frames it is known what is seen in them
PATH_SHARE = 0.8  # of clips whose camera is known
LOOKS_SHARE = 0.9  # of things seen of which it is known what they are
OFF = (0.03, 0.03, 0.1, 0.1, 0.1, 0.1)  # how far off a track of what is seen may be, as director.plain has them: the observer errs
SHIFT = 1.5  # of the noise levels
GIVEN = 2  # frames that are known where the director is examined
ABSENT = 0.1  # what the numbers of a thing that is not there count


class DirectorTask:
    """Words to blockings, on what the latents' files hold beside the latents."""

    name, ema_decay = "director", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.director_lr
        self.model = Director(DirectorConfig(), language.VOCABULARY)
        self.module: nn.Module = self.model
        self.held_out, self.store = stores(recipe, cache, deadline, self.model.text)
        self.model.fit(*self.store.of_things())

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Velocity loss of this step's batch."""
        generator = torch.Generator().manual_seed(step)
        batch = self.recipe.director_batch
        # With ten tokens plain products are faster than the fused ones: .45 s a step, not .71 (LOG.md).
        with sdpa_kernel(SDPBackend.MATH):
            return self._loss(self.store.told(batch, generator, FRAMES), generator), batch

    def _loss(self, told: Told, generator: torch.Generator) -> torch.Tensor:
        batch = len(told.rows_BL)
        told, known = seen_first(told, random_given(batch, generator), generator)
        known[torch.rand(batch, generator=generator) < PATH_SHARE, 0] = True
        rows = self.model.rows(told.ways_BFT.to(self.device), told.blocking.to(self.device))
        share = torch.tensor(OFF) * torch.rand(batch, 1, 1, 1, generator=generator)
        off = share * torch.randn(batch, MOST, FRAMES, TRACK, generator=generator)
        observed = rows.clone()
        observed[:, 1:, : FRAMES * TRACK] += (off.to(self.device) / self.model.spread_2T[1]).flatten(2)
        worded = (torch.rand(batch, 1, generator=generator) >= self.recipe.caption_dropout).to(self.device)
        known = known.to(self.device)
        step = torch.rand(batch, generator=generator)
        t = (SHIFT * step / (1.0 + (SHIFT - 1.0) * step)).to(self.device)
        level = t[:, None, None] * (~known).float()
        noise = torch.randn(batch, SLOTS, ROW, generator=generator).to(self.device)
        x = torch.where(director.spread(known.float()) > 0, observed, torch.lerp(rows, noise, t[:, None, None]))
        context = self.model.context(told.rows_BL.to(self.device) * worded)
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
        """On held-out scenes: velocity loss; how many blockings that are drawn for captions have as many things as was told; and, where
        two frames and the camera are known, how far off things are afterwards, and how far if they went on as they did (half heights)."""
        generator, losses, right = torch.Generator().manual_seed(0), list[float](), list[float]()
        off, straight = list[torch.Tensor](), list[torch.Tensor]()
        start = (torch.arange(FRAMES) < GIVEN).expand(64, -1)
        for _ in range(8):
            losses.append(float(self._loss(self.held_out.told(64, generator, FRAMES), generator)))
            told = self.held_out.told(64, generator, FRAMES)
            unknown = torch.zeros(64, SLOTS, FRAMES + 1, dtype=torch.bool)
            drawn = self._drawn(told, unknown, generator).looks_BKL[..., 0].sum(1)
            right.append(float((drawn == told.blocking.looks_BKL[..., 0].sum(1)).float().mean()))
            told, known = seen_first(told, start, generator)
            known[:, 0] = True
            true, drawn = told.blocking.tracks_BKFT, self._drawn(told, known, generator).tracks_BKFT
            use = known[:, 1:, GIVEN - 1, None] & (true[:, :, GIVEN:, :2].abs() < 1.0).all(-1)
            last, way = true[:, :, GIVEN - 1, None], (true[:, :, GIVEN - 1] - true[:, :, GIVEN - 2])[:, :, None]
            on = last + way * torch.arange(1, FRAMES - GIVEN + 1)[:, None]
            for errors, guess in ((off, drawn[:, :, GIVEN:]), (straight, on)):
                errors.append((guess - true[:, :, GIVEN:])[..., :2].norm(dim=-1)[use])
        figures = {"loss": sum(losses) / 8, "count": sum(right) / 8, "off": float(torch.cat(off).mean())}
        figures["straight"] = float(torch.cat(straight).mean())
        return {name: round(value, 4) for name, value in figures.items()} | {"training_clips": float(self.store.clips)}

    def _drawn(self, told: Told, known: torch.Tensor, generator: torch.Generator) -> Blocking:
        """A blocking of what is told, where so much is known of it (B, SLOTS, FRAMES + 1); on the CPU."""
        rows = self.model.rows(told.ways_BFT.to(self.device), told.blocking.to(self.device))
        noise = torch.randn(rows.shape, generator=generator).to(self.device)
        drawn = self.model.draw(told.rows_BL.to(self.device), told.aspect_B.to(self.device), noise, rows, known.to(self.device))
        return self.model.read(drawn)[1].to(torch.device("cpu"))

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write director.safetensors."""
        config = {"director": dataclasses.asdict(self.model.config), "vocabulary": list(language.VOCABULARY)}
        held_out = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / director.FILE, halved(self.model), config | held_out)


def seen_first(told: Told, given_BF: torch.Tensor, generator: torch.Generator) -> tuple[Told, torch.Tensor]:
    """The things that are seen in given frames in any order before all others, and what is known of them (B, SLOTS, FRAMES + 1)."""
    blocking = told.blocking
    seen_BKF = in_picture(blocking, float(told.aspect_B[0])) & given_BF[:, None]
    any_BK = seen_BKF.any(2)
    order = (torch.where(any_BK, torch.rand(any_BK.shape, generator=generator), 1.0 + torch.arange(MOST))).argsort(1)
    rows = torch.arange(len(order))[:, None]
    looks = any_BK & (torch.rand(any_BK.shape, generator=generator) < LOOKS_SHARE)
    known = torch.cat([seen_BKF, looks[..., None]], 2)[rows, order]
    stand = Blocking(blocking.tracks_BKFT[rows, order], blocking.looks_BKL[rows, order])
    return dataclasses.replace(told, blocking=stand), nn.functional.pad(known, (0, 0, 1, 0))


def random_given(batch: int, generator: torch.Generator) -> torch.Tensor:
    """Which frames (B, FRAMES) are given: none, some of the first, of the last, of both, or one anywhere."""
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
