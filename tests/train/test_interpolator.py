"""What an interpolator is taught: crops and true flows that belong together, mirrored and backwards as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")
pytest.importorskip("moderngl")

from kinowatt.errors import WeightsError
from kinowatt.models.interpolator import Flow, Interpolator, InterpolatorConfig, looked_up
from kinowatt.models.specs import SPARK
from kinowatt.train.data import Bucket
from kinowatt.train.interpolator import InterpolatorTask, _astray, filmed
from kinowatt.train.recipes import RECIPES


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> InterpolatorTask:
    """On one block of small clips."""
    made = object.__new__(InterpolatorTask)
    folder = tmp_path_factory.mktemp("filmed")
    bucket = Bucket(48, 48, 1, frames=5)
    made.blocks = [filmed(folder, 3, bucket)]
    again = filmed(folder, 3, bucket)  # from the disk
    assert np.array_equal(again.depth_NTHW, made.blocks[0].depth_NTHW)
    assert [p.name for p in folder.iterdir()] == ["filmed-48x48x5-0000003.npz"]
    made.recipe = replace(RECIPES["tiny"], interpolator_batch=24, interpolator_crop=40)
    made.model = Interpolator(InterpolatorConfig())
    made.device = torch.device("cpu")
    return made


def test_a_crop_is_found_along_its_flow(task: InterpolatorTask) -> None:
    """Both ends of every frame between, however it was turned: along the true flow they look as it does, standing still they do not."""
    for seed in range(3):
        true, things, away = task._crops(np.random.default_rng(seed))
        assert true.shape == (24, 5, 3, 40, 40)
        assert away.shape == (24, 3, 2, 2, 40, 40)
        told = torch.isfinite(away).all(3)
        assert told.float().mean() > 0.95
        for end, k in ((0, 0), (1, 4)):
            picture = true[:, k].repeat_interleave(3, 0)
            flow = torch.where(told[:, :, end, None], away[:, :, end], 0.0).flatten(0, 1)
            found, still, frame = looked_up(picture, flow), picture, true[:, 1:-1].flatten(0, 1)
            on = ((things[:, 1:-1] > 0) & told[:, :, end]).flatten(0, 1) & (flow.abs().amax(1) > 1.0)
            off, standing = ((p - frame).abs().mean(1)[on].mean() for p in (found, still))
            assert off < 0.7 * standing


def test_a_true_flow_is_not_astray(task: InterpolatorTask) -> None:
    _, things, away = task._crops(np.random.default_rng(0))
    exact = torch.where(torch.isfinite(away), away, 0.0)
    share = torch.full(exact.shape[:2] + exact.shape[-2:], 0.5)
    of = things[:, 1:-1]
    assert float(_astray([Flow(exact, share)], away, of)) == pytest.approx(0.1, abs=1e-3)  # the root's own softness
    assert float(_astray([Flow(exact + 3.0, share)], away, of)) == pytest.approx(3.0 * 2**0.5, rel=0.01)


def test_weights_of_another_kind_are_refused(task: InterpolatorTask, tmp_path: Path) -> None:
    (tmp_path / "interpolator.safetensors").write_bytes((SPARK.folder / "observer.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="holds an interpolator of another kind"):
        task.start(tmp_path)
