"""Bills: phases add up to the whole, what is not measured is None, counters that wrap are followed."""

from pathlib import Path

import pytest

from kinowatt.energy import carbon, devices
from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.meter import Meter
from kinowatt.errors import InputError


class Counter:
    """A counter that a test sets."""

    def __init__(self, part: str, value: float | None = 0.0) -> None:
        self.part, self.name, self.value = part, f"fake {part}", value

    def read_J(self) -> float | None:
        return self.value


def test_phases_add_up_to_the_device() -> None:
    gpu, model = Counter("gpu_J", 1000.0), Counter("modelled_J")
    with Meter([gpu, model]) as meter:
        gpu.value = 1010.0
        with meter.phase("denoise"):
            gpu.value = 1200.0
            with meter.phase("inner"):
                gpu.value = 1230.0
            model.value = 5.0
            with meter:  # entered again: it goes on
                gpu.value = 1250.0
        gpu.value = 1260.0
    gpu.value = 9999.0  # after the end
    bill = meter.bill
    assert {name: e.gpu_J for name, e in bill.phases.items()} == {"other": 20.0, "denoise": 210.0, "inner": 30.0}
    assert bill.energy.gpu_J == 260.0
    assert bill.energy.modelled_J == 5.0
    assert bill.energy.cpu_J is None
    assert bill.total_Wh == pytest.approx(265 / 3600)


def test_what_has_no_counter_is_none_and_named() -> None:
    with Meter([Counter("gpu_J", None)]) as meter:
        pass
    assert meter.bill.energy.total_J is None
    assert meter.bill.carbon_gCO2e is None
    assert meter.bill.not_measured == ("fake gpu_J",)
    assert "not measured" in meter.bill.one_line()


def test_bills_add_and_survive_json() -> None:
    zone = carbon.intensity("FR")
    a = EnergyBill(Energy(1.0, gpu_J=3600.0), zone, {"x": Energy(1.0, gpu_J=3600.0)})
    b = EnergyBill(Energy(2.0, modelled_J=1800.0), zone, {"y": Energy(2.0, modelled_J=1800.0)}, ("dram",))
    total = a + b
    assert total.total_Wh == pytest.approx(1.5)
    assert total.carbon_gCO2e == pytest.approx(1.5e-3 * zone.gCO2e_per_kWh)
    assert total.energy.measured_J == 3600.0
    assert EnergyBill.from_json(total.to_json()) == total
    with pytest.raises(ValueError, match="two zones"):
        _ = a + EnergyBill(Energy(), carbon.intensity("world"))


def test_the_cpu_model_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.CPU_W_VARIABLE, "10")
    model = devices.CpuModel()
    before = model.read_J()
    sum(i * i for i in range(2_000_000))
    after = model.read_J()
    assert before is not None
    assert after is not None
    assert after > before
    assert model.part == "modelled_J"
    monkeypatch.setenv(devices.CPU_W_VARIABLE, "much")
    with pytest.raises(InputError, match="watts"):
        devices.CpuModel()


def test_rapl_follows_a_counter_that_wraps(tmp_path: Path) -> None:
    for domain, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram"), ("intel-rapl:0:1", "core")):
        folder = tmp_path / domain
        folder.mkdir()
        (folder / "name").write_text(name + "\n")
        (folder / "max_energy_range_uj").write_text("9999999\n")
        (folder / "energy_uj").write_text("9000000\n")
    found = devices.rapl(tmp_path)
    assert sorted(d.part for d in found) == ["cpu_J", "dram_J"]
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("1000000\n")
    package = next(d for d in found if d.part == "cpu_J")
    assert package.read_J() == pytest.approx(2.0)
    assert package.read_J() == pytest.approx(2.0)


def test_nvml_without_a_counter_is_none() -> None:
    class Nvml:
        NVMLError = RuntimeError

        def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
            return index

        def nvmlDeviceGetName(self, handle: int) -> str:
            return "vGPU"

        def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
            raise RuntimeError("not supported")

    assert devices.NvmlGpu(Nvml(), 0).read_J() is None


def test_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert carbon.intensity("fr") == carbon.intensity("FRA")
    assert carbon.intensity("FR").gCO2e_per_kWh < 100 < carbon.intensity("CN").gCO2e_per_kWh
    monkeypatch.setenv(carbon.ZONE_VARIABLE, "DE")
    assert carbon.intensity().zone == "DEU"
    monkeypatch.delenv(carbon.ZONE_VARIABLE)
    assert carbon.intensity().zone == "world"
    with pytest.raises(InputError, match="ISO country code"):
        Meter([], zone="Atlantis")
