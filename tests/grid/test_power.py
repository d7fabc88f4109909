"""Weather to power: night, noon, both hemispheres, the turbine's curve."""

import numpy as np
import pytest

from kinowatt.grid import power

TIMES = (np.datetime64("2016-06-21T00:00") + np.arange(24) * np.timedelta64(60, "m")).astype("datetime64[ns]")
HOURS = np.arange(24)


def test_the_day_of_a_clear_sky() -> None:
    sun = power.sun_at(TIMES, 53.6, 0.0)
    made = power.pv_pu(np.ones((1, 24)), HOURS[None], sun, south=False)[0]
    assert made.dtype == np.float32
    assert made[0] == made[1] == made[23] == 0.0  # night
    assert abs(int(made.argmax()) - 12) <= 1  # at longitude 0 noon is at 12 UTC
    assert 0.6 < made.max() <= 1.0
    assert 5.0 < made.sum() < 9.0  # kWh per kW on a clear June day


def test_more_light_is_more_power_and_never_above_the_inverter() -> None:
    sun = power.sun_at(TIMES, 40.0, 0.0)
    at = np.full((5,), 12)
    made = power.pv_pu(np.array([0.0, 0.2, 0.5, 1.0, 1.5]), at, sun, south=False, air_C=-10.0)
    assert made[0] == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(made) >= 0).all()
    assert made[-1] == 1.0
    hot = power.pv_pu(np.array([0.5]), at[:1], sun, south=False, air_C=40.0)
    assert hot[0] < made[2]


def test_panels_of_the_south_look_north() -> None:
    winter = power.sun_at(TIMES, -33.0, 0.0)  # June
    right, wrong = (power.pv_pu(np.ones(24), HOURS, winter, south=s).sum() for s in (True, False))
    assert right > 1.5 * wrong


def test_wind() -> None:
    made = power.wind_pu(np.array([0.0, 2.0, 6.0, 9.0, 14.0, 40.0]), 135.0)
    assert made[0] == made[1] == made[5] == 0.0  # calm, and cut out
    assert 0 < made[2] < made[3] < made[4]
    assert made[4] == pytest.approx(power.WAKES, abs=0.01)
    assert power.wind_pu(np.array([6.0]), 10.0)[0] > made[2]  # 6 m/s near the ground are more at the hub
