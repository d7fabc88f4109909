"""Training of skies: on the weather world, then, with a history of real weather, mostly on that, a quarter on the world.

A history is divided by days of the month, never by frames: days 1 to 17 teach, 19 to 22 choose (validation), from 24 on they test;
days 18 and 23 lie between and are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kinowatt.engine.noise import noise_levels, up
from kinowatt.errors import GridError
from kinowatt.grid.history import LOW_SUN, History
from kinowatt.grid.split import days_of
from kinowatt.models import dit_file, precision
from kinowatt.models import skies_model as skies
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.worlds.sun import sky
from kinowatt.worlds.weather import NEW_ENGLAND, TORUS, windows

FRAMES = skies.PAST + skies.LEADS
LAT, LON, STEP = 41.45, -71.7, 0.04  # of the world's lattice: where its statistics were measured


@dataclass(frozen=True)
class SkiesRecipe:
    """One way of training skies."""

    batch: int
    lr: float
    minutes: float  # default wall clock of one run
    world_cases: int  # windows of the world that are made before the clock starts
    size: tuple[int, int] = (29, 6)  # cells of the world's lattice, where no history says another
    real_share: float = 0.75  # of a batch, where there is a history
    held_out: int = 512  # windows of each examination
    dit: DiTConfig = skies.DIT
    ema_decay: float = 0.995  # some hundred steps: a run is short, and the world must be forgotten where it is wrong


SKIES_RECIPES = {
    "cpu": SkiesRecipe(batch=24, lr=1e-3, minutes=20.0, world_cases=40_000),
    "gpu": SkiesRecipe(batch=512, lr=1e-3, minutes=8.0, world_cases=200_000),
}


class SkiesTask:
    """Flow matching on windows: known past, free horizon, loss where there is daylight."""

    name = "skies"

    def __init__(self, recipe: SkiesRecipe, device: torch.device, real: History | None = None, seed: int = 0) -> None:
        self.recipe, self.device, self.lr, self.ema_decay, self.real = recipe, device, recipe.lr, recipe.ema_decay, real
        self.dit = VideoDiT(recipe.dit)
        self.module: nn.Module = self.dit
        rng = np.random.default_rng(seed)
        self.size: tuple[int, int] = recipe.size if real is None else real.field.mask_HW.shape
        if max(self.size) > TORUS:
            raise GridError(f"skies is trained on at most {TORUS} x {TORUS} cells, not {self.size[0]} x {self.size[1]}; cut the weather")
        self.world = windows(NEW_ENGLAND, rng, recipe.world_cases, FRAMES, self.size)
        held = windows(NEW_ENGLAND, np.random.default_rng(10**6 + seed), recipe.held_out, FRAMES, self.size)
        self.elevation = _year_of_sun(self.size)
        self.sunny = np.flatnonzero(_lit_ahead(self.elevation.max((1, 2)) > LOW_SUN))
        self.held = self._of_world(held, np.arange(len(held)), rng)
        self.starts = {} if real is None else {part: _starts(real, days_of(real.field.times, part)) for part in ("train", "validation")}

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Velocity loss of this step's windows."""
        rng, batch = np.random.default_rng(step), self.recipe.batch
        real = round(batch * self.recipe.real_share) if self.real is not None else 0
        parts = [self._of_world(self.world, rng.integers(len(self.world), size=batch - real), rng)] if real < batch else []
        if real:
            parts.append(self._of_history(rng.choice(self.starts["train"], real), rng))
        return self._loss(_joined(parts), torch.Generator().manual_seed(step)), batch

    def _loss(self, window: skies.Window, generator: torch.Generator) -> torch.Tensor:
        """Mean squared error of the velocity over what is free and lit, at one logit-normal step per window."""
        window = window.to(self.device)
        cond, clean, lit = skies.conditioning(window), skies.clean(window), skies.lit(window)
        step = torch.sigmoid(torch.randn(len(clean), 1, generator=generator)).to(self.device)
        level = noise_levels(step, cond.ceiling_BF)
        noise = torch.randn(clean.shape, generator=generator).to(self.device)
        velocity = skies.Skies(self.dit, window)(torch.lerp(clean, noise, up(level)), level, cond.text_BLD)
        weight = lit * up(cond.ceiling_BF)
        return ((velocity.float() - (noise - clean)).square() * weight).sum() / weight.sum().clamp_min(1.0)

    def _of_world(self, index: np.ndarray, cases: np.ndarray, rng: np.random.Generator) -> skies.Window:
        """Windows of the world under the sun of random hours, each mirrored or not."""
        at = rng.choice(self.sunny, len(cases))[:, None] + np.arange(FRAMES)
        elevation = self.elevation[at]
        return _mirrored(index[cases], elevation, elevation > LOW_SUN, np.ones((len(cases), *self.size), bool), rng)

    def _of_history(self, starts: np.ndarray, rng: np.random.Generator | None) -> skies.Window:
        assert self.real is not None
        real, at = self.real, starts[:, None] + np.arange(1 - skies.PAST, skies.LEADS + 1)
        mask = np.broadcast_to(real.field.mask_HW, (len(starts), *real.field.mask_HW.shape))
        return _mirrored(real.index[at], real.elevation[at], real.day[at], mask, rng)

    def examine(self) -> dict[str, float]:
        """Velocity loss on the world that is held out, and on the validation days of the history, at the same noise."""
        figures = {"loss_world": self._held_out(lambda i: _part(self.held, i), len(self.held.index))}
        if self.real is not None:
            for part in ("train", "validation"):
                starts = self.starts[part][:: max(len(self.starts[part]) // self.recipe.held_out, 1)]
                figures[f"loss_{part}"] = self._held_out(lambda i, s=starts: self._of_history(s[i], None), len(starts))
        return figures

    def _held_out(self, windows_at: Any, count: int) -> float:
        generator, losses = torch.Generator().manual_seed(0), []
        for begin in range(0, count, 64):
            with precision.autocast(self.device):
                losses.append(self._loss(windows_at(np.arange(begin, min(begin + 64, count))), generator).item())
        return round(float(np.mean(losses)), 4)

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write skies.safetensors, in float16."""
        tensors = {k: v.half() for k, v in self.dit.state_dict().items()}
        dit_file.save(folder / skies.FILE, self.dit, tensors, {"held_out": receipt["held_out"], "total_J": receipt["total_J"]})


def _year_of_sun(size: tuple[int, int]) -> np.ndarray:
    """Elevation of the sun (T, H, W) in every tenth day's half hours, and the first ones of the next."""
    half_hours = np.arange(48) * np.timedelta64(30, "m")
    times = np.concatenate([np.datetime64("2012-01-01", "ns") + np.timedelta64(10 * day, "D") + half_hours for day in range(36)])
    rows, columns = (STEP * (np.arange(n) - n / 2) for n in size)
    return sky(times, *np.meshgrid(LAT + rows, LON + columns, indexing="ij"))[0]


def _lit_ahead(lit_T: np.ndarray) -> np.ndarray:
    """First frames of windows that see daylight in what is to come."""
    count = len(lit_T) - FRAMES + 1
    return np.any([lit_T[k : k + count] for k in range(skies.PAST, FRAMES)], axis=0)


def _starts(real: History, days_in: np.ndarray) -> np.ndarray:
    """Present frames of all windows of these days with daylight to come, none across a gap."""
    times, step = real.field.times, np.timedelta64(round(real.field.hours_per_frame * 3600e9), "ns")
    lit = np.asarray(real.day.any((1, 2)))
    first = np.flatnonzero(_lit_ahead(lit))
    first = first[times[first + FRAMES - 1] - times[first] == (FRAMES - 1) * step]
    now = first + skies.PAST - 1
    return now[np.isin(times[now].astype("datetime64[D]").astype(int), days_in)]


def _mirrored(index: np.ndarray, elevation: np.ndarray, day: np.ndarray, mask: np.ndarray, rng: np.random.Generator | None) -> skies.Window:
    """Arrays to a window; with a generator, each case is mirrored in the north, in the east, in both, or not at all."""
    parts = [torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in (index, elevation, day, mask)]
    if rng is not None:
        for dim in (-1, -2):
            turn = torch.from_numpy(rng.random(len(index)) < 0.5)
            parts = [torch.where(turn.view(-1, *[1] * (p.ndim - 1)), p.flip(dim), p) for p in parts]
    return skies.Window(*parts)


def _joined(parts: list[skies.Window]) -> skies.Window:
    return skies.Window(*(torch.cat([getattr(p, name) for p in parts]) for name in ("index", "elevation", "day", "mask")))


def _part(window: skies.Window, rows: np.ndarray) -> skies.Window:
    at = torch.from_numpy(rows)
    return skies.Window(window.index[at], window.elevation[at], window.day[at], window.mask[at])
