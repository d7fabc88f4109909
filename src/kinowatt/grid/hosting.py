"""Hosting capacity: how much may be built before the risk of a violation exceeds what the plan allows.

A violation is a step of a scenario in which any line or transformer is loaded above its limit, any voltage leaves its limits, or the power
flow has no solution. The risk is the share of all steps of all scenarios with a violation. Hosting capacity is the largest growth on the
axis at which the risk is at most the planned one, all smaller ones on the way being taken to be, too (risk is thought not to fall with
growth; where it was seen to, the study says so). The same scenarios serve every growth and placement: common random numbers.
Legend: S scenarios, T steps, N nodes, E lines and transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kinowatt.grid.circuit import Circuit
from kinowatt.grid.flow import Solver

CHUNK = 4096  # snapshots that are built and solved at a time
BINS = np.linspace(0.0, 200.0, 101)  # of loadings in %, for exceedance curves; more than 200 % counts into the last one
LIMITS = ("all", "thermal", "voltage")


@dataclass(frozen=True, eq=False)
class Case:
    """What does not change with growth: the circuit, powers of a megawatt by (weather, kind) as (S, T, N), and all other injections.

    `year_ST` says which row of `rest_YN_MW` and `rest_YN_Mvar` belongs to a step. `limits` says which ones count.
    """

    circuit: Circuit
    net: object  # pandapower's form, only where generators hold voltages
    pu: dict[tuple[str, str], np.ndarray]
    year_ST: np.ndarray
    rest_YN_MW: np.ndarray
    rest_YN_Mvar: np.ndarray
    hours: float
    limits: str = "all"

    def available(self, weather: str, installed: dict[str, np.ndarray], scenarios: np.ndarray | slice) -> np.ndarray:
        """Power of the plants that the weather drives (S, T, N), MW."""
        parts = [self.pu[weather, kind][scenarios] * mw_N.astype(np.float32) for kind, mw_N in installed.items()]
        return np.asarray(sum(parts))

    def rest(self, scenarios: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Injections of everything else (S, T, N), MW and Mvar."""
        rows = self.year_ST[scenarios]
        return self.rest_YN_MW[rows], self.rest_YN_Mvar[rows]


@dataclass(frozen=True, eq=False)
class Tally:
    """What a growth did. `seen` scenarios were solved before the verdict was sure; counts are of those only."""

    scenarios: int
    seen: int
    steps: int
    violated_S: np.ndarray  # steps with a violation; -1 where not seen
    lines_S: np.ndarray  # steps with a line above its limit
    trafos_S: np.ndarray
    voltage_S: np.ndarray
    element_E: np.ndarray  # steps above the limit, by element
    node_N: np.ndarray
    worst_E: np.ndarray  # steps with a violation in which this element was the farthest above its limit
    worst_voltage: int  # steps in which only voltages were violated
    unsolved: np.ndarray  # (scenario, step) of flows without a solution
    lines_histogram: np.ndarray  # of the most loaded line of each step, in `BINS`
    trafos_histogram: np.ndarray
    losses_MWh: float
    power_ST_MW: np.ndarray  # float32, of plants that the weather drives; nan where not seen
    worst_ST: np.ndarray  # largest loading over its limit, 1 at the limit; nan where not seen or unsolved

    @property
    def risk(self) -> float:
        """Share of steps with a violation, of all when all were seen."""
        return float(self.violated_S[self.violated_S >= 0].sum() / max(self.seen * self.steps, 1))

    @property
    def complete(self) -> bool:
        """Whether all scenarios were seen."""
        return self.seen == self.scenarios


