"""PhyWorld in the exam: a model is given three frames and makes the others; judged is how far the balls' velocities are from the truth.

The figures are of phyworld, a small model of that world alone (models/phyworld_model.py), not of the model that sits the exam: that one
lends its codec, to show what becomes of the truth in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.engine.conditioning import to_frames, to_signal
from kinowatt.engine.noise import schedule
from kinowatt.engine.sample import denoise
from kinowatt.exam.figure import Bar, Estimate, Figure, Section, Shown, Table, mean
from kinowatt.exam.sitting import Sitting, beside
from kinowatt.models import phyworld_model as model
from kinowatt.models.dit import VideoDiT
from kinowatt.models.phyworld_model import Drawing
from kinowatt.models.protocols import Codec
from kinowatt.worlds import phyworld
from kinowatt.worlds.phyworld import FRAMES, GIVEN, LAWS, Law

SIZE = 128  # pixels a side
CODED = FRAMES + 1  # codecs want 4k + 1; the last is not judged
STEPS = 4
CLIPS, QUICK_CLIPS = 100, 10  # of each law, in distribution and out of it
SEED = 2 * 10**6  # of scenes that no training and no examination during training has
NEAR_BAR, FAR_BAR = 1.5, 0.2  # in distribution: times what the truth scores; out of it: units per second
WORDS = (
    "Kang et al. 2024 (arXiv 2411.02385): discs in a box of 10 x 10 units, 32 frames of 0.1 s, the first three given. An error is the mean "
    "distance of velocities between frames, found in pictures of 128 x 128 by colour; the truth's own error is the size of a pixel.",
    "The model was trained on scenes in distribution alone (radii 0.7 to 1.5, speeds 1 to 4), filmed by cameras of other frame rates and "
    "zooms that leave gravity as it is. Its codec measures and draws discs. Inertia is built in, and that collisions look alike at every "
    "scale; gravity, contact and the exchange of momentum are learned. So its errors do not compare with those of models that see pixels.",
)
HEAD = ("law", "distribution", "truth", "truth, drawn anew", "truth in the codec", "inertia alone", "made", "made / truth")


def ask(sitting: Sitting) -> Section:
    """The section of the exam."""
    engine = sitting.candidate.engine
    return examine(None, QUICK_CLIPS if sitting.amounts.quick else CLIPS, engine.model.codec)


def examine(weights: Path | None = None, clips: int = CLIPS, codec: Codec | None = None) -> Section:
    """Examine the shipped model, or a file of `kinowatt train phyworld`. WeightsError; MissingDependency without Box2D."""
    dit, config = model.load(weights)
    parts = [_case(dit, config["shift"], law, far, clips, codec) for law in LAWS for far in (False, True)]
    figures, rows, shown = zip(*parts, strict=True)
    return Section("phyworld", "PhyWorld", WORDS, figures, shown, (Table("Errors of velocity, units per second", HEAD, rows),))


def _case(dit: VideoDiT, shift: float, law: Law, far: bool, clips: int, codec: Codec | None) -> tuple[Figure, tuple[str, ...], Shown]:
    """One law, in distribution or out of it."""
    seed = SEED + 2 * LAWS.index(law) + far
    rng = np.random.default_rng(seed)
    scenes = [phyworld.scene(law, rng, far) for _ in range(clips)]
    motions = [phyworld.simulate(s, CODED) for s in scenes]
    truth = [phyworld.render(m.centres_TN2, s.radii_N, SIZE) for s, m in zip(scenes, motions, strict=True)]

    def errors(films: list[np.ndarray]) -> Estimate:
        return mean([phyworld.velocity_error(*case) for case in zip(scenes, motions, films, strict=True)])

    given = model.joined([model.measure(frames[:GIVEN]) for frames in truth])
    made = pictures(carry_on(dit, given, law, shift))
    onward = pictures(model.drawn(torch.zeros(clips, model.CHANNELS, CODED, 1, model.BALLS), given))
    stopped = [np.concatenate([frames[:GIVEN], frames[GIVEN - 1 : GIVEN].repeat(CODED - GIVEN, 0)]) for frames in truth]
    anew = pictures(model.joined([model.measure(frames) for frames in truth]))
    coded = None if codec is None else errors([_coded(codec, frames) for frames in truth])
    of = {"truth": errors(truth), "anew": errors(anew), "coded": coded, "onward": errors(onward), "made": errors(made)}
    assert of["truth"] is not None and of["made"] is not None  # noqa: PT018
    exact, reached = of["truth"].value or 0.0, of["made"].value or 0.0
    where = "out of" if far else "in"
    figure = Figure(
        f"{law}, {where} distribution",
        "units/s",
        of["made"],
        truth=of["truth"],
        coded=of["anew"],
        floor=errors(stopped),
        floor_is="balls stop at the last given frame",
        bar=Bar(FAR_BAR if far else round(NEAR_BAR * exact, 4), "most"),
        says="error of velocity" + ("" if far else f"; the bar is {NEAR_BAR} times the truth's own"),
    )
    cells = ["–" if e is None or e.value is None else f"{e.value:.4f}" for e in of.values()]
    clip = beside(*(Clip(films[0][:FRAMES], fps=10.0) for films in (made, truth)))
    return figure, (law, where, *cells, f"{reached / exact:.2f}"), Shown(figure.name, f"three frames; {law}", 0, seed, clip)


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
