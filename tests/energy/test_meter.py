"""Bills: phases add up to the whole, what is not measured is None, counters that wrap are followed."""

import time
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

    def read_J(self) -> float:
        if self.value is None:
            raise devices.CounterLost("it fell silent")
        return self.value


def test_phases_add_up_to_the_device() -> None:
    gpu, model = Counter("gpu_J", 1000.0), Counter("cpu_modelled_J")
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
    assert bill.energy.cpu_modelled_J == 5.0
    assert bill.energy.cpu_J is None
    assert bill.total_Wh == pytest.approx(265 / 3600)


def test_what_has_no_counter_is_none_and_named() -> None:
    with Meter([Counter("gpu_J", None)]) as meter:
        pass
    assert meter.bill.energy.total_J is None
    assert meter.bill.carbon_gCO2e is None
    assert meter.bill.not_measured == {"gpu_J": "it fell silent"}
    assert "it fell silent" in meter.bill.one_line()


@pytest.mark.parametrize("after", [None, 900.0])
def test_a_counter_that_breaks_leaves_no_number(after: float | None) -> None:
    gpu, cpu = Counter("gpu_J", 1000.0), Counter("cpu_J", 0.0)
    with Meter([gpu, cpu]) as meter:
        with meter.phase("denoise"):
            gpu.value, cpu.value = 1010.0, 5.0
        gpu.value = after  # the device is gone, or its counter went backwards
        with meter.phase("decode"):
            cpu.value = 6.0
            gpu.value = 2000.0
    bill = meter.bill
    assert bill.energy.gpu_J is None
    assert {e.gpu_J for e in bill.phases.values()} == {None}
    assert bill.energy.cpu_J == 6.0
    assert ("backwards" if after else "silent") in bill.not_measured["gpu_J"]
    whole = EnergyBill(Energy(1.0, gpu_J=5.0), bill.intensity) + bill  # an attempt that was measured, and this one
    assert whole.energy.gpu_J is None, "a part of a sum is a wrong number"


def test_windows_lie_in_each_other_and_overlap() -> None:
    gpu = Counter("gpu_J", 0.0)
    with Meter([gpu]) as meter:
        gpu.value = 1.0
        first = meter.open_window()
        with meter.phase("denoise"):
            gpu.value = 11.0
            second = meter.open_window()
            gpu.value = 31.0
            assert first.close().energy.gpu_J == 30.0
            with meter.window() as inner:
                gpu.value = 36.0
        gpu.value = 100.0
        assert second.close().energy.gpu_J == 89.0
    assert inner.bill.energy.gpu_J == 5.0
    assert inner.bill.phases.keys() == {"denoise"}
    assert first.bill.energy.gpu_J == 30.0, "a closed window stays as it was"
    assert meter.bill.energy.gpu_J == 100.0


def test_bills_add_and_survive_json() -> None:
    zone = carbon.intensity("FR")
    a = EnergyBill(Energy(1.0, gpu_J=3600.0), zone, {"x": Energy(1.0, gpu_J=3600.0)})
    b = EnergyBill(Energy(2.0, cpu_modelled_J=1800.0), zone, {"y": Energy(2.0, cpu_modelled_J=1800.0)}, {"dram_J": "no counter"}, pue=1.0)
    total = a + b
    assert total.total_Wh == pytest.approx(1.5)
    assert total.carbon_gCO2e == pytest.approx(1.5e-3 * zone.gCO2e_per_kWh)
    assert total.energy.measured_J == 3600.0
    assert EnergyBill.from_json(total.to_json()) == total
    with pytest.raises(ValueError, match="two zones"):
        _ = a + EnergyBill(Energy(), carbon.intensity("world"))


def test_the_building_counts_and_the_making_stays_apart() -> None:
    zone = carbon.intensity("FR")
    bill = EnergyBill(Energy(1.0, gpu_J=3600.0), zone, pue=1.5, embodied_gCO2e=7.0)
    assert bill.total_Wh == 1.0
    assert bill.facility_Wh == 1.5
    assert bill.carbon_gCO2e == pytest.approx(1.5e-3 * zone.gCO2e_per_kWh)
    assert (bill + bill).embodied_gCO2e == 14.0
    assert (bill + bill).pue == 1.5


def test_loading_is_not_work() -> None:
    phases = {"load": Energy(1.0, gpu_J=100.0), "denoise": Energy(1.0, gpu_J=20.0)}
    assert EnergyBill(Energy(2.0, gpu_J=120.0), carbon.intensity("FR"), phases).work_J == 20.0


