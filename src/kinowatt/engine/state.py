"""A take between two steps, on disk: what a killed job or a failed decoding goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinowatt.errors import WeightsError
from kinowatt.models import weights


@dataclass(frozen=True, eq=False)
class State:
    """Enough to go on later, on any machine, with the same shot.

    `latents_1CFHW` float32; `schedule_SF` the steps as they were planned then; `means` what a budget had decided for the shot;
    `memory` what the solver must know of the steps before.
    """

    done: int
    latents_1CFHW: np.ndarray
    schedule_SF: np.ndarray
    means: Mapping[str, Any]
    memory: Mapping[str, np.ndarray] = field(default_factory=dict)


def save(path: Path, state: State, weights_sha256: str) -> None:
    """Whole or not at all. OutputError."""
    arrays = {"latents": state.latents_1CFHW, "schedule": state.schedule_SF} | {f"memory.{k}": v for k, v in state.memory.items()}
    told = {"done": state.done, "means": dict(state.means), "weights": weights_sha256}
    weights.save(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, told)


def load(path: Path, weights_sha256: str) -> State:
    """WeightsError if the file is damaged, or of a take that other weights have begun."""
    tensors, told = weights.load(path)
    if told.get("weights") != weights_sha256:
        raise WeightsError(f"{path} was begun with other weights, so these cannot end it; name the model that it was begun with")
    try:
        memory = {name.removeprefix("memory."): t.numpy() for name, t in tensors.items() if name.startswith("memory.")}
        return State(told["done"], tensors["latents"].numpy(), tensors["schedule"].numpy(), told["means"], memory)
    except KeyError as error:
        raise WeightsError(f"{path} is no take that was broken off: it lacks {error}; begin anew") from error
