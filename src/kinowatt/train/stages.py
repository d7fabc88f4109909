"""What the stages of a training share: data until a deadline, weights in half precision."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn

from kinowatt.train.shard import whole

T = TypeVar("T")
EXAM_BLOCKS = 1  # of held-out scenes


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
