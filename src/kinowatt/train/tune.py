"""Quality per joule: a model's scores in the exam against the energy of a clip, over steps, guidance, caching and size."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from kinowatt.energy.bill import EnergyBill
from kinowatt.energy.meter import Meter
from kinowatt.engine import load as engines
from kinowatt.engine.budget import FRONTIER, Choice
from kinowatt.engine.engine import Engine
from kinowatt.engine.ways import Ways
from kinowatt.errors import DeviceError, MissingDependency, OutputError, ShotError
from kinowatt.exam.closeness import Closeness, Score
from kinowatt.exam.scenes import FRAMES
from kinowatt.places import cache, whole
from kinowatt.shot import Shot

STEPS = (4, 8, 12, 20, 30)
GUIDANCE = (1.0, 2.0, 3.0, 5.0, 8.0)
CACHES, CACHED = (1, 2, 4), (3.0, 5.0)  # steps that the term of guidance is kept for, and at which guidance that is tried
ROUNDS = 9  # clips of each choice whose joules are measured
SHRINK = (0.75, 0.5)  # of the model's own side, for the smaller sizes


def choices(size: tuple[int, int], grid: int) -> Iterator[Choice]:
    """What is tried: everything at the model's own size, and without caching at smaller ones."""
    for steps in STEPS:
        yield Choice(steps, 1.0, 1, size, None)
        for guidance in GUIDANCE[1:]:
            for every in CACHES if guidance in CACHED else CACHES[:1]:
                yield Choice(steps, guidance, every, size, None)
    smaller = {(max(round(size[0] * s / grid), 1) * grid, max(round(size[1] * s / grid), 1) * grid) for s in SHRINK} - {size}
    for small in sorted(smaller, reverse=True):
        for steps in (4, 8, 20):
            for guidance in (1.0, 3.0, 5.0):
                yield Choice(steps, guidance, 1, small, None)


def tune(
    model: str, clips: int, device: str, runtime: str, zone: str | None, out: Path | None, png: Path, say: Callable[[str], None]
) -> list[str]:
    """Measure all choices; write frontier.json beside the weights (or into `out`) and draw it. Returns the table.

    MissingDependency without the world's renderer or matplotlib; OutputError if nothing can be written.
    """
    engine = engines.load(model, device, Ways(runtime))
    if not isinstance(engine, Engine):
        raise ShotError(f"{engine.model.spec.name} runs through diffusers and cannot be tuned; name a model that kinowatt runs itself")
    folder = out or engine.model.spec.folder
    _check(folder)
    exam = Closeness(engine, clips, cache() / "exam", engine.model.spec.size)
    scores = []
    for choice in choices(engine.model.spec.size, engine.model.spec.grid):
        scores.append((choice, examine(engine, exam, choice)))
        say(f"{_name(choice)}: quality {exam.scale.quality(scores[-1][1]):.3f}")
    judged = [replace(c, quality=round(exam.scale.quality(score), 4)) for c, score in scores]
    marked = best(weigh(engine, judged, exam.captions, zone))
    facts = {
        "model": engine.model.spec.name,
        "weights_sha256": engine.model.sha256,
        "clips": clips,
        "frames": FRAMES,
        "device": engine.place.device,
        "runtime": engine.place.runtime,
        "measured_on": time.strftime("%Y-%m-%d"),
        "energy": f"of making a clip, without loading and writing, median of {ROUNDS}; "
        + "; ".join(Meter(zone=zone).bill.sources.values()),
        "scale": exam.scale.to_json(),
    }
    rows = [{**asdict(c), **_scores(s)} for c, (_, s) in zip(marked, scores, strict=True)]
    with whole(folder / FRONTIER) as part:
        part.write_text(json.dumps({**facts, "choices": rows}, indent=1) + "\n")
    draw(png, marked, facts)
    return lines(marked)


def _shot(choice: Choice, caption: str, seed: int, fps: float) -> Shot:
    shot = Shot(caption, size=choice.size, seconds=FRAMES / fps, seed=seed)
    return replace(shot, steps=choice.steps, guidance=choice.guidance, cache=choice.cache)


def examine(engine: Engine, exam: Closeness, choice: Choice) -> Score:
    """The scores of the clips of all captions, made this way."""
    fps = engine.model.spec.fps
    made = (engine.generate(_shot(choice, caption, seed, fps)).clip for seed, caption in enumerate(exam.captions))
    return exam.score(np.stack([exam.features([clip])[0] for clip in made]))


