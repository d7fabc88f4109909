"""What waiting for a greener hour saves: a week of jobs, first come first served against the greenest window before each deadline.

Both queues never interrupt a job, know of no job before it arrives, and bill what the trace says. The green one gives each arriving job
the greenest free time that a forecast of the trace shows, and keeps to it. It is run with two forecasts: the trace itself (perfect, which
nobody has) and persistence (each hour to come is as the same hour of the last day known). Jobs whose waiting would cost a deadline that
first come meets are run at once instead; which ones these are is known only afterwards, so `at_once` counts them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kinowatt.energy.hourly import HOUR_s, Trace, Window, greenest, span
from kinowatt.errors import InputError

DAY_h = 24
MONDAY_s = 1_767_571_200.0  # 2026-01-05T00:00Z
Forecast = Callable[[float], Trace | None]  # what is known at a time of the hours from then on


@dataclass(frozen=True)
class Job:
    """A job to be planned: seconds since 1970 UTC, and its watt-hours, drawn evenly over its duration."""

    arrival_s: float
    duration_s: float
    energy_Wh: float
    deadline_s: float


@dataclass(frozen=True)
class Outcome:
    """What a week of jobs came to: grams (without PUE), deadlines missed, mean wait from arrival to start, jobs not let wait."""

    gCO2e: float
    missed: int
    mean_wait_s: float
    at_once: int


@dataclass(frozen=True)
class Saving:
    """First come against the greenest window, with a perfect forecast and with persistence."""

    jobs: int
    workers: int
    source: str
    first_come: Outcome
    perfect: Outcome
    persistence: Outcome

    @property
    def percent(self) -> float | None:
        """Saving with the perfect forecast, in percent of first come: more than a queue can expect. None if first come emits nothing."""
        return self._percent(self.perfect)

    @property
    def persistence_percent(self) -> float | None:
        """Saving with yesterday's hours as the forecast. Negative if waiting made it worse."""
        return self._percent(self.persistence)

    def _percent(self, outcome: Outcome) -> float | None:
        return 100.0 * (1.0 - outcome.gCO2e / self.first_come.gCO2e) if self.first_come.gCO2e > 0 else None

    def table(self) -> list[str]:
        """Lines to print."""
        lines = [
            f"{self.jobs} jobs, {self.workers} worker{'s' if self.workers > 1 else ''}, on {self.source}",
            f"{'queue':<34}{'g CO2e':>10}{'saving':>9}{'missed':>8}{'mean wait':>12}{'at once':>9}",
        ]
        rows = (
            ("first come", self.first_come),
            ("greenest, perfect forecast", self.perfect),
            ("greenest, yesterday as forecast", self.persistence),
        )
        for name, o in rows:
            percent = None if o is self.first_come else self._percent(o)
            saving = "" if percent is None else f"{percent:.1f} %"
            lines.append(f"{name:<34}{o.gCO2e:>10.1f}{saving:>9}{o.missed:>8}{span(o.mean_wait_s):>12}{o.at_once:>9}")
        return [*lines, "A perfect forecast knows the hours to come, which no queue does: expect the saving of the last row."]


def simulate(trace: Trace, jobs: Sequence[Job], workers: int = 1) -> Saving:
    """Run the jobs through both queues. No deadline that first come meets is missed by the green ones.

    InputError if there is no job or worker, a job has no positive duration, or the trace does not cover the jobs' run.
    """
    if not jobs or workers < 1:
        raise InputError("a simulation needs at least one job and one worker")
    if any(not 0 < j.duration_s < math.inf or not 0 <= j.energy_Wh < math.inf for j in jobs):
        raise InputError("a job to simulate has a duration above 0 and an energy of at least 0")
    order = sorted(jobs, key=lambda j: j.arrival_s)
    everyone = frozenset(range(len(order)))
    first = _run(order, workers, lambda _: None, everyone)
    if order[0].arrival_s < trace.start_s or max(b + j.duration_s for b, j in zip(first, order, strict=True)) > trace.end_s:
        raise InputError(f"the trace of {trace.source} does not cover the whole run of the jobs; give one that does")
    outcomes = [_outcome(trace, order, first, everyone)]
    for forecast in (lambda _: trace, lambda now_s: persistence(trace, now_s)):
        begins, at_once = _green(order, workers, forecast, first)
        outcomes.append(_outcome(trace, order, begins, at_once))
    return Saving(len(order), workers, trace.source, *outcomes)


