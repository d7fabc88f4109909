"""What keeps the network within its limits without new lines: power that is curtailed, or stored and given back. Checked by AC flow.

Curtailment goes round by round: where the worst element of a snapshot is above its limit, plants that relieve it most per megawatt are
cut first, by sensitivities from AC flows; then everything is solved anew, until no violation is left or nothing more can be cut. So the
megawatt-hours are what a rule that works needs, not a proven minimum. Legend: S scenarios, T steps, V violated snapshots, N nodes,
K branches, E lines and transformers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinowatt.grid.circuit import Circuit
from kinowatt.grid.flow import Flows, Solver
from kinowatt.grid.hosting import Case, _outside, _over

ROUNDS = 40
MARGIN = 0.002  # below the limit, so that the last round does not creep up to it
EFFICIENCY = 0.92  # of charging, and again of giving back (lithium-ion, AC to AC about 0.85)
PROBE_MW = 0.1  # of the finite differences


@dataclass(frozen=True, eq=False)
class Curtailed:
    """Cut power (S, T, N) in MW; how many snapshots were violated, and are still, as no plant could help."""

    cut_STN_MW: np.ndarray
    violated: int
    left: int
    rounds: int
    available_MWh: float
    hours: float

    @property
    def energy_MWh(self) -> float:
        """All that was cut."""
        return float(self.cut_STN_MW.sum() * self.hours)


@dataclass(frozen=True, eq=False)
class Stored:
    """Storage that takes what would be curtailed: MW and MWh per node, for all scenarios and for 95 of 100; what was given back; check."""

    power_N_MW: np.ndarray
    energy_N_MWh: np.ndarray
    p95_MW: float
    p95_MWh: float
    taken_MWh: float
    returned_MWh: float
    violations: int  # that giving back caused: none, or the check failed


def violated_of(case: Case, flows: Flows) -> np.ndarray:
    """Which snapshots are violated, by the limits that count."""
    violated: np.ndarray = ~flows.converged_S
    if case.limits != "voltage":
        violated = violated | (_over(flows.loading_SE_percent, case.circuit.limit_E_percent) > 1.0).any(1)
    if case.limits != "thermal":
        violated = violated | (_outside(flows.voltage_SN_pu, case.circuit) > 0).any(1)
    return violated


def curtail(case: Case, solver: Solver, weather: str, installed: dict[str, np.ndarray]) -> Curtailed:
    """Cut plants that the weather drives until AC flow shows no violation."""
    count, steps = case.year_ST.shape
    size, c = max(4096 // steps, 1), case.circuit
    cut_STN, violated, left, rounds, available_MWh = np.zeros((count, steps, c.nodes), np.float32), 0, 0, 0, 0.0
    sensitivity = None
    for begin in range(0, count, size):
        part = slice(begin, min(begin + size, count))
        p, q = case.rest(part)
        given = case.available(weather, installed, part)
        available_MWh += float(given.sum()) * case.hours
        p_SN, q_SN, given_SN = (x.reshape(-1, c.nodes) for x in (p, q, given))
        flows = solver.solve(p_SN + given_SN, q_SN)
        bad = np.flatnonzero(violated_of(case, flows))
        if not len(bad):
            continue
        if sensitivity is None:
            middle = bad[len(bad) // 2]
            sensitivity = _sensitivity(solver, (p_SN + given_SN)[middle], q_SN[middle])
        cut_VN, still, used = _rounds(case, solver, p_SN[bad], q_SN[bad], given_SN[bad], sensitivity)
        flat = cut_STN[part].reshape(-1, c.nodes)
        flat[bad] = cut_VN
        cut_STN[part] = flat.reshape(-1, steps, c.nodes)
        violated, left, rounds = violated + len(bad), left + still, max(rounds, used)
    return Curtailed(cut_STN, violated, left, rounds, available_MWh, case.hours)


def _sensitivity(solver: Solver, p_N: np.ndarray, q_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change of active power into branches (N, K) and of voltages (N, N) per MW at each node, by differences of AC flows."""
    nodes = solver.circuit.nodes
    base = solver.solve(p_N[None], q_N[None])
    if not base.converged_S[0]:
        base, p_N = solver.solve(p_N[None] * 0.0, q_N[None]), p_N * 0.0
    moved = solver.solve(p_N + PROBE_MW * np.eye(nodes), np.tile(q_N, (nodes, 1)))
    return (moved.from_SK_MW - base.from_SK_MW) / PROBE_MW, (moved.voltage_SN_pu - base.voltage_SN_pu) / PROBE_MW


def _rounds(
    case: Case, solver: Solver, p_VN: np.ndarray, q_VN: np.ndarray, given_VN: np.ndarray, sensitivity: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, int, int]:
    """Cut power (V, N), snapshots that stay violated, and rounds used."""
    cut_VN, todo = np.zeros_like(given_VN), np.arange(len(p_VN))
    hopeless, used = 0, 0
    for _ in range(ROUNDS):
        used += 1
        flows = solver.solve(p_VN[todo] + given_VN[todo] - cut_VN[todo], q_VN[todo])
        bad = violated_of(case, flows)
        todo, flows = todo[bad], Flows(*(getattr(flows, n)[bad] for n in Flows.__dataclass_fields__))
        if not len(todo):
            break
        room_VN = given_VN[todo] - cut_VN[todo]
        more_VN = _cuts(case, flows, room_VN, sensitivity)
        helps = more_VN.sum(1) > 1e-6
        hopeless += int((~helps).sum())
        cut_VN[todo] += more_VN
        todo = todo[helps]
        if not len(todo):
            break
    else:
        flows = solver.solve(p_VN[todo] + given_VN[todo] - cut_VN[todo], q_VN[todo])
        hopeless += int(violated_of(case, flows).sum())
    return cut_VN, hopeless, used


