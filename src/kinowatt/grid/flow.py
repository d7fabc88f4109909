"""AC power flow of many snapshots: power-grid-model in batches (Newton-Raphson, never its linear method), pandapower as oracle.

Where generators hold voltages power-grid-model cannot compute the network, and pandapower solves all snapshots, which is said.
Legend: S snapshots, N nodes, K branches, E lines and transformers.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kinowatt.errors import GridError
from kinowatt.grid.circuit import Circuit

BATCH = 4096  # snapshots at a time: what they need stays in the cache and within 100 MB
STIFF_VA = 1e15  # short-circuit power of sources: their voltage is given
TOLERANCE_pu = 1e-8  # of voltages, from one iteration to the next
AGREE_pu = 1e-5  # what both solvers may differ by


@dataclass(frozen=True, eq=False)
class Flows:
    """Loading in % (S, E), voltages in pu (S, N), active power into branches in MW (S, K), losses (S), and which snapshots converged.

    Rows of snapshots that did not converge are NaN.
    """

    loading_SE_percent: np.ndarray
    voltage_SN_pu: np.ndarray
    from_SK_MW: np.ndarray
    losses_S_MW: np.ndarray
    converged_S: np.ndarray


@dataclass(frozen=True, eq=False)
class Check:
    """What pandapower said of some snapshots: the largest differences, and how many converged with one of the two only."""

    snapshots: int
    one_converged: int
    voltage_pu: float
    loading_percent: float

    def to_json(self) -> dict[str, float]:
        """For the summary."""
        return {
            "snapshots": self.snapshots,
            "converged_with_one_solver_only": self.one_converged,
            "max_voltage_difference_pu": self.voltage_pu,
            "max_loading_difference_percent": self.loading_percent,
        }


class Solver:
    """A circuit ready to be solved for injections into its nodes (MW and Mvar, positive into the network)."""

    def __init__(self, circuit: Circuit, net: Any = None, threads: int = 0) -> None:
        """`net`, pandapower's form, is needed only where generators hold voltages; `threads` 0 uses all cores, -1 none beside this one."""
        assert net is not None or not circuit.regulated
        self.circuit, self.net, self.threads = circuit, net, threads

    @cached_property
    def _model(self) -> Any:
        from power_grid_model import ComponentType, DatasetType, PowerGridModel, initialize_array

        c = self.circuit
        first_branch, first_source, first_power = c.nodes, c.nodes + len(c.from_K), 2 * c.nodes + len(c.from_K) + len(c.source_node)
        node = initialize_array(DatasetType.input, ComponentType.node, c.nodes)
        node["id"], node["u_rated"] = np.arange(c.nodes), c.kv_N * 1e3
        branch = initialize_array(DatasetType.input, ComponentType.generic_branch, len(c.from_K))
        branch["id"], branch["from_status"], branch["to_status"] = first_branch + np.arange(len(c.from_K)), 1, 1
        branch["from_node"], branch["to_node"], branch["sn"] = c.from_K, c.to_K, 1e6
        branch["r1"], branch["x1"], branch["g1"], branch["b1"] = c.r_K_ohm, c.x_K_ohm, c.g_K_S, c.b_K_S
        branch["k"], branch["theta"] = c.ratio_K, c.shift_K_rad
        source = initialize_array(DatasetType.input, ComponentType.source, len(c.source_node))
        source["id"], source["node"], source["status"] = first_source + np.arange(len(c.source_node)), c.source_node, 1
        source["u_ref"], source["u_ref_angle"], source["sk"] = c.source_pu, c.source_rad, STIFF_VA
        power = initialize_array(DatasetType.input, ComponentType.sym_gen, c.nodes)
        power["id"], power["node"], power["status"], power["type"] = first_power + np.arange(c.nodes), np.arange(c.nodes), 1, 0
        power["p_specified"] = power["q_specified"] = 0.0
        parts = {ComponentType.node: node, ComponentType.generic_branch: branch, ComponentType.source: source, ComponentType.sym_gen: power}
        here = np.flatnonzero(c.shunt_N_S)
        if len(here):
            shunt = initialize_array(DatasetType.input, ComponentType.shunt, len(here))
            shunt["id"], shunt["node"], shunt["status"] = first_power + c.nodes + np.arange(len(here)), here, 1
            shunt["g1"], shunt["b1"] = c.shunt_N_S[here].real, c.shunt_N_S[here].imag
            parts[ComponentType.shunt] = shunt
        return PowerGridModel(parts, system_frequency=50.0)

    def solve(self, p_SN_MW: np.ndarray, q_SN_Mvar: np.ndarray) -> Flows:
        """All snapshots, those that do not converge marked."""
        if self.circuit.regulated:
            return with_pandapower(self.circuit, self.net, p_SN_MW, q_SN_Mvar)
        parts = [self._batch(p_SN_MW[s : s + BATCH], q_SN_Mvar[s : s + BATCH]) for s in range(0, len(p_SN_MW), BATCH)]
        return Flows(*(np.concatenate([getattr(p, n) for p in parts]) for n in Flows.__dataclass_fields__))

    def _batch(self, p_SN_MW: np.ndarray, q_SN_Mvar: np.ndarray) -> Flows:
        from power_grid_model import ComponentType

        update = {"p_specified": np.ascontiguousarray(p_SN_MW, float) * 1e6, "q_specified": np.ascontiguousarray(q_SN_Mvar, float) * 1e6}
        wanted = {ComponentType.node: ["u_pu"], ComponentType.generic_branch: ["i_from", "i_to", "p_from", "p_to"]}
        found: Any = self._model.calculate_power_flow(
            update_data={ComponentType.sym_gen: update},
            threading=self.threads,
            error_tolerance=TOLERANCE_pu,
            continue_on_batch_error=True,
            output_component_types=wanted,
        )
        error = self._model.batch_error
        converged = np.ones(len(p_SN_MW), dtype=bool)
        if error is not None:
            converged[error.failed_scenarios] = False
        branch = found[ComponentType.generic_branch]
        loading = _loading(self.circuit, branch["i_from"], branch["i_to"])
        sent = branch["p_from"] / 1e6
        losses = sent.sum(1) + branch["p_to"].sum(1) / 1e6
        return _masked(loading, found[ComponentType.node]["u_pu"], sent, losses, converged)


