"""A network with coordinates, from SimBench, pandapower's JSON or a MATPOWER case: what stands where, and their loads over the year.

Legend: N nodes (buses that closed switches join are one), Y the year in SimBench's quarter hours (one, where loads have no profile).
A trap that is seen to: pandapower 3 passes over SimBench's taps unless `tap_changer_type` is "Ratio" (0.0167 pu).
MATPOWER cases know no places.
"""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.errors import GridError, MissingDependency
from kinowatt.grid.circuit import Circuit, circuit_of
from kinowatt.grid.flow import Solver

SIMBENCH = "simbench:"
YEAR = 2016  # of SimBench's profiles: 366 days of 96 quarter hours
DAY = 96
KINDS = ("pv", "wind", "other")
TAP_ROUNDS = 10
SIMBENCH_LICENCE = "SimBench data, ODbL 1.0 (Meinecke et al. 2020, doi:10.3390/en13123290)"
OWN_LICENCE = "the user's own network; no licence is known"


@dataclass(frozen=True, eq=False)
class Plants:
    """Generation of one kind: installed MW per node, and its MW over the year where no weather drives it."""

    installed_N_MW: np.ndarray
    profile_YN_MW: np.ndarray

    @property
    def total_MW(self) -> float:
        """Installed in the network."""
        return float(self.installed_N_MW.sum())


