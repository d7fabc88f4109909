"""Physics of clips that go on from given frames of a held-out scene: gravity, restitution, momentum, sizes, and what hides and returns.

The scene's camera is known, so pixels become metres; the same is done with the true clip by exact masks and by the judge's own.
Legend: T frames, K things; SI units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kinowatt.clip import Clip
from kinowatt.exam import figure, scenes, tracks
from kinowatt.exam.figure import Bar, Estimate, Figure, Section, Shown
from kinowatt.exam.scenes import FRAMES, World
from kinowatt.exam.sitting import Sitting, beside
from kinowatt.exam.tracks import Tracks
from kinowatt.shot import END, START, Anchor
from kinowatt.worlds.toybox import Sample
from kinowatt.worlds.toybox.layout import half_sizes
from kinowatt.worlds.toybox.physics import DENSITY, GRAVITY

GIVEN = 5  # frames: two latents
EVENTS = ("projectile", "bounce", "collide", "fall", "roll", "pendulum")
PLAIN: dict[str, Any] = {"move": "static", "angle": "eye", "shot": "medium", "time": "noon", "weather": "clear", "mood": None}
FALLING = ("projectile", "bounce", "fall")  # what flies freely for long enough
FLIGHT = 4  # frames that a flight needs for a parabola
CEASED = "a clip that stands still after the given frames"
SPANS = 4  # frames before and after a collision through which a line is laid
VOLUMES = {  # over the product of the half sizes
    "ball": 4 / 3 * math.pi,
    "cube": 8.0,
    "cylinder": 2 * math.pi,
    "cone": 2 / 3 * math.pi,
    "torus": 2 * math.pi**2 * 0.7 * 0.3,  # its tube is 0.3 of its outer radius
    "capsule": 5 / 3 * math.pi,  # half as wide as it is long
}


@dataclass(frozen=True, eq=False)
class Motion:
    """A scene and the clips that are held against it, each as tracks of the same things."""

    sample: Sample
    seed: int
    prompt: str
    clip: Clip
    ways: dict[str, Tracks]  # exact, truth, coded, made, floor


def motion(s: Sitting, sample: Sample, backward: bool = False) -> Motion:
    """Give the model the first frames of a scene (or the last), and track all things in what it makes of them."""
    at, given = (END, sample.clip.cut(FRAMES - GIVEN, FRAMES)) if backward else (START, sample.clip.cut(0, GIVEN))
    told = scenes.prompt(sample)
    made = s.candidate.make(told, sample.scene.seed, FRAMES, [Anchor(given, at)])
    s.say(f"{'into the past' if backward else 'into the future'}: {told[:100]}")
    held = scenes.still(sample.clip, FRAMES - GIVEN if backward else GIVEN - 1, FRAMES)
    clips = {"truth": sample.clip, "coded": s.candidate.coded(sample.clip), "made": made.clip, "floor": held}
    ways = {name: tracks.seen(sample, clip, s.judges) for name, clip in clips.items()}
    return Motion(sample, sample.scene.seed, told, made.clip, {"exact": tracks.exact(sample), **ways})


def flights(z_T: np.ndarray, fps: float) -> list[slice]:
    """Where a true height falls freely: frames in which its second difference is that of gravity."""
    bend = np.zeros(len(z_T), bool)
    bend[1:-1] = np.abs(np.diff(z_T, 2) * fps**2 + GRAVITY) < 0.15 * GRAVITY
    found, begin = [], None
    for t, free in enumerate([*bend, False]):
        if free and begin is None:
            begin = t
        elif not free and begin is not None:
            found.append(slice(max(begin - 1, 0), t + 1))  # its ends touch the flight
            begin = None
    return found


def gravity(m: Motion, way: str) -> float | None:
    """g in m/s², by least squares over all free flights after the given frames, each with its own start; None where none is long enough."""
    at, fps = tracks.world(m.sample, m.ways[way]), m.sample.clip.fps or 0.0
    rows, heights, n = [], [], 0
    for place, k in enumerate(tracks.things(m.sample)):
        for flight in flights(m.sample.motion.centers_TK3[:, k, 2], fps):
            frames = np.arange(max(flight.start, GIVEN), flight.stop)
            frames = frames[m.ways["exact"].share_TK[frames, place] > 0]
            if len(frames) >= FLIGHT:
                rows.append((n, frames / fps))
                heights.append(at[frames, place, 2])
                n += 1
    if not n:
        return None
    system = np.zeros((sum(len(t) for _, t in rows), 2 * n + 1))
    line = 0
    for i, t in rows:
        system[line : line + len(t), [2 * i, 2 * i + 1]] = np.stack([np.ones_like(t), t - t[0]], 1)
        system[line : line + len(t), -1] = -0.5 * (t - t[0]) ** 2
        line += len(t)
    return float(np.linalg.lstsq(system, np.concatenate(heights), rcond=None)[0][-1])


def restitution(m: Motion, way: str) -> list[float]:
    """Speed after over speed before, at each bounce between two true flights; 0 where nothing comes down."""
    at, fps = tracks.world(m.sample, m.ways[way]), m.sample.clip.fps or 0.0
    found = []
    for place, k in enumerate(tracks.things(m.sample)):
        free = flights(m.sample.motion.centers_TK3[:, k, 2], fps)
        for before, after in pairwise(free):
            if after.start - before.stop > 2 or before.start < GIVEN - 2 or min(f.stop - f.start for f in (before, after)) < FLIGHT:
                continue
            hit = (before.stop - 1 + after.start) / 2
            down, up = (_speed(at[f, place, 2], np.arange(f.start, f.stop), hit, fps) for f in (before, after))
            found.append(float(np.clip(-up / down, 0.0, 2.0)) if down < -0.05 else 0.0)
    return found


def _speed(z: np.ndarray, frames: np.ndarray, at: float, fps: float) -> float:
    """Of a parabola through heights, at a time."""
    return float(np.polyder(np.poly1d(np.polyfit((frames - at) / fps, z, 2)))(0.0))


def momentum(m: Motion, way: str) -> float | None:
    """What a collision leaves of the momentum along x: after over before. None where no collision is in view for long enough."""
    kept = tracks.things(m.sample)
    if len(kept) != len(m.sample.motion.things):
        return None
    fps = m.sample.clip.fps or 0.0
    speeds = np.diff(m.sample.motion.centers_TK3[:, kept, 0], axis=0) * fps
    hit = 1 + int(np.abs(np.diff(speeds, axis=0)).max(1).argmax())
    masses = np.array([mass(m.sample, k) for k in kept])
    before, after = slice(hit - SPANS, hit), slice(hit + 2, hit + 2 + SPANS)
    if before.start < GIVEN - 2 or after.stop > len(speeds):
        return None
    x = tracks.world(m.sample, m.ways[way])[..., 0]
    parts = [float(np.polyfit(np.arange(SPANS) / fps, x[span], 1)[0] @ masses) for span in (before, after)]
    true = float((speeds[before].mean(0) * masses).sum())
    return parts[1] / true if abs(true) > 0.2 * float(np.abs(speeds[before].mean(0) * masses).sum()) else None


def mass(sample: Sample, k: int) -> float:
    """Of a thing in kg."""
    thing = sample.motion.things[k]
    return DENSITY * VOLUMES[thing.kind] * float(np.prod(half_sizes(thing.kind, thing.size_m)))


def sizes(m: Motion, way: str) -> float:
    """How far the linear sizes of things are off those of the scene by the same judge: mean, in per cent; what is lost is off by 100."""
    mine, true = (m.ways[w].share_TK[GIVEN:] for w in (way, "exact" if way == "exact" else "truth"))
    use = true > 0
    off = np.where(mine > 0, np.abs(np.sqrt(mine / np.where(use, true, 1.0)) - 1.0), 1.0)
    return 100.0 * float(np.minimum(off, 1.0)[use].mean()) if use.any() else 0.0


def physics(s: Sitting) -> Section:
    """Everything of it that has a number."""
    found = [motion(s, sample) for sample in _cases(s, s.amounts.motions)]
    backward = [motion(s, sample, backward=True) for sample in _cases(s, s.amounts.backward)]
    figures = [
        _g([m for m in found if m.sample.scene.event in FALLING]),
        *_coefficients(found),
        _apart(found, "trajectory into the future", slice(GIVEN, None), CEASED),
    ]
    before = "a clip that stands still before the given frames"
    figures.append(_apart(backward, "trajectory into the past", slice(0, FRAMES - GIVEN), before))
    figures.append(_figure(found, "sizes", "% off", sizes, "linear size of each thing against the scene's; what is lost counts 100"))
    hidden, shown = permanence(s)
    words = (
        f"Each event {s.amounts.motions} times into the future ({GIVEN} of {FRAMES} frames given) and {s.amounts.backward} times into the "
        "past; static camera, noon, clear. Left the model's clip, right the true one.",
        "The ceiling is the scene by the judge's masks; what the world's exact masks give stands in the last column.",
    )
    clips = [Shown("into the future | true", m.prompt, m.seed, m.seed, beside(m.clip, m.sample.clip)) for m in found]
    clips += [Shown("into the past | true", m.prompt, m.seed, m.seed, beside(m.clip, m.sample.clip)) for m in backward]
    return Section("physics", "Physics", words, (*figures, hidden), (*clips, *shown))


def _cases(s: Sitting, n: int) -> Iterator[Sample]:
    """`n` scenes of each event, each event beginning where the one before ended, or the same things would be seen in all."""
    for i, event in enumerate(EVENTS):
        for number in scenes.first(n * (i + 1), event=event, **PLAIN)[-n:]:
            yield s.world.sample(number, event=event, **PLAIN)


def _figure(found: Sequence[Motion], name: str, unit: str, of: Callable[[Motion, str], float | None], says: str) -> Figure:
    values = {way: figure.mean([of(m, way) for m in found]) for way in ("exact", "made", "truth", "coded", "floor")}
    says += _by_exact(values["exact"])
    return Figure(name, unit, values["made"], values["truth"], values["coded"], values["floor"], CEASED, None, says)


def _by_exact(found: Estimate) -> str:
    return f"; the scene by exact masks: {found.value:.3g} (n = {found.n})" if found.value is not None else ""


def _g(found: Sequence[Motion]) -> Figure:
    """The error of the median g of all clips with a flight."""

    def off(way: str) -> Estimate:
        values = np.array([g for m in found if (g := gravity(m, way)) is not None])
        return figure.statistic(len(values), lambda at: abs(float(np.median(values[at])) / GRAVITY - 1.0) * 100.0)

    values = [g for m in found if (g := gravity(m, "made")) is not None]
    says = "error of the median over clips with a free flight" + _by_exact(off("exact"))
    says += f"; the model's median is {np.median(values):.2f} m/s²" if values else ""
    return Figure("g", "% off", off("made"), off("truth"), off("coded"), off("floor"), CEASED, Bar(5.0, "most"), says)


def _coefficients(found: Sequence[Motion]) -> Iterator[Figure]:
    def bounced(m: Motion, way: str) -> float | None:
        pairs = list(zip(restitution(m, way), restitution(m, "exact"), strict=True))
        return float(np.mean([abs(a - b) for a, b in pairs])) if pairs else None

    def kept(m: Motion, way: str) -> float | None:
        mine, true = momentum(m, way), momentum(m, "exact")
        return None if mine is None or true is None else min(abs(mine - true), 2.0)

    bouncing = [m for m in found if m.sample.scene.event == "bounce"]
    colliding = [m for m in found if m.sample.scene.event == "collide"]
    yield _figure(bouncing, "restitution", "off", bounced, "speed after over before a bounce, against that of the scene by exact masks")
    yield _figure(colliding, "momentum", "off", kept, "what a collision leaves of the momentum, against the scene by exact masks")


def _apart(found: Sequence[Motion], name: str, frames: slice, floor_is: str) -> Figure:
    """Distance of things from where they truly are."""
    values = {
        way: figure.mean([tracks.apart(m.ways[way], m.ways["exact"], frames) for m in found], 100.0)
        for way in ("made", "truth", "coded", "floor")
    }
    says = "mean distance of things from their true places (exact masks), in % of the frame's side"
    return Figure(name, "% of side", values["made"], values["truth"], values["coded"], values["floor"], floor_is, None, says)


def permanence(s: Sitting) -> tuple[Figure, list[Shown]]:
    """Things that go behind others and come out again, while the camera goes round them: are they there afterwards?"""
    small = World((48, 48), 9, 4.0, s.world.toybox)
    cases: list[tuple[int, int]] = []
    for number in scenes.first(SEARCHED * s.amounts.hidden, lambda x: len(x.subjects) > 1, event="still", **HIDING):
        if len(cases) < s.amounts.hidden and (k := _returns(tracks.exact(small.sample(number, event="still", **HIDING)))) is not None:
            cases.append((number, k))
    marks: dict[str, list[float]] = {"made": [], "truth": [], "coded": [], "floor": []}
    shown = []
    for number, k in cases:
        m = motion(s, s.world.sample(number, event="still", **HIDING))
        for way, values in marks.items():
            values.append(_there(m.ways[way], m.ways["truth"], k))
        shown.append(Shown("behind another | true", m.prompt, m.seed, m.seed, beside(m.clip, m.sample.clip)))
    made, truth, coded, floor = (figure.mean(marks[way], 100.0) for way in ("made", "truth", "coded", "floor"))
    says = "a thing that another one hid is back in its place, at half its size or more, at the end of the clip"
    return Figure("permanence", "%", made, truth, coded, floor, CEASED, None, says), shown


HIDING: dict[str, Any] = {**PLAIN, "move": "orbit-left"}
SEARCHED = 30  # scenes that are looked through for each thing that hides


def _returns(found: Tracks) -> int | None:
    """The thing that is mostly hidden in the middle and seen at both ends."""
    share = found.share_TK / np.maximum(found.share_TK.max(0), 1e-9)
    hidden = (share[0] > 0.6) & (share[-1] > 0.6) & (share[2:-2].min(0) < 0.35)
    return int(hidden.argmax()) if hidden.any() else None


def _there(mine: Tracks, true: Tracks, k: int) -> float:
    """1 where thing `k` stands near its true place, at half its size or more, in the last frames."""
    last = slice(-3, None)
    near = np.linalg.norm(mine.centres_TK2[last, k] - true.centres_TK2[last, k], axis=-1).mean() < 0.1
    return float(near and mine.share_TK[last, k].mean() > 0.5 * true.share_TK[last, k].mean())
