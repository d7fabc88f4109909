"""Grid studies over HTTP: what can be picked, started, watched, cancelled; whose they are; what a refusal says. The worker is run here."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from gridding import ensemble, five_buses, write_net
from kinowatt.errors import InputError
from kinowatt.grid import nowcast, report, scenarios
from kinowatt.models import skies_model
from kinowatt.serve import auth, studies, study_claims, study_inputs
from kinowatt.serve.app import create_app
from kinowatt.serve.catalogue import Catalogue
from kinowatt.serve.database import Database, sqlite_url
from kinowatt.serve.files import Files
from kinowatt.serve.jobs import Jobs
from kinowatt.serve.office import Office
from kinowatt.serve.store import Store
from kinowatt.serve.studies import CreateStudy, Studies
from kinowatt.serve.study_worker import Making
from kinowatt.serve.supervisor import study_command
from kinowatt.serve.tables import Study

SMALL = {"pv_growth": "1:9:4", "placements": 2, "scenarios": 4, "horizon_h": 3}


@dataclass
class Bench:
    """A server without a supervisor, with weather of its host."""

    studies: Studies
    client: TestClient
    network: Path
    weather: Path

    def upload(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            answer = self.client.post("/v1/studies/files", files={"file": (path.name, file)})
        assert answer.status_code == 200, answer.text
        kept: dict[str, Any] = answer.json()
        return kept

    def create(self, **fields: object) -> str:
        network = {"file_id": self.upload(self.network)["id"]}
        answer = self.client.post("/v1/studies", json={"network": network, "weather": "sky.nc", **SMALL, **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def get(self, id: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/studies/{id}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def take(self) -> Making:
        claim = study_claims.take(self.studies.database, "by-hand")
        assert claim is not None
        return Making(claim, self.studies.folder(claim.row.id))

    def refused(self, **body: object) -> tuple[int, str]:
        answer = self.client.post("/v1/studies", json={"network": "simbench:1-LV-rural1--0-sw", **body})
        return answer.status_code, answer.json()["error"]["message"]


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report takes longer than all the rest, and one test of it is enough."""
    monkeypatch.setattr(report, "write_report", lambda folder, made, bill, step: (folder / "summary.json").write_text("{}"))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Five buses and weather for them."""
    home = tmp_path_factory.mktemp("given")
    day = ensemble(4)
    noon = slice(10, 13)  # little to compute, and sun in all of it
    replace(day, values_MTCHW=day.values_MTCHW[:, noon], times=day.times[noon]).to_netcdf(home / "sky.nc")
    return write_net(five_buses(), home / "five.json"), home / "sky.nc"


@pytest.fixture
def bench(given: tuple[Path, Path], small_model: Path, tmp_path: Path) -> Iterator[Bench]:
    database = Database(sqlite_url(tmp_path))
    database.migrate()
    office = Office(database, Store(tmp_path), Catalogue.of(str(small_model)))
    studies = Studies(office.jobs, office.files, [given[1].parent])
    studies.inputs._codes = ("1-LV-rural1--0-sw", "1-HV-mixed--0-sw")  # asked for in test_the_networks_come_from_another_process
    with TestClient(create_app(office, studies=studies), raise_server_exceptions=False) as client:
        yield Bench(studies, client, *given)
    database.engine.dispose()


def test_a_study_from_the_pick_to_its_files(bench: Bench, quietly: None) -> None:
    options = bench.client.get("/v1/studies/options").json()
    assert options["available"]
    assert {"id": "simbench:1-HV-mixed--0-sw", "name": "1-HV-mixed--0-sw"} in options["networks"]
    assert [w["id"] for w in options["weathers"]] == ["world", "sky.nc"]
    id = bench.create()
    waits = bench.get(id)
    assert (waits["status"], waits["network"], waits["weather"], waits["progress"]) == ("queued", "five.json", "sky.nc", 0)
    assert waits["pv_growth"] == [1.0, 5.0, 9.0]
    assert bench.client.get(f"/v1/studies/{id}/map").status_code == 404
    making = bench.take()
    seen: list[tuple[str, int, int]] = []
    step = making._step

    def watched(what: str, done: int, of: int) -> None:
        step(what, done, of)
        told = bench.get(id)
        seen.append((what, told["progress"], told["maps"]))

    making._step = watched  # type: ignore[method-assign]
    making.run()
    done = bench.get(id)
    assert (done["status"], done["error"], done["progress"], done["maps"]) == ("completed", None, 100, 9)
    assert [p for _, p, _ in seen] == sorted(p for _, p, _ in seen), "progress never falls"
    assert {"growth by growth", "placements", "report"} <= {what for what, _, _ in seen}
    assert done["notes"][0].startswith("five:")
    assert done["energy"]["wall_s"] > 0
    check_map(bench, id)
    check_files(bench, id, done["files"])


def check_map(bench: Bench, id: str) -> None:
    """The map's shares at the summary's growth are the summary's; and there is one for every weather and growth."""
    drawn, summary = (bench.client.get(f"/v1/studies/{id}/{what}").json() for what in ("map", "summary"))
    assert drawn["installed_MW"] == summary["axis"]["installed_MW"] == [3.0, 15.0, 27.0]
    at = drawn["growth"].index(summary["map"]["growth"])
    shares = dict(zip((e["name"] for e in drawn["elements"]), drawn["weathers"]["field"]["elements"][at], strict=True))
    assert shares == pytest.approx({e["name"]: e["probability"] for e in summary["map"]["elements"]}, rel=1e-3)
    assert max(shares.values()) > 0
    for weather, held in drawn["weathers"].items():
        assert held["risk"] == pytest.approx(summary["weathers"][weather]["risk"], rel=1e-3)
        assert [len(row) for row in held["buses"]] == [len(drawn["buses"])] * 3
    three = next(b for b in drawn["buses"] if b["name"] == "B3")
    assert three["pv"] == [2.0, 2.0]  # MW that stand, and that a whole growth adds
    assert three["at"] == [53.7, 11.62]
    told = json.dumps([drawn, summary, bench.get(id)])
    assert str(bench.studies.home) not in told, "no path of the server's in what it tells"


