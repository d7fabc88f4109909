"""A blocking's truth: ellipses lie where the masks are, a camera's way is its path, and the mirrored film has mirrored ones."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("moderngl")

from kinowatt.worlds.toybox import Toybox, blocking
from kinowatt.worlds.toybox.scene import Subject

SIZE, FRAMES = (96, 64), 17


def ellipses(track_TT: np.ndarray) -> np.ndarray:
    """Which pixels (T, H, W) lie within a track's ellipse."""
    width, height = SIZE
    x = ((np.arange(width) + 0.5) * 2 / width - 1) * width / height
    y = 1 - (np.arange(height) + 0.5) * 2 / height
    track = track_TT[..., None, None]
    u = (x - track[:, 0]) / track[:, 2]
    v = (y[:, None] - track[:, 1] - track[:, 3] * u) / track[:, 4]
    return np.asarray(u**2 + v**2 <= 1)


@pytest.mark.parametrize(("kind", "least"), [("ball", 0.9), ("cube", 0.45), ("cylinder", 0.58), ("capsule", 0.6)])
@pytest.mark.parametrize("move", ["static", "orbit-left", "dolly-in"])
def test_an_ellipse_lies_within_its_mask_and_fills_it(world: Toybox, kind: str, least: float, move: str) -> None:
    subjects = (Subject(kind, "red", "matte", 0.35),)
    made = world.sample(4, SIZE, FRAMES, event="bounce", subjects=subjects, move=move, shot="near", mood=None)
    (track,) = blocking.tracks(made.motion, made.camera_T44, made.focus_m)
    mask, inside = made.ids_THW == 1, ellipses(track)
    both, either = (mask & inside).sum((1, 2)), (mask | inside).sum((1, 2))
    whole = mask.sum((1, 2)) > 100
    assert whole.sum() > 8
    assert (both / np.maximum(either, 1))[whole].min() > least, "all of a ball, and of what has corners the middle"
    assert (both / np.maximum(inside.sum((1, 2)), 1))[whole].min() > 0.93


def test_nearer_things_are_told_to_be_nearer(world: Toybox) -> None:
    made = world.sample(9, SIZE, 5, event="still", move="dolly-in")
    tracks = blocking.tracks(made.motion, made.camera_T44, made.focus_m)
    ahead = (made.motion.centers_TK3 - made.camera_T44[:, None, 0, :3]) @ made.camera_T44[:, 3, :3, None]
    near = np.log(ahead[..., 0].T / made.focus_m)
    assert np.abs(tracks[..., 5] - near).max() < 0.1
    assert (np.diff(tracks[0, :, 5]) < 0).all()


def test_a_way_begins_over_the_origin_and_faces_along_x(world: Toybox) -> None:
    made = world.sample(11, SIZE, 9, move="orbit-right", event="still")
    way = blocking.way(made.camera_T44, made.focus_m)
    assert way.shape == (9, blocking.TRACK)
    assert np.abs(way[0, [0, 1, 3]]).max() < 1e-6
    assert way[0, 2] == pytest.approx(made.camera_T44[0, 0, 2] / made.focus_m, rel=1e-5)
    assert np.abs(np.diff(way[:, 3])).min() > 0.05, "it turns as it goes around"


def test_what_is_seen_comes_first(world: Toybox) -> None:
    subjects = (Subject("ball", "red", "matte", 0.3), Subject("cube", "blue", "matte", 0.3))
    made = world.sample(9, SIZE, 5, event="still", subjects=subjects)
    things = made.motion.things
    assert len(things) > 1
    assert blocking.in_order(things, things) == list(range(len(things)))
    assert blocking.in_order(things, things[1:])[-1] == 0
    assert blocking.in_order(things, ()) == list(range(len(things)))


def test_the_mirrored_film_has_mirrored_tracks(world: Toybox) -> None:
    made = world.sample(9, SIZE, 5, event="roll", move="static")
    rows = made.camera_T44.copy()
    rows[:, :, 0] *= -1
    rows[:, 1, :3] *= -1
    solids = made.motion.solids_TN16.copy()
    solids[..., 0] *= -1
    solids[..., [13, 14]] *= -1  # a turn, in the mirror
    flipped = blocking.tracks(replace(made.motion, solids_TN16=solids), rows, made.focus_m)
    assert np.allclose(flipped, blocking.mirrored_tracks(blocking.tracks(made.motion, made.camera_T44, made.focus_m)), atol=1e-4)
    assert np.allclose(blocking.way(rows, made.focus_m), blocking.mirrored_way(blocking.way(made.camera_T44, made.focus_m)), atol=1e-4)
