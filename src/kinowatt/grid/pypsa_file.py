"""A study as a PyPSA network with stochastic scenarios (NetCDF): buses, lines, transformers, loads, and plants with their profiles."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.errors import MissingDependency, OutputError
from kinowatt.grid.scenarios import FIELD
from kinowatt.grid.study import Study

MOST = 20  # scenarios that are written: their number multiplies every table
UPSTREAM_PER_MWh = 100.0  # what power from the sources costs in the file, so that an optimisation prefers plants; a placeholder


def write_pypsa(path: Path, study: Study) -> int:
    """Write the plan of the map's growth, and say with how many scenarios. All have the same time of day. OutputError, MissingDependency.

    In PyPSA loads, profiles and shifts are those of the scenario's day; ratings are apparent power at nominal voltage.
    """
    try:
        import pandas
        import pypsa
    except ImportError as error:
        raise MissingDependency("the PyPSA export needs pypsa; install kinowatt[grid]") from error
    s, scenarios = study.settings, study.scenarios
    chosen = np.linspace(0, scenarios.count - 1, min(MOST, scenarios.count)).round().astype(int)
    names = [f"scenario {i}" for i in chosen]
    plan = study.work.plan(s.growths(s.main)[study.map_index], s.growths(s.other)[0], 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pypsa").setLevel(logging.ERROR)
        n = pypsa.Network(name=study.network.name)
        n.set_snapshots(pandas.DatetimeIndex(scenarios.times_ST[chosen[0]]))
        n.snapshot_weightings.loc[:, :] = scenarios.hours
        _parts(n, study, plan)
        if len(names) > 1:
            n.set_scenarios({name: 1.0 / len(names) for name in names})
        here = {kind: np.flatnonzero(mw_N > 0) for kind, mw_N in plan.items()}
        pu = [scenarios.pu[FIELD, kind][chosen][:, :, nodes] for kind, nodes in here.items()]
        columns = [f"{kind} {i}" for kind, nodes in here.items() for i in nodes]
        _profiles(n, "generators", "p_max_pu", columns, np.concatenate(pu, 2), names, pandas)
        load_STN = study.network.load_YN_MW[study.work.case.year_ST[chosen]]
        used = np.flatnonzero(study.network.load_YN_MW.any(0))
        _profiles(n, "loads", "p_set", [f"load {i}" for i in used], load_STN[:, :, used], names, pandas)
        try:
            n.export_to_netcdf(str(path))
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    return len(names)


def _parts(n: Any, study: Study, plan: dict[str, np.ndarray]) -> None:
    c, network = study.network.circuit, study.network
    bus = [f"node {i}" for i in range(c.nodes)]
    n.add("Bus", bus, v_nom=c.kv_N, x=network.lon_N, y=network.lat_N)
    for e in range(c.elements):
        for k in c.branches_of(e):
            end = np.flatnonzero((c.end_element == e) & (c.end_branch == k))[0]
            node = (c.to_K if c.end_to[end] else c.from_K)[k]
            rating = float(np.sqrt(3) * c.kv_N[node] * c.end_A[end] / 1e3 * c.limit_E_percent[e] / 100.0)
            same = {"bus0": bus[c.from_K[k]], "bus1": bus[c.to_K[k]], "s_nom": rating}
            name = f"{c.kinds[e]} {c.index_E[e]}" + ("" if len(c.branches_of(e)) == 1 else f" {k}")
            if c.kinds[e] == "line":
                n.add("Line", name, carrier="AC", r=c.r_K_ohm[k], x=c.x_K_ohm[k], b=c.b_K_S[k], g=c.g_K_S[k], **same)
            else:  # PyPSA wants per unit of the rating
                ohm = c.kv_N[c.to_K[k]] ** 2 / rating
                turns = {"tap_ratio": c.ratio_K[k], "phase_shift": np.degrees(c.shift_K_rad[k]), "model": "pi"}
                n.add(
                    "Transformer", name, r=c.r_K_ohm[k] / ohm, x=c.x_K_ohm[k] / ohm, b=c.b_K_S[k] * ohm, g=c.g_K_S[k] * ohm, **turns, **same
                )
    for i in np.flatnonzero(network.load_YN_MW.any(0)):
        n.add("Load", f"load {i}", bus=bus[i])
    for kind, mw_N in plan.items():
        for i in np.flatnonzero(mw_N > 0):
            n.add("Generator", f"{kind} {i}", bus=bus[i], p_nom=float(mw_N[i]), carrier=kind, control="PQ")
    n.add("Carrier", [*plan, "upstream", "AC"])
    for i in c.source_node:
        n.add(
            "Generator",
            f"upstream {i}",
            bus=bus[i],
            p_nom=1e5,
            p_min_pu=-1.0,
            marginal_cost=UPSTREAM_PER_MWh,
            carrier="upstream",
            control="Slack",
        )


def _profiles(n: Any, table: str, attribute: str, columns: list[str], values_STC: np.ndarray, names: list[str], pandas: Any) -> None:
    """Fill a time-dependent table: by scenario and component where there are scenarios."""
    if not columns:
        return
    frame = values_STC[0] if len(names) == 1 else np.concatenate(list(values_STC), 1)
    index = columns if len(names) == 1 else pandas.MultiIndex.from_product([names, columns], names=["scenario", "name"])
    made = pandas.DataFrame(frame.astype(float), index=n.snapshots, columns=index)
    n.components[table].dynamic[attribute] = made
