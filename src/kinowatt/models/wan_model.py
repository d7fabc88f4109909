"""A model of Wan, read from its folder and put where it is to work."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from kinowatt.models import weights
from kinowatt.models.dit import VideoDiT
from kinowatt.models.umt5 import LENGTH, UMT5
from kinowatt.models.wan import Experts, WanFolder, read_folder
from kinowatt.models.wan_specs import WanSpec
from kinowatt.models.wan_vae import WanCodec


class Sentences:
    """UMT5 as a `TextEncoder`: a prompt is a sequence of one sentence. Read when it is first needed."""

    def __init__(self, folder: Path, width: int, dtype: torch.dtype, device: torch.device) -> None:
        self._folder, self.width, self._dtype, self._device = folder, width, dtype, device
        self._encoder: UMT5 | None = None

    def ready(self) -> None:
        """Read the encoder now, if it is not here. WeightsError if it cannot be read."""
        if self._encoder is None:
            self._encoder = UMT5.from_folder(self._folder, self._dtype, self._device)

    def encode(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Features (B, 512, D); rows past a prompt's end are zero. WeightsError if the encoder cannot be read."""
        self.ready()
        assert self._encoder is not None
        return self._encoder.encode([" ".join(prompt) for prompt in prompts])


@dataclass(frozen=True, eq=False)
class WanModel:
    """A loaded Wan model. Texts and images of a take are encoded before its networks work."""

    spec: WanSpec
    folder: WanFolder
    codec: WanCodec
    experts: Experts
    text: Sentences
    sha256: str  # of all weight files and their names

    @property
    def networks(self) -> tuple[VideoDiT, ...]:
        """All that denoise: for high noise levels first."""
        return tuple(dit for dit in (self.experts.high, self.experts.low) if dit is not None)

    @property
    def shift(self) -> float:
        """Of the noise levels."""
        return self.spec.shift

    @property
    def grid(self) -> int:
        """Pixels per side of a token."""
        return self.codec.stride[1] * self.folder.dit.patch[1]

    @property
    def text_shape(self) -> tuple[int, int]:
        """Rows and width (L, D) of an encoded prompt."""
        return LENGTH, self.folder.dit.text_dim


class Devices(NamedTuple):
    """Where the parts of a model are put."""

    networks: torch.device
    codec: torch.device
    text: torch.device


def load(spec: WanSpec, dtype: torch.dtype, devices: Devices, *, swap: bool = False) -> WanModel:
    """Read and check the files of spec.folder. WeightsError if one is missing, damaged or does not fit; MissingDependency.

    With `swap`, one of two networks waits in the CPU's memory.
    """
    folder = read_folder(spec.folder)
    codec = WanCodec.from_folder(folder.path, dtype)
    found = {f"vae/{path.name}": weights.sha256(path) for path in (folder.path / "vae").glob("*.safetensors")}
    experts, more = Experts.from_folder(folder, dtype, devices.networks, swap=swap)
    text = Sentences(folder.path, folder.dit.text_dim, dtype, devices.text)
    return WanModel(spec, folder, codec.to(devices.codec), experts, text, _digest(found | more))


def _digest(found: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in sorted(found.items())).encode()).hexdigest()
