"""Long clips: how far the last of a clip has drifted from its first, and what a second of it costs.

After Helios: |M(first 15 %) - M(last 15 %)|, for measures M that a clip should keep. Ours are told in shares of their first value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kinowatt.clip import Clip
from kinowatt.exam import figure, scenes
from kinowatt.exam.figure import Bar, Figure, Section, Shown
from kinowatt.exam.physics import PLAIN
from kinowatt.exam.scenes import World
from kinowatt.exam.sitting import Sitting, beside
from kinowatt.worlds.toybox import Sample

ENDS = 0.15  # of a clip
EVENTS = ("pendulum", "turbine", "still")  # what looks the same after a minute
OTHER = "a clip that ends as another scene"
LONGEST = 60.0


def measures(frames_TCHW: np.ndarray) -> np.ndarray:
    """Brightness, contrast, saturation, sharpness and motion of a part of a clip."""
    x = frames_TCHW.astype(np.float32) / 255.0
    grey = x.mean(1)
    edges = np.abs(4 * grey[:, 1:-1, 1:-1] - grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1] - grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2])
    return np.array([grey.mean(), grey.std((1, 2)).mean(), (x.max(1) - x.min(1)).mean(), edges.mean()])


NAMES = ("brightness", "contrast", "saturation", "sharpness")


def drifts(clip: Clip) -> np.ndarray:
    """Of each measure, the change from the first to the last part in per cent of the first."""
    n = max(round(ENDS * clip.frames), 1)
    first, last = measures(clip.frames_TCHW[:n]), measures(clip.frames_TCHW[-n:])
    return np.asarray(100.0 * np.abs(last - first) / np.maximum(first, 1e-3))


def frames_of(seconds: float, fps: float) -> int:
    """4k + 1."""
    return round((seconds * fps - 1) / 4) * 4 + 1


def long(s: Sitting) -> Section:
    """Drift and cost at each length."""
    figures: list[Figure] = []
    clips: list[Shown] = []
    for seconds, n in s.amounts.long:
        frames = frames_of(seconds, s.candidate.fps)
        world = World(s.world.size, frames, s.candidate.fps, s.world.toybox)
        cases = []
        for i in range(n):
            over: dict[str, Any] = {**PLAIN, "event": EVENTS[i % len(EVENTS)]}
            cases.append(world.sample(scenes.first(i // len(EVENTS) + 1, **over)[-1], **over))
        found, shown = _at(s, seconds, frames, cases)
        figures += found
        clips += shown
    words = (
        f"The change of brightness, contrast, saturation and sharpness from the first {ENDS:.0%} of a clip to the last, in % of the first; "
        "static camera, things that go on as they are. The clips below show every eighth frame.",
    )
    return Section("long", "Long clips", words, tuple(figures), tuple(clips))


def _at(s: Sitting, seconds: float, frames: int, cases: list[Sample]) -> tuple[list[Figure], list[Shown]]:
    made, shown = [], []
    for sample in cases:
        told = scenes.prompt(sample)
        made.append(s.candidate.make(told, sample.scene.seed, frames))
        s.say(f"{seconds:g} s: {told[:100]}")
        both = beside(made[-1].clip, sample.clip)
        quick = Clip(both.frames_TCHW[::8], fps=both.fps)
        shown.append(Shown(f"{seconds:g} s, every eighth frame | the scene", told, sample.scene.seed, sample.scene.seed, quick))
    values = [drifts(m.clip) for m in made]
    worst = NAMES[int(np.mean(values, 0).argmax())]
    joules = [m.work_J for m in made if m.work_J is not None]
    energy = f", {np.mean(joules):.0f} J" if joules else ", energy not measured"
    each = f"mean of {len(NAMES)} measures; the worst is {worst}; a clip took {np.mean([m.seconds for m in made]):.0f} s{energy}"
    truth = figure.mean([float(drifts(sample.clip).mean()) for sample in cases])
    floor = figure.mean([_between(m.clip, s.samples[i].clip) for i, m in enumerate(made)])
    bar = Bar(2.0, "most") if seconds == LONGEST else None
    found = [Figure(f"drift at {seconds:g} s", "%", figure.mean([float(v.mean()) for v in values]), truth, None, floor, OTHER, bar, each)]
    if seconds == LONGEST:
        took = figure.mean([m.seconds for m in made], 1 / 60)
        found.append(Figure(f"time for {seconds:g} s", "min", took, bar=Bar(5.0, "most"), says="the bar is for two cores"))
    return found, shown


def _between(a: Clip, b: Clip) -> float:
    """The drift if the clip ended as another scene."""
    first, last = measures(a.frames_TCHW[: max(round(ENDS * a.frames), 1)]), measures(b.frames_TCHW)
    return float((100.0 * np.abs(last - first) / np.maximum(first, 1e-3)).mean())
