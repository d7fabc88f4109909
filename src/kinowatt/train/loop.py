"""One loop for every training: time-boxed, resumable, metered. What is trained is a `Task`; how long is the clock's business."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from kinowatt.energy.bill import EnergyBill
from kinowatt.energy.meter import Meter
from kinowatt.energy.processes import joint
from kinowatt.engine.parallel import World
from kinowatt.models import precision
from kinowatt.train import checkpoint, shard
from kinowatt.train.optimizer import Optimizer

CHECKPOINT_S = 60.0
WARM_UP_STEPS = 100
COOL_DOWN = 0.25  # the last quarter of the time lowers the learning rate to zero (Hägele et al. 2024, arXiv 2405.18392)


class Task(Protocol):
    """Something that can be trained: a module, a loss on a batch drawn for a step, and an examination on held-out clips."""

    name: str
    module: nn.Module
    lr: float
    ema_decay: float

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Loss of the batch of this step (drawn from a generator seeded by it) and the number of clips in it."""
        ...

    def examine(self) -> dict[str, float]:
        """Figures on held-out clips, with the module's present weights."""
        ...

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write the module's present weights as a model file; called in every process, written by one."""
        ...


def train(
    task: Task,
    *,
    minutes: float,
    folder: Path,
    resume: bool,
    device: torch.device,
    receipts: Path,
    meter: Meter,
    world: World | None = None,
    before_J: float | None = 0.0,
) -> dict[str, Any]:
    """Train for `minutes` of wall clock, examine, export EMA weights to `folder`, and write a receipt. Returns the receipt.

    With a `world`, its processes share the work; the clock of process 0 counts, and the receipt holds the joules of all.
    `before_J`: what the weights that it starts from have cost (None: not known, and then the sum is not either).
    """
    state = begin(task, device, world)
    if before_J != 0.0:
        state.progress["bills"].append({"J": before_J, "seconds": 0.0, "what": "the weights that it started from"})
    kept = shard.Checkpoints(folder, task.name, world)
    if resume:
        kept.restore(state)
    before = state.progress["seconds"]
    started, saved = time.monotonic(), 0.0

    def clock() -> float:
        elapsed = time.monotonic() - started
        return elapsed if world is None else world.agreed(elapsed)

    with _bar(task.name, world) as report, meter.phase("train"):
        while (elapsed := clock()) < minutes * 60:
            if elapsed - saved > CHECKPOINT_S:
                kept.save(state)
                saved = elapsed
            loss, clips = _one_step(task, state, elapsed / (minutes * 60), device)
            state.progress["seconds"] = before + elapsed
            report(elapsed / (minutes * 60), loss, clips, state, meter)
    kept.save(state)
    # Not inference_mode: shards that were gathered under it could not be trained any more.
    with meter.phase("examine"), _averaged(state), torch.no_grad():
        state.module.eval()
        figures = task.examine()
        bill = meter.so_far() if world is None else joint(world.gathered(meter.so_far()))
        state.progress["bills"].append({"J": bill.energy.total_J, "seconds": round(clock(), 1)})
        receipt = _receipt(task, state, bill, figures, device, world)
        task.export(folder, receipt)
    kept.save(state)
    if world is None or world.rank == 0:
        receipts.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{task.name}.json"
        (receipts / name).write_text(json.dumps(receipt, indent=1, ensure_ascii=False) + "\n")
    return receipt


def begin(task: Task, device: torch.device, world: World | None = None) -> checkpoint.State:
    """A task before its first step; with a `world`, in shards."""
    module = task.module.to(device).train()
    if world is not None:
        shard.shard(module, world)
    return checkpoint.State(module, {k: v.detach().clone().float() for k, v in module.named_parameters()}, Optimizer(module, task.lr))


def _one_step(task: Task, state: checkpoint.State, progress: float, device: torch.device) -> tuple[float, int]:
    step = state.progress["step"]
    lr = task.lr * min(1.0, (step + 1) / WARM_UP_STEPS, max(1.0 - progress, 0.0) / COOL_DOWN)
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    with precision.autocast(device):
        loss, clips = task.loss(step)
    loss.backward()
    nn.utils.clip_grad_norm_(state.module.parameters(), 1.0)
    state.optimizer.step()
    state.optimizer.zero_grad()
    # Early averages would remember the random start for long: let the window grow with the run.
    decay = min(task.ema_decay, (step + 1) / (step + 10))
    with torch.no_grad():
        live = [p.detach().float() for p in state.module.parameters()]
        torch._foreach_lerp_(list(state.ema.values()), live, 1.0 - decay)
    state.progress["step"] = step + 1
    state.progress["clips"] += clips
    return float(loss.detach()), clips


@contextlib.contextmanager
def _averaged(state: checkpoint.State) -> Any:
    """The module with its moving-average weights, for the time of the block."""
    live = {k: v.detach().clone() for k, v in state.module.named_parameters()}
    with torch.no_grad():
        for name, parameter in state.module.named_parameters():
            parameter.copy_(state.ema[name])
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in state.module.named_parameters():
                parameter.copy_(live[name])


@contextlib.contextmanager
def _bar(name: str, world: World | None) -> Any:
    columns = (TextColumn(name), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    silent = world is not None and world.rank > 0
    with Progress(*columns, refresh_per_second=2, disable=silent) as bar:
        line = bar.add_task(name, total=1.0, text="")
        smooth: dict[str, float] = {}
        last = {"t": time.monotonic(), "print": 0.0}

        def report(done: float, loss: float, clips: int, state: checkpoint.State, meter: Meter) -> None:
            now = time.monotonic()
            rate = clips / max(now - last["t"], 1e-6)
            last["t"] = now
            smooth["loss"] = 0.98 * smooth.get("loss", loss) + 0.02 * loss
            smooth["rate"] = 0.95 * smooth.get("rate", rate) + 0.05 * rate
            if silent or now - last["print"] < 0.5:
                return
            spent = meter.so_far().energy.total_J
            joules = "" if spent is None else f"  {spent / 1e3:.1f} kJ" + ("" if world is None else " in this process")
            text = f"step {state.progress['step']}  loss {smooth['loss']:.4f}  {smooth['rate']:.1f} clips/s{joules}"
            bar.update(line, completed=done, text=text)
            # Where no terminal shows the bar, a line every half minute tells as much.
            if not bar.console.is_terminal and now - last["print"] > 30:
                print(f"{name} {done:.0%} {text}", flush=True)
                last["print"] = now
            elif bar.console.is_terminal:
                last["print"] = now

        yield report


def _receipt(
    task: Task, state: checkpoint.State, bill: EnergyBill, figures: dict[str, float], device: torch.device, world: World | None
) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    commit = _git("rev-parse", "HEAD")
    spent = [b["J"] for b in state.progress["bills"]]
    return {
        "run": task.name,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": f"{device.type} {name}",
        "processes": 1 if world is None else world.size,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": commit + ("+changes" if commit and _git("status", "--porcelain", "--untracked-files=no") else ""),
        "parameters": sum(p.numel() for p in state.module.parameters()),
        "steps": state.progress["step"],
        "clips": state.progress["clips"],
        "seconds": round(state.progress["seconds"], 1),
        "total_J": None if None in spent else round(sum(spent), 1),  # a sum without one of its parts would be a wrong number
        "runs": state.progress["bills"],
        "energy": bill.to_json(),
        "held_out": figures,
    }


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=Path(__file__).parent, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


Report = Callable[[float, float, int, checkpoint.State, Meter], None]
