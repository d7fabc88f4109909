"""The most bytes that tensors hold at once while something runs, counted without running it: shapes pass through, numbers do not."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Count(TorchDispatchMode):
    """Adds every new storage, and takes it away when it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.most = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key = storage._cdata
        if key in self.seen:
            return
        self.seen.add(key)
        size = storage.nbytes()
        self.held += size
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.held -= size


def peak_bytes(make: Callable[[], Callable[[], Any]]) -> int:
    """`make` builds modules and inputs and returns what is to be run; both happen with tensors that have no numbers."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        run = make()
        with _Count() as count, torch.no_grad():
            out = run()
        del out
    return count.most
