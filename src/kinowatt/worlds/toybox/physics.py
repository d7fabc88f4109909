"""How a scene moves: rigid bodies by MuJoCo, rotors by the clock.

A solid is 16 floats: position and type | half sizes and material | linear RGB and pattern + 16 x thing | quaternion x, y, z, w.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinowatt.errors import MissingDependency
from kinowatt.worlds.toybox.scene import COLORS, MATERIALS, Scene, Subject

GRAVITY = 9.81  # m/s²
STEP_S = 0.002  # the physics step is the largest one under this that divides a frame exactly
BALL, BOX, CYLINDER, CONE = range(4)
TYPES = {"ball": BALL, "cube": BOX, "cylinder": CYLINDER, "cone": CONE}
DENSITY = 600.0  # kg/m³
BOUNCY = (-9000.0, -6.0)  # stiffness and damping of a contact: about 0.9 of the speed comes back
ROPE_M = 1.5
TOWER_M, ROTOR_M = 5.2, 2.6
RPM = {"slow": 8.0, "normal": 15.0, "fast": 26.0}


@dataclass(frozen=True)
class Thing:
    """Something that a caption may name. Its number in the id masks is its place in `Motion.things`, from 1."""

    kind: str
    color: str | None = None
    material: str | None = None
    size_m: float = 0.0
    striped: bool = False


@dataclass(frozen=True, eq=False)
class Motion:
    """Everything that moves: solids (T, N, 16) float32, things, and of each thing the centre (T, K, 3) and radius (K,) in metres."""

    solids_TN16: np.ndarray
    things: tuple[Thing, ...]
    centers_TK3: np.ndarray
    radii_K: np.ndarray


@dataclass(eq=False)
class _Parts:
    """Solids in the making: functions of time would be slow, so each is an array (T, 16)."""

    frames: int
    solids: list[np.ndarray] = field(default_factory=list)

    def add(
        self, thing: int, kind: int, size: Any, material: int, rgb: Any, pos_T3: Any, quat_T4: Any = (0, 0, 0, 1), pattern: int = 0
    ) -> None:
        """One solid of a thing; `quat` is x, y, z, w."""
        rows = np.zeros((self.frames, 16), np.float32)
        rows[:, 0:3], rows[:, 3] = pos_T3, kind
        rows[:, 4:7], rows[:, 7] = size, material
        rows[:, 8:11], rows[:, 11] = rgb, pattern + 16 * (thing + 1)
        rows[:, 12:16] = quat_T4
        self.solids.append(rows)


def simulate(scene: Scene, frames: int, fps: float) -> Motion:
    """Run a scene for `frames` frames."""
    if scene.event == "turbine":
        return _turbines(scene, frames, fps)
    if scene.event == "solar":
        return _panels(scene, frames)
    return _bodies(scene, frames, fps)


def half_sizes(kind: str, size_m: float) -> tuple[float, float, float]:
    """Half sizes in metres of a solid of that half height."""
    wide = {"cylinder": 0.8, "cone": 0.9}.get(kind, 1.0) * size_m
    return wide, wide, size_m


def _mujoco() -> Any:
    try:
        import mujoco
    except ImportError as e:
        raise MissingDependency("the toybox needs MuJoCo: pip install 'kinowatt[world]'") from e
    return mujoco


def substeps(fps: float) -> int:
    """Physics steps per frame: whole, so that frames fall on steps (31 steps of 2 ms per 1/16 s once gave g = 9.65)."""
    return math.ceil(1.0 / fps / STEP_S)


def _bodies(scene: Scene, frames: int, fps: float) -> Motion:
    mujoco = _mujoco()
    spec = mujoco.MjSpec()
    n = substeps(fps)
    spec.option.timestep = 1.0 / fps / n
    spec.option.gravity = [0, 0, -GRAVITY]
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    floor = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], friction=[0.8, 0.01, 0.002])
    if scene.event == "bounce":
        floor.solref = BOUNCY
    subjects = dominoes(scene) if scene.event == "domino" else scene.subjects
    r = random.Random(scene.seed + 7)
    starts = _layout(scene, subjects, r)
    for i, (subject, start) in enumerate(zip(subjects, starts, strict=True)):
        _add_body(mujoco, spec, scene, i, subject, start)
    model = spec.compile()
    data = mujoco.MjData(model)
    for i, start in enumerate(starts):
        if scene.event == "pendulum":
            data.qpos[i] = start.velocity[0]
        else:
            data.qvel[6 * i : 6 * i + 6] = start.velocity
    mujoco.mj_forward(model, data)
    place = np.zeros((frames, len(subjects), 7))
    for f in range(frames):
        place[f, :, :3] = data.geom_xpos[1:] if scene.event == "pendulum" else data.xpos[1:]
        place[f, :, 3:] = data.xquat[1:, [1, 2, 3, 0]]
        mujoco.mj_step(model, data, n)
    return _draw(scene, subjects, place, frames)


@dataclass(frozen=True)
class _Start:
    pos: tuple[float, float, float]
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # w, x, y, z, as MuJoCo
    velocity: tuple[float, ...] = (0.0,) * 6  # linear, angular in the body's frame; for a pendulum the first is its angle


def _add_body(mujoco: Any, spec: Any, scene: Scene, i: int, subject: Subject, start: _Start) -> None:
    body = spec.worldbody.add_body(pos=start.pos, quat=start.quat)
    common: dict[str, Any] = {"density": DENSITY, "friction": [0.8, 0.01, 0.002], "condim": 6}
    if scene.event == "pendulum":
        body.add_joint(type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 1, 0])
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[subject.size_m, 0, 0], pos=[0, 0, -ROPE_M], contype=0, conaffinity=0, **common
        )
        return
    body.add_freejoint()
    if scene.event == "bounce":
        common |= {"solref": BOUNCY}
    if scene.event == "domino":
        common |= {"friction": [0.5, 0.01, 0.002]}
    x, y, z = DOMINO_M if scene.event == "domino" else half_sizes(subject.kind, subject.size_m)
    if subject.kind == "cone":
        ring = [(x * math.cos(a), y * math.sin(a), -z) for a in np.linspace(0, 2 * math.pi, 24, endpoint=False)]
        spec.add_mesh(name=f"cone{i}", uservert=np.array([*ring, (0, 0, z)]).ravel())
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"cone{i}", **common)
        return
    kinds = {"ball": mujoco.mjtGeom.mjGEOM_SPHERE, "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER}
    size = {"ball": [z, 0, 0], "cylinder": [x, z, 0]}.get(subject.kind, [x, y, z])
    body.add_geom(type=kinds.get(subject.kind, mujoco.mjtGeom.mjGEOM_BOX), size=size, **common)


DOMINO_M = (0.06, 0.26, 0.48)
DOMINO_PITCH_M = 0.44


def dominoes(scene: Scene) -> tuple[Subject, ...]:
    """The tiles of a domino scene: of one colour, or of all colours where the mood is lively."""
    r = random.Random(scene.seed + 11)
    palette = r.sample(sorted(COLORS), scene.count)
    many = scene.mood == "lively"
    return tuple(Subject("domino", palette[i if many else 0], "glossy", DOMINO_M[2]) for i in range(scene.count))


def _layout(scene: Scene, subjects: tuple[Subject, ...], r: random.Random) -> list[_Start]:
    """Where each subject stands and how it is set going."""
    s, pace, n = scene.heading, scene.pace, len(subjects)
    row = [(i - (n - 1) / 2) for i in range(n)]
    starts = []
    for i, subject in enumerate(subjects):
        z = subject.size_m + 0.002
        spread = row[i] * 0.95
        match scene.event:
            case "fall":
                quat = tuple(np.array([r.gauss(0, 1) for _ in range(4)]))
                norm = math.sqrt(sum(q * q for q in quat))
                start = _Start((spread, r.uniform(-0.2, 0.2), 1.5 + 0.3 * i + z), tuple(float(q / norm) for q in quat))  # type: ignore[arg-type]
            case "bounce":
                start = _Start((spread, r.uniform(-0.2, 0.2), 1.1 + 0.35 * i + z))
            case "roll":
                v = 1.5 * pace * s
                flat = subject.kind == "cylinder"
                turn = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0) if flat else (1.0, 0.0, 0.0, 0.0)
                radius = half_sizes(subject.kind, subject.size_m)[0]
                spin = (0.0, 0.0, -v / radius) if flat else (0.0, v / radius, 0.0)
                start = _Start((-1.3 * s + 0.15 * i * s, row[i] * 1.0, radius + 0.002), turn, (v, 0.0, 0.0, *spin))
            case "collide":
                start = _collision(scene, i, subject, r)
            case "pendulum":
                start = _Start((row[i] * 1.0, 0.0, ROPE_M + 0.65), velocity=(s * math.radians(35 + 15 * pace + 5 * i), 0, 0, 0, 0, 0))
            case "domino":
                push = (0.55 * s, 0.0, 0.0, 0.0, 2.2 * s, 0.0) if i == (0 if s > 0 else n - 1) else (0.0,) * 6
                start = _Start((row[i] * DOMINO_PITCH_M, 0.0, z), velocity=push)
            case "topple":
                below = sum(2 * x.size_m for x in subjects[:i])
                start = _Start((s * 0.17 * i, r.uniform(-0.03, 0.03), below + z), velocity=(s * 0.35 * i, 0.0, 0.0, 0.0, 0.0, 0.0))
            case "projectile":
                toss = (1.7 * pace * s, 0.0, 3.6 + 0.5 * r.random())
                start = _Start((-1.5 * s - 0.5 * i * s, row[i] * 0.6, z + 0.2), velocity=(*toss, r.gauss(0, 1.5), r.gauss(0, 1.5), 0.0))
            case _:
                start = _Start((row[i] * 0.9, r.uniform(-0.4, 0.4), z))
        starts.append(start)
    return starts


def _collision(scene: Scene, i: int, subject: Subject, r: random.Random) -> _Start:
    """Three layouts: a ball into what stands, two things head-on, or a ball into a close pair."""
    s, z = scene.heading, subject.size_m + 0.002
    v = 2.8 * scene.pace * s
    layout = scene.seed % 3
    spin = v / subject.size_m if subject.kind == "ball" else 0.0
    if i == 0:
        return _Start((-1.5 * s, r.uniform(-0.08, 0.08), z), velocity=(v, 0.0, 0.0, 0.0, spin, 0.0))
    if i == 1 and layout == 1:
        return _Start((1.4 * s, 0.0, z), velocity=(-0.8 * v, 0.0, 0.0, 0.0, -0.8 * spin, 0.0))
    aside = (0.0 if layout != 2 else 0.30) if i == 1 else (0.85 if layout != 2 else -0.45)
    return _Start((0.35 * s + 0.1 * i * s, aside, z))


def _draw(scene: Scene, subjects: tuple[Subject, ...], place: np.ndarray, frames: int) -> Motion:
    parts = _Parts(frames)
    things = []
    for i, subject in enumerate(subjects):
        size = DOMINO_M if subject.kind == "domino" else half_sizes(subject.kind, subject.size_m)
        kind = TYPES.get(subject.kind, BOX)
        material = MATERIALS[subject.material]
        parts.add(i, kind, size, material, COLORS[subject.color], place[:, i, :3], place[:, i, 3:], int(subject.striped))
        things.append(Thing(subject.kind, subject.color, subject.material, subject.size_m, subject.striped))
    if scene.event == "pendulum":
        _ropes(parts, place)
    reach = 1.05 if scene.event == "domino" else 1.2
    radii = np.array([s.size_m * reach for s in subjects])
    return Motion(np.stack(parts.solids, 1), tuple(things), place[:, :, :3].astype(np.float32), radii)


def _ropes(parts: _Parts, place: np.ndarray) -> None:
    """Ropes from a beam to the bobs. They belong to no thing that is named."""
    n = place.shape[1]
    top = ROPE_M + 0.65
    for i in range(n):
        pivot = np.array([(i - (n - 1) / 2) * 1.0, 0.0, top])
        along = place[:, i, :3] - pivot
        half = np.arctan2(along[:, 0], along[:, 2]) / 2
        quat = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], 1)
        parts.add(-1, CYLINDER, (0.02, 0.02, ROPE_M / 2), 0, (0.12, 0.12, 0.12), pivot + along / 2, quat)
    parts.add(-1, BOX, (0.55 * n + 0.2, 0.05, 0.05), 0, (0.25, 0.17, 0.10), (0.0, 0.0, top))


def _turbines(scene: Scene, frames: int, fps: float) -> Motion:
    r = random.Random(scene.seed + 3)
    parts = _Parts(frames)
    white = (0.92, 0.93, 0.95)
    t = np.arange(frames) / fps
    hubs = []
    for k in range(scene.count):
        x = (k - (scene.count - 1) / 2) * 4.6 + r.uniform(-0.4, 0.4)
        y = 1.0 + (r.uniform(1.5, 4.0) if k % 2 else 0.0)
        phase = r.uniform(0, 2 * math.pi)
        hub = np.array([x, y - 0.42, TOWER_M])
        hubs.append(hub)
        parts.add(k, CYLINDER, (0.13, 0.13, TOWER_M / 2), 0, white, (x, y, TOWER_M / 2))
        parts.add(k, BOX, (0.18, 0.36, 0.18), 0, white, (x, y - 0.05, TOWER_M))
        parts.add(k, BALL, (0.22,) * 3, 0, white, hub)
        for blade in range(3):
            half = (phase + blade * 2 * math.pi / 3 + scene.heading * t * RPM[scene.speed] * 2 * math.pi / 60) / 2
            quat = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], 1)
            reach = ROTOR_M / 2 + 0.1
            out = np.stack([np.sin(2 * half) * reach, 0 * half, np.cos(2 * half) * reach], 1)
            parts.add(k, BOX, (0.17, 0.05, ROTOR_M / 2), 0, white, hub + out, quat)
    things = tuple(Thing("turbine", size_m=TOWER_M) for _ in hubs)
    centers = np.repeat(np.array([[h[0], h[1], 3.9] for h in hubs])[None], frames, 0)
    return Motion(np.stack(parts.solids, 1), things, centers, np.full(len(hubs), 3.9))


def _panels(scene: Scene, frames: int) -> Motion:
    parts = _Parts(frames)
    centers = []
    lean = math.radians(32) / 2
    for k in range(scene.count):
        columns = 2 if scene.count <= 4 else 3
        x, y = (k % columns - (columns - 1) / 2) * 1.95, (k // columns) * 2.1
        parts.add(k, BOX, (0.88, 0.60, 0.03), 4, (0.03, 0.06, 0.2), (x, y, 0.78), (math.sin(lean), 0, 0, math.cos(lean)), 2)
        parts.add(k, CYLINDER, (0.05, 0.05, 0.36), 0, (0.5, 0.5, 0.52), (x, y, 0.36))
        centers.append((x, y, 0.72))
    things = tuple(Thing("panel", size_m=0.6) for _ in centers)
    return Motion(np.stack(parts.solids, 1), things, np.repeat(np.array([centers]), frames, 0), np.full(len(centers), 0.85))
