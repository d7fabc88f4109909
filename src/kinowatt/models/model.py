"""A model's files, read, checked and put on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from kinowatt.errors import WeightsError
from kinowatt.models import director, interpolator, observer, painter, poser, weights
from kinowatt.models.director import Director
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.interpolator import Interpolator
from kinowatt.models.observer import Observer
from kinowatt.models.painter import Painter
from kinowatt.models.poser import Poser
from kinowatt.models.specs import ModelSpec
from kinowatt.models.text import TextConfig, TextEncoder
from kinowatt.models.vae import CodecConfig, VideoCodec


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model, ready to run on one device."""

    spec: ModelSpec
    codec: VideoCodec
    dit: VideoDiT
    text: TextEncoder
    interpolator: Interpolator | None  # None: no file of one stands beside the others
    painter: Painter | None  # likewise
    director: Director | None  # likewise
    poser: Poser | None  # likewise
    observer: Observer | None  # likewise
    shift: float  # of the noise levels, as trained
    sha256: str  # of all weight files, in the order of their names

    @property
    def networks(self) -> tuple[VideoDiT, ...]:
        """All that denoise."""
        return (self.dit,)

    @property
    def grid(self) -> int:
        """Pixels per side of a token."""
        return self.codec.stride[1] * self.dit.config.patch[1]

    @property
    def text_shape(self) -> tuple[int, int]:
        """Rows and width (L, D) of an encoded prompt."""
        return self.text.config.tokens, self.text.config.width


def load(spec: ModelSpec, device: torch.device) -> Model:
    """Read and check the files of a model. WeightsError if one is missing, damaged or does not fit."""
    names = ["codec.safetensors", "denoiser.safetensors"]
    beside = (interpolator.FILE, painter.FILE, director.FILE, poser.FILE, observer.FILE)
    names += [name for name in beside if name in spec.sha256 or (spec.folder / name).is_file()]
    read = {name: _read(spec, name) for name in names}
    (codec_tensors, codec_config), (tensors, config) = read["codec.safetensors"], read["denoiser.safetensors"]
    try:
        codec = VideoCodec(CodecConfig(**_tuples(codec_config["codec"])))
        dit = VideoDiT(DiTConfig(**_tuples(config["dit"])))
        text = TextEncoder(TextConfig(**_tuples(config["text"])))
        interpolates = interpolator.load(*read[interpolator.FILE]) if interpolator.FILE in read else None
        paints = painter.load(*read[painter.FILE]) if painter.FILE in read else None
        directs = director.load(*read[director.FILE]) if director.FILE in read else None
        poses = poser.load(*read[poser.FILE]) if poser.FILE in read else None
        observes = observer.load(*read[observer.FILE]) if observer.FILE in read else None
        codec.load_state_dict({k: v.float() for k, v in codec_tensors.items()})
        dit.load_state_dict({k.removeprefix("dit."): v.float() for k, v in tensors.items() if k.startswith("dit.")})
        text.load_state_dict({k.removeprefix("text."): v.float() for k, v in tensors.items() if k.startswith("text.")})
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"the files in {spec.folder} are not a kinowatt model ({str(error).splitlines()[0]}); retrain or restore them"
        ) from error
    for module in (codec, dit, text):
        module.eval().requires_grad_(False).to(device)
    if interpolates is not None:
        interpolates.to(device)
    # Painter, director, poser and observer stay on the CPU: what a seed means does not depend on the device.
    joined = "+".join(weights.sha256(spec.folder / name) for name in sorted(read))
    model = Model(spec, codec, dit, text, interpolates, paints, directs, poses, observes, float(config.get("shift", 1.0)), joined)
    if model.grid != spec.grid:
        raise WeightsError(
            f"the weights in {spec.folder} have tokens of {model.grid} pixels a side, and this kinowatt runs tokens of {spec.grid}; "
            f"go on from them with kinowatt train spark --start {spec.folder}"
        )
    return model


def _read(spec: ModelSpec, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    return weights.load(spec.folder / name, spec.sha256.get(name))


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the configs have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
