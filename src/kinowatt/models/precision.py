"""In which numbers a device multiplies fast."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def short(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies in it, else float32: a CPU that lacks it takes several times as long to imitate it (LOG.md)."""
    if device.type != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return torch.float32


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Products in `short` numbers, sums and norms in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=short(device) is torch.bfloat16)
