"""Noise that stands in the world: white in every frame, and where a camera sees the same place again, the same again."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinowatt.engine import standing
from kinowatt.engine.load import load
from kinowatt.engine.plan import fill
from kinowatt.engine.standing import Cameras, Dice
from kinowatt.engine.ways import Ways
from kinowatt.models import ground, specs, vae, weights
from kinowatt.models.blocking import LOOKS, MOST, TRACK, Blocking, looks
from kinowatt.models.specs import SPARK
from kinowatt.models.wan_specs import WAN
from kinowatt.shot import Camera, CameraKey, Shot
from kinowatt.worlds.toybox import camera, physics, scene
from kinowatt.worlds.toybox.scene import ANGLES, MOVES, SHOTS

FRAMES, SIDE = 9, 32


def cameras(move: str, shot: str = "medium", angle: str = "eye") -> Cameras:
    path = camera.named(move, shot, SHOTS[shot][1], angle, 33, 1.0)
    return Cameras(torch.from_numpy(path.rows_T44[::4])[None], torch.tensor([path.distance_m]))


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("angle", ANGLES)
def test_no_frame_shows_a_place_twice(move: str, angle: str) -> None:
    for shot in SHOTS:
        numbers = standing.places(cameras(move, shot, angle), SIDE, SIDE)[0]
        assert numbers.shape == (FRAMES, SIDE**2)
        assert all(len(frame.unique()) == SIDE**2 for frame in numbers)
        assert 0 <= int(numbers.min()) <= int(numbers.max()) < FRAMES * SIDE**2


def test_places_are_where_a_camera_projects_them() -> None:
    """What two frames show alike is one place of the ground, by the world's own projection."""
    seen = cameras("track-left")
    numbers = standing.places(seen, SIDE, SIDE)[0]
    rows = seen.rows_BF44[0].numpy()
    point_FN3, far_FN = (part[0] for part in ground.points(seen.rows_BF44, seen.focus_B, SIDE, SIDE))
    shared = 0
    for pixel in range(SIDE**2):
        earlier = (numbers[0] == numbers[3, pixel]).nonzero()
        if len(earlier) and not far_FN[3, pixel]:
            column, row, ahead = camera.project(rows[:1], point_FN3[3, pixel][None, None].numpy(), (SIDE, SIDE))[0, 0]
            assert ahead > 0
            at_row, at_column = divmod(int(earlier), SIDE)
            assert max(abs(row - 0.5 - at_row), abs(column - 0.5 - at_column)) <= 1.5, "by way of frames between, rounded each time"
            shared += 1
    assert shared > 0.25 * SIDE**2


def test_a_still_camera_keeps_every_place_and_a_pan_loses_a_side() -> None:
    still, pan = (standing.places(cameras(move), SIDE, SIDE)[0] for move in ("static", "pan-right"))
    assert torch.equal(still[0].expand(FRAMES, -1), still)
    kept = (pan[-1] < SIDE**2).reshape(SIDE, SIDE).float().mean(0)
    assert kept[:8].mean() > 0.9, "to the left is what it has seen before"
    assert kept[-8:].mean() < 0.1


def moving(dx: float, frames: int = FRAMES) -> Blocking:
    """A disc that starts left of the middle and goes right by `dx` half heights a frame."""
    tracks, rows = torch.zeros(1, MOST, frames, TRACK), torch.zeros(1, MOST, LOOKS)
    tracks[0, 0] = torch.stack([torch.tensor([-0.5 + dx * f, 0.0, 0.3, 0.0, 0.3, 0.0]) for f in range(frames)])
    rows[0, 0] = torch.tensor(looks("ball", "red", "matte", False))
    return Blocking(tracks, rows)


def test_what_stands_on_a_thing_moves_with_it() -> None:
    step = 2 * 2.0 / SIDE  # two pixels a frame
    numbers = standing.places(cameras("static"), SIDE, SIDE, moving(step))[0].reshape(FRAMES, SIDE, SIDE)
    assert all(len(frame.unique()) == SIDE**2 for frame in numbers)
    middle = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    for k in range(1, FRAMES):
        assert torch.equal(numbers[k, middle, 8 + 2 * k - 2 : 8 + 2 * k + 2], numbers[0, middle, 6:10])
    assert torch.equal(numbers[:, 0], numbers[0, 0].expand(FRAMES, -1)), "the ground stands"
    uncovered = numbers[-1, middle, 4:12]
    assert bool((uncovered >= SIDE**2).all()), "what was behind it had not been seen"
    seen_again = numbers[4, 0, :], numbers[0, 0, :]
    assert torch.equal(*seen_again)


