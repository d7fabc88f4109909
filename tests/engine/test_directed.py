"""What the director tells of a clip: the camera that a path gives, what an observer sees in footage, part by part, by its seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import conditioning, standing
from kinowatt.engine.directed import AWAY, direct, parts
from kinowatt.engine.engine import Engine
from kinowatt.engine.load import load
from kinowatt.engine.plan import fill
from kinowatt.engine.ways import Ways
from kinowatt.models import model, vae
from kinowatt.models.blocking import BLOCKING_CHANNELS, COLORS, POSE, Blocking
from kinowatt.models.director import FRAMES, SLOTS, Director
from kinowatt.models.model import Model
from kinowatt.models.poser import Poser, Stage
from kinowatt.models.specs import SPARK
from kinowatt.shot import END, OUTSIDE, START, Anchor, Camera, CameraKey, Shot
from kinowatt.worlds.toybox.blocking import way

PATH = (CameraKey(0.0, (0.0, -3.0, 1.0), (0.0, 0.0, 0.4), 35.0), CameraKey(2.0, (2.0, -2.0, 1.5), (0.0, 0.0, 0.4), 50.0))
SIDE = 128


@pytest.fixture(scope="module")
def spark() -> Model:
    return model.load(SPARK, torch.device("cpu"))


def told(shot: Shot, spark: Model, observed: bool = True) -> Blocking | None:
    plan = fill(replace(shot, size=(SIDE, SIDE)), SPARK)
    known = conditioning.build(plan.shot.anchors, spark.codec, plan.frames, SIDE, SIDE, SPARK.fps)
    assert spark.director is not None
    return direct(plan, shot.camera.path, spark.director, spark.poser, spark.observer if observed else None, known, SPARK)


def rolling(frames: int, speed: float = 2.0, first: float = 30.0) -> Clip:
    """A red ball on green ground goes to the right by so many pixels a frame."""
    y, x = np.mgrid[:SIDE, :SIDE]
    film = np.empty((frames, 3, SIDE, SIDE), np.uint8)
    for t in range(frames):
        away = np.hypot(x - first - speed * t, y - 70)
        ball = np.clip(11.0 - away, 0.0, 1.0)
        ground = np.where(y < 50, 190, 0)[None] + np.array([90, 140, 70])[:, None, None] * (y >= 50)
        film[t] = (1 - ball) * ground + ball * np.array([200, 30, 30])[:, None, None] * (1.1 - 0.03 * away)
    return Clip(film, fps=16.0)


def test_of_what_it_tells(spark: Model) -> None:
    footage = rolling(5)
    shot = Shot("two red balls on grass", seed=3)
    one = told(shot, spark)
    assert one is not None
    assert one.tracks_BKFT.shape[2] == FRAMES
    assert told(replace(shot, prompt="flumph opera"), spark) is None, "no words"
    held = replace(shot, anchors=(Anchor(footage, START),))
    assert told(held, spark) is not None
    assert told(replace(held, prompt="flumph opera"), spark) is not None, "footage needs no words"
    assert told(held, spark, observed=False) is None, "nobody looks at it"
    assert told(replace(shot, anchors=(Anchor(footage, START, strength=0.5),)), spark) is None, "what is to be drawn anew"
    assert told(replace(shot, anchors=(Anchor(footage, OUTSIDE),)), spark, observed=False) is not None
    long = told(replace(shot, seconds=6.0), spark)
    assert long is not None
    assert long.tracks_BKFT.shape[2] == 25


@pytest.mark.parametrize(("at", "first", "column"), [(START, 30.0, 0), (END, 60.0, FRAMES - 1)])
def test_it_goes_on_from_what_is_seen(spark: Model, at: str, first: float, column: int) -> None:
    """Of the weights that ship: a ball that rolls to the right goes on to the right, and came from the left."""
    shot = Shot("a red ball rolls to the right on grass, static camera", seed=1, anchors=(Anchor(rolling(5, first=first), at),))
    made = told(shot, spark)
    assert made is not None
    red = made.looks_BKL[0, :, 1 + COLORS.index("red")] > 0
    assert red.any()
    k = int(red.float().argmax())
    x_F, y_F = made.tracks_BKFT[0, k, :, 0], made.tracks_BKFT[0, k, :, 1]
    given = first + (8.0 if column else 0.0)
    assert float(x_F[column]) == pytest.approx((given + 0.5) / 64 - 1, abs=0.08), "where it was seen"
    assert float(y_F[column]) == pytest.approx(1 - 70.5 / 64, abs=0.08)
    assert float(x_F[-1] - x_F[0]) > 0.25
    assert float(y_F.std()) < 0.2, "it rolls"


def test_a_seed_means_one_blocking(spark: Model) -> None:
    first, again, other = (told(Shot("a blue cube falls on sand", seed=seed), spark) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first.tracks_BKFT, again.tracks_BKFT)
    assert not torch.equal(first.tracks_BKFT, other.tracks_BKFT)


def test_a_picture_is_the_middle_of_a_clip(spark: Model) -> None:
    clip, picture = (told(Shot("a red ball rolls on grass", seed=1, seconds=s), spark) for s in (2.0, 1 / 16))
    assert clip is not None
    assert picture is not None
    assert torch.equal(picture.tracks_BKFT, clip.tracks_BKFT[:, :, FRAMES // 2 : FRAMES // 2 + 1])


def test_things_of_words_are_turned_and_go_on_turning(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a poser at random: what was told with a part before stays, and in footage nobody sees how things are turned."""
    engine = load(str(small_model), "cpu", Ways("torch"))
    assert isinstance(engine, Engine)
    assert isinstance(engine.model, Model)
    assert engine.model.poser is not None
    parts_told = []
    draw = Poser.draw

    def watched(self: Poser, stage: Stage, noise: torch.Tensor, known: torch.Tensor, is_known: torch.Tensor) -> torch.Tensor:
        made = draw(self, stage, noise, known, is_known)
        parts_told.append((made, is_known))
        return made

    monkeypatch.setattr(Poser, "draw", watched)
    one = engine.blocking(engine.plan(Shot("two red cubes on grass", seed=3, seconds=4.0)))
    assert one is not None
    assert one.poses_BKFP is not None
    there = one.looks_BKL[0, :, 0] > 0
    assert one.poses_BKFP.shape == (*one.tracks_BKFT.shape[:3], POSE)
    assert not one.poses_BKFP[0, ~there].any()
    (first, none), (second, known) = parts_told[:2]
    assert not none.any()
    shared = 3
    assert known[0, there, :shared].all()
    assert not known[0, :, shared:].any()
    assert torch.allclose(first[0, :, -shared:], second[0, :, :shared])
    again = engine.blocking(engine.plan(Shot("two red cubes on grass", seed=3, seconds=4.0)))
    assert again is not None
    assert again.poses_BKFP is not None
    assert torch.equal(again.poses_BKFP, one.poses_BKFP)
    held = engine.plan(Shot("two red cubes on grass", seed=3, anchors=(Anchor(rolling(5), START),)))
    seen = conditioning.build(held.shot.anchors, engine.model.codec, held.frames, SIDE, SIDE, SPARK.fps)
    footage = engine.blocking(held, seen)
    assert footage is None or footage.poses_BKFP is None


