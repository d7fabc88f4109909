"""PhyWorld: Box2D keeps the three laws, scenes keep to their ranges, and the judge's floor is that of the paper."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from kinowatt.worlds import phyworld
from kinowatt.worlds.phyworld import BOX, FRAMES, GIVEN, LAWS, Law, Motion, Scene

# Not importorskip: where warnings are errors, its wrapper takes the process with it.
pytestmark = pytest.mark.skipif(find_spec("Box2D") is None, reason="needs Box2D")
FRAME_S = phyworld.STEPS * phyworld.STEP_S


def scenes(law: Law, count: int, far: bool = False, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [phyworld.scene(law, rng, far) for _ in range(count)]


def inside(value: float, ranges: phyworld.Ranges) -> bool:
    return any(low <= value <= high for low, high in ranges)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("law", LAWS)
def test_scenes_keep_to_their_ranges(law: Law, far: bool) -> None:
    drawn = scenes(law, 200, far)
    radii, speeds = ([getattr(b, name) for s in drawn for b in s.balls] for name in ("radius", "speed"))
    near_sized = [inside(r, phyworld.RADII) for r in radii]
    near_paced = [inside(abs(v), phyworld.SPEEDS) for v in speeds]
    if not far:
        assert all(near_sized)
        assert all(near_paced)
        return
    assert all(inside(r, phyworld.RADII + phyworld.FAR_RADII) for r in radii)
    assert all(inside(abs(v), phyworld.SPEEDS + phyworld.FAR_SPEEDS) for v in speeds)
    kept = iter(zip(near_sized, near_paced, strict=True))
    for s in drawn:  # one ball at least is out
        assert not all(size and pace for size, pace in [next(kept) for _ in s.balls])
    for ranges, values in ((phyworld.FAR_RADII, radii), (phyworld.FAR_SPEEDS, np.abs(speeds))):
        assert all(any(low <= v <= high for v in values) for low, high in ranges), "small and large, slow and fast"


def test_uniform_motion_keeps_its_velocity() -> None:
    for s in scenes("uniform", 20) + scenes("uniform", 20, far=True):
        motion = phyworld.simulate(s)
        (ball,) = s.balls
        assert motion.velocities_TN2 == pytest.approx(np.broadcast_to([ball.speed, 0.0], (FRAMES, 1, 2)), abs=1e-6)
        assert np.diff(motion.centres_TN2[:, 0, 0]) == pytest.approx(ball.speed * FRAME_S, abs=1e-5)


def test_a_fall_has_its_gravity() -> None:
    for s in scenes("parabola", 10) + scenes("parabola", 10, far=True):
        motion = phyworld.simulate(s)
        (ball,) = s.balls
        assert np.diff(motion.velocities_TN2[:, 0, 1]) == pytest.approx(-2.5 * FRAME_S, abs=1e-4)
        assert motion.velocities_TN2[:, 0, 0] == pytest.approx(ball.speed, abs=1e-6)
        # Box2D's steps are of first order: after a time t they are g t step / 2 below the parabola.
        t = phyworld.STEP_S + FRAME_S * np.arange(FRAMES)
        assert motion.centres_TN2[:, 0, 1] == pytest.approx(ball.y - 1.25 * t * (t + phyworld.STEP_S), abs=1e-3)


def test_collisions_keep_momentum_and_energy() -> None:
    for s in scenes("collision", 40) + scenes("collision", 40, far=True):
        motion = phyworld.simulate(s)
        mass_N = s.radii_N**2
        v_TN = motion.velocities_TN2[..., 0]
        assert motion.velocities_TN2[..., 1] == pytest.approx(0.0, abs=1e-3)
        momentum, energy = v_TN @ mass_N, v_TN**2 @ mass_N
        assert momentum == pytest.approx(momentum[0], abs=1e-4 * np.abs(v_TN[0] * mass_N).sum() + 1e-6)
        assert energy == pytest.approx(energy[0], rel=1e-3)
        closing = v_TN[0, 0] - v_TN[0, 1]
        assert (v_TN[-1, 1] - v_TN[-1, 0]) == pytest.approx(closing, rel=1e-3), "they part as fast as they met, slow ones too"
        met = int(np.argmax(np.abs(v_TN - v_TN[0]).max(1) > 1e-3 * closing))
        assert phyworld.BEFORE <= met <= FRAMES - phyworld.AFTER + 1


def test_balls_begin_in_view_and_a_collision_is_seen() -> None:
    for law in LAWS:
        for far in (False, True):
            for s in scenes(law, 50, far):
                for centre in phyworld.simulate(s, GIVEN).centres_TN2.reshape(-1, len(s.balls), 2):
                    assert (centre - s.radii_N[:, None] > -0.02).all()
                    assert (centre + s.radii_N[:, None] < BOX + 0.02).all()


@pytest.mark.parametrize(("law", "paper"), [("uniform", 0.0099), ("collision", 0.0117), ("parabola", 0.0210)])
def test_the_floor_is_near_the_papers(law: Law, paper: float) -> None:
    """At the 256 pixels that the authors judge; at 128 it is bound by pixels twice as wide."""
    floors = {}
    for size in (128, 256):
        errors = []
        for s in scenes(law, 12, seed=1):
            motion = phyworld.simulate(s)
            errors.append(phyworld.velocity_error(s, motion, phyworld.render(motion.centres_TN2, s.radii_N, size)))
        floors[size] = float(np.mean([e for e in errors if e is not None]))
    assert 0.7 * paper < floors[256] < 1.9 * paper
    assert 2.0 < floors[128] / floors[256] < 4.0


def test_the_judge_sees_a_wrong_speed() -> None:
    (s,) = scenes("uniform", 1)
    motion = phyworld.simulate(s)
    slow = motion.centres_TN2[:1] + 0.9 * (motion.centres_TN2 - motion.centres_TN2[:1])
    assert phyworld.error(s, motion, slow) == pytest.approx(0.1 * s.balls[0].speed, rel=1e-3)
    assert phyworld.velocity_error(s, motion, phyworld.render(slow, s.radii_N)) == pytest.approx(0.1 * s.balls[0].speed, abs=0.05)


def test_a_ball_that_vanished_stands_still() -> None:
    (s,) = scenes("uniform", 1)
    motion = phyworld.simulate(s)
    frames = phyworld.render(motion.centres_TN2, s.radii_N)
    frames[GIVEN:] = 255
    assert phyworld.velocity_error(s, motion, frames) == pytest.approx(s.balls[0].speed, rel=1e-3)


def test_what_was_hardly_in_view_is_not_judged() -> None:
    ball = phyworld.Ball(radius=1.0, x=8.5, y=5.0, speed=6.0)
    s = Scene("uniform", (ball,), far=True)
    motion = phyworld.simulate(s)
    assert phyworld.error(s, motion, motion.centres_TN2) is None


def test_pictures() -> None:
    centres = np.array([[[2.0, 7.0], [6.0, 3.0]], [[2.0, 7.0], [11.0, 3.0]]])
    frames = phyworld.render(centres, np.array([1.0, 1.5]), 128)
    assert frames.shape == (2, 3, 128, 128)
    assert frames[0, :, 38, 25].tolist() == [255, 0, 0], "up is up"
    assert frames[0, :, 89, 76].tolist() == [0, 0, 255]
    assert frames[0, :, 0, 0].tolist() == [255, 255, 255]
    assert phyworld.find(frames[:1], 2)[0] == pytest.approx(centres[0], abs=0.02)
    assert ((255 - frames[0, 2].astype(float)) / 255).sum() * (BOX / 128) ** 2 == pytest.approx(np.pi, rel=2e-3)
    assert 0 < (frames[1, 0] < 128).sum() < (frames[0, 0] < 128).sum(), "a ball that is half outside is half seen"


def test_it_is_read_where_warnings_are_errors() -> None:
    """Box2D's wrapper warns while it is read, and where that is an error it takes the whole process with it."""
    code = "import numpy as np; from kinowatt.worlds import phyworld as p; p.simulate(p.scene('uniform', np.random.default_rng(0)), 2)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_motion_is_exact_at_other_frame_rates() -> None:
    (s,) = scenes("uniform", 1)
    motion: Motion = phyworld.simulate(s, 5, steps=3)
    assert np.diff(motion.centres_TN2[:, 0, 0]) == pytest.approx(0.03 * s.balls[0].speed, abs=1e-5)
