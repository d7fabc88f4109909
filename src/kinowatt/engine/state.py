"""A take between two steps, on disk: what a killed job or a failed decoding goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from kinowatt.errors import OutputError, WeightsError
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


# (steps done, of, state, a look at the clip (3, H, W)); both None before the first step
Told = Callable[[int, int, State | None, Callable[[], np.ndarray] | None], None]


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


class Growing:
    """Arrays of one shape and type, one behind the other in a file: what a long take has made so far.

    Opened with `count` arrays in it, the rest is cut off. WeightsError if there are fewer; OutputError if it cannot be written.
    """

    def __init__(self, path: Path, shape: Sequence[int], kind: type[np.generic], count: int) -> None:
        self.path, self.shape, self.kind = path, tuple(shape), np.dtype(kind)
        begin = count * int(np.prod(shape)) * self.kind.itemsize
        try:
            self._file = path.open("r+b" if count else "wb")
            if path.stat().st_size < begin:
                raise WeightsError(f"{path} holds less than the take had made when it was broken off; begin anew")
            self._file.truncate(begin)
            self._file.seek(begin)
        except FileNotFoundError:
            raise WeightsError(f"{path}, which the take that was broken off has left, is gone; begin anew") from None
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error

    def add(self, arrays: np.ndarray) -> None:
        """Arrays (N, ...) at the end."""
        assert arrays.shape[1:] == self.shape
        try:
            self._file.write(np.ascontiguousarray(arrays, self.kind).data)
            self._file.flush()  # before the state that counts on them
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error

    def array(self) -> np.ndarray:
        """All of them (N, ...), read from the file as they are looked at; the file is closed, and not changed by changing them."""
        self._file.close()
        count = self.path.stat().st_size // (int(np.prod(self.shape)) * self.kind.itemsize)
        return np.memmap(self.path, self.kind, "c", shape=(count, *self.shape))

    def __enter__(self) -> Growing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
