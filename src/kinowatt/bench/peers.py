"""kinowatt beside diffusers on the same random weights, seeds and steps: seconds, joules, peak memory, PSNR and ratios.

Each contestant is a process of its own, so none profits from another's memory; all live at once and take turns, round by round, so
that whatever else the machine does meets them alike. Ratios are medians over rounds of the ratios within a round.
"""

from __future__ import annotations

import contextlib
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.bench.folders import PRESETS, Preset, write
from kinowatt.energy.processors import cpu_name
from kinowatt.errors import DeviceError, ShotError
from kinowatt.media.likeness import psnr_dB

WARM_STEPS = 2  # of the take before the first round: conversion, compilation and first touches are in it
Told = Callable[[str], None]


@dataclass(frozen=True)
class Contestant:
    """`kind`: theirs or ours; `options`: of the function of that name in contestant.py. `tuned`: diffusers at its best."""

    name: str
    kind: str
    options: Mapping[str, Any]
    tuned: bool = False


def _theirs(name: str, dtype: str, compiled: bool = False, attention: str | None = None, tuned: bool = False) -> Contestant:
    return Contestant(name, "theirs", {"dtype": dtype, "compiled": compiled, "attention": attention}, tuned)


def _ours(name: str, runtime: str, weights: str | None = None, step_cache: float | None = None) -> Contestant:
    return Contestant(name, "ours", {"runtime": runtime, "weights": weights, "step_cache": step_cache})


# The first is diffusers as a user runs it: every PSNR is against it.
CPU = (
    _theirs("diffusers", "float32"),
    _theirs("diffusers, bfloat16", "bfloat16"),
    _theirs("diffusers, bfloat16, compiled", "bfloat16", compiled=True, tuned=True),
    _ours("kinowatt, float32", "float32"),
    _ours("kinowatt", "torch"),
    _ours("kinowatt, compile", "compile"),
    _ours("kinowatt, openvino", "openvino"),
    _ours("kinowatt, openvino, int8", "openvino", weights="int8"),
)
CUDA = (
    _theirs("diffusers", "bfloat16"),
    _theirs("diffusers, cuDNN attention", "bfloat16", attention="_native_cudnn"),
    _theirs("diffusers, cuDNN attention, compiled", "bfloat16", compiled=True, attention="_native_cudnn", tuned=True),
    _ours("kinowatt", "torch"),
    _ours("kinowatt, compile", "compile"),
    _ours("kinowatt, compile, fp8", "compile", weights="fp8"),
    _ours("kinowatt, compile, fp8, step cache .1", "compile", weights="fp8", step_cache=0.1),
)


@dataclass
class Row:
    """What a contestant did. One value per round."""

    name: str
    kind: str
    tuned: bool
    load_s: float
    peak_FLOPs: float
    first_s: float  # the take before the first round
    runs: str = ""
    measured: bool = False
    denoise_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)
    joules_J: list[float | None] = field(default_factory=list)
    peak_MiB: list[float] = field(default_factory=list)
    psnr_dB: list[float] = field(default_factory=list)  # frames
    latents_dB: list[float] = field(default_factory=list)  # over the range of the reference's latents

    @property
    def seconds(self) -> list[float]:
        """Of whole takes."""
        return [a + b for a, b in zip(self.denoise_s, self.decode_s, strict=True)]


