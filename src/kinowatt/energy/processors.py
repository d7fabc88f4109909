"""Power and arithmetic of known processors, from a table that ships with kinowatt: what a model uses where nothing can be measured."""

from __future__ import annotations

import functools
import json
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
LARGER = (("pro",), ("max",), ("ultra",))  # after a model's name they make another model of it: Apple M3 Pro


@dataclass(frozen=True)
class Cpu:
    """A CPU: thermal design power in watts, cores and threads, with the source."""

    name: str
    tdp_W: float
    cores: int
    threads: int
    source: str

    @property
    def W_per_core(self) -> float:
        """Thermal design power over cores: a model of one busy core, its share of caches and memory controllers included."""
        return self.tdp_W / self.cores


@dataclass(frozen=True)
class Gpu:
    """A GPU: dense tensor arithmetic in TFLOP/s without sparsity, in `precision` (bf16, or fp16 on chips without it), and its ratings."""

    name: str
    tflops: float
    precision: str
    tdp_W: float
    memory_GB: float
    bandwidth_GB_per_s: float
    source: str


@functools.cache
def _table() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files(__package__).joinpath("processors.json").read_text(encoding="utf-8"))
    return loaded


def _words(name: str) -> tuple[str, ...]:
    """Words of a CPU's name, in lower case, without trademark signs: "Intel(R) Core(TM) i7-8700K" → intel, core, i7, 8700k."""
    bare = re.sub(r"\((?:r|tm)\)", " ", name.lower())
    return tuple(w for w in re.findall(r"[a-z0-9+]+", bare) if w != "cpu")


@functools.cache
def _cpus() -> tuple[tuple[tuple[str, ...], Cpu], ...]:
    """Words to look for, the longest first, with the CPU that they mean."""
    rows = [
        (_words(name), Cpu(name, row["tdp_W"], row["cores"], row["threads"], row["source"]))
        for row in _table()["cpus"]
        for name in row["names"]
    ]
    return tuple(sorted(rows, key=lambda row: -len(row[0])))


@functools.cache
def cpu(name: str) -> Cpu | None:
    """The CPU of a name as the system gives it; None for one that is not in the table, or a name without a model ("AMD EPYC")."""
    said = _words(name)
    for wanted, found in _cpus():
        n = len(wanted)
        if any(said[i : i + n] == wanted and said[i + n : i + n + 1] not in LARGER for i in range(len(said))):
            return found
    return None


@functools.cache
def median_W_per_core() -> float:
    """Watts per busy core of the table's middle CPU: for CPUs that are not in it."""
    return float(statistics.median(row["tdp_W"] / row["cores"] for row in _table()["cpus"]))


def cpu_name() -> str:
    """This machine's CPU as the system names it; the architecture where it names none."""
    try:
        if sys.platform == "darwin":
            said = subprocess.run(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=True).stdout
        elif sys.platform == "win32":
            import winreg

            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
                said = str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
        else:
            found = re.search(r"^model name\s*:(.*)$", CPUINFO.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
            said = found[1] if found else ""  # ARM kernels name no model
    except (OSError, subprocess.SubprocessError):
        said = ""
    return " ".join(said.split()) or platform.processor() or platform.machine()


BRANDS = r"nvidia|geforce|tesla|amd|instinct|\bgpu\b|edition|graphics"
MEMORY = r"\d+ ?gi?b|hbm\d\w*"


def _squashed(name: str) -> str:
    """A GPU's name in lower case, without brands and separators: "NVIDIA GeForce RTX 4090" and "rtx-4090" → rtx4090."""
    return re.sub(r"[^a-z0-9]", "", re.sub(BRANDS, " ", name.lower().replace("_", " ")))


@functools.cache
def _gpus() -> dict[str, Gpu]:
    found: dict[str, Gpu] = {}
    for row in _table()["gpus"]:
        known = Gpu(**{k: v for k, v in row.items() if k != "aliases"})
        for name in (known.name, *row["aliases"]):
            assert _squashed(name) not in found, name
            found[_squashed(name)] = known
    return found


def gpu(name: str) -> Gpu | None:
    """The GPU of a name as NVML gives it or as people type it, in any case and with any separators; None if it is unknown.

    The name must be the whole: a laptop's variant, a cut-down one, or a slice of a GPU is another device. Memory counts only where two
    variants differ by it.
    """
    known = _gpus()
    return known.get(_squashed(name)) or known.get(_squashed(re.sub(MEMORY, " ", name.lower())))


def gpu_names() -> tuple[str, ...]:
    """Names of the GPUs in the table."""
    return tuple(row["name"] for row in _table()["gpus"])
