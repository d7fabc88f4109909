"""The energy bill: measured and modelled joules apart, what was not measured is None, and bills add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from kinowatt.energy.carbon import Intensity, intensity


def add(a: float | None, b: float | None) -> float | None:
    """A sum in which None means not measured: it stays None only where neither part is known."""
    return b if a is None else a if b is None else a + b


@dataclass(frozen=True)
class Energy:
    """Joules of one stretch of time.

    `gpu_J`, `cpu_J`, `dram_J` are read from hardware counters of the whole device; `modelled_J` is this process's CPU time at an
    assumed power, and stands only where the CPU has no counter.
    """

    wall_s: float = 0.0
    gpu_J: float | None = None
    cpu_J: float | None = None
    dram_J: float | None = None
    modelled_J: float | None = None

    def __add__(self, other: Energy) -> Energy:
        return Energy(
            self.wall_s + other.wall_s, *(add(getattr(self, f), getattr(other, f)) for f in ("gpu_J", "cpu_J", "dram_J", "modelled_J"))
        )

    @property
    def measured_J(self) -> float | None:
        """Sum of the counters; None if there is none."""
        return add(add(self.gpu_J, self.cpu_J), self.dram_J)

    @property
    def total_J(self) -> float | None:
        """Measured and modelled together."""
        return add(self.measured_J, self.modelled_J)

    def to_json(self) -> dict[str, float | None]:
        """Values rounded to the millijoule and millisecond."""
        return {f.name: None if (v := getattr(self, f.name)) is None else round(v, 3) for f in fields(self)}


@dataclass(frozen=True)
class EnergyBill:
    """What something cost: energy in all and per phase, and its carbon at a named zone's intensity."""

    energy: Energy
    intensity: Intensity
    phases: Mapping[str, Energy] = field(default_factory=dict)
    not_measured: tuple[str, ...] = ()  # devices that did work and have no counter

    @property
    def total_Wh(self) -> float | None:
        """Watt-hours, measured and modelled; None if nothing is known."""
        joules = self.energy.total_J
        return None if joules is None else joules / 3600.0

    @property
    def carbon_gCO2e(self) -> float | None:
        """Grams of CO2 equivalent of the total, location-based."""
        return None if self.total_Wh is None else self.total_Wh / 1000.0 * self.intensity.gCO2e_per_kWh

    def __add__(self, other: EnergyBill) -> EnergyBill:
        if other.intensity != self.intensity:
            raise ValueError(f"bills of two zones, {self.intensity.zone} and {other.intensity.zone}, do not add up")
        names = dict.fromkeys((*self.phases, *other.phases))
        phases = {n: self.phases.get(n, Energy()) + other.phases.get(n, Energy()) for n in names}
        missing = tuple(dict.fromkeys((*self.not_measured, *other.not_measured)))
        return EnergyBill(self.energy + other.energy, self.intensity, phases, missing)

    def to_json(self) -> dict[str, Any]:
        """The bill as it stands in labels and receipts."""
        return {
            **self.energy.to_json(),
            "total_Wh": None if self.total_Wh is None else round(self.total_Wh, 6),
            "carbon_gCO2e": None if self.carbon_gCO2e is None else round(self.carbon_gCO2e, 6),
            "zone": self.intensity.zone,
            "intensity_gCO2e_per_kWh": self.intensity.gCO2e_per_kWh,
            "intensity_year": self.intensity.year,
            "intensity_source": self.intensity.source,
            "not_measured": list(self.not_measured),
            "phases": {name: e.to_json() for name, e in self.phases.items()},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> EnergyBill:
        """The bill of a label. KeyError if it is none."""
        parts = {f.name for f in fields(Energy)}

        def energy(row: Mapping[str, Any]) -> Energy:
            return Energy(**{k: v for k, v in row.items() if k in parts})

        name = intensity(data["zone"]).name
        zone = Intensity(data["zone"], name, data["intensity_gCO2e_per_kWh"], data["intensity_year"], data["intensity_source"])
        return EnergyBill(energy(data), zone, {k: energy(v) for k, v in data["phases"].items()}, tuple(data["not_measured"]))

    def one_line(self) -> str:
        """The bill in one line for people."""
        if self.total_Wh is None or self.carbon_gCO2e is None:
            return f"energy not measured, {self.energy.wall_s:.1f} s"
        how = "measured"
        if self.energy.modelled_J is not None:
            how = "modelled from CPU time" if self.energy.measured_J is None else "measured, the CPU modelled"
        if self.not_measured:
            how += f"; not measured: {', '.join(self.not_measured)}"
        amount = f"{self.total_Wh * 1000:.1f} mWh" if self.total_Wh < 1 else f"{self.total_Wh:.2f} Wh"
        carbon = f"{self.carbon_gCO2e * 1000:.1f} mg CO2e" if self.carbon_gCO2e < 1 else f"{self.carbon_gCO2e:.2f} g CO2e"
        grid = f"{self.intensity.zone} {self.intensity.year}, {self.intensity.gCO2e_per_kWh:.0f} g/kWh"
        return f"{amount} ({how}), {carbon} ({grid}), {self.energy.wall_s:.1f} s"
