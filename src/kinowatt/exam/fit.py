"""One way to train a judge: AdamW, the learning rate warmed up and let down to nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Say = Callable[[str], None]


def fit(name: str, network: nn.Module, loss: Callable[[], torch.Tensor], steps: int, lr: float, decay: float, say: Say) -> None:
    """Lower a loss (of a new batch at every call) for so many steps; leaves the network ready to judge."""
    optimiser = torch.optim.AdamW(network.parameters(), lr, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, steps, pct_start=0.15)
    network.train()
    mean = 0.0
    for step in range(steps):
        now = loss()
        optimiser.zero_grad()
        now.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        mean = 0.98 * mean + 0.02 * now.item() if step else now.item()
        if step % 100 == 99:
            say(f"{name}, step {step + 1} of {steps}: loss {mean:.3f}")
    network.eval()
