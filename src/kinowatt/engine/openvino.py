"""Networks through OpenVINO: converted once per weights and shapes, kept in the cache folder. Legend: protocols.py, N layers."""

from __future__ import annotations

import copy
import hashlib
import io
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from kinowatt.errors import MissingDependency, ShotError
from kinowatt.models.dit import VideoDiT
from kinowatt.models.layers import Context
from kinowatt.places import cache

ROWS = 64  # of text: lengths are rounded up to it, for each other length is another network to convert
GRAPHS = 3  # goes up when networks are written in another way, so that graphs of before are not found
SAMPLES = 6  # denoising steps that int8 is calibrated on
Arrays = list[np.ndarray]


def cache_folder() -> Path:
    """Where converted networks are kept."""
    folder = cache() / "openvino"
    folder.mkdir(exist_ok=True)
    return folder


def path_of(sha256: str, kind: str, inputs: Sequence[torch.Tensor]) -> Path:
    """Where the network of these weights, for inputs of these shapes, is or will be."""
    import openvino

    told = f"{openvino.__version__} {GRAPHS} {sha256} {kind} {[list(t.shape) for t in inputs]}"
    return cache_folder() / f"{kind}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.xml"


def converted(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    """A module as a graph of OpenVINO for inputs of these shapes."""
    import openvino

    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is old in torch
        # Traced, and not traced again to compare: a third of the time of torch.export, and the same graph (LOG.md).
        traced = torch.jit.trace(module.eval(), inputs, check_trace=False)
        graph = openvino.convert_model(traced, example_input=inputs)
    graph.reshape({given: list(tensor.shape) for given, tensor in zip(graph.inputs, inputs, strict=True)})
    return graph


def save(graph: Any, path: Path) -> None:
    """Write a graph, whole or not at all."""
    import openvino

    aside = path.with_name(f".{path.stem}.{os.getpid()}.xml")
    openvino.save_model(graph, aside, compress_to_fp16=False)
    # Weights first: a graph without them would look whole.
    aside.with_suffix(".bin").replace(path.with_suffix(".bin"))
    aside.replace(path)


def core() -> tuple[Any, str]:
    """OpenVINO, and the type that it is to reckon in on this CPU. ImportError."""
    import openvino

    made = openvino.Core()
    made.set_property({"CACHE_DIR": str(cache_folder())})
    return made, "bf16" if "BF16" in made.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def ready(made: Any, path: Path, precision: str) -> Callable[[Arrays], Any]:
    """A saved graph, ready to run."""
    return made.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision})


class _Pass(torch.nn.Module):
    """A network as a function of tensors: the keys and values of all blocks lie in one tensor each."""

    def __init__(self, dit: VideoDiT) -> None:
        super().__init__()
        self.dit = dit

    def forward(
        self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, k_NBLHD: torch.Tensor, v_NBLHD: torch.Tensor, bias_B11L: torch.Tensor
    ) -> torch.Tensor:
        contexts = [Context(k, v, bias_B11L) for k, v in zip(k_NBLHD, v_NBLHD, strict=True)]
        return self.dit(x_BCFHW, level_BF, contexts)


class OpenVinoNetwork:
    """Stands in for a Wan network, with (x, level, contexts): the same in bfloat16 or, where the CPU lacks that, float32; or in int8.

    `sha256`: of its weights. int8 rounds weights and activations of the linear layers, not attention and what turns its positions;
    calibrated on SAMPLES steps of the first take of each shape, from where that take begins.
    """

    def __init__(self, dit: VideoDiT, sha256: str, *, int8: bool = False) -> None:
        """MissingDependency; ShotError for a network that sees images."""
        try:
            self._core, self.precision = core()
            if int8:
                import nncf  # noqa: F401 - said now, not at the first step
        except ImportError as error:
            extra = "int8" if error.name == "nncf" else "cpu"
            raise MissingDependency(f"{error.name} is not installed; pip install 'kinowatt[{extra}]', or use --runtime torch") from error
        if dit.config.image_dim is not None:
            raise ShotError("OpenVINO runs no network of Wan that attends to an image; use --runtime torch")
        self._dit, self._sha256, self._int8 = dit, sha256, int8
        self._ready: dict[tuple[Any, ...], Callable[[Arrays], Any]] = {}
        self._known: tuple[Sequence[Context], list[torch.Tensor]] | None = None

    @torch.inference_mode()
    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, contexts: Sequence[Context]) -> torch.Tensor:
        """Velocity (B, C, F, H, W) in float32."""
        inputs = (x_BCFHW.float(), level_BF.float(), *self._texts(contexts))
        return _run(self._of(inputs), inputs)

    def _texts(self, contexts: Sequence[Context]) -> list[torch.Tensor]:
        """Keys, values and bias of a text, which are the same at every step."""
        if self._known is None or self._known[0] is not contexts:
            k, v = (torch.stack([getattr(c, name) for c in contexts]).float() for name in ("k", "v"))
            bias = contexts[0].bias_B11L
            bias = k.new_zeros(k.shape[1], 1, 1, k.shape[2]) if bias is None else bias.float()
            more = -k.shape[2] % ROWS
            k, v = (F.pad(t, (0, 0, 0, 0, 0, more)) for t in (k, v))
            self._known = contexts, [k, v, F.pad(bias, (0, more), value=-math.inf)]
        return self._known[1]

    def _of(self, inputs: tuple[torch.Tensor, ...]) -> Callable[[Arrays], Any]:
        key = tuple(tuple(t.shape) for t in inputs)
        if key not in self._ready:
            path = path_of(self._sha256, "wan", inputs)
            if not path.exists():
                save(converted(_Pass(copy.deepcopy(self._dit).float()), inputs), path)
            exact = ready(self._core, path, self.precision)
            self._ready[key] = self._rounded(exact, path, inputs) if self._int8 else exact
        return self._ready[key]

    def _rounded(self, exact: Callable[[Arrays], Any], path: Path, inputs: tuple[torch.Tensor, ...]) -> Callable[[Arrays], Any]:
        """The int8 network for these shapes."""
        import nncf

        small = path_of(self._sha256, "wan-int8", inputs)
        if not small.exists():
            samples = [[t.numpy() for t in sample] for sample in _steps(exact, inputs)]
            kept = nncf.IgnoredScope(patterns=[".*aten::matmul.*"], types=["ScaledDotProductAttention"], validate=False)
            with _silent(nncf):
                graph = nncf.quantize(
                    self._core.read_model(path),
                    nncf.Dataset(samples),
                    model_type=nncf.ModelType.TRANSFORMER,
                    subset_size=len(samples),
                    ignored_scope=kept,
                )
            save(graph, small)
        return ready(self._core, small, self.precision)


def _steps(exact: Callable[[Arrays], Any], inputs: tuple[torch.Tensor, ...]) -> list[tuple[torch.Tensor, ...]]:
    """What the network is given in SAMPLES even Euler steps from here to level 0."""
    x, level, *text = inputs
    samples = []
    for i in range(SAMPLES):
        now = (x, level * (1.0 - i / SAMPLES), *text)
        samples.append(now)
        x = x - _run(exact, now) * (level / SAMPLES)[:, None, :, None, None]
    return samples


def _run(network: Callable[[Arrays], Any], inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.from_numpy(np.array(network([t.contiguous().numpy() for t in inputs])[0]))


@contextmanager
def _silent(nncf: Any) -> Iterator[None]:
    """nncf tells of its progress on standard output."""
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):
        yield
