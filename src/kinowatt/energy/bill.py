"""The energy bill: measured and modelled joules apart, what was not measured is None with its reason, and bills add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from kinowatt.energy.carbon import Intensity, zone_name

MEASURED = ("gpu_J", "cpu_J", "dram_J")
MODELLED = ("cpu_modelled_J", "ram_modelled_J", "host_modelled_J")
PARTS = (*MEASURED, *MODELLED)
LOAD = "load"  # the phase of reading weights and converting networks: paid once, whatever is then made


def add(a: float | None, b: float | None) -> float | None:
    """A sum in which None means not measured: it stays None only where neither part is known."""
    return b if a is None else a if b is None else a + b


@dataclass(frozen=True)
class Energy:
    """Joules of one stretch of time.

    `gpu_J`, `cpu_J`, `dram_J` are read from hardware counters. The others are models, and stand only where there is no counter:
    `cpu_modelled_J` this process's CPU time at an assumed power, `ram_modelled_J` its memory at an assumed power per gigabyte,
    `host_modelled_J` the rest of the machine at a power that its owner has stated.
    """

    wall_s: float = 0.0
    gpu_J: float | None = None
    cpu_J: float | None = None
    dram_J: float | None = None
    cpu_modelled_J: float | None = None
    ram_modelled_J: float | None = None
    host_modelled_J: float | None = None

    def __add__(self, other: Energy) -> Energy:
        return Energy(self.wall_s + other.wall_s, *(add(getattr(self, f), getattr(other, f)) for f in PARTS))

    def since(self, before: Energy) -> Energy:
        """What came after `before`, an earlier reading of the same meter."""
        parts: dict[str, float | None] = {f: getattr(self, f) for f in PARTS}
        return Energy(self.wall_s - before.wall_s, **{f: v if v is None else v - (getattr(before, f) or 0.0) for f, v in parts.items()})

    @property
    def measured_J(self) -> float | None:
        """Sum of the counters; None if there is none."""
        return self._sum(MEASURED)

    @property
    def modelled_J(self) -> float | None:
        """Sum of the models; None if there is none."""
        return self._sum(MODELLED)

    @property
    def total_J(self) -> float | None:
        """Measured and modelled together."""
        return add(self.measured_J, self.modelled_J)

    def _sum(self, parts: tuple[str, ...]) -> float | None:
        total: float | None = None
        for part in parts:
            total = add(total, getattr(self, part))
        return total

    def to_json(self) -> dict[str, float | None]:
        """Values rounded to the millijoule and millisecond."""
        return {f.name: None if (v := getattr(self, f.name)) is None else round(v, 3) for f in fields(self)}


@dataclass(frozen=True)
class EnergyBill:
    """What something cost: energy in all and per phase, and its carbon at a named zone's intensity.

    `sources` says how each part was read, `not_measured` which parts that did work could not be, and why. `pue` is the data centre's
    power usage effectiveness (ISO/IEC 30134-2). `embodied_gCO2e` is the hardware's share of its manufacture (ISO/IEC 21031:2024),
    never added to the operational carbon.
    """

    energy: Energy
    intensity: Intensity
    phases: Mapping[str, Energy] = field(default_factory=dict)
    not_measured: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    pue: float = 1.0
    embodied_gCO2e: float | None = None

    @property
    def total_Wh(self) -> float | None:
        """Watt-hours of the devices, measured and modelled; None if nothing is known."""
        joules = self.energy.total_J
        return None if joules is None else joules / 3600.0

    @property
    def facility_Wh(self) -> float | None:
        """Watt-hours with the building's share."""
        return None if self.total_Wh is None else self.total_Wh * self.pue

    @property
    def carbon_gCO2e(self) -> float | None:
        """Operational grams of CO2 equivalent, location-based, with the building's share."""
        return None if self.facility_Wh is None else self.facility_Wh / 1000.0 * self.intensity.gCO2e_per_kWh

    @property
    def work_J(self) -> float | None:
        """Joules without loading: what one more clip of the kind costs."""
        total, load = self.energy.total_J, self.phases.get(LOAD, Energy()).total_J
        return None if total is None else total - (load or 0.0)

    def __add__(self, other: EnergyBill) -> EnergyBill:
        if other.intensity.zone != self.intensity.zone:
            raise ValueError(f"bills of two zones, {self.intensity.zone} and {other.intensity.zone}, do not add up")
        names = dict.fromkeys((*self.phases, *other.phases))
        missing = {**self.not_measured, **other.not_measured}
        phases = {n: without(self.phases.get(n, Energy()) + other.phases.get(n, Energy()), missing) for n in names}
        energy = without(self.energy + other.energy, missing)
        sources = {**self.sources, **other.sources}
        embodied = add(self.embodied_gCO2e, other.embodied_gCO2e)
        return EnergyBill(energy, self._mean_intensity(other), phases, missing, sources, max(self.pue, other.pue), embodied)

    def _mean_intensity(self, other: EnergyBill) -> Intensity:
        """Of two hours of one zone: by the energy of each."""
        mine, theirs = self.total_Wh or 0.0, other.total_Wh or 0.0
        if self.intensity == other.intensity or mine + theirs == 0:
            return self.intensity
        mean = (self.intensity.gCO2e_per_kWh * mine + other.intensity.gCO2e_per_kWh * theirs) / (mine + theirs)
        return replace(other.intensity, gCO2e_per_kWh=mean)

    def to_json(self) -> dict[str, Any]:
        """The bill as it stands in labels and receipts."""
        return {
            **self.energy.to_json(),
            "total_Wh": _rounded(self.total_Wh),
            "pue": self.pue,
            "facility_Wh": _rounded(self.facility_Wh),
            "carbon_gCO2e": _rounded(self.carbon_gCO2e),
            "embodied_gCO2e": _rounded(self.embodied_gCO2e),
            "zone": self.intensity.zone,
            "intensity_gCO2e_per_kWh": self.intensity.gCO2e_per_kWh,
            "intensity_year": self.intensity.year,
            "intensity_source": self.intensity.source,
            "sources": dict(self.sources),
            "not_measured": dict(self.not_measured),
            "phases": {name: e.to_json() for name, e in self.phases.items()},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> EnergyBill:
        """The bill of a label. KeyError if it is none."""
        parts = {f.name for f in fields(Energy)}

        def energy(row: Mapping[str, Any]) -> Energy:
            return Energy(**{k: v for k, v in row.items() if k in parts})

        zone = Intensity(
            data["zone"],
            zone_name(data["zone"]),
            data["intensity_gCO2e_per_kWh"],
            data["intensity_year"],
            data["intensity_source"],
        )
        phases = {k: energy(v) for k, v in data["phases"].items()}
        rest = (data["not_measured"], data["sources"], data["pue"], data["embodied_gCO2e"])
        return EnergyBill(energy(data), zone, phases, *rest)

    def one_line(self) -> str:
        """The bill in one line for people."""
        missing = "; ".join(f"not measured: {part} ({why})" for part, why in self.not_measured.items())
        if self.total_Wh is None or self.carbon_gCO2e is None:
            return f"energy not measured, {self.energy.wall_s:.1f} s" + (f" ({missing})" if missing else "")
        how = "measured"
        if self.energy.modelled_J is not None:
            how = "modelled" if self.energy.measured_J is None else "measured, in part modelled"
        if missing:
            how += f"; {missing}"
        grid = f"{self.intensity.zone} {self.intensity.year}, {self.intensity.gCO2e_per_kWh:.0f} g/kWh"
        if self.pue != 1.0:
            grid += f", PUE {self.pue:g}"
        return f"{in_Wh(self.total_Wh)} ({how}), {in_grams(self.carbon_gCO2e)} ({grid}), {self.energy.wall_s:.1f} s"


def without(energy: Energy, missing: Mapping[str, str]) -> Energy:
    """The energy with None for every part that is known to be incomplete: a part of a sum is a wrong number."""
    parts = {part: None if part in missing else getattr(energy, part) for part in PARTS}
    return Energy(energy.wall_s, **parts)


def in_Wh(value_Wh: float) -> str:
    """Watt-hours for people."""
    return f"{value_Wh * 1000:.3g} mWh" if value_Wh < 1 else f"{value_Wh:.2f} Wh" if value_Wh < 1000 else f"{value_Wh / 1000:.2f} kWh"


def in_grams(value_gCO2e: float) -> str:
    """Grams of CO2 equivalent for people."""
    return f"{value_gCO2e * 1000:.3g} mg CO2e" if value_gCO2e < 1 else f"{value_gCO2e:.2f} g CO2e"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
