"""The meter: reads every counter at the borders of phases, so that the phases add up to the whole."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from kinowatt.energy.bill import Energy, EnergyBill, add
from kinowatt.energy.carbon import intensity
from kinowatt.energy.devices import Device, all_devices

OTHER = "other"  # time between named phases
PARTS = ("gpu_J", "cpu_J", "dram_J", "modelled_J")


class Meter:
    """Meters what runs inside `with meter:`; `with meter.phase("denoise"):` splits the bill. May be entered again inside itself."""

    def __init__(self, devices: Sequence[Device] | None = None, zone: str | None = None) -> None:
        self.intensity = intensity(zone)  # first: an unknown zone is said before anything is spent
        self.devices = list(all_devices() if devices is None else devices)
        self._phases: dict[str, Energy] = {}
        self._depth = 0
        self._phase = OTHER
        self._last_s = 0.0
        self._last_J: list[float | None] = []

    def __enter__(self) -> Meter:
        if self._depth == 0:
            self._last_s, self._last_J = time.monotonic(), [d.read_J() for d in self.devices]
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._settle()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What runs inside is billed to `name`; an inner phase is taken out of the outer one."""
        self._settle()
        outer, self._phase = self._phase, name
        try:
            yield
        finally:
            self._settle()
            self._phase = outer

    def _settle(self) -> None:
        """Bill the time and joules since the last reading to the present phase."""
        if not self._last_J and not self._depth:
            return
        now_s, now_J = time.monotonic(), [d.read_J() for d in self.devices]
        spent: dict[str, float | None] = dict.fromkeys(PARTS)
        for device, before, after in zip(self.devices, self._last_J, now_J, strict=True):
            if before is not None and after is not None:
                spent[device.part] = add(spent[device.part], after - before)
        self._phases[self._phase] = self._phases.get(self._phase, Energy()) + Energy(now_s - self._last_s, **spent)
        self._last_s, self._last_J = now_s, now_J

    def so_far(self) -> EnergyBill:
        """The bill up to now."""
        if self._depth:
            self._settle()
        return self.bill

    @property
    def bill(self) -> EnergyBill:
        """The bill up to the last border of a phase."""
        total = Energy()
        for energy in self._phases.values():
            total = total + energy
        missing = tuple(d.name for d, value in zip(self.devices, self._last_J, strict=False) if value is None)
        return EnergyBill(total, self.intensity, dict(self._phases), missing)