@dataclass(frozen=True, eq=False)
class Network:
    """The circuit, the places of its nodes in degrees (WGS84), loads over the year, plants by kind, and pandapower's own form of it."""

    name: str
    source: str
    licence: str
    circuit: Circuit
    lat_N: np.ndarray
    lon_N: np.ndarray
    load_YN_MW: np.ndarray
    load_YN_Mvar: np.ndarray
    plants: dict[str, Plants]
    notes: tuple[str, ...]
    net: Any

    @property
    def peak_load_MW(self) -> float:
        """The largest sum of loads in the year."""
        return float(self.load_YN_MW.sum(1).max())

    def year_index(self, times: np.ndarray) -> np.ndarray:
        """Where UTC times stand in the year's profiles, by month, day and the hour at the network's longitude; 0 without profiles."""
        if len(self.load_YN_MW) == 1:
            return np.zeros(times.shape, dtype=int)
        clock = times.astype("datetime64[m]") + np.timedelta64(60 * round(float(self.lon_N.mean()) / 15.0), "m")
        months = clock.astype("datetime64[M]")
        days = (clock.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int)
        year = months.astype(int) % 12 + 12 * (YEAR - 1970)
        same = year.astype("datetime64[M]").astype("datetime64[D]") + days
        since = (same - np.datetime64(f"{YEAR}-01-01", "D")).astype(int)
        minutes = (clock - clock.astype("datetime64[D]")).astype(int)
        return np.asarray((since * DAY + minutes // 15) % len(self.load_YN_MW))

    def candidates(self) -> np.ndarray:
        """Nodes where plants may be added: those with a load or a plant, but no source."""
        used_N = self.load_YN_MW.max(0) > 0
        for kind in self.plants.values():
            used_N |= kind.installed_N_MW > 0
        used_N[self.circuit.source_node] = False
        return np.flatnonzero(used_N)


def read_network(said: str, coordinates: Path | None = None) -> Network:
    """ "simbench:CODE", a pandapower JSON or a MATPOWER .m to a network; `coordinates` is a CSV of bus,lat,lon for one that has none.

    GridError with one sentence if it is unknown, damaged, without coordinates, or its power flow does not converge as it stands.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower and simbench warn of pandas' changes to come
        if said.startswith(SIMBENCH):
            net, source, licence = _simbench(said.removeprefix(SIMBENCH)), said, SIMBENCH_LICENCE
        else:
            net, source, licence = _file(Path(said)), Path(said).name, OWN_LICENCE
        notes = _prepare(net)
        circuit = circuit_of(net)
        lat_N, lon_N = _places(net, circuit, source, coordinates)
        tables, said_of_profiles = _profiles(net, circuit)
        circuit, said_of_taps = _tapped(net, circuit, tables)
    name = source.removeprefix(SIMBENCH).removesuffix(".json").removesuffix(".m")
    loads, plants = tables["load"], {k: tables[k] for k in KINDS}
    said_of_all = (*notes, *circuit.notes, *said_of_profiles, *said_of_taps)
    return Network(name, source, licence, circuit, lat_N, lon_N, loads[0], loads[1], plants, said_of_all, net)


def _simbench(code: str) -> Any:
    try:
        import simbench
    except ImportError as error:
        raise MissingDependency("SimBench's networks need simbench; install kinowatt[grid]") from error
    codes = simbench.collect_all_simbench_codes()
    if code not in codes:
        near = max(sorted(codes), key=lambda c: sum(a == b for a, b in zip(c, code, strict=False)))
        raise GridError(f"SimBench has no network {code[:60]!r}; try {near}")
    return simbench.get_simbench_net(code)


def _file(path: Path) -> Any:
    if not path.is_file():
        raise GridError(f"{path} does not exist; give simbench:CODE, a pandapower JSON or a MATPOWER .m")
    try:
        import pandapower
        from pandapower.converter.matpower.from_mpc import from_mpc
    except ImportError as error:
        raise MissingDependency("networks need pandapower; install kinowatt[grid]") from error
    if path.suffix not in (".json", ".m"):
        raise GridError(f"{path.name} has an ending of no known network; give simbench:CODE, a pandapower .json or a MATPOWER .m")
    try:
        net = pandapower.from_json(str(path)) if path.suffix == ".json" else from_mpc(str(path))
        sound = len(net.bus) > 0 and len(net.line) + len(net.trafo) > 0
    except Exception as error:  # both readers fail in many ways on damaged text
        raise GridError(f"{path.name} cannot be read as a network ({type(error).__name__}); it is damaged or of another format") from error
    if not sound:
        raise GridError(f"{path.name} holds no buses with lines; give a network made with pandapower.to_json")
    return net


def _prepare(net: Any) -> list[str]:
    """What pandapower has to be told, and what is said of it."""
    notes = []
    for table in ("trafo", "trafo3w"):
        frame = net[table]
        if len(frame) and "tap_changer_type" in frame and frame.tap_changer_type.isna().any():
            frame["tap_changer_type"] = frame.tap_changer_type.astype(object).where(frame.tap_changer_type.notna(), "Ratio")
            notes.append("Taps of transformers without a kind of changer are taken as ratios.")
    parts = [c for c in net.load.columns if c.startswith("const_")]
    if len(net.load) and parts and float(net.load[parts].fillna(0).abs().to_numpy().max()) > 0:
        notes.append("Loads that depend on the voltage are taken as constant power.")
    if len(net.storage):
        notes.append("Storage in the network is taken to stand still.")
    return notes


def _places(net: Any, circuit: Circuit, source: str, coordinates: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of nodes: the mean of their buses."""
    given = _coordinates_file(coordinates) if coordinates else {}
    held: dict[int, list[tuple[float, float]]] = {}
    for bus in net.bus.index:
        node = int(circuit.node_of_bus[bus]) if bus < len(circuit.node_of_bus) else -1
        place = (
            given.get(str(bus)) or given.get(str(net.bus.at[bus, "name"])) or _place(net.bus.at[bus, "geo"] if "geo" in net.bus else None)
        )
        if node >= 0 and place:
            held.setdefault(node, []).append(place)
    if not held:
        raise GridError(
            f"{source} has no coordinates of its buses, so no weather belongs to it; give --coordinates with a CSV of bus,lat,lon"
        )
    real = circuit.bus_of_node >= 0
    missing = [n for n in np.flatnonzero(real) if n not in held]
    if missing:
        more = f" and of {len(missing) - 1} more" if len(missing) > 1 else ""
        raise GridError(
            f"{source} has no coordinates of bus {circuit.bus_of_node[missing[0]]}{more}; add them, for example with --coordinates"
        )
    both = np.array([np.mean(held.get(n, [(np.nan, np.nan)]), axis=0) for n in range(circuit.nodes)])
    for _ in range(2):  # an open end of a line, or the middle of a transformer, is drawn where its neighbour is
        for ends in ((circuit.from_K, circuit.to_K), (circuit.to_K, circuit.from_K)):
            bare = np.isnan(both[ends[0], 0])
            both[ends[0][bare]] = both[ends[1][bare]]
    if not (np.isfinite(both).all() and abs(both[:, 0]).max() <= 90 and abs(both[:, 1]).max() <= 180):
        raise GridError(f"coordinates of {source} are not in degrees (WGS84); convert them, for example with pandapower.plotting.geo")
    return both[:, 0], both[:, 1]


def _place(geo: Any) -> tuple[float, float] | None:
    """(lat, lon) of a GeoJSON point."""
    if not isinstance(geo, str):
        return None
    try:
        lon, lat = json.loads(geo)["coordinates"][:2]
        return float(lat), float(lon)
    except (ValueError, KeyError, TypeError):
        return None


def _coordinates_file(path: Path) -> dict[str, tuple[float, float]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row["bus"]: (float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError):
        raise GridError(f"{path} cannot be read as coordinates; give a CSV with the header bus,lat,lon and degrees below it") from None


def kind_of(row: Any) -> str:
    """pv, wind or other, by a static generator's type, profile and name. SimBench's sums of lower levels (lv_*, mv_*) count as PV."""
    said = " ".join(str(row.get(c, "")) for c in ("type", "profile", "name")).lower()
    if "wind" in said or " wp" in f" {said}":
        return "wind"
    if any(word in said for word in ("pv", "solar", "photovoltaic")):
        return "pv"
    return "pv" if str(row.get("profile", "")).startswith(("lv_", "mv_")) else "other"


def _profiles(net: Any, circuit: Circuit) -> tuple[dict[str, Any], list[str]]:
    """Loads (MW and Mvar) and plants by kind over the year at nodes."""
    notes = []
    absolute = None
    if len(net.get("profiles", {}).get("load", ())):
        import simbench

        absolute = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    else:
        notes.append("The network has no profiles: loads, and plants that no weather drives, are constant.")
    kinds = np.array([kind_of(row) for _, row in net.sgen.iterrows()], dtype=object)
    if any(str(p).startswith(("lv_", "mv_")) for p in net.sgen.get("profile", ())):
        notes.append("SimBench's aggregated plants of lower levels (lv_*, mv_*) name no kind and are counted as PV.")

    def at_nodes(table: str, column: str, keep: np.ndarray, *, installed: bool = False) -> np.ndarray:
        frame = net[table]
        nodes = circuit.node_of_bus[frame.bus.to_numpy(int)] if len(frame) else np.zeros(0, int)
        use = keep & frame.in_service.to_numpy(bool) & (nodes >= 0)
        values = absolute.get((table, column)) if absolute is not None and not installed else None
        rows_YI = (frame[column].to_numpy(float))[None] if values is None else values.reindex(columns=frame.index).to_numpy(float)
        scaling = frame.scaling.to_numpy(float) if values is None else 1.0
        if values is not None:  # a plant without a profile stands as it is
            rows_YI = np.where(np.isnan(rows_YI), (frame[column] * frame.scaling).to_numpy(float), rows_YI)
        one_IN = np.zeros((len(frame), circuit.nodes))
        one_IN[np.flatnonzero(use), nodes[use]] = 1.0
        return np.asarray(np.nan_to_num(rows_YI * scaling) @ one_IN, dtype=np.float32)

    every = np.ones(len(net.load), bool)
    found: dict[str, Any] = {"load": (at_nodes("load", "p_mw", every), at_nodes("load", "q_mvar", every))}
    for kind in KINDS:
        mine = kinds == kind
        found[kind] = Plants(at_nodes("sgen", "p_mw", mine, installed=True)[0], at_nodes("sgen", "p_mw", mine))
    if len(found["load"][1]) != len(found["load"][0]):  # reactive power without a profile of its own
        found["load"] = (found["load"][0], np.broadcast_to(found["load"][1], found["load"][0].shape))
    return found, notes


def _tapped(net: Any, circuit: Circuit, tables: dict[str, Any]) -> tuple[Circuit, list[str]]:
    """Taps set once for the mean of the year, where SimBench names the voltage that a transformer shall hold (`autoTapSetp`)."""
    trafo = net.trafo
    if not len(trafo) or "autoTapSetp" not in trafo or trafo.autoTapSetp.isna().all():
        return circuit, []
    mean_MW = sum(tables[k].profile_YN_MW.mean(0) for k in KINDS) - tables["load"][0].mean(0)
    mean_Mvar = -tables["load"][1].mean(0)
    for _ in range(TAP_ROUNDS):
        flows = Solver(circuit, net).solve(mean_MW[None], mean_Mvar[None])
        lv = circuit.node_of_bus[trafo.lv_bus.to_numpy(int)]
        above = flows.voltage_SN_pu[0, lv] - trafo.autoTapSetp.to_numpy(float)
        side = np.where(trafo.tap_side == "hv", 1.0, -1.0)
        moves = np.nan_to_num(np.round(side * above / (trafo.tap_step_percent.to_numpy(float) / 100.0)))
        wanted = np.clip(trafo.tap_pos + moves, trafo.tap_min, trafo.tap_max)
        if not (wanted != trafo.tap_pos).any():
            break
        trafo["tap_pos"] = wanted
        circuit = circuit_of(net)
    return circuit, ["Taps are set once, to SimBench's set points at the mean of the year, and do not follow the load."]
