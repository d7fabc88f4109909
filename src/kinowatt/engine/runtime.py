"""What runs the networks: torch, or OpenVINO on a CPU. Which one ran is said in every take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from kinowatt.engine import openvino
from kinowatt.engine.compiled import compile_blocks, compile_norms, prefer_cudnn
from kinowatt.engine.memory import Layout
from kinowatt.engine.openvino import OpenVinoNetwork
from kinowatt.engine.wan_runtime import WanRuntime
from kinowatt.errors import MissingDependency, ShotError
from kinowatt.models.dit import VideoDiT
from kinowatt.models.model import Model
from kinowatt.models.protocols import Codec
from kinowatt.models.wan_model import WanModel

# Of CPU time at 7.5 W per core, to convert one of spark's networks for one shape, or to read it from the cache folder: upper ends (LOG.md).
CONVERT_J, READ_J = 40.0, 1.5


class Runtime(Protocol):
    """The networks of a model in executable form."""

    name: str
    codec: Codec
    one_pass: bool  # ask the network for the guided velocity

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity (B, C, F, H, W) in float32."""
        ...

    def decode_stream(self, latents_BCFHW: torch.Tensor) -> Iterator[torch.Tensor]:
        """Frames in [-1, 1], chunk by chunk."""
        ...

    def stand_in(self, dit: VideoDiT, other: Callable[..., torch.Tensor]) -> None:
        """Call something else in the place of a network, where the runtime calls networks of torch."""
        ...

    def prepare(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> None:
        """Do now what is done once per shape, for latents of this shape and batches of these sizes."""
        ...

    def prepare_J(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> float:
        """About what that would cost, in joules."""
        ...


# A VideoDiT or what stands in for it: (x_BCFHW, level_BF, text_BLD or contexts) to velocity.
Network = Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]


def inputs_of(x_BCFHW: torch.Tensor, dit: VideoDiT, one_pass: bool) -> torch.Tensor:
    """The input of a network: channels of steering that it has and that are not given are zero, which steers nothing.

    With `one_pass` the switch, the last channel of steering, asks for the guided velocity.
    """
    absent = dit.config.in_channels - x_BCFHW.shape[1]
    if absent:
        x_BCFHW = torch.nn.functional.pad(x_BCFHW, (0, 0) * 3 + (0, absent))
    if one_pass:
        switch = dit.config.in_channels - dit.config.blocking - 1
        x_BCFHW = torch.cat([x_BCFHW[:, :switch], torch.ones_like(x_BCFHW[:, :1]), x_BCFHW[:, switch + 1 :]], 1)
    return x_BCFHW


class TorchRuntime:
    """The modules as they are: float32 on a CPU, bfloat16 arithmetic on an accelerator."""

    def __init__(self, model: Model, device: torch.device, *, compiled: bool = False) -> None:
        self.codec: Codec = model.codec
        self.one_pass = False
        self._model, self._device = model, device
        self.network: Network = model.dit
        self.name = ("torch float32" if device.type == "cpu" else "torch bfloat16") + (", compiled" if compiled else "")

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity in float32."""
        x_BCFHW = inputs_of(x_BCFHW, self._model.dit, self.one_pass)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type != "cpu"):
            return self.network(x_BCFHW, level_BF, text_BLD).float()

    def stand_in(self, dit: VideoDiT, other: Callable[..., torch.Tensor]) -> None:
        """Call something else, with (x, level, text), in the place of the network."""
        self.network = other

    def decode_stream(self, latents_BCFHW: torch.Tensor) -> Iterator[torch.Tensor]:
        """Frames in [-1, 1], two latent frames at a time."""
        yield from self.codec.decode_stream(latents_BCFHW)

    def prepare(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> None:
        """Nothing: torch runs any shape."""

    def prepare_J(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> float:
        """Nothing."""
        return 0.0


class OpenVinoRuntime(TorchRuntime):
    """The denoiser through OpenVINO: converted once per shape and weights, kept in the cache folder. The decoder stays in torch, where it
    is a small part of a clip and needs no converting (docs/decisions/0017)."""

    def __init__(self, model: Model, device: torch.device) -> None:
        super().__init__(model, device)
        self._core, self._precision = openvino.core()
        self.name = f"openvino {'bfloat16' if self._precision == 'bf16' else 'float32'}"
        self._compiled: dict[tuple[Any, ...], Callable[[list[np.ndarray]], Any]] = {}

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity in float32."""
        return self._run(self._model.dit, (inputs_of(x_BCFHW, self._model.dit, self.one_pass), level_BF, text_BLD), "dit")[0]

    def prepare(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> None:
        """Convert, or read from the cache, the denoiser for each batch size."""
        for module, inputs, kind in self._networks(shape_BCFHW, text_LD, batches):
            if _key(inputs, kind) not in self._compiled:
                self._run(module, inputs, kind)  # the first run of a compiled network takes longer than all others

    def prepare_J(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> float:
        """For the networks that are not in memory: reading them from the cache folder, or converting them."""
        keys = [(i, k) for _, i, k in self._networks(shape_BCFHW, text_LD, batches) if _key(i, k) not in self._compiled]
        return sum(READ_J if self._path(i, k).exists() else CONVERT_J for i, k in keys)

    def _networks(
        self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]
    ) -> Iterator[tuple[torch.nn.Module, tuple[torch.Tensor, ...], str]]:
        """Each network of a take, with inputs of the right shapes."""
        one, _, frames, height, width = shape_BCFHW
        for batch in batches:
            level = torch.zeros(batch * one, frames)
            x = torch.zeros(batch * one, self._model.dit.config.in_channels, frames, height, width)
            yield self._model.dit, (x, level, torch.zeros(batch * one, *text_LD)), "dit"

    def _run(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], kind: str) -> list[torch.Tensor]:
        out = self._ready(module, inputs, kind)([t.contiguous().numpy() for t in inputs])
        return [torch.from_numpy(np.array(out[i])) for i in range(len(out))]

    def _ready(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], kind: str) -> Callable[[list[np.ndarray]], Any]:
        key = _key(inputs, kind)
        if key not in self._compiled:
            self._compiled[key] = self._compile(module, inputs, kind)
        return self._compiled[key]

    def _path(self, inputs: tuple[torch.Tensor, ...], kind: str) -> Path:
        return openvino.path_of(self._model.sha256, kind, inputs)

    def _compile(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], kind: str) -> Any:
        path = self._path(inputs, kind)
        if not path.exists():
            openvino.save(openvino.converted(module, inputs), path)
        return openvino.ready(self._core, path, self._precision)


