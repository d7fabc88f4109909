"""A model's name to an engine that runs it: which files, on which device, laid out how, changed in which ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from kinowatt.engine import foreign, memory, parallel
from kinowatt.engine.engine import Engine
from kinowatt.engine.offload import BlockStream
from kinowatt.engine.plan import fill
from kinowatt.engine.runtime import choose, choose_wan
from kinowatt.engine.ways import Ways
from kinowatt.errors import ShotError
from kinowatt.models import lora, precision, specs, wan_model, wan_specs, weights
from kinowatt.models import model as models
from kinowatt.models.dit import VideoDiT
from kinowatt.models.foreign import ForeignSpec
from kinowatt.models.lora_file import Lora
from kinowatt.models.quantise import quantise
from kinowatt.models.windows import set_windows
from kinowatt.shot import Shot

Told = Callable[[str], None]
AnyEngine = Engine | foreign.ForeignEngine
CHANGES = ("--weights", "--step-cache", "--window", "--lora")


def load(
    name: str = "spark", device: str = "auto", ways: Ways | None = None, shot: Shot | None = None, tell: Told | None = None
) -> AnyEngine:
    """An engine for a named model or a folder on "auto", "cpu" or "cuda", run in these ways (default: exactly, as fast as it can be).

    `shot`: what the memory is planned for; default: the model's own size and length. `tell` is given the lines of that plan before
    anything is loaded. A known model that is not here is fetched. WeightsError, ShotError, MissingDependency.
    """
    where, spec, ways = _device(device), specs.find(name), ways or Ways()
    if isinstance(spec, ForeignSpec):
        if ways.settings:
            raise ShotError(f"{spec.name} runs through diffusers, as it is; leave out {', '.join(ways.settings)}")
        return foreign.load(spec, where, ways.runtime)
    if isinstance(spec, wan_specs.WanSpec):
        return _load_wan(spec, where, ways, shot, tell or (lambda line: None))
    if changed := [setting for setting in ways.settings if setting in CHANGES]:
        if ways.runtime == "openvino":
            raise ShotError(f"OpenVINO runs {spec.name} as it is; use --runtime torch, or leave out {', '.join(changed)}")
        ways = replace(ways, runtime="torch" if ways.runtime == "auto" else ways.runtime)
    model = models.load(spec, where)
    _fuse(model.networks, ways.loras)
    _change(model.dit, ways, where)
    model = replace(model, sha256="+".join((model.sha256, *_sums(ways.loras))))
    return Engine(model, where, choose(ways.runtime, model, where), ways)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") and not name.startswith("cuda:"):
        raise ShotError(f"device {name!r} is unknown; use auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ShotError("no CUDA device answers on this machine; use --device cpu")
    return torch.device(name)


def _load_wan(spec: wan_specs.WanSpec, device: torch.device, ways: Ways, shot: Shot | None, tell: Told) -> Engine:
    if device.type == "cpu" and ways.memory_B is not None:
        raise ShotError("--vram plans the memory of a GPU, and this would run on the CPU; leave it out, or look with --dry-run")
    if spec.folder == Path():
        spec = replace(spec, folder=wan_specs.find(spec.name, download=True))
    by_openvino = ways.runtime == "openvino"
    if by_openvino and (ways.step_cache or ways.window or ways.weights == "fp8"):
        raise ShotError("OpenVINO runs a network whole, exact or with --weights int8; leave out other savings, or use --runtime torch")
    layout = _layout(spec, device, ways, shot, tell)
    cpu = torch.device("cpu")
    short = precision.short(device)
    # What is rounded or streamed goes to the device piece by piece.
    first = cpu if ways.weights or layout.resident is not None else device
    places = wan_model.Devices(first, device, cpu if layout.text_on_cpu else device)
    model = wan_model.load(spec, short, places, swap=layout.swap)
    _fuse(model.networks, ways.loras)
    for dit in reversed(model.networks):  # the one that is to wait on the CPU goes through the device while that is empty
        # OpenVINO rounds in its own way, from steps that it has seen.
        _change(dit, replace(ways, weights=None) if by_openvino else ways, device if layout.resident is None else cpu)
        if layout.resident is not None:
            BlockStream(dit, device, layout.resident)
        else:
            dit.to(cpu if layout.swap and dit is not model.experts.high else device)
    model.experts.device = device
    model = replace(model, sha256="+".join((model.sha256, *_sums(ways.loras))))
    runtime = choose_wan(ways.runtime, model, device, layout, int8=by_openvino and ways.weights == "int8")
    return Engine(model, device, runtime, ways)


def _layout(spec: wan_specs.WanSpec, device: torch.device, ways: Ways, shot: Shot | None, tell: Told) -> memory.Layout:
    """The plan of memory on a GPU; on a CPU nothing is planned."""
    if device.type == "cpu":
        return memory.Layout(0.0)
    free_B = parallel.least(float(torch.cuda.mem_get_info(device)[0]))
    plan = fill(shot or Shot("what a take of the usual size holds"), replace(spec, needs_image=spec.needs_image and shot is not None))
    found, sizes = memory.layout(plan, spec, min(ways.memory_B or free_B, free_B), ways)
    for line in found.lines(sizes):
        tell(line)
    return found


def _fuse(networks: Sequence[VideoDiT], loras: Sequence[Lora]) -> None:
    """LoRAs come before rounding, which then rounds their sum."""
    if loras:
        lora.fuse(networks[0], loras, networks[1] if len(networks) > 1 else None)


def _change(dit: VideoDiT, ways: Ways, device: torch.device) -> None:
    """A network as it is to be run."""
    if ways.weights is not None:
        quantise(dit, ways.weights, device)
    if ways.window is not None:
        set_windows(dit, ways.window)


def _sums(loras: Sequence[Lora]) -> list[str]:
    """What tells these weights from those without LoRAs."""
    return [f"{weights.sha256(file.path)}:{file.scale:g}{'@' + file.expert if file.expert else ''}" for file in loras]
