"""What the director tells of a clip: nothing where footage speaks, the camera that a path gives, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import standing
from kinowatt.engine.camera_path import rows_of
from kinowatt.engine.directed import Directed, direct
from kinowatt.engine.plan import fill
from kinowatt.models import model
from kinowatt.models.director import FRAMES, Director
from kinowatt.models.specs import SPARK
from kinowatt.shot import OUTSIDE, START, Anchor, Camera, CameraKey, Shot

PATH = (CameraKey(0.0, (0.0, -3.0, 1.0), (0.0, 0.0, 0.4), 35.0), CameraKey(2.0, (2.0, -2.0, 1.5), (0.0, 0.0, 0.4), 50.0))


@pytest.fixture(scope="module")
def director() -> Director:
    made = model.load(SPARK, torch.device("cpu")).director
    assert made is not None
    return made


def told(shot: Shot, director: Director) -> Directed | None:
    return direct(fill(shot, SPARK), shot.camera.path, director, SPARK)


def test_it_tells_of_clips_from_words_alone(director: Director) -> None:
    footage = Clip(np.zeros((5, 3, 128, 128), np.uint8), fps=16.0)
    shot = Shot("two red balls on grass", seed=3)
    one = told(shot, director)
    assert one is not None
    assert one.blocking.tracks_BKFT.shape[2] == one.cameras.rows_BF44.shape[1] == FRAMES
    assert told(replace(shot, prompt="flumph opera"), director) is None, "no words"
    assert told(replace(shot, anchors=(Anchor(footage, START),)), director) is None
    assert told(replace(shot, anchors=(Anchor(footage, OUTSIDE),)), director) is not None
    assert told(replace(shot, seconds=6.0), director) is None


def test_a_seed_means_one_blocking(director: Director) -> None:
    first, again, other = (told(Shot("a blue cube falls on sand", seed=seed), director) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first.blocking.tracks_BKFT, again.blocking.tracks_BKFT)
    assert not torch.equal(first.blocking.tracks_BKFT, other.blocking.tracks_BKFT)


def test_a_picture_is_the_middle_of_a_clip(director: Director) -> None:
    clip, picture = (told(Shot("a red ball rolls on grass", seed=1, seconds=s), director) for s in (2.0, 1 / 16))
    assert clip is not None
    assert picture is not None
    assert torch.equal(picture.blocking.tracks_BKFT, clip.blocking.tracks_BKFT[:, :, FRAMES // 2 : FRAMES // 2 + 1])


def test_without_a_path_the_camera_is_that_of_the_words(director: Director) -> None:
    shot = Shot("a red ball on grass, pan left", seed=1)
    made = told(shot, director)
    assert made is not None
    assert torch.equal(made.cameras.rows_BF44, standing.cameras(fill(shot, SPARK), (), SPARK).rows_BF44)


def test_a_path_is_the_camera(director: Director) -> None:
    made = told(Shot("a red ball on grass", seed=1, camera=Camera(path=PATH)), director)
    assert made is not None
    rows, focus_m = rows_of(PATH, 33, SPARK.fps)
    assert np.array_equal(made.cameras.rows_BF44[0].numpy(), rows[::4])
    assert float(made.cameras.focus_B) == pytest.approx(focus_m)


def test_it_does_what_words_ask_for(director: Director) -> None:
    """Of the weights that ship, in sixteen seeds each."""

    def many(prompt: str, move: str | None = None) -> list[Directed]:
        made = [told(Shot(prompt, seed=seed, camera=Camera(move)), director) for seed in range(16)]
        return [m for m in made if m is not None]

    one, three = (np.mean([float(m.blocking.looks_BKL[..., 0].sum()) for m in many(p)]) for p in ("a red ball", "three red balls"))
    assert one < 1.6
    assert 2.2 < three < 3.8
    fall = np.mean(
        [
            float(m.blocking.tracks_BKFT[0, 0, 4, 1] - m.blocking.tracks_BKFT[0, 0, 0, 1])
            for m in many("a red ball falls on grass, static camera")
        ]
    )
    assert fall < -0.2
    right, left = (
        np.mean(
            [
                float(m.blocking.tracks_BKFT[0, 0, -1, 0] - m.blocking.tracks_BKFT[0, 0, 0, 0])
                for m in many(f"a red ball rolls to the {side}, static camera")
            ]
        )
        for side in ("right", "left")
    )
    assert right > 0.3 > -0.3 > left
