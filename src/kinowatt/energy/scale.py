"""Scale on paper: GPUs, energy and carbon of a service or of a training that no machine here could run, with every assumption listed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kinowatt.energy.anatomy import Anatomy
from kinowatt.energy.carbon import Intensity
from kinowatt.energy.embodied import Embodied, embodied_gCO2e
from kinowatt.energy.predict import NORMAL_P90, Prediction, Work, cold, gpu_efficiency
from kinowatt.energy.processors import Gpu, gpu, gpu_names
from kinowatt.errors import InputError

HOST_W_PER_GPU = 575.0  # a DGX H100's 10.2 kW at most, less eight GPUs of 700 W, over eight (NVIDIA, DGX H100 datasheet)
PUE_MEAN = 1.56  # mean of data centres asked (Uptime Institute, Global Data Center Survey 2024)
UTILISATION = 0.5  # share of the day that a GPU works: users come in the evening, machines stand by at night
IDLE_SHARE = 0.1  # of rated power, of a GPU that waits: about 70 W of an H100's 700 W
MFU = 0.4  # of peak, in training: 0.38–0.43 for Llama 3 405B on H100 (Grattafiori et al. 2024, arXiv 2407.21783, table 4)
MFU_SPREAD = 0.2  # standard deviation of its logarithm: P10–P90 are 0.31 and 0.52
TRAIN_POWER_SHARE = 0.9  # of rated power while training
DAYS = 365.25
MAX_CLIP_s = 86400.0


@dataclass(frozen=True)
class Amount:
    """A figure with the middle eight of ten cases."""

    value: float
    p10: float
    p90: float

    def times(self, factor: float) -> Amount:
        """The figure in another unit or for more of it."""
        return Amount(self.value * factor, self.p10 * factor, self.p90 * factor)

    def plus(self, other: Amount) -> Amount:
        """With another amount that rises and falls with it."""
        return Amount(self.value + other.value, self.p10 + other.p10, self.p90 + other.p90)


@dataclass(frozen=True)
class Assumption:
    """One thing that the result rests on."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class FleetPlan:
    """What a service or a training takes. Energies at the meter of the building, carbon location-based; embodied carbon apart."""

    what: str
    figures: Mapping[str, Amount]
    assumptions: tuple[Assumption, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "what": self.what,
            "figures": {name: asdict(amount) for name, amount in self.figures.items()},
            "assumptions": [asdict(a) for a in self.assumptions],
        }


def known_gpu(name: str) -> Gpu:
    """A GPU of the table. InputError with those that are in it."""
    found = gpu(name)
    if found is None:
        raise InputError(f"no figures are known for the GPU {name!r}; known are {', '.join(gpu_names())}")
    return found


def clip_on_paper(anatomy: Anatomy, size: tuple[int, int], seconds: float, steps: int, gpu_name: str) -> tuple[Prediction, int]:
    """Energy of a clip made in windows of the model's own length, and their number. A minute is made window by window, not at once."""
    frames = max(round(seconds * anatomy.fps), 1)
    windows = max(math.ceil((frames - 1) / (anatomy.frames - 1)), 1)
    per_window = frames if windows == 1 else anatomy.frames
    tokens = anatomy.tokens(per_window, *size)
    work = Work(windows * steps * anatomy.passes * anatomy.pass_FLOP(tokens))
    return cold(work, gpu_efficiency(gpu_name, anatomy.width)), windows


