"""One contestant of `bench peers`, in a process of its own: loads a folder, then makes clips as it is told, one line of JSON each.

    python -m kinowatt.bench.contestant < requests > answers

Standard output is for answers alone; whatever libraries print goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from kinowatt.bench.folders import PRESETS, Preset
from kinowatt.energy.meter import Meter
from kinowatt.models import precision

PROMPT = "a red ball rolls slowly over wet sand towards the sea, at dusk, while the camera follows it from the left, close to the ground."
NEGATIVE = "blurred, overexposed, static, subtitles, low quality."
MIB = 2.0**20


class Made(NamedTuple):
    """A clip and what it took. `latents` as they were decoded, normalised; `denoise_s` with the encoding of the text."""

    frames_TCHW: np.ndarray
    latents: np.ndarray
    denoise_s: float
    decode_s: float
    joules_J: float | None
    measured: bool
    runs: str


Make = Callable[[int, int], Made]  # (seed, steps)


def ours(folder: Path, preset: Preset, device: str, runtime: str, weights: str | None, step_cache: float | None) -> Make:
    """What `kinowatt generate` runs with these options; "float32" is its exact reference, which no option asks for."""
    from kinowatt.engine.engine import Engine
    from kinowatt.engine.load import load
    from kinowatt.engine.runtime import choose_wan
    from kinowatt.engine.ways import Ways
    from kinowatt.models import specs, wan_model
    from kinowatt.models.wan_specs import WanSpec
    from kinowatt.shot import Shot

    spec, where = specs.find(str(folder)), torch.device(device)
    assert isinstance(spec, WanSpec)
    if runtime == "float32":
        model = wan_model.load(spec, torch.float32, wan_model.Devices(where, where, where))
        engine = Engine(model, where, choose_wan("torch", model, where))
    else:
        made = load(str(folder), device, Ways(runtime, weights=weights, step_cache=step_cache))
        assert isinstance(made, Engine)
        engine = made

    def make(seed: int, steps: int) -> Made:
        seconds, size = preset.frames / spec.fps, (preset.width, preset.height)
        take = engine.generate(Shot(PROMPT, NEGATIVE, seconds, size, seed, steps, preset.guidance))
        phases, energy = take.bill.phases, take.bill.energy
        assert take.latents_1CFHW is not None
        assert take.shot.steps == steps
        decode_s = phases["decode"].wall_s
        denoise_s = sum(phase.wall_s for phase in phases.values()) - decode_s
        return Made(
            take.clip.frames_TCHW,
            take.latents_1CFHW,
            denoise_s,
            decode_s,
            energy.total_J,
            energy.measured_J is not None,
            f"kinowatt {take.runtime}"
            + (f", {weights}" if weights and weights not in take.runtime else "")
            + (f", step cache {step_cache:g}" if step_cache else ""),
        )

    return make


def theirs(folder: Path, preset: Preset, device: str, dtype: str, compiled: bool, attention: str | None) -> Make:
    """diffusers' pipeline as its documentation says; the codec in float32, as there."""
    import diffusers

    pipe = diffusers.WanPipeline.from_pretrained(folder, torch_dtype={"vae": torch.float32, "default": getattr(torch, dtype)})
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    if dtype == "bfloat16" and device == "cpu":
        pipe.vae.to(torch.bfloat16)  # at its best: float32 is what costs on a CPU
    if attention is not None:
        pipe.transformer.set_attention_backend(attention)
    if compiled:
        pipe.transformer.compile_repeated_blocks(fullgraph=True)

    def make(seed: int, steps: int) -> Made:
        ends: list[float] = []
        last: list[torch.Tensor] = []

        def seen(pipe: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            if step == steps - 1:
                _wait(device)
                ends.append(time.perf_counter())
                last.append(values["latents"])
            return {}

        with Meter() as meter:
            begin = time.perf_counter()
            video = pipe(
                PROMPT,
                NEGATIVE,
                height=preset.height,
                width=preset.width,
                num_frames=preset.frames,
                num_inference_steps=steps,
                guidance_scale=preset.guidance,
                generator=torch.Generator().manual_seed(seed),
                callback_on_step_end=seen,
            ).frames[0]
            end = time.perf_counter()
        frames = np.round(video * 255.0).astype(np.uint8).transpose(0, 3, 1, 2)
        energy = meter.bill.energy
        runs = f"diffusers {diffusers.__version__} {dtype}" + (f", {attention}" if attention else "") + (", compiled" if compiled else "")
        return Made(
            frames,
            last[0].float().cpu().numpy(),
            ends[0] - begin,
            end - ends[0],
            energy.total_J,
            energy.measured_J is not None,
            runs,
        )

    return make


def peak_FLOPs(device: str) -> float:
    """Operations per second of a product of square matrices in the device's own numbers: what arithmetic can reach, the best of ten."""
    side, dtype = 8192 if device != "cpu" else 1024, precision.short(torch.device(device))
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best_s = float("inf")
    for _ in range(10):
        begin = time.perf_counter()
        torch.mm(a, b)
        _wait(device)
        best_s = min(best_s, time.perf_counter() - begin)
    return 2.0 * side**3 / best_s


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _forget_peak(device: str) -> None:
    """Begin to look for the highest use of memory anew."""
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif (refs := Path("/proc/self/clear_refs")).exists():
        refs.write_text("5")


def _peak_MiB(device: str) -> float:
    """The highest use since then: of the GPU as its allocator saw it, else of the whole process."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / MIB
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024.0


def _answer(request: dict[str, Any], make: Make, device: str, out: Path) -> dict[str, Any]:
    _forget_peak(device)
    made = make(request["seed"], request["steps"])
    np.savez(out, frames=made.frames_TCHW, latents=made.latents)
    told = made._asdict()
    del told["frames_TCHW"], told["latents"]
    told |= {"peak_MiB": _peak_MiB(device), "out": str(out)}
    _forget_peak(device)  # leaves the GPU's memory to the next contestant
    return told


def main() -> None:
    """Answer requests until standard input ends. The first is {"kind", "folder", "preset", "device", "out", "options"}."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    first = json.loads(sys.stdin.readline())
    device, out = first["device"], Path(first["out"])
    begin = time.perf_counter()
    kind = {"theirs": theirs, "ours": ours}[first["kind"]]
    make = kind(Path(first["folder"]), PRESETS[first["preset"]], device, **first["options"])  # type: ignore[operator]
    print(json.dumps({"load_s": time.perf_counter() - begin, "peak_FLOPs": peak_FLOPs(device)}), file=answers)
    for number, line in enumerate(sys.stdin):
        print(json.dumps(_answer(json.loads(line), make, device, out / f"{number}.npz")), file=answers)


if __name__ == "__main__":
    main()