class _Process:
    """A contestant that runs; a context manager, so that none outlives the comparison."""

    def __init__(self, contestant: Contestant, preset: str, folder: Path, device: str, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.name, self._log = contestant.name, (out / "log.txt").open("w", encoding="utf-8")
        command = [sys.executable, "-m", "kinowatt.bench.contestant"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)
        first = {"kind": contestant.kind, "options": dict(contestant.options), "folder": str(folder.resolve())}
        try:
            self.loaded = self.ask(**first, preset=preset, device=device, out=str(out))
        except DeviceError:
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """Its answer. DeviceError if it ends without one."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        try:
            print(json.dumps(request), file=asked, flush=True)
            line = answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            said = (Path(self._log.name).read_text(encoding="utf-8").strip() or "nothing was said").splitlines()[-1]
            raise DeviceError(f"{self.name} failed: {said} (all it said is in {self._log.name})")
        return dict(json.loads(line))

    def close(self) -> None:
        """End it."""
        with self._process, self._log:  # closes what is open
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()


def compare(
    preset: str,
    device: str = "cpu",
    rounds: int = 3,
    steps: int | None = None,
    only: Sequence[str] = (),
    work: Path = Path("runs/bench"),
    tell: Told = lambda line: None,
) -> list[Row]:
    """Run the contestants (all of the device's, or those in `only` and the first) and return what each did.

    Folders are written to `work` once and found there again. ShotError, MissingDependency; DeviceError if a contestant fails.
    """
    if preset not in PRESETS:
        raise ShotError(f"preset {preset!r} is unknown; use {', '.join(PRESETS)}")
    chosen = _chosen(CPU if device == "cpu" else CUDA, only)
    sizes, folder = PRESETS[preset], work / preset
    if not (folder / "model_index.json").is_file():
        tell(f"writing {folder} ({sizes.says})")
        write(sizes, folder, device)
    processes: list[_Process] = []
    rows: list[Row] = []
    taken = steps or sizes.steps
    try:
        for number, contestant in enumerate(chosen):
            process = _Process(contestant, preset, folder, device, work / f"{preset}-{number}")
            processes.append(process)
            warm = process.ask(seed=0, steps=min(WARM_STEPS, taken))
            first_s = warm["denoise_s"] + warm["decode_s"]
            rows.append(Row(contestant.name, contestant.kind, contestant.tuned, **process.loaded, first_s=first_s))
            tell(f"{contestant.name}: loaded in {process.loaded['load_s']:.1f} s, first take of {WARM_STEPS} steps in {first_s:.1f} s")
        for number in range(1, rounds + 1):
            reference = None
            for row, process in zip(rows, processes, strict=True):
                answer = process.ask(seed=number, steps=taken)
                with np.load(answer["out"]) as made:
                    result = made["frames"], made["latents"]
                reference = reference or result
                _add(row, answer, result, reference)
                tell(f"round {number} of {rounds}: {row.name} {row.seconds[-1]:.2f} s, {row.psnr_dB[-1]:.1f} dB")
    finally:
        for process in processes:
            process.close()
    return rows


def _chosen(all_of: Sequence[Contestant], only: Sequence[str]) -> list[Contestant]:
    names = [c.name for c in all_of]
    if unknown := [name for name in only if name not in names]:
        raise ShotError(f"no contestant named {unknown[0]!r}; there are {'; '.join(names)}")
    return [c for i, c in enumerate(all_of) if i == 0 or not only or c.name in only]


def _add(row: Row, answer: Mapping[str, Any], result: tuple[np.ndarray, np.ndarray], reference: tuple[np.ndarray, np.ndarray]) -> None:
    row.runs, row.measured = answer["runs"], answer["measured"]
    for name in ("denoise_s", "decode_s", "joules_J", "peak_MiB"):
        getattr(row, name).append(answer[name])
    row.psnr_dB.append(psnr_dB(reference[0], result[0]))
    square = float(np.mean((reference[1].astype(np.float64) - result[1]) ** 2))
    row.latents_dB.append(float("inf") if square == 0 else 10.0 * float(np.log10(np.ptp(reference[1]) ** 2 / square)))


def ratio(row: Row, other: Row) -> float:
    """How many times as fast as another one a contestant makes a take: the median of the rounds."""
    return statistics.median(b / a for a, b in zip(row.seconds, other.seconds, strict=True))


def denoise_FLOP(preset: Preset, steps: int) -> float:
    """Operations of the blocks in all guided passes: products of the layers, and attention to all tokens and all 512 rows of text."""
    t = preset.transformer
    width = float(t["num_attention_heads"] * t["attention_head_dim"])
    stride = 16 if preset.codec.get("patch_size") else 8
    tokens = ((preset.frames - 1) // 4 + 1) * (preset.height // stride // 2) * (preset.width // stride // 2)
    per_token = 2.0 * (6 * width**2 + 2 * width * float(t["ffn_dim"])) + 4.0 * width * (tokens + 512)
    return 2.0 * steps * float(t["num_layers"]) * (tokens * per_token + 512 * 4.0 * width**2)


def table(rows: Sequence[Row], preset: str, device: str, steps: int) -> str:
    """The comparison in Markdown."""
    base, tuned = rows[0], next((row for row in rows if row.tuned), None)
    sizes = PRESETS[preset]
    where = cpu_name() if device == "cpu" else device_name()
    rounds = len(base.seconds)
    lines = [
        f"## {preset}: {sizes.says}",
        "",
        f"{sizes.frames} frames of {sizes.width}x{sizes.height}, {steps} steps, guidance {sizes.guidance:g}, {rounds} rounds in turn on"
        f" {where} (Python {platform.python_version()}). Seconds of denoising and decoding, joules and memory are medians; PSNR is the"
        " worst round's, of the frames against diffusers as a user runs it. Not counted: loading, and a first take.",
        "",
        "| | s | denoise | decode | J | peak MiB | PSNR dB | latents dB | × diffusers | × tuned | denoise × | of bf16 peak |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        joules = [j for j in row.joules_J if j is not None]
        cells = [
            row.name,
            f"{_mid(row.seconds):.2f}",
            f"{_mid(row.denoise_s):.2f}",
            f"{_mid(row.decode_s):.2f}",
            ("–" if not joules else f"{_mid(joules):.0f}{'' if row.measured else ' (modelled)'}"),
            f"{_mid(row.peak_MiB):.0f}",
            f"{min(row.psnr_dB):.1f}",
            f"{min(row.latents_dB):.1f}",
            f"{ratio(row, base):.2f}",
            "–" if tuned is None else f"{ratio(row, tuned):.2f}",
            f"{statistics.median(b / a for a, b in zip(row.denoise_s, base.denoise_s, strict=True)):.2f}",
            f"{denoise_FLOP(sizes, steps) / _mid(row.denoise_s) / max(r.peak_FLOPs for r in rows):.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "What ran: " + "; ".join(f"{row.name} = {row.runs} (first take {row.first_s:.0f} s)" for row in rows) + "."]
    return "\n".join(lines) + "\n"


def _mid(values: Sequence[float]) -> float:
    return statistics.median(values)


def device_name() -> str:
    """Of the first GPU."""
    import torch

    return torch.cuda.get_device_name(0)


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """All values of all rounds."""
    return [asdict(row) | {"seconds": row.seconds} for row in rows]
