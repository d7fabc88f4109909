"""Scores are those of the literature, baselines are what their names say, and the splits do not touch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import skies_made
from kinowatt.errors import GridError
from kinowatt.grid import baselines, scores
from kinowatt.grid.history import History, days, gain_of, history
from kinowatt.grid.scores import Forecasts, coverage, score
from kinowatt.grid.split import PARTS, days_of

pytest.importorskip("scoringrules")
pytest.importorskip("pvlib")
LAT, LON = np.array([41.0, 41.04, 41.2]), np.array([-71.0, -71.0, -71.0])


@pytest.fixture(scope="module")
def past() -> History:
    return history(skies_made.sunny())


def test_scores_of_known_ensembles() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((400, 2, 3))
    made = rng.standard_normal((400, 60, 2, 3))
    row = score("good", Forecasts(made, made, truth), LAT, LON)
    # CRPS of a standard normal forecast of a standard normal truth is 1 / sqrt(pi).
    assert row.crps == pytest.approx(np.pi**-0.5, rel=0.05)
    assert row.cover == pytest.approx(0.9, abs=0.04)
    assert row.ramp_correlation is not None
    assert row.ramp_correlation[0] == pytest.approx(0.0, abs=0.05)
    wide = score("wide", Forecasts(3 * made, made, truth), LAT, LON)
    assert wide.cover == 1.0
    assert wide.crps > row.crps
    assert wide.energy > row.energy
    one = score("one", Forecasts(np.zeros((400, 1, 2, 3)), made[:, :1], truth), LAT, LON)
    assert one.crps == pytest.approx(np.abs(truth).mean(), abs=1e-3)
    assert one.cover is None


def test_a_field_and_independent_sites_differ_where_it_matters() -> None:
    rng = np.random.default_rng(1)
    common = rng.standard_normal((300, 51, 2, 1)) + 0.1 * rng.standard_normal((300, 51, 2, 30))
    truth, made = common[:, 0], common[:, 1:]
    mixed = np.stack([baselines.independent(m[..., None], rng)[..., 0] for m in made])
    assert np.array_equal(np.sort(mixed, 1), np.sort(made, 1))  # the marginals are the same
    field, apart = coverage(np.moveaxis(made, 1, -1).mean(2), truth.mean(2)), coverage(np.moveaxis(mixed, 1, -1).mean(2), truth.mean(2))
    assert field == pytest.approx(0.9, abs=0.05)
    assert apart < 0.4


def test_baselines(past: History) -> None:
    lib = baselines.library(past, 6, days(past.field.times)[: 30 * 48])
    now = int(baselines.usable(past, 6)[-1])
    still = baselines.smart_persistence(past, now, 6)
    assert (still == past.index[now]).all()
    made = baselines.analogs(lib, past, now, 20)
    assert made.shape == (20, 6, skies_made.ROWS, skies_made.COLUMNS)
    # A case of the library does not find its own day.
    inside = int(lib.starts[40])
    assert np.abs(baselines.analogs(lib, past, inside, 5) - past.index[inside + 1 : inside + 7]).max(axis=(1, 2, 3)).min() > 0
    usual = baselines.climatology(lib, past, now, 200, np.random.default_rng(0))
    lit = past.field.mask_HW
    assert usual[:, :, lit].mean() == pytest.approx(past.index[past.day].mean(), abs=0.12)


def test_clouds_that_move_are_moved_on(past: History) -> None:
    height, width = past.field.mask_HW.shape
    wide = np.random.default_rng(2).random((height + 20, width + 20))
    frames = np.stack([wide[10 - t : 10 - t + height, 10 + t : 10 + t + width] for t in range(10)]).astype(np.float32)
    lit = np.ones((10, height, width), bool)
    moving = dataclasses.replace(past, index=frames, day=lit)
    assert baselines.motion(moving, 3) == (1, -1)
    made, mask = baselines.advected(moving, 3, 6), past.field.mask_HW
    assert np.array_equal(made[0, 0, 1:, :-1][mask[:-1, 1:]], frames[4, 1:, :-1][mask[:-1, 1:]])
    assert np.array_equal(made[0, 1, 2:, :-2][mask[:-2, 2:]], frames[5, 2:, :-2][mask[:-2, 2:]])
    assert np.array_equal(made[0, 0, 0], frames[3, 0])  # from outside nothing is known
    still = dataclasses.replace(moving, index=np.ones_like(frames))
    assert baselines.motion(still, 3) == (0, 0)
    assert np.array_equal(baselines.advected(still, 3, 6), baselines.smart_persistence(still, 3, 6))


def test_blending_takes_turns() -> None:
    one, two = np.zeros((5, 2, 3, 4)), np.ones((5, 2, 3, 4))
    assert baselines.blend(one, two, 5)[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0]
    assert baselines.blend(one, two, 1).shape == (1, 2, 3, 4)


def test_usable_cases_have_daylight_and_no_gap(past: History) -> None:
    cases = baselines.usable(past, 6)
    assert all(past.day[c : c + 7][:, past.field.mask_HW].all() for c in cases[:50])
    # Two hours of the third day are lost: no case may reach over them.
    keep = np.r_[0 : 2 * 48 + 30, 2 * 48 + 34 : len(past.field.times)]
    field = dataclasses.replace(past.field, clip=dataclasses.replace(past.field.clip, frames_TCHW=past.field.clip.frames_TCHW[keep]),
                                times=past.field.times[keep])  # fmt: skip
    gap = 2 * 48 + 30
    assert not [c for c in baselines.usable(history(field), 6) if c - baselines.PAST + 1 < gap <= c + 6]


def test_splits_are_whole_days_apart() -> None:
    times = np.arange("2012-01-01", "2013-01-01", dtype="M8[h]").astype("M8[ns]")
    train, validation, test = (days_of(times, part) for part in ("train", "validation", "test"))
    for a, b in ((train, validation), (validation, test), (test, train)):
        assert np.abs(a[:, None] - b[None]).min() >= 1
    assert np.abs(train[:, None] - validation[None]).min() == 2  # a day between them
    assert len(train) == 12 * 17
    assert set(PARTS) == {"train", "validation", "test", "all"}
    with pytest.raises(GridError, match="split 'future' is unknown"):
        days_of(times, "future")


def test_gain_of_capacity_factors() -> None:
    times = np.arange("2012-01-01", "2012-03-20", dtype="M8[h]").astype("M8[ns]")
    clear = np.ones((len(times), 1, 1))
    values = (
        np.where(times < np.datetime64("2012-02-01"), 1.2, 1.1)[:, None, None]
        * np.linspace(0, 1, 50)[np.arange(len(times)) % 50][:, None, None]
    )
    gain = gain_of(values, clear, clear > 0, times)
    assert gain[0] == pytest.approx(1.2 * 0.95, rel=0.03)
    assert gain[1] == pytest.approx(1.1 * 0.95, rel=0.03)
    assert gain[6] == pytest.approx(np.quantile(values, 0.95))  # a month that is not there takes the gain of all
    with pytest.raises(GridError, match="no daylight"):
        gain_of(values, clear, clear < 0, times)


def test_all_methods_are_compared_on_held_out_days(past: History) -> None:
    field = past.field
    trial = scores.trial(field, None, "test", 12)
    day_of_month = (field.times[trial.cases].astype("M8[D]") - field.times[trial.cases].astype("M8[M]").astype("M8[D]")).astype(int) + 1
    assert day_of_month.min() >= 24
    truth = trial.history
    perfect = lambda now: np.repeat(truth.index[None, now + 1 : now + 7], 8, 0)  # noqa: E731
    rows = scores.compare(trial, scores.methods(trial, 8, 0, perfect))
    assert [r.method for r in rows] == [
        "smart persistence",
        "advected persistence",
        "SP + analog residuals",
        "climatology",
        "skies",
        "skies with analogs",
        "the same, independent sites",
    ]
    by = {r.method: r for r in rows}
    assert by["skies"].crps == pytest.approx(0.0, abs=1e-6)
    assert by["SP + analog residuals"].crps < by["smart persistence"].crps
    text = scores.table(rows, 0.5, trial.observed)
    assert "30/60/90/120/150/180 min" in text
    assert text.count("\n") == 9
    with pytest.raises(GridError, match="days that teach"):
        scores.trial(field, None, "train", 5)
    with pytest.raises(GridError, match="give a longer history with --fit"):
        scores.trial(field, field.cut(0, 28), "all", 5)
