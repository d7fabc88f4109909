"""The toybox's ground truth: matrices, masks, depth and poses agree to the pixel; one field changed changes nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")
pytest.importorskip("moderngl")

from kinowatt.errors import InputError
from kinowatt.models.interpolator import looked_up
from kinowatt.worlds.toybox import Sample, Toybox, camera, layout, light, physics, scene
from kinowatt.worlds.toybox.scene import Subject

PLAIN = {"mood": None, "time": "noon", "weather": "clear", "angle": "eye", "speed": "normal", "aside": 0.0, "hills": 0.0, "wet": False}


@pytest.fixture(scope="module")
def ball(world: Toybox) -> Sample:
    over = PLAIN | {"event": "bounce", "subjects": (Subject("ball", "red", "matte", 0.35),), "ground": "snow", "shot": "medium"}
    return world.sample(4, (96, 64), 5, depth=True, move="orbit-left", **over)


def test_a_thing_projects_onto_the_middle_of_its_mask(ball: Sample) -> None:
    at_TK3 = camera.project(ball.camera_T44, ball.motion.centers_TK3, (96, 64))
    for t in range(5):
        rows, columns = np.nonzero(ball.ids_THW[t] == 1)
        assert len(rows) > 100
        # A ball's picture is an ellipse, a little farther from the picture's middle than the ball's centre.
        assert columns.mean() + 0.5 == pytest.approx(at_TK3[t, 0, 0], abs=0.5)
        assert rows.mean() + 0.5 == pytest.approx(at_TK3[t, 0, 1], abs=0.5)


def test_depth_is_the_distance_to_ball_and_ground(ball: Sample) -> None:
    assert ball.depth_THW is not None
    assert ball.depth_THW.dtype == np.float32
    k, e = ball.intrinsics_T44[2], ball.extrinsics_T44[2]
    rotation, eye = e[:3, :3], -e[:3, :3].T @ e[:3, 3]
    row, column = np.mgrid[0:64, 0:96] + 0.5
    rays = np.stack([(column - k[0, 2]) / k[0, 0], (row - k[1, 2]) / k[1, 1], np.ones_like(row)], -1) @ rotation  # one metre of depth each
    with np.errstate(divide="ignore"):
        ground = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
    toward = eye - ball.motion.centers_TK3[2, 0].astype(float)
    a, b, c = (rays**2).sum(-1), rays @ toward, toward @ toward - 0.35**2
    disc = b * b - a * c
    sphere = np.where(disc >= 0, (-b - np.sqrt(np.maximum(disc, 0))) / a, np.inf)
    want = np.minimum(ground, sphere)
    measured = ball.depth_THW[2]
    sure = (np.abs(disc) > 0.02) & (np.abs(rays[..., 2]) > 0.02)
    assert sure.mean() > 0.9
    np.testing.assert_allclose(measured[sure], want[sure], rtol=2e-4)
    assert np.isinf(measured[0]).any() or (rays[..., 2] < 0).all()


@pytest.mark.parametrize("move", ["static", "orbit-left"])
def test_flow_leads_to_where_the_ball_was_and_will_be(world: Toybox, move: str) -> None:
    """The middle of its picture goes as its centre does, unless it is seen from another side; the other frame shows there what is looked
    for."""
    over = PLAIN | {"event": "bounce", "subjects": (Subject("ball", "red", "matte", 0.35),), "ground": "snow", "shot": "medium"}
    ball = world.sample(4, (96, 64), 9, depth=True, move=move, **over)
    at_TK3 = camera.project(ball.camera_T44, ball.motion.centers_TK3, (96, 64))
    frames_TCHW = torch.from_numpy(ball.clip.frames_TCHW).float()
    for end in (2, 8):
        away_2HW, before_HW = ball.flow(6, end)
        row, column = (int(n) for n in at_TK3[6, 0, 1::-1])
        assert before_HW.all()
        if move == "static":
            np.testing.assert_allclose(
                away_2HW[:, row, column], at_TK3[end, 0, :2] - at_TK3[6, 0, :2], rtol=0.15, atol=0.2
            )  # its skin is nearer
        shown = looked_up(frames_TCHW[end : end + 1], torch.from_numpy(away_2HW)[None])[0]
        moved, still = ((f - frames_TCHW[6]).abs().mean(0)[ball.ids_THW[6] == 1].mean() for f in (shown, frames_TCHW[end]))
        assert moved < 0.5 * still, (end, moved, still)


def test_flow_follows_each_blade_of_a_turbine(world: Toybox) -> None:
    over = PLAIN | {"event": "turbine", "count": 1, "ground": "snow", "move": "static", "speed": "fast"}
    turbine = world.sample(3, (128, 128), 5, depth=True, **over)
    away_2HW, _ = turbine.flow(2, 0)
    on = turbine.ids_THW[2] == 1
    far = np.abs(away_2HW).max(0)
    assert far[on].max() > 2.0, "tips of blades"
    assert (far[on] < 0.05).mean() > 0.1, "the tower stands"
    assert far[~on].max() < 0.05, "so does the ground"


def test_flow_knows_which_frames_were_rendered(world: Toybox, ball: Sample) -> None:
    thin, full = (world.film(ball.scene, (96, 64), 9, 16.0, depth=True, every=every) for every in (4, 1))
    np.testing.assert_array_equal(thin.flow(1, 2)[0], full.flow(4, 8)[0])


def test_flow_wants_depth(world: Toybox, ball: Sample) -> None:
    with pytest.raises(InputError, match="depth=True"):
        world.film(ball.scene, (96, 64), 5, 16.0).flow(2, 0)


def test_depth_is_made_only_when_asked_for(world: Toybox, ball: Sample) -> None:
    plain = world.film(ball.scene, (96, 64), 5, 16.0)
    assert plain.depth_THW is None
    np.testing.assert_array_equal(plain.clip.frames_TCHW, ball.clip.frames_TCHW)


@pytest.mark.parametrize("kind", scene.KINDS)
def test_depth_falls_on_the_solid_that_physics_moves(world: Toybox, kind: str) -> None:
    """Where the mask shows a solid, its depth, taken back to the solid's own frame, lies on the solid's surface."""
    subject = Subject(kind, "red", "matte", 0.35)
    made = world.sample(6, (64, 64), 4, depth=True, event="fall", subjects=(subject,), move="static", shot="medium", **PLAIN)
    assert made.depth_THW is not None
    t = 3
    inside = made.ids_THW[t] == 1
    eroded = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    rows, columns = np.nonzero(eroded)
    rows, columns = rows + 1, columns + 1
    assert len(rows) > 40
    depth = made.depth_THW[t, rows, columns].astype(float)
    k, e = made.intrinsics_T44[t], made.extrinsics_T44[t]
    seen = np.stack([(columns + 0.5 - k[0, 2]) / k[0, 0], (rows + 0.5 - k[1, 2]) / k[1, 1], np.ones(len(rows))], -1) * depth[:, None]
    points = (seen - e[:3, 3]) @ e[:3, :3]
    x, y, z, w = made.motion.quats_TK4[t, 0].astype(float)
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    own = (points - made.motion.centers_TK3[t, 0]) @ turn
    assert np.abs(outside_m(kind, own)).max() < 2e-3


def outside_m(kind: str, p_N3: np.ndarray) -> np.ndarray:
    """Metres from a solid's surface, textbook formulas; within it negative."""
    wide, _, high = layout.half_sizes(kind, 0.35)
    round_N = np.hypot(p_N3[:, 0], p_N3[:, 1])
    if kind == "ball":
        return np.linalg.norm(p_N3, axis=1) - high
    if kind == "cube":
        return np.abs(p_N3).max(1) - high
    if kind == "cylinder":
        return np.maximum(round_N - wide, np.abs(p_N3[:, 2]) - high)
    if kind == "cone":
        slant = np.hypot(wide, 2 * high)
        return np.maximum((round_N * 2 * high + (p_N3[:, 2] - high) * wide) / slant, -high - p_N3[:, 2])
    if kind == "torus":
        return np.hypot(round_N - (wide - high), p_N3[:, 2]) - high
    along = np.clip(p_N3[:, 2], wide - high, high - wide)
    return np.hypot(round_N, p_N3[:, 2] - along) - wide


