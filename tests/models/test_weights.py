"""Weights on disk: whole or not at all, and damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kinowatt.errors import OutputError, WeightsError
from kinowatt.models import weights


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.safetensors"
    weights.save(path, {"a": torch.arange(4.0)}, {"width": 3})
    tensors, config = weights.load(path, weights.sha256(path))
    assert tensors["a"].tolist() == [0, 1, 2, 3]
    assert config == {"width": 3}
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"], "no temporary file stays"


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    weights.save(path, {"a": torch.arange(4.0)}, {})
    good = weights.sha256(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WeightsError, match="damaged or changed"):
        weights.load(path, good)
    with pytest.raises(WeightsError, match="not a readable"):
        weights.load(path)
    path.write_text("not weights")
    with pytest.raises(WeightsError, match="not a readable"):
        weights.load(path)
    with pytest.raises(WeightsError, match="no weights at"):
        weights.load(tmp_path / "none.safetensors")


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        weights.save(tmp_path / "file" / "x.safetensors", {"a": torch.zeros(1)}, {})