def service(
    anatomy: Anatomy,
    size: tuple[int, int],
    seconds: float,
    users: float,
    clips_per_user: float,
    gpu_name: str,
    intensity: Intensity,
    *,
    steps: int | None = None,
    pue: float = PUE_MEAN,
    utilisation: float = UTILISATION,
    host_W: float = HOST_W_PER_GPU,
) -> FleetPlan:
    """A day and a year of a service: `clips_per_user` a day each. InputError for amounts that are none."""
    _positive(users=users, clips_per_user=clips_per_user, seconds=seconds)
    if seconds > MAX_CLIP_s:
        raise InputError(f"a clip of {seconds:g} s cannot be planned; give at most {MAX_CLIP_s:g} s")
    _share(utilisation, "utilisation")
    _at_least(pue, 1.0, "PUE")
    _at_least(host_W, 0.0, "host power")
    card, steps = known_gpu(gpu_name), steps or anatomy.steps
    clip, windows = clip_on_paper(anatomy, size, seconds, steps, gpu_name)
    clips, frames = users * clips_per_user, round(seconds * anatomy.fps)
    shape = f"{size[0]}x{size[1]}, {frames} frames in {windows} window(s), {steps} steps, {anatomy.passes} pass(es) each"
    gpu_hours = Amount(clip.seconds, clip.seconds * clip.p10_Wh / clip.Wh, clip.seconds * clip.p90_Wh / clip.Wh).times(clips / 3600)
    standing = gpu_hours.times(1 / utilisation)  # hours that GPUs are there for it
    # A clip that costs more also takes longer: waiting and the rest of the server go with it.
    idle_Wh, host_Wh = gpu_hours.times((1 / utilisation - 1) * card.tdp_W * IDLE_SHARE), standing.times(host_W)
    day = Amount(clip.Wh, clip.p10_Wh, clip.p90_Wh).times(clips).plus(idle_Wh).plus(host_Wh).times(pue / 1e6)
    figures = {
        "clips per day": _sure(clips),
        "GPU energy per clip, Wh": Amount(clip.Wh, clip.p10_Wh, clip.p90_Wh),
        "GPU seconds per clip": gpu_hours.times(3600 / clips),
        "GPUs": standing.times(1 / 24),
        "MWh per day": day,
        "MWh per year": day.times(DAYS),
        "t CO2e per year": day.times(DAYS * intensity.gCO2e_per_kWh / 1000),
    }
    making = embodied_gCO2e(card.name, standing.value * 3600)
    if making is not None:
        figures["t CO2e per year of making the GPUs (apart)"] = _sure(making.gCO2e * DAYS / 1e6)
    assumptions = (
        Assumption("model", f"{anatomy.name}: {anatomy.parameters / 1e9:.3g} billion parameters, {anatomy.layers} layers", anatomy.source),
        Assumption("clip", shape, "asked for"),
        Assumption("energy of a clip", f"cold prediction, P10–P90 {clip.p10_Wh:.4g}–{clip.p90_Wh:.4g} Wh", clip.how),
        Assumption("utilisation", f"{utilisation:g} of the day; the rest idles at {card.tdp_W * IDLE_SHARE:.0f} W", "assumed"),
        Assumption("rest of the server", f"{host_W:g} W per GPU, always", "DGX H100 datasheet: 10.2 kW less 8 x 700 W; its maximum"),
        *_common(intensity, pue, making, card),
    )
    return FleetPlan(f"{users:,.0f} users, {clips_per_user:g} clips a day of {seconds:g} s each", figures, assumptions)


