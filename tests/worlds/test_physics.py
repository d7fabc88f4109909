"""The toybox's mechanics against the textbook."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")

import itertools

from kinowatt.worlds.toybox import layout, physics, scene
from kinowatt.worlds.toybox.scene import Subject

FPS = 16.0


def one(event: str, **over: object) -> scene.Scene:
    drawn = scene.sample(5, event=event, mood="lonely", **over)
    return replace(drawn, subjects=(Subject("ball", "red", "matte", 0.3),))


@pytest.mark.parametrize("fps", [16.0, 24.0, 30.0])
def test_things_fall_with_g(fps: float) -> None:
    motion = physics.simulate(one("fall"), 8, fps)
    z = motion.centers_TK3[:, 0, 2].astype(float)
    g = -np.diff(z, 2)[:4] * fps**2
    assert z.min() > 0.31  # still in the air, so that only gravity acts
    np.testing.assert_allclose(g, physics.GRAVITY, rtol=2e-3)


def test_a_ball_comes_back_with_the_same_share_of_its_speed() -> None:
    motion = physics.simulate(one("bounce"), 33 * 8, FPS * 8)
    z = motion.centers_TK3[:, 0, 2] - 0.3
    tops = [z[0]] + [z[i] for i in range(1, len(z) - 1) if z[i - 1] < z[i] >= z[i + 1] and z[i] > 0.05]
    restitution = [math.sqrt(after / before) for before, after in itertools.pairwise(tops)]
    assert len(restitution) >= 2
    assert 0.8 < restitution[0] < 0.95
    assert np.ptp(restitution) < 0.02


def test_a_pendulum_keeps_its_period() -> None:
    drawn = replace(one("pendulum"), speed="slow")
    motion = physics.simulate(drawn, 160, 32.0)
    x = motion.centers_TK3[:, 0, 0].astype(float)
    cross = [i + x[i] / (x[i] - x[i + 1]) for i in range(len(x) - 1) if x[i] > 0 >= x[i + 1]]
    period_s = float(np.mean(np.diff(cross))) / 32.0
    length, radius, angle = layout.ROPE_M, 0.3, math.radians(35 + 15 * 0.7)
    # A ball on a rod: inertia m L² + 2/5 m r²; finite amplitude to fourth order.
    small = 2 * math.pi * math.sqrt((length**2 + 0.4 * radius**2) / (physics.GRAVITY * length))
    assert period_s == pytest.approx(small * (1 + angle**2 / 16 + 11 * angle**4 / 3072), rel=3e-3)


def test_a_rolling_ball_does_not_slip() -> None:
    """The path is the turned angle times the radius, and the speed stays."""
    drawn = replace(one("roll", speed="normal"), heading=1)
    motion = physics.simulate(drawn, 33, FPS)
    x = motion.centers_TK3[:, 0, 0].astype(float)
    speed = np.diff(x) * FPS
    assert np.ptp(speed) < 0.1
    assert speed.mean() == pytest.approx(1.25, rel=0.05)
    quats = motion.quats_TK4[:, 0].astype(float)
    turned = np.unwrap(2 * np.arctan2(quats[:, 1], quats[:, 3]), period=2 * math.pi)  # about y
    assert abs(turned[-1] - turned[0]) * 0.3 == pytest.approx(x[-1] - x[0], rel=0.01)


def test_a_head_on_collision_keeps_momentum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two balls of unequal speed, with no weight: the ground's friction, which takes momentum, needs some."""
    monkeypatch.setattr(physics, "GRAVITY", 0.0)
    drawn = replace(one("collide", speed="normal"), seed=6, heading=1)  # layout 1 of five: head-on
    drawn = replace(drawn, subjects=(Subject("ball", "red", "matte", 0.3), Subject("ball", "blue", "matte", 0.3)))
    fps = 240.0
    x = physics.simulate(drawn, 240, fps).centers_TK3[..., 0].astype(float)
    v = np.diff(x, axis=0) * fps
    hit = int(np.argmax(np.abs(np.diff(v[:, 0]))))
    before, after = v[hit - 6].sum(), v[hit + 8].sum()
    assert v[hit - 6, 0] > 2 > -1.5 > v[hit - 6, 1]
    assert v[hit + 8, 1] > 1  # the slower one is thrown back
    assert abs(after - before) < 0.01 * np.abs(v[hit - 6]).sum()
    rebound = (v[hit + 8, 1] - v[hit + 8, 0]) / (v[hit - 6, 0] - v[hit - 6, 1])
    assert 0.6 < rebound < 1.0


def test_wind_pushes_until_things_drift_with_it() -> None:
    drawn = replace(one("wind", speed="fast"), heading=-1)
    x = physics.simulate(drawn, 33 * 8, FPS).centers_TK3[:, 0, 0].astype(float)
    speed = -np.diff(x) * FPS
    wind = physics.WIND_M_S * 1.4
    assert 0 <= speed[0] < 0.2 * wind
    assert (np.diff(speed) > -0.02).all()  # a steady wind never slows what is slower than it
    assert 0.5 * wind < speed[-1] < wind
    assert speed[16] - speed[0] > 2 * (speed[-1] - speed[-17])  # drag: the push fades as the speeds meet


@pytest.mark.parametrize("kind", ["torus", "capsule", "cylinder", "cone", "cube"])
def test_solids_come_to_rest_on_the_ground(kind: str) -> None:
    drawn = replace(one("still"), subjects=(Subject(kind, "red", "matte", 0.3),))
    motion = physics.simulate(drawn, 17, FPS)
    radius, _, half = layout.half_sizes(kind, 0.3)
    low = radius if kind == "capsule" else half
    assert motion.centers_TK3[-1, 0, 2] == pytest.approx(low, abs=0.004)
    np.testing.assert_allclose(np.linalg.norm(motion.quats_TK4, axis=2), 1, atol=1e-5)


def test_rotors_turn_at_their_rate() -> None:
    drawn = scene.sample(3, event="turbine", mood="lonely", speed="fast")
    solids = physics.simulate(drawn, 33, FPS).solids_TN16
    blade = solids[:, 3, :3] - solids[:, 2, :3]  # from the hub to the middle of the first blade
    turned = np.unwrap(np.arctan2(blade[:, 0], blade[:, 2]))
    rpm = abs(turned[-1] - turned[0]) / (2 * math.pi) / (32 / FPS) * 60
    assert rpm == pytest.approx(physics.RPM["fast"], rel=1e-3)


@pytest.mark.parametrize("event", scene.EVENTS)
def test_every_event_happens_and_stays_above_the_ground(event: str) -> None:
    for seed in range(4):
        drawn = scene.sample(seed, event=event)
        motion = physics.simulate(drawn, 33, FPS)
        assert motion.solids_TN16.dtype == np.float32
        assert np.isfinite(motion.solids_TN16).all()
        assert len(motion.things) == motion.centers_TK3.shape[1] == len(motion.radii_K)
        assert motion.centers_TK3[..., 2].min() > 0.0
        assert motion.quats_TK4.shape == (33, len(motion.things), 4)
        assert np.abs(motion.centers_TK3).max() < 12  # nothing overlaps at the start and bursts apart
        moved = np.abs(np.diff(motion.solids_TN16[..., :3], axis=0)).max()
        assert (moved > 0.01) == (event not in ("still", "solar"))