def weigh(engine: Engine, found: Sequence[Choice], captions: Sequence[str], zone: str | None) -> list[Choice]:
    """The choices with their joules and seconds: medians of `ROUNDS`, in each of which all take turns in another order.

    So what the machine does beside, and how warm it is, falls on all alike. DeviceError where no energy can be read.
    """
    dice, bills = random.Random(0), [list[EnergyBill]() for _ in found]
    for turn in range(ROUNDS + 1):
        for i in dice.sample(range(len(found)), len(found)):
            shot = _shot(found[i], captions[turn % len(captions)], turn, engine.model.spec.fps)
            bill = engine.generate(shot, meter=Meter(zone=zone)).bill
            if bill.work_J is None:
                raise DeviceError("no energy can be read on this machine, so nothing can be held against it")
            if turn:  # the first clip of a shape pays for what is kept in memory afterwards
                bills[i].append(bill)
    return [
        replace(c, joules_J=round(median(b.work_J or 0.0 for b in own), 4), seconds=round(median(b.energy.wall_s for b in own), 4))
        for c, own in zip(found, bills, strict=True)
    ]


def best(measured: Sequence[Choice]) -> list[Choice]:
    """The choices with those marked that nothing cheaper equals."""

    def beaten(c: Choice) -> bool:
        joules, quality = _place(c)
        return any(_place(o)[0] <= joules and _place(o)[1] >= quality and o is not c for o in measured)

    return [replace(c, best=not beaten(c)) for c in measured]


def _place(c: Choice) -> tuple[float, float]:
    """Joules and quality of a choice that was measured."""
    assert c.joules_J is not None
    assert c.quality is not None
    return c.joules_J, c.quality


def lines(found: Sequence[Choice]) -> list[str]:
    """The frontier, for terminals."""
    said = [f"{'steps':>5}  {'guidance':>8}  {'kept for':>8}  {'size':>9}  {'quality':>7}  {'J':>7}  {'quality/J':>9}"]
    for c in sorted((c for c in found if c.best), key=_place):
        (joules, quality), size = _place(c), f"{c.size[0]}x{c.size[1]}"
        said.append(f"{c.steps:>5}  {c.guidance:>8g}  {c.cache:>8}  {size:>9}  {quality:>7.3f}  {joules:>7.3g}  {quality / joules:>9.3g}")
    return [*said, f"{len(said) - 1} of {len(found)} choices are on the frontier"]


def draw(path: Path, found: Sequence[Choice], facts: dict[str, Any]) -> None:
    """Quality over joules, the frontier as a line. MissingDependency without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependency("drawing the frontier needs matplotlib; pip install 'kinowatt[plots]'") from None
    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    axes = figure.subplots()
    widest = max(c.size[0] for c in found)
    for guidance in sorted({c.guidance for c in found}):
        rows = [c for c in found if c.guidance == guidance]
        joules, quality = zip(*map(_place, rows), strict=True)
        axes.scatter(joules, quality, s=[20 + 40 * (c.size[0] / widest) ** 2 for c in rows], alpha=0.75, label=f"guidance {guidance:g}")
    front = sorted((c for c in found if c.best), key=_place)
    axes.plot(*zip(*map(_place, front), strict=True), color="#333", lw=1, zorder=0)
    for i, c in enumerate(front):  # to the left and to the right in turn, for neighbours are close
        told = f"{c.steps} steps{f', kept {c.cache}' if c.cache > 1 else ''}, {c.size[0]}x{c.size[1]}"
        left = i % 2 == 0
        axes.annotate(
            told, _place(c), (-6 if left else 6, 6 if left else -10), textcoords="offset points", fontsize=7, ha="right" if left else "left"
        )
    axes.set_xscale("log")
    axes.set_xlabel("J per clip, without loading and writing")
    axes.set_ylabel("quality: 0 noise, 1 the world through the codec")
    axes.set_title(f"{facts['model']}: quality per joule ({facts['clips']} held-out captions, {facts['runtime']})", fontsize=10)
    axes.grid(alpha=0.2)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.margins(x=0.18)
    with whole(path) as part:
        figure.savefig(part, format="png")


def _scores(score: Score) -> dict[str, float]:
    return {"frechet": round(score.frechet, 4), "rank": round(score.rank, 4)}


def _name(c: Choice) -> str:
    kept = f", kept for {c.cache}" if c.cache > 1 else ""
    return f"{c.steps} steps, guidance {c.guidance:g}{kept}, {c.size[0]}x{c.size[1]}"


def _check(folder: Path) -> None:
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"{folder} cannot be written to; name another folder with --out")