def persistence(trace: Trace, now_s: float) -> Trace | None:
    """What was known at a time: this hour's value, and for hours to come that of the same hour of the last day known, as far as the trace.

    None if the hours of the last day are not all in the trace: nothing is guessed.
    """
    here = int((now_s - trace.start_s) // HOUR_s)
    size = trace.values_gCO2e_per_kWh.size
    if not DAY_h - 1 <= here < size:
        return None
    ahead = np.arange(size - here)
    back = np.where(ahead > 0, -(-ahead // DAY_h) * DAY_h, 0)  # as many whole days as needed to be no later than this hour
    values = trace.values_gCO2e_per_kWh[here + ahead - back]
    return Trace(trace.zone, trace.name, f"persistence of {trace.source}", trace.start_s + here * HOUR_s, values)


def _green(order: Sequence[Job], workers: int, forecast: Forecast, first: Sequence[float]) -> tuple[list[float], frozenset[int]]:
    """Starts in the green queue, and the jobs that had to run at once for it to meet what first come meets."""
    at_once: frozenset[int] = frozenset()
    while True:
        begins = _run(order, workers, forecast, at_once)
        late = [i for i, j in enumerate(order) if _misses(j, begins[i]) and not _misses(j, first[i])]
        if not late:
            return begins, at_once
        at_once |= {_to_blame(order, begins, late[0], at_once)}  # one more each time: in the end it is first come itself


def _to_blame(order: Sequence[Job], begins: Sequence[float], late: int, at_once: frozenset[int]) -> int:
    """Of the jobs that may still wait, one whose waiting made another late: one in its time if there is one, the last to arrive."""

    def weight(k: int) -> tuple[bool, bool, float]:
        waited = begins[k] > order[k].arrival_s
        in_its_time = begins[k] < order[late].deadline_s and begins[k] + order[k].duration_s > order[late].arrival_s
        return waited and in_its_time, waited, order[k].arrival_s if order[k].arrival_s <= order[late].deadline_s else -math.inf

    return max((k for k in range(len(order)) if k not in at_once), key=weight)


def _run(order: Sequence[Job], workers: int, forecast: Forecast, at_once: frozenset[int]) -> list[float]:
    """The start of each job, in the order of arrival: each takes a free stretch of a worker for good."""
    busy: list[list[tuple[float, float]]] = [[] for _ in range(workers)]
    begins = []
    for i, job in enumerate(order):
        free = [(lo, hi, w) for w in range(workers) for lo, hi in _gaps(busy[w], job.arrival_s) if hi - lo >= job.duration_s]
        window, worker = _choose(job, free, None if i in at_once else forecast(job.arrival_s))
        busy[worker] = sorted([*busy[worker], (window.begin_s, window.end_s)])
        begins.append(window.begin_s)
    return begins


def _choose(job: Job, free: Sequence[tuple[float, float, int]], known: Trace | None) -> tuple[Window, int]:
    """The greenest free window that is known to meet the deadline, else the first free one."""
    best: tuple[Window, int] | None = None
    for lo, hi, worker in free if known is not None else ():
        if known is None or lo + job.duration_s > min(hi, job.deadline_s):
            continue
        window = greenest(known, lo, min(hi, job.deadline_s), job.duration_s)
        if window.mean_gCO2e_per_kWh is not None and (best is None or _rank(window) < _rank(best[0])):
            best = window, worker
    if best is not None:
        return best
    lo, _, worker = min(free, key=lambda gap: gap[0])
    return Window(lo, lo + job.duration_s, None), worker


def _rank(window: Window) -> tuple[float, float]:
    mean = window.mean_gCO2e_per_kWh
    return (math.inf if mean is None else round(mean, 9), window.begin_s)


def _gaps(busy: Sequence[tuple[float, float]], now_s: float) -> list[tuple[float, float]]:
    """The free stretches of a worker from now on; the last one has no end."""
    gaps, at = [], now_s
    for begin, end in busy:
        if begin > at:
            gaps.append((at, begin))
        at = max(at, end)
    return [*gaps, (at, math.inf)]


def _misses(job: Job, begin_s: float) -> bool:
    return begin_s + job.duration_s > job.deadline_s + 1e-6  # a microsecond is rounding


def _outcome(trace: Trace, order: Sequence[Job], begins: Sequence[float], at_once: frozenset[int]) -> Outcome:
    grams = [j.energy_Wh / 1000.0 * trace.mean(b, b + j.duration_s) for j, b in zip(order, begins, strict=True)]
    waits = [b - j.arrival_s for j, b in zip(order, begins, strict=True)]
    missed = sum(_misses(j, b) for j, b in zip(order, begins, strict=True))
    return Outcome(math.fsum(grams), missed, math.fsum(waits) / len(order), len(at_once))


def synthetic_week(seed: int = 0) -> Trace:
    """A made-up week from Monday 2026-01-05, with the day before it (for persistence) and the day after (for late deadlines).

    Not a measurement, and of no place: 450 g/kWh, less at noon by the sun (a duck curve), more in the morning and evening, less at the
    weekend, and wind as noise that lasts about a day.
    """
    hours = np.arange(-DAY_h, 8 * DAY_h)
    of_day, weekday = hours % DAY_h, (hours // DAY_h) % 7
    sun = np.clip(np.sin((of_day - 6) / 12 * np.pi), 0, None)
    demand = 30 * np.exp(-(((of_day - 8) / 2) ** 2)) + 90 * np.exp(-(((of_day - 19) / 2.5) ** 2))
    random, wind = np.random.default_rng(seed), np.zeros(hours.size)
    for h in range(1, hours.size):
        wind[h] = 0.96 * wind[h - 1] + random.normal(0, 12)
    values = np.clip(450 - 180 * sun + demand - 40 * (weekday >= 5) + wind, 20, None)
    start_s = MONDAY_s - DAY_h * HOUR_s
    return Trace("", "nowhere", f"a synthetic week (seed {seed}: sun, demand, weekend, wind as noise; no real grid)", start_s, values)


def random_week_jobs(seed: int = 0, n: int = 80, begin_s: float = MONDAY_s, watts_W: float = 700.0) -> list[Job]:
    """`n` jobs that arrive within a week, mostly by day: half an hour each in the median, at `watts_W`.

    They must be done within 1, 4, 12 or 24 hours and their own duration, equally often.
    """
    random = np.random.default_rng(seed)
    of_day = np.where(random.random(n) < 0.8, np.clip(random.normal(14, 3.5, n), 0, 23.9), random.uniform(0, DAY_h, n))
    arrivals_s = begin_s + (random.integers(0, 7, n) * DAY_h + of_day) * HOUR_s
    durations_s = np.clip(random.lognormal(math.log(0.5), 0.7, n), 0.05, 4) * HOUR_s
    slack_s = random.choice([1.0, 4.0, 12.0, 24.0], n) * HOUR_s
    return [
        Job(float(a), float(d), float(d) / HOUR_s * watts_W, float(a + d + s))
        for a, d, s in zip(arrivals_s, durations_s, slack_s, strict=True)
    ]
