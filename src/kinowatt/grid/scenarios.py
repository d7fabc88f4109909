"""Scenarios of a study: what the weather makes of a megawatt at every node, and the same for two simpler weathers beside it.

A scenario is a stretch of weather as long as the study's horizon: a member of an ensemble, or a day out of a long history. Three weathers:
`field` as it is; `pixel`, where the middle of the network has it and all plants share it; `independent`, where each node has the weather of
another scenario of the same season, so that every node keeps its own statistics and nothing connects them. Legend: S scenarios, T steps,
N nodes, M members, G members of one source's file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from kinowatt.clip import Channel
from kinowatt.errors import GridError
from kinowatt.grid import power
from kinowatt.grid.fields import KM_PER_DEGREE, Ensemble, Field
from kinowatt.grid.network import Network

FIELD, PIXEL, INDEPENDENT = "field", "pixel", "independent"
WEATHERS = (FIELD, PIXEL, INDEPENDENT)
SAYS = {
    FIELD: "the weather field: every plant has the weather of its own place",
    PIXEL: "one pixel: all plants have the weather of the network's middle",
    INDEPENDENT: "independent sites: every plant has its own place's weather of another scenario of the season",
}
MONTHS = tuple(np.datetime64(f"2016-{m:02d}-15T00:00", "ns") for m in range(1, 13))
WORLD_HOURS = 0.25  # SimBench's profiles have the same step
WORLD_CELLS = 32  # of the longer side of the network
WIND_MEAN_m_s, WIND_SHAPE = 7.0, 2.0  # of the world's wind at 100 m: a Weibull distribution, an assumption
FAINT_W_m2 = 5.0  # of a clear sky: below, an index says nothing
SUN_CHANNELS = ("capacity_factor", "clear_sky_index", "ghi")  # the first that is there is taken


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

    @property
    def count(self) -> int:
        """Number of scenarios S."""
        return len(self.times_ST)

    @property
    def steps(self) -> int:
        """Steps T of a scenario."""
        return int(self.times_ST.shape[1])


def scenarios_of(
    said: str, network: Network, count: int, horizon_h: float, seed: int, wanted: Sequence[str], place: bool = False
) -> Scenarios:
    """`count` scenarios of `world`, or as many as a file (Zarr, NetCDF, HDF5) holds; `wanted` kinds grow and need weather that drives them.

    `place` lays a file's weather over the network, wherever it is from: moved, stretched to cover it, and shifted to its solar time.
    GridError if the weather is too short, does not cover a plant, or drives none of what is wanted.
    """
    nodes = _nodes(network)
    parts, notes, origin, hours = [], dict[str, None](), [], 0.0
    for number, ensemble in enumerate(_all(sources(said, network, count, horizon_h, seed, place))):
        notes |= dict.fromkeys(ensemble.notes)
        kinds, hours = _driven(ensemble, wanted), ensemble.hours_per_frame
        steps = round(horizon_h / hours)
        if not 1 <= steps <= len(ensemble.times):
            held = len(ensemble.times) * hours
            raise GridError(
                f"the weather lasts {held:g} h, less than the horizon of {horizon_h:g} h; shorten --horizon, or give more weather"
            )
        parts.append(_cut(ensemble, network, nodes, steps))
        origin += [(number, row) for row in range(len(parts[-1][1]))]
    raw, times_ST = {k: np.concatenate([p[0][k] for p in parts]) for k in parts[0][0]}, np.concatenate([p[1] for p in parts])
    keep = np.sort(np.random.default_rng([seed, 1]).permutation(len(times_ST))[:count])
    raw, times_ST = {k: v[keep] for k, v in raw.items()}, times_ST[keep]
    season_S = times_ST[:, 0].astype("datetime64[M]").astype(int) % 12
    middle = _middle(network, nodes)
    spread = {w: _weather_of(w, raw, season_S, middle, np.random.default_rng([seed, 2])) for w in WEATHERS}
    pu = {}
    for weather, values in spread.items():
        for kind, made in _powers(values, times_ST, network, nodes, kinds, middle if weather == PIXEL else None).items():
            whole = np.zeros((*times_ST.shape, network.circuit.nodes), np.float32)
            whole[:, :, nodes] = made
            pu[weather, kind] = whole
    says = "the world of clouds (scenario generator)" if said == "world" else Path(said).name
    return Scenarios(times_ST, hours, pu, kinds, season_S, says, tuple(notes), np.array(origin)[keep])


Source = Callable[[], Ensemble]


def sources(said: str, network: Network, count: int, horizon_h: float, seed: int, place: bool) -> list[Source]:
    """What makes the ensembles that a study draws from: one of a file, or one per month of the world."""
    if said == "model":
        raise GridError("a model needs a sky to begin with; make an ensemble with kinowatt grid nowcast, and give its .zarr to --weather")
    if said != "world":
        from kinowatt.grid.weather_files import read_ensemble

        def read() -> Ensemble:
            ensemble = read_ensemble(Path(said))
            return _laid_over(ensemble, network) if place else ensemble

        return [read]
    months = [MONTHS[i] for i in np.unique(np.linspace(0, len(MONTHS) - 1, min(count, len(MONTHS))).round().astype(int))]
    shares = [len(part) for part in np.array_split(np.arange(count), len(months))]

    def make(number: int) -> Ensemble:
        return from_world(network, shares[number], horizon_h, months[number], np.random.default_rng([seed, 3, number]))

    return [partial(make, number) for number in range(len(months))]


def _all(made: Sequence[Source]) -> Iterator[Ensemble]:
    with ThreadPoolExecutor(2) as pool:  # numpy lets other threads work while it draws and transforms
        yield from pool.map(lambda one: one(), made)


def weather_of(scenarios: Scenarios, scenario: int, made: Sequence[Source]) -> Field:
    """The weather of one scenario, read or made again."""
    number, row = scenarios.origin_S[scenario].tolist()
    ensemble: Ensemble = made[number]()
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
        "Its days are the 15th of each month, with the network's loads of those days.",
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


def _middle(network: Network, nodes: np.ndarray) -> int:
    """Which of the nodes stands nearest to the network's middle."""
    lat, lon = network.lat_N[nodes], network.lon_N[nodes]
    return int(np.argmin(np.hypot(lat - lat.mean(), (lon - lon.mean()) * np.cos(np.radians(lat.mean())))))


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