def test_a_blocking_without_things_changes_nothing() -> None:
    nothing = Blocking(torch.zeros(1, MOST, FRAMES, TRACK), torch.zeros(1, MOST, LOOKS))
    for move in ("static", "orbit-left", "dolly-in"):
        assert torch.equal(standing.places(cameras(move), SIDE, SIDE, nothing), standing.places(cameras(move), SIDE, SIDE))


def test_noise_on_things_is_white_too() -> None:
    shape = (1, 48, FRAMES, 16, 16)
    drawn = Dice(1.0, cameras("orbit-left"), moving(0.07))(shape, 3)
    pixels = vae.unfold(drawn)[0]
    assert float(drawn.std()) == pytest.approx(1.0, abs=0.02)
    assert float((pixels[:, :, 1:] * pixels[:, :, :-1]).mean().abs()) < 0.01


def test_each_frame_is_white_and_frames_are_alike_by_the_share() -> None:
    shape = (1, 48, FRAMES, 16, 16)
    seen = cameras("static")
    for share in (0.0, 0.5, 0.9, 1.0):
        drawn = Dice(share, seen)(shape, 1)
        assert drawn.shape == shape
        assert float(drawn.std()) == pytest.approx(1.0, abs=0.02)
        assert float((drawn[:, :, 0] * drawn[:, :, 7]).mean()) == pytest.approx(share, abs=0.03)
        pixels = vae.unfold(drawn)[0, 4]
        assert float((pixels[:, :, 1:] * pixels[:, :, :-1]).mean().abs()) < 0.03
    moved = Dice(1.0, cameras("orbit-left"))(shape, 1)
    pixels = vae.unfold(moved)[0]
    assert float((pixels[:, :, 1:] * pixels[:, :, :-1]).mean().abs()) < 0.01


def test_noise_follows_the_camera() -> None:
    """A pan to the right moves the picture, and its noise with it, to the left."""
    drawn = Dice(1.0, cameras("pan-right"))((1, 48, FRAMES, 8, 8), 2)
    first, later = vae.unfold(drawn)[0, [0, 4]]
    likeness = [float((first[:, :, s:] * later[:, :, : SIDE - s]).mean()) for s in range(12)]
    assert max(range(12), key=likeness.__getitem__) in range(5, 11)
    assert likeness[0] < 0.1


def dice(prompt: str = "a red ball", **fields: Any) -> Dice:
    shot = Shot(prompt, **fields)
    return standing.dice(fill(shot, SPARK), shot.camera.path, SPARK)


def test_words_a_move_and_a_path_move_the_noise() -> None:
    shape = (1, 48, FRAMES, 8, 8)
    still = dice()(shape, 5)
    assert torch.equal(still, dice()(shape, 5))
    assert not torch.equal(still, dice()(shape, 6))
    path = (CameraKey(0.0, (0, -4, 1), (0, 0, 0.5)), CameraKey(2.0, (3, -4, 1), (3, 0, 0.5)))
    moves = [dice("a red ball, pan right"), dice(camera=Camera("pan-right")), dice(camera=Camera(path=path)), dice("a ball, panning")]
    words, control, keys, either = (d(shape, 5) for d in moves)
    assert torch.equal(words, control)
    assert torch.equal(either, dice(camera=Camera("pan-left"))(shape, 5))
    for moved in (words, keys):
        assert torch.equal(moved[:, :, 0] * 0 + still[:, :, 0], still[:, :, 0]), "a clip begins as it does with a still camera"
        assert float((moved[:, :, 8] * still[:, :, 8]).mean()) < 0.5


def test_every_scene_of_a_storyboard_has_its_own_camera() -> None:
    drawn = dice("a red ball", storyboard=((2.0, "a red ball, pan right"),), seconds=4.0)
    assert drawn.cameras is not None
    rows = drawn.cameras.rows_BF44[0]
    assert torch.equal(rows[:8], rows[:1].expand(8, -1, -1))
    assert not torch.equal(rows[9], rows[16])


