"""A backdrop is shown of what is drawn from words, along the whole clip and in the words of each scene, and never of given footage."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import conditioning, rollout
from kinowatt.engine import engine as engines
from kinowatt.engine.backdrop import backdrop, falls_of, land, light_of
from kinowatt.engine.engine import Engine
from kinowatt.engine.load import load
from kinowatt.engine.plan import fill
from kinowatt.engine.standing import Cameras
from kinowatt.engine.ways import Ways
from kinowatt.errors import WeightsError
from kinowatt.models import steering, weights
from kinowatt.models.blocking import BLOCKING_CHANNELS
from kinowatt.models.model import Model
from kinowatt.models.painter import BACKDROP_CHANNELS
from kinowatt.models.specs import SPARK, TWO_PASS_STEPS
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


def test_clips_from_words_and_from_footage_have_backdrops_and_edits_have_none(small_model: Path, shown: list[torch.Tensor | None]) -> None:
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
    (behind,) = shown
    assert behind is not None
    assert behind[1, :48].std() < 0.05, "as grey as what is given, where nothing stands"
    shown.clear()
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


@pytest.fixture
def begins_late(small_model: Path, tmp_path: Path) -> Engine:
    """Of weights whose file says that clips from words begin at a level of .5."""
    for file in small_model.glob("*.safetensors"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors, config = weights.load(small_model / "denoiser.safetensors")
    weights.save(tmp_path / "denoiser.safetensors", tensors, config | {"begins": 0.5})
    engine = load(str(tmp_path), "cpu", Ways("torch"))
    assert isinstance(engine, Engine)
    return engine


@pytest.mark.parametrize("seconds", [1.0, 4.0])  # in one go, and by a window that rolls
def test_clips_from_words_begin_as_their_backdrop_under_noise(begins_late: Engine, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose velocity is nothing leaves what a clip began with in its latents."""
    levels: list[torch.Tensor] = []

    def nothing(x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        levels.append(level_BF)
        return torch.zeros_like(x_BCFHW[:, : begins_late.model.codec.channels])

    monkeypatch.setattr(type(begins_late.runtime), "denoiser", property(lambda self: nothing))
    one = dataclasses.replace(shot(seconds), steps=2)
    take = begins_late.generate(one)
    plan = fill(one, begins_late.model.spec)
    assert plan.begins == 0.5
    assert len(levels) == (plan.roll.total if plan.roll else 2)
    assert isinstance(begins_late.model, Model)
    assert begins_late.model.painter is not None
    stand, frames = begins_late.blocking(plan), plan.roll.frames if plan.roll else 5
    painted, _ = backdrop(plan, (), begins_late.model.painter, stand, begins_late.model.spec).of(0, frames, 3, 4)
    assert take.latents_1CFHW is not None
    left = torch.from_numpy(take.latents_1CFHW) - 0.5 * painted[:, :48]  # half of the noise
    assert float(left.std()) == pytest.approx(0.5, abs=0.05)
    assert abs(float(left.mean())) < 0.1
    first, then = (float(level.max()) for level in levels[:2])
    assert first == pytest.approx(0.5, abs=1e-5)
    assert 0.0 < then < 0.5


def test_clips_from_footage_begin_as_noise_and_take_more_steps(begins_late: Engine) -> None:
    spec, grey = begins_late.model.spec, Clip(np.full((1, 3, 48, 64), 128, np.uint8), fps=16.0)
    assert (spec.begins, spec.steps, spec.steps_from_noise) == (0.5, SPARK.steps, TWO_PASS_STEPS)
    for anchors, begins, steps in (((), 0.5, SPARK.steps), ((Anchor(grey, OUTSIDE),), 0.5, SPARK.steps), ((Anchor(grey, 0.0),), 1.0, 12)):
        plan = fill(Shot("a red ball", anchors=anchors), spec)
        assert (plan.begins, plan.shot.steps) == (begins, steps)


def test_weights_that_begin_from_backdrops_want_their_painter(begins_late: Engine) -> None:
    (begins_late.model.spec.folder / "painter.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"begins from backdrops, and has no painter of them; restore painter\.safetensors"):
        load(str(begins_late.model.spec.folder), "cpu", Ways("torch")).generate(shot())


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


def test_light_comes_from_a_side_by_lot_at_the_time_that_words_name() -> None:
    def rise_and_side(seed: int, prompt: str) -> tuple[float, float]:
        plan = fill(dataclasses.replace(shot(), prompt=prompt, seed=seed), SPARK)
        seen = land(plan, (), SPARK)
        *level, rise = light_of(plan.tokens, seen, seed)
        towards = -seen.rows_BF44[0, 0, 3, :2]  # from what is looked at to the camera
        cos = float(torch.tensor(level) @ towards / (torch.tensor(level).norm() * towards.norm()))
        return math.degrees(math.asin(rise)), math.degrees(math.acos(cos))

    for prompt, rise in (("a ball at noon", 50.0), ("a ball at dusk", 8.0), ("a turbine at night", 34.0), ("a ball at night", 51.6)):
        found = [rise_and_side(seed, prompt) for seed in range(6)]
        assert [up for up, _ in found] == pytest.approx([rise] * 6, abs=0.1)
        assert rise_and_side(5, prompt) == found[5]
        assert all(39.9 < side < 150.1 for _, side in found)
    assert len({round(side) for _, side in (rise_and_side(seed, "a ball at noon") for seed in range(6))}) > 3
    assert len({round(up) for up, _ in (rise_and_side(seed, "a ball") for seed in range(12))}) > 1, "by lot, where no word says when"


def test_snow_falls_on_from_window_to_window_and_ropes_hang_where_words_say_so(small_model: Path) -> None:
    engine = load(str(small_model), "cpu", Ways("torch"))
    assert isinstance(engine.model, Model)
    painter, spec = engine.model.painter, engine.model.spec
    assert painter is not None

    def made(prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The whole backdrop, and four frames of it from the third on."""
        plan = fill(dataclasses.replace(shot(2.0), prompt=prompt), spec)
        behind = backdrop(plan, (), painter, engine.blocking(plan), spec)
        return behind.of(0, 9, 3, 4)[0], behind.of(3, 4, 3, 4)[0]

    whole, part = made("a red ball in falling snow")
    assert torch.allclose(part, whole[:, :, 3:7], atol=1e-5)
    moved = (whole[:, :, 1:] - whole[:, :, :-1]).abs().amax((0, 1, 3, 4))
    whole, _ = made("a red ball on a clear day")
    still = (whole[:, :, 1:] - whole[:, :, :-1]).abs().amax((0, 1, 3, 4))
    assert float(moved.min()) > 0.01, "in every frame flakes are elsewhere"
    assert float(still[0]) != float(moved[0])
    plan = fill(dataclasses.replace(shot(2.0), prompt="a red ball swings on a rope"), spec)
    hangs = backdrop(plan, (), painter, engine.blocking(plan), spec)
    rolls = dataclasses.replace(hangs, hang_S=torch.zeros(1, dtype=torch.bool))
    assert bool(hangs.hang_S)
    assert not torch.equal(hangs.of(0, 9, 3, 4)[0], rolls.of(0, 9, 3, 4)[0])


def test_what_falls_is_what_words_say_and_drifts_as_the_wind_blows() -> None:
    right = torch.tensor([0.6, 0.8, 0.0])
    rows = torch.zeros(1, 1, 4, 4)
    rows[0, 0, 1, :3] = right
    seen = Cameras(rows, torch.tensor([3.0]))

    def fall(prompt: str, seed: int = 0) -> tuple[list[float], torch.Tensor, float]:
        tokens = fill(dataclasses.replace(shot(), prompt=prompt), SPARK).tokens
        told = falls_of(tokens, seen, seed)
        return told[:2], torch.tensor(told[3:5]), told[2]

    assert fall("a red ball on grass")[0] == [0.0, 0.0]
    assert fall("a red ball in the rain")[0] == [1.0, 0.0]
    kinds, calm, _ = fall("a red ball in falling snow")
    assert kinds == [0.0, 1.0]
    assert float(calm @ right[:2]) > 0, "a little to the right"
    left, along = (fall(f"a red ball is blown to the {side} by strong wind in the rain")[1] @ right[:2] for side in ("left", "right"))
    assert float(left) == pytest.approx(-float(along))
    assert float(along) > 5 * float(fall("a red ball in the rain")[1] @ right[:2])
    assert fall("a red ball in the rain", 1)[2] != fall("a red ball in the rain", 2)[2], "each seed at another time"
