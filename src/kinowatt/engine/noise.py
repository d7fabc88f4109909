"""Noise levels: one number per latent frame, the same for sampling and for training.

Flow matching: x_t = (1 - t) x_0 + t e with t the level; velocity v = e - x_0 = dx/dt (Lipman et al. 2023, arXiv 2210.02747).
Levels per frame: diffusion forcing (Chen et al. 2024, arXiv 2407.01392).
"""

from __future__ import annotations

import torch


def noise_levels(step: torch.Tensor, ceiling_BF: torch.Tensor) -> torch.Tensor:
    """The level of each latent frame at a `step` (scalar, F or BF, 1 = pure noise): no frame is ever above its ceiling."""
    return torch.minimum(step, ceiling_BF)


def up(level_BF: torch.Tensor) -> torch.Tensor:
    """Levels (B, F) in the shape of latents (B, 1, F, 1, 1)."""
    return level_BF[:, None, :, None, None]


def lagged(step: torch.Tensor, frames: int, lag: float) -> torch.Tensor:
    """Steps (S,) to steps per frame (S, F): frame f runs behind frame 0 by lag * f / (F - 1) of the way.

    lag 0 gives every frame the same step; at lag 1 the last frame begins when the first is clean.
    """
    behind_F = torch.linspace(0.0, 1.0, frames, dtype=step.dtype, device=step.device) if frames > 1 else step.new_zeros(1)
    return (step[:, None] * (1.0 + lag) - lag * (1.0 - behind_F)).clamp(0.0, 1.0)


def shifted(step: torch.Tensor, shift: float) -> torch.Tensor:
    """Move steps towards the noisy end: t -> s t / (1 + (s - 1) t) (Esser et al. 2024, arXiv 2403.03206, eq. 23)."""
    return shift * step / (1.0 + (shift - 1.0) * step)


def unshifted(step: torch.Tensor, shift: float) -> torch.Tensor:
    """The inverse of `shifted`."""
    return step / (shift - (shift - 1.0) * step)


def schedule(steps: int, frames: int, *, shift: float = 1.0, lag: float = 0.0, least: float = 0.0, begins: float = 1.0) -> torch.Tensor:
    """Steps per latent frame (steps + 1, F) from `begins` down to 0.

    With `least`, the steps before the shift go evenly towards that level, and the last one to 0 all the same: Wan has been trained on
    thousandths, and is run with 0.001.
    """
    first = float(unshifted(torch.tensor(begins, dtype=torch.float64), shift))
    even = torch.linspace(first, least, steps + 1, dtype=torch.float64)
    even[-1] = 0.0
    return shifted(lagged(even, frames, lag), shift).float()


def replanned(schedule_SF: torch.Tensor, done: int, left: int, *, shift: float = 1.0) -> torch.Tensor:
    """The schedule with `left` steps after the `done` ones: those behind stay, the way that is left is divided anew.

    Equal parts in the unshifted step of each frame, as in `schedule` without lag.
    """
    here_F = schedule_SF[done]
    plain_F = unshifted(here_F, shift)
    ahead_SF = shifted(torch.linspace(1.0, 0.0, left + 1, dtype=here_F.dtype, device=here_F.device)[1:, None] * plain_F, shift)
    return torch.cat([schedule_SF[: done + 1], ahead_SF])