def test_the_cpu_model_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.CPU_W_VARIABLE, "10")
    model = devices.CpuModel()
    before = model.read_J()
    sum(i * i for i in range(2_000_000))
    assert model.read_J() > before
    assert model.part == "cpu_modelled_J"
    assert devices.CPU_W_VARIABLE in model.name
    monkeypatch.setenv(devices.CPU_W_VARIABLE, "much")
    with pytest.raises(InputError, match="watts"):
        devices.CpuModel()
    monkeypatch.setattr(devices, "cpu_name", lambda: "AMD EPYC 7763 64-Core Processor")
    monkeypatch.delenv(devices.CPU_W_VARIABLE)
    assert devices.CpuModel().watts == pytest.approx(280 / 64)
    monkeypatch.setattr(devices, "cpu_name", lambda: "a processor of tomorrow")
    assert "median" in devices.CpuModel().name


def test_memory_and_the_rest_are_modelled_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statm = tmp_path / "statm"
    statm.write_text("9 1000000 5 5 5 5 5\n")
    monkeypatch.setenv(devices.HOST_W_VARIABLE, "40")
    ram, host = devices.RamModel(statm), next(d for d in devices.all_devices() if d.part == "host_modelled_J")
    with Meter([ram, host]) as meter:
        time.sleep(0.2)
    energy = meter.bill.energy
    assert energy.host_modelled_J == pytest.approx(40 * energy.wall_s, rel=0.05)
    assert energy.ram_modelled_J == pytest.approx(1e6 * ram.page / 1e9 * 0.375 * energy.wall_s, rel=0.05)
    assert energy.measured_J is None


def test_rapl_follows_a_counter_that_wraps(tmp_path: Path) -> None:
    for domain, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram"), ("intel-rapl:0:1", "core")):
        folder = tmp_path / domain
        folder.mkdir()
        (folder / "name").write_text(name + "\n")
        (folder / "max_energy_range_uj").write_text("9999999\n")
        (folder / "energy_uj").write_text("9000000\n")
    found = devices.rapl(tmp_path)
    assert sorted(d.part for d in found) == ["cpu_J", "dram_J"]
    with Meter(found) as meter:
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("1000000\n")
    assert meter.bill.energy.cpu_J == pytest.approx(2.0)
    assert meter.bill.energy.dram_J == pytest.approx(0.0)


class Nvml:
    """As much of NVML as a GPU with a power reading, and perhaps an energy counter, needs."""

    class NVMLError(Exception):
        pass

    def __init__(self, energy_mJ: int | None, power_mW: int | None = 50_000) -> None:
        self.energy_mJ, self.power_mW = energy_mJ, power_mW

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "NVIDIA A40-8Q"

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return "GPU-1"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        return self._known(self.energy_mJ)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return self._known(self.power_mW)

    def _known(self, value: int | None) -> int:
        if value is None:
            raise self.NVMLError("Not Supported")
        return value


def test_a_gpu_is_read_in_the_best_way_it_has() -> None:
    assert "energy counter" in devices.gpu(Nvml(5), 0).name
    for none in (None, 0):  # virtual GPUs refuse, or report 0 for ever
        assert "integrated" in devices.gpu(Nvml(none), 0).name
    with Meter([devices.gpu(Nvml(None, None), 0)]) as meter:
        pass
    assert meter.bill.energy.gpu_J is None
    assert "neither" in meter.bill.not_measured["gpu_J"]


def test_power_is_integrated_and_said_to_be() -> None:
    nvml = Nvml(None)
    with Meter([devices.gpu(nvml, 0)]) as meter:
        time.sleep(0.35)
    bill = meter.bill
    assert bill.energy.gpu_J == pytest.approx(50.0 * bill.energy.wall_s, rel=0.05)
    assert "integrated" in bill.sources["gpu_J"]


def test_a_gpu_that_vanishes_is_none_with_its_reason() -> None:
    nvml = Nvml(5_000)
    with Meter([devices.gpu(nvml, 0)]) as meter:
        nvml.energy_mJ = None
    assert meter.bill.energy.gpu_J is None
    assert "does not answer" in meter.bill.not_measured["gpu_J"]


def test_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert carbon.intensity("fr") == carbon.intensity("FRA")
    assert carbon.intensity("FR").gCO2e_per_kWh < 100 < carbon.intensity("CN").gCO2e_per_kWh
    monkeypatch.setenv(carbon.ZONE_VARIABLE, "DE")
    assert carbon.intensity().zone == "DEU"
    monkeypatch.delenv(carbon.ZONE_VARIABLE)
    assert carbon.intensity().zone == "world"
    with pytest.raises(InputError, match="Atlantis"):
        Meter([], zone="Atlantis")