def _cuts(case: Case, flows: Flows, room_VN: np.ndarray, sensitivity: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """What to cut (V, N) for the worst element, or else the worst voltage, of each snapshot."""
    c = case.circuit
    per_branch_NK, per_voltage_NN = sensitivity
    over, outside = _over(flows.loading_SE_percent, c.limit_E_percent), _outside(flows.voltage_SN_pu, c)
    branch_E = np.array([c.branches_of(e)[0] for e in range(c.elements)], dtype=int)
    rated_E_MW = np.array([_rating_MW(c, e) for e in range(c.elements)]) * c.limit_E_percent / 100.0
    hot = (over.max(1) > 1.0) & (case.limits != "voltage")
    worst, node = over.argmax(1), outside.argmax(1)
    rows = np.arange(len(over))
    sign = np.sign(flows.from_SK_MW[rows, branch_E[worst]])
    effect_hot = sign[:, None] * per_branch_NK[:, branch_E[worst]].T / rated_E_MW[worst][:, None]
    high = flows.voltage_SN_pu[rows, node] > c.high_N_pu[node]
    effect_off = per_voltage_NN[:, node].T * np.where(high, 1.0, -1.0)[:, None]
    effect = np.where(hot[:, None], effect_hot, effect_off)
    need = np.where(hot, over[rows, worst] - 1.0 + MARGIN, outside[rows, node] + 1e-4)
    effect = np.where(effect > 1e-6 * abs(effect).max(1, keepdims=True), effect, 0.0)
    order = np.argsort(-effect, axis=1)
    sorted_effect, room = np.take_along_axis(effect, order, 1), np.take_along_axis(room_VN, order, 1)
    relief = sorted_effect * room
    before = np.cumsum(relief, 1) - relief
    with np.errstate(divide="ignore", invalid="ignore"):
        amount = np.where(sorted_effect > 0, np.clip(need[:, None] - before, 0.0, relief) / sorted_effect, 0.0)
    out = np.zeros_like(room_VN)
    np.put_along_axis(out, order, amount.astype(out.dtype), 1)
    out[~flows.converged_S] = 0.2 * room_VN[~flows.converged_S]  # without a solution nothing is known of it: a fifth of all
    return out


def _rating_MW(c: Circuit, element: int) -> float:
    """Power of an element at its rating and nominal voltage."""
    end = int(np.flatnonzero(c.end_element == element)[0])
    node = (c.to_K if c.end_to[end] else c.from_K)[c.end_branch[end]]
    return float(np.sqrt(3.0) * c.kv_N[node] * c.end_A[end] / 1e3)


def store(case: Case, solver: Solver, weather: str, installed: dict[str, np.ndarray], curtailed: Curtailed) -> Stored:
    """Storage at the nodes that are curtailed: it takes the cut power, and gives back in later steps without a violation.

    What is given back is halved until AC flow shows no violation, or waits. Each scenario begins with empty storage.
    """
    here = np.flatnonzero(curtailed.cut_STN_MW.sum((1, 2)) > 0)
    nodes = case.circuit.nodes
    if not len(here):
        zero = np.zeros(nodes)
        return Stored(zero, zero, 0.0, 0.0, 0.0, 0.0, 0)
    cut = curtailed.cut_STN_MW[here].astype(float)
    power_N: np.ndarray = cut.max((0, 1))
    (p, q), given = case.rest(here), case.available(weather, installed, here)
    held_SN, most_SN, returned, wrong = np.zeros((len(here), nodes)), np.zeros((len(here), nodes)), 0.0, 0
    for t in range(cut.shape[1]):
        held_SN += cut[:, t] * case.hours * EFFICIENCY
        most_SN = np.maximum(most_SN, held_SN)
        wish = np.where(np.any(cut[:, t] > 0, axis=1, keepdims=True), 0.0, np.minimum(power_N, held_SN * EFFICIENCY / case.hours))
        back, bad = _allowed(case, solver, p[:, t] + given[:, t] - cut[:, t], q[:, t], wish)
        held_SN -= back * case.hours / EFFICIENCY
        returned, wrong = returned + float(back.sum()) * case.hours, wrong + bad
    totals_MW, totals_MWh = cut.sum(2).max(1), most_SN.sum(1)
    everyone = case.year_ST.shape[0] - len(here)  # scenarios that need none count, too
    p95 = [float(np.percentile(np.concatenate([x, np.zeros(everyone)]), 95)) for x in (totals_MW, totals_MWh)]
    return Stored(power_N, most_SN.max(0), p95[0], p95[1], curtailed.energy_MWh, returned, wrong)


def _allowed(case: Case, solver: Solver, p_SN: np.ndarray, q_SN: np.ndarray, wish_SN: np.ndarray) -> tuple[np.ndarray, int]:
    """As much of the wish as causes no violation, and how many violations it causes nevertheless (none)."""
    back, todo = np.zeros_like(wish_SN), np.flatnonzero(wish_SN.any(1))
    if not len(todo):
        return back, 0
    already = violated_of(case, solver.solve(p_SN[todo], q_SN[todo]))
    todo = todo[~already]
    for share in (1.0, 0.5, 0.25, 0.1):
        if not len(todo):
            break
        tried = share * wish_SN[todo]
        fine = ~violated_of(case, solver.solve(p_SN[todo] + tried, q_SN[todo]))
        back[todo[fine]] = tried[fine]
        todo = todo[~fine]
    given = np.flatnonzero(back.any(1))
    wrong = int(violated_of(case, solver.solve(p_SN[given] + back[given], q_SN[given])).sum()) if len(given) else 0
    return back, wrong