def check_files(bench: Bench, id: str, files: list[dict[str, Any]]) -> None:
    names = {f["name"] for f in files}
    assert {"report.html", "weather.mp4", "summary.json", "curves.csv", "pypsa.nc", "map.json", "study.zip"} <= names
    report = bench.client.get(f"/v1/studies/{id}/files/report.html")
    assert report.headers["content-type"].startswith("text/html")
    assert report.headers["content-security-policy"].startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'")
    assert report.headers.get_list("content-security-policy") == [report.headers["content-security-policy"]]
    film = bench.client.get(f"/v1/studies/{id}/files/weather.mp4", headers={"Range": "bytes=0-99"})
    assert (film.status_code, len(film.content)) == (206, 100)
    whole = zipfile.ZipFile(io.BytesIO(bench.client.get(f"/v1/studies/{id}/files/study.zip").content))
    assert set(whole.namelist()) == names - {"study.zip"}
    for name in ("setup.json", "..%2Fkinowatt.db", "nothing"):
        assert bench.client.get(f"/v1/studies/{id}/files/{name}").status_code == 404


def test_it_goes_on_in_another_process(bench: Bench, no_report: None, quietly: None) -> None:
    """The first worker dies in the middle; the second one computes the rest, and the bill is of both."""
    id = bench.create()
    making = bench.take()

    class Killed(BaseException):
        pass

    step = making._step

    def dies(what: str, done: int, of: int) -> None:
        step(what, done, of)
        if (what, done) == ("growth by growth", 4):
            raise Killed

    making._step = dies  # type: ignore[method-assign]
    making.claim.write(done=0)
    with pytest.raises(Killed):
        making.run()
    kept = bench.studies.folder(id) / "work"
    before = {p.name: p.stat().st_mtime_ns for p in kept.glob("*.npz")}
    assert len(before) == 4
    assert study_claims.recover(bench.studies.database, "by-hand") == 1
    again = bench.get(id)
    assert (again["status"], again["phase"]) == ("queued", "growth by growth")
    spent = again["energy"]["wall_s"]
    bench.take().run()
    done = bench.get(id)
    assert done["status"] == "completed"
    assert before.items() <= {p.name: p.stat().st_mtime_ns for p in kept.glob("*.npz")}.items(), "what was computed was not computed again"
    assert done["energy"]["wall_s"] > spent > 0
    with pytest.raises(study_claims.Lost):
        making.claim.write(done=7)  # the first one comes back too late


