"""Embodied carbon: M = TE × TS × RS with numbers by hand, names as NVML gives them, and None where nothing is known."""

import os

import pytest

from kinowatt.energy import embodied
from kinowatt.energy.bill import Energy
from kinowatt.energy.embodied import YEAR_s, embodied_gCO2e, embodied_of, sci_gCO2e
from kinowatt.errors import InputError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (embodied.KG_VARIABLE, embodied.LIFETIME_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


def test_one_hour_of_an_h100() -> None:
    found = embodied_gCO2e("NVIDIA H100 80GB HBM3", 3600.0)
    assert found is not None
    assert found.total_kgCO2e == 1312 / 8
    assert found.gCO2e == pytest.approx(164_000 / (4 * 365.25 * 24))  # 4.677 g
    assert "NVIDIA" in found.source
    half = embodied_gCO2e("NVIDIA H100 80GB HBM3", 3600.0, share=0.5)
    assert half is not None
    assert half.gCO2e == pytest.approx(found.gCO2e / 2)


def test_a_whole_life_is_the_whole_device() -> None:
    found = embodied_gCO2e("NVIDIA A100-SXM4-40GB", 4 * YEAR_s)
    assert found is not None
    assert found.gCO2e == pytest.approx(127_600)


@pytest.mark.parametrize(
    ("device", "kg"),
    [
        ("NVIDIA B200", 284.25),
        ("NVIDIA H200", 364.0),
        ("NVIDIA H100 PCIe", 273.0),
        ("A100-PCIE-40GB", 181.0),
        ("NVIDIA A100-SXM4-80GB", 150.0),
        ("NVIDIA A100 80GB PCIe", 150.0),
        ("AMD EPYC 9654 96-Core Processor", 100.0),
        ("Intel(R) Xeon(R) Platinum 8480+", 100.0),
    ],
)
def test_names_as_drivers_give_them(device: str, kg: float) -> None:
    found = embodied_gCO2e(device, 1.0)
    assert found is not None
    assert found.total_kgCO2e == kg


@pytest.mark.parametrize(
    "device", ["NVIDIA H100-40C", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA GeForce RTX 4090", "Apple M2", "", "fake"]
)
def test_parts_of_a_device_and_strangers_are_none(device: str) -> None:
    assert embodied_gCO2e(device, 1.0) is None
    assert embodied.KG_VARIABLE in embodied.why_unknown(device)


def test_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(embodied.KG_VARIABLE, "1000")
    monkeypatch.setenv(embodied.LIFETIME_VARIABLE, "5")
    found = embodied_gCO2e("anything", 5 * YEAR_s / 1000)
    assert found is not None
    assert found.gCO2e == pytest.approx(1000.0)
    assert embodied.KG_VARIABLE in found.source


@pytest.mark.parametrize("variable", [embodied.KG_VARIABLE, embodied.LIFETIME_VARIABLE])
@pytest.mark.parametrize("said", ["-1", "nan", "inf", "heavy", "1e9"])
def test_variables_that_cannot_be(variable: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, said)
    with pytest.raises(InputError, match=variable):
        embodied_gCO2e("NVIDIA H200", 1.0)


def test_a_lifetime_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(embodied.LIFETIME_VARIABLE, "0")
    with pytest.raises(InputError, match=r"at least 0\.1"):
        embodied.lifetime_years()


@pytest.mark.parametrize(
    ("busy_s", "share"), [(-1.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0), (1.0, -0.1), (1.0, 1.1), (1.0, float("nan"))]
)
def test_times_and_shares_that_cannot_be(busy_s: float, share: float) -> None:
    with pytest.raises(InputError, match="share from 0 to 1"):
        embodied_gCO2e("NVIDIA H200", busy_s, share)


def test_sci() -> None:
    assert sci_gCO2e(30.0, 10.0, 8) == 5.0
    assert sci_gCO2e(None, 10.0, 8) is None
    assert sci_gCO2e(30.0, None, 8) is None
    for units in (0, -1, float("nan")):
        with pytest.raises(InputError, match="functional unit"):
            sci_gCO2e(1.0, 1.0, units)


class Gpu:
    """A metered GPU."""

    part, name = "gpu_J", "NVIDIA H100 80GB HBM3: NVML energy counter"
    gpu = "NVIDIA H100 80GB HBM3"

    def read_J(self) -> float:
        return 0.0


class Model(Gpu):
    """A model of the CPU."""

    part, name = "cpu_modelled_J", "CPU time"


HOUR = Energy(wall_s=3600.0)
H100_HOUR_g = 164_000 / 35_064
EPYC_HOUR_g = 100_000 / 35_064


def machine(monkeypatch: pytest.MonkeyPatch, name: str, threads: int) -> None:
    monkeypatch.setattr(embodied, "_this_cpu", lambda: name)
    monkeypatch.setattr(embodied, "cpu", lambda _: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(threads)), raising=False)


def test_a_machine_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "AMD EPYC 9654 96-Core Processor", 48)  # a quarter of its 192 threads
    assert embodied_of([Gpu(), Model()], HOUR) == pytest.approx(H100_HOUR_g + EPYC_HOUR_g / 4)
    assert embodied_of([Gpu(), Gpu()], HOUR, share=0.5) == pytest.approx(H100_HOUR_g + EPYC_HOUR_g / 8)
    assert embodied_of([Model()], HOUR) == pytest.approx(EPYC_HOUR_g / 4)
    machine(monkeypatch, "AMD EPYC 9654 96-Core Processor", 384)  # two of them
    assert embodied_of([], HOUR) == pytest.approx(2 * EPYC_HOUR_g)


def test_a_machine_that_hides_a_part_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AMD EPYC", "x86_64", "Intel(R) Xeon(R) Processor @ 2.10GHz"):
        machine(monkeypatch, name, 2)
        assert embodied_of([Gpu(), Model()], HOUR) is None
    machine(monkeypatch, "AMD EPYC 9654 96-Core Processor", 48)
    monkeypatch.setattr(Gpu, "gpu", "NVIDIA GeForce RTX 4090")
    assert embodied_of([Gpu()], HOUR) is None
    monkeypatch.setenv(embodied.KG_VARIABLE, "35.064")  # for the machine as one, however many devices
    assert embodied_of([Gpu(), Gpu(), Model()], HOUR) == pytest.approx(1.0)
    assert embodied_of([], HOUR, share=0.25) == pytest.approx(0.25)
