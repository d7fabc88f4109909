"""What the director tells of a clip: nothing where footage speaks, the camera that a path gives, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import standing
from kinowatt.engine.directed import direct
from kinowatt.engine.plan import fill
from kinowatt.models import model
from kinowatt.models.blocking import Blocking
from kinowatt.models.director import FRAMES, Director
from kinowatt.models.specs import SPARK
from kinowatt.shot import OUTSIDE, START, Anchor, Camera, CameraKey, Shot
from kinowatt.worlds.toybox.blocking import way

PATH = (CameraKey(0.0, (0.0, -3.0, 1.0), (0.0, 0.0, 0.4), 35.0), CameraKey(2.0, (2.0, -2.0, 1.5), (0.0, 0.0, 0.4), 50.0))


@pytest.fixture(scope="module")
def director() -> Director:
    made = model.load(SPARK, torch.device("cpu")).director
    assert made is not None
    return made


def told(shot: Shot, director: Director) -> Blocking | None:
    return direct(fill(shot, SPARK), shot.camera.path, director, SPARK)


def test_it_tells_of_clips_from_words_alone(director: Director) -> None:
    footage = Clip(np.zeros((5, 3, 128, 128), np.uint8), fps=16.0)
    shot = Shot("two red balls on grass", seed=3)
    one = told(shot, director)
    assert one is not None
    assert one.tracks_BKFT.shape[2] == FRAMES
    assert told(replace(shot, prompt="flumph opera"), director) is None, "no words"
    assert told(replace(shot, anchors=(Anchor(footage, START),)), director) is None
    assert told(replace(shot, anchors=(Anchor(footage, OUTSIDE),)), director) is not None
    assert told(replace(shot, seconds=6.0), director) is None


def test_a_seed_means_one_blocking(director: Director) -> None:
    first, again, other = (told(Shot("a blue cube falls on sand", seed=seed), director) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first.tracks_BKFT, again.tracks_BKFT)
    assert not torch.equal(first.tracks_BKFT, other.tracks_BKFT)


def test_a_picture_is_the_middle_of_a_clip(director: Director) -> None:
    clip, picture = (told(Shot("a red ball rolls on grass", seed=1, seconds=s), director) for s in (2.0, 1 / 16))
    assert clip is not None
    assert picture is not None
    assert torch.equal(picture.tracks_BKFT, clip.tracks_BKFT[:, :, FRAMES // 2 : FRAMES // 2 + 1])


@pytest.mark.parametrize("path", [(), PATH])
def test_the_camera_of_the_path_or_of_the_words_is_given_to_it(
    director: Director, path: tuple[CameraKey, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, seen = director.draw, list[tuple[torch.Tensor, torch.Tensor]]()

    def watched(ids: torch.Tensor, aspect: torch.Tensor, noise: torch.Tensor, known: torch.Tensor, is_known: torch.Tensor) -> torch.Tensor:
        seen.append((known, is_known))
        return draw(ids, aspect, noise, known, is_known)

    monkeypatch.setattr(director, "draw", watched)
    shot = Shot("a red ball on grass, pan left", seed=1, camera=Camera(path=path))
    assert told(shot, director) is not None
    ((known, is_known),) = seen
    cameras = standing.cameras(fill(shot, SPARK), path, SPARK)
    want = way(cameras.rows_BF44[0].numpy(), float(cameras.focus_B))
    assert np.allclose(director.read(known)[0][0].numpy(), want, atol=1e-5)
    assert bool(is_known[:, 0].all())
    assert not is_known[:, 1:].any()


def test_it_does_what_words_ask_for(director: Director) -> None:
    """Of the weights that ship, in sixteen seeds each."""

    def many(prompt: str, move: str | None = None) -> list[Blocking]:
        made = [told(Shot(prompt, seed=seed, camera=Camera(move)), director) for seed in range(16)]
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
