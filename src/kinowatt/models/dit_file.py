"""A small network of ours in one file: its weights, and its sizes beside them. skies and phyworld are such."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.models.dit import DiTConfig, VideoDiT


def save(path: Path, dit: VideoDiT, tensors: dict[str, torch.Tensor], more: dict[str, Any]) -> None:
    """Write the weights with their config."""
    weights.save(path, tensors, {"dit": asdict(dit.config), **more})


def load(path: Path, sha256: str | None, in_channels: int, what: str, verb: str) -> tuple[VideoDiT, dict[str, Any]]:
    """The network, in float32, and its config. `what` the file should be a model of, which `kinowatt train <verb>` makes. WeightsError."""
    tensors, config = weights.load(path, sha256)
    if "dit" not in config or config["dit"].get("in_channels") != in_channels:
        raise WeightsError(f"{path} is no model of {what}; train one with kinowatt train {verb}")
    dit = VideoDiT(DiTConfig(**{**config["dit"], "patch": tuple(config["dit"]["patch"])}))
    try:
        dit.load_state_dict({k: v.float() for k, v in tensors.items()})
    except RuntimeError as error:
        raise WeightsError(f"{path} is not all of a model of {what} ({str(error).splitlines()[0]}); train it again") from error
    return dit.eval(), config
