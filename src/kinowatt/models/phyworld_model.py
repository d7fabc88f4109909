"""phyworld: the video DiT on drawings of PhyWorld's clips. A frame is at most two discs, red and blue; a latent says how they move.

The codec has no weights: it measures discs and knows nothing of motion. A latent holds by how much a ball's step from the frame before
differs from its last given step, as a camera sees it that rides along. So inertia is built in (zero latents). Two balls have natural
units: lengths in sums of their radii, areas in sums of their areas, steps in the step by which they close in; so a collision looks the
same at every scale. Gravity, contact, and what each gets of the momentum are learned. The given frames are anchors at START with
ceiling 0 (engine/sample.py).
Legend: B batch, F = T frames, N = 2 balls, red first; lengths in tenths of the picture's side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinowatt.models import dit_file
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.protocols import Conditioning

GIVEN, SIDE, BALLS = 3, 10.0, 2
LAWS = 3  # a prompt is one row that says which law holds: uniform motion, collision, parabola
FALL = 0.25  # the unit of a lone ball's changes of step: of this size they are in a fall
LEAST = 1e-3  # of the step by which balls close in, as a unit
FAR = 8.0  # sums of radii: where balls are farther apart, it does not matter how far
NEAR = 0.01  # a tenth of a pixel of 128: a disc that is cut by less is whole
CLOCK = 16.0  # frames, the unit of time since the last given frame
CHANNELS, BESIDE = 2, 8
DIT = DiTConfig(
    heads=4,
    head_dim=16,
    ffn_dim=256,
    layers=2,
    text_dim=LAWS,
    in_channels=CHANNELS + BESIDE,
    out_channels=CHANNELS,
    patch=(1, 1, 1),
    freq_dim=64,
)
FOLDER = Path(__file__).parent / "phyworld"
FILE = "phyworld.safetensors"
SHA256 = "292cea383a899e08223f100f2891ec9378be4460723f5fb00b9e4ec5c49e94b8"


@dataclass(frozen=True, eq=False)
class Drawing:
    """Centres (B, T, N, 2), x to the right and y up; radii (B, N); and where a ball is wholly in view (B, T, N), 1 or 0.

    A ball that is not in view in the given frames is none.
    """

    centres: torch.Tensor
    radii: torch.Tensor
    seen: torch.Tensor

    @property
    def there(self) -> torch.Tensor:
        """1 where there is a ball (B, N)."""
        return self.seen[:, :GIVEN].amin(1)

    def to(self, device: torch.device) -> Drawing:
        """The same on a device."""
        return Drawing(self.centres.to(device), self.radii.to(device), self.seen.to(device))


def measure(frames_TCHW: np.ndarray) -> Drawing:
    """A clip (uint8) to its drawing, B = 1: how much red and blue hide of the white, summed over columns and rows, exact to 0.01 pixels."""
    cover_TNHW = 255 - frames_TCHW[:, [2, 0]]  # red hides blue light, and blue hides red
    columns, rows = (cover_TNHW.sum(axis, dtype=np.uint32) / 255.0 for axis in (2, 3))
    mass_TN = columns.sum(2)
    at_x, at_y = ((np.arange(n) + 0.5) * (SIDE / n) for n in (columns.shape[2], rows.shape[2]))
    with np.errstate(invalid="ignore", divide="ignore"):
        centres = np.nan_to_num(np.stack([columns @ at_x, rows @ at_y[::-1]], -1) / mass_TN[..., None])
    area_N = mass_TN[:GIVEN].max(0) * (SIDE / columns.shape[2]) * (SIDE / rows.shape[2])
    radii = np.sqrt(area_N / np.pi)
    # What is cut at the border keeps its middle nearer to it than a radius.
    within = np.abs(centres - SIDE / 2) <= SIDE / 2 - radii[:, None] + NEAR
    seen = (mass_TN > 1.0) & within.all(2)
    return Drawing(*(torch.from_numpy(np.asarray(a, np.float32))[None] for a in (centres, radii, seen)))


def joined(drawings: list[Drawing]) -> Drawing:
    """One batch of many."""
    return Drawing(*(torch.cat([getattr(d, name) for d in drawings]) for name in ("centres", "radii", "seen")))


def _step(drawing: Drawing) -> torch.Tensor:
    """The last given step (B, 1, N, 2)."""
    return drawing.centres[:, GIVEN - 1 : GIVEN] - drawing.centres[:, GIVEN - 2 : GIVEN - 1]


def _pair(given: Drawing) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Whether there are two balls (B, 1, 1, 1), and from each ball the place of the other, and its step seen from here (B, 1, N, 2)."""
    both = given.there.prod(1)[:, None, None, None]
    apart, closing = ((a.flip(2) - a) * both for a in (given.centres[:, GIVEN - 1 : GIVEN], _step(given)))
    return both, apart, closing


