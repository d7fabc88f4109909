"""Carbon of making the hardware, by the share of its life that a job takes: M = TE × TS × RS (ISO/IEC 21031:2024, SCI).

TE is what making a device emitted, TS the time over its lifetime, RS the part of it that is reserved. Processors are counted where a
source is known (embodied.json); boards, memory, disks, buildings and the end of life are not. Printed apart from the operational carbon.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from kinowatt.energy.processors import cpu, cpu_name
from kinowatt.errors import InputError

if TYPE_CHECKING:
    from kinowatt.energy.bill import Energy
    from kinowatt.energy.devices import Device

KG_VARIABLE = "KINOWATT_EMBODIED_KG"
LIFETIME_VARIABLE = "KINOWATT_LIFETIME_YEARS"
YEAR_s = 365.25 * 86400.0


@dataclass(frozen=True)
class Embodied:
    """A job's share of making a device: `gCO2e` = `total_kgCO2e` × 1000 × time over lifetime × `share`."""

    name: str
    total_kgCO2e: float
    lifetime_years: float
    time_s: float
    share: float
    source: str

    @property
    def gCO2e(self) -> float:
        """Grams of CO2 equivalent of this time and share."""
        return self.total_kgCO2e * 1000.0 * self.time_s / (self.lifetime_years * YEAR_s) * self.share


@functools.cache
def _table() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files(__package__).joinpath("embodied.json").read_text(encoding="utf-8"))
    return loaded


def embodied_gCO2e(device: str, busy_s: float, share: float = 1.0) -> Embodied | None:
    """The share of a device, named as NVML or /proc/cpuinfo name it, for `busy_s` seconds of a `share` (0 to 1) of it.

    $KINOWATT_EMBODIED_KG replaces the table's kilograms, $KINOWATT_LIFETIME_YEARS the lifetime of 4 years. None if nothing is known of
    the device (`why_unknown` says so in words). InputError if a time, share or variable is no such number.
    """
    if not 0 <= busy_s < math.inf or not 0 <= share <= 1:
        raise InputError(f"{busy_s:g} s of {share:g} of a device is no use of it; give seconds of at least 0 and a share from 0 to 1")
    years = lifetime_years()
    own_kg = _number(KG_VARIABLE, 0.0)
    if own_kg is not None:
        return Embodied(device, own_kg, years, busy_s, share, f"${KG_VARIABLE}")
    row = _find(device)
    if row is None:
        return None
    return Embodied(row["name"], row["kgCO2e"], years, busy_s, share, _table()["sources"][row["source"]])


def why_unknown(device: str) -> str:
    """Why there is no embodied carbon for a device, and what would give it."""
    return f"no source is known for the making of {device!r}; set {KG_VARIABLE} to the machine's kilograms of CO2 equivalent"


def lifetime_years() -> float:
    """Years over which the making is spread: $KINOWATT_LIFETIME_YEARS, else 4 (Cloud Carbon Footprint's rack server)."""
    years = _number(LIFETIME_VARIABLE, 0.1)
    return float(_table()["lifetime_years"]) if years is None else years


def embodied_of(devices: Sequence[Device], total: Energy, share: float = 1.0) -> float | None:
    """Grams for a job's whole time on this machine: its GPUs that were metered, and the processor by the threads this process may use.

    With $KINOWATT_EMBODIED_KG, that many kilograms for the machine as one. `share` is the job's part where jobs run side by side.
    None if a device has no source or the processor's size is hidden (virtual machines): a part of a sum is a wrong number.
    """
    if os.environ.get(KG_VARIABLE):
        whole = embodied_gCO2e("this machine", total.wall_s, share)
        return None if whole is None else whole.gCO2e
    gpus = [embodied_gCO2e(str(getattr(d, "gpu", d.name)), total.wall_s, share) for d in devices if d.part == "gpu_J"]
    parts = [*gpus, *_processors(total.wall_s, share)]
    return math.fsum(p.gCO2e for p in parts if p is not None) if parts and all(p is not None for p in parts) else None


def sci_gCO2e(operational_gCO2e: float | None, embodied_gCO2e: float | None, units: float) -> float | None:
    """Software carbon intensity: (O + M) per R, such as grams per clip. None if a half is not known. InputError without a unit."""
    if not 0 < units < math.inf:
        raise InputError(f"carbon is told per functional unit; {units:g} units were made")
    if operational_gCO2e is None or embodied_gCO2e is None:
        return None
    return (operational_gCO2e + embodied_gCO2e) / units


def _processors(busy_s: float, share: float) -> list[Embodied | None]:
    """Every processor that this process may use threads of, by these threads. [None] if its name or size is hidden."""
    name = _this_cpu()
    written, known = re.search(r"(\d+)-Core", name), cpu(name)
    threads = known.threads if known is not None else 2 * int(written[1]) if written else 0  # AMD writes the cores, each with two threads
    if threads < 1:
        return [None]
    visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    sockets = -(-visible // threads)
    return [embodied_gCO2e(name, busy_s, share * visible / (threads * sockets))] * sockets


@functools.cache
def _this_cpu() -> str:
    return cpu_name()  # a long file on large machines, and a process on macOS; bills are made often


def _find(device: str) -> dict[str, Any] | None:
    said = " ".join(device.replace("-", " ").split()).lower().removeprefix("nvidia ")
    for row in _table()["devices"]:
        exact = any(said == n.lower() for n in row.get("names", ()))  # not by its beginning: "H100-40C" is a virtual part of one
        if exact or any(device.strip().lower().startswith(b.lower()) for b in row.get("begins", ())):
            found: dict[str, Any] = row
            return found
    return None


def _number(variable: str, least: float) -> float | None:
    """A variable's number; None if it is not set."""
    said = os.environ.get(variable)
    if not said:
        return None
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not least <= value < 1e6:
        raise InputError(f"{variable}={said!r} cannot be used; write a number of at least {least:g}, such as 4")
    return value