def evaluate(case: Case, solver: Solver, weather: str, installed: dict[str, np.ndarray], risk: float | None = None) -> Tally:
    """Solve all steps of all scenarios. With `risk`, stop as soon as no further scenario can change on which side of it the share lies."""
    count, steps = case.year_ST.shape
    size, c = max(CHUNK // steps, 1), case.circuit
    per_S = {n: np.full(count, -1) for n in ("violated", "lines", "trafos", "voltage")}
    element_E, node_N, worst_E = (np.zeros(n, int) for n in (c.elements, c.nodes, c.elements))
    power_ST, worst_ST = (np.full((count, steps), np.nan, np.float32) for _ in range(2))
    histograms, unsolved, losses, only_voltage, seen, bad = np.zeros((2, len(BINS) - 1), int), [], 0.0, 0, 0, 0
    line_E = c.is_line_E
    for begin in range(0, count, size):
        part = slice(begin, min(begin + size, count))
        p, q = case.rest(part)
        given = case.available(weather, installed, part)
        flows = solver.solve((p + given).reshape(-1, c.nodes), q.reshape(-1, c.nodes))
        over = _over(flows.loading_SE_percent, c.limit_E_percent)
        outside = _outside(flows.voltage_SN_pu, c)
        hot, off = over > 1.0, outside > 0.0
        thermal, voltage = hot.any(1), off.any(1)
        failed = ~flows.converged_S
        violated = failed | (thermal if case.limits != "voltage" else False) | (voltage if case.limits != "thermal" else False)
        shape = (-1, steps)
        for name, what in (
            ("violated", violated),
            ("lines", hot[:, line_E].any(1)),
            ("trafos", hot[:, ~line_E].any(1)),
            ("voltage", voltage),
        ):
            per_S[name][part] = what.reshape(shape).sum(1)
        element_E += hot.sum(0)
        node_N += off.sum(0)
        worst_E += np.bincount(over[thermal].argmax(1), minlength=c.elements) if thermal.any() else 0
        only_voltage += int((voltage & ~thermal).sum())
        for i, mine in enumerate((line_E, ~line_E)):
            if mine.any():
                most = flows.loading_SE_percent[flows.converged_S][:, mine].max(1, initial=0.0)
                histograms[i] += np.histogram(np.clip(most, 0.0, BINS[-1] - 1e-9), BINS)[0]
        unsolved += [(begin + s // steps, s % steps) for s in np.flatnonzero(failed).tolist()]
        losses += float(np.nansum(flows.losses_S_MW)) * case.hours
        power_ST[part], worst_ST[part] = given.sum(2), np.where(failed, np.nan, over.max(1)).reshape(shape)
        seen, bad = part.stop, bad + int(violated.sum())
        if risk is not None and (bad > risk * count * steps or bad + (count - seen) * steps <= risk * count * steps):
            break
    return Tally(
        count, seen, steps, per_S["violated"], per_S["lines"], per_S["trafos"], per_S["voltage"], element_E, node_N, worst_E, only_voltage,
        np.array(unsolved, int).reshape(-1, 2), histograms[0], histograms[1], losses, power_ST, worst_ST,
    )  # fmt: skip


def _over(loading_SE: np.ndarray, limit_E: np.ndarray) -> np.ndarray:
    """Loading over its limit; 0 where there is no solution."""
    return np.asarray(np.nan_to_num(loading_SE / limit_E))


def _outside(voltage_SN: np.ndarray, c: Circuit) -> np.ndarray:
    """How far voltages lie outside of their limits, pu; 0 or less within, or where there is no solution."""
    return np.asarray(np.nan_to_num(np.maximum(voltage_SN - c.high_N_pu, c.low_N_pu - voltage_SN), nan=-1.0))


@dataclass(frozen=True)
class Hosted:
    """The answer for one placement: index on the axis of the largest growth that passes (-1: none), and the counts of tested growths."""

    last: int
    tested: tuple[int, ...]
    tallies: tuple[Tally, ...]

    def of(self, index: int) -> Tally:
        """The tally of a tested growth."""
        return self.tallies[self.tested.index(index)]


def search(count: int, risk: float, tally_of: Callable[[int], Tally]) -> Hosted:
    """Bisection among `count` growths in rising order; the smallest and the largest are tested first.

    Growths between two that pass are taken to pass. At the end the answer and the next growth have both been tested.
    """
    done: dict[int, Tally] = {}

    def passes(index: int) -> bool:
        done[index] = tally_of(index)
        return done[index].risk <= risk

    if not passes(0):
        last = -1
    elif count == 1 or passes(count - 1):
        last = count - 1
    else:
        last, first_bad = 0, count - 1
        while first_bad - last > 1:
            middle = (last + first_bad) // 2
            if passes(middle):
                last = middle
            else:
                first_bad = middle
    order = tuple(sorted(done))
    return Hosted(last, order, tuple(done[i] for i in order))


def limiting(circuit: Circuit, tally: Tally) -> str:
    """The element that was most often the farthest above its limit, or the voltage."""
    if not tally.worst_E.any() and not tally.worst_voltage:
        return "power flow without a solution" if len(tally.unsolved) else ""
    if tally.worst_voltage > tally.worst_E.max(initial=0):
        return f"voltage, bus {circuit.bus_of_node[int(tally.node_N.argmax())]}"
    worst = int(tally.worst_E.argmax())
    return f"{circuit.kinds[worst]} {circuit.names[worst]}"


def placements(shares_N: np.ndarray, candidates: np.ndarray, count: int, seed: Sequence[int]) -> np.ndarray:
    """Where what is added goes: shares (count, N) that add to one. The first is in place, as what stands; others are drawn.

    Drawn ones choose a third of the candidates (at least one) and share among them by Dirichlet(1), so few sites get much.
    """
    rng = np.random.default_rng(seed)
    out = np.zeros((count, len(shares_N)))
    out[0] = shares_N
    for row in out[1:]:
        sites = rng.choice(candidates, max(len(candidates) // 3, 1), replace=False)
        row[sites] = rng.dirichlet(np.ones(len(sites)))
    return out


def axis_of(text: str, what: str) -> tuple[float, ...]:
    """ "1:10:0.5" to growths from 1 to 10 in steps of a half; "3" to one. GridError if it is no rising axis of factors from 0 on."""
    from kinowatt.errors import GridError

    parts = text.split(":")
    try:
        numbers = [float(p) for p in parts]
        assert np.isfinite(numbers).all()
    except (ValueError, AssertionError):
        raise GridError(f"{what} {text[:40]!r} is not understood; write FROM:TO:STEP, for example 1:10:0.5, or one number") from None
    if len(numbers) == 1:
        numbers = [numbers[0], numbers[0], 1.0]
    if len(numbers) == 2:
        numbers.append(1.0)
    if len(numbers) != 3 or numbers[0] < 1 or numbers[1] < numbers[0] or numbers[2] <= 0:
        raise GridError(
            f"{what} {text[:40]!r} is no growth; it begins at 1 (what stands) or more and rises in steps above 0, as in 1:10:0.5"
        )
    count = int(np.floor((numbers[1] - numbers[0]) / numbers[2] + 1e-9)) + 1
    if count > 1000:
        raise GridError(f"{what} {text[:40]!r} has {count} steps, more than 1000; take larger ones")
    return tuple(round(numbers[0] + i * numbers[2], 9) for i in range(count))


def interval(values_MW: np.ndarray, low: float = 5.0, high: float = 95.0) -> tuple[float, float]:
    """Percentiles that enclose nine of ten."""
    return float(np.percentile(values_MW, low)), float(np.percentile(values_MW, high))


def resampled_last(hosted: Hosted, growths: Sequence[float], risk: float, draws_BS: np.ndarray) -> np.ndarray:
    """The answer's growth for other draws of scenarios (B): risks at tested growths of those draws, straight lines between them.

    Where the search stopped early, a growth's scenarios that were not seen have its mean. 0 where no growth passes.
    """
    at, risks = [], []
    for index, tally in zip(hosted.tested, hosted.tallies, strict=True):
        share_S = np.where(tally.violated_S >= 0, tally.violated_S / tally.steps, tally.risk)
        at.append(growths[index])
        risks.append(share_S[draws_BS].mean(1))
    curves = np.maximum.accumulate(np.array(risks).T, axis=1)  # (B, tested)
    out = np.zeros(len(draws_BS))
    for b, curve in enumerate(curves):
        if curve[0] > risk:
            continue
        fine = np.array(growths)
        out[b] = fine[np.interp(fine, at, curve) <= risk].max()
    return out
