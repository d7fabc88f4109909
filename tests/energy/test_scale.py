"""Plans on paper: totals by hand, amounts that scale with users, and no assumption that is not listed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kinowatt.energy import scale
from kinowatt.energy.anatomy import KNOWN, Anatomy
from kinowatt.energy.carbon import intensity
from kinowatt.energy.claims import claims_json
from kinowatt.energy.predict import cold, gpu_efficiency
from kinowatt.errors import InputError

WAN = KNOWN["wan2.1-t2v-14b"]
GRID = replace(intensity("US"), gCO2e_per_kWh=400.0)


def service(users: float = 1000.0, clips: float = 2.0, seconds: float = 5.0, **more: Any) -> scale.FleetPlan:
    given: dict[str, Any] = {"size": (832, 480), "gpu_name": "H100", "intensity": GRID} | more
    return scale.service(WAN, given.pop("size"), seconds, users, clips, given.pop("gpu_name"), given.pop("intensity"), **given)


def test_a_service_by_hand() -> None:
    """2,000 clips of 81 frames: each 80 Wh and 8 minutes of a GPU that works a quarter of the day, beside 100 W, in a building of 1.25."""
    found = service(pue=1.25, utilisation=0.25, host_W=100.0).figures
    flop = 50 * 2 * (2 * 14.29e9 * 32_760 + 4 * 32_760**2 * 5120 * 40)
    device = gpu_efficiency("H100", 5120)
    clip_Wh, clip_s = flop / device.FLOP_per_J / 3600, flop / device.FLOP_per_s
    busy_h = 2000 * clip_s / 3600
    there_h = busy_h / 0.25
    day_Wh = (2000 * clip_Wh + (there_h - busy_h) * 70.0 + there_h * 100.0) * 1.25
    assert found["clips per day"].value == 2000
    assert found["GPU energy per clip, Wh"].value == pytest.approx(clip_Wh)
    assert found["GPU seconds per clip"].value == pytest.approx(clip_s)
    assert found["GPUs"].value == pytest.approx(there_h / 24)
    assert found["MWh per day"].value == pytest.approx(day_Wh / 1e6)
    assert found["MWh per year"].value == pytest.approx(day_Wh / 1e6 * 365.25)
    assert found["t CO2e per year"].value == pytest.approx(day_Wh / 1e6 * 365.25 * 0.4)
    for amount in found.values():
        assert amount.p10 <= amount.value <= amount.p90


def test_what_is_not_sure_stays_as_unsure() -> None:
    found = service().figures
    width = found["GPU energy per clip, Wh"].p90 / found["GPU energy per clip, Wh"].value
    assert width > 1.05
    for name in ("GPUs", "GPU seconds per clip", "MWh per day", "t CO2e per year"):
        assert found[name].p90 / found[name].value == pytest.approx(width), "dearer clips take longer, and all else goes with them"


def test_more_users_are_proportional() -> None:
    few, many = service(users=100.0).figures, service(users=100_000.0).figures
    for name, amount in few.items():
        factor = 1.0 if "per clip" in name else 1000.0
        assert many[name].value == pytest.approx(factor * amount.value)
        assert many[name].p90 == pytest.approx(factor * amount.p90)
    assert service(clips=6.0).figures["MWh per day"].value == pytest.approx(3 * service(clips=2.0).figures["MWh per day"].value)
    assert service(steps=100).figures["GPUs"].value == pytest.approx(2 * service(steps=50).figures["GPUs"].value)


def test_a_minute_is_made_window_by_window() -> None:
    five, minute = service(seconds=5.0625).figures, service(seconds=60.0).figures
    ratio = minute["GPU energy per clip, Wh"].value / five["GPU energy per clip, Wh"].value
    assert ratio == pytest.approx(12), "960 frames are twelve windows of 81 that share their ends"
    at_once = cold(scale.Work(100 * WAN.pass_FLOP(WAN.tokens(960, 832, 480))), gpu_efficiency("H100", 5120)).Wh
    assert minute["GPU energy per clip, Wh"].value < at_once / 4
    still = service(seconds=0.01).figures["GPU energy per clip, Wh"].value
    assert 0 < still < five["GPU energy per clip, Wh"].value / 21


def said(plan: scale.FleetPlan) -> str:
    return " | ".join(f"{a.name}: {a.value} ({a.source})" for a in plan.assumptions)


def test_every_assumption_of_a_service_is_listed() -> None:
    plan = service(pue=1.3, utilisation=0.4, host_W=321.0, steps=33)
    told = said(plan)
    for word in (
        "wan2.1-t2v-14b",
        "14.3 billion parameters",
        "832x480, 80 frames in 1 window(s), 33 steps, 2 pass(es)",
        "published clips on H100",
        "P10–P90",
        "0.4 of the day",
        "idles at 70 W",
        "321 W per GPU",
        "PUE 1.3 (asked for)",
        "400 g CO2e/kWh, USA",
        "164 kg CO2e each over 4 years",
        "NVIDIA, HGX H100 product carbon footprint",
    ):
        assert word in told, word
    assert all(a.name and a.value and a.source for a in plan.assumptions)
    assert "Uptime" in said(service())
    assert "not counted (no source for RTX 4090)" in said(service(gpu_name="RTX 4090"))
    assert "t CO2e per year of making the GPUs (apart)" not in service(gpu_name="RTX 4090").figures
    assert "nobody has measured" in said(service(gpu_name="RTX 4090"))


def test_making_the_gpus_is_apart() -> None:
    found = service(utilisation=0.5).figures
    days = found["GPUs"].value * 365.25 / (4 * 365.25)
    assert found["t CO2e per year of making the GPUs (apart)"].value == pytest.approx(days * 0.164, rel=1e-3)
    dearer = service(intensity=replace(GRID, gCO2e_per_kWh=800.0)).figures
    assert dearer["t CO2e per year"].value == pytest.approx(2 * found["t CO2e per year"].value)
    assert dearer["t CO2e per year of making the GPUs (apart)"] == found["t CO2e per year of making the GPUs (apart)"]


def training(**given: Any) -> scale.FleetPlan:
    return scale.training(given.pop("gpu_name", "H100"), GRID, **given)


def test_a_training_by_hand() -> None:
    found = training(flops=1e24, mfu=0.4, pue=1.1, host_W=100.0, gpus=1000).figures
    hours = 1e24 / (989.4e12 * 0.4) / 3600
    assert found["GPU hours"].value == pytest.approx(hours)
    assert found["MWh"].value == pytest.approx(hours * (630 + 100) * 1.1 / 1e6)
    assert found["t CO2e"].value == pytest.approx(found["MWh"].value * 0.4)
    assert found["days on 1000 GPUs"].value == pytest.approx(hours / 24 / 1000)
    assert found["GPU hours"].p10 < found["GPU hours"].value < found["GPU hours"].p90
    assert "days" not in " ".join(training(flops=1e24).figures)


def test_operations_from_parameters_and_tokens() -> None:
    found = training(parameters=175e9, tokens=300e9)
    assert found.figures["FLOP"].value == pytest.approx(3.15e23)
    assert "Kaplan" in said(found)
    direct = training(flops=3.15e23)
    assert direct.figures["MWh"].value == pytest.approx(found.figures["MWh"].value)
    assert "asked for" in said(direct)


def test_the_175_billion_model_stands_beside_its_published_figure() -> None:
    """Patterson et al. 2021: 24.6 TFLOP/s and 330 W on a V100, host and all, PUE 1.10, 0.429 kg/kWh: 1,287 MWh and 552 t."""
    grid = replace(GRID, gCO2e_per_kWh=429.0)
    plan = scale.training("V100", grid, flops=3.14e23, mfu=24.6 / 125, pue=1.10, host_W=330 - 0.9 * 300)
    (claim,) = claims_json(["gpt3-training"])
    theirs = {figure["name"]: figure["ours"] for figure in claim["figures"]}
    assert plan.figures["GPU hours"].value == pytest.approx(theirs["V100-hours"], rel=1e-3)
    assert plan.figures["MWh"].value == pytest.approx(theirs["energy"], rel=1e-3)
    assert plan.figures["t CO2e"].value == pytest.approx(theirs["carbon"], rel=1e-3)
    own = scale.training("H100", grid, flops=3.14e23).figures["MWh"].value
    assert 100 < own < 1287, "newer GPUs need less, with our own assumptions"


def test_every_assumption_of_a_training_is_listed() -> None:
    told = said(training(parameters=7e9, tokens=1e12, mfu=0.35, pue=1.2, host_W=222.0))
    for word in ("4.2e+22", "0.35 of 989.4 TFLOP/s", "0.9 of 700 W", "222 W per GPU", "PUE 1.2", "400 g CO2e/kWh", "without failed ones"):
        assert word in told, word


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: service(users=0.0), "users of 0"),
    (lambda: service(users=-5.0), "users of -5"),
    (lambda: service(users=math.nan), "users of nan"),
    (lambda: service(users=math.inf), "users of inf"),
    (lambda: service(clips=0.0), "clips per user"),
    (lambda: service(seconds=0.0), "seconds"),
    (lambda: service(seconds=1e308), "seconds|clip of"),
    (lambda: service(utilisation=2.0), "utilisation of 2"),
    (lambda: service(utilisation=0.0), "utilisation of 0"),
    (lambda: service(utilisation=math.nan), "utilisation"),
    (lambda: service(pue=0.5), "PUE of 0.5"),
    (lambda: service(pue=math.nan), "PUE"),
    (lambda: service(host_W=-1.0), "host power"),
    (lambda: service(gpu_name="abacus"), "abacus"),
    (lambda: service(size=(0, 0)), "0x0"),
    (training, "--train-flops"),
    (lambda: training(parameters=1e9), "--tokens"),
    (lambda: training(tokens=1e9), "--parameters"),
    (lambda: training(parameters=0.0, tokens=1e9), "parameters of 0"),
    (lambda: training(flops=-1.0), "train flops"),
    (lambda: training(flops=1e24, mfu=1.5), "peak arithmetic"),
    (lambda: training(flops=1e24, pue=0.9), "PUE"),
    (lambda: training(flops=1e24, gpus=0), "gpus of 0"),
    (lambda: training(flops=1e24, gpu_name="H9000"), "H9000"),
]


@pytest.mark.parametrize(("plan", "word"), BAD, ids=[f"{i} {word}" for i, (_, word) in enumerate(BAD)])
def test_what_cannot_be_planned_is_one_sentence(plan: Callable[[], object], word: str) -> None:
    with pytest.raises(InputError, match=word) as told:
        plan()
    assert "\n" not in str(told.value)


def test_plans_for_every_known_model_are_finite() -> None:
    for anatomy in KNOWN.values():
        plan = scale.service(anatomy, anatomy.size, 5.0, 1e6, 1.0, "B200", GRID)
        json.dumps(plan.to_json(), allow_nan=False)
        assert plan.figures["MWh per day"].value > 0


def test_the_lines_have_a_column_for_what_is_not_sure() -> None:
    lines = scale.lines(service(users=1e6))
    assert lines[0].startswith("1,000,000 users, 2 clips a day of 5 s each")
    sure = next(line for line in lines if line.startswith("clips per day"))
    assert sure.split()[-1] == "2,000,000"
    assert len(next(line for line in lines if line.startswith("GPUs")).split()) == 4
    assert "It rests on:" in lines
    assert sum(line.startswith("  ") for line in lines[lines.index("It rests on:") + 1 :]) == len(service().assumptions)


def test_a_clip_of_a_model_with_longer_windows() -> None:
    short = Anatomy("toy", 1e9, 1024, 10, (1, 2, 2), (4, 8, 8), 10.0, (640, 480), 41, 10, 1, "a test")
    assert [scale.clip_on_paper(short, (640, 480), s, 10, "H100")[1] for s in (0.1, 4.1, 4.2, 8.1, 8.2)] == [1, 1, 2, 2, 3]