def test_what_another_version_computed_is_computed_anew(bench: Bench, no_report: None, quietly: None) -> None:
    id = bench.create(pv_growth="1")
    work = bench.studies.folder(id) / "work"
    work.mkdir()
    (work / "setup.json").write_text('{"version": "0.0.1"}')
    (work / "curve-field-0.npz").write_bytes(b"of another shape")
    bench.take().run()
    assert bench.get(id)["status"] == "completed"


def test_one_after_the_other_and_cancelled(bench: Bench) -> None:
    first, second, third = (bench.create() for _ in range(3))
    making = bench.take()
    assert making.claim.row.id == first
    cancelled = bench.client.post(f"/v1/studies/{second}/cancel").json()
    assert (cancelled["status"], cancelled["error"]["code"]) == ("failed", "cancelled")
    assert bench.client.post(f"/v1/studies/{second}/cancel").status_code == 409
    bench.client.post(f"/v1/studies/{first}/cancel")
    assert making.claim.asked() == "cancel"
    study_claims.recover(bench.studies.database, "by-hand")  # its process has ended, as it was told
    assert bench.get(first)["error"] == {"code": "cancelled", "message": "the study was cancelled"}
    page = bench.client.get("/v1/studies?limit=2").json()
    assert ([s["id"] for s in page["data"]], page["has_more"]) == ([third, second], True)
    assert bench.client.delete(f"/v1/studies/{third}").json() == {"id": third, "object": "study.deleted", "deleted": True}
    assert bench.client.get(f"/v1/studies/{third}").status_code == 404
    assert study_claims.take(bench.studies.database, "w") is None
    with bench.studies.database.write() as session:
        session.execute(update(Study).where(Study.id == third).values(completed_at=time.time() - 60))
    bench.studies.sweep()
    assert not bench.studies.folder(third).exists()
    assert bench.studies.folder(second).exists()


def test_what_ends_its_process_again_and_again_is_given_up(bench: Bench) -> None:
    id = bench.create()
    for _ in range(study_claims.MAX_ATTEMPTS):
        assert bench.get(id)["status"] == "queued"
        bench.take()
        study_claims.recover(bench.studies.database, "by-hand")
    assert bench.get(id)["error"]["code"] == "worker_lost"
    assert "fewer scenarios" in bench.get(id)["error"]["message"]


