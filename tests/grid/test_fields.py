"""Weather files: what is read is what was meant, and what cannot be meant is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import skies_made
from kinowatt.errors import GridError, OutputError
from kinowatt.grid.fields import Ensemble, distances_km
from kinowatt.grid.weather_files import of_dataset, read, read_ensemble
from kinowatt.worlds.sun import Panels

xarray = pytest.importorskip("xarray")
h5py = pytest.importorskip("h5py")
RI = Path(__file__).parents[3] / "shared/data/ri_pv_2012.h5"


def era5(hours: int = 25, **units: str) -> xarray.Dataset:
    """As ERA5 has it: north first, temperature in K, radiation as the energy of the hour before, times without a zone."""
    times = np.datetime64("2012-06-01", "ns") + np.arange(hours) * np.timedelta64(1, "h")
    lat, lon = np.array([42.0, 41.5, 41.0]), np.array([287.0, 287.5])
    hour = np.arange(hours)[:, None, None]
    row = np.arange(3)[None, :, None]
    shape = np.zeros((hours, 3, 2))
    fields = {"t2m": (280.0 + hour + 10 * row + shape, "K"), "ssrd": (3600.0 * 100.0 * (hour % 24) / 24 + shape, "J m**-2")}
    fields |= {"u100": (3.0 + shape, "m s**-1"), "v100": (-4.0 + shape, "m s**-1")}
    data = {k: (("valid_time", "latitude", "longitude"), v, {"units": units.get(k, u)}) for k, (v, u) in fields.items()}
    return xarray.Dataset(data, coords={"valid_time": times, "latitude": lat, "longitude": lon})


def rev(path: Path, lat: list[float], lon: list[float], frames: int = 48, **attrs: object) -> Path:
    """A file as reV writes it."""
    meta = np.array(list(zip(lat, lon, strict=True)), dtype=[("latitude", "<f4"), ("longitude", "<f4")])
    times = np.datetime64("2012-06-01") + np.arange(frames) * np.timedelta64(30, "m")
    with h5py.File(path, "w") as file:
        profile = file.create_dataset("cf_profile", data=np.arange(frames * len(lat)).reshape(frames, len(lat)).astype("u2") % 700)
        for name, value in ({"scale_factor": 1000, "units": "unitless"} | attrs).items():
            if value is not None:
                profile.attrs[name] = value
        file["meta"] = meta
        said = {"array_type": 2, "tilt": 0, "azimuth": 180, "losses": 14.0, "inv_eff": 96, "dc_ac_ratio": 1.25, "gcr": 0.4}
        file["meta"].attrs["0"] = json.dumps(said)
        file["time_index"] = np.array([str(t).replace("T", " ").encode() for t in times])
    return path


def test_era5_is_turned_and_stands_in_the_middle_of_its_hours() -> None:
    ensemble = of_dataset(era5(), "era5.nc")
    assert [c.name for c in ensemble.channels] == ["temperature", "ghi", "wind_u_100m", "wind_v_100m", "wind_speed_100m"]
    assert (np.diff(ensemble.lat_HW[:, 0]) > 0).all()
    assert ensemble.lon_HW[0].tolist() == [-73.0, -72.5]
    assert str(ensemble.times[0]) == "2012-06-01T00:30:00.000000000"
    assert np.allclose(ensemble.channel("ghi")[0, :3, 0, 0], [100 / 24, 200 / 24, 300 / 24])
    # The warmest row was the southernmost: the last in the file, the first here; a temperature at a time goes to the middle of two.
    assert np.allclose(ensemble.channel("temperature")[0, 0, :, 0], np.array([300.5, 290.5, 280.5]) - 273.15)
    assert np.allclose(ensemble.channel("wind_speed_100m"), 5.0)
    said = " ".join(ensemble.notes)
    assert all(word in said for word in ("UTC", "north", "J/m2", "360"))


def test_sums_since_midnight_are_differenced() -> None:
    data = era5(49)
    hourly = 3600.0 * np.r_[0, np.tile(np.linspace(0, 800, 24), 2)]  # of the hour before each time
    sums = np.r_[0, np.cumsum(hourly[1:25]), np.cumsum(hourly[25:49])]
    data["ssrd"] = data["ssrd"].copy(data=np.broadcast_to(sums[:, None, None], data["ssrd"].shape))
    ensemble = of_dataset(data, "land.nc")
    assert np.allclose(ensemble.channel("ghi")[0, :, 0, 0], hourly[1:] / 3600.0)


def test_atlite_names() -> None:
    data = era5(5).rename({"ssrd": "influx_direct", "t2m": "temperature"})
    data["influx_direct"].attrs["units"] = "W m**-2"
    data["influx_diffuse"] = data["influx_direct"] * 0 + 5.0
    data["influx_diffuse"].attrs["units"] = "W m**-2"
    data["wnd100m"] = data["u100"].assign_attrs(units="m s**-1")
    ensemble = of_dataset(data, "cutout.nc")
    assert np.allclose(ensemble.channel("ghi"), ensemble.channel("influx_direct") + 5.0)
    assert np.allclose(ensemble.channel("wind_speed_100m"), 3.0)  # the file's own, not made from its parts


@pytest.mark.parametrize("write", ["to_zarr", "to_netcdf"])
def test_round_trip(tmp_path: Path, write: str) -> None:
    field = skies_made.sunny(2)
    made = Ensemble(np.stack([field.clip.frames_TCHW, field.clip.frames_TCHW * 0.5]), field.clip.channels, field.times, 0.5,
                    field.lat_HW, field.lon_HW, field.mask_HW, ("It is known.",), Panels(tilt=20.0))  # fmt: skip
    path = tmp_path / ("e.zarr" if write == "to_zarr" else "e.nc")
    getattr(made, write)(path)
    again = Ensemble.from_zarr(path)
    assert np.array_equal(again.values_MTCHW, made.values_MTCHW)
    assert (again.mask_HW == made.mask_HW).all()
    assert again.hours_per_frame == 0.5
    assert again.channels == made.channels
    assert again.panels == Panels(tilt=20.0)
    assert "It is known." in again.notes
    with pytest.raises(GridError, match="2 members"):
        read(path)


def test_rev_sites_lie_on_a_masked_lattice(tmp_path: Path) -> None:
    field = read(rev(tmp_path / "a.h5", [41.0, 41.04, 41.12], [-71.0, -71.04, -71.0]))
    assert field.mask_HW.tolist() == [[False, True], [True, False], [False, False], [False, True]]
    assert np.allclose(field.channel("capacity_factor")[1, [0, 1, 3], [1, 0, 1]], [0.003, 0.004, 0.005])
    assert field.panels == Panels(dc_ac=1.25)
    assert not any("panels" in note for note in field.notes)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["meta"].attrs["0"]
    silent = read(tmp_path / "a.h5")
    assert silent.panels is None
    assert any("does not say of which panels" in note and "both assumed" in note for note in silent.notes)


def test_at_interpolates_between_cells_that_hold_weather() -> None:
    field = skies_made.sunny(1)
    ensemble = field.as_ensemble()
    lat, lon = field.lat_HW[2, 1], field.lon_HW[2, 1]
    values = field.channel("clear_sky_index")
    assert np.allclose(ensemble.at(lat, lon, "clear_sky_index")[0], values[:, 2, 1])
    assert np.allclose(ensemble.at(lat + 0.02, lon, "clear_sky_index")[0], values[:, 2:4, 1].mean(1), atol=1e-6)
    # At the empty corner the nearest cells answer.
    corner = ensemble.at(field.lat_HW[0, 0], field.lon_HW[0, 0], "clear_sky_index")[0]
    assert np.allclose(corner, (values[:, 0, 1] + values[:, 1, 0]) / 2)
    with pytest.raises(GridError, match=r"PV 7 at 50\.000, -71\.800 lies outside the weather, which covers latitude 41\.00 to 41\.20"):
        ensemble.at(50.0, -71.8, "clear_sky_index", "PV 7")
    with pytest.raises(GridError, match="no wind_speed_100m; it has clear_sky_index"):
        ensemble.at(lat, lon, "wind_speed_100m")


def test_distances() -> None:
    away = distances_km(np.array([41.0, 42.0, 41.0]), np.array([-71.0, -71.0, -72.0]))
    assert away[0, 1] == pytest.approx(111.2)
    assert away[0, 2] == pytest.approx(111.2 * np.cos(np.radians(41.33)), rel=1e-3)


def no_units(data: xarray.Dataset) -> xarray.Dataset:
    del data["t2m"].attrs["units"]
    return data


def hole(data: xarray.Dataset) -> xarray.Dataset:
    data["t2m"].values[3, 1, 1] = np.nan
    return data


WRONG = [
    (lambda d: era5(t2m="degF"), "t2m is in 'degF'"),
    (lambda d: era5(ssrd="W m**-2"), "ssrd is in 'W m"),
    (no_units, "t2m has no units"),
    (hole, r"lacks 1 values, the first of temperature at 2012-06-01T03:00 in row 1, column 1"),
    (lambda d: d.isel(valid_time=[0, 1, 2, 5, 6]), "1 gaps in time, the first between 2012-06-01T02:00 and 2012-06-01T05:00"),
    (lambda d: d.isel(valid_time=[0, 2, 1]), "times that do not grow"),
    (lambda d: d.isel(valid_time=[0]), "has 1 frame"),
    (lambda d: d.assign_attrs(time_zone="Europe/Paris"), "times in Europe/Paris"),
    (lambda d: d.assign_coords(valid_time=np.arange(25)), "times that are no dates"),
    (lambda d: d.rename(valid_time="hour"), "no time dimension"),
    (lambda d: d.rename(t2m="a", ssrd="b", u100="c", v100="d"), "none of the variables"),
    (lambda d: d.isel(latitude=[0, 2, 1]), "in no order"),
    (lambda d: d.drop_vars("latitude").rename(latitude="row"), "does not say where it is"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_what_is_wrong_is_said(case: int) -> None:
    spoil, said = WRONG[case]
    with pytest.raises(GridError, match=said) as caught:
        of_dataset(spoil(era5()), "w.nc")
    assert "\n" not in str(caught.value)


def test_a_missing_29_february_is_no_gap() -> None:
    times = np.concatenate(
        [np.arange("2012-02-28T00", "2012-02-29T00", dtype="M8[h]"), np.arange("2012-03-01T00", "2012-03-01T03", dtype="M8[h]")]
    )
    data = era5(27).assign_coords(valid_time=times.astype("M8[ns]"))
    assert len(of_dataset(data, "leap.nc").times) == 26


def test_files_that_are_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.nc"
    broken.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    with pytest.raises(GridError, match="cannot be read as weather"):
        read_ensemble(broken)
    with pytest.raises(GridError, match="there is no weather file"):
        read_ensemble(tmp_path / "none.nc")
    (tmp_path / "broken.h5").write_bytes(b"no")
    with pytest.raises(GridError, match="cannot be read as HDF5"):
        read(tmp_path / "broken.h5")
    with pytest.raises(GridError, match="has no scale_factor"):
        read(rev(tmp_path / "scale.h5", [41.0], [-71.0], scale_factor=None))
    with pytest.raises(GridError, match="no capacity factor"):
        read(rev(tmp_path / "big.h5", [41.0] * 1, [-71.0], scale_factor=10))
    with pytest.raises(GridError, match="sites on no lattice"):
        read(rev(tmp_path / "off.h5", [41.0, 41.04, 41.1], [-71.0, -71.04, -71.0]))
    with pytest.raises(GridError, match="two sites in one cell"):
        read(rev(tmp_path / "twice.h5", [41.0, 41.0, 41.04], [-71.0, -71.0, -71.0]))
    with pytest.raises(OutputError, match="ending"):
        skies_made.sunny(1).as_ensemble().write(tmp_path / "e.txt")
    with pytest.raises(OutputError, match="cannot be written"):
        skies_made.sunny(1).as_ensemble().to_netcdf(tmp_path / "none" / "e.nc")


@pytest.mark.skipif(not RI.is_file(), reason="the real file is not here")
def test_the_real_file() -> None:
    field = read(RI)
    assert field.clip.frames_TCHW.shape == (17520, 1, 29, 6)
    assert field.mask_HW.sum() == 100
    assert field.panels is not None
    assert field.panels.tracking
    assert 0.7 < field.channel("capacity_factor").max() <= 1 / 1.3 + 1e-3
