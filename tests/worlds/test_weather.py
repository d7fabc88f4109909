"""The weather world: its statistics are those that it was made with, and those that were measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinowatt.worlds import sun, weather
from kinowatt.worlds.weather import NEW_ENGLAND, Clouds, statistics

LAT, LON = (g.ravel() for g in np.meshgrid(41.0 + 0.04 * np.arange(29), -71.8 + 0.04 * np.arange(6), indexing="ij"))
# Of 2012 in Rhode Island (100 sites, NREL reV): see docs/grid-nowcast.md.
MEASURED_LEVEL, MEASURED_RAMP = (0.943, 0.904, 0.862, 0.806, 0.735), (0.625, 0.413, 0.266, 0.179, 0.129)


def test_statistics_of_known_fields() -> None:
    rng = np.random.default_rng(0)
    common, own = rng.standard_normal((4000, 3, 1)), rng.standard_normal((4000, 3, len(LAT)))
    found = statistics(common + own, LAT, LON)
    assert np.allclose(found.level, 0.5, atol=0.02)
    assert np.allclose(found.ramp, 0.5, atol=0.02)
    assert np.allclose(found.lags, 0.0, atol=0.03)
    assert found.sd == pytest.approx(2**0.5, rel=0.02)


def test_gaussian_fields_have_unit_variance_and_drift() -> None:
    still = Clouds((0.0, 1.0), (15.0,), 10.0, 1e9, 0.0, (16.0, 0.0), 0.0, 0.0, NEW_ENGLAND.quantiles)
    field = weather.gaussian(still, np.random.default_rng(0), 40, 3, (4.0, 4.0), 0.5)
    assert field.mean() == pytest.approx(0.0, abs=0.1)
    assert field.std() == pytest.approx(1.0, abs=0.05)
    # 16 km/h to the east for half an hour are two cells.
    assert np.allclose(np.roll(field[:, 0], 2, axis=-1), field[:, 1], atol=2e-2)


def test_the_world_is_like_what_was_measured() -> None:
    made = weather.windows(NEW_ENGLAND, np.random.default_rng(0), 1400, 7, (29, 6))
    found = statistics(made.reshape(1400, 7, -1), LAT, LON)
    assert np.allclose(found.level, MEASURED_LEVEL, atol=0.05)
    assert np.allclose(found.ramp, MEASURED_RAMP, atol=0.08)
    assert found.mean == pytest.approx(0.62, abs=0.04)
    assert found.sd == pytest.approx(0.32, abs=0.03)


def test_calibration_finds_the_world_that_made_the_statistics() -> None:
    target = statistics(weather.windows(NEW_ENGLAND, np.random.default_rng(1), 800, 7, (29, 6)).reshape(800, 7, -1), LAT, LON)
    begin = replace(NEW_ENGLAND, shares=(0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2), region_life_h=6.0, life_h=3.0, life_power=1.0)
    found = weather.calibrated(begin, target, LAT, LON)
    again = statistics(weather.windows(found, np.random.default_rng(2), 800, 7, (29, 6)).reshape(800, 7, -1), LAT, LON)
    assert np.allclose(again.level, target.level, atol=0.08)
    assert np.allclose(again.ramp, target.ramp, atol=0.08)
    assert np.allclose(again.lags, target.lags, atol=0.08)


def test_windows_repeat_by_seed_and_must_fit() -> None:
    one, two = (weather.windows(NEW_ENGLAND, np.random.default_rng(3), 5, 2, (8, 8)) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.shape == (5, 2, 8, 8)
    with pytest.raises(ValueError, match="do not fit"):
        weather.windows(NEW_ENGLAND, np.random.default_rng(0), 1, 1, (65, 4))


def test_the_sun() -> None:
    pytest.importorskip("pvlib")
    times = np.datetime64("2012-06-21", "ns") + np.arange(48) * np.timedelta64(30, "m")
    lat, lon = np.meshgrid([41.0, 41.5, 42.0], [-72.0, -71.5], indexing="ij")
    height, ghi = sun.sky(times, lat, lon)
    noon = int(height[:, 1, 1].argmax())
    assert str(times[noon])[11:16] in ("16:30", "17:00")  # local noon is five hours behind UTC, less 15 degrees of longitude
    assert height[noon, 1, 1] == pytest.approx(90 - 41.5 + 23.44, abs=0.5)
    assert 850 < ghi[noon, 1, 1] < 1050
    assert ghi[height < -5].max() == 0.0
    tracking, fixed = (sun.sky(times, lat, lon, sun.Panels(tracking=t))[1] for t in (True, False))
    assert tracking[noon - 10, 1, 1] > 1.2 * fixed[noon - 10, 1, 1]  # in the morning a tracker looks at the sun
    assert tracking[noon, 1, 1] == pytest.approx(fixed[noon, 1, 1], rel=0.02)


def test_panels_of_rev() -> None:
    text = '{"array_type": 0, "tilt": 20, "azimuth": 180, "losses": 10, "inv_eff": 97, "dc_ac_ratio": 1.1, "gcr": 0.3}'
    assert sun.Panels.of_rev(text) == sun.Panels(False, 20.0, 180.0, 0.1, 0.97, 1.1, 0.3)
