"""In which numbers a device multiplies fast."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def short(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies in it, else float32: a CPU that lacks it takes several times as long to imitate it (LOG.md)."""
    if device.type != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return torch.float32


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Products in `short` numbers, sums and norms in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=short(device) is torch.bfloat16)


def exact(of: Callable[P, T]) -> Callable[P, T]:
    """A function whose products stay as they are given under `autocast`: where things are in the world bears no rounding."""

    @functools.wraps(of)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return of(*args, **kwargs)

    return inside
