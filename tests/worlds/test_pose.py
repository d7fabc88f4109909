"""Poses are axes as the camera sees them; of turns that look the same one is told; a mirrored picture has mirrored poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinowatt.worlds.toybox import camera, physics, pose, scene
from kinowatt.worlds.toybox.physics import Motion, Thing

ROWS = camera.named("static", "medium", 35.0, "eye", 9, 1.0).rows_T44
KINDS = ("ball", "cube", "cylinder", "cone", "torus", "capsule", "domino", "turbine", "panel")


def still(kind: str, quat: tuple[float, float, float, float], striped: bool = False) -> Motion:
    """A thing where the camera looks, turned so (x, y, z, w)."""
    middle = ROWS[0, 0, :3] + 3.0 * ROWS[0, 3, :3]
    quats = np.tile(np.array(quat, np.float32), (9, 1, 1))
    thing = Thing(kind, "red", "matte", 0.3, striped)
    return Motion(np.zeros((9, 1, 16), np.float32), (thing,), np.tile(middle.astype(np.float32), (9, 1, 1)), np.array([0.3]), quats)


def about(axis: tuple[float, float, float], degrees: float) -> tuple[float, float, float, float]:
    half = np.radians(degrees) / 2
    x, y, z = np.sin(half) * np.array(axis)
    return float(x), float(y), float(z), float(np.cos(half))


def test_what_stands_upright_points_up_and_what_lies_on_its_side_does_not() -> None:
    upright, lying = (pose.poses(still("cone", about((0, 1, 0), a)), ROWS)[0, 0] for a in (0, 90))
    assert upright[1] > 0.95
    assert abs(lying[1]) < 0.1
    assert abs(lying[0]) > 0.9, "to the side"
    assert not upright[3:].any(), "where x points is not to be seen"


@pytest.mark.parametrize(("kind", "striped"), [*((k, False) for k in KINDS), *((k, True) for k in KINDS[:6])])
def test_turns_that_look_the_same_have_one_pose_and_others_have_others(kind: str, striped: bool) -> None:
    same = pose.same(kind, striped)
    assert np.allclose(np.linalg.det(same), 1.0)
    base = about((0.6, 0.0, 0.8), 20.0)
    rng, own = np.random.default_rng(0), pose.poses(still(kind, base, striped), ROWS)[0, 0]
    (turned,) = pose._matrices(np.array([base], np.float64))
    for turn in same:
        quat = _quat(turned @ turn)
        assert np.allclose(pose.poses(still(kind, quat, striped), ROWS)[0, 0], own, atol=1e-4)
    if kind == "ball" and not striped:
        assert not own.any()
        return
    assert np.isclose(np.linalg.norm(own[:3]), 1.0)
    other = _quat(turned @ pose._matrices(np.array([about((1.0, 0.0, 0.0), 25.0 + rng.uniform(0, 5))], np.float64))[0])
    assert not np.allclose(pose.poses(still(kind, other, striped), ROWS)[0, 0], own, atol=0.05)


def test_a_pose_goes_on_through_a_clip_though_others_would_look_the_same() -> None:
    spun = still("cube", (0, 0, 0, 1))
    quats = np.stack([np.array(about((0, 0, 1), 20.0 * t), np.float32) for t in range(9)])[:, None]
    found = pose.poses(replace(spun, quats_TK4=quats), ROWS)[0]
    steps = np.linalg.norm(np.diff(found, axis=0), axis=1)
    assert np.allclose(steps, steps[0], atol=0.02), "no jump to a turn that looks the same"


@pytest.mark.parametrize("seed", range(6))
def test_a_mirrored_picture_has_mirrored_axes(seed: int) -> None:
    """Of things that lie any way, the z axes of the one are the others' flipped, up to turns that look the same."""
    drawn = scene.sample(seed)
    motion = physics.simulate(drawn, 9, 16.0)
    rows = camera.plan(drawn, motion, 1.0).rows_T44
    here, there = (pose.poses(motion, rows, mirrored) for mirrored in (False, True))
    for k, thing in enumerate(motion.things):
        if thing.kind in ("cube", "domino"):
            continue
        z = here[k, 0, :3] * np.array([-1, 1, 1])
        assert min(np.abs(z - there[k, 0, :3]).max(), np.abs(z + there[k, 0, :3]).max()) < 1e-4


def _quat(matrix: np.ndarray) -> tuple[float, float, float, float]:
    values, vectors = np.linalg.eigh(
        np.array(
            [
                [matrix[0, 0] - matrix[1, 1] - matrix[2, 2], 0, 0, 0],
                [matrix[0, 1] + matrix[1, 0], matrix[1, 1] - matrix[0, 0] - matrix[2, 2], 0, 0],
                [matrix[0, 2] + matrix[2, 0], matrix[1, 2] + matrix[2, 1], matrix[2, 2] - matrix[0, 0] - matrix[1, 1], 0],
                [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1], matrix.trace()],
            ]
        )
        / 3.0
    )
    x, y, z, w = vectors[:, values.argmax()]
    return float(x), float(y), float(z), float(w)
