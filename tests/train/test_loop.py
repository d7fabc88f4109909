"""The training loop on a task of one line: it learns, survives kill -9, goes on where it was, and leaves a receipt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kinowatt.energy.devices import CpuModel
from kinowatt.energy.meter import Meter
from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.train import checkpoint, loop
from kinowatt.train.optimizer import Optimizer


class Line:
    """Fit y = 3x."""

    name, lr, ema_decay = "line", 0.05, 0.9

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(1, 1, bias=False)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        x = torch.randn(8, 1, generator=torch.Generator().manual_seed(step))
        return (self.module(x) - 3 * x).square().mean(), 8

    def examine(self) -> dict[str, float]:
        return {"slope": float(self.module.weight)}  # type: ignore[arg-type]

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        weights.save(folder / "line.safetensors", dict(self.module.state_dict()), {"steps": receipt["steps"]})


def run(folder: Path, seconds: float, resume: bool = False) -> dict[str, Any]:
    with Meter([CpuModel()]) as meter:
        return loop.train(
            Line(),
            minutes=seconds / 60,
            folder=folder,
            resume=resume,
            device=torch.device("cpu"),
            receipts=folder / "receipts",
            meter=meter,
        )


def test_a_run_learns_and_leaves_a_receipt(tmp_path: Path) -> None:
    receipt = run(tmp_path, 1.5)
    assert receipt["held_out"]["slope"] == pytest.approx(3.0, abs=0.1)
    assert receipt["clips"] == receipt["steps"] * 8
    assert receipt["total_J"] > 0
    assert receipt["energy"]["cpu_modelled_J"] > 0
    assert receipt["energy"]["gpu_J"] is None
    (written,) = (tmp_path / "receipts").glob("*-line.json")
    assert json.loads(written.read_text()) == receipt
    tensors, config = weights.load(tmp_path / "line.safetensors")
    assert config["steps"] == receipt["steps"]
    assert float(tensors["weight"]) == pytest.approx(receipt["held_out"]["slope"], abs=1e-4)


def test_a_resumed_run_adds_to_the_first(tmp_path: Path) -> None:
    first = run(tmp_path, 0.5)
    second = run(tmp_path, 0.5, resume=True)
    assert second["steps"] > first["steps"]
    assert len(second["runs"]) == 2
    assert second["total_J"] > first["total_J"]
    assert second["seconds"] == pytest.approx(1.0, abs=0.3)


def test_another_recipes_checkpoint_is_refused(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    state = checkpoint.State(module, {k: v.detach().clone() for k, v in module.named_parameters()}, Optimizer(module, 1e-3))
    checkpoint.save(tmp_path / "line.checkpoint.safetensors", state)
    with pytest.raises(WeightsError, match="another recipe"):
        run(tmp_path, 0.1, resume=True)


def test_another_optimisers_checkpoint_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 0.1)
    path = next(tmp_path.rglob("line.checkpoint.safetensors"))
    tensors, config = weights.load(path)
    name = next(k for k in tensors if k.startswith("optimizer.") and tensors[k].ndim == 2)
    weights.save(path, tensors | {name: torch.zeros(5, 7)}, config)
    with pytest.raises(WeightsError, match="another optimiser; go on from its weights with --start"):
        run(tmp_path, 0.1, resume=True)


KILLED = """
import sys
from pathlib import Path
import torch
from torch import nn
from kinowatt.train import checkpoint
from kinowatt.train.optimizer import Optimizer
module = nn.Linear(400, 400)
state = checkpoint.State(module, {k: v.detach().clone() for k, v in module.named_parameters()}, Optimizer(module, 1e-3))
print("ready", flush=True)
while True:
    state.progress["step"] += 1
    with torch.no_grad():
        for v in module.parameters():
            v.fill_(state.progress["step"])
    checkpoint.save(Path(sys.argv[1]), state)
"""


def test_a_checkpoint_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    for wait in (0.15, 0.4, 0.7):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        module = nn.Linear(400, 400)
        ema = {k: v.detach().clone() for k, v in module.named_parameters()}
        state = checkpoint.State(module, ema, Optimizer(module, 1e-3))
        checkpoint.restore(path, state)
        assert state.progress["step"] > 0
        assert all((v == state.progress["step"]).all() for v in module.parameters()), "weights and step are of one moment"
