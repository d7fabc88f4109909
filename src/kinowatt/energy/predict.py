"""Energy and time before the event: from arithmetic and published measurements, then corrected by this machine's own bills.

Cold, E = FLOP / η, with η in FLOP per joule fitted to measured clips (`POINTS`) by GPU and width of the network. Warm, four
non-negative terms (`TERMS`) are fitted to the relative errors of finished clips of the same model, device and
runtime.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from kinowatt.energy.anatomy import KNOWN
from kinowatt.energy.processors import gpu, gpu_names
from kinowatt.errors import InputError

NORMAL_P90 = 1.2816  # standard deviations from the middle to the 90th percentile of a normal distribution
PAPER_SPREAD = 0.25  # standard deviation of ln E for GPUs that nobody has measured for us: a factor 1.38 between P10 or P90 and the middle
CPU_SPREAD = 0.5  # the same for a CPU whose power is itself a model
TERMS = 4  # of the warm law: operations of denoising, its steps, operations of decoding, a constant
DENOISING = (0, 1)  # which of them
LEAST_HISTORY = 3  # finished clips before history is trusted more than the formula
HISTORY_FLOOR = 0.02  # standard deviation of ln E that no fit goes under: clips differ by as much from run to run
GPUS_SPEED, GPUS_ENERGY = (
    0.9,
    0.139,
)  # of n GPUs: n^0.9 times as fast, n^0.139 times the energy (Wan 14B, 1 → 8 H100: 467 → 72 s, 80 → 107 Wh)
CPU_FLOP_PER_J = {"openvino": 15e9, "torch": 6e9}  # spark, 33 frames at 128², CPU time at 5.3 W per core (LOG.md)
CPU_FLOP_PER_S = {"openvino": 150e9, "torch": 60e9}  # the same on two cores


@dataclass(frozen=True)
class Work:
    """Floating-point operations of one clip, and how many steps they come in: each has a price of its own on small clips."""

    denoise_FLOP: float
    decode_FLOP: float = 0.0
    steps: int = 0

    @property
    def FLOP(self) -> float:
        """All of it."""
        return self.denoise_FLOP + self.decode_FLOP


@dataclass(frozen=True)
class Point:
    """A published measurement: GPU energy by NVML's counter, batch 1, bf16, 50 steps. ML.ENERGY v3 (ml.energy/leaderboard)."""

    model: str
    gpu: str
    size: tuple[int, int]
    frames: int
    joules_J: float
    seconds: float
    steps: int = 50

    @property
    def work(self) -> Work:
        """Its arithmetic."""
        anatomy = KNOWN[self.model]
        return Work(self.steps * anatomy.passes * anatomy.pass_FLOP(anatomy.tokens(self.frames, *self.size)))


POINTS = (
    Point("wan2.1-t2v-1.3b", "H100", (832, 480), 81, 64_672, 95),
    Point("wan2.1-t2v-14b", "H100", (832, 480), 81, 289_254, 467),
    Point("hunyuanvideo-13b", "H100", (1280, 720), 129, 1_164_112, 1689),
    Point("cogvideox-2b", "H100", (720, 480), 49, 28_615, 43),
    Point("cogvideox1.5-5b", "H100", (1360, 768), 81, 335_359, 496),
    Point("wan2.1-t2v-1.3b", "B200", (832, 480), 81, 17.1 * 3600, 74),
    Point("wan2.1-t2v-14b", "B200", (832, 480), 81, 85.2 * 3600, 334),
    Point("hunyuanvideo-13b", "B200", (1280, 720), 129, 322.3 * 3600, 1384),
    Point("cogvideox-2b", "B200", (720, 480), 49, 7.5 * 3600, 35),
    Point("cogvideox1.5-5b", "B200", (1360, 768), 81, 90.3 * 3600, 393),
)


@dataclass(frozen=True)
class Efficiency:
    """What a device makes of a joule and of a second, with the spread of ln E around it and where that is from."""

    FLOP_per_J: float
    FLOP_per_s: float
    spread: float
    how: str


