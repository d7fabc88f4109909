"""Scenarios of a study: what the weather makes of a megawatt at every node, and the same for two simpler weathers beside it.

A scenario is a stretch of weather as long as the study's horizon: a member of an ensemble, or a day out of a long history. Three weathers:
`field` as it is; `pixel`, where in each scenario all plants share the weather of one plant's place, drawn by its megawatts, so that they
have the plants' statistics (with one place for all scenarios its yield, not space, decides; docs/grid-study.md has the figures);
`independent`, where each node has the weather of another scenario of the same season, so that every node keeps its own statistics and
nothing connects them. Legend: S scenarios, T steps, N nodes, M members, P nodes with plants or loads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from kinowatt.clip import Channel
from kinowatt.errors import GridError
from kinowatt.grid import power
from kinowatt.grid.fields import KM_PER_DEGREE, Ensemble, Field, moment_of
from kinowatt.grid.network import Network
from kinowatt.worlds.sun import Panels

FIELD, PIXEL, INDEPENDENT = "field", "pixel", "independent"
WEATHERS = (FIELD, PIXEL, INDEPENDENT)
SAYS = {
    FIELD: "the weather field: every plant has the weather of its own place",
    PIXEL: "one pixel: in each scenario all plants share the weather of one plant's place, drawn by megawatts",
    INDEPENDENT: "independent sites: every plant has its own place's weather of another scenario of the season",
}
WORLD, MODEL = "world", "model"  # weather that is made, not read
FIRST, DAYS = np.datetime64("2016-01-01", "ns"), 366  # of the world: the year of SimBench's profiles
WORLD_HOURS = 0.25  # SimBench's profiles have the same step
WORLD_CELLS = 32  # of the longer side of the network
WIND_MEAN_m_s, WIND_SHAPE = 7.0, 2.0  # of the world's wind at 100 m: a Weibull distribution, an assumption
FAINT_W_m2 = 5.0  # of a clear sky: below, an index says nothing
SUN_CHANNELS = ("capacity_factor", "clear_sky_index", "ghi")  # the first that is there is taken


Source = Callable[[], Ensemble]


@dataclass(frozen=True, eq=False)
class Scenarios:
    """Times (S, T; UTC, middles of steps), hours per step, and pu by (weather, kind) as (S, T, N); kinds that the weather drives.

    `season_S` says whose weather may be exchanged.
    """

    times_ST: np.ndarray
    hours: float
    pu: dict[tuple[str, str], np.ndarray]
    kinds: tuple[str, ...]
    season_S: np.ndarray
    source: str
    notes: tuple[str, ...]
    origin_S: np.ndarray  # which source, and which of its stretches (S, 2)
    sources: Sequence[Source]  # what makes the ensembles that the scenarios were cut from

    @property
    def count(self) -> int:
        """Number of scenarios S."""
        return len(self.times_ST)

    @property
    def steps(self) -> int:
        """Steps T of a scenario."""
        return int(self.times_ST.shape[1])


def scenarios_of(asked: Asked, network: Network, count: int, horizon_h: float, seed: int, wanted: Sequence[str]) -> Scenarios:
    """`count` scenarios, or as many as a file holds; `wanted` kinds grow and need weather that drives them.

    GridError if the weather is too short, does not cover a plant, or drives none of what is wanted.
    """
    nodes, made = _nodes(network), asked.sources(network, count, horizon_h, seed)
    with ThreadPoolExecutor(2) as pool:  # numpy lets other threads work while it draws and transforms
        parts = list(pool.map(lambda one: _part(one(), network, nodes, horizon_h, wanted), made))
    origin = np.array([(number, row) for number, part in enumerate(parts) for row in range(len(part.times_ST))])
    times_ST = np.concatenate([part.times_ST for part in parts])
    keep = np.sort(np.random.default_rng([seed, 1]).permutation(len(times_ST))[:count])
    raw = {k: np.concatenate([part.raw[k] for part in parts])[keep] for k in parts[0].raw}
    times_ST, kinds, panels = times_ST[keep], parts[0].kinds, parts[0].panels
    begin_S = times_ST[:, 0]
    hour_S = (begin_S - begin_S.astype("datetime64[D]")).astype("timedelta64[h]").astype(int)
    season_S = begin_S.astype("datetime64[M]").astype(int) % 12 * 24 + hour_S
    own = _powers(raw, times_ST, network, nodes, kinds, panels)
    drawn = {
        FIELD: own,
        PIXEL: _pixels(own, _weights(network, nodes, wanted), np.random.default_rng([seed, 8])),
        INDEPENDENT: _apart(own, season_S, np.random.default_rng([seed, 2])),
    }
    pu = {}
    for weather, powers in drawn.items():
        for kind, values in powers.items():
            pu[weather, kind] = np.zeros((*times_ST.shape, network.circuit.nodes), np.float32)
            pu[weather, kind][:, :, nodes] = values
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    says = _says(kinds, raw, panels)
    return Scenarios(times_ST, parts[0].hours, pu, kinds, season_S, asked.says, (*says, *notes), origin[keep], made)


@dataclass(frozen=True)
class Asked:
    """Weather as a study asks for it: `world`, `model` with the history and the time (UTC) from which skies goes on, or a file.

    `place` lays it over the network, wherever it is from: moved, stretched to cover it, and shifted to its solar time.
    """

    weather: str
    history: str = ""
    at: str = ""
    place: bool = False

    def __post_init__(self) -> None:
        if self.weather == MODEL and not (self.history and self.at):
            raise GridError("--weather model goes on from a sky: give --history with its file and --at with the time, in UTC")
        if self.weather != MODEL and (self.history or self.at):
            raise GridError(f"--history and --at belong to --weather model, and this is {self.weather[:80]}; leave them out")
        if self.at:
            moment_of(self.at)  # what is no time is refused before anything is read

    @property
    def says(self) -> str:
        """Where it is from."""
        if self.weather == MODEL:
            return f"the model skies, from {Path(self.history).name} at {self.at} (scenario generator)"
        return "the world of clouds (scenario generator)" if self.weather == WORLD else Path(self.weather).name

    def sources(self, network: Network, count: int, horizon_h: float, seed: int) -> list[Source]:
        """What makes the ensembles that a study draws from: one of a file or of the model, or one per day of the world."""
        if self.weather == WORLD:
            return _days(network, count, horizon_h, seed)
        from kinowatt.grid.weather_files import read, read_ensemble

        def made() -> Ensemble:
            if self.weather != MODEL:
                return read_ensemble(Path(self.weather))
            from kinowatt.grid.nowcast import nowcast

            return nowcast(read(Path(self.history)), moment_of(self.at), horizon_h, count, seed=seed)

        # What the model made is kept for the report; a file is read again, as it may be large.
        source = lru_cache(maxsize=1)(made) if self.weather == MODEL else made
        return [lambda: _laid_over(source(), network) if self.place else source()]


def _days(network: Network, count: int, horizon_h: float, seed: int) -> list[Source]:
    """One source of the world for each day that is drawn, evenly through the year."""
    lot = np.random.default_rng([seed, 7]).random(count)
    day, members = np.unique(((np.arange(count) + lot) * (DAYS / count)).astype(int), return_counts=True)
    start = FIRST + day * np.timedelta64(1, "D")

    def make(number: int) -> Ensemble:
        return from_world(network, int(members[number]), horizon_h, start[number], np.random.default_rng([seed, 3, number]))

    return [partial(make, number) for number in range(len(day))]


def weather_of(scenarios: Scenarios, scenario: int) -> Field:
    """The weather of one scenario, read or made again."""
    number, row = scenarios.origin_S[scenario].tolist()
    ensemble: Ensemble = scenarios.sources[number]()
    stretches = len(ensemble.times) // scenarios.steps
    member, start = row // stretches, (row % stretches) * scenarios.steps
    return ensemble.member(member).cut(start, start + scenarios.steps)


def from_world(network: Network, members: int, horizon_h: float, start: np.datetime64, rng: np.random.Generator) -> Ensemble:
    """An ensemble of the simulated clouds and of a simulated wind over the network, from local midnight of a day on."""
    from kinowatt.worlds import weather

    frames = max(round(horizon_h / WORLD_HOURS), 1)
    lat, lon = network.lat_N, network.lon_N
    east_km = KM_PER_DEGREE * float(np.cos(np.radians(lat.mean())))
    step_km = max(float(np.ptp(lat)) * KM_PER_DEGREE, float(np.ptp(lon)) * east_km, 8.0) / (WORLD_CELLS - 2)
    sides = (np.ptp(lat) * KM_PER_DEGREE / step_km, np.ptp(lon) * east_km / step_km)
    height, width = (int(np.ceil(s)) + 2 for s in sides)
    lat_H = (lat.min() + lat.max()) / 2 + (np.arange(height) - (height - 1) / 2) * step_km / KM_PER_DEGREE
    lon_W = (lon.min() + lon.max()) / 2 + (np.arange(width) - (width - 1) / 2) * step_km / east_km
    lon_HW, lat_HW = np.meshgrid(lon_W, lat_H)
    sky = weather.windows(weather.NEW_ENGLAND, rng, members, frames, (height, width), (step_km, step_km), WORLD_HOURS)
    chance = np.clip(weather.QUANTILES, 0.0, 0.999)
    scale = WIND_MEAN_m_s / 0.8862  # of a Weibull distribution of shape 2: the mean is scale * gamma(1.5)
    speeds = tuple((scale * (-np.log(1 - chance)) ** (1 / WIND_SHAPE)).tolist())
    slow = replace(weather.NEW_ENGLAND, quantiles=speeds, shares=(0.7, 0.15, 0.15), sizes_km=(20.0, 60.0), region_life_h=12.0, unrest=0.0)
    wind = weather.windows(slow, rng, members, frames, (height, width), (step_km, step_km), WORLD_HOURS)
    values = np.stack([sky, wind], 2)
    shift = np.timedelta64(-round(float(lon.mean()) / 15.0), "h")
    offsets = ((np.arange(frames) + 0.5) * WORLD_HOURS * 3600).astype(int).astype("timedelta64[s]")
    channels = (Channel("clear_sky_index", "1"), Channel("wind_speed_100m", "m/s"))
    notes = (
        "Weather is made by the world of clouds, calibrated to a year of Rhode Island (NREL reV), not to this network's place.",
        f"Its wind is a Weibull distribution of mean {WIND_MEAN_m_s:g} m/s and shape {WIND_SHAPE:g} at 100 m, independent of the clouds: "
        "assumed, not measured.",
        "Its days are drawn evenly through the year, with the network's loads of those days.",
    )
    return Ensemble(values, channels, start + shift + offsets, WORLD_HOURS, lat_HW, lon_HW, np.ones((height, width), bool), notes)


def _laid_over(ensemble: Ensemble, network: Network) -> Ensemble:
    """Weather moved and stretched to cover the network, its times shifted by the longitude, so that noon stays noon."""
    lat, lon = ensemble.lat_HW[ensemble.mask_HW], ensemble.lon_HW[ensemble.mask_HW]

    def onto(values: np.ndarray, held: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
        factor = max(float(np.ptp(wanted)) / max(float(np.ptp(held)), 1e-9), 1e-3)
        return (values - (held.max() + held.min()) / 2) * factor + (wanted.max() + wanted.min()) / 2, factor

    lat_HW, north = onto(ensemble.lat_HW, lat, network.lat_N)
    lon_HW, east = onto(ensemble.lon_HW, lon, network.lon_N)
    moved_h = (float(lon.mean()) - float(network.lon_N.mean())) / 15.0
    frames = round(moved_h / ensemble.hours_per_frame)
    times = ensemble.times + np.timedelta64(round(frames * ensemble.hours_per_frame * 3600), "s")
    east *= float(np.cos(np.radians(network.lat_N.mean())) / np.cos(np.radians(lat.mean())))
    note = f"The weather was laid over the network: distances times {north:.2f} (north) and {east:.2f} (east), {moved_h:+.1f} h in time."
    return replace(ensemble, lat_HW=lat_HW, lon_HW=lon_HW, times=times, notes=(*ensemble.notes, note))


def _nodes(network: Network) -> np.ndarray:
    """Nodes that have, or may get, a plant."""
    used = np.zeros(network.circuit.nodes, bool)
    used[network.candidates()] = True
    for plants in network.plants.values():
        used |= plants.installed_N_MW > 0
    if not used.any():
        raise GridError(f"{network.name} has neither loads nor plants, so nothing can be added to it; give a network with loads")
    return np.flatnonzero(used)


def _weights(network: Network, nodes: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """Shares of the plants that grow (P), by megawatts; where none stands, of their mean load."""
    mw_P = np.asarray(sum((network.plants[k].installed_N_MW[nodes] for k in wanted or network.plants), np.zeros(len(nodes))), float)
    if not mw_P.any():
        mw_P = network.load_YN_MW.mean(0)[nodes].astype(float)
    return mw_P / mw_P.sum() if mw_P.any() else np.full(len(nodes), 1 / len(nodes))


def _driven(ensemble: Ensemble, wanted: Sequence[str]) -> tuple[str, ...]:
    """Kinds of plants that the weather drives. GridError if one that is to grow is not among them."""
    names = {c.name for c in ensemble.channels}
    kinds = tuple(k for k, there in (("pv", names & set(SUN_CHANNELS)), ("wind", wind_channel(names))) if there)
    for kind in wanted:
        if kind not in kinds:
            needed = "clear_sky_index, ghi or capacity_factor" if kind == "pv" else "a wind speed such as wind_speed_100m"
            raise GridError(f"--{kind}-growth needs weather with {needed}; this has {', '.join(sorted(names))}")
    if not kinds:
        raise GridError(f"the weather drives neither PV nor wind; it has {', '.join(sorted(names))}")
    return kinds


def wind_channel(names: set[str]) -> tuple[tuple[str, ...], float] | None:
    """The channels of the wind nearest to the hub, a speed or its two parts, and their height in m."""
    found = {}
    for name in names:
        match = re.fullmatch(r"wind_(speed|u)_(\d+)m", name)
        if match and (match[1] == "speed" or f"wind_v_{match[2]}m" in names):
            found[float(match[2])] = (name,) if match[1] == "speed" else (name, f"wind_v_{match[2]}m")
    if not found:
        return None
    height = min(found, key=lambda h: abs(h - power.HUB_m))
    return found[height], height


@dataclass(frozen=True, eq=False)
class _Part:
    """Of one source: channels at nodes (S, T, P), all members cut into stretches of the horizon, their times (S, T), and what is said."""

    raw: dict[str, np.ndarray]
    times_ST: np.ndarray
    kinds: tuple[str, ...]
    hours: float
    panels: Panels | None
    notes: tuple[str, ...]


def _part(ensemble: Ensemble, network: Network, nodes: np.ndarray, horizon_h: float, wanted: Sequence[str]) -> _Part:
    kinds, hours = _driven(ensemble, wanted), ensemble.hours_per_frame
    steps = round(horizon_h / hours)
    if not 1 <= steps <= len(ensemble.times):
        raise GridError(
            f"the weather lasts {len(ensemble.times) * hours:g} h, less than the horizon of {horizon_h:g} h; "
            "shorten --horizon, or give more weather"
        )
    names = {c.name for c in ensemble.channels}
    sun, wind = next((c for c in SUN_CHANNELS if c in names), None), wind_channel(names)
    take = [c for c in (sun, "temperature" if "temperature" in names else None, *(wind[0] if wind else ())) if c]
    stretches = len(ensemble.times) // steps
    buses = [network.net.bus.at[network.circuit.bus_of_node[node], "name"] for node in nodes]
    places = list(zip(network.lat_N[nodes].tolist(), network.lon_N[nodes].tolist(), buses, strict=True))
    raw = {}
    for name in take:
        columns_MTP = np.stack([ensemble.at(lat, lon, name, f"bus {bus}") for lat, lon, bus in places], -1)
        raw[name] = columns_MTP[:, : stretches * steps].reshape(-1, steps, len(nodes))
    times_ST = np.tile(ensemble.times[: stretches * steps].reshape(stretches, steps), (ensemble.members, 1))
    if wind:
        parts = [raw.pop(c) for c in wind[0]]
        raw[f"wind@{wind[1]:g}"] = parts[0] if len(parts) == 1 else np.hypot(*parts)
    return _Part(raw, times_ST, kinds, hours, ensemble.panels, ensemble.notes)


def _pixels(own: dict[str, np.ndarray], share_P: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every node has the power of one node; how often each is the one follows its share exactly, in an order by lot."""
    count = len(next(iter(own.values())))
    chosen_S = np.searchsorted(np.cumsum(share_P) / share_P.sum(), (rng.permutation(count) + 0.5) / count)
    return {k: np.broadcast_to(v[np.arange(count), :, chosen_S][:, :, None], v.shape) for k, v in own.items()}


