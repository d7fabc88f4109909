"""Weights in 8 bits, through torchao: less memory, and on cards with 8-bit arithmetic less time. A loss by choice.

Only the large linear layers of the blocks are rounded, each output row with a scale of its own. What runs once per pass, or decides
about scales (embedders, norms, modulation, output), stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from kinowatt.errors import MissingDependency, ShotError
from kinowatt.models.dit import VideoDiT
from kinowatt.models.quiet import quiet
from kinowatt.models.savings import BYTES_PER_WEIGHT

HOPPER = (9, 0)  # the first compute capability with an FP8 product that takes a scale per row
MULTIPLE = 16  # what 8-bit products of CUDA ask of both widths of a layer


def quantise(dit: VideoDiT, kind: str, device: torch.device | str | None = None) -> VideoDiT:
    """Round the weights of a network's blocks in place to "int8" or "fp8" (e4m3), and return it.

    On CUDA, activations are rounded too and multiplied in 8 bits; for FP8 from Hopper on, with bfloat16 weights. Elsewhere the products
    are those of before: memory is saved, time is not (LOG.md). Layers move to `device` as they are rounded, so that it never holds the
    whole network at full length; the rest of the network is for the caller to move. MissingDependency; ShotError for another kind.
    """
    if kind not in BYTES_PER_WEIGHT:
        raise ShotError(f"weights {kind!r} are unknown; use {' or '.join(BYTES_PER_WEIGHT)}")
    where = torch.device(device) if device is not None else dit.proj_out.weight.device
    with quiet():
        try:
            from torchao.quantization import quantize_
        except ImportError as error:
            raise MissingDependency("weights in 8 bits need torchao; pip install 'kinowatt[torchao]'") from error
        chosen = large_layers(dit)
        quantize_(dit, _config(kind, where, dit.proj_out.weight.dtype), filter_fn=lambda module, name: name in chosen, device=where)
    return dit


def large_layers(dit: VideoDiT) -> frozenset[str]:
    """Names of the layers that are rounded."""
    return frozenset(
        name
        for name, module in dit.named_modules()
        if name.startswith("blocks.")
        and isinstance(module, nn.Linear)
        and not (module.in_features % MULTIPLE or module.out_features % MULTIPLE)
    )


def _config(kind: str, device: torch.device, dtype: torch.dtype) -> Any:
    """What torchao is asked for; it is not to change how others compile (set_inductor_config)."""
    from torchao import quantization as q

    cuda = device.type == "cuda"
    if kind == "int8":
        return (q.Int8DynamicActivationInt8WeightConfig if cuda else q.Int8WeightOnlyConfig)(set_inductor_config=False)
    if cuda and torch.cuda.get_device_capability(device) >= HOPPER and dtype == torch.bfloat16:
        return q.Float8DynamicActivationFloat8WeightConfig(granularity=q.PerRow(), set_inductor_config=False)
    return q.Float8WeightOnlyConfig(set_inductor_config=False)