def _cut(ensemble: Ensemble, network: Network, nodes: np.ndarray, steps: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Channels at nodes (S, T, nodes), all members cut into stretches of the horizon, and their times (S, T)."""
    names = {c.name for c in ensemble.channels}
    sun, wind = next((c for c in SUN_CHANNELS if c in names), None), wind_channel(names)
    take = [c for c in (sun, "temperature" if "temperature" in names else None, *(wind[0] if wind else ())) if c]
    stretches = len(ensemble.times) // steps
    out: dict[str, np.ndarray] = {}
    for name in take:
        columns = []
        for node in nodes:
            bus = network.net.bus.at[network.circuit.bus_of_node[node], "name"]
            column_MT = ensemble.at(float(network.lat_N[node]), float(network.lon_N[node]), name, f"bus {bus}")
            columns.append(column_MT[:, : stretches * steps].reshape(-1, steps))
        out[name] = np.stack(columns, -1)
    times_ST = np.tile(ensemble.times[: stretches * steps].reshape(stretches, steps), (ensemble.members, 1))
    if wind:
        parts = [out.pop(c) for c in wind[0]]
        out[f"wind@{wind[1]:g}"] = parts[0] if len(parts) == 1 else np.hypot(*parts)
    return out, times_ST


def _weather_of(
    weather: str, raw: dict[str, np.ndarray], season_S: np.ndarray, middle: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    if weather == FIELD:
        return raw
    if weather == PIXEL:
        return {k: np.broadcast_to(v[:, :, middle : middle + 1], v.shape) for k, v in raw.items()}
    count = next(iter(raw.values())).shape[2]
    orders = np.empty((len(season_S), count), int)
    for node in range(count):
        for season in np.unique(season_S):
            here = np.flatnonzero(season_S == season)
            orders[here, node] = here[rng.permutation(len(here))]
    return {k: np.take_along_axis(v, orders[:, None, :], 0) for k, v in raw.items()}


def _powers(
    values: dict[str, np.ndarray], times_ST: np.ndarray, network: Network, nodes: np.ndarray, kinds: Sequence[str], middle: int | None
) -> dict[str, np.ndarray]:
    """pu of kinds (S, T, nodes). With `middle`, the sun of that node too is shared."""
    out = {}
    if "pv" in kinds and "capacity_factor" in values:
        # Factors of modules' power never reach 1; the network's megawatts are those of inverters, which do.
        out["pv"] = np.clip(values["capacity_factor"] / max(float(values["capacity_factor"].max()), 1e-6), 0.0, 1.0)
    elif "pv" in kinds:
        distinct, at = np.unique(times_ST, return_inverse=True)
        at_ST = at.reshape(times_ST.shape)
        sky = values["clear_sky_index"] if "clear_sky_index" in values else values["ghi"]
        columns = []
        for i in range(len(nodes)) if middle is None else [middle]:
            lat, lon = float(network.lat_N[nodes[i]]), float(network.lon_N[nodes[i]])
            sun, index_ST = power.sun_at(distinct, lat, lon), sky[:, :, i]
            if "clear_sky_index" not in values:
                index_ST = index_ST / np.clip(sun.clear_U[at_ST], FAINT_W_m2, None)
            air = values["temperature"][:, :, i] if "temperature" in values else power.AIR_C
            columns.append(power.pv_pu(index_ST, at_ST, sun, lat < 0, air))
        out["pv"] = np.broadcast_to(np.stack(columns, -1), sky.shape)
    if "wind" in kinds:
        name = next(k for k in values if k.startswith("wind@"))
        out["wind"] = power.wind_pu(values[name], float(name.removeprefix("wind@")))
    return out
