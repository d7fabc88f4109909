"""One optimiser of two: Muon for the matrices inside a network, AdamW for what it begins and ends with, gains and biases."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from kinowatt.models import precision
from kinowatt.models.dit import VideoDiT
from kinowatt.models.ends import Ends
from kinowatt.models.text import TextEncoder

WEIGHT_DECAY = 0.01
MOMENTUM = 0.95
QUINTIC, ROUNDS = (3.4445, -4.775, 2.0315), 5  # of the Newton-Schulz iteration, as Jordan et al. chose them


class Muon(torch.optim.Optimizer):
    """Steps along the nearest orthogonal matrix of the momentum (Jordan et al. 2024, github.com/KellerJordan/Muon).

    They have the length of AdamW's steps, so that both go by one learning rate (Liu et al. 2025, arXiv 2502.16982). torch.optim.Muon is
    the same, and always in bfloat16, in which a CPU that has to imitate it takes eighteen times as long (LOG.md).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of all matrices that have a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if "momentum_buffer" not in self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p.grad)
                momentum = self.state[p]["momentum_buffer"].lerp_(p.grad, 1.0 - MOMENTUM)
                way = orthogonal(torch.lerp(p.grad, momentum, MOMENTUM).flatten(1)).view_as(p)  # Nesterov's; a kernel is one matrix
                p.mul_(1.0 - group["lr"] * WEIGHT_DECAY)
                p.add_(way.to(p), alpha=-group["lr"] * 0.2 * math.sqrt(max(len(p), p[0].numel())))


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Nearly the nearest orthogonal matrix: singular values come to lie between about .7 and 1.2. Same shape, in `precision.short`."""
    a, b, c = QUINTIC
    x = matrix.to(precision.short(matrix.device))
    x = x.T if matrix.shape[0] > matrix.shape[1] else x
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _inside(part: nn.Module) -> Iterable[nn.Parameter]:
    """Parameters of what stands between a network's first layer and its last."""
    if isinstance(part, VideoDiT | TextEncoder):
        yield from part.blocks.parameters()
    elif isinstance(part, Ends):
        for inner in (part.before, part.down, part.enter, part.leave, part.up, part.after):
            yield from inner.parameters()


class Optimizer:
    """What a training step and a checkpoint need of an optimiser; parameters count on from AdamW's to Muon's."""

    def __init__(self, module: nn.Module, lr: float) -> None:
        hidden = [p for part in module.modules() for p in _inside(part) if p.ndim in (2, 4)]
        known = {id(p) for p in hidden}
        rest = [p for p in module.parameters() if id(p) not in known]
        # Norms, biases and gains are not drawn to zero.
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=True)]
        if hidden:
            self._parts.append(Muon(hidden, lr))
        self._rest = len(rest)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Of both."""
        return [group for part in self._parts for group in part.param_groups]

    def step(self) -> None:
        """One step of both."""
        for part in self._parts:
            part.step()

    def zero_grad(self) -> None:
        """Let the gradients go."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def slots(self) -> dict[int, dict[str, Any]]:
        """What is kept of each parameter, by its place among all."""
        return {first + i: kept for first, part in self._placed() for i, kept in part.state_dict()["state"].items()}

    def fill(self, slots: dict[int, dict[str, Any]]) -> None:
        """Take `slots` back. ValueError if they belong to other parameters."""
        shapes = [p.shape for group in self.param_groups for p in group["params"]]
        for i, kept in slots.items():
            if i >= len(shapes) or any(v.ndim and v.shape != shapes[i] for v in kept.values()):
                raise ValueError(f"what is kept of parameter {i} is of another shape")
        for first, part in self._placed():
            saved = part.state_dict()
            own = range(first, first + sum(len(group["params"]) for group in saved["param_groups"]))
            part.load_state_dict({"state": {i - first: slots[i] for i in own if i in slots}, "param_groups": saved["param_groups"]})

    def _placed(self) -> list[tuple[int, torch.optim.Optimizer]]:
        return list(zip((0, self._rest), self._parts, strict=False))
