"""A whole study on five buses: what it writes, that it goes on where it was, that jobs can wait by its carbon, and its sentences."""

import csv
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gridding import ensemble, five_buses, write_net
from kinowatt.cli.grid_study import hours_of, study_verb
from kinowatt.energy.grid_source import forecast
from kinowatt.energy.hourly import HOUR_s, greenest, read_trace
from kinowatt.energy.meter import Meter
from kinowatt.errors import GridError, OutputError
from kinowatt.grid import study
from kinowatt.grid.dispatch import EMITS_gCO2e_per_kWh, as_csv, intensity_H
from kinowatt.grid.hosting import axis_of
from kinowatt.grid.report import write_report
from kinowatt.grid.scenarios import Asked
from kinowatt.grid.spent import Spent
from kinowatt.grid.study import Settings, Study
from kinowatt.media.video import read_video


@dataclass(frozen=True)
class Made:
    folder: Path
    settings: Settings
    study: Study
    summary: dict[str, Any]


def silent(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    home = tmp_path_factory.mktemp("study")
    write_net(five_buses(), home / "five.json")
    ensemble(16).to_netcdf(home / "weather.nc")
    settings = Settings(
        str(home / "five.json"), str(home / "weather.nc"), axis_of("1:17:2", ""), axis_of("1:2", ""), 4, 100, 24.0, 0.05, storage=True
    )
    with Meter() as meter:
        found = study.run(home / "out", settings, 1, False, False, silent, silent)
    return Made(home / "out", settings, found, write_report(home / "out", found, meter.so_far(), silent))


def test_the_verdict(made: Made) -> None:
    s = made.summary
    assert json.loads((made.folder / "summary.json").read_text()) == json.loads(json.dumps(s))
    rows = s["hosting_capacity"]
    assert [r["wind_growth"] for r in rows] == [1.0, 2.0]
    for row in rows:
        assert row["P5_MW"] <= row["P50_MW"] <= row["P95_MW"]
        assert len(row["placements"]) == 4
        for low, high in row["P50_interval_MW"].values():
            assert low <= high
    field = s["weathers"]["field"]
    assert field["risk"][0] == 0.0
    assert field["risk"][-1] > 0.05
    passed = [mw for mw, risk in zip(s["axis"]["installed_MW"], field["risk"], strict=True) if risk <= 0.05]
    assert rows[0]["in_place_MW"] == passed[-1]  # bisection's answer is that of the whole curve
    assert s["axis"]["installed_MW"][:2] == [3.0, 9.0]
    assert re.match(r"(line|trafo|voltage)", field["limiting"])
    assert s["check"]["snapshots"] >= 50
    assert s["check"]["max_voltage_difference_pu"] < 1e-5
    assert s["unsolved"]["counted_as"] == "violations"
    assert s["energy"]["wall_s"] > 0
    assert not any("forecast" in line and "no weather forecast" not in line for line in s["limits"])


def test_relief_and_reinforcement(made: Made) -> None:
    for row in made.summary["relief"]:
        assert row["still_violated_steps"] == 0
        assert row["curtailed_MWh"] > 0
        assert row["storage"]["violations_by_giving_back"] == 0
    assert [r["curtailed_MWh"] for r in made.summary["relief"]] == sorted(r["curtailed_MWh"] for r in made.summary["relief"])
    rows = made.summary["reinforcement"]
    assert [r["hosted_MW"] for r in rows] == sorted((r["hosted_MW"] for r in rows), reverse=True)
    assert all(r["hosted_MW"] >= made.summary["hosting_capacity"][0]["in_place_MW"] for r in rows)


def test_the_report_stands_alone(made: Made) -> None:
    page = (made.folder / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=['\"]?(?!data:|#)[^'\" >]+", page)
    for words in ("What the field adds", "planned risk 5.0%", "no licence is known", "cos φ = 1", "Energy of the study", "pandapower"):
        assert words in page, words
    assert page.count("<svg") == 4
    assert "nan" not in re.sub(r"base64,[^']*", "", page)
    clip = read_video(made.folder / "weather.mp4")
    assert (clip.width, clip.height, clip.frames) == (1280, 720, 24)
    for name in ("curves", "placements", "elements", "relief", "reinforcement"):
        with (made.folder / f"{name}.csv").open() as file:
            assert list(csv.DictReader(file)), name


def test_pypsa_reads_it(made: Made) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pypsa

        n = pypsa.Network(str(made.folder / "pypsa.nc"))
    assert len(n.scenarios) == made.summary["pypsa_scenarios"] == 16
    first = n.components.generators.dynamic["p_max_pu"]["scenario 0"]
    node = made.study.network.circuit.node_of_bus[4]
    assert np.allclose(first[f"pv {node}"], made.study.scenarios.pu["field", "pv"][0, :, node], atol=1e-6)
    assert len(n.components.lines.static) == 16 * 4


def test_a_study_goes_on_where_it_was(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    work = made.folder / "work"
    gone = [work / "place-0-2.npz", work / "curve-pixel-3.npz"]
    for path in gone:
        path.unlink()
    done: list[str] = []
    compute = study.compute
    monkeypatch.setattr(study, "compute", lambda held, task: done.append(study._name(task)) or compute(held, task))  # type: ignore[func-returns-value]
    again = study.run(made.folder, made.settings, 1, False, True, silent, silent)
    assert sorted(done) == ["curve-pixel-3", "place-0-2"]
    assert again.hosted[0, 2].last == made.study.hosted[0, 2].last
    assert again.curves["pixel"][3].risk == made.study.curves["pixel"][3].risk
    with pytest.raises(OutputError, match="holds a study already; go on with it by --resume"):
        study.run(made.folder, made.settings, 1, False, False, silent, silent)
    with pytest.raises(OutputError, match="another risk, seed"):
        study.run(made.folder, replace(made.settings, risk=0.1, seed=3), 1, False, True, silent, silent)
    gone[0].write_bytes(b"half")
    with pytest.raises(OutputError, match="damaged; remove it"):
        study.run(made.folder, made.settings, 1, False, True, silent, silent)
    gone[0].unlink()


def test_several_processes_find_the_same(made: Made, tmp_path: Path) -> None:
    small = replace(made.settings, wind_growth=(1.0,), storage=False)
    two = study.run(tmp_path / "two", small, 2, False, False, silent, silent)
    for p in range(4):
        assert two.hosted[0, p].last == made.study.hosted[0, p].last
    assert [t.risk for t in two.curves["field"]] == [t.risk for t in made.study.curves["field"]]


def test_a_job_can_wait_for_the_green_hours_of_a_study(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = read_trace(made.folder / "intensity.csv")
    values = trace.values_gCO2e_per_kWh
    assert values.size in (24, 25)
    assert min(EMITS_gCO2e_per_kWh.values()) <= values.min() < values.max() <= max(EMITS_gCO2e_per_kWh.values())
    found = greenest(trace, trace.start_s, trace.end_s, 2 * HOUR_s)
    assert found.mean_gCO2e_per_kWh is not None
    assert found.mean_gCO2e_per_kWh < values.mean()
    monkeypatch.setenv("KINOWATT_INTENSITY_CSV", str(made.folder / "intensity.csv"))
    said = forecast("DE")
    assert said is not None
    assert np.array_equal(said.values_gCO2e_per_kWh, values)


def test_the_merit_order_by_hand(made: Made) -> None:
    s = made.study
    nothing = {k: np.zeros(s.network.circuit.nodes) for k in ("pv", "wind")}
    _, dark = intensity_H(s.network, s.scenarios, s.work, nothing)
    assert dark == pytest.approx(np.full(len(dark), 0.5 * 490 + 0.5 * 820))  # half of the peak load by gas, and the load is its peak
    much = {"pv": nothing["pv"], "wind": np.full(s.network.circuit.nodes, 1e6)}
    _, windy = intensity_H(s.network, s.scenarios, s.work, much)
    assert windy.min() == pytest.approx(11.0)
    assert as_csv(np.datetime64("2026-01-01T05"), np.array([1.25]), "x").splitlines()[1].startswith("2026-01-01T05:00Z,1.2,x,")


def test_what_a_killed_run_spent_is_billed(tmp_path: Path) -> None:
    with Meter() as meter:
        sum(range(4_000_000))
    first = Spent(tmp_path)
    assert first.keep(meter.bill).energy == meter.bill.energy  # there is no study yet, and nothing is written
    assert not list(tmp_path.iterdir())
    (tmp_path / "work").mkdir()
    for _ in range(2):  # a run that tells it again has not spent it again
        assert first.keep(meter.bill).energy.wall_s == meter.bill.energy.wall_s > 0
    assert Spent(tmp_path).keep(meter.bill).energy.wall_s == pytest.approx(2 * meter.bill.energy.wall_s, abs=2e-3)
    next((tmp_path / "work").glob("energy-*.json")).write_text("{")
    with pytest.raises(OutputError, match="remove it"):
        Spent(tmp_path).keep(meter.bill)


def test_the_command(made: Made) -> None:
    s = made.settings
    words = ["--network", s.network, "--weather", s.weather, "--pv-growth", "1:3:2", "--placements", "1", "--scenarios", "3"]
    found = run(*words, "--workers", "1", "-o", str(made.folder.parent / "command"), "--json")
    assert found.exit_code == 0, found.exception
    assert json.loads(found.stdout)["axis"]["installed_MW"] == [3.0, 9.0]
    assert (made.folder.parent / "command" / "report.html").is_file()


def run(*words: str) -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(study_verb)
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--network", "x.json", "--pv-growth", "-1:3:1"], "--pv-growth '-1:3:1' is no growth"),
        (["--network", "x.json", "--risk", "0"], "a planning risk of 0 says nothing"),
        (["--network", "x.json", "--horizon", "soon"], "horizon 'soon' is not understood"),
        (["--network", "x.json", "--limits", "some"], "limits 'some' are not known"),
        (["--network", "x.json", "--placements", "0"], "at least one placement"),
        (["--network", "x.json", "--weather", "model"], "goes on from a sky: give --history"),
        (["--network", "x.json", "--at", "2012-06-24T15:00"], "--history and --at belong to --weather model"),
        (["--network", "x.json"], "x.json does not exist"),
        (["--network", "simbench:9-XX"], "SimBench has no network '9-XX'"),
    ],
)
def test_sentences(tmp_path: Path, words: list[str], sentence: str) -> None:
    found = run(*words, "-o", str(tmp_path / "out"))
    assert isinstance(found.exception, GridError)
    assert sentence in str(found.exception)
    assert "\n" not in str(found.exception)


def test_the_command_asks_for_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []

    def ask(folder: Path, settings: Settings, *_: object) -> None:
        asked.append(settings)
        raise GridError("asked")

    monkeypatch.setattr(study, "run", ask)
    words = ["--network", "x.json", "--weather", "model", "--history", "h.h5", "--at", "2012-06-24T15:00", "--place", "--horizon", "3h"]
    assert str(run(*words, "-o", str(tmp_path)).exception) == "asked"
    assert asked[0].asked == Asked("model", "h.h5", "2012-06-24T15:00", place=True)
    assert asked[0].horizon_h == 3.0


def test_hours() -> None:
    assert (hours_of("24h"), hours_of("90min"), hours_of("2d")) == (24.0, 1.5, 48.0)
