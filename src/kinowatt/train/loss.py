"""Two losses: reconstruction for the codec, velocity for the denoiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kinowatt.engine.noise import lagged, noise_levels, shifted, unshifted, up
from kinowatt.engine.standing import PLAIN, Dice
from kinowatt.models.protocols import Denoiser

# How often each way of placing anchors is trained. Every mode of the design is among them; text comes first.
MODES = {"text": 0.40, "start": 0.14, "end": 0.08, "both": 0.08, "keys": 0.04, "soft": 0.07, "lagged": 0.03, "history": 0.16}
HISTORY = 0.25  # the most noise at which a clip's own past is shown; a rolling window shows it at less (engine/rollout.py)

HUE_AREA = 4  # pixels per side


def random_ceilings(batch: int, frames: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A random anchor placement per clip: ceilings (B, F) and the lag of each clip (B,), both float32."""
    ceiling, lag = torch.ones(batch, frames), torch.zeros(batch)
    if frames == 1:
        return ceiling, lag
    modes = torch.multinomial(torch.tensor(list(MODES.values())), batch, replacement=True, generator=generator).tolist()
    for b, mode in enumerate(list(MODES)[m] for m in modes):
        # Squaring favours few given latents: one image or a short overlap is what people bring.
        share = torch.rand(2, generator=generator).square()
        head, tail = (1 + (share * (frames - 1)).long()).clamp(max=frames - 1).tolist()
        if mode in ("start", "both"):
            ceiling[b, :head] = 0.0
        if mode in ("end", "both"):
            ceiling[b, frames - min(tail, frames - head if mode == "both" else tail) :] = 0.0
        if mode == "both" and not ceiling[b].any():
            ceiling[b, frames // 2] = 1.0
        if mode == "keys":
            ceiling[b] = (torch.rand(frames, generator=generator) > 0.25).float()
            ceiling[b, int(torch.randint(frames, (1,), generator=generator))] = 1.0
        if mode == "soft":
            ceiling[b] = 0.2 + 0.75 * torch.rand(1, generator=generator)
        if mode == "history":
            ceiling[b, :head] = HISTORY * torch.rand(1, generator=generator)
        if mode == "lagged":
            lag[b] = torch.rand(1, generator=generator) * 1.5
    return ceiling, lag


def random_levels(
    ceiling: torch.Tensor, lag: torch.Tensor, shift: float, generator: torch.Generator, begins_B: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise levels (B, F) below ceilings (B, F): any step per clip, as likely as any other, lagged (B), shifted and capped as in sampling;
    and which frames (B, F) come from their clip's backdrop, where it `begins` below 1: those that move, where nothing is given.

    Steps from a logit-normal law (Esser et al. 2024) hardly ever come near 1, where sampling begins (LOG.md).
    """
    batch, frames = ceiling.shape
    made_B = (begins_B < 1.0) & (lag == 0) & (ceiling > 0).all(1) & (ceiling == 1).any(1)
    step = torch.rand(batch, generator=generator) * torch.where(made_B, unshifted(begins_B, shift), 1.0)
    rows = [shifted(lagged(step[b : b + 1], frames, float(lag[b])), shift) for b in range(batch)]
    return noise_levels(torch.cat(rows), ceiling), made_B[:, None] & (ceiling == 1)


@dataclass(frozen=True, eq=False)
class Noised:
    """A clip on its way to noise: what a network is shown (B, C, F + F', H, W) with its levels (B, F + F'), and, of the clip alone,
    levels (B, F) and the true velocity (B, C, F, H, W). The F' frames after the clip's are clean latents outside of time."""

    x_BCFHW: torch.Tensor
    shown_BF: torch.Tensor
    level_BF: torch.Tensor
    velocity_BCFHW: torch.Tensor

    def error(self, velocity_BCFHW: torch.Tensor, wanted_BCFHW: torch.Tensor, weight_BCFHW: torch.Tensor | None = None) -> torch.Tensor:
        """Mean squared error of a velocity over the clip's frames that hold noise (scalar); `weight`: what each number counts."""
        noisy = (self.level_BF > 0).float()
        square = (velocity_BCFHW[:, :, : noisy.shape[1]].float() - wanted_BCFHW).square()
        if weight_BCFHW is None:
            return (square.mean(dim=(1, 3, 4)) * noisy).sum() / noisy.sum().clamp(min=1)
        weight_BCFHW = weight_BCFHW * noisy[:, None, :, None, None]
        return (square * weight_BCFHW).sum() / weight_BCFHW.sum().clamp(min=1)


def noised(
    clean_BCFHW: torch.Tensor,
    shift: float,
    generator: torch.Generator,
    *,
    beside: torch.Tensor | None = None,
    dice: Dice = PLAIN,
    under: tuple[torch.Tensor, torch.Tensor] | None = None,
    anchored: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Noised:
    """A clip with noise of the dice at random levels; `beside` (B, C, F', H, W) follows it as it is. `anchored`: ceilings (B, F) and lags
    (B) as `random_ceilings` gives them; default: at random.

    `under`: what lies under the noise of clips (B, C, F, H, W) where they begin, and the level (B) at which each of them does: on a
    straight way from there, as sampling goes it (Liu et al. 2023, arXiv 2209.03003, whose ways may begin anywhere).
    """
    batch, _, frames = clean_BCFHW.shape[:3]
    begins_B = torch.ones(batch) if under is None else under[1]
    anchored = random_ceilings(batch, frames, generator) if anchored is None else anchored
    level, made_BF = (t.to(clean_BCFHW.device) for t in random_levels(*anchored, shift, generator, begins_B))
    noise = dice.roll(clean_BCFHW.shape, generator).to(clean_BCFHW.device)
    x, shown, velocity = torch.lerp(clean_BCFHW, noise, up(level)), level, noise - clean_BCFHW
    if under is not None:
        # From (1 - b) under + b noise at level b to what is clean: beside the way from noise alone, a share of what the backdrop is off.
        begins_BF = begins_B.to(level)[:, None].expand_as(level)
        share_BF = torch.where(made_BF, (1.0 - begins_BF) / begins_BF, 0.0)
        off = up(share_BF) * (under[0].to(clean_BCFHW) - clean_BCFHW)
        x, velocity = x + up(level) * off, velocity + off
    if beside is not None:
        x, shown = torch.cat([x, beside], 2), torch.cat([level, level.new_zeros(batch, beside.shape[2])], 1)
    return Noised(x, shown, level, velocity)


def velocity_loss(denoiser: Denoiser, at: Noised, text_BLD: torch.Tensor, weight_BCFHW: torch.Tensor | None = None) -> torch.Tensor:
    """Mean squared error of the velocity over latent frames that hold noise (scalar); `weight`: what each number counts."""
    return at.error(denoiser(at.x_BCFHW, at.shown_BF, text_BLD), at.velocity_BCFHW, weight_BCFHW)


def reconstruction_loss(
    made_BCTHW: torch.Tensor, true_BCTHW: torch.Tensor, subject_BTHW: torch.Tensor, subject_weight: float = 3.0, hue_weight: float = 2.0
) -> torch.Tensor:
    """L1 on pixels, on their differences in space and time, and on the hue of small areas, heavier on subjects (scalar).

    `subject_BTHW` is 1 where a subject is: the background carries the mean, and without the weight small things vanish.
    """
    error = made_BCTHW - true_BCTHW
    weight = (1.0 + subject_weight * subject_BTHW)[:, None]
    weight = weight / weight.mean()
    loss = (error.abs() * weight).mean()
    for dim in (2, 3, 4):
        if error.shape[dim] > 1:
            loss = loss + 0.5 * (error.diff(dim=dim).abs() * weight.narrow(dim, 1, error.shape[dim] - 1)).mean()
    # What is left without brightness: the eye, and a judge of colours, see small areas' hue long before an edge is sharp.
    hue = F.avg_pool3d(error - error.mean(1, keepdim=True), (1, HUE_AREA, HUE_AREA))
    return loss + hue_weight * (hue.abs() * F.avg_pool3d(weight, (1, HUE_AREA, HUE_AREA))).mean()
