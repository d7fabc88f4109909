"""A network's circuit as numbers: branches in ohm and siemens, limits, and which bus is which node. From pandapower's own model of it.

pandapower puts lines, transformers (taps, star-delta), three-winding transformers and impedances into one list of pi branches; these are
taken as they are, so that both solvers compute the same circuit. Legend: N nodes, K branches, E lines and transformers, R rated ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinowatt.errors import GridError, MissingDependency

LOWEST_pu, HIGHEST_pu = 0.9, 1.1  # where a bus has no limits of its own (EN 50160)
FULL_percent = 100.0


@dataclass(frozen=True, eq=False)
class Circuit:
    """Pi branches between nodes, sources, shunts, and the limits of lines, transformers (E) and voltages (N)."""

    kv_N: np.ndarray
    low_N_pu: np.ndarray
    high_N_pu: np.ndarray
    node_of_bus: np.ndarray  # by pandapower's index; -1 where the bus is out of service
    bus_of_node: np.ndarray
    from_K: np.ndarray
    to_K: np.ndarray
    r_K_ohm: np.ndarray  # at the side of `to`
    x_K_ohm: np.ndarray
    g_K_S: np.ndarray
    b_K_S: np.ndarray
    ratio_K: np.ndarray
    shift_K_rad: np.ndarray
    source_node: np.ndarray
    source_pu: np.ndarray
    source_rad: np.ndarray
    shunt_N_S: np.ndarray  # complex
    end_branch: np.ndarray  # rated ends (R): the branch, whether its `to` side, amperes, and which element it belongs to
    end_to: np.ndarray
    end_A: np.ndarray
    end_element: np.ndarray
    kinds: tuple[str, ...]  # of elements: line, trafo, trafo3w
    names: tuple[str, ...]
    index_E: np.ndarray  # in pandapower's table
    limit_E_percent: np.ndarray
    regulated: bool  # generators that hold voltages, or other parts that only pandapower computes
    notes: tuple[str, ...] = ()

    @property
    def nodes(self) -> int:
        """Number of nodes N."""
        return len(self.kv_N)

    @property
    def elements(self) -> int:
        """Number of lines and transformers E."""
        return len(self.kinds)

    @property
    def is_line_E(self) -> np.ndarray:
        """Which elements are lines."""
        return np.array([k == "line" for k in self.kinds], dtype=bool)

    def branches_of(self, element: int) -> np.ndarray:
        """Branches of an element: one, or three of a three-winding transformer."""
        return np.unique(self.end_branch[self.end_element == element])

    def doubled(self, element: int) -> Circuit:
        """The circuit with a second element of the same kind beside one: half the impedance, twice the rating."""
        here = self.branches_of(element)
        halved, twice = np.ones(len(self.from_K)), np.ones(len(self.from_K))
        halved[here], twice[here] = 0.5, 2.0
        ratings = np.where(self.end_element == element, 2.0, 1.0)
        return replace(
            self,
            r_K_ohm=self.r_K_ohm * halved,
            x_K_ohm=self.x_K_ohm * halved,
            g_K_S=self.g_K_S * twice,
            b_K_S=self.b_K_S * twice,
            end_A=self.end_A * ratings,
        )


def circuit_of(net: Any) -> Circuit:
    """The circuit of a pandapower network, which is solved once as it stands. GridError if that does not converge."""
    import pandapower
    from pandapower.pypower import idx_brch, idx_bus, idx_gen

    try:
        pandapower.runpp(net, numba=False, calculate_voltage_angles=True, trafo_model="t")
    except pandapower.LoadflowNotConverged:
        raise GridError("the network's power flow does not converge as it stands; check its impedances and loads in pandapower") from None
    except Exception as error:  # pandapower fails in many ways on tables that do not fit together
        raise GridError(f"the network's power flow cannot be computed ({type(error).__name__}); check it in pandapower") from error
    whole, part = net._ppc, net._ppc["internal"]
    bus, branch, gen, base_MVA = part["bus"].real, part["branch"].real, part["gen"].real, float(part["baseMVA"])
    inside = whole["bus"][:, idx_bus.BUS_TYPE].real != idx_bus.NONE
    assert inside.sum() == len(bus)
    internal = np.where(inside, np.cumsum(inside) - 1, -1)
    lookup = net._pd2ppc_lookups["bus"]
    node_of_bus = np.where(lookup >= 0, internal[np.clip(lookup, 0, None)], -1)
    for b in np.flatnonzero(~np.isin(np.arange(len(node_of_bus)), net.bus.index[net.bus.in_service])):
        node_of_bus[b] = -1
    kv = bus[:, idx_bus.BASE_KV]
    start, end = branch[:, idx_brch.F_BUS].astype(int), branch[:, idx_brch.T_BUS].astype(int)
    ohm = kv[end] ** 2 / base_MVA
    tap = branch[:, idx_brch.TAP]
    sources = gen[np.isin(gen[:, idx_gen.GEN_BUS].astype(int), part["ref"])]
    at = sources[:, idx_gen.GEN_BUS].astype(int)
    low, high = _limits_N(net, node_of_bus, len(bus))
    ends = _rated(net, part["branch_is"])
    asymmetric = abs(branch[:, [idx_brch.BR_R_ASYM, idx_brch.BR_X_ASYM, idx_brch.BR_G_ASYM, idx_brch.BR_B_ASYM]]).max(initial=0.0)
    regulated, notes = _regulated(net, bool(len(part["pv"])) or asymmetric > 0)
    representative = np.full(len(bus), -1)
    for b in net.bus.index[::-1]:
        if node_of_bus[b] >= 0:
            representative[node_of_bus[b]] = b
    return Circuit(
        kv, low, high, node_of_bus, representative, start, end,
        branch[:, idx_brch.BR_R] * ohm, branch[:, idx_brch.BR_X] * ohm, branch[:, idx_brch.BR_G] / ohm, branch[:, idx_brch.BR_B] / ohm,
        np.where(tap == 0, 1.0, tap), np.radians(branch[:, idx_brch.SHIFT]),
        at, sources[:, idx_gen.VG], np.radians(bus[at, idx_bus.VA]),
        (bus[:, idx_bus.GS] + 1j * bus[:, idx_bus.BS]) / kv**2,
        ends[0], ends[1], ends[2], ends[3], ends[4], ends[5], ends[6], ends[7], regulated, notes,
    )  # fmt: skip


def _limits_N(net: Any, node_of_bus: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest voltage of nodes: the narrowest of their buses."""
    low, high = np.zeros(nodes), np.full(nodes, np.inf)
    for bus in net.bus.index:
        node = node_of_bus[bus]
        if node < 0:
            continue
        least = net.bus.at[bus, "min_vm_pu"] if "min_vm_pu" in net.bus else np.nan
        most = net.bus.at[bus, "max_vm_pu"] if "max_vm_pu" in net.bus else np.nan
        low[node] = max(low[node], LOWEST_pu if np.isnan(least) else least)
        high[node] = min(high[node], HIGHEST_pu if np.isnan(most) else most)
    return np.where(low == 0, LOWEST_pu, low), np.where(np.isinf(high), HIGHEST_pu, high)


