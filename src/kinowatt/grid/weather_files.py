"""Weather files of other makers to fields: NetCDF and Zarr with the names of ERA5 and atlite, HDF5 of NREL's reV.

Units, time zone, order and gaps are checked, and what was assumed is said in the field's notes. Sources of the names and of what they mean:
ERA5's parameter database (accumulations are of the hour before the time, in J/m2), atlite's cutouts of ERA5 (means of the hour before),
and reV's output files (`cf_profile` with a scale factor, `meta`, `time_index` in UTC).
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.clip import Channel
from kinowatt.errors import GridError
from kinowatt.grid.fields import FORMAT, Ensemble, Field, needs
from kinowatt.worlds.sun import Panels

SPEED = {"m/s": (1.0, 0.0), "m s**-1": (1.0, 0.0), "m s-1": (1.0, 0.0), "m s^-1": (1.0, 0.0), "km/h": (1 / 3.6, 0.0)}
WARMTH = {"K": (1.0, -273.15), "kelvin": (1.0, -273.15), "degC": (1.0, 0.0), "celsius": (1.0, 0.0), "°C": (1.0, 0.0), "C": (1.0, 0.0)}
POWER = {"W/m2": (1.0, 0.0), "W m**-2": (1.0, 0.0), "W m-2": (1.0, 0.0), "W/m^2": (1.0, 0.0), "W/m²": (1.0, 0.0)}
WORK = {"J/m2": (1.0, 0.0), "J m**-2": (1.0, 0.0), "J m-2": (1.0, 0.0), "J/m^2": (1.0, 0.0), "J/m²": (1.0, 0.0)}
SHARE = {"1": (1.0, 0.0), "": (1.0, 0.0), "unitless": (1.0, 0.0), "dimensionless": (1.0, 0.0), "%": (0.01, 0.0)}

AT, BEFORE = "at the time", "mean of the interval before the time"


@dataclass(frozen=True)
class Quantity:
    """What a variable of a file is: the channel that it becomes, the units that it may have, with factor and offset, and when it holds."""

    channel: Channel
    units: dict[str, tuple[float, float]]
    when: str = AT

    @property
    def accumulated(self) -> bool:
        """An energy that grows over an interval, to be made a power."""
        return self.units is WORK


def _named(name: str) -> Quantity | None:
    """A variable by its name; None if it is not known."""
    wind = re.fullmatch(r"([uv])(10|100)|wnd(\d+)m|wind_(speed|u|v)_(\d+)m", name)
    if wind:
        part = wind[1] or (None if wind[4] == "speed" else wind[4])
        height = wind[2] or wind[3] or wind[5]
        return Quantity(Channel(f"wind_{part or 'speed'}_{height}m", "m/s"), SPEED)
    return _NAMES.get(name)


_NAMES = {
    "t2m": Quantity(Channel("temperature", "degC"), WARMTH),
    "temperature": Quantity(Channel("temperature", "degC"), WARMTH),
    "ssrd": Quantity(Channel("ghi", "W/m2"), WORK, BEFORE),
    "ssrdc": Quantity(Channel("ghi_clear", "W/m2"), WORK, BEFORE),
    "influx_direct": Quantity(Channel("influx_direct", "W/m2"), POWER, BEFORE),
    "influx_diffuse": Quantity(Channel("influx_diffuse", "W/m2"), POWER, BEFORE),
    "ghi": Quantity(Channel("ghi", "W/m2"), POWER),
    "ghi_clear": Quantity(Channel("ghi_clear", "W/m2"), POWER),
    "dni": Quantity(Channel("dni", "W/m2"), POWER),
    "dhi": Quantity(Channel("dhi", "W/m2"), POWER),
    "clear_sky_index": Quantity(Channel("clear_sky_index", "1"), SHARE),
    "capacity_factor": Quantity(Channel("capacity_factor", "1"), SHARE),
}
_OF_NO_PANELS = (
    "The file does not say of which panels its capacity factors are: a study takes them as shares of installed megawatts as they stand, "
    f"and a nowcast takes a clear sky's from trackers about a north-south axis with {Panels().dc_ac:g} DC/AC, both assumed."
)
MOST_W_m2 = 1500.0  # more than any hour on the ground: a sum over a longer time


def read(path: Path) -> Field:
    """A file or Zarr folder as a field. GridError if it cannot be read, holds several members, or is not as it should be."""
    ensemble = read_ensemble(path)
    if ensemble.members != 1:
        raise GridError(f"{path} holds {ensemble.members} members where one history is wanted; choose one of them")
    return ensemble.member(0)


def _panels(said: Any, of: Callable[[str], Panels], source: str, where: str) -> Panels | None:
    """What a file says of the system behind its capacity factors; None where it says nothing. GridError."""
    try:
        return None if said is None else of(str(said))
    except (ValueError, KeyError, TypeError) as error:
        raise GridError(f"{source} says of its panels what cannot be read ({error!r}); correct the attribute {where}") from error


def read_ensemble(path: Path) -> Ensemble:
    """A file or Zarr folder with one member or several. GridError."""
    if not path.exists():
        raise GridError(f"there is no weather file {path}; name a NetCDF, Zarr or reV HDF5 file")
    if path.suffix in (".h5", ".hdf5"):
        return _read_rev(path)
    xarray = needs("xarray")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.is_dir():
                needs("zarr")
                data = xarray.open_zarr(path, consolidated=False).load()
            else:
                needs("h5netcdf")
                data = xarray.load_dataset(path, engine="h5netcdf")
    except Exception as error:  # a damaged file may raise anything
        said = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise GridError(f"{path} cannot be read as weather ({said}); give a NetCDF-4 file, a Zarr folder or a reV HDF5 file") from error
    return of_dataset(data, str(path))


def of_dataset(data: Any, source: str, panels: Panels | None = None) -> Ensemble:
    """An xarray Dataset as an ensemble; `source` names it in messages, `panels` is what is known of them. GridError."""
    notes: list[str] = [said] if (said := str(data.attrs.get("notes", ""))) and data.attrs.get("format") == FORMAT else []
    panels = panels or _panels(data.attrs.get("panels"), lambda text: Panels(**json.loads(text)), source, "panels")
    data = _renamed(data, source)
    times = _utc(data, source, notes)
    values, quantities = _values(data, source)
    names = [q.channel.name for q in quantities]
    if "y" in data.dims:
        lat_HW, lon_HW, values = _oriented(data, values, source, notes)
        mask_HW = np.isfinite(values).any((0, 1, 2))
    else:
        lat_HW, lon_HW, mask_HW, values = on_lattice(data["lat"].values, data["lon"].values, values, source)
    hours = float(data.attrs.get("hours_per_frame", 0)) or _hours(times, source)
    _check_gaps(times, hours, source)
    _check_holes(values, names, times, mask_HW, source)
    if not mask_HW.all():
        notes.append(f"{int((~mask_HW).sum())} of {mask_HW.size} cells hold no weather.")
    values, times = _to_middles(values, quantities, times, hours, notes)
    channels = tuple(q.channel for q in quantities)
    values, channels = _derived(values, channels)
    values = np.where(mask_HW, values, 0.0).astype(np.float32)
    if panels is None and "capacity_factor" in names:
        notes.append(_OF_NO_PANELS)
    return Ensemble(values, channels, times, hours, lat_HW, lon_HW, mask_HW, tuple(notes), panels)


def _renamed(data: Any, source: str) -> Any:
    """Dimensions and coordinates under our names."""
    aliases = {"valid_time": "time", "latitude": "lat", "longitude": "lon", "number": "member", "realization": "member"}
    data = data.rename({k: v for k, v in aliases.items() if (k in data.dims or k in data.coords or k in data) and v not in data})
    if "time" not in data.dims and "time" in data.coords and data["time"].ndim == 0:
        data = data.expand_dims("time")
    if "time" not in data.dims:
        raise GridError(f"{source} has no time dimension; weather needs time, latitude and longitude")
    for name in ("lat", "lon"):
        if name in data.dims and data[name].ndim == 1 and name in data.coords:
            data = data.swap_dims({name: "y" if name == "lat" else "x"}) if ("y" if name == "lat" else "x") not in data.dims else data
    if "lat" not in data and "y" in data.coords and "x" in data.coords:
        data = data.assign_coords(lat=("y", data["y"].values), lon=("x", data["x"].values))
    if "lat" not in data or "lon" not in data:
        raise GridError(f"{source} does not say where it is; it needs coordinates lat and lon (or latitude and longitude)")
    return data


def _utc(data: Any, source: str, notes: list[str]) -> np.ndarray:
    """Times as datetime64[ns] in UTC, growing. GridError."""
    time = data["time"]
    zone = str(time.attrs.get("time_zone") or time.attrs.get("timezone") or data.attrs.get("time_zone") or data.attrs.get("timezone") or "")
    if zone and zone.upper() not in ("UTC", "GMT", "Z", "+00:00"):
        raise GridError(f"{source} has times in {zone}; weather is read in UTC, so convert its times first")
    if not np.issubdtype(time.dtype, np.datetime64):
        raise GridError(f"{source} has times that are no dates ({time.dtype}); write them in CF form, such as 'hours since 2012-01-01'")
    times: np.ndarray = time.values.astype("datetime64[ns]")
    if np.isnat(times).any():
        raise GridError(f"{source} has {int(np.isnat(times).sum())} missing times of {len(times)}; fill or drop those frames")
    if len(times) > 1 and not (np.diff(times) > np.timedelta64(0)).all():
        raise GridError(f"{source} has times that do not grow; sort it by time and drop what is there twice")
    if not zone:
        notes.append("The file names no time zone; its times are taken as UTC.")
    return times


def _values(data: Any, source: str) -> tuple[np.ndarray, list[Quantity]]:
    """All variables that are known, in the units of their channels: (M, T, C, …space)."""
    space = ("y", "x") if "y" in data.dims else tuple(d for d in data["lat"].dims if d not in ("time", "member"))
    parts, quantities = [], []
    for name in data.data_vars:
        quantity = _named(str(name))
        if quantity is None or not {"time", *space} <= set(data[name].dims):
            continue
        variable = data[name]
        for dim in [d for d in variable.dims if d not in ("time", "member", *space)]:
            if variable.sizes[dim] != 1:
                raise GridError(f"{source}: {name} has a dimension {dim} of {variable.sizes[dim]}; choose one of them first")
            variable = variable.isel({dim: 0})
        if "member" not in variable.dims:
            variable = variable.expand_dims("member")
        unit = variable.attrs.get("units")
        if unit is None:
            raise GridError(f"{source}: {name} has no units; set its attribute units, for example {next(iter(quantity.units))!r}")
        if str(unit).strip() not in quantity.units:
            raise GridError(f"{source}: {name} is in {unit!r}, which does not fit; it must be in {' or '.join(map(repr, quantity.units))}")
        factor, offset = quantity.units[str(unit).strip()]
        parts.append(variable.transpose("member", "time", *space).values.astype(np.float64) * factor + offset)
        quantities.append(quantity)
    if not parts:
        raise GridError(f"{source} holds none of the variables that are known ({', '.join(_NAMES)}, u100, v100, wnd100m); rename yours")
    if len({p.shape for p in parts}) != 1:
        raise GridError(f"{source} has variables on different members, times or places; bring them onto one")
    return np.stack(parts, 2), quantities


def _oriented(data: Any, values: np.ndarray, source: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitude and longitude (H, W), growing to the north and the east, and the values turned likewise. GridError."""
    lat, lon = np.asarray(data["lat"].values, float), np.asarray(data["lon"].values, float)
    if lat.ndim == 1:
        lat, lon = np.broadcast_to(lat[:, None], (len(lat), len(lon))), np.broadcast_to(lon[None, :], (len(lat), len(lon)))
    if not (np.isfinite(lat).all() and np.isfinite(lon).all() and abs(lat).max() <= 90):
        raise GridError(f"{source} has places that are none: latitude must lie within -90 to 90 degrees, and nothing may be missing")
    if lon.max() > 180:
        lon = (lon + 180) % 360 - 180
        order = np.argsort(lon[0])
        lat, lon, values = lat[:, order], lon[:, order], values[..., order]
        notes.append("Longitudes of 0 to 360 degrees were turned to -180 to 180.")
    if len(lat) > 1 and lat[0, 0] > lat[-1, 0]:
        lat, lon, values = lat[::-1], lon[::-1], values[..., ::-1, :]
        notes.append("Latitude ran to the south and was turned to run to the north.")
    if not ((np.diff(lat, axis=0) > 0).all() and (np.diff(lon, axis=1) > 0).all()):
        raise GridError(f"{source} has latitudes or longitudes in no order; sort them")
    return lat.copy(), lon.copy(), values


