"""How a scene moves: rigid bodies by MuJoCo, rotors by the clock.

A solid is 16 floats: position and type | half sizes and material | linear RGB and pattern + 16 x thing | quaternion x, y, z, w.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kinowatt.errors import MissingDependency
from kinowatt.worlds.toybox.layout import DOMINO_M, HOOK_M, ROPE_M, Start, dominoes, half_sizes, place
from kinowatt.worlds.toybox.scene import COLORS, MATERIALS, Scene, Subject

GRAVITY = 9.81  # m/s²
STEP_S = 0.002  # the physics step is the largest one under this that divides a frame exactly
BALL, BOX, CYLINDER, CONE, TORUS, CAPSULE = range(6)
TYPES = {"ball": BALL, "cube": BOX, "cylinder": CYLINDER, "cone": CONE, "torus": TORUS, "capsule": CAPSULE}
DENSITY = 600.0  # kg/m³
LIGHT = {"cube": 5.0}  # kg/m³ of what the wind blows; what rolls may be heavier than what slides
LIGHT_ROUND = 15.0
WIND_M_S = 5.5
AIR = 1.2  # kg/m³
RING = 20  # capsules that make a torus; their corners lie within 1.3 % of it
FRICTION = [0.8, 0.01, 0.002]  # sliding, m of torsion, m of rolling
CLACK = (-30000.0, -12.0)  # stiffness and damping between things that collide: about 0.8 of the speed comes back
BOUNCY = (-9000.0, -6.0)  # stiffness and damping of a contact: about 0.9 of the speed comes back
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
    """Everything that moves: solids (T, N, 16) float32, and of each thing the centre (T, K, 3) and radius (K,) in metres and the
    attitude (T, K, 4), a unit quaternion x, y, z, w from its own frame to the world's (of a turbine the rotor's)."""

    solids_TN16: np.ndarray
    things: tuple[Thing, ...]
    centers_TK3: np.ndarray
    radii_K: np.ndarray
    quats_TK4: np.ndarray

    def every(self, count: int) -> Motion:
        """Of every so manieth frame."""
        solids, centers, quats = (part[::count] for part in (self.solids_TN16, self.centers_TK3, self.quats_TK4))
        return replace(self, solids_TN16=solids, centers_TK3=centers, quats_TK4=quats)


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
    if scene.event == "wind":  # quadratic drag on each body: MuJoCo's own fluid model
        spec.option.wind = [WIND_M_S * scene.pace * scene.heading, 0, 0]
        spec.option.density = AIR
    floor = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], friction=FRICTION)
    if scene.event == "bounce":
        floor.solref = BOUNCY
    subjects = dominoes(scene) if scene.event == "domino" else scene.subjects
    starts = place(scene, subjects, frames / fps)
    for i, (subject, start) in enumerate(zip(subjects, starts, strict=True)):
        _add_body(mujoco, spec, scene, i, subject, start)
    if scene.event == "collide":
        _clack(spec)
    model = spec.compile()
    data = mujoco.MjData(model)
    for i, start in enumerate(starts):
        if scene.event == "pendulum":
            data.qpos[i] = start.velocity[0]
        else:
            data.qvel[6 * i : 6 * i + 6] = start.velocity
    mujoco.mj_forward(model, data)
    poses = np.zeros((frames, len(subjects), 7))
    for f in range(frames):
        poses[f, :, :3] = data.xpos[1:]
        if scene.event == "pendulum":
            poses[f, :, :3] -= ROPE_M * data.xmat[1:, 2::3]
        poses[f, :, 3:] = data.xquat[1:, [1, 2, 3, 0]]
        mujoco.mj_step(model, data, n)
    return _draw(scene, subjects, poses, frames)


def _add_body(mujoco: Any, spec: Any, scene: Scene, i: int, subject: Subject, start: Start) -> None:
    body = spec.worldbody.add_body(pos=start.pos, quat=start.quat)
    density = LIGHT.get(subject.kind, LIGHT_ROUND) if scene.event == "wind" else DENSITY
    common: dict[str, Any] = {"density": density, "friction": FRICTION, "condim": 6}
    if scene.event == "pendulum":
        # The bob's kind is its look; as a body each is a ball at the end of a rod without mass.
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
    if scene.event == "wind" and subject.kind == "cube":
        common |= {"friction": [0.12, 0.01, 0.002], "priority": 1}
    x, y, z = DOMINO_M if scene.event == "domino" else half_sizes(subject.kind, subject.size_m)
    if subject.kind == "cone":
        ring = [(x * math.cos(a), y * math.sin(a), -z) for a in np.linspace(0, 2 * math.pi, 24, endpoint=False)]
        spec.add_mesh(name=f"cone{i}", uservert=np.array([*ring, (0, 0, z)]).ravel())
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"cone{i}", name=f"{i}", **common)
        return
    if subject.kind == "torus":
        corners = [((x - z) * math.cos(a), (x - z) * math.sin(a), 0.0) for a in np.linspace(0, 2 * math.pi, RING + 1)]
        for k in range(RING):
            ends = [*corners[k], *corners[k + 1]]
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[z, 0, 0], fromto=ends, name=f"{i}.{k}", **common)
        return
    kinds = {"ball": mujoco.mjtGeom.mjGEOM_SPHERE, "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER, "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE}
    size = {"ball": [z, 0, 0], "cylinder": [x, z, 0], "capsule": [x, z - x, 0]}.get(subject.kind, [x, y, z])
    body.add_geom(type=kinds.get(subject.kind, mujoco.mjtGeom.mjGEOM_BOX), size=size, name=f"{i}", **common)


def _clack(spec: Any) -> None:
    """Things that collide rebound from each other, while the ground stays as it is."""
    names = [(b, g.name) for b, body in enumerate(spec.worldbody.bodies) for g in body.geoms]
    for a, first in names:
        for b, second in names:
            if a < b:
                spec.add_pair(geomname1=first, geomname2=second, solref=CLACK, friction=[0.3, 0.3, 0.005, 0.0001, 0.0001])


def _draw(scene: Scene, subjects: tuple[Subject, ...], poses: np.ndarray, frames: int) -> Motion:
    parts = _Parts(frames)
    things = []
    for i, subject in enumerate(subjects):
        size = DOMINO_M if subject.kind == "domino" else half_sizes(subject.kind, subject.size_m)
        kind = TYPES.get(subject.kind, BOX)
        material = MATERIALS[subject.material]
        parts.add(i, kind, size, material, COLORS[subject.color], poses[:, i, :3], poses[:, i, 3:], int(subject.striped))
        things.append(Thing(subject.kind, subject.color, subject.material, subject.size_m, subject.striped))
    if scene.event == "pendulum":
        _ropes(parts, poses)
    reach = 1.05 if scene.event == "domino" else 1.2
    radii = np.array([s.size_m * reach for s in subjects])
    return Motion(np.stack(parts.solids, 1), tuple(things), poses[:, :, :3].astype(np.float32), radii, poses[:, :, 3:].astype(np.float32))


def _ropes(parts: _Parts, poses: np.ndarray) -> None:
    """Ropes from a beam to the bobs. They belong to no thing that is named."""
    n = poses.shape[1]
    for i in range(n):
        pivot = np.array([(i - (n - 1) / 2) * 1.0, 0.0, HOOK_M])
        along = poses[:, i, :3] - pivot
        half = np.arctan2(along[:, 0], along[:, 2]) / 2
        quat = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], 1)
        parts.add(-1, CYLINDER, (0.02, 0.02, ROPE_M / 2), 0, (0.12, 0.12, 0.12), pivot + along / 2, quat)
    parts.add(-1, BOX, (0.55 * n + 0.2, 0.05, 0.05), 0, (0.25, 0.17, 0.10), (0.0, 0.0, HOOK_M))


def _turbines(scene: Scene, frames: int, fps: float) -> Motion:
    r = random.Random(scene.seed + 3)
    parts = _Parts(frames)
    white = (0.92, 0.93, 0.95)
    t = np.arange(frames) / fps
    hubs, rotors = [], []
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
            if blade == 0:
                rotors.append(quat)
    things = tuple(Thing("turbine", size_m=TOWER_M) for _ in hubs)
    centers = np.repeat(np.array([[h[0], h[1], 3.9] for h in hubs])[None], frames, 0)
    return Motion(np.stack(parts.solids, 1), things, centers, np.full(len(hubs), 3.9), np.stack(rotors, 1).astype(np.float32))


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
    quats = np.tile(np.array([math.sin(lean), 0, 0, math.cos(lean)], np.float32), (frames, scene.count, 1))
    return Motion(np.stack(parts.solids, 1), things, np.repeat(np.array([centers]), frames, 0), np.full(len(centers), 0.85), quats)
