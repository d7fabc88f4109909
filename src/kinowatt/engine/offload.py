"""Blocks of a network that wait in the CPU's memory and come to the device when their turn is near."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from kinowatt.models.dit import VideoDiT


class BlockStream:
    """Streams the blocks of a network from `resident` on: while one works, the next is on its way. Exact.

    Everything else of the network goes to the device at once. On the device there are, beside the resident ones, two blocks at most.
    """

    def __init__(self, dit: VideoDiT, device: torch.device, resident: int = 0) -> None:
        self.device, self.resident = device, resident
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._blocks: list[nn.Module] = list(dit.blocks)[resident:]
        self._waiting = [[self._kept(p.data) for p in block.parameters()] for block in self._blocks]
        self._ready: dict[int, Any] = {}  # block → the event after which it is there
        for name, child in dit.named_children():
            if name != "blocks":
                child.to(device)
        for block in list(dit.blocks)[:resident]:
            block.to(device)
        dit.scale_shift_table.data = dit.scale_shift_table.data.to(device)
        for i, block in enumerate(self._blocks):
            self._leave(i)
            block.register_forward_pre_hook(lambda module, inputs, i=i: self._enter(i))
            block.register_forward_hook(lambda module, inputs, output, i=i: self._leave(i))

    def _kept(self, tensor: torch.Tensor) -> torch.Tensor:
        """On the CPU, in pages that a card can read while others work."""
        tensor = tensor.cpu()
        return tensor.pin_memory() if self._stream is not None else tensor

    def _enter(self, i: int) -> None:
        self._fetch(i)
        event = self._ready[i]
        if event is not None:
            torch.cuda.current_stream(self.device).wait_event(event)
        if len(self._blocks) > 1:
            self._fetch((i + 1) % len(self._blocks))

    def _fetch(self, i: int) -> None:
        if i in self._ready:
            return
        with torch.cuda.stream(self._stream):  # without a stream of its own it does nothing
            for parameter, waiting in zip(self._blocks[i].parameters(), self._waiting[i], strict=True):
                parameter.data = waiting.to(self.device, non_blocking=True, copy=True)
            self._ready[i] = None if self._stream is None else self._stream.record_event()

    def _leave(self, i: int) -> None:
        for parameter, waiting in zip(self._blocks[i].parameters(), self._waiting[i], strict=True):
            if self._stream is not None and parameter.data.is_cuda:
                parameter.data.record_stream(torch.cuda.current_stream(self.device))  # not to be reused before the work on it is done
            parameter.data = waiting
        self._ready.pop(i, None)

    @property
    def visiting(self) -> int:
        """Blocks that are on the device now, the resident ones not counted."""
        return len(self._ready)
