"""Scenarios: three weathers with the same marginals, cuts of long histories, weather laid over a network, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridding import ensemble, five_buses, write_net
from kinowatt.errors import GridError
from kinowatt.grid.network import Network, read_network
from kinowatt.grid.scenarios import FIELD, INDEPENDENT, PIXEL, scenarios_of, sources, weather_of


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return read_network(str(write_net(five_buses(), tmp_path_factory.mktemp("net") / "five.json")))


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weather") / "e.nc"
    ensemble(12, 48).to_netcdf(path)
    return str(path)


def test_three_weathers(network: Network, weather: str) -> None:
    made = scenarios_of(weather, network, 100, 24.0, 0, ("pv", "wind"))
    assert (made.count, made.steps, made.kinds) == (24, 24, ("pv", "wind"))  # two days of twelve members
    nodes = network.candidates()
    for kind in made.kinds:
        field, pixel, alone = (made.pu[w, kind][:, :, nodes] for w in (FIELD, PIXEL, INDEPENDENT))
        assert np.ptp(pixel, axis=2).max() == 0.0
        assert np.ptp(field, axis=2).max() > 0.1
        assert not made.pu[FIELD, kind][:, :, 0].any()  # nothing stands at the source
    field, alone = (made.pu[w, "wind"][:, :, nodes] for w in (FIELD, INDEPENDENT))
    for node in range(len(nodes)):  # every place keeps its own scenarios, in another order
        rows = [sorted(map(tuple, x[:, :, node].tolist())) for x in (field, alone)]
        assert rows[0] == rows[1]
    together, apart = (np.corrcoef(x.mean(1).T)[0, 1:] for x in (field, alone))
    assert together.min() > 0.8
    assert abs(apart).max() < 0.6


def test_the_same_seed_is_the_same_study(network: Network, weather: str) -> None:
    one, two, other = (scenarios_of(weather, network, 7, 24.0, seed, ("pv",)) for seed in (3, 3, 4))
    assert one.count == 7
    assert np.array_equal(one.pu[INDEPENDENT, "pv"], two.pu[INDEPENDENT, "pv"])
    assert not np.array_equal(one.origin_S, other.origin_S)


def test_a_scenarios_own_weather_comes_back(network: Network, weather: str) -> None:
    made = scenarios_of(weather, network, 7, 24.0, 3, ("pv",))
    field = weather_of(made, 4, sources(weather, network, 7, 24.0, 3, False))
    assert np.array_equal(field.times, made.times_ST[4])
    node = int(network.candidates()[0])
    from kinowatt.grid.power import wind_pu

    speed = field.as_ensemble().at(float(network.lat_N[node]), float(network.lon_N[node]), "wind_speed_100m")
    assert np.allclose(wind_pu(speed[0], 100.0), made.pu[FIELD, "wind"][4, :, node], atol=1e-6)


def test_the_world(network: Network) -> None:
    made = scenarios_of("world", network, 3, 3.0, 0, ("pv", "wind"))
    assert (made.count, made.steps, made.hours) == (3, 12, 0.25)
    assert len(np.unique(made.season_S)) == 3
    assert made.times_ST[0, 0] == np.datetime64("2016-01-14T23:07:30")  # midnight there, the middle of a quarter
    assert "assumed" in " ".join(made.notes)


def test_laid_over(network: Network, tmp_path: Path) -> None:
    far = ensemble(4)
    far = replace(far, lat_HW=far.lat_HW - 12.0, lon_HW=(far.lon_HW - 11.5) / 3 - 71.5)
    far.to_netcdf(tmp_path / "far.nc")
    with pytest.raises(GridError, match=r"bus B\d at .* lies outside the weather"):
        scenarios_of(str(tmp_path / "far.nc"), network, 4, 24.0, 0, ("pv",))
    made = scenarios_of(str(tmp_path / "far.nc"), network, 4, 24.0, 0, ("pv",), place=True)
    assert any("laid over" in note for note in made.notes)
    assert made.times_ST[0, 0] == far.times[0] - np.timedelta64(6, "h")  # 83 degrees to the east


def test_refusals(network: Network, weather: str, tmp_path: Path) -> None:
    with pytest.raises(GridError, match="a model needs a sky to begin with"):
        scenarios_of("model", network, 4, 24.0, 0, ("pv",))
    with pytest.raises(GridError, match="lasts 48 h, less than the horizon of 72 h"):
        scenarios_of(weather, network, 4, 72.0, 0, ("pv",))
    ensemble(2, wind=False).to_netcdf(tmp_path / "sun.nc")
    with pytest.raises(GridError, match=r"--wind-growth needs weather with a wind speed"):
        scenarios_of(str(tmp_path / "sun.nc"), network, 2, 24.0, 0, ("wind",))
    assert scenarios_of(str(tmp_path / "sun.nc"), network, 2, 24.0, 0, ("pv",)).kinds == ("pv",)
