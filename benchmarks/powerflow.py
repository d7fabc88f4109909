"""Power flow of a study beside pandapower, and how long 500 members of 96 steps take; a Markdown table.

    python benchmarks/powerflow.py [--rounds 3] [--snapshots 2000] [--theirs 60] [--members 500]

Both solve the same snapshots of SimBench's year with the same circuit and in turns, so that load of the machine falls on both. pandapower
is called as a user calls it (runpp for each snapshot; without numba, if that is not installed, which the table says), and again keeping
what does not change (`recycle`), the fastest that it offers. Voltages of all its snapshots are compared.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import time
import warnings
from typing import Any

import numpy as np

from kinowatt.energy.processors import cpu_name
from kinowatt.grid.flow import Flows, Solver
from kinowatt.grid.hosting import Case, evaluate
from kinowatt.grid.network import Network, read_network
from kinowatt.grid.scenarios import FIELD

CODES = ("1-MV-rural--0-sw", "1-HV-mixed--0-sw")
NUMBA = importlib.util.find_spec("numba") is not None


def pandapowers(network: Network, p: np.ndarray, q: np.ndarray, recycle: bool) -> tuple[float, np.ndarray]:
    """Seconds and voltages (S, N) of runpp for each snapshot."""
    import pandapower

    net, real = copy.deepcopy(network.net), network.circuit.bus_of_node >= 0
    for table in ("load", "sgen", "storage"):
        net[table]["in_service"] = False
    mine = [pandapower.create_sgen(net, int(b), 0.0, 0.0) for b in network.circuit.bus_of_node[real]]
    options: dict[str, Any] = {"numba": NUMBA, "calculate_voltage_angles": True, "trafo_model": "t"}
    pandapower.runpp(net, **options)
    if recycle:
        options["recycle"] = {"bus_pq": True, "gen": False, "trafo": False}
    voltages, spent = np.empty((len(p), network.circuit.nodes)), 0.0
    for s in range(len(p)):
        net.sgen.loc[mine, "p_mw"], net.sgen.loc[mine, "q_mvar"] = p[s, real], q[s, real]
        begin = time.perf_counter()
        pandapower.runpp(net, **options)
        spent += time.perf_counter() - begin
        voltages[s] = abs(net._ppc["internal"]["V"])
    return spent, voltages


def ours(network: Network, p: np.ndarray, q: np.ndarray) -> tuple[float, Flows]:
    solver = Solver(network.circuit)
    solver.solve(p[:2], q[:2])
    begin = time.perf_counter()
    flows = solver.solve(p, q)
    return time.perf_counter() - begin, flows


def whole_year(network: Network, members: int) -> float:
    """Seconds for one growth step: `members` scenarios of 96 steps, with all verdicts counted."""
    rng = np.random.default_rng(0)
    days = rng.integers(0, len(network.load_YN_MW) // 96, members)
    year_ST = days[:, None] * 96 + np.arange(96)
    kinds = {k: v.profile_YN_MW for k, v in network.plants.items()}
    pv = network.plants["pv"]
    pu = (kinds["pv"] / np.maximum(pv.installed_N_MW, 1e-6))[year_ST].astype(np.float32)
    rest = kinds["wind"] + kinds["other"] - network.load_YN_MW
    case = Case(network.circuit, None, {(FIELD, "pv"): pu}, year_ST, rest, -network.load_YN_Mvar, 0.25)
    begin = time.perf_counter()
    tally = evaluate(case, Solver(network.circuit), FIELD, {"pv": 3 * pv.installed_N_MW})
    assert tally.complete
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--snapshots", type=int, default=2000)
    parser.add_argument("--theirs", type=int, default=60)
    parser.add_argument("--members", type=int, default=500)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{cpu_name()}, pandapower {'with' if NUMBA else 'without'} numba, medians of {asked.rounds} rounds\n")
    print("| network | nodes | pandapower, ms | recycled, ms | here, ms | times faster | than recycled | max ΔV, pu | 500 × 96, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for code in CODES:
        network = read_network(f"simbench:{code}")
        rows = np.random.default_rng(1).integers(0, len(network.load_YN_MW), asked.snapshots)
        p = sum(k.profile_YN_MW for k in network.plants.values())[rows].astype(float) - network.load_YN_MW[rows]
        q = -network.load_YN_Mvar[rows].astype(float)
        plain, kept, mine, apart = [], [], [], 0.0
        for _ in range(asked.rounds):
            seconds, theirs = pandapowers(network, p[: asked.theirs], q[: asked.theirs], False)
            plain.append(1e3 * seconds / asked.theirs)
            kept.append(1e3 * pandapowers(network, p[: asked.theirs], q[: asked.theirs], True)[0] / asked.theirs)
            seconds, flows = ours(network, p, q)
            mine.append(1e3 * seconds / asked.snapshots)
            apart = max(apart, float(abs(theirs - flows.voltage_SN_pu[: asked.theirs]).max()))
        a, b, c = (statistics.median(x) for x in (plain, kept, mine))
        seconds = whole_year(network, asked.members)
        print(
            f"| {code} | {network.circuit.nodes} | {a:.1f} | {b:.1f} | {c:.3f} | {a / c:.0f} | {b / c:.0f} | {apart:.1e} | {seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
