"""A model's files are one model, or a sentence says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from kinowatt.errors import WeightsError
from kinowatt.models import model, weights
from kinowatt.models.specs import find


def test_weights_with_larger_tokens_say_what_would_work(small_model: Path, tmp_path: Path) -> None:
    shutil.copy(small_model / "codec.safetensors", tmp_path)
    tensors, config = weights.load(small_model / "denoiser.safetensors")
    tensors["dit.patch_embedding.weight"] = tensors["dit.patch_embedding.weight"].repeat(1, 1, 1, 2, 2)
    for name in ("weight", "bias"):
        tensors[f"dit.proj_out.{name}"] = torch.cat([tensors[f"dit.proj_out.{name}"]] * 4)
    config["dit"]["patch"] = [1, 2, 2]
    weights.save(tmp_path / "denoiser.safetensors", tensors, config)
    with pytest.raises(WeightsError, match=r"tokens of 32 pixels a side.*tokens of 16; go on from them with kinowatt train spark --start"):
        model.load(find(str(tmp_path)), torch.device("cpu"))
