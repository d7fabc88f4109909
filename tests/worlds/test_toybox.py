"""The rendered world: the same seed gives the same clip, masks are true, captions say only what is seen."""

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("moderngl")

from kinowatt import language
from kinowatt.errors import InputError, MissingDependency
from kinowatt.worlds.toybox import Sample, Toybox, camera, physics, scene
from kinowatt.worlds.toybox.caption import SEEN_SHARE, SEEN_TIME


@pytest.fixture(scope="module")
def world() -> Toybox:
    try:
        return Toybox()
    except MissingDependency as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def samples(world: Toybox) -> list[Sample]:
    return [world.sample(seed, size=(80, 64), frames=9) for seed in range(24)]


def test_the_same_seed_gives_the_same_clip(world: Toybox, samples: list[Sample]) -> None:
    again = world.sample(3, size=(80, 64), frames=9)
    np.testing.assert_array_equal(again.clip.frames_TCHW, samples[3].clip.frames_TCHW)
    np.testing.assert_array_equal(again.ids_THW, samples[3].ids_THW)
    assert again.caption == samples[3].caption
    assert not np.array_equal(samples[3].clip.frames_TCHW, samples[4].clip.frames_TCHW)


@pytest.mark.parametrize("size", [(16, 16), (100, 36), (36, 100), (131, 77)])
def test_any_size_and_aspect(world: Toybox, size: tuple[int, int]) -> None:
    made = world.sample(1, size=size, frames=3)
    assert made.clip.frames_TCHW.shape == (3, 3, size[1], size[0])
    assert made.ids_THW.shape == (3, size[1], size[0])
    assert made.clip.frames_TCHW.std() > 3


def test_every_fourth_frame_is_that_of_the_whole_film(world: Toybox) -> None:
    whole, part = (world.sample(11, (48, 32), frames=9, every=every) for every in (1, 4))
    assert np.array_equal(part.clip.frames_TCHW, whole.clip.frames_TCHW[::4])
    assert np.array_equal(part.ids_THW, whole.ids_THW[::4])
    assert np.array_equal(part.camera_T44, whole.camera_T44[::4])
    assert (part.clip.fps, part.seen.heading) == (whole.clip.fps / 4, whole.seen.heading)
    assert len(part.motion.solids_TN16) == 9


def test_masks_cover_what_they_name(world: Toybox) -> None:
    red = scene.Subject("ball", "red", "matte", 0.4)
    over = {"event": "still", "subjects": (red,), "time": "noon", "weather": "clear", "mood": None, "move": "static"}
    made = world.sample(2, size=(64, 64), frames=2, ground="snow", shot="medium", **over)
    mask = made.ids_THW == 1
    assert 0.01 < mask.mean() < 0.6
    inside = made.clip.frames_TCHW.transpose(0, 2, 3, 1)[mask].mean(0)
    outside = made.clip.frames_TCHW.transpose(0, 2, 3, 1)[~mask].mean(0)
    assert inside[0] > 1.6 * inside[2]
    assert outside[0] < 1.2 * outside[2]


def test_captions_name_only_what_is_seen(world: Toybox, samples: list[Sample]) -> None:
    for made in samples:
        ids = made.ids_THW
        share = np.stack([(ids == k + 1).mean((1, 2)) for k in range(len(made.motion.things))])
        visible = [t for t, row in zip(made.motion.things, share, strict=True) if (row > SEEN_SHARE).mean() >= SEEN_TIME]
        allowed = {
            "kind": {t.kind for t in visible},
            "color": {t.color for t in visible},
            "material": {t.material for t in visible},
            "time": {made.scene.time},
            "ground": {made.scene.ground},
            "weather": {made.scene.weather},
            "mood": {made.scene.mood},
            "shot": {made.scene.shot},
            "lens": {str(made.scene.lens_mm)},
            "count": {str(n) for n in range(2, len(visible) + 1)},
        }
        for text in [made.caption, *world.captions(made, 8)]:
            reading = language.read(text)
            assert reading.not_understood == (), text
            assert reading.tokens, text
            for slot, values in allowed.items():
                assert set(reading.fields.get(slot, ())) <= values, (slot, text)
            for move in reading.fields.get("move", ()):
                family = made.scene.move.split("-")[0]
                assert move in (made.scene.move, family) or (move == "aerial" and family in ("orbit", "flyover")), text


def test_captions_come_in_both_languages(world: Toybox, samples: list[Sample]) -> None:
    wordings = [text for made in samples for text in world.captions(made, 4)]
    chinese = [t for t in wordings if any("\u4e00" <= c <= "\u9fff" for c in t)]
    assert len(chinese) == len(wordings) // 2
    assert len(set(wordings)) > 0.9 * len(wordings)


def test_cameras_move_as_they_are_named() -> None:
    for move in scene.MOVES:
        drawn = scene.sample(9, event="still", move=move, mood=None, angle="eye", shot="medium")
        motion = physics.simulate(drawn, 17, 16.0)
        rows = camera.plan(drawn, motion, 1.0).rows_T44
        start, end = rows[0], rows[-1]
        shift = end[0, :3] - start[0, :3]
        kind, _, way = move.partition("-")
        sign = -1 if way in ("left", "down") else 1
        if kind == "static":
            np.testing.assert_array_equal(start, end)
        elif kind == "pan":
            np.testing.assert_allclose(shift, 0, atol=1e-5)
            assert np.dot(end[3, :3], start[1, :3]) * sign > 0.1
        elif kind == "tilt":
            assert (end[3, 2] - start[3, 2]) * sign > 0.1
        elif kind in ("track", "orbit"):
            assert np.dot(shift, start[1, :3]) * sign > 0.1
        elif kind == "dolly":
            assert np.dot(shift, start[3, :3]) * (-1 if way == "out" else 1) > 0.1
            assert (end[0, 3] < 0.8 * start[0, 3]) == (way == "zoom")
        elif kind == "zoom":
            assert (end[0, 3] - start[0, 3]) * (1 if way == "in" else -1) > 0.1
        elif kind == "crane":
            assert shift[2] * sign > 0.1
        else:
            assert move == "flyover"
            assert np.dot(shift, start[3, :3]) > 0.5


def test_a_value_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="no ground 'lava'"):
        scene.sample(1, ground="lava")


def test_without_egl_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import moderngl

    def fail(**settings: object) -> None:
        raise Exception("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(moderngl, "create_context", fail)
    with pytest.raises(MissingDependency, match="libegl1"):
        Toybox()