def test_what_stands_is_the_same_in_a_part_and_another_in_the_next() -> None:
    shape = (1, 48, FRAMES, 8, 8)
    drawn = dice("a red ball", seconds=6.0)

    def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a * b).mean())

    for begin, part in ((0, 0), (6, 1), (12, 2)):
        now = drawn(shape, 5, begin, part)
        assert torch.equal(now, dice("a red ball", seconds=6.0)(shape, 5, begin, part))
        assert likeness(now[:, :, :3], now[:, :, -3:]) == pytest.approx(0.9, abs=0.08), "a tenth of it is each frame's own"
        later = drawn(shape, 5, begin + 6, part + 1)
        assert abs(likeness(now[:, :, 6:], later[:, :, :3])) < 0.08, "what the same noise wrote would be written again"
    assert torch.equal(drawn(shape, 5)[:, :, :1], dice("a red ball")(shape, 5)[:, :, :1]), "a clip of any length begins alike"


def test_parts_of_a_clip_cost_no_more_the_later_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, counted = dice("a red ball, pan right", seconds=10.0), list[int]()
    places = standing.places

    def watched(cameras: Cameras, height: int, width: int, blocking: Blocking | None) -> torch.Tensor:
        counted.append(cameras.rows_BF44.shape[1])
        return places(cameras, height, width, blocking)

    monkeypatch.setattr(standing, "places", watched)
    for part, begin in enumerate(range(0, 32, 6)):
        drawn((1, 48, FRAMES, 8, 8), 5, begin, part)
    assert counted == [FRAMES] * 6


def test_models_that_were_trained_on_plain_noise_get_plain_noise() -> None:
    spec = WAN["wan-2.1-t2v-1.3b"] if "wan-2.1-t2v-1.3b" in WAN else next(iter(WAN.values()))
    plain = standing.dice(fill(Shot("a red ball"), SPARK), (), spec)
    shape = (1, 16, 3, 4, 4)
    assert torch.equal(plain(shape, 7), torch.randn(shape, generator=torch.Generator().manual_seed(7)))


def test_a_folder_says_which_noise_it_knows(small_model: Path, tmp_path: Path) -> None:
    assert specs.find(str(small_model)).standing == 0.9
    tensors, config = weights.load(small_model / "denoiser.safetensors")
    del config["standing"]  # as folders of before
    weights.save(tmp_path / "denoiser.safetensors", tensors, config)
    assert specs.find(str(tmp_path)).standing == 0.0


@pytest.mark.parametrize("seconds", [1.0, 4.0])  # in one go, and by a window that rolls
def test_the_noise_reaches_the_network(small_model: Path, seconds: float, tmp_path: Path) -> None:
    """A random network leaves most of it in the latents, where still cameras leave it in its place and a pan does not."""
    for name in ("codec.safetensors", "denoiser.safetensors"):  # a director would have a camera of its own
        shutil.copy(small_model / name, tmp_path)
    engine = load(str(tmp_path), "cpu", Ways("torch"))
    for move, least, most in (("static", 0.6, 1.0), ("pan-right", -0.2, 0.3)):
        take = engine.generate(Shot("a red ball", size=(64, 48), steps=2, seed=3, seconds=seconds, guidance=1.0, camera=Camera(move)))
        assert take.latents_1CFHW is not None
        first, last = take.latents_1CFHW[0, :, 0], take.latents_1CFHW[0, :, 4 if seconds == 1.0 else 8]
        assert least < float(np.corrcoef(first.ravel(), last.ravel())[0, 1]) < most


def test_what_comes_after_the_clip_stands_still() -> None:
    drawn = dice("a red ball, pan right")
    assert drawn((1, 48, FRAMES + 1, 8, 8), 1).shape[2] == FRAMES + 1


@pytest.mark.parametrize(("event", "words"), [("turbine", "wind turbines"), ("solar", "solar panels")])
@pytest.mark.parametrize("count", [1, 3])
def test_cameras_of_words_stand_before_big_things_where_the_worlds_do(event: str, words: str, count: int) -> None:
    apart, high = [], []
    for seed in range(4):
        made = scene.sample(seed, event=event, shot="medium", move="static", angle="eye", lens_mm=35.0)
        made = dataclasses.replace(made, count=count)
        path = camera.plan(made, physics.simulate(made, 33, 16.0), 1.0)
        prompt = f"{('one', '', 'three')[count - 1]} {words}, medium shot, 35 mm, static camera, eye level"
        rows_T44, focus_m = standing.way(fill(Shot(prompt, size=(256, 256)), SPARK), (), SPARK)
        apart.append(focus_m / path.distance_m)
        high.append(float(rows_T44[0, 0, 2] / path.rows_T44[0, 0, 2]))
    assert np.median(apart) == pytest.approx(1.0, abs=0.2)
    assert np.median(high) == pytest.approx(1.0, abs=0.2)
