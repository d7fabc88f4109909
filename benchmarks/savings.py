"""What each saving loses and spares, one alone, against the exact run with the same prompt and seed; writes models/savings.json for spark.

    python benchmarks/savings.py [--clips 6] [--sheet savings.png] [--keep] [--random]

Exact run and saving take turns, so load of the machine falls on both; ratios are those of the sums. Likeness is that of the decoded
frames, joules those of denoising alone. On one thread: threads that wait for each other burn CPU time too. Beside the savings stand
"exact again", which shows how much of a ratio is chance, and fewer steps, the plain way to save. With --keep nothing is written.
With --random, a random network of Wan's shape is measured instead: its times are real, but its steps are not as smooth as those of a
trained network, so nothing can be learnt from it of what is lost or of how many blocks a step cache leaves out; nothing is written.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import torch

from kinowatt import language
from kinowatt.clip import Clip
from kinowatt.energy.bill import EnergyBill
from kinowatt.energy.meter import Meter
from kinowatt.energy.processors import cpu_name
from kinowatt.engine import noise, sample
from kinowatt.engine.conditioning import to_frames
from kinowatt.engine.runtime import inputs_of
from kinowatt.engine.step_cache import StepCache
from kinowatt.media.likeness import psnr_dB, ssim
from kinowatt.media.sheet import contact_sheet
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.model import load
from kinowatt.models.protocols import Conditioning
from kinowatt.models.quantise import quantise
from kinowatt.models.savings import STEP_CACHE, WEIGHTS, WINDOW, Measured, window_of
from kinowatt.models.specs import SPARK
from kinowatt.models.windows import set_windows
from ten_prompts import PROMPTS

TABLE = Path(__file__).parents[1] / "src/kinowatt/models/savings.json"
RUNTIME = "torch float32"
EXACT = ("exact", "again")  # how much a ratio is off by chance alone
STEPS = "steps"  # fewer of them
THRESHOLDS = ("0.1", "0.15", "0.2", "0.25", "0.3", "0.4")
SAVINGS = [EXACT, (STEPS, "6"), (STEPS, "5"), (STEPS, "4"), *((STEP_CACHE, t) for t in THRESHOLDS), (WEIGHTS, "int8"), (WEIGHTS, "fp8")]
SAVINGS += [(WINDOW, w) for w in ("7x8x8", "5x8x8", "3x8x8", "9x3x3")]
RANDOM = [EXACT, (STEP_CACHE, "0.1"), (STEP_CACHE, "0.2"), (WEIGHTS, "int8"), (WEIGHTS, "fp8"), *((WINDOW, w) for w in ("9x8x8", "3x8x8"))]

Network = Callable[..., torch.Tensor]
Denoise = Callable[[Network, int, int | None], torch.Tensor]  # a network, a seed and a number of steps (None: as many as usual) to latents


@dataclass
class Row:
    """Sums over the clips of one saving."""

    kind: str
    setting: str
    bills: list[tuple[EnergyBill, EnergyBill]] = field(default_factory=list)  # exact, saving
    likeness: list[tuple[float, float]] = field(default_factory=list)
    skipped: list[float] = field(default_factory=list)

    def ratio(self, of: Callable[[EnergyBill], float]) -> float:
        return sum(of(b) for _, b in self.bills) / sum(of(a) for a, _ in self.bills)

    def measured(self, model: str, sha256: str, runtime: str) -> Measured:
        lossy = [p for p, _ in self.likeness if math.isfinite(p)]
        psnr = round(statistics.fmean(lossy), 2) if lossy else None
        seconds, joules = self.ratio(lambda b: b.energy.wall_s), self.ratio(lambda b: b.energy.total_J or math.nan)
        shares = [round(v, 3) for v in (statistics.fmean(s for _, s in self.likeness), seconds, joules, statistics.fmean(self.skipped))]
        return Measured(model, sha256, self.kind, self.setting, len(self.bills), runtime, psnr, *shares)


class Saved:
    """A network with one saving."""

    def __init__(self, dit: VideoDiT, kind: str, setting: str, schedule_SF: torch.Tensor) -> None:
        self.dit, self.kind, self.setting, self.schedule_SF = dit, kind, setting, schedule_SF
        self.steps = int(setting) if kind == STEPS else None
        self.cache: StepCache | None = None
        if kind in (WEIGHTS, WINDOW):
            self.dit = copy.deepcopy(dit)
        if kind == WEIGHTS:
            quantise(self.dit, setting)
        if kind == WINDOW:
            set_windows(self.dit, window_of(setting))

    def network(self) -> Network:
        """For one take."""
        if self.kind != STEP_CACHE:
            return self.dit
        self.cache = StepCache(self.dit, float(self.setting))
        self.cache.begin(self.schedule_SF)
        return self.cache

    @property
    def skipped(self) -> float:
        """Share of blocks of the latest take."""
        return 0.0 if self.cache is None else self.cache.skipped / self.cache.blocks


@dataclass(frozen=True, eq=False)
class Subject:
    """What is measured: a network, how it denoises, and how its latents become frames."""

    dit: VideoDiT
    denoise: Denoise
    decode: Callable[[torch.Tensor], np.ndarray]
    schedule_SF: torch.Tensor

    def metered(self, network: Network, seed: int, steps: int | None) -> tuple[torch.Tensor, EnergyBill]:
        with Meter() as meter:
            latents = self.denoise(network, seed, steps)
        return latents, meter.bill


def compare(subject: Subject, savings: list[tuple[str, str]], clips: int) -> tuple[list[Row], dict[str, np.ndarray]]:
    """A row for each saving, and the frames of the second clip."""
    rows, frames = [Row(*saving) for saving in savings], {}
    saved = [Saved(subject.dit, *saving, subject.schedule_SF) for saving in savings]
    subject.denoise(subject.dit, 0, None)  # the first run of all is slower
    for seed in range(clips):
        for row, one in zip(rows, saved, strict=True):
            turn = [("exact", subject.dit, None), ("saving", one.network(), one.steps)]
            made = {name: subject.metered(network, seed, steps) for name, network, steps in (turn if seed % 2 else reversed(turn))}
            (exact, bill), (cheap, cheap_bill) = made["exact"], made["saving"]
            a, b = subject.decode(exact), subject.decode(cheap)
            row.bills.append((bill, cheap_bill))
            row.likeness.append((psnr_dB(a, b), ssim(a, b)))
            row.skipped.append(one.skipped)
            if seed == min(1, clips - 1):
                frames |= {"exact": a, f"{row.kind} {row.setting}": b}
    return rows, frames


def of_spark(clips: int) -> tuple[list[Measured], dict[str, np.ndarray]]:
    """At spark's defaults, clip n from prompt n of ten_prompts with seed n."""
    model, spec = load(SPARK, torch.device("cpu")), SPARK
    frames = (spec.trained_frames - 1) // 4 + 1
    shape = (1, model.codec.channels, frames, spec.size[1] // model.codec.stride[1], spec.size[0] // model.codec.stride[2])

    def schedule(steps: int) -> torch.Tensor:
        return noise.schedule(steps, frames, shift=model.shift)

    @torch.inference_mode()
    def denoise(network: Network, seed: int, steps: int | None) -> torch.Tensor:
        text = model.text.encode([language.read(PROMPTS[seed % len(PROMPTS)]).tokens, ()])
        cond = Conditioning(text[:1], text[1:], torch.zeros(shape), torch.ones(1, frames))
        start = torch.randn(shape, generator=torch.Generator().manual_seed(seed))

        def velocity(x: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            return network(inputs_of(x, model.dit, one_pass=spec.one_pass is not None), level, text)

        return sample.denoise(velocity, cond, start, schedule(steps or spec.steps), guidance=spec.strength(spec.guidance))

    @torch.inference_mode()
    def decode(latents: torch.Tensor) -> np.ndarray:
        return to_frames(model.codec.decode(latents))

    rows, pictures = compare(Subject(model.dit, denoise, decode, schedule(spec.steps)), SAVINGS, clips)
    return [row.measured("spark", model.sha256, RUNTIME) for row in rows], pictures


def of_random(clips: int) -> list[Measured]:
    """Twelve layers of width 384 on a grid of 9x12x20 tokens. The "frames" compared are latents."""
    torch.manual_seed(0)
    dit = VideoDiT(DiTConfig(heads=6, head_dim=64, ffn_dim=1536, layers=12, text_dim=384, in_channels=16, out_channels=16)).eval()
    dit.requires_grad_(False)
    for parameter in dit.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.02)
    shape, schedule = (1, 16, 9, 24, 40), noise.schedule(8, 9, shift=5.0)
    cond = Conditioning(torch.randn(1, 64, 384), torch.randn(1, 64, 384), torch.zeros(shape), torch.ones(1, 9))

    def denoise(network: Network, seed: int, steps: int | None) -> torch.Tensor:
        start = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return sample.denoise(network, cond, start, schedule)

    def decode(latents: torch.Tensor) -> np.ndarray:
        return (latents[0, :3].transpose(0, 1) * 32 + 128).clamp(0, 255).byte().numpy()

    rows, _ = compare(Subject(dit, denoise, decode, schedule), RANDOM, clips)
    return [row.measured("random", "", RUNTIME) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--random", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    measured, pictures = (of_random(options.clips), {}) if options.random else of_spark(options.clips)
    print(f"{'saving':20}  PSNR dB   SSIM  seconds  joules  skipped")
    for row in measured:
        psnr = " equal" if row.psnr_dB is None else f"{row.psnr_dB:6.1f}"
        ratios = f"{row.seconds_ratio:6.2f}  {row.joules_ratio:6.2f}  {row.blocks_skipped:6.1%}"
        print(f"{row.kind + ' ' + row.setting:20}  {psnr}  {row.ssim:6.3f}  {ratios}")
    if options.sheet and pictures:
        contact_sheet(
            options.sheet, [(f"{PROMPTS[min(1, options.clips - 1)]}: {name}", Clip(frames, fps=16.0)) for name, frames in pictures.items()]
        )
    if not options.random and not options.keep:
        rows = [asdict(row) for row in measured if row.kind in (STEP_CACHE, WEIGHTS, WINDOW)]
        told = {"measured_on": date.today().isoformat(), "device": f"{cpu_name()}, 1 thread", "rows": rows}
        TABLE.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
