"""PhyWorld in the exam: a model is given three frames and makes the others; judged is how far the balls' velocities are from the truth.

Beside the model's error stand the floor (truth, drawn and found again: what the size of a pixel costs), truth through codecs (no model
can do better through them), and what inertia alone would score.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.engine.conditioning import to_frames, to_signal
from kinowatt.engine.noise import schedule
from kinowatt.engine.sample import denoise
from kinowatt.models import phyworld_model as model
from kinowatt.models.dit import VideoDiT
from kinowatt.models.phyworld_model import Drawing
from kinowatt.models.protocols import Codec
from kinowatt.worlds import phyworld
from kinowatt.worlds.phyworld import FRAMES, GIVEN, LAWS, Law

SIZE = 128  # pixels a side
CODED = FRAMES + 1  # codecs want 4k + 1; the last is not judged
STEPS = 4
SEED = 2 * 10**6  # of scenes that no training and no examination during training has
NEAR_BAR, FAR_BAR = 1.5, 0.2  # times the floor in distribution; units per second out of it


@dataclass(frozen=True)
class Row:
    """Mean errors of velocity in units per second over the scenes of one law, in or out of distribution."""

    law: Law
    far: bool
    clips: int
    floor: float
    drawing: float  # truth through the model's codec, which has no weights
    codec: float | None  # truth through another codec, where one is given
    inertia: float
    made: float

    @property
    def ratio(self) -> float:
        """The model's error in floors."""
        return self.made / self.floor

    @property
    def passed(self) -> bool:
        """Whether the bar is met."""
        return self.made <= FAR_BAR if self.far else self.ratio <= NEAR_BAR


@dataclass(frozen=True, eq=False)
class PhyWorldScore:
    """One row for each law in distribution and out of it, and one scene of each as it was and as it was made."""

    rows: tuple[Row, ...]
    examples: tuple[tuple[str, Clip], ...]

    def to_json(self) -> dict[str, Any]:
        """For reports; without the examples."""
        return {"unit": "units per second", "rows": [{**asdict(r), "ratio": round(r.ratio, 3), "passed": r.passed} for r in self.rows]}

    def table(self) -> str:
        """Markdown."""
        lines = ["| law | distribution | floor | drawing | codec | inertia | made | made / floor |", "|---|---|---|---|---|---|---|---|"]
        for r in self.rows:
            figures = [r.floor, r.drawing, r.codec, r.inertia, r.made]
            cells = ["–" if f is None else f"{f:.4f}" for f in figures]
            lines.append(f"| {r.law} | {'out' if r.far else 'in'} | {' | '.join(cells)} | {r.ratio:.2f} |")
        return "\n".join(lines) + "\n"


def examine(weights: Path | None = None, clips: int = 100, codec: Codec | None = None) -> PhyWorldScore:
    """Examine the shipped model, or a file of `kinowatt train phyworld`. WeightsError; MissingDependency without Box2D."""
    dit, config = model.load(weights)
    parts = [_row(dit, config["shift"], law, far, clips, codec) for law in LAWS for far in (False, True)]
    return PhyWorldScore(tuple(row for row, _ in parts), tuple(example for _, pair in parts for example in pair))


def _row(dit: VideoDiT, shift: float, law: Law, far: bool, clips: int, codec: Codec | None) -> tuple[Row, list[tuple[str, Clip]]]:
    rng = np.random.default_rng(SEED + 2 * LAWS.index(law) + far)
    scenes = [phyworld.scene(law, rng, far) for _ in range(clips)]
    motions = [phyworld.simulate(s, CODED) for s in scenes]
    truth = [phyworld.render(m.centres_TN2, s.radii_N, SIZE) for s, m in zip(scenes, motions, strict=True)]
    given = model.joined([model.measure(frames[:GIVEN]) for frames in truth])
    made = pictures(carry_on(dit, given, law, shift))
    onward = model.drawn(torch.zeros(clips, model.CHANNELS, CODED, 1, model.BALLS), given)
    anew = model.joined([model.measure(frames) for frames in truth])

    def mean(films: list[np.ndarray]) -> float:
        errors = [phyworld.velocity_error(*case) for case in zip(scenes, motions, films, strict=True)]
        return float(np.mean([e for e in errors if e is not None]))

    coded = None if codec is None else mean([_coded(codec, frames) for frames in truth])
    row = Row(law, far, clips, mean(truth), mean(pictures(anew)), coded, mean(pictures(onward)), mean(made))
    title = f"{law}, {'out of' if far else 'in'} distribution"
    return row, [(f"{title}: {what}", Clip(films[0][:FRAMES], fps=10.0)) for what, films in (("truth", truth), ("made", made))]


def carry_on(dit: VideoDiT, given: Drawing, law: Law, shift: float, seed: int = 0) -> Drawing:
    """The drawing of CODED frames that begins with three given ones."""
    law_B = torch.full((len(given.radii),), LAWS.index(law))
    cond = model.conditioning(given, law_B, CODED)
    noise = torch.randn(cond.known_BCFHW.shape, generator=torch.Generator().manual_seed(seed))
    return model.drawn(denoise(model.PhyWorld(dit, given, CODED), cond, noise, schedule(STEPS, CODED, shift=shift)), given)


def pictures(drawing: Drawing, size: int = SIZE) -> list[np.ndarray]:
    """The frames (T, 3, size, size) of each drawing of a batch."""
    there = drawing.there.sum(1).int().tolist()
    rows = zip(drawing.centres.double().numpy(), drawing.radii.double().numpy(), there, strict=True)
    return [phyworld.render(centres[:, :n], radii[:n], size) for centres, radii, n in rows]


@torch.inference_mode()
def _coded(codec: Codec, frames_TCHW: np.ndarray) -> np.ndarray:
    return to_frames(codec.decode(codec.encode(to_signal(frames_TCHW))))