def _rated(net: Any, in_service: np.ndarray) -> tuple[Any, ...]:
    """Rated ends, and the names and limits of elements. Amperes as pandapower's loading_percent has them."""
    place = np.where(in_service, np.cumsum(in_service) - 1, -1)
    branches, sides, amperes, owners = [], [], [], []
    kinds: list[str] = []
    names, index, limits = [], [], []
    windings = {"trafo": (("hv", 0, False), ("lv", 0, True)), "trafo3w": (("hv", 0, False), ("mv", 1, True), ("lv", 2, True))}
    for table in ("line", "trafo", "trafo3w"):
        frame = net[table]
        begin = net._pd2ppc_lookups["branch"].get(table, (0, 0))[0]
        for i, (number, row) in enumerate(frame.iterrows()):
            many = float(row.get("parallel", 1) or 1) * float(row.get("df", 1.0))
            if table == "line":
                ends = [(0, side, 1e3 * float(row.max_i_ka) * many) for side in (False, True)]
            else:
                ends = []
                for winding, nth, side in windings[table]:
                    mva = float(row.sn_mva) if table == "trafo" else float(row[f"sn_{winding}_mva"])
                    ends.append((nth * len(frame), side, 1e3 * mva * many / (np.sqrt(3) * float(row[f"vn_{winding}_kv"]))))
            found = [(place[begin + i + shift], side, rated) for shift, side, rated in ends]
            if any(b < 0 for b, _, _ in found):
                continue
            if not all(rated > 0 for _, _, rated in found):
                raise GridError(f"{table} {number} has no rated current above 0; give it one, for without it nothing is too much")
            branches += [b for b, _, _ in found]
            sides += [side for _, side, _ in found]
            amperes += [rated for _, _, rated in found]
            owners += [len(kinds)] * len(found)
            kinds.append(table)
            index.append(number)
            names.append(str(row["name"]) if str(row.get("name")) not in ("None", "nan", "") else f"{table} {number}")
            limit = float(row.get("max_loading_percent", np.nan))
            limits.append(FULL_percent if np.isnan(limit) else limit)
    return (
        np.array(branches, int),
        np.array(sides, bool),
        np.array(amperes),
        np.array(owners, int),
        tuple(kinds),
        tuple(names),
        np.array(index, int),
        np.array(limits),
    )


def _regulated(net: Any, unusual: bool) -> tuple[bool, tuple[str, ...]]:
    """Whether only pandapower can solve it, and the sentence that says so."""
    if unusual:
        return True, (
            "Generators hold voltages here, or branches are asymmetric, which power-grid-model cannot: pandapower solves every snapshot, "
            "and is far slower.",
        )
    try:
        import power_grid_model  # noqa: F401
    except ImportError as error:
        raise MissingDependency("power flow needs power-grid-model; install kinowatt[grid]") from error
    return False, ()