def _unit(given: Drawing) -> torch.Tensor:
    """Of latents (B, 1, 1, 1)."""
    both, _, closing = _pair(given)
    return torch.where(both > 0, closing[:, :, :1].norm(dim=-1, keepdim=True).clamp_min(LEAST), FALL)


def clean(drawing: Drawing) -> torch.Tensor:
    """Latents (B, 2, F, 1, N): changes of step in x and y, zero for the first frame and where there is no ball."""
    steps = torch.diff(drawing.centres, dim=1) - _step(drawing)
    steps = torch.cat([torch.zeros_like(steps[:, :1]), steps], 1) * drawing.there[:, None, :, None]
    return (steps / _unit(drawing)).permute(0, 3, 1, 2)[:, :, :, None]


def drawn(latents_BCFHW: torch.Tensor, given: Drawing) -> Drawing:
    """Latents to a drawing: the given frames as they are, then step after step."""
    steps = latents_BCFHW[:, :, GIVEN:, 0].permute(0, 2, 3, 1) * _unit(given) + _step(given)
    begin = given.centres[:, :GIVEN]
    return replace(given, centres=torch.cat([begin, begin[:, -1:] + steps.cumsum(1)], 1))


def beside(given: Drawing, frames: int) -> torch.Tensor:
    """What the network sees beside the latents (B, BESIDE, F, 1, N), of the given frames alone, per ball and frame.

    Both sizes, where the other ball would be by inertia, the step by which it closes in, whether there is a ball, and the time.
    """
    both, apart, closing = _pair(given)
    there = given.there[:, None, :, None]
    radii = given.radii[:, None, :, None] * there
    # By radii, balls that differ more in size than any in training came out worse than by areas (LOG.md).
    length, area = (torch.where(both > 0, (radii**power).sum(2, keepdim=True), 1.0) for power in (1, 2))
    sizes = torch.cat([radii**2, radii.flip(2) ** 2 * both], -1) / area
    since = (torch.arange(frames, device=apart.device) - (GIVEN - 1.0)).view(1, -1, 1, 1)
    other = ((apart + closing * since) / length).clamp(-FAR, FAR)
    time = (since / CLOCK).expand(len(radii), -1, BALLS, -1)
    parts = [sizes, other, closing / length, there, time]
    return torch.cat([p.expand(-1, frames, -1, -1) for p in parts], -1).permute(0, 3, 1, 2)[:, :, :, None]


def conditioning(given: Drawing, law_B: torch.Tensor, frames: int) -> Conditioning:
    """Given frames with ceiling 0, all others free; the prompt is the law."""
    known = clean(replace(given, centres=given.centres[:, :GIVEN]))
    known = torch.cat([known, known.new_zeros(*known.shape[:2], frames - GIVEN, *known.shape[3:])], 2)
    ceiling = known.new_ones(len(known), frames)
    ceiling[:, :GIVEN] = 0.0
    text = torch.nn.functional.one_hot(law_B, LAWS).to(known)[:, None]
    return Conditioning(text, torch.zeros_like(text), known, ceiling)


class PhyWorld:
    """A denoiser for one batch: the network names the clean latents, for it is better at those than at the noise."""

    def __init__(self, dit: VideoDiT, given: Drawing, frames: int) -> None:
        self.dit, self.beside = dit, beside(given, frames)

    def clean(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Clean latents (B, 2, F, 1, N)."""
        return self.dit(torch.cat([x_BCFHW, self.beside], 1), level_BF, text_BLD)

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity: of x = (1 - t) clean + t noise, noise - clean = (x - clean) / t."""
        level = level_BF.clamp_min(1e-3)[:, None, :, None, None]  # frames without noise do not move
        return (x_BCFHW - self.clean(x_BCFHW, level_BF, text_BLD)) / level


def load(path: Path | None = None) -> tuple[VideoDiT, dict[str, Any]]:
    """The network, in float32, and its config: the shipped one, or a file that `kinowatt train phyworld` wrote. WeightsError."""
    shipped = path is None
    return dit_file.load(FOLDER / FILE if path is None else path, SHA256 if shipped else None, DIT.in_channels, "PhyWorld", "phyworld")
