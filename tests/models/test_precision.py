"""A CPU multiplies in bfloat16 only where it has instructions for that."""

from __future__ import annotations

import pytest
import torch

from kinowatt.models import precision

CPU = torch.device("cpu")


def has(monkeypatch: pytest.MonkeyPatch, *, bf16: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)


@pytest.mark.parametrize(("bf16", "amx"), [(True, False), (False, True), (True, True)])
def test_short_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch, bf16: bool, amx: bool) -> None:
    has(monkeypatch, bf16=bf16, amx=amx)
    assert precision.short(CPU) is torch.bfloat16
    with precision.autocast(CPU):
        assert (torch.ones(4, 4) @ torch.ones(4, 4)).dtype is torch.bfloat16


def test_exact_where_it_would_be_imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, bf16=False, amx=False)
    assert precision.short(CPU) is torch.float32
    with precision.autocast(CPU):
        assert (torch.ones(4, 4) @ torch.ones(4, 4)).dtype is torch.float32


def test_accelerators_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, bf16=False, amx=False)
    assert precision.short(torch.device("cuda")) is torch.bfloat16