def test_parts_begin_on_the_side_that_is_given() -> None:
    def begins(count: int, *given: int) -> list[int]:
        frames = torch.zeros(count, dtype=torch.bool)
        frames[list(given)] = True
        return parts(frames)

    assert begins(FRAMES) == begins(FRAMES, 0) == begins(FRAMES, 8) == [0]
    assert begins(5) == [-2]
    assert begins(5, 0) == begins(5, 0, 4) == [0]
    assert begins(5, 4) == [-4]
    assert begins(25) == begins(25, 0, 24) == [0, 6, 12, 16]
    assert begins(25, 23, 24) == [16, 12, 6, 0]
    assert begins(10) == [0, 1]


def test_a_long_clip_keeps_its_things(spark: Model) -> None:
    """What was told of a part stands in the next; nothing comes from nowhere, unless another scene begins."""
    shot = Shot("a red ball and a blue cube stand on grass, static camera", seed=5, seconds=6.0)
    whole, beginning = told(shot, spark), told(replace(shot, seconds=2.0), spark)
    assert whole is not None
    assert beginning is not None
    assert torch.equal(whole.tracks_BKFT[:, :, :FRAMES], beginning.tracks_BKFT)
    assert torch.equal(whole.looks_BKL, beginning.looks_BKL)
    there = whole.looks_BKL[0, :, 0] > 0
    assert not (whole.tracks_BKFT[0, ~there, FRAMES:] != torch.tensor(AWAY)).any(), "the other places stay empty"
    steps = whole.tracks_BKFT[0, there].diff(dim=1)[..., :2].norm(dim=-1)
    assert float(steps.median()) < 0.1, "they stand"
    scenes = told(replace(shot, storyboard=((3.0, "four green balls bounce on grass"),)), spark)
    assert scenes is not None
    change = -(-3 * 16 // 4)
    assert torch.equal(scenes.tracks_BKFT[:, there, :FRAMES], whole.tracks_BKFT[:, there, :FRAMES])
    more = (scenes.looks_BKL[0, :, 0] > 0) & ~there
    assert more.any(), "things come with another text"
    assert (scenes.tracks_BKFT[0, more, :change] == torch.tensor(AWAY)).all()
    assert (scenes.tracks_BKFT[0, more, change] != torch.tensor(AWAY)).any()


@pytest.mark.parametrize("path", [(), PATH])
def test_the_camera_of_the_path_or_of_the_words_is_given_to_it(
    spark: Model, path: tuple[CameraKey, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    director = spark.director
    assert isinstance(director, Director)
    draw, seen = director.draw, list[tuple[torch.Tensor, torch.Tensor]]()

    def watched(
        ids: torch.Tensor, aspect: torch.Tensor, noise: torch.Tensor, known: torch.Tensor, is_known: torch.Tensor, guidance: float
    ) -> torch.Tensor:
        seen.append((known, is_known))
        return draw(ids, aspect, noise, known, is_known, guidance=guidance)

    monkeypatch.setattr(director, "draw", watched)
    shot = Shot("a red ball on grass, pan left", seed=1, camera=Camera(path=path))
    assert told(shot, spark) is not None
    ((known, is_known),) = seen
    cameras = standing.cameras(fill(replace(shot, size=(SIDE, SIDE)), SPARK), path, SPARK)
    want = way(cameras.rows_BF44[0].numpy(), float(cameras.focus_B))
    assert np.allclose(director.read(known)[0][0].numpy(), want, atol=1e-5)
    assert is_known.shape == (1, SLOTS, FRAMES + 1)
    assert bool(is_known[:, 0].all())
    assert not is_known[:, 1:].any()


def test_it_does_what_words_ask_for(spark: Model) -> None:
    """Of the weights that ship, in sixteen seeds each."""

    def many(prompt: str, move: str | None = None) -> list[Blocking]:
        made = [told(Shot(prompt, seed=seed, camera=Camera(move)), spark) for seed in range(16)]
        return [m for m in made if m is not None]

    one, three = (np.mean([float(m.looks_BKL[..., 0].sum()) for m in many(p)]) for p in ("a red ball", "three red balls"))
    assert one < 1.6
    assert 2.2 < three < 3.8
    fall = np.mean([float(m.tracks_BKFT[0, 0, 4, 1] - m.tracks_BKFT[0, 0, 0, 1]) for m in many("a red ball falls on grass, static camera")])
    assert fall < -0.2
    right, left = (
        np.mean(
            [float(m.tracks_BKFT[0, 0, -1, 0] - m.tracks_BKFT[0, 0, 0, 0]) for m in many(f"a red ball rolls to the {side}, static camera")]
        )
        for side in ("right", "left")
    )
    assert right > 0.3 > -0.3 > left


@pytest.mark.parametrize("seconds", [1.0, 4.0])  # in one go, and by a window that rolls
def test_the_network_is_shown_it(small_model: Path, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(str(small_model), "cpu", Ways("torch"))
    assert isinstance(engine, Engine)
    shot = Shot("a red ball", size=(64, 48), steps=2, seed=3, seconds=seconds, guidance=2.0)
    with_it = engine.generate(shot).latents_1CFHW
    seen = list[torch.Tensor]()
    network = engine.runtime.denoiser

    def watched(x: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return network(x, level, text)

    monkeypatch.setattr(engine.runtime, "denoiser", watched)
    again = engine.generate(shot).latents_1CFHW
    assert with_it is not None
    assert again is not None
    assert np.array_equal(with_it, again)
    engine_model = engine.model
    assert isinstance(engine_model, Model)
    channels = engine_model.dit.config.blocking
    told_, untold = (one[-channels:][:BLOCKING_CHANNELS] for one in seen[-1][:2])
    given = told_.unflatten(0, (-1, vae.SMALL**2))[-1]
    assert bool((given == 1.0).all()), "it is told that it is told"
    assert not untold.any()
