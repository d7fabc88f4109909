"""Muon is torch's own where a device multiplies in bfloat16, and the same in longer numbers elsewhere."""

from __future__ import annotations

import pytest
import torch

from kinowatt.models import precision
from kinowatt.train.optimizer import WEIGHT_DECAY, Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (40, 16), (16, 40)])
def test_steps_are_those_of_torch(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "short", lambda device: torch.bfloat16)
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    one = Muon([ours], 0.01)
    other = torch.optim.Muon([theirs], lr=0.01, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        gradient = torch.randn(shape)
        for p, optimiser in ((ours, one), (theirs, other)):
            p.grad = gradient.clone()
            optimiser.step()
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, start)


def test_a_kernel_is_one_matrix() -> None:
    torch.manual_seed(0)
    start = torch.randn(8, 4, 3, 3)
    kernel, matrix = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.flatten(1).clone())
    for p in (kernel, matrix):
        p.grad = torch.ones(8, 36).cumsum(0).view_as(p)
        Muon([p], 0.01).step()
    assert torch.equal(kernel.flatten(1), matrix)
    assert not torch.equal(kernel, start)


@pytest.mark.parametrize("short", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(32, 32), (64, 16), (16, 64)])
def test_ways_are_nearly_orthogonal(shape: tuple[int, int], short: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "short", lambda device: short)
    made = orthogonal(100.0 * torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    assert made.dtype is short
    values = torch.linalg.svdvals(made.float())
    assert 0.4 < values.min() <= values.max() < 1.3
