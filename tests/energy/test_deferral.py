"""A week of jobs: the saving by hand on a small trace, no deadline lost that first come meets, and what persistence may know."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinowatt.energy.deferral import Job, persistence, random_week_jobs, simulate, synthetic_week
from kinowatt.energy.hourly import HOUR_s, Trace
from kinowatt.errors import InputError


def days(*values: float, count: int = 3) -> Trace:
    """The same day again and again, so that persistence is right."""
    return Trace("", "", "a test", 0.0, np.tile(np.array(values), count))


DAY = (500.0,) * 12 + (100.0,) * 6 + (500.0,) * 6


def test_two_jobs_by_hand() -> None:
    at = 26 * HOUR_s  # 2 o'clock on the second day: dirty until noon
    jobs = [
        Job(at, HOUR_s, 1000.0, at + 24 * HOUR_s),  # may wait for noon
        Job(at, HOUR_s, 2000.0, at + 2.5 * HOUR_s),  # may not
    ]
    saving = simulate(days(*DAY), jobs)
    assert saving.first_come.gCO2e == pytest.approx(500 + 2 * 500)
    assert saving.perfect.gCO2e == pytest.approx(100 + 2 * 500)
    assert saving.percent == pytest.approx(100 * 400 / 1500)
    assert saving.persistence == saving.perfect  # yesterday was the same
    assert saving.first_come.mean_wait_s == pytest.approx(HOUR_s / 2)
    assert saving.perfect.mean_wait_s == pytest.approx(10 * HOUR_s / 2)  # until noon, and not at all
    assert (saving.first_come.missed, saving.perfect.missed) == (0, 0)


def test_a_wrong_forecast_may_cost() -> None:
    clean_noon, dirty_noon = list(DAY), [300.0] * 12 + [900.0] * 6 + [300.0] * 6
    trace = Trace("", "", "a test", 0.0, np.array(clean_noon + dirty_noon + dirty_noon))
    job = Job(26 * HOUR_s, HOUR_s, 1000.0, 44 * HOUR_s)
    saving = simulate(trace, [job])
    assert saving.first_come.gCO2e == pytest.approx(300)
    assert saving.perfect.gCO2e == pytest.approx(300)
    assert saving.persistence.gCO2e == pytest.approx(900)  # it waited for yesterday's sun
    assert saving.persistence_percent == pytest.approx(-200)


def test_persistence_knows_only_the_past() -> None:
    values = np.arange(72.0)
    trace = Trace("", "", "a test", 0.0, values)
    known = persistence(trace, 30.5 * HOUR_s)
    assert known is not None
    assert known.start_s == 30 * HOUR_s
    assert known.at(30.9 * HOUR_s) == 30  # this hour
    assert known.at(31 * HOUR_s) == 7  # the same hour yesterday
    assert known.at(54 * HOUR_s) == 30  # tomorrow at this hour: today's
    assert known.at(55 * HOUR_s) == 7  # later tomorrow: still yesterday's, today's is to come
    assert known.values_gCO2e_per_kWh.max() <= 30
    assert known.end_s == trace.end_s
    for now_s in (10 * HOUR_s, 72 * HOUR_s, -1.0):
        assert persistence(trace, now_s) is None


def test_a_job_that_waited_makes_no_other_late() -> None:
    """Waiting for noon, the first job would be in the way of the second, which comes later and must be done at one."""
    jobs = [
        Job(34 * HOUR_s, HOUR_s, 1000.0, 37 * HOUR_s),
        Job(36.2 * HOUR_s, HOUR_s, 1000.0, 37.5 * HOUR_s),
    ]
    saving = simulate(days(*DAY), jobs)
    assert (saving.first_come.missed, saving.perfect.missed, saving.persistence.missed) == (0, 0, 0)
    assert saving.perfect.at_once >= 1
    assert simulate(days(*DAY), jobs, workers=2).perfect.at_once == 0


JOBS = st.lists(
    st.builds(
        lambda arrival_h, duration_h, slack_h: Job(
            arrival_h * HOUR_s, duration_h * HOUR_s, 100.0, (arrival_h + duration_h + slack_h) * HOUR_s
        ),
        st.floats(24, 48),
        st.floats(0.1, 3),
        st.floats(0, 20),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(jobs=JOBS, workers=st.integers(1, 3), seed=st.integers(0, 5))
def test_no_deadline_that_first_come_meets_is_lost(jobs: list[Job], workers: int, seed: int) -> None:
    trace = Trace("", "", "a test", 0.0, np.random.default_rng(seed).uniform(0, 900, 24 * 6))
    saving = simulate(trace, jobs, workers)
    assert saving.perfect.missed <= saving.first_come.missed
    assert saving.persistence.missed <= saving.first_come.missed
    assert saving.perfect.mean_wait_s >= 0


def test_the_synthetic_week() -> None:
    saving = simulate(synthetic_week(), random_week_jobs(), workers=2)
    assert saving.percent is not None
    assert saving.persistence_percent is not None
    assert 0 < saving.persistence_percent < saving.percent < 40
    assert saving.perfect.missed == saving.first_come.missed
    lines = saving.table()
    assert "synthetic" in lines[0]
    assert "no real grid" in lines[0]
    assert "no queue does" in lines[-1]
    assert f"{saving.percent:.1f} %" in lines[3]
    assert f"{saving.persistence_percent:.1f} %" in lines[4]


def test_made_up_weeks_are_plausible_and_repeatable() -> None:
    week = synthetic_week(3)
    values = week.values_gCO2e_per_kWh
    assert values.size == 9 * 24
    assert np.array_equal(values, synthetic_week(3).values_gCO2e_per_kWh)
    assert not np.array_equal(values, synthetic_week(4).values_gCO2e_per_kWh)
    by_hour = np.mean([synthetic_week(s).values_gCO2e_per_kWh.reshape(9, 24)[1:6].mean(axis=0) for s in range(20)], axis=0)
    assert int(by_hour.argmin()) in (11, 12, 13)
    assert int(by_hour.argmax()) in (18, 19, 20)
    jobs = random_week_jobs(3)
    assert jobs == random_week_jobs(3)
    assert len(jobs) == 80
    assert all(week.start_s + 24 * HOUR_s <= j.arrival_s < week.end_s - 24 * HOUR_s for j in jobs)
    assert all(j.energy_Wh == pytest.approx(j.duration_s / 3600 * 700) for j in jobs)


def test_simulations_that_cannot_be() -> None:
    job = Job(25 * HOUR_s, HOUR_s, 1.0, 30 * HOUR_s)
    for jobs, workers in (([], 1), ([job], 0)):
        with pytest.raises(InputError, match="at least one job"):
            simulate(days(*DAY), jobs, workers)
    for duration, energy in ((0.0, 1.0), (math.nan, 1.0), (1.0, -1.0), (1.0, math.inf)):
        with pytest.raises(InputError, match="duration above 0"):
            simulate(days(*DAY), [Job(25 * HOUR_s, duration, energy, 1e6)])
    for late in (Job(71.5 * HOUR_s, HOUR_s, 1.0, 1e9), Job(-HOUR_s, HOUR_s, 1.0, 1e9)):
        with pytest.raises(InputError, match="does not cover"):
            simulate(days(*DAY), [late])


def test_a_grid_without_carbon_has_no_saving_in_percent() -> None:
    saving = simulate(days(0.0, count=72), [Job(25 * HOUR_s, HOUR_s, 1.0, 1e6)])
    assert saving.percent is None
    assert saving.table()