def test_sentences(bench: Bench, tmp_path: Path) -> None:
    for body, words in (
        ({"network": "simbench:1-XX"}, "there is no network 'simbench:1-XX' here; GET /v1/studies/options lists"),
        ({"network": {"file_id": "file_0"}}, "there is no file 'file_0'"),
        ({"weather": "../etc"}, "there is no weather '../etc' here; choose world, sky.nc, or upload a file"),
        ({"pv_growth": "7:1"}, "pv_growth '7:1' is no growth"),
        ({"pv_growth": "1:900:1"}, "has 900 steps; at most 100"),
        ({"pv_growth": "1:20:1", "wind_growth": "1:20:1"}, "give that at most 10 steps"),
        ({"at": "2016-06-15T12:00"}, "at belongs to measured weather, which skies goes on from; choose some, or leave at out"),
        ({"at": "noon", "weather": "sky.nc", "horizon_h": 3}, "'noon' is no time; write it in UTC"),
        ({"at": "2016-06-15T12:00", "weather": "sky.nc"}, "skies goes on for at most 3 h; ask for a shorter horizon_h"),
        ({"risk": 2}, "risk: input should be less than 1"),
        ({"scenarios": 0}, "scenarios: "),
    ):
        status, said = bench.refused(**body)
        assert (status, words in said) == (400, True), said
    assert not list(bench.studies.home.iterdir()), "a refused study leaves nothing"
    for name, content, words in (
        ("net.txt", b"x", "is nothing for a grid study; upload a network (.json, .m)"),
        ("net.json", b"{}", "is no network of pandapower; write it with pandapower.to_json"),
        ("net.json", b'{"_class": "pandapowerNet", "_object": {"a": {"_module": "os", "_class": "system"}}}', "holds objects of 'os'"),
        ("case.m", b"x = 1", "is no MATPOWER case"),
        ("sky.nc", b"CDF\x01", "is no NetCDF-4 or HDF5 file"),
        ("buses.csv", b"a,b\n", "give a CSV with the header bus,lat,lon"),
        ("buses.csv", b"\xff\xfe", "is no text in UTF-8"),
    ):
        answer = bench.client.post("/v1/studies/files", files={"file": (name, content)})
        assert (answer.status_code, words in answer.text) == (400, True), answer.text
    table = tmp_path / "buses.csv"
    table.write_text("bus,lat,lon\n")
    kept = bench.upload(table)
    assert (kept["purpose"], kept["filename"]) == ("coordinates", "buses.csv")
    assert bench.refused(network={"file_id": kept["id"]})[1] == "buses.csv is no network; upload a file that ends in .json or .m"
    with pytest.raises(InputError, match="give a NetCDF"):
        Studies(bench.studies.jobs, bench.studies.files, [tmp_path / "none"])


def test_what_is_said_of_the_model_is_true() -> None:
    """The web process cannot ask it: torch would come along."""
    assert (studies.MODEL, studies.MODEL_H) == (scenarios.MODEL, skies_model.LEADS * nowcast.HOURS_PER_FRAME)


def test_the_model_goes_on_from_the_weather(bench: Bench, quietly: None) -> None:
    id = bench.create(at="2016-06-15T12:00")
    told = bench.get(id)
    assert (told["weather"], told["at"]) == ("sky.nc", "2016-06-15T12:00")
    making = bench.take()
    settings = making.claim.row.settings
    assert (settings["weather"], settings["history"], settings["at"]) == ("model", "inputs/sky.nc", "2016-06-15T12:00")
    making.run()
    told = bench.get(id)
    assert told["status"] == "failed", "an ensemble is no history"
    assert told["error"]["message"] == "sky.nc holds 4 members where one history is wanted; choose one of them"


def test_a_study_that_cannot_be_made_says_why(bench: Bench, tmp_path: Path, quietly: None) -> None:
    id = bench.create(horizon_h=100)
    bench.take().run()
    told = bench.get(id)
    assert (told["status"], told["error"]["code"]) == ("failed", "invalid_request")
    assert told["error"]["message"] == "the weather lasts 3 h, less than the horizon of 100 h; shorten horizon, or give more weather"
    broken = tmp_path / "five.json"
    broken.write_text('{"_class": "pandapowerNet", "_module": "pandapower.auxiliary", "_object": {}}')  # it has a name, and no buses
    answer = bench.client.post("/v1/studies", json={"network": {"file_id": bench.upload(broken)["id"]}, "weather": "sky.nc"})
    bench.take().run()
    told = bench.get(answer.json()["id"])
    assert told["error"]["message"].startswith("five.json holds no buses with lines")


def test_without_the_extra(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_inputs, "find_spec", lambda name: None if name == "pandapower" else object())
    said = "grid studies need pandapower, which is not installed on this server; its host adds it with kinowatt[grid]"
    options = bench.client.get("/v1/studies/options").json()
    assert (options["available"], options["why"], options["networks"]) == (False, said, [])
    assert bench.refused() == (400, said)


