"""Nowcasts: the engine's rule on weather, nothing of the future used, and one sentence for what cannot be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import skies_made
from kinowatt.cli.grid import grid_app
from kinowatt.clip import Channel
from kinowatt.engine import sample
from kinowatt.engine.noise import schedule
from kinowatt.errors import GridError, InputError, WeightsError
from kinowatt.grid import scores
from kinowatt.grid.fields import Ensemble, Field
from kinowatt.grid.history import history
from kinowatt.grid.nowcast import Model, forecast, load, nowcast, region_of, window_of
from kinowatt.grid.weather_files import read
from kinowatt.models import dit_file
from kinowatt.models import skies_model as skies
from kinowatt.models.dit import VideoDiT

pytest.importorskip("pvlib")
pytest.importorskip("xarray")
RI = Path(__file__).parents[3] / "shared/data/ri_pv_2012.h5"
NOON = np.datetime64("2012-06-20T16:00", "ns")


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    dit = VideoDiT(dataclasses.replace(skies.DIT, heads=2, ffn_dim=64, layers=1))
    torch.nn.init.normal_(dit.proj_out.weight, std=0.05)
    return Model(dit.eval(), torch.device("cpu"))


@pytest.fixture(scope="module")
def field() -> Field:
    return skies_made.sunny()


def test_an_ensemble_of_the_hours_ahead(model: Model, field: Field) -> None:
    made = nowcast(field, NOON, 2.0, 5, model=model)
    assert made.values_MTCHW.shape == (5, 4, 1, skies_made.ROWS, skies_made.COLUMNS)
    assert str(made.times[0])[:16] == "2012-06-20T16:30"
    values = made.values_MTCHW[:, :, 0][:, :, field.mask_HW]
    assert values.std(0).min() > 0
    assert (values >= 0).all()
    assert (made.values_MTCHW[..., ~field.mask_HW] == 0).all()
    more = nowcast(field, NOON, 2.0, 7, model=model)
    assert np.allclose(more.values_MTCHW[:5], made.values_MTCHW, atol=2e-2)  # a member is its seed
    other = nowcast(field, NOON, 2.0, 5, seed=1, model=model)
    assert not np.allclose(other.values_MTCHW, made.values_MTCHW, atol=0.05)


def test_analogs_take_turns_with_the_model(model: Model) -> None:
    long = skies_made.sunny(61)
    made = nowcast(long, np.datetime64("2012-07-31T15:00", "ns"), 1.0, 6, model=model)
    assert "of skies and of analogs in turn" in made.notes[-1]
    alone = nowcast(long.cut(30 * 48, 61 * 48), np.datetime64("2012-07-31T15:00", "ns"), 1.0, 3, model=model)
    assert "of skies alone, as the history is short" in alone.notes[-1]
    assert np.allclose(made.values_MTCHW[::2], alone.values_MTCHW, atol=2e-2)
    night = nowcast(long, np.datetime64("2012-07-31T09:00", "ns"), 1.0, 3, model=model)
    assert "as it is night" in night.notes[-1]


def test_the_regions_mean_is_corrected(model: Model, field: Field) -> None:
    past, line = history(field), ((0.2, 0.5),) * skies.LEADS
    cases = np.flatnonzero(past.day[:, field.mask_HW].all(1) & (past.elevation.max((1, 2)) > 50.0))[:20:2]
    bent = dataclasses.replace(model, region=line)
    plain, moved = forecast(model, past, int(cases[0]), 6), forecast(bent, past, int(cases[0]), 6)
    lit = field.mask_HW
    before, after = plain[:, :, lit].mean((0, 2)), moved[:, :, lit].mean((0, 2))
    inside = (plain[:, :, lit].min((0, 2)) > 0.05) & (plain[:, :, lit].max((0, 2)) < 1.1)  # nothing was cut
    assert np.allclose(after[inside], (0.2 + 0.5 * before)[inside], atol=0.02)
    assert np.allclose(after, 0.2 + 0.5 * before, atol=0.06)
    apart = dataclasses.replace(past, index=0.5 * past.index)
    found = region_of(model, apart, cases, 3)
    made = np.array([forecast(model, apart, int(now), 3)[:, :, lit].mean((0, 2)) for now in cases])
    came = np.array([apart.index[now + 1 : now + 7][:, lit].mean(1) for now in cases])
    left = came - np.array(found).T[0] - np.array(found).T[1] * made
    assert np.abs(left.mean(0)).max() < 1e-5  # least squares leave no mean
    assert load().region is not None


def test_nothing_of_the_future_is_used(model: Model, field: Field) -> None:
    now = int(np.searchsorted(field.times, NOON))
    spoiled = field.clip.frames_TCHW.copy()
    spoiled[now + 1 :] = 0.123
    other = dataclasses.replace(field, clip=dataclasses.replace(field.clip, frames_TCHW=spoiled))
    assert np.array_equal(nowcast(field, NOON, 3.0, 3, model=model).values_MTCHW, nowcast(other, NOON, 3.0, 3, model=model).values_MTCHW)
    # The file may end at the present.
    assert len(nowcast(field.cut(0, now + 1), NOON, 3.0, 3, model=model).times) == 6


def test_known_frames_stay_as_they_are(model: Model, field: Field) -> None:
    past = history(field)
    now = int(np.searchsorted(field.times, NOON))
    window = window_of(past, now, past.elevation[now + 1 : now + 1 + skies.LEADS])
    cond = skies.conditioning(window)
    made = sample.denoise(skies.Skies(model.dit, window), cond, torch.randn(cond.known_BCFHW.shape), schedule(4, cond.known_BCFHW.shape[2]))
    index = skies.index_of(made, window)[0, : skies.PAST].numpy()
    assert np.allclose(index[:, field.mask_HW], past.index[now - skies.PAST + 1 : now + 1][:, field.mask_HW], atol=1e-5)


def test_night_is_dark(model: Model, field: Field) -> None:
    made = nowcast(field, np.datetime64("2012-06-20T23:00", "ns"), 3.0, 3, model=model)
    assert (made.values_MTCHW[:, -1] == 0).all()
    # At night nothing of the sky is known, and the morning is made all the same.
    morning = nowcast(field, np.datetime64("2012-06-20T09:00", "ns"), 3.0, 3, model=model)
    assert morning.values_MTCHW[:, -1, 0][:, field.mask_HW].min() >= 0
    assert morning.values_MTCHW[:, -1, 0][:, field.mask_HW].std() > 0


def test_capacity_factors_stay_below_the_inverter(model: Model) -> None:
    field = skies_made.sunny(channel="capacity_factor")
    made = nowcast(field, NOON, 1.0, 4, model=model)
    assert [c.name for c in made.channels] == ["capacity_factor", "clear_sky_index"]
    assert made.channel("capacity_factor").max() <= 1 / 1.3 + 1e-6


Call = Callable[[Field, Model], object]
WARM = (Channel("temperature", "degC"),)


def changed(field: Field, **what: Any) -> Field:
    return dataclasses.replace(field, clip=dataclasses.replace(field.clip, **what))


WRONG: list[tuple[Call, str]] = [
    (lambda f, m: nowcast(f, np.datetime64("2013-01-01", "ns"), 3.0, 5, model=m), "lies outside the weather, which runs from 2012-06-01"),
    (lambda f, m: nowcast(f, np.datetime64("2012-05-01", "ns"), 3.0, 5, model=m), "lies outside the weather"),
    (lambda f, m: nowcast(f, np.datetime64("2012-06-01T00:30", "ns"), 3.0, 5, model=m), "needs 4 frames without a gap"),
    (lambda f, m: nowcast(f, NOON, 24.0, 5, model=m), "horizon of 24 h cannot be nowcast; skies was trained for 0.5 to 3 h"),
    (lambda f, m: nowcast(f, NOON, 3.0, -1, model=m), "-1 members cannot be made"),
    (lambda f, m: nowcast(f, NOON, 3.0, 10**6, model=m), "ask for 1 to 1000"),
    (lambda f, m: nowcast(changed(f, hours_per_frame=1.0), NOON, 3.0, 5, model=m), "frames of 30 minutes, and this weather has 60"),
    (lambda f, m: nowcast(changed(f, channels=WARM), NOON, 3.0, 5, model=m), "this weather has temperature"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_what_cannot_be_is_said(case: int, field: Field, model: Model) -> None:
    call, said = WRONG[case]
    with pytest.raises(GridError, match=said) as caught:
        call(field, model)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    from kinowatt.models import weights

    weights.save(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"dit": {"in_channels": 48}})
    with pytest.raises(WeightsError, match="no model of the sky"):
        load(tmp_path / "other.safetensors")


@pytest.fixture
def files(tmp_path: Path, field: Field, model: Model) -> list[str]:
    field.as_ensemble().to_netcdf(tmp_path / "w.nc")
    dit_file.save(tmp_path / "m.safetensors", model.dit, model.dit.state_dict(), {})
    return ["--weather", str(tmp_path / "w.nc"), "--model", str(tmp_path / "m.safetensors")]


def test_the_verb_nowcast(tmp_path: Path, files: list[str]) -> None:
    out = tmp_path / "e.zarr"
    words = ["nowcast", *files, "--at", "2012-06-20T18:00+02:00", "--horizon", "90min", "--members", "3", "-o", str(out), "--json"]
    ran = CliRunner().invoke(grid_app, words)
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    assert said["members"] == 3
    assert [r["time"] for r in said["region"]] == ["2012-06-20T16:30", "2012-06-20T17:00", "2012-06-20T17:30"]
    assert Ensemble.from_zarr(out).members == 3
    for change, error in (
        ("--at=tomorrow", "is no time"),
        ("--horizon=soon", "is not understood"),
        ("--weather=none.nc", "no weather file"),
    ):
        with pytest.raises(InputError, match=error):
            CliRunner().invoke(grid_app, [*words, change], catch_exceptions=False)


def test_the_verb_score(tmp_path: Path, files: list[str]) -> None:
    pytest.importorskip("scoringrules")
    for name in ("s.json", "s.csv"):
        ran = CliRunner().invoke(grid_app, ["score", *files, "--cases", "4", "--members", "4", "-o", str(tmp_path / name)])
        assert ran.exit_code == 0, ran.output
    assert "SP + analog residuals" in ran.stdout
    said = json.loads((tmp_path / "s.json").read_text())
    assert said["split"] == "test"
    assert len(said["methods"]) == 7
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 8
    ran = CliRunner().invoke(grid_app, ["score", *files, "--fit", files[1], "--cases", "3", "--members", "4", "--json"])
    assert json.loads(ran.stdout)["split"] == "all"


def of_another_year(path: Path, field: Field, years: int) -> Path:
    """The field's cells as reV writes them, so many years of 365 days later."""
    import h5py

    places = np.stack([field.lat_HW[field.mask_HW], field.lon_HW[field.mask_HW]], -1)
    times = field.times.astype("datetime64[s]") + np.timedelta64(365 * years, "D")
    with h5py.File(path, "w") as file:
        file["cf_profile"] = (700 * field.clip.frames_TCHW[:, 0][:, field.mask_HW]).astype("u2")
        file["cf_profile"].attrs.update({"scale_factor": 1000, "units": "unitless"})
        file["meta"] = np.array([tuple(p) for p in places], dtype=[("latitude", "<f4"), ("longitude", "<f4")])
        said = {"array_type": 2, "tilt": 0, "azimuth": 180, "losses": 14.0, "inv_eff": 96, "dc_ac_ratio": 1.3, "gcr": 0.4}
        file["meta"].attrs["0"] = json.dumps(said)
        file["time_index"] = np.array([f"{t}+00:00".replace("T", " ").encode() for t in times])
    return path


