"""The one rule: from noise, by steps, down to clean latents, each latent frame at its own level."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, pairwise

import torch

from kinowatt.engine.noise import noise_levels, up
from kinowatt.models.protocols import Conditioning, Denoiser

OnStep = Callable[[int, int, torch.Tensor, torch.Tensor], None]


def guided_velocity(denoiser: Denoiser, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, cond: Conditioning, guidance: float) -> torch.Tensor:
    """Velocity with classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598) in one batch; at guidance 1 one pass is enough."""
    if guidance == 1.0:
        return denoiser(x_BCFHW, level_BF, cond.text_BLD)
    both = denoiser(torch.cat([x_BCFHW, x_BCFHW]), torch.cat([level_BF, level_BF]), torch.cat([cond.text_BLD, cond.text_null_BLD]))
    with_text, without = both.chunk(2)
    return without + guidance * (with_text - without)


@torch.inference_mode()
def denoise(
    denoiser: Denoiser,
    cond: Conditioning,
    noise_BCFHW: torch.Tensor,
    schedule_SF: torch.Tensor,
    *,
    guidance: float = 1.0,
    solver: str = "euler",
    on_step: OnStep | None = None,
    done: int = 0,
) -> torch.Tensor:
    """Clean latents (B, C, F, H, W).

    `schedule_SF` holds the steps per latent frame from 1 to 0 (see `noise.schedule`); `solver` is "euler" or "heun"
    (Karras et al. 2022, arXiv 2206.00364, algorithm 1 without churn: two passes per step, second order).
    `on_step(done, of, x, clean)` is called after each step with the present estimate of the clean latents, and may raise to cancel.
    With `done` steps behind it (a take that was broken off), `noise_BCFHW` holds the x of that step.
    """
    if solver not in ("euler", "heun"):
        raise ValueError(f"solver {solver!r} is unknown; use euler or heun")
    ceiling = cond.ceiling_BF
    schedule_SF = schedule_SF.to(ceiling)
    x = noise_BCFHW if done else torch.lerp(cond.known_BCFHW, noise_BCFHW, up(ceiling))
    steps = len(schedule_SF) - 1
    for i, (now, then) in islice(enumerate(pairwise(schedule_SF)), done, None):
        level, after = noise_levels(now, ceiling), noise_levels(then, ceiling)
        before = x
        if not torch.equal(level, after):  # nothing moves: spend no joules
            x = _step(denoiser, x, level, after, cond, guidance, heun=solver == "heun")
        if on_step is not None:
            # On a straight path to level 0 from here.
            ahead = torch.where(level > after, after / (level - after).clamp_min(1e-6), 0.0)
            on_step(i + 1, steps, x, x + (x - before) * up(ahead))
    return x


def _step(
    denoiser: Denoiser, x: torch.Tensor, level: torch.Tensor, after: torch.Tensor, cond: Conditioning, guidance: float, *, heun: bool
) -> torch.Tensor:
    velocity = guided_velocity(denoiser, x, level, cond, guidance)
    moved = x + velocity * up(after - level)
    if not heun:
        return moved
    # The slope at the far end, averaged with the near one. At level 0 it is as well defined as elsewhere for a velocity model.
    return x + (velocity + guided_velocity(denoiser, moved, after, cond, guidance)) * up(after - level) * 0.5