@dataclass(frozen=True)
class Prediction:
    """Energy and time before the event, of the devices, without loading. P10 and P90 bound the middle eight of ten cases."""

    Wh: float
    p10_Wh: float
    p90_Wh: float
    seconds: float
    how: str
    clips: int = 0  # of history that it rests on
    rest_Wh: float = 0.0  # of it after denoising: decoding and writing

    def to_json(self) -> dict[str, Any]:
        """As it stands in answers."""
        return {k: round(v, 9) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Past:
    """A finished clip: its arithmetic, its joules and its seconds, both without loading."""

    work: Work
    joules_J: float
    seconds: float


def gpu_efficiency(name: str, width: int, points: Sequence[Point] = POINTS) -> Efficiency:
    """Of a GPU on a network of this width. InputError for unknown names.

    From published clips: ln η = constant of the GPU + exponent · ln width, by least squares; wide matrices keep a GPU busier. A GPU that
    nobody has measured takes an H100's figures, scaled by peak over power.
    """
    spec = gpu(name)
    if spec is None:
        raise InputError(f"no figures are known for the GPU {name!r}; known are {', '.join(gpu_names())}")
    if any(gpu(p.gpu) == spec for p in points):
        per_J, spread = _law(points, [p.work.FLOP / p.joules_J for p in points], spec.name, width)
        per_s, _ = _law(points, [p.work.FLOP / p.seconds for p in points], spec.name, width)
        return Efficiency(per_J, per_s, spread, f"published clips on {spec.name}")
    base, h100 = gpu_efficiency("H100", width, points), gpu("H100")
    assert h100 is not None
    scale = (spec.tflops / spec.tdp_W) / (h100.tflops / h100.tdp_W)
    spread = math.hypot(base.spread, PAPER_SPREAD)
    how = f"published clips on H100, scaled to {spec.name} by peak arithmetic over rated power ({scale:.2f}); nobody has measured it for us"
    return Efficiency(base.FLOP_per_J * scale, base.FLOP_per_s * spec.tflops / h100.tflops, spread, how)


def _law(points: Sequence[Point], values: Sequence[float], name: str, width: int) -> tuple[float, float]:
    """The value at a width on a GPU, by one exponent of all points and one constant per GPU; and the spread of its logarithm."""
    names = [g.name if (g := gpu(p.gpu)) else p.gpu for p in points]
    known = list(dict.fromkeys(names))
    rows = np.array([[math.log(KNOWN[p.model].width), *(float(n == k) for k in known)] for p, n in zip(points, names, strict=True)])
    found, *_ = np.linalg.lstsq(rows, np.log(values), rcond=None)
    residuals = np.log(values) - rows @ found
    spread = math.sqrt(float(residuals @ residuals) / max(len(points) - len(found), 1))
    return math.exp(found[0] * math.log(width) + found[1 + known.index(name)]), spread


def cpu_efficiency(runtime: str) -> Efficiency:
    """Of a CPU by the runtime's name ("openvino bfloat16", "torch float32"): a guess until there is history."""
    kind = "openvino" if runtime.startswith("openvino") else "torch"
    how = f"{kind} on the two cores that kinowatt was first measured on; this machine's own clips will correct it"
    return Efficiency(CPU_FLOP_PER_J[kind], CPU_FLOP_PER_S[kind], CPU_SPREAD, how)


def cold(work: Work, device: Efficiency, gpus: int = 1) -> Prediction:
    """From arithmetic alone."""
    if not 1 <= gpus <= 1024:
        raise InputError(f"{gpus} GPUs cannot share a clip; ask for 1 to 1024")
    joules = work.FLOP / device.FLOP_per_J * gpus**GPUS_ENERGY
    seconds = work.FLOP / device.FLOP_per_s / gpus**GPUS_SPEED
    how = device.how + (f", shared by {gpus}" if gpus > 1 else "")
    return _band(joules, seconds, device.spread, how, rest=work.decode_FLOP / work.FLOP)


def warm(work: Work, device: Efficiency, past: Sequence[Past]) -> Prediction:
    """Corrected by finished clips; with few of them one factor, with more all terms."""
    if len(past) < LEAST_HISTORY:
        return cold(work, device)
    joules, rest, spread = _fit(work, tuple(past), "joules_J")
    seconds, _, _ = _fit(work, tuple(past), "seconds")
    return _band(joules, seconds, spread, f"{len(past)} finished clips of this machine", len(past), rest / joules)


def _band(joules: float, seconds: float, spread: float, how: str, clips: int = 0, rest: float = 0.0) -> Prediction:
    factor, Wh = math.exp(NORMAL_P90 * spread), joules / 3600
    return Prediction(Wh, Wh / factor, Wh * factor, seconds, how, clips, Wh * rest)


@dataclass(frozen=True)
class _Law:
    """One choice of terms, fitted: their numbers, prices, and the mean square of the relative errors per free clip."""

    chosen: list[int]
    prices: np.ndarray
    error: float

    def of(self, terms: np.ndarray) -> float:
        """The value at these terms."""
        return float(terms[self.chosen] @ self.prices)


@functools.lru_cache(maxsize=16)
def _learnt(past: tuple[Past, ...], what: str) -> tuple[np.ndarray, list[_Law]]:
    """The clips in relative terms and the laws that explain them: the same for every plan that is weighed against a budget."""
    scaled = np.array([_terms(p.work) for p in past]) / np.array([getattr(p, what) for p in past])[:, None]
    return scaled, _laws(scaled)


def _fit(work: Work, past: tuple[Past, ...], what: str) -> tuple[float, float, float]:
    """Least squares of the relative errors with non-negative prices; the plainest of the laws that explain the clips equally well.

    Returns the value, its part that is not denoising, and the spread of its logarithm: of clips around the law, of the law's prices,
    and between the laws that could be true.
    """
    here, n = _terms(work), len(past)
    scaled, laws = _learnt(past, what)
    least = min(law.error for law in laws)
    law = next(law for law in laws if law.error <= least * (1 + 1 / n))
    value = law.of(here)
    rest = sum(float(here[term] * price) for term, price in zip(law.chosen, law.prices, strict=True) if term not in DENOISING)
    design, point = scaled[:, law.chosen], here[law.chosen] / value
    of_prices = float(point @ np.linalg.pinv(design.T @ design) @ point)
    around = math.sqrt(law.error * (1 + of_prices)) * _student(n - len(law.chosen))
    others = [math.log(max(other.of(here), 1e-12) / value) for other in laws if other.error <= least * (1 + 10 / n)]
    between = math.sqrt(sum(o * o for o in others) / len(others))
    return value, rest, math.hypot(around, between, _reach(work, past))


def _laws(scaled: np.ndarray) -> list[_Law]:
    """Every choice of terms that the clips can tell apart and that has no negative price, the plainest first."""
    n, laws = len(scaled), []
    for chosen in (list(c) for count in range(1, min(TERMS, n - 1) + 1) for c in combinations(range(TERMS), count)):
        design = scaled[:, chosen]
        if np.linalg.matrix_rank(design / np.maximum(np.abs(design).max(axis=0), 1e-300), tol=1e-6) < len(chosen):
            continue  # a term that never occurred, or clips that are all alike
        prices, *_ = np.linalg.lstsq(design, np.ones(n), rcond=None)
        if (prices > 0).all():
            # Judged as if each price had cost one clip, so that more terms need a reason.
            error = float(np.sum((design @ prices - 1) ** 2)) / (n - len(chosen))
            laws.append(_Law(chosen, prices, max(error, HISTORY_FLOOR**2)))
    # Energy grows with arithmetic: laws without it come last, for where the clips speak against it.
    return sorted(laws, key=lambda law: (0 not in law.chosen, len(law.chosen)))


def _student(free: int) -> float:
    """How much wider P10-P90 are with few free clips: Student's t over the normal (Abramowitz & Stegun 26.7.5)."""
    z = NORMAL_P90
    return 1 + (z**2 + 1) / (4 * free) + (5 * z**4 + 16 * z**2 + 3) / (96 * free**2)


def _terms(work: Work) -> np.ndarray:
    return np.array([work.denoise_FLOP / 1e9, work.steps, work.decode_FLOP / 1e9, 1.0])


def _reach(work: Work, past: Sequence[Past]) -> float:
    """Beyond what was seen, trust falls: a tenth of ln E per factor e beyond the smallest or largest clip."""
    seen = [math.log(p.work.FLOP) for p in past]
    here = math.log(work.FLOP)
    return 0.1 * max(min(seen) - here, here - max(seen), 0.0)
