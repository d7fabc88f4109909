"""What can be read: NVML's energy counter, RAPL, and, where a CPU has no counter, a model of it that says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from kinowatt.errors import InputError

CPU_W_PER_CORE = 5.3
"""Watts of one busy core: median of thermal design power over cores of EPYC 9654 (3.75), 7763 (4.4), Xeon 8480+ (6.25), 8375C (9.4)."""
CPU_W_VARIABLE = "KINOWATT_CPU_W_PER_CORE"
POWERCAP = Path("/sys/class/powercap")


class Device(Protocol):
    """A counter of joules since some start. `part` names the field of `Energy` that it fills."""

    part: str
    name: str

    def read_J(self) -> float | None:
        """Joules so far, or None if the device does not say."""
        ...


class CpuModel:
    """CPU seconds of this process and its finished children, times an assumed power per busy core. Not a measurement."""

    part = "modelled_J"

    def __init__(self) -> None:
        said = os.environ.get(CPU_W_VARIABLE, str(CPU_W_PER_CORE))
        try:
            self.watts = float(said)
        except ValueError:
            raise InputError(f"{CPU_W_VARIABLE}={said!r} is no power in watts; write a number such as {CPU_W_PER_CORE}") from None
        self.name = f"CPU time at {self.watts:g} W per busy core"

    def read_J(self) -> float | None:
        """Joules by the model."""
        t = os.times()
        return (t.user + t.system + t.children_user + t.children_system) * self.watts


class Rapl:
    """One RAPL domain of Linux's powercap tree: a counter of microjoules that wraps."""

    def __init__(self, folder: Path, part: str) -> None:
        self.folder, self.part = folder, part
        self.name = (folder / "name").read_text().strip()
        self.range_uJ = int((folder / "max_energy_range_uj").read_text())
        self.last_uJ = self._raw()
        self.total_uJ = 0

    def _raw(self) -> int:
        return int((self.folder / "energy_uj").read_text())

    def read_J(self) -> float | None:
        """Joules since this object was made."""
        now = self._raw()
        self.total_uJ += (now - self.last_uJ) % (self.range_uJ + 1)
        self.last_uJ = now
        return self.total_uJ / 1e6


class NvmlGpu:
    """NVML's counter of millijoules since the driver was loaded, for one whole GPU."""

    part = "gpu_J"

    def __init__(self, nvml: Any, index: int) -> None:
        self.nvml = nvml
        self.handle = nvml.nvmlDeviceGetHandleByIndex(index)
        self.name = str(nvml.nvmlDeviceGetName(self.handle))

    def read_J(self) -> float | None:
        """Joules so far; None on GPUs (many virtual ones) that have no counter."""
        try:
            return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3
        except self.nvml.NVMLError:
            return None


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
    except ImportError:  # the extra is not installed: no GPU is metered, and the meter says so where one works
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no NVIDIA driver here
        return []
    count = pynvml.nvmlDeviceGetCount()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = [int(i) for i in visible.split(",") if i.strip().isdecimal()] if visible is not None else list(range(count))
    return [NvmlGpu(pynvml, i) for i in chosen if i < count]


def all_devices() -> list[Device]:
    """Every counter of this machine, and the CPU's model where the CPU has none."""
    found = [*gpus(), *rapl()]
    return found if any(d.part == "cpu_J" for d in found) else [*found, CpuModel()]
