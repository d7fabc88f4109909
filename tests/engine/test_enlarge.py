"""Sizes beyond the model's: tiles blend without seams, a take goes on where it was broken off, and what was measured decides."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.energy.meter import Meter
from kinowatt.engine import cost, enlarge, stages, tiles
from kinowatt.engine.canvas import resized
from kinowatt.engine.engine import Engine, Progress
from kinowatt.engine.load import load
from kinowatt.engine.plan import fill
from kinowatt.engine.ways import Ways
from kinowatt.errors import ShotError, WeightsError
from kinowatt.models.specs import SPARK, find
from kinowatt.shot import START, Anchor, Shot

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def camera(small_model: Path) -> Engine:
    loaded = load(str(small_model), "cpu", Ways("torch"))
    assert isinstance(loaded, Engine)
    return loaded


def shot(**fields: object) -> Shot:
    given = {"size": (368, 272), "steps": 1, "guidance": 1.0, "seed": 3, "seconds": 0.3, "enlarge": "refine"} | fields
    return Shot("a red ball", **given)  # type: ignore[arg-type]


def test_stages_reach_the_size_in_steps_of_about_two() -> None:
    for size, count in (((320, 320), 1), ((512, 288), 1), ((1280, 720), 2), ((1920, 1080), 3), ((1080, 1920), 3)):
        found = fill(shot(size=size, seconds=2.0), SPARK).stages
        plan = fill(shot(size=size, seconds=2.0), SPARK)
        widths = [plan.inner_width, *(s.width for s in found)]
        assert len(found) == count, size
        assert (found[-1].width, found[-1].height) == size
        assert all(1.1 < b / a < 2.4 for a, b in itertools.pairwise(widths))
        for stage in found:
            assert stage.canvas_width % SPARK.grid == stage.canvas_height % SPARK.grid == 0
            for spans, side in ((stage.rows, stage.canvas_height), (stage.columns, stage.canvas_width), (stage.times, 9)):
                assert (spans[0][0], spans[-1][1]) == (0, side)
                assert len({end - begin for begin, end in spans}) == 1, "one shape for all, to be compiled once"
    with pytest.raises(ShotError, match="--enlarge lanczos"):
        fill(shot(seconds=30.0), SPARK)
    assert fill(shot(seconds=2.0, enlarge=None, size=(128, 128)), SPARK).stages == ()


def test_tiles_of_a_denoiser_leave_no_border() -> None:
    """A velocity that is known pixel by pixel comes back exactly; tiles that disagree fade into each other."""
    axes = ([(0, 5), (3, 8)], [(0, 8), (6, 14)], [(0, 8), (4, 12)])
    x, level, text = torch.randn(2, 3, 8, 14, 12), torch.rand(2, 8), torch.zeros(2, 1, 1)
    whole = tiles.Tiled(lambda x, level, text: 2.0 * x + level[:, None, :, None, None], axes)(x, level, text)
    assert torch.allclose(whole, 2.0 * x + level[:, None, :, None, None], atol=1e-5)
    turns = itertools.count()
    steps = tiles.Tiled(lambda x, level, text: torch.full_like(x, float(next(turns) % 2)), ([(0, 8)], [(0, 14)], axes[2]))(x, level, text)
    assert steps[..., 0].max() == 0.0
    assert steps[..., -1].min() == 1.0
    assert steps[0, 0, 0, 0].diff().abs().max() < 0.35, "a border would be a step of 1"


def test_a_codec_in_tiles_is_that_of_one_piece_where_it_sees_no_neighbours() -> None:
    class Blocks:
        """Latents are means of blocks; frames are blocks of latents."""

        channels, stride = 3, (4, 16, 16)

        def encode(self, frames: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool3d(frames[:, :, ::4], (1, 16, 16))

        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.interpolate(latents, scale_factor=(1.0, 16.0, 16.0)).repeat_interleave(4, 2)[:, :, 3:]

        def decode_stream(self, latents: torch.Tensor, chunk: int = 2):  # type: ignore[no-untyped-def]
            yield from self.decode(latents).split(3, 2)

    codec, frames = Blocks(), torch.rand(1, 3, 9, 160, 208) * 2 - 1
    assert torch.allclose(tiles.encode(codec, frames, (4, 4)), codec.encode(frames), atol=1e-5)
    latents = codec.encode(frames)
    back = torch.cat(list(tiles.decode(codec, latents, (4, 4))), 2)
    assert torch.allclose(back, codec.decode(latents), atol=1e-3)


def test_details_leave_the_coarse_picture_alone() -> None:
    dice = np.random.default_rng(0)
    small = dice.integers(40, 215, (2, 3, 20, 28), dtype=np.uint8)
    large = resized(small, 56, 40)
    coded = large.astype(np.float32) / 127.5 - 1.0
    drawn = coded + 0.3 + dice.normal(0, 0.1, coded.shape).astype(np.float32)  # a drift of colour, and details
    made = enlarge.faithful(large, drawn, coded, (20, 28))
    change = made.astype(float) - large
    assert abs(change.mean()) < 0.3, "0.3 of the signal are 38 grey values"
    assert change.std() > 5, "details are there"
    assert np.abs(resized(made, 28, 20).astype(float) - resized(large, 28, 20)).mean() < 4
    np.testing.assert_array_equal(enlarge.faithful(large, coded, coded, (20, 28)), large)


def test_a_refined_take_is_billed_told_and_goes_on_where_it_was_broken_off(camera: Engine) -> None:
    wanted, meter, seen = shot(seconds=0.01), Meter(), list[Progress]()
    whole = camera.generate(wanted, seen.append, meter)
    assert whole.clip.frames_TCHW.shape == (1, 3, 272, 368)
    assert meter.bill.phases["enlarge"].total_J
    told = [p for p in seen if p.phase == "enlarge"]
    assert [(p.done, p.of) for p in told] == [(i, 4) for i in range(1, 5)]
    assert told[1].look is not None
    assert told[1].look().shape == (3, 272, 368)
    plain = camera.generate(dataclasses.replace(wanted, enlarge="lanczos"))
    assert not np.array_equal(plain.clip.frames_TCHW, whole.clip.frames_TCHW)
    for state in (told[1].state, told[3].state):
        more: list[Progress] = []
        again = camera.generate(wanted, more.append, resume=state)
        np.testing.assert_array_equal(again.clip.frames_TCHW, whole.clip.frames_TCHW)
        assert {p.phase for p in more} <= {"enlarge"}, "nothing before it is done twice"
    with pytest.raises(ShotError, match="another shot"):
        camera.generate(shot(seconds=0.3), resume=told[1].state)


def test_a_photograph_keeps_its_own_pixels_through_all_stages(camera: Engine) -> None:
    photo = Clip(np.random.default_rng(1).integers(0, 255, (1, 3, 272, 368), dtype=np.uint8), fps=16.0)
    take = camera.generate(shot(anchors=(Anchor(photo, START),)))
    assert take.clip.frames_TCHW.shape == (5, 3, 272, 368)
    np.testing.assert_array_equal(take.clip.frames_TCHW[0], photo.frames_TCHW[0])


def test_what_was_measured_decides(small_model: Path, tmp_path: Path) -> None:
    spec = dataclasses.replace(find(str(small_model)), folder=tmp_path)
    free = shot(enlarge=None)
    assert fill(free, spec).stages == ()
    assert any("not measured" in w for w in fill(free, spec).warnings)
    scores = {way: {"ssim": 0.9, "gradient_error": 0.5} for way in stages.WAYS}
    kept = stages.Refining("tiny", "abc", stages.REFINE, 0.7, 5, 2.0, 8, scores)
    stages.keep(kept, tmp_path)
    plan = fill(free, spec)
    assert {(s.strength, s.steps, s.guidance) for s in plan.stages} == {(0.7, 5, 2.0)}
    assert any("by the model itself" in w for w in plan.warnings)
    assert any("8 held-out scenes" in w for w in plan.warnings)
    assert fill(shot(enlarge="lanczos"), spec).stages == ()
    stages.keep(dataclasses.replace(kept, choice=stages.LANCZOS), tmp_path)
    assert fill(free, spec).stages == ()
    assert fill(shot(), spec).stages, "--enlarge refine overrides"
    other = dataclasses.replace(spec, sha256={"denoiser.safetensors": "def"})
    assert stages.measured(other) is None, "new weights are not judged by what old ones did"
    (tmp_path / stages.MEASURED).write_text(json.dumps({"choice": "refine"}))
    with pytest.raises(WeightsError, match="measure it anew"):
        fill(free, spec)
    with pytest.raises(ShotError, match="refine or lanczos"):
        shot(enlarge="magic")


def test_a_plan_that_refines_costs_more(small_model: Path) -> None:
    spec = find(str(small_model))
    anatomy = cost.known(spec)
    plan = fill(shot(steps=10, guidance=5.0), spec)
    both, small = cost.work(plan, anatomy), cost.work(plan.small, anatomy)
    (stage,) = plan.stages
    calls = stage.steps * stage.tiles
    assert both.steps == small.steps + calls
    assert both.denoise_FLOP - small.denoise_FLOP == pytest.approx(calls * anatomy.pass_FLOP(anatomy.tokens(5, 256, 256)))
    assert both.decode_FLOP > 2 * small.decode_FLOP
    assert cost.work(fill(shot(enlarge="lanczos", steps=10, guidance=5.0), spec), anatomy) == small
