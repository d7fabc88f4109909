"""Weather as a video: fields on a lattice over time, and ensembles of them. Files of other makers are read in weather_files.py.

A lattice runs from south to north and from west to east; cells outside of `mask_HW` hold nothing. Times are UTC and stand in the middle
of what a frame is the mean of. Legend: M members, T frames, C channels, H rows, W columns.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.clip import Channel, Clip
from kinowatt.errors import GridError, MissingDependency, OutputError
from kinowatt.worlds.sun import Panels

KM_PER_DEGREE = 111.2
REACH = 1.5  # lattice steps from a plant to the nearest cell that holds weather
FORMAT = "kinowatt ensemble 1"


@dataclass(frozen=True, eq=False)
class Field:
    """One history of weather: a clip of fields, with its times (T,) as datetime64[ns] and its places (H, W) in degrees.

    `notes` are sentences on what was assumed or changed when it was read.
    """

    clip: Clip
    times: np.ndarray
    lat_HW: np.ndarray
    lon_HW: np.ndarray
    mask_HW: np.ndarray
    notes: tuple[str, ...] = ()
    panels: Panels | None = None  # behind a channel capacity_factor, where the file says it

    def __post_init__(self) -> None:
        _check(self.clip.frames_TCHW, self.times, self.lat_HW, self.lon_HW, self.mask_HW)
        assert self.clip.hours_per_frame is not None

    @property
    def hours_per_frame(self) -> float:
        """Hours from one frame to the next."""
        assert self.clip.hours_per_frame is not None
        return self.clip.hours_per_frame

    def channel(self, name: str) -> np.ndarray:
        """Values (T, H, W) of a channel. GridError if the field does not have it."""
        return self.clip.frames_TCHW[:, index_of(name, self.clip.channels)]

    def cut(self, start: int, stop: int) -> Field:
        """Frames start..stop-1."""
        return replace(self, clip=self.clip.cut(start, stop), times=self.times[start:stop])

    def as_ensemble(self) -> Ensemble:
        """The same as an ensemble of one member."""
        values, said = self.clip.frames_TCHW[None], (self.notes, self.panels)
        return Ensemble(values, self.clip.channels, self.times, self.hours_per_frame, self.lat_HW, self.lon_HW, self.mask_HW, *said)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members `values_MTCHW` (float32) on one lattice at the same times; else as `Field`."""

    values_MTCHW: np.ndarray
    channels: tuple[Channel, ...]
    times: np.ndarray
    hours_per_frame: float
    lat_HW: np.ndarray
    lon_HW: np.ndarray
    mask_HW: np.ndarray
    notes: tuple[str, ...] = ()
    panels: Panels | None = None

    def __post_init__(self) -> None:
        assert self.values_MTCHW.shape[2:3] == (len(self.channels),), self.values_MTCHW.shape
        _check(self.values_MTCHW[0], self.times, self.lat_HW, self.lon_HW, self.mask_HW)

    @property
    def members(self) -> int:
        """Number of members M."""
        return int(self.values_MTCHW.shape[0])

    def channel(self, name: str) -> np.ndarray:
        """Values (M, T, H, W) of a channel. GridError if there is no such channel."""
        return self.values_MTCHW[:, :, index_of(name, self.channels)]

    def member(self, number: int) -> Field:
        """One member as a field."""
        clip = Clip(self.values_MTCHW[number], hours_per_frame=self.hours_per_frame, channels=self.channels)
        return Field(clip, self.times, self.lat_HW, self.lon_HW, self.mask_HW, self.notes, self.panels)

    def at(self, lat: float, lon: float, channel: str, name: str = "the plant") -> np.ndarray:
        """The channel (M, T) at a place, interpolated between the cells around it that hold weather.

        GridError, with the `name` of what stands there, if the nearest such cell is more than 1.5 lattice steps away.
        """
        rows, columns, weights = self._around(lat, lon, name)
        return np.asarray((self.channel(channel)[:, :, rows, columns] * weights).sum(-1), dtype=np.float32)

    def _around(self, lat: float, lon: float, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cells (rows, columns) around a place, and their weights: bilinear among those that hold weather, else the nearest one."""
        step_lat, step_lon = steps_of(self.lat_HW, self.lon_HW)
        away_HW = np.hypot((self.lat_HW - lat) / step_lat, (self.lon_HW - lon) / step_lon)
        away_HW = np.where(self.mask_HW, away_HW, np.inf)
        if not float(away_HW.min()) <= REACH:
            raise GridError(
                f"{name} at {lat:.3f}, {lon:.3f} lies outside the weather, which covers {self.extent()}; use weather from there"
            )
        share_HW = np.clip(1 - abs(self.lat_HW - lat) / step_lat, 0, None) * np.clip(1 - abs(self.lon_HW - lon) / step_lon, 0, None)
        share_HW = np.where(self.mask_HW, share_HW, 0.0)
        if share_HW.sum() < 1e-3:
            share_HW = (away_HW == away_HW.min()).astype(float)
        rows, columns = np.nonzero(share_HW > 1e-6)
        weights = share_HW[rows, columns]
        return rows, columns, weights / weights.sum()

    def extent(self) -> str:
        """For messages: latitudes and longitudes of what holds weather."""
        lat, lon = self.lat_HW[self.mask_HW], self.lon_HW[self.mask_HW]
        return f"latitude {lat.min():.2f} to {lat.max():.2f} and longitude {lon.min():.2f} to {lon.max():.2f}"

    def to_dataset(self) -> Any:
        """As an xarray Dataset with dims (member, time, y, x) and coordinates lat and lon (y, x), cells outside of the mask NaN."""
        xarray = needs("xarray")
        cells = {"lat": (("y", "x"), self.lat_HW, {"units": "degrees_north"}), "lon": (("y", "x"), self.lon_HW, {"units": "degrees_east"})}
        held = np.where(self.mask_HW, self.values_MTCHW, np.nan).astype(np.float32)
        data = {c.name: (("member", "time", "y", "x"), held[:, :, i], {"units": c.unit}) for i, c in enumerate(self.channels)}
        times = self.times.astype("datetime64[ns]")
        said = {"hours_per_frame": self.hours_per_frame, "format": FORMAT, "time_zone": "UTC", "notes": " ".join(self.notes)}
        if self.panels is not None:
            said["panels"] = json.dumps(asdict(self.panels))
        return xarray.Dataset(data, coords={"time": times, "member": np.arange(self.members), **cells}, attrs=said)

    def to_zarr(self, path: Path) -> None:
        """Write to a Zarr folder (`.zarr`); OutputError if it cannot be written. What is there is replaced."""
        with _writing(path):
            needs("zarr")
            self.to_dataset().to_zarr(path, mode="w", consolidated=False)

    def to_netcdf(self, path: Path) -> None:
        """Write to a NetCDF-4 file (`.nc`); OutputError if it cannot be written."""
        with _writing(path):
            needs("h5netcdf")
            self.to_dataset().to_netcdf(path, engine="h5netcdf")

    def write(self, path: Path) -> None:
        """By the ending of the path: .zarr or .nc. OutputError for another one."""
        if path.suffix not in (".zarr", ".nc"):
            raise OutputError(f"{path} has an ending that says no format; write to a .zarr folder or a .nc file")
        (self.to_zarr if path.suffix == ".zarr" else self.to_netcdf)(path)

    @staticmethod
    def from_zarr(path: Path) -> Ensemble:
        """Of a file that kinowatt wrote, or of another maker's Zarr or NetCDF (see weather_files.py). GridError."""
        from kinowatt.grid import weather_files

        return weather_files.read_ensemble(path)


def moment_of(text: str) -> np.datetime64:
    """A time in UTC, such as 2012-06-24T15:00; one with another offset is turned. GridError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GridError(f"{text[:40]!r} is no time; write it in UTC, for example 2012-06-24T15:00") from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment, "ns")


def index_of(name: str, channels: Sequence[Channel]) -> int:
    """Where a channel stands. GridError if it is not there."""
    names = [c.name for c in channels]
    if name not in names:
        raise GridError(f"the weather has no {name}; it has {', '.join(names)}")
    return names.index(name)


def steps_of(lat_HW: np.ndarray, lon_HW: np.ndarray) -> tuple[float, float]:
    """Degrees of latitude and of longitude between neighbours of a lattice; where it has one row or column, the other's."""
    lat = float(np.median(np.diff(lat_HW, axis=0))) if len(lat_HW) > 1 else 0.0
    lon = float(np.median(np.diff(lon_HW, axis=1))) if lon_HW.shape[1] > 1 else 0.0
    lat, lon = lat or lon or 1.0, lon or lat or 1.0
    return lat, lon


def distances_km(lat_N: np.ndarray, lon_N: np.ndarray) -> np.ndarray:
    """Between all pairs of places (N, N), on a plane that is tangent at their middle: good to 1 % within some hundred km."""
    x = (lon_N - lon_N.mean()) * KM_PER_DEGREE * np.cos(np.radians(lat_N.mean()))
    y = (lat_N - lat_N.mean()) * KM_PER_DEGREE
    return np.asarray(np.hypot(x[:, None] - x[None], y[:, None] - y[None]))


def _check(frames_TCHW: np.ndarray, times: np.ndarray, lat_HW: np.ndarray, lon_HW: np.ndarray, mask_HW: np.ndarray) -> None:
    """Shapes agree, the lattice runs to the north and east, and what the mask lets through is finite."""
    size = frames_TCHW.shape[2:]
    assert lat_HW.shape == lon_HW.shape == mask_HW.shape == size, (lat_HW.shape, mask_HW.shape, size)
    assert times.shape == (len(frames_TCHW),)
    assert times.dtype == np.dtype("datetime64[ns]")
    assert (np.diff(lat_HW, axis=0) > 0).all()
    assert (np.diff(lon_HW, axis=1) > 0).all()
    assert mask_HW.any()


@contextmanager
def _writing(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr and netCDF warn of formats in the making
            yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def needs(name: str) -> Any:
    """A module of the extra `grid`. MissingDependency if it is not installed."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependency(f"weather fields need {name}; install kinowatt[grid]") from error
