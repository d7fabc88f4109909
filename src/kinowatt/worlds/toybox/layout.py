"""Where each subject of a scene stands and how it is set going."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from kinowatt.worlds.toybox.scene import COLORS, Scene, Subject

ROPE_M = 1.5
HOOK_M = ROPE_M + 0.65  # height of the beam that pendulums hang from
DOMINO_M = (0.06, 0.26, 0.48)
DOMINO_PITCH_M = 0.44
UPRIGHT = (1.0, 0.0, 0.0, 0.0)
ON_EDGE = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)  # the axis lies along y
GAP_M = 0.002  # between a thing and the ground at the start


@dataclass(frozen=True)
class Start:
    """Position in metres, quaternion w, x, y, z, and linear and angular velocity, the latter in the body's frame.

    Of a pendulum the first number of `velocity` is its angle in radians.
    """

    pos: tuple[float, float, float]
    quat: tuple[float, float, float, float] = UPRIGHT
    velocity: tuple[float, ...] = (0.0,) * 6


def half_sizes(kind: str, size_m: float) -> tuple[float, float, float]:
    """Half extents in metres of a solid of that size, its axis upright."""
    wide = {"cylinder": 0.8, "cone": 0.9, "capsule": 0.5}.get(kind, 1.0) * size_m
    return wide, wide, 0.3 * size_m if kind == "torus" else size_m


def dominoes(scene: Scene) -> tuple[Subject, ...]:
    """The tiles of a domino scene: of one colour, or of all colours where the mood is lively."""
    r = random.Random(scene.seed + 11)
    palette = r.sample(sorted(COLORS), scene.count)
    many = scene.mood == "lively"
    return tuple(Subject("domino", palette[i if many else 0], "glossy", DOMINO_M[2]) for i in range(scene.count))


def place(scene: Scene, subjects: tuple[Subject, ...], duration_s: float) -> list[Start]:
    """A start for each subject, so that what happens is half done in the middle of the clip."""
    r = random.Random(scene.seed + 7)
    n = len(subjects)
    return [_start(scene, i, n, subject, subjects, min(duration_s, 2.5), r) for i, subject in enumerate(subjects)]


def _cluster(i: int, n: int) -> tuple[float, float]:
    """Places of a group: one, two abreast, then staggered in two rows, so that five do not need a wider frame than three."""
    if n <= 2:
        return (i - (n - 1) / 2) * 0.95, 0.0
    return (i - (n - 1) / 2) * (0.85 if n == 3 else 0.68), 0.35 if i % 2 else -0.35


def _rest(subject: Subject, yaw: float) -> tuple[float, tuple[float, float, float, float]]:
    """Height of the centre above the ground and attitude, as the thing lies or stands by itself."""
    x, _, z = half_sizes(subject.kind, subject.size_m)
    turn = (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
    if subject.kind != "capsule":
        return z + GAP_M, turn
    k = math.sqrt(0.5)
    return x + GAP_M, (turn[0] * k, turn[0] * k, turn[3] * k, turn[3] * k)


def _start(scene: Scene, i: int, n: int, subject: Subject, subjects: tuple[Subject, ...], duration_s: float, r: random.Random) -> Start:
    s, pace = scene.heading, scene.pace
    abreast = i - (n - 1) / 2
    x, y = _cluster(i, n)
    z, lying = _rest(subject, r.uniform(-math.pi, math.pi))
    match scene.event:
        case "fall":
            quat = [r.gauss(0, 1) for _ in range(4)]
            norm = math.sqrt(sum(q * q for q in quat))
            w, a, b, c = (q / norm for q in quat)
            return Start((x, y + r.uniform(-0.1, 0.1), 1.5 + 0.25 * i + subject.size_m), (w, a, b, c))
        case "bounce":
            return Start((x, y + r.uniform(-0.1, 0.1), 1.1 + 0.25 * i + z))
        case "roll":
            return _rolling(scene, subject, abreast, i, duration_s)
        case "collide":
            return _collision(scene, i, n, subject, z, lying, r)
        case "pendulum":
            return Start((abreast * 1.0, 0.0, HOOK_M), velocity=(s * math.radians(35 + 15 * pace + 5 * i), 0, 0, 0, 0, 0))
        case "domino":
            push = (0.55 * s, 0.0, 0.0, 0.0, 2.2 * s, 0.0) if i == (0 if s > 0 else n - 1) else (0.0,) * 6
            return Start((abreast * DOMINO_PITCH_M, 0.0, z), velocity=push)
        case "topple":
            below = sum(2 * other.size_m for other in subjects[:i])
            return Start((s * 0.17 * i, r.uniform(-0.03, 0.03), below + z), velocity=(s * 0.35 * i, 0.0, 0.0, 0.0, 0.0, 0.0))
        case "projectile":
            toss = (1.5 * pace * s, 0.0, 3.6 + 0.5 * r.random())
            across = -0.5 * toss[0] * 0.85 - 0.5 * abreast * s
            return Start((across, abreast * 0.9, subject.size_m + 0.2), velocity=(*toss, r.gauss(0, 1.5), r.gauss(0, 1.5), 0.0))
        case "wind":
            back = -s * 0.9 * pace + 0.5 * x
            still = ON_EDGE if subject.kind in ("capsule", "cylinder") else lying if subject.kind != "cube" else UPRIGHT
            low = half_sizes(subject.kind, subject.size_m)[0] + GAP_M
            return Start((back, 0.85 * abreast, low), still)
        case _:
            return Start((x + r.uniform(-0.08, 0.08), y + r.uniform(-0.2, 0.2), z), lying)


def _rolling(scene: Scene, subject: Subject, abreast: float, i: int, duration_s: float) -> Start:
    """A ball, or a round thing on its edge, that rolls from the start without slipping."""
    v = (1.25 - 0.06 * i) * scene.pace * scene.heading
    on_edge = subject.kind != "ball"
    radius = half_sizes(subject.kind, subject.size_m)[0]
    spin = (0.0, 0.0, -v / radius) if on_edge else (0.0, v / radius, 0.0)
    where = (-0.5 * v * duration_s + 0.2 * abreast * scene.heading, abreast * 0.85, radius + GAP_M)
    return Start(where, ON_EDGE if on_edge else UPRIGHT, (v, 0.0, 0.0, *spin))


def _collision(
    scene: Scene, i: int, n: int, subject: Subject, z: float, lying: tuple[float, float, float, float], r: random.Random
) -> Start:
    """Five layouts: a ball into what stands, two things head-on, a ball into a close pair, two from both sides, a ball into a row."""
    s, layout = scene.heading, scene.seed % 5
    v = 2.6 * scene.pace * s
    spin = v / subject.size_m if subject.kind == "ball" else 0.0
    if i == 0:
        aside, drift = (0.9, -0.62 * v * s) if layout == 3 else (r.uniform(-0.06, 0.06) * (layout != 1), 0.0)
        return Start((-1.4 * s, aside, z), velocity=(v, drift, 0.0, -drift / subject.size_m, spin, 0.0))
    if i == 1 and layout == 1:
        return Start((1.2 * s, 0.0, z), UPRIGHT if subject.kind == "ball" else lying, velocity=(-0.8 * v, 0.0, 0.0, 0.0, -0.8 * spin, 0.0))
    if layout == 4:
        return Start((0.1 * s + (i - 1) * 0.86 * s, 0.0, z), lying)
    if layout == 3 and i == 1:
        return Start((0.25 * s, -0.15, z), lying)
    aside = {0: (0.0, 0.85, -0.85), 1: (0.0, 0.95, -0.95), 2: (0.43, -0.43, 0.0), 3: (0.0, 0.8, -0.95)}[layout][i - 1]
    return Start((0.3 * s + (0.0 if i < 3 and layout == 2 else 0.4 * s * (i - 1)), aside, z), lying)