def test_another_year_by_the_same_commands(tmp_path: Path, field: Field, files: list[str]) -> None:
    """A file of 2013 with the layout of that of 2012, which teaches."""
    pytest.importorskip("scoringrules")
    before, after = (of_another_year(tmp_path / f"{2012 + n}.h5", field, n) for n in (0, 1))
    words = ["--weather", str(after), "--fit", str(before), *files[2:], "--members", "3", "--json"]
    scored = CliRunner().invoke(grid_app, ["score", *words, "--cases", "2"])
    assert scored.exit_code == 0, scored.output
    assert len(json.loads(scored.stdout)["methods"]) == 7
    made = CliRunner().invoke(grid_app, ["nowcast", *words, "--at", "2013-06-20T16:00", "-o", str(tmp_path / "e.nc")])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["region"][0]["time"] == "2013-06-20T16:30"
    assert read(before).panels == Ensemble.from_zarr(tmp_path / "e.nc").panels is not None


def test_the_shipped_model_is_small_and_whole() -> None:
    assert (skies.FOLDER / skies.FILE).stat().st_size < 10 * 2**20
    assert load().dit.config == skies.DIT


@pytest.mark.skipif(not RI.is_file(), reason="the real file is not here")
def test_on_real_weather_it_beats_persistence() -> None:
    pytest.importorskip("scoringrules")
    model = load()
    trial = scores.trial(read(RI).cut(48 * 120, 48 * 182), None, "test", 5)  # May and June
    ways = scores.methods(trial, 10, 0, lambda now: forecast(model, trial.history, now, 10))
    rows = {r.method: r for r in scores.compare(trial, {k: ways[k] for k in ("smart persistence", "skies", "skies with analogs")})}
    assert rows["skies"].crps < 0.85 * rows["smart persistence"].crps
    assert rows["skies with analogs"].crps < 0.8 * rows["smart persistence"].crps