def on_lattice(
    lat_N: np.ndarray, lon_N: np.ndarray, values: np.ndarray, source: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sites (…, N) onto the lattice that they lie on: latitude, longitude, mask (H, W) and values (…, H, W), NaN where no site is.

    The spacing is the least distance between two different latitudes (or longitudes). GridError if sites are off it or share a cell.
    """
    rows, lats = _cells(np.asarray(lat_N, float), source)
    columns, lons = _cells(np.asarray(lon_N, float), source)
    if len(set(zip(rows.tolist(), columns.tolist(), strict=True))) != len(rows):
        raise GridError(f"{source} has two sites in one cell of its lattice; keep one of them")
    if len(lats) * len(lons) > 400 * max(len(rows), 10):
        raise GridError(f"{source} has sites on no common lattice (their {len(lats)} x {len(lons)} cells would be nearly empty); regrid it")
    out = np.full((*values.shape[:-1], len(lats), len(lons)), np.nan)
    out[..., rows, columns] = values
    mask = np.zeros((len(lats), len(lons)), bool)
    mask[rows, columns] = True
    lat_HW, lon_HW = np.meshgrid(lats, lons, indexing="ij")
    return lat_HW, lon_HW, mask, out


def _cells(at_N: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """The cell of each coordinate, and the coordinates of all cells."""
    if not np.isfinite(at_N).all():
        raise GridError(f"{source} has {int((~np.isfinite(at_N)).sum())} sites without a place; drop them")
    known = np.unique(at_N.round(3))
    gaps = np.diff(known)
    if not len(gaps):
        return np.zeros(len(at_N), int), known
    step = float(np.median(gaps[gaps < 1.5 * gaps.min()]))
    cells = np.rint((at_N - known[0]) / step).astype(int)
    off = abs((at_N - known[0]) / step - cells).max()
    if off > 0.25:
        raise GridError(f"{source} has sites on no lattice (one is {off:.2f} of a step of {step:.3f} degrees off); regrid it")
    return cells, known[0] + step * np.arange(cells.max() + 1)


def _hours(times: np.ndarray, source: str) -> float:
    if len(times) < 2:
        raise GridError(f"{source} has {len(times)} frame; weather needs at least two")
    return float(np.median(np.diff(times)) / np.timedelta64(1, "s")) / 3600.0


def _check_gaps(times: np.ndarray, hours: float, source: str) -> None:
    """GridError if frames are missing; of 29 February alone they may be, as many archives leave it out."""
    steps = np.diff(times) / np.timedelta64(1, "s") / 3600.0
    wrong = np.flatnonzero(abs(steps - hours) > 0.01 * hours)
    wrong = np.array([i for i in wrong if not (str(times[i])[5:10] == "02-28" and str(times[i + 1])[5:10] == "03-01")], dtype=int)
    if len(wrong):
        first = int(wrong[0])
        raise GridError(
            f"{source} has {len(wrong)} gaps in time, the first between {str(times[first])[:16]} and {str(times[first + 1])[:16]} "
            f"where {hours:g} h is the step; fill them or cut the file there"
        )


def _check_holes(values: np.ndarray, names: list[str], times: np.ndarray, mask_HW: np.ndarray, source: str) -> None:
    """GridError if a cell that holds weather at some times lacks it at others."""
    holes = ~np.isfinite(values) & mask_HW
    if holes.any():
        _, t, c, row, column = (int(i[0]) for i in np.nonzero(holes))
        raise GridError(
            f"{source} lacks {int(holes.sum())} values, the first of {names[c]} at {str(times[t])[:16]} in row {row}, column {column}; "
            "fill them, or leave such a cell out at all times"
        )


def _to_middles(
    values: np.ndarray, quantities: list[Quantity], times: np.ndarray, hours: float, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Energies to powers, and all channels to the middles of the intervals where one of them is of an interval."""
    if not any(q.when == BEFORE for q in quantities):
        return values, times
    out = 0.5 * (values[:, 1:] + values[:, :-1])  # what holds at a time, in the middle of two times
    for c, quantity in enumerate(quantities):
        if quantity.when == BEFORE:
            out[:, :, c] = values[:, 1:, c]
        if quantity.accumulated:
            energy = values[:, 1:, c]
            if energy.max() / (hours * 3600.0) > MOST_W_m2:
                energy = _since_midnight(values[:, :, c], times)
                notes.append(f"{quantity.channel.name} was a sum since midnight UTC; its differences were taken.")
            out[:, :, c] = np.clip(energy / (hours * 3600.0), 0.0, None)
            notes.append(f"{quantity.channel.name} was an energy in J/m2 of the interval before its time; it is a power in its middle now.")
    if any(q.when == AT for q in quantities):
        notes.append("What holds at a time was averaged to the middle of two times, where the radiation stands.")
    return out, times[1:] - np.timedelta64(round(hours * 1800e9), "ns")


def _since_midnight(sums: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Energy of each interval from sums that begin anew after 00 UTC, as in ERA5-Land."""
    steps = np.diff(sums, axis=1)
    fresh = times[:-1] == times[:-1].astype("datetime64[D]")  # the interval begins at midnight
    steps[:, fresh] = sums[:, 1:][:, fresh]
    return steps


def _derived(values: np.ndarray, channels: tuple[Channel, ...]) -> tuple[np.ndarray, tuple[Channel, ...]]:
    """Wind speed from its two parts and global irradiance from direct and diffuse, where the file does not have them."""
    names, parts = [c.name for c in channels], [values]
    for height in ("10", "100"):
        u, v = f"wind_u_{height}m", f"wind_v_{height}m"
        if u in names and v in names and f"wind_speed_{height}m" not in names:
            parts.append(np.hypot(values[:, :, names.index(u)], values[:, :, names.index(v)])[:, :, None])
            channels = (*channels, Channel(f"wind_speed_{height}m", "m/s"))
    if "influx_direct" in names and "influx_diffuse" in names and "ghi" not in names:
        parts.append((values[:, :, names.index("influx_direct")] + values[:, :, names.index("influx_diffuse")])[:, :, None])
        channels = (*channels, Channel("ghi", "W/m2"))
    return np.concatenate(parts, 2), channels


def _read_rev(path: Path) -> Ensemble:
    """NREL's reV: `cf_profile` (T, N) with a scale factor, `meta` with the sites' places, `time_index`. GridError."""
    h5py = needs("h5py")
    try:
        with h5py.File(path, "r") as file:
            lacking = [name for name in ("cf_profile", "meta", "time_index") if name not in file]
            if lacking:
                raise GridError(f"{path} is HDF5 but not of reV: it lacks {', '.join(lacking)}; give NetCDF or Zarr instead")
            profile = file["cf_profile"]
            if "scale_factor" not in profile.attrs:
                raise GridError(f"{path}: cf_profile has no scale_factor, so its unit is not known; set that attribute")
            unit = str(profile.attrs.get("units", "unitless"))
            values = profile[:].astype(np.float64) / float(profile.attrs["scale_factor"])
            lat, lon = file["meta"]["latitude"], file["meta"]["longitude"]
            stamps = [s.decode() if isinstance(s, bytes) else str(s) for s in file["time_index"][:]]
            said = file["meta"].attrs.get("0")  # what reV was told of the system
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, GridError):
            raise
        raise GridError(f"{path} cannot be read as HDF5 ({str(error).splitlines()[0][:200]}); download it again") from error
    if unit not in SHARE or not (values.min() >= 0.0 and values.max() <= 1.5):
        raise GridError(f"{path}: cf_profile in {unit!r} of up to {values.max():g} is no capacity factor; it must lie within 0 and 1")
    data = needs("xarray").Dataset(
        {"capacity_factor": (("time", "site"), values, {"units": "1"})},
        coords={"time": _stamps(stamps, path), "lat": ("site", lat), "lon": ("site", lon)},
        attrs={"time_zone": "UTC"},
    )
    return of_dataset(data, str(path), _panels(said, Panels.of_rev, str(path), "0 of meta"))


def _stamps(stamps: list[str], path: Path) -> np.ndarray:
    """reV's time strings, in UTC by definition; with an offset they are turned. GridError."""
    pandas = needs("pandas")
    try:
        index = pandas.to_datetime(stamps, utc=True)
    except (ValueError, TypeError) as error:
        raise GridError(f"{path} has a time_index that is no list of dates ({str(error).splitlines()[0][:100]}); use ISO dates") from error
    return np.asarray(index.tz_localize(None).to_numpy(), dtype="datetime64[ns]")
