"""Scenarios: three weathers with the same marginals, cuts of long histories, weather laid over a network, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import skies_made
from gridding import ensemble, five_buses, write_net
from kinowatt.errors import GridError
from kinowatt.grid import nowcast
from kinowatt.grid.network import Network, read_network
from kinowatt.grid.power import wind_pu
from kinowatt.grid.scenarios import FIELD, INDEPENDENT, PIXEL, Asked, scenarios_of, weather_of
from kinowatt.grid.weather_files import read
from kinowatt.models import skies_model as skies
from kinowatt.models.dit import VideoDiT
from kinowatt.worlds.sun import Panels


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return read_network(str(write_net(five_buses(), tmp_path_factory.mktemp("net") / "five.json")))


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weather") / "e.nc"
    ensemble(12, 48).to_netcdf(path)
    return str(path)


def test_three_weathers(network: Network, weather: str) -> None:
    made = scenarios_of(Asked(weather), network, 100, 24.0, 0, ("pv", "wind"))
    assert (made.count, made.steps, made.kinds) == (24, 24, ("pv", "wind"))  # two days of twelve members
    nodes = network.candidates()
    for kind in made.kinds:
        field, pixel, alone = (made.pu[w, kind][:, :, nodes] for w in (FIELD, PIXEL, INDEPENDENT))
        assert np.ptp(pixel, axis=2).max() == 0.0
        assert np.ptp(field, axis=2).max() > 0.1
        assert not made.pu[FIELD, kind][:, :, 0].any()  # nothing stands at the source
        for node in range(len(nodes)):  # every place keeps its own scenarios, in another order
            rows = [sorted(map(tuple, x[:, :, node].tolist())) for x in (field, alone)]
            assert rows[0] == rows[1]
    field, alone = (made.pu[w, "wind"][:, :, nodes] for w in (FIELD, INDEPENDENT))
    together, apart = (np.corrcoef(x.mean(1).T)[0, 1:] for x in (field, alone))
    assert together.min() > 0.8
    assert abs(apart).max() < 0.6


def test_the_pixel_is_a_plants_place_as_often_as_it_has_megawatts(network: Network, weather: str) -> None:
    made = scenarios_of(Asked(weather), network, 100, 24.0, 0, ("pv",))
    field, pixel, installed = made.pu[FIELD, "pv"], made.pu[PIXEL, "pv"], network.plants["pv"].installed_N_MW
    plants = np.flatnonzero(installed)
    is_SN = np.array([[np.array_equal(field[i, :, n], pixel[i, :, plants[0]]) for n in plants] for i in range(made.count)])
    assert is_SN.sum(0).tolist() == (made.count * installed[plants] / installed.sum()).tolist() == [16, 8]  # 2 MW and 1 MW


def test_the_same_seed_is_the_same_study(network: Network, weather: str) -> None:
    one, two, other = (scenarios_of(Asked(weather), network, 7, 24.0, seed, ("pv",)) for seed in (3, 3, 4))
    assert one.count == 7
    assert np.array_equal(one.pu[INDEPENDENT, "pv"], two.pu[INDEPENDENT, "pv"])
    assert not np.array_equal(one.origin_S, other.origin_S)


def test_a_scenarios_own_weather_comes_back(network: Network, weather: str) -> None:
    made = scenarios_of(Asked(weather), network, 7, 24.0, 3, ("pv",))
    field = weather_of(made, 4)
    assert np.array_equal(field.times, made.times_ST[4])
    node = int(network.candidates()[0])
    speed = field.as_ensemble().at(float(network.lat_N[node]), float(network.lon_N[node]), "wind_speed_100m")
    assert np.allclose(wind_pu(speed[0], 100.0), made.pu[FIELD, "wind"][4, :, node], atol=1e-6)


def test_the_world(network: Network) -> None:
    made = scenarios_of(Asked("world"), network, 3, 3.0, 0, ("pv", "wind"))
    assert (made.count, made.steps, made.hours) == (3, 12, 0.25)
    assert len(np.unique(made.season_S)) == 3
    first = made.times_ST[:, 0]  # midnight there, the middle of a quarter
    assert (first - first.astype("datetime64[D]") == np.timedelta64(23 * 60 + 7, "m") + np.timedelta64(30, "s")).all()
    assert "independent of the clouds: assumed, not measured" in " ".join(made.notes)
    sky, at = weather_of(made, 1), made.times_ST[1]
    assert np.array_equal(sky.times, at)
    node = int(network.candidates()[0])
    speed = sky.as_ensemble().at(float(network.lat_N[node]), float(network.lon_N[node]), "wind_speed_100m")
    assert np.allclose(wind_pu(speed[0], 100.0), made.pu[FIELD, "wind"][1, :, node], atol=1e-6)


def test_the_worlds_days_lie_evenly_in_the_year(network: Network) -> None:
    made = scenarios_of(Asked("world"), network, 48, 0.5, 0, ("pv",))
    days = made.times_ST[:, 0].astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    of_month = (days - month.astype("datetime64[D]")).astype(int) + 1
    assert np.unique(month.astype(int) % 12, return_counts=True)[1].min() >= 3
    assert len(np.unique(of_month)) > 15
    assert of_month.min() < 5 < 25 < of_month.max()


def sunny_file(path: Path, panels: Panels | None) -> Path:
    """A history of capacity factors of 61 days, over Rhode Island."""
    field = skies_made.sunny(61, channel="capacity_factor")
    shaded = replace(field.clip, frames_TCHW=0.5 * field.clip.frames_TCHW)
    replace(field, clip=shaded, panels=panels).as_ensemble().to_netcdf(path)
    return path


def test_capacity_factors_are_of_what_the_file_says(network: Network, tmp_path: Path) -> None:
    for panels, factor, said in ((Panels(dc_ac=1.3), 1.3, "times 1.3 DC/AC"), (None, 1.0, "as they stand")):
        file = sunny_file(tmp_path / f"{factor}.nc", panels)
        made = scenarios_of(Asked(str(file), place=True), network, 400, 24.0, 0, ("pv",))
        assert any(said in note for note in made.notes)
        assert any("does not say of which panels" in note for note in made.notes) == (panels is None)
        node = int(network.candidates()[0])
        there = weather_of(made, 5).as_ensemble().at(float(network.lat_N[node]), float(network.lon_N[node]), "capacity_factor")
        assert there.max() > 0.3
        assert np.allclose(made.pu[FIELD, "pv"][5, :, node], np.clip(factor * there[0], 0, 1), atol=1e-6)


def test_the_model_goes_on_from_a_history(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, drawn = sunny_file(tmp_path / "sun.nc", Panels()), []
    torch.manual_seed(0)
    small = nowcast.Model(VideoDiT(replace(skies.DIT, heads=2, ffn_dim=64, layers=1)).eval(), torch.device("cpu"))
    monkeypatch.setattr(nowcast, "load", lambda: drawn.append(1) or small)  # type: ignore[func-returns-value]
    asked = Asked("model", str(file), "2012-07-31T11:00-04:00", place=True)
    made = scenarios_of(asked, network, 6, 2.0, 0, ("pv",))
    assert (made.count, made.steps, made.hours) == (6, 4, 0.5)
    assert made.source == "the model skies, from sun.nc at 2012-07-31T11:00-04:00 (scenario generator)"
    assert any("Nowcast from 2012-07-31T15:00 UTC; 6 members of skies and of analogs in turn" in note for note in made.notes)
    there = nowcast.nowcast(read(file), np.datetime64("2012-07-31T15:00", "ns"), 2.0, 6)
    sky = weather_of(made, 3)
    assert np.array_equal(sky.channel("capacity_factor"), there.channel("capacity_factor")[3])
    assert len(drawn) == 2  # the report has the weather of the study: it is not drawn again
    assert np.array_equal(scenarios_of(asked, network, 6, 2.0, 0, ("pv",)).pu[FIELD, "pv"], made.pu[FIELD, "pv"])
    with pytest.raises(GridError, match="horizon of 24 h cannot be nowcast"):
        scenarios_of(asked, network, 6, 24.0, 0, ("pv",))


def test_laid_over(network: Network, tmp_path: Path) -> None:
    far = ensemble(4)
    far = replace(far, lat_HW=far.lat_HW - 12.0, lon_HW=(far.lon_HW - 11.5) / 3 - 71.5)
    far.to_netcdf(tmp_path / "far.nc")
    with pytest.raises(GridError, match=r"bus B\d at .* lies outside the weather"):
        scenarios_of(Asked(str(tmp_path / "far.nc")), network, 4, 24.0, 0, ("pv",))
    made = scenarios_of(Asked(str(tmp_path / "far.nc"), place=True), network, 4, 24.0, 0, ("pv",))
    assert any("laid over" in note for note in made.notes)
    assert made.times_ST[0, 0] == far.times[0] - np.timedelta64(6, "h")  # 83 degrees to the east


def test_refusals(network: Network, weather: str, tmp_path: Path) -> None:
    with pytest.raises(GridError, match="goes on from a sky: give --history"):
        Asked("model", at="2012-06-24T15:00")
    with pytest.raises(GridError, match="belong to --weather model, and this is world"):
        Asked("world", at="2012-06-24T15:00")
    with pytest.raises(GridError, match="'noon' is no time"):
        Asked("model", weather, "noon")
    with pytest.raises(GridError, match="12 members where one history is wanted"):
        scenarios_of(Asked("model", weather, "2016-06-15T12:00"), network, 4, 3.0, 0, ("pv",))
    with pytest.raises(GridError, match="lasts 48 h, less than the horizon of 72 h"):
        scenarios_of(Asked(weather), network, 4, 72.0, 0, ("pv",))
    ensemble(2, wind=False).to_netcdf(tmp_path / "sun.nc")
    with pytest.raises(GridError, match=r"--wind-growth needs weather with a wind speed"):
        scenarios_of(Asked(str(tmp_path / "sun.nc")), network, 2, 24.0, 0, ("wind",))
    assert scenarios_of(Asked(str(tmp_path / "sun.nc")), network, 2, 24.0, 0, ("pv",)).kinds == ("pv",)
