"""What is known of a scene comes back from its pictures: g, restitution, momentum. A clip that stands still has none of them."""

from dataclasses import replace

import numpy as np
import pytest

from kinowatt.exam import physics, scenes, takes, tracks
from kinowatt.exam.physics import GIVEN, PLAIN, Motion
from kinowatt.exam.scenes import FRAMES, World
from kinowatt.worlds.toybox import Sample, splits
from kinowatt.worlds.toybox import scene as scenery


@pytest.fixture(scope="module")
def world() -> World:
    pytest.importorskip("moderngl")
    return World((96, 96))


def motion(world: World, event: str) -> Motion:
    number = scenes.first(1, event=event, **PLAIN)[0]
    sample = world.sample(number, event=event, **PLAIN)
    exact = tracks.exact(sample)
    last = slice(GIVEN - 1, GIVEN)
    still = tracks.Tracks(np.repeat(exact.centres_TK2[last], FRAMES, 0), np.repeat(exact.share_TK[last], FRAMES, 0))
    return Motion(sample, number, "", sample.clip, {"exact": exact, "truth": exact, "still": still})


def test_scenes_are_held_out_and_none_is_passed_over() -> None:
    found = scenes.first(20)
    assert found[0] >= scenes.FIRST > 64 * 1_000_000
    skipped = set(range(scenes.FIRST, found[-1] + 1)) - set(found)
    assert skipped == {n for n in range(scenes.FIRST, found[-1] + 1) if splits.held_out_pair(scenery.sample(n))}
    assert all(splits.held_out_pair(scenery.sample(n)) for n in scenes.first(3, paired=True))


def test_gravity_is_read_off_a_throw(world: World) -> None:
    thrown = motion(world, "projectile")
    found = physics.gravity(thrown, "exact")
    assert found == pytest.approx(9.81, rel=0.08)
    assert abs(physics.gravity(thrown, "still") or 0.0) < 0.5
    assert physics.sizes(thrown, "exact") < 1e-9


def test_what_bounces_comes_back_with_most_of_its_speed(world: World) -> None:
    found = physics.restitution(motion(world, "bounce"), "exact")
    assert found
    assert all(0.7 < e < 1.05 for e in found)
    assert physics.restitution(motion(world, "bounce"), "still") == [0.0] * len(found)


def test_places_in_the_picture_become_places_in_the_world(world: World) -> None:
    thrown = motion(world, "projectile")
    at = tracks.world(thrown.sample, thrown.ways["exact"])
    true = thrown.sample.motion.centers_TK3[:, tracks.things(thrown.sample)]
    seen = thrown.ways["exact"].share_TK[..., None] > 0.005
    assert np.abs(np.where(seen, at - true, 0.0)).max() < 0.25, "metres"


def test_a_lost_thing_stays_where_it_was_seen_last() -> None:
    masks = np.zeros((3, 1, 20, 20), bool)
    masks[0, 0, 4:8, 10:14] = True
    found = tracks._tracked(masks)
    assert found.centres_TK2[:, 0].tolist() == [[0.6, 0.3]] * 3
    assert found.share_TK[:, 0].tolist() == [0.04, 0.0, 0.0]


def test_physics_iq_gives_the_second_take_a_hundred(world: World) -> None:
    number = scenes.first(1, event="projectile", **PLAIN)[0]
    sample: Sample = world.sample(number, event="projectile", **PLAIN)
    drawn = sample.scene
    other = world.sample(number, event="projectile", **PLAIN, subjects=tuple(replace(x, size_m=x.size_m * 1.02) for x in drawn.subjects))
    between = takes.parts(other.clip, sample.clip)[None]
    assert takes.score(between, between) == 100.0
    still = takes.parts(scenes.still(sample.clip, GIVEN - 1, FRAMES), sample.clip)[None]
    assert still[0, 1:3].tolist() == [0.0, 0.0], "nothing moves where it should; in time, frames without motion agree by the formula"
    assert takes.score(still, between) < 25.0


def test_overlaps_by_hand() -> None:
    a, b = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    a[0, :2], b[0, 1:3], b[1, 0] = True, True, True
    assert takes.overlaps(a, b) == pytest.approx([1 / 6, 2 / 3, 2 / 3])
    assert takes.overlaps(a, a).tolist() == [1.0, 1.0, 1.0]