def _loading(circuit: Circuit, from_SK_A: np.ndarray, to_SK_A: np.ndarray) -> np.ndarray:
    """The larger loading of an element's ends in % (S, E)."""
    ends_SR = np.where(circuit.end_to, to_SK_A[:, circuit.end_branch], from_SK_A[:, circuit.end_branch]) / circuit.end_A * 100.0
    starts = np.flatnonzero(np.diff(circuit.end_element, prepend=-1))  # ends of an element stand together
    return np.asarray(np.maximum.reduceat(ends_SR, starts, axis=1))


def _masked(loading: np.ndarray, voltage: np.ndarray, sent: np.ndarray, losses: np.ndarray, converged: np.ndarray) -> Flows:
    converged = converged & np.isfinite(loading).all(1) & np.isfinite(voltage).all(1)
    loading, voltage, sent = (np.where(converged[:, None], x, np.nan) for x in (loading, voltage, sent))
    return Flows(loading, voltage, sent, np.where(converged, losses, np.nan), converged)


def with_pandapower(circuit: Circuit, net: Any, p_SN_MW: np.ndarray, q_SN_Mvar: np.ndarray) -> Flows:
    """The same by pandapower's runpp, one snapshot after the other."""
    import copy

    import pandapower
    from pandapower.pypower import idx_brch

    net = copy.deepcopy(net)
    for table in ("load", "sgen", "storage"):
        net[table]["in_service"] = False
    mine = [pandapower.create_sgen(net, int(bus), 0.0, 0.0) for bus in circuit.bus_of_node if bus >= 0]
    real = circuit.bus_of_node >= 0  # the middle of a three-winding transformer is no bus
    count = len(p_SN_MW)
    loading, voltage = np.full((count, circuit.elements), np.nan), np.full((count, circuit.nodes), np.nan)
    sent, losses, converged = np.full((count, len(circuit.from_K)), np.nan), np.full(count, np.nan), np.zeros(count, dtype=bool)
    for s in range(count):
        net.sgen.loc[mine, "p_mw"], net.sgen.loc[mine, "q_mvar"] = p_SN_MW[s, real].astype(float), q_SN_Mvar[s, real].astype(float)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pandapower.runpp(net, numba=False, calculate_voltage_angles=True, trafo_model="t")
        except pandapower.LoadflowNotConverged:
            continue
        branch = net._ppc["internal"]["branch"].real
        voltage[s] = abs(net._ppc["internal"]["V"])
        sent[s], converged[s] = branch[:, idx_brch.PF], True
        losses[s] = (branch[:, idx_brch.PF] + branch[:, idx_brch.PT]).sum()
        for table in ("line", "trafo", "trafo3w"):
            here = np.array([k == table for k in circuit.kinds])
            if here.any():
                loading[s, here] = net[f"res_{table}"].loading_percent.loc[circuit.index_E[here]].to_numpy()
    return _masked(loading, voltage, sent, losses, converged)


def check(circuit: Circuit, net: Any, p_SN_MW: np.ndarray, q_SN_Mvar: np.ndarray, flows: Flows) -> Check:
    """Compare solved snapshots with pandapower's results. GridError if a voltage differs by more than 1e-5 pu."""
    theirs = with_pandapower(circuit, net, p_SN_MW, q_SN_Mvar)
    alone, both = int((theirs.converged_S != flows.converged_S).sum()), theirs.converged_S & flows.converged_S
    if not both.any():
        return Check(len(both), alone, 0.0, 0.0)
    voltage = float(abs(theirs.voltage_SN_pu[both] - flows.voltage_SN_pu[both]).max())
    loading = float(abs(theirs.loading_SE_percent[both] - flows.loading_SE_percent[both]).max())
    if voltage > AGREE_pu:
        raise GridError(
            f"pandapower and power-grid-model differ by {voltage:.1e} pu on this network, more than {AGREE_pu:.0e}; trust neither"
        )
    return Check(len(both), alone, voltage, loading)
