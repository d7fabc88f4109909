"""Checkpoints that survive kill -9: written aside, flushed, renamed; a run goes on from the newest whole one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.train.optimizer import Optimizer


@dataclass
class State:
    """All that a run needs to go on: modules, their moving average, the optimiser, and how far it is."""

    module: nn.Module
    ema: dict[str, torch.Tensor]
    optimizer: Optimizer
    progress: dict[str, Any] = field(default_factory=lambda: {"step": 0, "clips": 0, "seconds": 0.0, "bills": []})


def tensors_of(state: State) -> dict[str, torch.Tensor]:
    """All tensors of a state, by the names that they have in a checkpoint."""
    tensors = {f"model.{k}": v for k, v in state.module.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in state.ema.items()}
    for i, slots in state.optimizer.slots().items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in slots.items()}
    return tensors


def save(path: Path, state: State) -> None:
    """Write the whole state to one safetensors file."""
    weights.save(path, tensors_of(state), {"progress": state.progress})


def restore(path: Path, state: State) -> None:
    """Fill `state` from a checkpoint; WeightsError if it is damaged or of another shape."""
    tensors, config = weights.load(path)
    fill(state, tensors, config["progress"], path)


def fill(state: State, tensors: dict[str, torch.Tensor], progress: dict[str, Any], path: Path) -> None:
    """Give a state the tensors and the progress that were read from `path`."""
    state.progress = progress
    try:
        state.module.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    except RuntimeError as error:
        raise WeightsError(f"{path} belongs to another recipe; start without --resume ({str(error).splitlines()[0]})") from error
    for name, average in state.ema.items():
        average.copy_(tensors[f"ema.{name}"])
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            slots.setdefault(int(index), {})[name] = value
    try:
        state.optimizer.fill(slots)
    except ValueError as error:
        raise WeightsError(f"{path} is of another optimiser; go on from its weights with --start instead ({error})") from error