def test_a_dolly_zoom_keeps_the_size_of_its_subject_and_not_of_the_land() -> None:
    still = PLAIN | {"event": "still", "subjects": (Subject("ball", "red", "matte", 0.35),), "shot": "medium"}
    drawn = scene.sample(3, move="dolly-zoom", **still)
    rows = camera.plan(drawn, physics.simulate(drawn, 9, 16.0), 1.0).rows_T44
    center = physics.simulate(drawn, 9, 16.0).centers_TK3
    far = center + rows[0, 3, :3] * 20
    beside = rows[0, 1, :3]
    sizes = [(camera.project(rows, p + beside, (64, 64)) - camera.project(rows, p, (64, 64)))[:, 0, 0] for p in (center, far)]
    assert np.ptp(sizes[0]) / sizes[0].mean() < 0.01
    assert sizes[1][-1] < 0.6 * sizes[1][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [("color", "blue"), ("time", "night"), ("weather", "fog"), ("ground", "sand"), ("move", "pan-left"), ("mood", "lonely"), ("wet", True)],
)
def test_a_counterfactual_changes_one_field(world: Toybox, field: str, value: object) -> None:
    over = PLAIN | {"event": "collide", "ground": "pavement", "move": "static"}
    subjects = (Subject("ball", "red", "matte", 0.3), Subject("cube", "green", "metal", 0.3))
    one, two = world.pair(5, field, value, (48, 48), 5, subjects=subjects, **over)
    np.testing.assert_array_equal(one.motion.centers_TK3, two.motion.centers_TK3)
    assert not np.array_equal(one.clip.frames_TCHW, two.clip.frames_TCHW)
    if field == "color":
        assert replace(two.scene, subjects=one.scene.subjects) == one.scene
        changed = np.abs(one.clip.frames_TCHW.astype(int) - two.clip.frames_TCHW).max(1) > 40
        assert (one.ids_THW[changed] == 1).mean() > 0.7  # the rest is what reflects it
    else:
        assert replace(two.scene, **{field: getattr(one.scene, field)}) == one.scene
    if field != "move":
        np.testing.assert_array_equal(one.camera_T44, two.camera_T44)
        assert (one.ids_THW == two.ids_THW).mean() > 0.99


