"""What can be read: NVML's energy counter or power, RAPL, and, where there is no counter, models that say so."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from kinowatt.energy.processors import cpu, cpu_name, median_W_per_core
from kinowatt.errors import InputError

CPU_W_VARIABLE = "KINOWATT_CPU_W_PER_CORE"
HOST_W_VARIABLE = "KINOWATT_HOST_W"
RAM_W_PER_GB = 0.375  # 3 W per module of 8 GB, as CodeCarbon assumes
POWERCAP = Path("/sys/class/powercap")
POWER_EVERY_S = 0.1  # NVML's power is an average over about as long


class CounterLost(Exception):
    """A counter cannot be trusted any more: it went backwards, or its device is gone. The message says which."""


class Device(Protocol):
    """A counter of joules since some start. `part` names the field of `Energy` that it fills, `name` says how it is read."""

    part: str
    name: str

    def read_J(self) -> float:
        """Joules so far. CounterLost if that is not known."""
        ...


class CpuModel:
    """CPU seconds of this process and its finished children, times an assumed power per busy core. Not a measurement."""

    part = "cpu_modelled_J"

    def __init__(self) -> None:
        said = os.environ.get(CPU_W_VARIABLE)
        known = cpu(cpu_name())
        if said is not None:
            self.watts, why = _watts(CPU_W_VARIABLE, said), f"${CPU_W_VARIABLE}"
        elif known is not None:
            self.watts, why = known.W_per_core, f"{known.name}: {known.tdp_W:g} W over {known.cores} cores"
        else:
            self.watts, why = median_W_per_core(), "the median of known processors, this one is not among them"
        self.name = f"CPU time at {self.watts:.3g} W per busy core ({why})"

    def read_J(self) -> float:
        """Joules by the model."""
        children = os.times()
        return (time.process_time() + children.children_user + children.children_system) * self.watts


class RamModel:
    """This process's resident memory at an assumed power per gigabyte, while it is metered. Not a measurement."""

    part = "ram_modelled_J"
    name = f"resident memory at {RAM_W_PER_GB} W per GB"

    def __init__(self, statm: Path = Path("/proc/self/statm")) -> None:
        self.statm, self.page = statm, os.sysconf("SC_PAGESIZE")
        self.at_s, self.total_J = time.monotonic(), 0.0

    def read_J(self) -> float:
        """Joules since this object was made."""
        gigabytes = int(self.statm.read_text().split()[1]) * self.page / 1e9
        now_s = time.monotonic()
        self.total_J += gigabytes * RAM_W_PER_GB * (now_s - self.at_s)
        self.at_s = now_s
        return self.total_J


class HostModel:
    """The rest of the machine (board, fans, losses of the power supply) at the watts that its owner has stated."""

    part = "host_modelled_J"

    def __init__(self, watts: float) -> None:
        self.watts, self.name = watts, f"rest of the machine at {watts:g} W (${HOST_W_VARIABLE})"

    def read_J(self) -> float:
        """Joules of the time since the machine was started."""
        return time.monotonic() * self.watts


class Rapl:
    """One RAPL domain of Linux's powercap tree: a counter of microjoules that wraps."""

    def __init__(self, folder: Path, part: str) -> None:
        self.folder, self.part = folder, part
        self.name = f"RAPL {(folder / 'name').read_text().strip()}"
        self.range_uJ = int((folder / "max_energy_range_uj").read_text())

    @property
    def wraps_J(self) -> float:
        """Where the counter begins at 0 again."""
        return (self.range_uJ + 1) / 1e6

    def read_J(self) -> float:
        """Joules since some start, modulo `wraps_J`."""
        try:
            return int((self.folder / "energy_uj").read_text()) / 1e6
        except (OSError, ValueError) as error:
            raise CounterLost(f"{self.name} cannot be read any more ({error})") from error


class NvmlGpu:
    """NVML's counter of millijoules since the driver was loaded, for one whole GPU."""

    part = "gpu_J"

    def __init__(self, nvml: Any, index: int) -> None:
        self.nvml, self.handle = nvml, nvml.nvmlDeviceGetHandleByIndex(index)
        self.gpu = str(nvml.nvmlDeviceGetName(self.handle))
        self.id = str(nvml.nvmlDeviceGetUUID(self.handle))
        self.name = f"{self.gpu}: NVML energy counter"

    def read_J(self) -> float:
        """Joules so far."""
        try:
            return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3
        except self.nvml.NVMLError as error:
            raise CounterLost(f"{self.gpu} does not answer ({error})") from error


