"""What runs the networks: torch, or OpenVINO on a CPU. Which one ran is said in every take."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from kinowatt.errors import MissingDependency, ShotError
from kinowatt.models import specs
from kinowatt.models.protocols import Codec


class Runtime(Protocol):
    """The networks of a model in executable form."""

    name: str
    codec: Codec

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity (B, C, F, H, W) in float32."""
        ...

    def decode_stream(self, latents_BCFHW: torch.Tensor) -> Iterator[torch.Tensor]:
        """Frames in [-1, 1], chunk by chunk."""
        ...


class TorchRuntime:
    """The modules as they are: float32 on a CPU, bfloat16 arithmetic on an accelerator."""

    def __init__(self, model: specs.Model, device: torch.device) -> None:
        self.codec: Codec = model.codec
        self._model, self._device = model, device
        self.name = "torch float32" if device.type == "cpu" else "torch bfloat16"

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity in float32."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type != "cpu"):
            return self._model.dit(x_BCFHW, level_BF, text_BLD).float()

    def decode_stream(self, latents_BCFHW: torch.Tensor) -> Iterator[torch.Tensor]:
        """Frames in [-1, 1], two latent frames at a time."""
        yield from self.codec.decode_stream(latents_BCFHW)


class OpenVinoRuntime(TorchRuntime):
    """Denoiser through OpenVINO: converted once per shape and weights, kept in the cache folder."""

    def __init__(self, model: specs.Model, device: torch.device) -> None:
        super().__init__(model, device)
        import openvino

        self._core = openvino.Core()
        self._core.set_property({"CACHE_DIR": str(cache_folder())})
        bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._precision = "bf16" if bf16 else "f32"
        self.name = f"openvino {'bfloat16' if bf16 else 'float32'}"
        self._compiled: dict[tuple[Any, ...], Callable[[list[np.ndarray]], Any]] = {}

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity in float32."""
        inputs = (x_BCFHW, level_BF, text_BLD)
        key = tuple(tuple(t.shape) for t in inputs)
        if key not in self._compiled:
            self._compiled[key] = self._compile(self._model.dit, inputs, "dit")
        out = self._compiled[key]([t.contiguous().numpy() for t in inputs])
        return torch.from_numpy(np.array(out[0]))

    def _compile(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], kind: str) -> Any:
        import openvino

        shapes = [list(t.shape) for t in inputs]
        told = f"{openvino.__version__} {self._model.sha256} {kind} {shapes}"
        path = cache_folder() / f"{kind}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.xml"
        if not path.exists():
            with torch.inference_mode():
                graph = openvino.convert_model(module, example_input=inputs, input=shapes)
            aside = path.with_name(f".{path.stem}.{os.getpid()}.xml")
            openvino.save_model(graph, aside, compress_to_fp16=False)
            # Weights first: a graph without them would look whole.
            aside.with_suffix(".bin").replace(path.with_suffix(".bin"))
            aside.replace(path)
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": self._precision}
        return self._core.compile_model(path, "CPU", options)


def cache_folder() -> Path:
    """Where converted networks are kept: KINOWATT_CACHE, else the user's cache folder."""
    root = os.environ.get("KINOWATT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kinowatt"
    folder = Path(root) / "openvino"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose(name: str, model: specs.Model, device: torch.device) -> Runtime:
    """The runtime of that name; "auto" takes OpenVINO on a CPU where it is installed (measured faster, see LOG.md), else torch."""
    if name not in ("auto", "torch", "openvino"):
        raise ShotError(f"runtime {name!r} is unknown; use auto, torch or openvino")
    if name == "torch" or (name == "auto" and device.type != "cpu"):
        return TorchRuntime(model, device)
    try:
        return OpenVinoRuntime(model, device)
    except ImportError as error:
        if name == "openvino":
            raise MissingDependency("OpenVINO is not installed; pip install 'kinowatt[cpu]', or use --runtime torch") from error
        return TorchRuntime(model, device)
