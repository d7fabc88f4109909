"""What the stages of a training share: data until a deadline, attention, weights in half precision."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kinowatt.train.shard import whole

T = TypeVar("T")
EXAM_BLOCKS = 1  # of held-out scenes
FEW_TOKENS = 256


def attention(device: torch.device, x_BCFHW: torch.Tensor, patch: tuple[int, int, int]) -> AbstractContextManager[None]:
    """How attention over the tokens of an input learns fastest.

    On a CPU the backward pass of the fused one pays only with many; with few, plain products are faster (LOG.md).
    """
    few = device.type == "cpu" and math.prod(x_BCFHW.shape[2:]) // math.prod(patch) <= FEW_TOKENS
    return sdpa_kernel(SDPBackend.MATH) if few else contextlib.nullcontext()


def in_time(blocks: Iterator[T], deadline: float) -> list[T]:
    """Blocks until the deadline (of `time.monotonic`), and at least one."""
    made = []
    for block in blocks:
        made.append(block)
        if time.monotonic() > deadline:
            break
    return made


def halved(module: nn.Module) -> dict[str, torch.Tensor]:
    """Weights in float16: half the bytes; its rounding (2^-11) is far below what training leaves uncertain."""
    return {k: whole(v.half() if v.is_floating_point() else v) for k, v in module.state_dict().items()}
