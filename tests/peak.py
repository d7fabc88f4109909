"""The most bytes that tensors hold at once while something runs; also without running it: then shapes pass through, numbers do not."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations gave out and that still live, and their peak. Scratch within one is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak, self._known = 0, 0, dict[int, Any]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor.untyped_storage())
        return out

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()

        def free(_: Any) -> None:
            self.live -= size
            del self._known[key]

        if key not in self._known:
            self._known[key] = weakref.ref(storage, free)
            self.live += size
            self.peak = max(self.peak, self.live)


def peak_bytes(work: Callable[[], Any]) -> int:
    """Of what is run."""
    with torch.no_grad(), LiveBytes() as count:
        work()
    return count.peak


def peak_on_paper(make: Callable[[], Callable[[], Any]]) -> int:
    """`make` builds modules and inputs and returns what is to be run; both happen with tensors that have no numbers."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return peak_bytes(make())
