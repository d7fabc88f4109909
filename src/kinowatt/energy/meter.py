"""The meter: reads every counter at the borders of phases, so that the phases add up to the whole."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from kinowatt.energy import devices
from kinowatt.energy.bill import PARTS, Energy, EnergyBill, without
from kinowatt.energy.carbon import Intensity, pue
from kinowatt.energy.embodied import embodied_of
from kinowatt.energy.grid_source import current
from kinowatt.energy.shares import Counter, between_processes

OTHER = "other"  # time between named phases


class Window:
    """A stretch of a meter's time, from where it was opened to where it was closed. Windows may lie in each other and overlap."""

    def __init__(self, meter: Meter) -> None:
        self._meter, self._begin = meter, dict(meter.so_far().phases)
        self._end: EnergyBill | None = None

    def close(self) -> EnergyBill:
        """The bill of the window; what comes after is not in it."""
        self._end = self._end or self._cut()
        return self._end

    @property
    def bill(self) -> EnergyBill:
        """The bill so far, or the whole one once the window is closed."""
        return self._end or self._cut()

    def _cut(self) -> EnergyBill:
        now = self._meter.so_far()
        phases = {name: energy.since(self._begin.get(name, Energy())) for name, energy in now.phases.items()}
        return self._meter.bill_of({name: e for name, e in phases.items() if e.wall_s > 0})


class Meter:
    """Meters what runs inside `with meter:`; `with meter.phase("denoise"):` splits the bill. May be entered again inside itself."""

    def __init__(self, given: Sequence[devices.Device | Counter] | None = None, zone: str | None = None) -> None:
        self.intensity: Intensity = current(zone)  # first: an unknown zone is said before anything is spent
        self.pue = pue()
        self.counters = _counters(_surroundings()) if given is None else [d if isinstance(d, Counter) else Counter(d) for d in given]
        self._phases: dict[str, Energy] = {}
        self._broken: dict[str, str] = {}
        self._depth = 0
        self._phase = OTHER
        self._tokens: list[str] = []
        self._last_s = 0.0
        self._last_J: list[float] = []

    def __enter__(self) -> Meter:
        if self._depth == 0:
            self._last_s, self._tokens = time.monotonic(), [c.open() for c in self.counters]
            self._last_J = [0.0] * len(self.counters)
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._settle(close=True)

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

    @contextlib.contextmanager
    def window(self) -> Iterator[Window]:
        """A bill of its own for what runs inside; the meter's bill is not changed by it. `open_window` for windows that overlap."""
        window = self.open_window()
        try:
            yield window
        finally:
            window.close()

    def open_window(self) -> Window:
        """A window from here until it is closed."""
        return Window(self)

    def _settle(self, *, close: bool = False) -> None:
        """Bill the time and joules since the last reading to the present phase."""
        if not self._tokens:
            return
        now_s, spent = time.monotonic(), dict[str, float]()
        for i, (counter, token) in enumerate(zip(self.counters, self._tokens, strict=True)):
            account = counter.read(token, close=close)
            if account.broken:
                self._broken.setdefault(counter.part, account.broken)
            spent[counter.part] = spent.get(counter.part, 0.0) + account.joules_J - self._last_J[i]
            self._last_J[i] = account.joules_J
        energy = Energy(now_s - self._last_s, **spent)
        self._phases[self._phase] = self._phases.get(self._phase, Energy()) + energy
        self._last_s = now_s
        if close:
            self._tokens = []

    def so_far(self) -> EnergyBill:
        """The bill up to now."""
        self._settle()
        return self.bill

    @property
    def bill(self) -> EnergyBill:
        """The bill up to the last border of a phase."""
        return self.bill_of(self._phases)

    def bill_of(self, phases: dict[str, Energy]) -> EnergyBill:
        """A bill of these phases. A part whose counter broke is None in all of them: a part of a sum is a wrong number."""
        total = functools.reduce(Energy.__add__, phases.values(), Energy())
        sources = {c.part: c.name for c in self.counters if c.part not in self._broken}
        for part in PARTS:  # two GPUs, for example
            names = dict.fromkeys(c.name for c in self.counters if c.part == part and part in sources)
            if len(names) > 1:
                sources[part] = "; ".join(names)
        clean = {name: without(energy, self._broken) for name, energy in phases.items()}
        missing, embodied = dict(self._broken), embodied_of([c.device for c in self.counters], total)
        return EnergyBill(without(total, missing), self.intensity, clean, missing, sources, self.pue, embodied)


def _surroundings() -> tuple[str | None, ...]:
    """What the choice of counters depends on."""
    return tuple(os.environ.get(v) for v in (devices.CPU_W_VARIABLE, devices.HOST_W_VARIABLE, "CUDA_VISIBLE_DEVICES"))


@functools.lru_cache(maxsize=4)
def _counters(surroundings: tuple[str | None, ...]) -> list[Counter]:
    """This machine's counters; those of whole devices are shared with other processes, models of this process within it."""
    found = []
    for device in devices.all_devices():
        whole = isinstance(device, devices.Rapl | devices.NvmlGpu) and not isinstance(device, devices.NvmlPower)
        found.append(between_processes(device, getattr(device, "id", device.name)) if whole else Counter(device))
    return found
