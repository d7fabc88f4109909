"""A backdrop is shown of what is drawn from words, along the whole clip and in the words of each scene, and never of given footage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import conditioning, rollout
from kinowatt.engine import engine as engines
from kinowatt.engine.backdrop import backdrop, land
from kinowatt.engine.load import load
from kinowatt.engine.plan import fill
from kinowatt.engine.standing import Cameras
from kinowatt.engine.ways import Ways
from kinowatt.models import steering, weights
from kinowatt.models.blocking import BLOCKING_CHANNELS
from kinowatt.models.model import Model
from kinowatt.models.painter import BACKDROP_CHANNELS
from kinowatt.models.specs import SPARK
from kinowatt.shot import OUTSIDE, Anchor, Camera, CameraKey, Shot

PATH = (CameraKey(0.0, (0, -4, 1), (0, 0, 0.5)), CameraKey(2.0, (3, -4, 1), (3, 0, 0.5)))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor | None]:
    """The backdrops that a network is shown, take after take, part after part."""
    found: list[torch.Tensor | None] = []
    pair = steering.steering_pair

    def watched(
        rays: torch.Tensor, blocking: torch.Tensor | None, behind: tuple[torch.Tensor, torch.Tensor] | None, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found.append(None if behind is None else torch.cat(behind))
        return pair(rays, blocking, behind, device)

    for module in (engines, rollout):
        monkeypatch.setattr(module, "steering_pair", watched)
    return found


def shot(seconds: float = 1.0, **fields: object) -> Shot:
    return Shot("a red ball, pan right", size=(64, 48), steps=1, seed=3, seconds=seconds, guidance=1.0, **fields)  # type: ignore[arg-type]


def test_clips_from_words_have_a_backdrop_and_those_from_footage_have_none(small_model: Path, shown: list[torch.Tensor | None]) -> None:
    engine = load(str(small_model), "cpu", Ways("torch"))
    grey = Clip(np.full((1, 3, 48, 64), 128, np.uint8), fps=16.0)
    engine.generate(shot())
    engine.generate(shot(anchors=(Anchor(grey, OUTSIDE),)))
    for behind in shown:
        assert behind is not None
        assert behind.shape == (2, BACKDROP_CHANNELS, 5, 3, 4)
        assert not torch.equal(*behind), "with what stands there, and without"
        assert not torch.equal(behind[:, :, 0], behind[:, :, 4]), "the camera pans"
    assert len(shown) == 2
    shown.clear()
    engine.generate(shot(anchors=(Anchor(grey, 0.0),)))
    engine.generate(shot(anchors=(Anchor(grey, 0.0, strength=0.5),)))
    assert shown == [None] * len(shown)


def test_a_rolling_window_sees_the_backdrop_of_the_whole_clip(small_model: Path, shown: list[torch.Tensor | None]) -> None:
    engine = load(str(small_model), "cpu", Ways("torch"))
    assert isinstance(engine.model, Model)
    assert engine.model.painter is not None
    long = shot(seconds=4.0, storyboard=((2.0, "a blue cube on snow at night"),))
    plan = fill(long, engine.model.spec)
    engine.generate(long)
    assert plan.roll is not None
    ((at, _),) = plan.scenes
    known = conditioning.build((), engine.model.codec, plan.frames, 64, 48, engine.model.spec.fps)
    stand = engine.blocking(plan, known)
    assert stand is not None
    whole = torch.cat(backdrop(plan, (), engine.model.painter, stand, engine.model.spec).of(0, plan.roll.frames, 3, 4))
    assert not torch.equal(whole[:, :, at - 1], whole[:, :, at]), "another place"
    parts = [part for part in shown if part is not None]
    begins = [plan.roll.begin(done) for done in range(plan.roll.total)]
    assert len(parts) == len(begins)
    assert max(begins) > 0
    for begin, part in zip(begins, parts, strict=True):
        inside = part[:, :, : whole.shape[2] - begin]
        assert torch.allclose(inside, whole[:, :, begin : begin + part.shape[2]], atol=1e-5)


def test_networks_that_never_saw_a_backdrop_see_none(small_model: Path, tmp_path: Path, shown: list[torch.Tensor | None]) -> None:
    """Weights of before have no channels for it, and go on as they did."""
    tensors, config = weights.load(small_model / "denoiser.safetensors")
    sizes = config["dit"] | {"in_channels": config["dit"]["in_channels"] - BACKDROP_CHANNELS, "blocking": BLOCKING_CHANNELS}
    tensors["dit.patch_embedding.weight"] = tensors["dit.patch_embedding.weight"][:, :-BACKDROP_CHANNELS].contiguous()
    tensors["dit.ends.conv_in.weight"] = tensors["dit.ends.conv_in.weight"][:, : -BACKDROP_CHANNELS // 4].contiguous()
    for name in ("weight", "bias"):
        del tensors[f"dit.behind.{name}"]
    weights.save(tmp_path / "denoiser.safetensors", tensors, config | {"dit": sizes})
    for name in ("codec", "interpolator", "painter", "director", "poser", "observer"):
        (tmp_path / f"{name}.safetensors").write_bytes((small_model / f"{name}.safetensors").read_bytes())
    take = load(str(tmp_path), "cpu", Ways("torch")).generate(shot())
    assert take.clip.frames == 17
    assert shown == [None]


def test_a_seed_has_its_place_in_the_world_and_a_path_its_own() -> None:
    def placed(seed: int, **fields: object) -> Cameras:
        one = dataclasses.replace(shot(**fields), seed=seed)  # type: ignore[arg-type]
        return land(fill(one, SPARK), one.camera.path, SPARK)

    here, again, there = placed(3), placed(3), placed(4)
    assert torch.equal(here.rows_BF44, again.rows_BF44)
    assert not torch.allclose(here.rows_BF44, there.rows_BF44, atol=0.1)
    assert torch.allclose(here.rows_BF44[..., 0, 2:], there.rows_BF44[..., 0, 2:]), "as high above it, and as long a lens"
    axes = here.rows_BF44[..., 1:, :3]
    assert torch.allclose(axes @ axes.transpose(-1, -2), torch.eye(3).expand_as(axes), atol=1e-5)
    step = [seen.rows_BF44[0, 4, 0, :3] - seen.rows_BF44[0, 0, 0, :3] for seen in (here, there)]
    assert float(step[0].norm()) == pytest.approx(float(step[1].norm()), abs=1e-4)
    assert torch.equal(placed(3, camera=Camera(path=PATH)).rows_BF44, placed(4, camera=Camera(path=PATH)).rows_BF44)
