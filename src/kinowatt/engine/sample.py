"""The one rule: from noise, by steps, down to clean latents, each latent frame at its own level."""

from __future__ import annotations

from collections.abc import Callable

import torch

from kinowatt.engine.noise import noise_levels, up
from kinowatt.engine.solvers import Euler, Heun, Solver, UniPC, steps_alike
from kinowatt.models.protocols import Conditioning, Denoiser

OnStep = Callable[[int, int, torch.Tensor, torch.Tensor], None]
Replan = Callable[[int, torch.Tensor], torch.Tensor]


Guidance = float | Callable[[float], float]  # one strength, or one for each noise level (models of two experts)


class Guided:
    """Velocity with classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598), both passes in one batch; at guidance 1 one pass.

    The term of guidance changes slowly from step to step. With `every` > 1 it is computed at every so manieth step and kept in between,
    which saves the second pass there (LOG.md has what that costs in likeness).

    Where any frame is noisier than `below` nothing is guided (Kynkäänniemi et al. 2024, arXiv 2404.07724): from pure noise the network can
    tell little more than the colours of the ground and the sky, and guidance would overdo them. Both passes run there, too: a network of
    another batch size costs more to load than that one pass.
    """

    def __init__(self, denoiser: Denoiser, cond: Conditioning, guidance: Guidance, every: int = 1, below: float = 1.0) -> None:
        self.denoiser, self.cond, self.guidance, self.every, self.below = denoiser, cond, guidance, every, below
        self._difference: torch.Tensor | None = None
        self._both: torch.Tensor | None = None

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, step: int) -> torch.Tensor:
        """Velocity (B, C, F, H, W) at a step."""
        cond, null_BCFHW = self.cond, x_BCFHW
        if cond.steering_BCFHW is not None:
            null = cond.steering_BCFHW if cond.steering_null_BCFHW is None else cond.steering_null_BCFHW
            x_BCFHW, null_BCFHW = (torch.cat([x_BCFHW, channels.to(x_BCFHW)], 1) for channels in (cond.steering_BCFHW, null))
        guidance = self.guidance if isinstance(self.guidance, float | int) else self.guidance(float(level_BF.max()))
        if guidance == 1.0:
            return self.denoiser(x_BCFHW, level_BF, cond.text_BLD)
        if self._difference is not None and step % self.every:
            return self.denoiser(x_BCFHW, level_BF, cond.text_BLD) + (guidance - 1.0) * self._difference
        if self._both is None:
            self._both = torch.cat([cond.text_BLD, cond.text_null_BLD])
        both = self.denoiser(torch.cat([x_BCFHW, null_BCFHW]), torch.cat([level_BF, level_BF]), self._both)
        with_text, without = both.chunk(2)
        self._difference = with_text - without
        return with_text if level_BF.max() > self.below else without + guidance * self._difference


@torch.inference_mode()
def denoise(
    denoiser: Denoiser,
    cond: Conditioning,
    noise_BCFHW: torch.Tensor,
    schedule_SF: torch.Tensor,
    *,
    guidance: Guidance = 1.0,
    cache: int = 1,
    guided_below: float = 1.0,
    solver: Solver | str = "euler",
    on_step: OnStep | None = None,
    replan: Replan | None = None,
    done: int = 0,
) -> torch.Tensor:
    """Clean latents (B, C, F, H, W).

    `schedule_SF` holds the steps per latent frame from 1 to 0 (see `noise.schedule`); `solver` is "euler", "heun", "unipc" or a
    `Solver` (with what it remembers of a take that was broken off). "unipc" wants the same level in all frames that move.
    `cache`, `guided_below`: see `Guided`. `replan(done, schedule_SF)` is asked before each step and returns the schedule to go on with.
    `on_step(done, of, x, clean)` is called after each step with the present estimate of the clean latents, and may raise to cancel.
    With `done` steps behind it (a take that was broken off), `noise_BCFHW` holds the x of that step.
    """
    solver = solver_of(solver)
    ceiling, velocity = cond.ceiling_BF, Guided(denoiser, cond, guidance, cache, guided_below)
    schedule_SF = schedule_SF.to(ceiling)
    if isinstance(solver, UniPC) and not steps_alike(schedule_SF, ceiling):
        raise ValueError("unipc wants one level for all frames that move; use euler or heun")
    x = noise_BCFHW if done else torch.lerp(cond.known_BCFHW, noise_BCFHW, up(ceiling))
    i = done
    while i < len(schedule_SF) - 1:
        if replan is not None:
            schedule_SF = replan(i, schedule_SF)
        level, after = noise_levels(schedule_SF[i], ceiling), noise_levels(schedule_SF[i + 1], ceiling)
        before = x
        if not torch.equal(level, after):  # nothing moves: spend no joules
            x = solver.step(velocity, x, level, after, i)
        i += 1
        if on_step is not None:
            # On a straight path to level 0 from here.
            ahead = torch.where(level > after, after / (level - after).clamp_min(1e-6), 0.0)
            on_step(i, len(schedule_SF) - 1, x, x + (x - before) * up(ahead))
    return x


def solver_of(solver: Solver | str) -> Solver:
    """A solver by its name. ValueError."""
    if not isinstance(solver, str):
        return solver
    kinds: dict[str, Callable[[], Solver]] = {"euler": Euler, "heun": Heun, "unipc": UniPC}
    if solver not in kinds:
        raise ValueError(f"solver {solver!r} is unknown; use {', '.join(kinds)}")
    return kinds[solver]()