def test_rain_wets_the_ground_of_a_counterfactual_too() -> None:
    dry = scene.sample(2, event="still", ground="grass", weather="clear")
    assert not dry.wet
    assert scene.changed(dry, "weather", "rain").wet


@pytest.mark.parametrize(
    ("field", "value", "subject"), [("color", "mauve", 0), ("weather", "hail", 0), ("color", "red", 9), ("tide", "low", 0)]
)
def test_a_counterfactual_that_cannot_be_is_refused(field: str, value: str, subject: int) -> None:
    with pytest.raises(InputError):
        scene.changed(scene.sample(1, event="still"), field, value, subject)


def test_moods_have_causes_that_can_be_measured(world: Toybox) -> None:
    drawn = {mood: [scene.sample(seed, mood=mood) for seed in range(60)] for mood in scene.MOODS}
    lonely, lively = drawn["lonely"], drawn["lively"]
    assert all(len(s.subjects) <= 1 and s.count <= 1 and s.speed == "slow" for s in lonely)
    assert all(s.weather not in ("clear",) for s in lonely)
    assert np.mean([max(len(s.subjects), s.count) >= 3 for s in lively]) > 0.8
    assert all(s.speed == "fast" and s.weather in ("clear", "cloudy") for s in lively)
    over = PLAIN | {"event": "still", "ground": "grass", "move": "static", "subjects": (Subject("ball", "red", "matte", 0.3),)}
    look = {}
    for mood in (None, *scene.MOODS):
        picture = world.sample(8, (48, 48), 1, **(over | {"mood": mood})).clip.frames_TCHW[0].astype(float)
        red, _, blue = picture.mean((1, 2))
        # Saturation, warmth, light, contrast.
        look[mood] = np.ptp(picture, axis=0).mean(), red - blue, picture.mean(), picture.mean(0).std()
    assert look["lonely"][0] < 0.75 * look[None][0] < 0.75 * look["lively"][0]
    assert look["lonely"][1] < look[None][1] < look["lively"][1]
    assert look["mysterious"][1] < look[None][1]
    assert look["calm"][3] < look[None][3] < look["tense"][3]
    assert look["mysterious"][2] < look[None][2]


def test_rain_and_snow_fall_in_the_world(world: Toybox) -> None:
    """Drops move down between frames, and a camera that looks elsewhere sees others: they are not painted on the lens."""
    over = PLAIN | {"event": "still", "ground": "pavement", "move": "static", "subjects": (Subject("ball", "red", "matte", 0.3),)}
    dry = world.sample(8, (64, 64), 3, fps=30.0, **(over | {"weather": "overcast"}))
    air = (dry.ids_THW == 0).all(0)  # the ball settles by a millimetre or two
    still = np.abs(np.diff(dry.clip.frames_TCHW.astype(int), axis=0)).max((0, 1))
    for weather in ("rain", "snowfall"):
        made = world.sample(8, (64, 64), 3, fps=30.0, **(over | {"weather": weather})).clip.frames_TCHW.astype(int)
        stirred = np.abs(np.diff(made, axis=0)).max((0, 1))
        assert 0.002 < (stirred > still + 4)[air].mean() < 0.6
    fog = light.uniforms(scene.sample(1, weather="fog"), 40.0, 0.06)["FOG"][0]
    assert 1 - np.exp(-fog * 40.0) < 0.4  # of what stands in the focus fog takes less than this, however far it is
