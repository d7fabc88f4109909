"""One optimiser of two: Muon for the matrices inside the blocks of a DiT, AdamW for all else.

Muon steps along the nearest orthogonal matrix of the momentum (Jordan et al. 2024, github.com/KellerJordan/Muon), here of the length of
AdamW's steps, so that both go by one learning rate (Liu et al. 2025, arXiv 2502.16982).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from kinowatt.models.dit import VideoDiT

WEIGHT_DECAY = 0.01


class Optimizer:
    """What a training step and a checkpoint need of an optimiser; parameters count on from AdamW's to Muon's."""

    def __init__(self, module: nn.Module, lr: float) -> None:
        hidden = [p for part in module.modules() if isinstance(part, VideoDiT) for p in part.blocks.parameters() if p.ndim == 2]
        known = {id(p) for p in hidden}
        rest = [p for p in module.parameters() if id(p) not in known]
        # Norms, biases and gains are not drawn to zero.
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=True)]
        if hidden:
            self._parts.append(torch.optim.Muon(hidden, lr=lr, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"))
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