def _key(inputs: tuple[torch.Tensor, ...], kind: str) -> tuple[Any, ...]:
    return kind, *(tuple(t.shape) for t in inputs)


def choose(name: str, model: Model, device: torch.device) -> Runtime:
    """The runtime of that name for spark; "auto" takes OpenVINO on a CPU where it is installed (measured faster, see LOG.md), else torch.

    MissingDependency, ShotError.
    """
    if name not in ("auto", "torch", "compile", "openvino"):
        raise ShotError(f"runtime {name!r} is unknown; use auto, torch, compile or openvino")
    prefer_cudnn(device)
    if name in ("torch", "compile") or (name == "auto" and device.type != "cpu"):
        if name == "compile":
            compile_blocks(model.dit)
        return TorchRuntime(model, device, compiled=name == "compile")
    try:
        return OpenVinoRuntime(model, device)
    except ImportError as error:
        if name == "openvino":
            raise MissingDependency("OpenVINO is not installed; pip install 'kinowatt[cpu]', or use --runtime torch") from error
        return TorchRuntime(model, device)


def choose_wan(name: str, model: WanModel, device: torch.device, layout: Layout | None = None, *, int8: bool = False) -> WanRuntime:
    """The runtime of that name for a model of Wan; "auto" is torch, which begins at once. `int8`: of OpenVINO.

    MissingDependency; ShotError where it cannot run there.
    """
    prefer_cudnn(device)
    runtime = WanRuntime(model, device, layout)
    if name == "compile":
        if layout is not None and layout.resident is not None:
            raise ShotError("blocks that are streamed cannot be compiled; use --runtime torch, or give the network more memory")
        for dit in model.networks:
            compile_blocks(dit)
        compile_norms(model.codec)
        runtime.name += ", compiled"
    elif name == "openvino":
        if device.type != "cpu":
            raise ShotError("OpenVINO runs Wan on a CPU only; use --device cpu, or --runtime torch or compile")
        for i, dit in enumerate(model.networks):
            network = OpenVinoNetwork(dit, f"{model.sha256}-{i}", int8=int8)
            runtime.stand_in(dit, network)
        runtime.name = f"openvino {'int8' if int8 else 'bfloat16' if network.precision == 'bf16' else 'float32'}"
    elif name not in ("auto", "torch"):
        raise ShotError(f"runtime {name!r} is unknown; use auto, torch, compile or openvino")
    return runtime