def _apart(own: dict[str, np.ndarray], season_S: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every node has the powers of the same season in an order of its own."""
    orders_SP = np.empty((len(season_S), next(iter(own.values())).shape[2]), int)
    for node in range(orders_SP.shape[1]):
        for season in np.unique(season_S):
            here = np.flatnonzero(season_S == season)
            orders_SP[here, node] = here[rng.permutation(len(here))]
    return {k: np.take_along_axis(v, orders_SP[:, None, :], 0) for k, v in own.items()}


def _says(kinds: Sequence[str], raw: dict[str, np.ndarray], panels: Panels | None) -> list[str]:
    """How the powers are made."""
    says = {k: power.SAYS[k] for k in kinds}
    if "pv" in kinds and "capacity_factor" in raw:
        says["pv"] = "PV by the weather's capacity factors, cos φ = 1; "
        says["pv"] += "they are taken as shares of installed megawatts as they stand." if panels is None else (
            f"they are per megawatt of modules, the network's megawatts are those of inverters: times {panels.dc_ac:g} DC/AC, at most 1."
        )  # fmt: skip
    return list(says.values())


def _powers(
    values: dict[str, np.ndarray],
    times_ST: np.ndarray,
    network: Network,
    nodes: np.ndarray,
    kinds: Sequence[str],
    panels: Panels | None,
) -> dict[str, np.ndarray]:
    """pu of kinds (S, T, P)."""
    out = {}
    if "pv" in kinds and "capacity_factor" in values:
        out["pv"] = np.clip(values["capacity_factor"] * (panels.dc_ac if panels else 1.0), 0.0, 1.0)
    elif "pv" in kinds:
        distinct, at = np.unique(times_ST, return_inverse=True)
        at_ST = at.reshape(times_ST.shape)
        sky = values["clear_sky_index"] if "clear_sky_index" in values else values["ghi"]
        columns = []
        for i, node in enumerate(nodes):
            lat, lon = float(network.lat_N[node]), float(network.lon_N[node])
            sun, index_ST = power.sun_at(distinct, lat, lon), sky[:, :, i]
            if "clear_sky_index" not in values:
                index_ST = index_ST / np.clip(sun.clear_U[at_ST], FAINT_W_m2, None)
            air = values["temperature"][:, :, i] if "temperature" in values else power.AIR_C
            columns.append(power.pv_pu(index_ST, at_ST, sun, lat < 0, air))
        out["pv"] = np.stack(columns, -1)
    if "wind" in kinds:
        name = next(k for k in values if k.startswith("wind@"))
        out["wind"] = power.wind_pu(values[name], float(name.removeprefix("wind@")))
    return out