def training(
    gpu_name: str,
    intensity: Intensity,
    *,
    flops: float | None = None,
    parameters: float | None = None,
    tokens: float | None = None,
    gpus: int | None = None,
    mfu: float = MFU,
    pue: float = PUE_MEAN,
    host_W: float = HOST_W_PER_GPU,
) -> FleetPlan:
    """A training of so many operations, or of 6 · parameters · tokens (Kaplan et al. 2020, arXiv 2001.08361). InputError otherwise."""
    if flops is None and (parameters is None or tokens is None):
        raise InputError("a plan needs the users of a service (--users), or of a training --train-flops, or --parameters and --tokens")
    how = "asked for"
    if flops is None:
        assert parameters is not None
        assert tokens is not None
        _positive(parameters=parameters, tokens=tokens)
        flops, how = 6.0 * parameters * tokens, f"6 x {parameters:.3g} parameters x {tokens:.3g} tokens (Kaplan et al. 2020)"
    _positive(train_flops=flops)
    _share(mfu, "the share of peak arithmetic")
    _at_least(pue, 1.0, "PUE")
    _at_least(host_W, 0.0, "host power")
    card = known_gpu(gpu_name)
    hours = flops / (card.tflops * 1e12 * mfu) / 3600
    factor = math.exp(NORMAL_P90 * MFU_SPREAD)
    gpu_hours = Amount(hours, hours / factor, hours * factor)
    energy = gpu_hours.times((card.tdp_W * TRAIN_POWER_SHARE + host_W) * pue / 1e6)
    figures = {
        "FLOP": _sure(flops),
        "GPU hours": gpu_hours,
        "MWh": energy,
        "t CO2e": energy.times(intensity.gCO2e_per_kWh / 1000),
    }
    if gpus is not None:
        _positive(gpus=gpus)
        figures[f"days on {gpus} GPUs"] = gpu_hours.times(1 / 24 / gpus)
    making = embodied_gCO2e(card.name, hours * 3600)
    if making is not None:
        figures["t CO2e of making the GPUs (apart)"] = _sure(making.gCO2e / 1e6)
    power = f"{TRAIN_POWER_SHARE:g} of {card.tdp_W:g} W, and {host_W:g} W per GPU for the server"
    assumptions = (
        Assumption("operations", f"{flops:.4g}", how),
        Assumption("arithmetic", f"{mfu:g} of {card.tflops:g} TFLOP/s, P10–P90 a factor {factor:.2f}", "Llama 3 405B on H100: 0.38–0.43"),
        Assumption("power", power, f"{card.source}; DGX H100"),
        Assumption("runs", "one, without failed ones, tests and data preparation", "assumed"),
        *_common(intensity, pue, making, card),
    )
    return FleetPlan(f"a training of {flops:.3g} operations on {card.name}", figures, assumptions)


def _common(intensity: Intensity, pue: float, making: Embodied | None, card: Gpu) -> tuple[Assumption, ...]:
    grid = f"{intensity.gCO2e_per_kWh:g} g CO2e/kWh, {intensity.zone} {intensity.year}"
    made = Assumption("making the GPUs", "not counted", f"no source for {card.name}")
    if making is not None:
        each = f"{making.total_kgCO2e:g} kg CO2e each over {making.lifetime_years:g} years, apart"
        made = Assumption("making the GPUs", each, making.source)
    building = "mean of data centres, Uptime Institute 2024" if pue == PUE_MEAN else "asked for"
    return Assumption("building", f"PUE {pue:g}", building), Assumption("electricity", grid, intensity.source), made


def lines(plan: FleetPlan) -> list[str]:
    """For terminals."""
    wide = max(map(len, plan.figures))
    said = [plan.what, f"{'':{wide}}  {'middle':>12}  {'P10':>12}  {'P90':>12}"]
    for name, a in plan.figures.items():
        certain = a.p10 == a.p90
        said.append(f"{name:{wide}}  {_short(a.value):>12}" + ("" if certain else f"  {_short(a.p10):>12}  {_short(a.p90):>12}"))
    said.append("It rests on:")
    said += [f"  {a.name}: {a.value} ({a.source})" for a in plan.assumptions]
    return said


def _short(value: float) -> str:
    return f"{value:.3e}" if value >= 1e12 else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _sure(value: float) -> Amount:
    return Amount(value, value, value)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name.replace('_', ' ')} of {value:g} cannot be planned; give a positive number")


def _share(value: float, name: str) -> None:
    if not 0 < value <= 1:
        raise InputError(f"{name} of {value:g} is no share; give a number above 0 and up to 1")


def _at_least(value: float, least: float, name: str) -> None:
    if not least <= value < math.inf:
        raise InputError(f"{name} of {value:g} cannot be; it is at least {least:g}")
