"""Training of skies: the loss looks at daylight to come alone, it falls, days that test never teach, and the file can be read again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import skies_made
from kinowatt.energy.meter import Meter
from kinowatt.errors import GridError, InputError
from kinowatt.grid.history import days, history
from kinowatt.models import skies_model as skies
from kinowatt.train import tasks
from kinowatt.train.loop import train
from kinowatt.train.skies import SKIES_RECIPES, SkiesTask

pytest.importorskip("pvlib")
TINY = dataclasses.replace(skies.DIT, heads=2, ffn_dim=64, layers=1)
SMALL = dataclasses.replace(SKIES_RECIPES["cpu"], batch=8, world_cases=64, size=(6, 4), held_out=16, dit=TINY)


@pytest.fixture(scope="module")
def task() -> SkiesTask:
    torch.manual_seed(0)
    return SkiesTask(SMALL, torch.device("cpu"), history(skies_made.sunny()))


def test_it_learns(task: SkiesTask) -> None:
    optimizer = torch.optim.AdamW(task.dit.parameters(), 5e-3)
    losses = []
    for step in range(60):
        loss, clips = task.loss(step)
        assert clips == 8
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:5])


def test_a_step_is_repeatable(task: SkiesTask) -> None:
    assert task.loss(5)[0].item() == task.loss(5)[0].item()
    assert task.loss(5)[0].item() != task.loss(6)[0].item()


def test_days_that_test_never_teach(task: SkiesTask) -> None:
    assert task.real is not None
    times = task.real.field.times
    used = {part: days(times[now[:, None] + np.arange(1 - skies.PAST, skies.LEADS + 1)]) for part, now in task.starts.items()}
    of_month = (times.astype("M8[D]") - times.astype("M8[M]").astype("M8[D]")).astype(int) + 1
    test = days(times[of_month >= 24])
    # A window of an evening may reach into the night that belongs to the next day, hence the days between the parts.
    assert not set(used["train"].ravel()) & set(test)
    assert not set(used["train"].ravel()) & set(used["validation"].ravel())


def test_the_loss_sees_only_daylight_to_come(task: SkiesTask) -> None:
    window = task._of_world(task.world[:4], np.arange(4), np.random.default_rng(0))
    before = task._loss(window, torch.Generator().manual_seed(0)).item()
    dark = window.day.bool().logical_not() | ~window.mask.bool()[:, None]
    other = torch.where(dark, torch.rand(window.index.shape), window.index)
    assert task._loss(dataclasses.replace(window, index=other), torch.Generator().manual_seed(0)).item() == before


def test_a_run_leaves_a_receipt_and_a_file(task: SkiesTask, tmp_path: Path) -> None:
    with Meter() as meter:
        receipt = train(task, minutes=0.01, folder=tmp_path, resume=False, device=torch.device("cpu"), receipts=tmp_path / "r", meter=meter)
    assert {"loss_world", "loss_train", "loss_validation"} <= receipt["held_out"].keys()
    dit, config = skies.load(tmp_path / skies.FILE)
    assert config["held_out"] == receipt["held_out"]
    assert sum(p.numel() for p in dit.parameters()) == receipt["parameters"]
    assert (tmp_path / skies.FILE).stat().st_size < 10 * 2**20
    assert len(list((tmp_path / "r").glob("*-skies.json"))) == 1


def test_what_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="learns nothing from weather"):
        tasks.run("codec", "cpu", 0.0, False, "cpu", tmp_path, tmp_path, tmp_path, None, weather=tmp_path)
    with pytest.raises(InputError, match="has no recipe 'tpu'"):
        tasks.run("skies", "tpu", 0.0, False, "cpu", tmp_path, tmp_path, tmp_path, None)
    with pytest.raises(GridError, match="no weather file"):
        tasks.run("skies", "cpu", 0.0, False, "cpu", tmp_path, tmp_path, tmp_path, None, weather=tmp_path / "none.nc")
    wide = skies_made.sunny(1)
    many = [np.tile(a, (20, 1)) for a in (wide.lat_HW, wide.lon_HW, wide.mask_HW)]
    many[0] = 41.0 + 0.04 * np.arange(len(many[0]))[:, None] + 0 * many[0]
    clip = dataclasses.replace(wide.clip, frames_TCHW=np.tile(wide.clip.frames_TCHW, (1, 1, 20, 1)))
    with pytest.raises(GridError, match="at most 64 x 64 cells"):
        SkiesTask(
            SMALL, torch.device("cpu"), history(dataclasses.replace(wide, clip=clip, lat_HW=many[0], lon_HW=many[1], mask_HW=many[2]))
        )
