"""Several processes train to the weights that one trains to, and each goes on from what the other kept."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

import several
from kinowatt.energy.devices import CpuModel
from kinowatt.energy.meter import Meter
from kinowatt.engine import parallel
from kinowatt.engine.parallel import World
from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.models.dit import DITS, DiTConfig
from kinowatt.models.protocols import Denoiser
from kinowatt.models.text import TextConfig
from kinowatt.train import loop, shard
from kinowatt.train.checkpoint import State
from kinowatt.train.loss import noised, velocity_loss
from kinowatt.train.spark import Spark

CPU = torch.device("cpu")
SMALL = {"heads": 2, "ffn_dim": 48, "layers": 2, "text_dim": 16}
CONFIGS = {
    "spark": dataclasses.replace(DITS["s"], **SMALL, in_channels=48, blocking=0),
    "wan": DiTConfig(**SMALL, head_dim=16, in_channels=12, out_channels=12, freq_dim=32, image_dim=6),
}


class Clips:
    """Velocity of random clips, three to a batch: of two processes, one has a clip less."""

    name, lr, ema_decay = "clips", 3e-4, 0.9

    def __init__(self, kind: str, world: World | None = None) -> None:
        torch.manual_seed(0)
        self.config, self.world = CONFIGS[kind], world
        self.module: nn.Module = Spark(self.config, TextConfig(("a", "b"), buckets=4, width=16, tokens=6))
        with torch.no_grad():
            for parameter in self.module.parameters():  # the default start has gates at zero, which hide most of the network
                parameter.add_(torch.randn_like(parameter) * 0.05)
        spark: Any = self.module
        self.denoiser: Denoiser = spark if world is None else shard.Rows(spark, world)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        draw = torch.Generator().manual_seed(step)
        clean = torch.randn(3, self.config.in_channels, 3, 4, 6, generator=draw)
        return velocity_loss(self.denoiser, noised(clean, 2.0, draw), torch.randint(7, (3, 6), generator=draw)), 3

    def examine(self) -> dict[str, float]:
        return {"loss": float(self.loss(10**6)[0])}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        tensors = {k: shard.whole(v) for k, v in self.module.state_dict().items()}
        if self.world is None or self.world.rank == 0:
            weights.save(folder / "clips.safetensors", tensors, {})


def steps(task: Clips, state: State, count: int) -> list[float]:
    """Losses, in float32 as bfloat16 rounds sums of rows and sums of sums unlike."""
    with mock.patch.object(torch, "autocast", return_value=contextlib.nullcontext()):
        return [loop._one_step(task, state, 0.0, CPU)[0] for _ in range(count)]


def begun(task: Clips, world: World | None = None) -> State:
    state = loop.begin(task, CPU, world)
    state.progress["step"] = loop.WARM_UP_STEPS  # from here on the steps are of full length
    return state


def tensors(state: State) -> dict[str, torch.Tensor]:
    """Weights and averages, whole."""
    found = dict(state.module.named_parameters()) | {f"ema.{k}": v for k, v in state.ema.items()}
    return {k: shard.whole(v.detach()).clone() for k, v in found.items()}


def differ(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[k] - b[k]).abs().max()) for k in a)


def check_way(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], before: dict[str, torch.Tensor]) -> None:
    """a is where b is, measured by the way that b has come; Muon rounds its steps to bfloat16, and with them sums in another order."""
    assert a.keys() == b.keys()
    for k in a:
        muon = a[k].ndim in (2, 4) and any(part in k for part in (".blocks.", ".ends."))
        assert float((a[k] - b[k]).norm() / ((b[k] - before[k]).norm() + 1e-3)) < (0.25 if muon else 0.02), k


def shared(folder: Path) -> dict[str, dict[str, Any]]:
    """In one of the processes, of each kind: four steps that are kept, two more from what one process kept; and a run with its receipt."""
    world = parallel.start("cpu")
    assert world is not None
    found: dict[str, dict[str, Any]] = {}
    for kind in CONFIGS:
        task = Clips(kind, world)
        state = begun(task, world)
        found[kind] = {"losses": steps(task, state, 4), "after 4": tensors(state)}
        found[kind]["own"] = sum(p.to_local().numel() for p in state.module.parameters())  # type: ignore[operator]
        shard.Checkpoints(folder / kind / "shared", "clips", world).save(state)
        task = Clips(kind, world)
        state = begun(task, world)
        shard.Checkpoints(folder / kind / "alone", "clips", world).restore(state)
        found[kind] |= {"losses on": steps(task, state, 2), "after 6": tensors(state)}
    with Meter([CpuModel()], zone="FR") as meter:
        where: dict[str, Any] = {"folder": folder / "run", "receipts": folder / "receipts", "resume": False, "device": CPU}
        receipt = loop.train(Clips("spark", world), minutes=0.3 / 60, meter=meter, world=world, **where)
        found["run"] = {"receipt": receipt, "J": meter.so_far().energy.total_J}
    world.leave()
    return found


def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    alone: dict[str, dict[str, Any]] = {}
    for kind in CONFIGS:
        task = Clips(kind)
        state = begun(task)
        alone[kind] = {"before": tensors(state), "losses": steps(task, state, 4), "after 4": tensors(state)}
        shard.Checkpoints(tmp_path / kind / "alone", "clips", None).save(state)
        alone[kind] |= {"losses on": steps(task, state, 2), "after 6": tensors(state)}
    both = several.run(2, __file__, "shared", tmp_path)
    for kind, one in alone.items():
        assert differ(one["after 4"], one["before"]) > 1e-3, "the weights have moved"
        for part in both:
            for key in ("losses", "losses on"):
                assert part[kind][key] == pytest.approx(one[key], rel=1e-5)  # sums in another order
            for key in ("after 4", "after 6"):
                check_way(part[kind][key], one[key], one["before"])
        parameters = sum(v.numel() for k, v in one["after 4"].items() if not k.startswith("ema."))
        assert both[0][kind]["own"] + both[1][kind]["own"] == parameters
        assert max(part[kind]["own"] for part in both) < 0.6 * parameters, "each holds about half of them"

        task = Clips(kind)
        state = begun(task)
        shard.Checkpoints(tmp_path / kind / "shared", "clips", None).restore(state)
        assert differ(tensors(state), both[0][kind]["after 4"]) == 0.0
        assert steps(task, state, 2) == pytest.approx(one["losses on"], rel=1e-5)
        check_way(tensors(state), one["after 6"], one["before"])
    _check_run(tmp_path, [part["run"] for part in both])


def _check_run(folder: Path, runs: list[dict[str, Any]]) -> None:
    """One receipt with the joules of both, one file of weights."""
    receipt = runs[0]["receipt"]
    assert receipt["processes"] == 2
    assert receipt["total_J"] == runs[1]["receipt"]["total_J"]
    assert max(run["J"] for run in runs) < receipt["total_J"] < sum(run["J"] for run in runs)
    (written,) = (folder / "receipts").glob("*.json")
    assert json.loads(written.read_text()) == receipt
    exported, _ = weights.load(folder / "run" / "clips.safetensors")
    assert exported.keys() == dict(Clips("spark").module.named_parameters()).keys()
    assert [p.name for p in (folder / "run" / "clips.checkpoint").iterdir()] == ["2"], "only the newest is kept"


def test_a_broken_or_foreign_checkpoint_is_said(tmp_path: Path) -> None:
    task = Clips("wan")
    kept = shard.Checkpoints(tmp_path, "clips", None)
    kept.restore(begun(task))  # nothing there: nothing happens
    (kept.shards / ".3").mkdir(parents=True)
    kept.restore(begun(task))  # what was not finished does not count
    (kept.shards / "2").mkdir()
    with pytest.raises(WeightsError, match="is damaged"):
        kept.restore(begun(task))
    shard.Checkpoints(tmp_path / "other", "clips", None).save(begun(Clips("spark")))
    with pytest.raises(WeightsError, match="another recipe"):
        shard.Checkpoints(tmp_path / "other", "clips", None).restore(begun(task))
