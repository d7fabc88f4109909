"""PhyWorld: three laws of mechanics in a white box, each the simplest scene that shows it (Kang et al. 2024, arXiv 2411.02385).

Scenes, ranges and rules of placement are those of the authors' generator (github.com/phyworld/phyworld, Apache-2.0); pictures are ours.
The box is 10 x 10, a frame lasts 0.1 s. Legend: T frames, N balls; x to the right, y up, both in the box's units.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kinowatt.errors import MissingDependency

Law = Literal["uniform", "collision", "parabola"]
LAWS: tuple[Law, ...] = ("uniform", "collision", "parabola")
BOX = 10.0
STEP_S, STEPS = 0.01, 10  # of the simulation, and how many of them make a frame
FRAMES, GIVEN = 32, 3  # that a clip has, and that a model is given
GRAVITY = 2.5
RADII, SPEEDS = ((0.7, 1.5),), ((1.0, 4.0),)  # in distribution
FAR_RADII, FAR_SPEEDS = ((0.3, 0.6), (1.5, 2.0)), ((0.0, 0.8), (4.5, 6.0))  # out of it
COLOURS = np.array([(255, 0, 0), (0, 0, 255)], np.float32)  # of the first and the second ball
BEFORE, AFTER = 8, 8  # frames that a collision leaves at least before and after it
IN_VIEW = 24  # frames that a lone ball stays in view, where its speed lets it
METRES = 10.0  # per unit: Box2D lets bodies that meet at less than 1 m/s stick together, and these must not

Ranges = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ball:
    """Radius, first centre, and first velocity, which is horizontal."""

    radius: float
    x: float
    y: float
    speed: float


@dataclass(frozen=True)
class Scene:
    """One law and its one or two balls; `far` where a radius or a speed is out of distribution."""

    law: Law
    balls: tuple[Ball, ...]
    far: bool

    @property
    def radii_N(self) -> np.ndarray:
        """Of all balls."""
        return np.array([b.radius for b in self.balls])


@dataclass(frozen=True, eq=False)
class Motion:
    """The exact truth: centres and velocities (T, N, 2)."""

    centres_TN2: np.ndarray
    velocities_TN2: np.ndarray


def scene(law: Law, rng: np.random.Generator, far: bool = False) -> Scene:
    """A random scene. Where it is `far`, sizes, speeds, or both are out of distribution: of one ball or of both."""
    count = 2 if law == "collision" else 1
    what = rng.integers(3) if far else None  # 0: sizes, 1: speeds, 2: both
    outside = np.full(count, far)
    if far and count == 2:
        outside[rng.integers(2)] = rng.random() < 0.5
    radii = [_draw(rng, FAR_RADII if out and what != 1 else RADII) for out in outside]
    speeds = [_draw(rng, FAR_SPEEDS if out and what != 0 else SPEEDS) for out in outside]
    if count == 2:
        placed = _colliding(rng, radii, speeds)
        return scene(law, rng, far) if placed is None else Scene(law, placed, far)
    (radius,), (speed,) = radii, speeds
    last = BOX - IN_VIEW * speed * STEPS * STEP_S - radius
    x = rng.uniform(radius, last if last >= radius else radius + rng.uniform(0.0, 0.5))
    y = rng.uniform(8.5, 9.5) - radius if law == "parabola" else rng.uniform(radius + 0.5, BOX - 0.5 - radius)
    return Scene(law, (Ball(radius, float(x), float(y), speed),), far)


def _draw(rng: np.random.Generator, ranges: Ranges) -> float:
    """Evenly from a union of ranges."""
    widths = np.array([b - a for a, b in ranges])
    low, high = ranges[rng.choice(len(ranges), p=widths / widths.sum())]
    return float(rng.uniform(low, high))


def _colliding(rng: np.random.Generator, radii: list[float], speeds: list[float]) -> tuple[Ball, Ball] | None:
    """Two balls on one line that will meet in view, both in view until then; None if the box has no room for that."""
    (r1, r2), approach = radii, sum(speeds) * STEPS * STEP_S  # the latter per frame
    touching = r1 + r2
    nearest = touching + BEFORE * approach
    farthest = min(touching + (FRAMES - AFTER) * approach, BOX - touching)
    if nearest > farthest:
        return None
    apart = rng.uniform(nearest, farthest)
    x = rng.uniform(r1, BOX - r2 - apart)
    margin = max(radii) + 0.5
    y = float(rng.uniform(margin, BOX - margin))
    return Ball(r1, float(x), y, speeds[0]), Ball(r2, float(x + apart), y, -speeds[1])


def simulate(scene: Scene, frames: int = FRAMES, steps: int = STEPS) -> Motion:
    """Move the balls by Box2D, `steps` hundredths of a second from frame to frame. MissingDependency without it."""
    b2 = _box2d()
    world = b2.b2World(gravity=(0.0, -GRAVITY * METRES if scene.law == "parabola" else 0.0), doSleep=False)
    bodies = []
    for ball in scene.balls:
        body = world.CreateDynamicBody(position=(ball.x * METRES, ball.y * METRES), linearVelocity=(ball.speed * METRES, 0.0))
        body.CreateCircleFixture(radius=ball.radius * METRES, density=1.0, restitution=1.0, friction=0.0)
        bodies.append(body)
    centres, velocities = [], []
    for i in range((frames - 1) * steps + 1):
        world.Step(STEP_S, 15, 20)
        if i % steps == 0:
            centres.append([tuple(b.position) for b in bodies])
            velocities.append([tuple(b.linearVelocity) for b in bodies])
    return Motion(np.array(centres) / METRES, np.array(velocities) / METRES)


def _box2d() -> Any:
    try:
        with warnings.catch_warnings():
            # Its wrapper warns of itself while it is read, and crashes where that is made an error.
            warnings.simplefilter("ignore", DeprecationWarning)
            import Box2D
    except ImportError:
        raise MissingDependency("PhyWorld moves its balls with Box2D; pip install 'kinowatt[world]'") from None
    return Box2D


def render(centres_TN2: np.ndarray, radii_N: np.ndarray, size: int = 128) -> np.ndarray:
    """Discs in plain colours on white, with smooth edges: frames (T, 3, size, size) uint8. The second ball is drawn over the first."""
    scale = size / BOX
    frames_TCHW = np.full((len(centres_TN2), 3, size, size), 255, np.uint8)
    for n, radius in enumerate(radii_N * scale):
        for frame_CHW, (x, y) in zip(frames_TCHW, centres_TN2[:, n] * scale, strict=True):
            y = size - y  # rows go down
            (left, right), (top, bottom) = (np.clip((c - radius - 1, c + radius + 2), 0, size).astype(int) for c in (x, y))
            part_CHW = frame_CHW[:, top:bottom, left:right]
            distance_HW = np.hypot(np.arange(left, right) + 0.5 - x, np.arange(top, bottom)[:, None] + 0.5 - y)
            # How much of a pixel is covered: exact for an edge along rows or columns, within .05 for others.
            cover_HW = np.clip(radius + 0.5 - distance_HW, 0.0, 1.0)
            part_CHW[:] = (part_CHW + cover_HW * (COLOURS[n, :, None, None] - part_CHW)).round()
    return frames_TCHW


# The judge: what a picture says of its balls, by the authors' rule.


def find(frames_TCHW: np.ndarray, count: int) -> np.ndarray:
    """Centres (T, N, 2) of the balls: the mean of the pixels that are clearly of their colour.

    A ball that cannot be seen stands where it was seen last (in the middle of the box, if never).
    """
    red, green, blue = (frames_TCHW[:, c] > 127 for c in range(3))
    masks_NTHW = np.stack([red & ~green & ~blue, blue & ~green & ~red][:count])
    height, width = frames_TCHW.shape[2:]
    mass = masks_NTHW.sum((2, 3)).astype(float)
    with np.errstate(invalid="ignore"):
        x = (masks_NTHW.sum(2) * (np.arange(width) + 0.5)).sum(2) / mass * (BOX / width)
        y = (masks_NTHW.sum(3) * (np.arange(height)[::-1] + 0.5)).sum(2) / mass * (BOX / height)
    centres = np.stack([x, y], -1).transpose(1, 0, 2)
    last = np.full(centres.shape[1:], BOX / 2)
    for row in centres:
        gone = np.isnan(row)
        row[gone] = last[gone]
        last = row
    return centres


def velocity_error(scene: Scene, motion: Motion, frames_TCHW: np.ndarray) -> float | None:
    """`error` of the centres that are found in frames, at least FRAMES of them."""
    return error(scene, motion, find(frames_TCHW[:FRAMES], len(scene.balls)))


def error(scene: Scene, motion: Motion, centres_TN2: np.ndarray) -> float | None:
    """Mean |v - v'| in units per second between the frames after the given ones, while all balls are wholly in view.

    v is the difference of true centres, v' that of the ones at hand. The frames between which balls collide are left out, as the
    authors do. None if fewer than two differences are left.
    """
    truth_TN2, made_TN2 = motion.centres_TN2[:FRAMES], centres_TN2[:FRAMES, : len(scene.balls)]
    margin = scene.radii_N[:, None]
    in_view_T = np.asarray(((truth_TN2 >= margin) & (truth_TN2 <= BOX - margin)).all((1, 2)))
    judged = in_view_T[GIVEN:-1] & in_view_T[GIVEN + 1 :]
    if scene.law == "collision":
        judged &= (np.abs(np.diff(motion.velocities_TN2[GIVEN:FRAMES], axis=0)) < 1e-3).all((1, 2))
    if judged.sum() < 2:
        return None
    off_TN2 = np.diff(truth_TN2[GIVEN:] - made_TN2[GIVEN:], axis=0) / (STEPS * STEP_S)
    return float(np.linalg.norm(off_TN2, axis=-1)[judged].mean())
