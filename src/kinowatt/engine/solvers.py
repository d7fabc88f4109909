"""One step along the flow dx/dlevel = velocity, in three ways. Legend: protocols.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from kinowatt.engine.noise import noise_levels, up

Velocity = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]  # (x_BCFHW, level_BF, step) to the shape of x
_MOST = 1.0 - 1e-6  # of a level in a logarithm


class Solver(Protocol):
    """Takes steps. `memory` is what it needs, beside x, to go on from where it is."""

    def step(self, velocity: Velocity, x: torch.Tensor, level_BF: torch.Tensor, after_BF: torch.Tensor, step: int) -> torch.Tensor:
        """x at the levels that follow."""
        ...

    def memory(self) -> dict[str, torch.Tensor]:
        """Tensors on the CPU; empty for solvers that look at one step only."""
        ...

    def remember(self, memory: dict[str, torch.Tensor], like: torch.Tensor) -> None:
        """Go on from a memory, on the device of a tensor."""
        ...


class Euler:
    """Along the slope: first order, any levels."""

    def step(self, velocity: Velocity, x: torch.Tensor, level_BF: torch.Tensor, after_BF: torch.Tensor, step: int) -> torch.Tensor:
        """One pass."""
        return x + velocity(x, level_BF, step) * up(after_BF - level_BF)

    def memory(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def remember(self, memory: dict[str, torch.Tensor], like: torch.Tensor) -> None:
        """Nothing."""


class Heun(Euler):
    """The slope at the far end averaged with the near one: second order, two passes, any levels.

    Karras et al. 2022, arXiv 2206.00364, algorithm 1 without churn. At level 0 a velocity is as well defined as elsewhere.
    """

    def step(self, velocity: Velocity, x: torch.Tensor, level_BF: torch.Tensor, after_BF: torch.Tensor, step: int) -> torch.Tensor:
        """Two passes."""
        slope = velocity(x, level_BF, step)
        moved = x + slope * up(after_BF - level_BF)
        return x + (slope + velocity(moved, after_BF, step)) * up(after_BF - level_BF) * 0.5


class UniPC:
    """Predictor and corrector of second order from the estimates of the steps before: one pass, one level for all frames that move.

    Zhao et al. 2023, arXiv 2302.04867: UniPC-2 with B(h) = exp(h) - 1, in the estimate of the clean latents; the first and the last step
    are of first order. Diffusers runs Wan with it, so takes are equal to its own.
    """

    def __init__(self) -> None:
        self._levels: list[float] = []  # of the estimates
        self._clean: list[torch.Tensor] = []  # estimates of the clean latents, newest last, two at most
        self._before: torch.Tensor | None = None  # x at the last step, corrected
        self._order = 1  # of the last prediction

    def step(self, velocity: Velocity, x: torch.Tensor, level_BF: torch.Tensor, after_BF: torch.Tensor, step: int) -> torch.Tensor:
        """One pass. The estimate at this level first corrects the x that led to it."""
        level, after = float(level_BF.max()), float(after_BF.max())
        clean = x - up(level_BF) * velocity(x, level_BF, step)  # given frames have level 0 and stay
        if self._before is not None:
            x = torch.where(up(level_BF) > 0, self._corrected(x, clean, level), x)
        self._levels, self._clean = [*self._levels[-1:], level], [*self._clean[-1:], clean]
        self._before, self._order = x, min(2, len(self._clean)) if after > 0 else 1
        return torch.where(up(level_BF) > up(after_BF), self._predicted(x, after), x)

    def _predicted(self, x: torch.Tensor, after: float) -> torch.Tensor:
        here, clean = self._levels[-1], self._clean[-1]
        if after <= 0.0:
            return clean
        h = _lambda(after) - _lambda(here)
        grow = -math.expm1(-h)
        moved = after / here * x + (1.0 - after) * grow * clean
        if self._order == 2:
            slope = (self._clean[-2] - clean) * (h / (_lambda(self._levels[-2]) - _lambda(here)))
            moved = moved + (1.0 - after) * grow * 0.5 * slope
        return moved

    def _corrected(self, x: torch.Tensor, clean: torch.Tensor, level: float) -> torch.Tensor:
        assert self._before is not None
        before, last = self._levels[-1], self._clean[-1]
        h = _lambda(level) - _lambda(before)
        grow = -math.expm1(-h)
        change = 0.5 * (clean - last)
        if self._order == 2:
            ratio = (_lambda(self._levels[-2]) - _lambda(before)) / h
            # Two equations for two weights: exact for estimates that are linear, then quadratic, in lambda.
            first = math.expm1(-h) / -h - 1.0
            b1, b2 = first / -grow, 2.0 * (first / -h - 0.5) / -grow
            own = (b2 - ratio * b1) / (1.0 - ratio)
            change = (b1 - own) * (self._clean[-2] - last) / ratio + own * (clean - last)
        return level / before * self._before + (1.0 - level) * grow * (last + change)

    def memory(self) -> dict[str, torch.Tensor]:
        """Two estimates, their levels, and the last x."""
        if self._before is None:
            return {}
        levels = torch.tensor([*self._levels, float(self._order)], dtype=torch.float64)
        return {"levels": levels, "clean": torch.stack(self._clean).cpu(), "before": self._before.cpu()}

    def remember(self, memory: dict[str, torch.Tensor], like: torch.Tensor) -> None:
        """As `memory` gave it."""
        if memory:
            *self._levels, order = memory["levels"].tolist()
            self._order = int(order)
            self._clean, self._before = list(memory["clean"].to(like.device)), memory["before"].to(like.device)


def steps_alike(schedule_SF: torch.Tensor, ceiling_BF: torch.Tensor) -> bool:
    """Whether all frames that move have one and the same level at every step: what solvers of several steps want."""
    moving = ceiling_BF > 0
    if not bool(moving.any()):
        return True
    rows: Sequence[torch.Tensor] = [noise_levels(row, ceiling_BF)[moving] for row in schedule_SF.to(ceiling_BF)]
    return all(bool((row == row[0]).all()) for row in rows)


def _lambda(level: float) -> float:
    """Half the logarithm of the ratio of signal to noise, in the paper's words: log(alpha) - log(sigma)."""
    level = min(level, _MOST)
    return math.log1p(-level) - math.log(level)
