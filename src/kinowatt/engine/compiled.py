"""torch.compile, block by block, with a cache on disk; and the quickest attention that a GPU has.

All blocks of a network are one piece of code, so one compilation serves them all: whole, Wan takes ten times as long (LOG.md).
"""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kinowatt.errors import MissingDependency
from kinowatt.models.dit import VideoDiT
from kinowatt.models.wan_layers import ChannelNorm
from kinowatt.places import cache

SHAPES = 64  # that one process may meet before it stops compiling for new ones
CACHE = "TORCHINDUCTOR_CACHE_DIR"
CUDNN_FROM = (9, 0)  # compute capability from which cuDNN's attention is quicker than the others


def compile_blocks(dit: VideoDiT) -> None:
    """Compile a network in place, at its first run for each shape; the results are kept in the cache folder. MissingDependency."""
    _ready(dit.proj_out.weight.device)
    for block in dit.blocks:
        block.compile(fullgraph=True, dynamic=False)


def compile_norms(codec: nn.Module) -> None:
    """Compile the norms of a codec and what follows them, for every size at once: most of its time that is no convolution."""
    _ready(next(codec.parameters()).device)
    for module in codec.modules():
        if isinstance(module, ChannelNorm):
            module.compile(fullgraph=True, dynamic=True)


def _ready(device: torch.device) -> None:
    """MissingDependency without a compiler for this device."""
    import torch._dynamo.config

    if device.type == "cpu" and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise MissingDependency("torch.compile needs a C++ compiler on a CPU; install g++, or use --runtime torch")
    os.environ.setdefault(CACHE, str(cache() / "inductor"))
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)


def prefer_cudnn(device: torch.device) -> None:
    """From Hopper on, let cuDNN do the attention that it can; all are exact. Elsewhere the order of torch stands."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < CUDNN_FROM:
        return
    order = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    sdpa_kernel(order, set_priority=True).__enter__()  # for good: the order is the process's