def test_whose_it_is_and_what_it_may_cost(bench: Bench) -> None:
    keys = {name: auth.create(bench.studies.database, name, wh) for name, wh in (("ada", 1.0), ("bob", None))}
    ada, bob = ({"Authorization": f"Bearer {keys[name]}"} for name in ("ada", "bob"))
    bench.client.headers.update(ada)
    id = bench.create()
    for method, path in (("get", ""), ("get", "/map"), ("get", "/summary"), ("post", "/cancel"), ("delete", "")):
        assert getattr(bench.client, method)(f"/v1/studies/{id}{path}", headers=bob).status_code == 404, path
    assert bench.client.get("/v1/studies", headers=bob).json()["data"] == []
    making = bench.take()
    assert making.claim.row.facts["left_Wh"] == 1.0
    making.claim.write(energy_Wh=1.5)
    assert bench.client.post("/v1/studies", json={"network": "simbench:1-LV-rural1--0-sw"}).json()["error"] == {
        "message": "the key ada may use 1 Wh a day and has used 1.5 Wh; the day ends at midnight UTC",
        "type": "rate_limit_error", "param": None, "code": "insufficient_quota",
    }  # fmt: skip


def test_a_study_ends_where_its_key_has_no_more(bench: Bench, quietly: None) -> None:
    id = bench.create()
    with bench.studies.database.write() as session:
        session.execute(update(Study).where(Study.id == id).values(facts={"notes": [], "left_Wh": 1e-9}))
    bench.take().run()
    told = bench.get(id)
    assert told["error"]["code"] == "budget_exceeded"
    assert "its key had 1e-09 Wh left" in told["error"]["message"]


def test_events(bench: Bench) -> None:
    id = bench.create()
    bench.client.post(f"/v1/studies/{id}/cancel")
    with bench.client.stream("GET", f"/v1/studies/{id}/events") as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0] == "event: study"
    assert json.loads(lines[1].removeprefix("data: "))["error"]["code"] == "cancelled"
    assert len(lines) == 2, "the stream ends with the study"


def test_the_web_process_stays_light(tmp_path: Path) -> None:
    heavy = ("torch", "pandapower", "pandas", "simbench", "power_grid_model", "xarray", "matplotlib", "pvlib", "pypsa", "scipy")
    code = f"import sys, kinowatt.serve.app; print([m for m in {heavy!r} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_the_networks_come_from_another_process(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    database.migrate()
    store = Store(tmp_path)
    studies = Studies(Jobs(database, store), Files(database, store))
    first = studies.inputs.options()
    assert (first["ready"], first["networks"]) == (False, []), "nobody waits for it"
    codes = studies.inputs.codes()
    assert studies.inputs.options()["ready"]
    assert {"1-HV-mixed--0-sw", "1-MV-rural--0-sw"} <= set(codes)
    assert not any("complete_data" in code for code in codes)
    database.engine.dispose()


@pytest.mark.parametrize("how", ["cancel", "terminate", "orphan"])
def test_its_process_ends_at_once(how: str, given: tuple[Path, Path], tmp_path: Path) -> None:
    """Whatever it computes: cancelled it fails, told to stop or left by its server it goes back into the queue."""
    database = Database(sqlite_url(tmp_path))
    database.migrate()
    store = Store(tmp_path)
    studies = Studies(Jobs(database, store), Files(database, store), [given[1]])
    studies.inputs._codes = ("1-HV-mixed--0-sw",)
    id = studies.create("", None, CreateStudy(network="simbench:1-HV-mixed--0-sw", scenarios=5000, placements=500)).id
    parent = "1" if how == "orphan" else str(os.getpid())
    command = [*study_command(sqlite_url(tmp_path), tmp_path, 1e6), "--name", "w", "--parent", parent]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while how != "orphan" and studies.get("", id).status == "queued" and time.monotonic() < end:
            time.sleep(0.05)
        if how == "cancel":
            studies.cancel("", id)
        elif how == "terminate":
            process.terminate()
        assert process.wait(30) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
    row = studies.get("", id)
    assert (row.status, row.error_code) == (("failed", "cancelled") if how == "cancel" else ("queued", None))
    database.engine.dispose()