class NvmlPower(NvmlGpu):
    """For GPUs (many virtual ones) without that counter: NVML's power, integrated by trapezoids every 0.1 s in a thread."""

    def __init__(self, nvml: Any, index: int) -> None:
        super().__init__(nvml, index)
        self.name = f"{self.gpu}: NVML power, integrated every {POWER_EVERY_S:g} s"
        self._lock = threading.Lock()
        self._total_J, self._at_s, self._W = 0.0, time.monotonic(), self._watts()
        self._lost = ""
        threading.Thread(target=self._sample, daemon=True, name="nvml-power").start()

    def _watts(self) -> float:
        return float(self.nvml.nvmlDeviceGetPowerUsage(self.handle)) / 1e3

    def _sample(self) -> None:
        while not self._lost:
            time.sleep(POWER_EVERY_S)
            self._advance()

    def _advance(self) -> None:
        with self._lock:
            try:
                watts = self._watts()
            except self.nvml.NVMLError as error:
                self._lost = f"{self.gpu} does not answer ({error})"
                return
            now_s = time.monotonic()
            self._total_J += (watts + self._W) / 2 * (now_s - self._at_s)
            self._at_s, self._W = now_s, watts

    def read_J(self) -> float:
        """Joules since this object was made."""
        self._advance()
        if self._lost:
            raise CounterLost(self._lost)
        return self._total_J


class Unreadable:
    """A device that does work and tells nothing of it: a reason in the bill instead of a number."""

    def __init__(self, part: str, why: str) -> None:
        self.part, self.name, self.why = part, why, why

    def read_J(self) -> float:
        """Never: CounterLost with the reason."""
        raise CounterLost(self.why)


def rapl(root: Path = POWERCAP) -> list[Device]:
    """Package and memory domains that this user may read."""
    found: list[Device] = []
    for folder in sorted(root.glob("intel-rapl:*")) if root.exists() else []:
        name = (folder / "name").read_text().strip()
        part = "cpu_J" if name.startswith("package") else "dram_J" if name == "dram" else None
        if part and os.access(folder / "energy_uj", os.R_OK):
            found.append(Rapl(folder, part))
    return found


def gpus() -> list[Device]:
    """NVIDIA GPUs that this process may use, by CUDA_VISIBLE_DEVICES."""
    try:
        import pynvml
    except ImportError:
        driver = Path("/proc/driver/nvidia/version").exists()
        return [Unreadable("gpu_J", "nvidia-ml-py is not installed; pip install 'kinowatt[nvidia]'")] if driver else []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no NVIDIA driver here
        return []
    count = pynvml.nvmlDeviceGetCount()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = [int(i) for i in visible.split(",") if i.strip().isdecimal()] if visible is not None else list(range(count))
    return [gpu(pynvml, i) for i in chosen if i < count]


def gpu(nvml: Any, index: int) -> Device:
    """The best way to read one GPU: its energy counter, else its power, else the reason why neither works."""
    for way in (NvmlGpu, NvmlPower):
        try:
            found: NvmlGpu = way(nvml, index)
            if found.read_J() > 0 or way is NvmlPower:  # a counter that stands at 0 since the driver was loaded does not count
                return found
        except (nvml.NVMLError, CounterLost):
            continue
    return Unreadable("gpu_J", f"GPU {index} has neither an energy counter nor a power reading")


def all_devices() -> list[Device]:
    """Every counter of this machine, and models where it has none."""
    found = [*gpus(), *rapl()]
    parts = {d.part for d in found}
    if "cpu_J" not in parts:
        found.append(CpuModel())
    if "dram_J" not in parts and Path("/proc/self/statm").exists():
        found.append(RamModel())
    host = os.environ.get(HOST_W_VARIABLE)
    if host is not None:
        found.append(HostModel(_watts(HOST_W_VARIABLE, host)))
    return found


def _watts(variable: str, said: str) -> float:
    try:
        watts = float(said)
    except ValueError:
        watts = -1.0
    if not 0 <= watts < 1e6:
        raise InputError(f"{variable}={said!r} is no power in watts; write a number such as 5.3")
    return watts
