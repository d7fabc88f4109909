"""Which intensity counts: the CSV, else Electricity Maps (a local stand-in), else the table; a chosen source that fails is an error."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kinowatt.energy import carbon, electricity_maps, grid_source
from kinowatt.energy.electricity_maps import TOKEN_VARIABLE, ElectricityMapsError
from kinowatt.energy.grid_source import CSV_VARIABLE, current, forecast
from kinowatt.errors import InputError, KinowattError

MONDAY_s = 1_795_392_000.0  # 2026-11-23T00:00Z
SECRET = "a-token-that-must-not-be-seen"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (CSV_VARIABLE, TOKEN_VARIABLE, carbon.ZONE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    grid_source._latest.cache_clear()


class StandIn(HTTPServer):
    """Answers like Electricity Maps, or as a test wants."""

    status, body, asked = 200, b"{}", ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        StandIn.asked = self.path + " " + str(self.headers["auth-token"])
        self.send_response(StandIn.status)
        if 300 <= StandIn.status < 400:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", str(len(StandIn.body)))
        self.end_headers()
        self.wfile.write(StandIn.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    StandIn.status, StandIn.body, StandIn.asked = 200, b"{}", ""
    with StandIn(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def answer(**said: object) -> bytes:
    return json.dumps({"zone": "DE", "carbonIntensity": 302, "datetime": "2026-11-23T10:00:00.000Z", **said}).encode()


def test_latest(maps: StandIn) -> None:
    StandIn.body = answer(emissionFactorType="lifecycle", isEstimated=True)
    value, time_s, source = electricity_maps.latest("DE", maps.url)
    assert (value, time_s) == (302.0, MONDAY_s + 10 * 3600)
    assert source == "Electricity Maps API v3, latest hour, lifecycle, estimated"
    assert StandIn.asked == f"/v3/carbon-intensity/latest?zone=DE {SECRET}"


def test_forecast(maps: StandIn) -> None:
    hours = [{"carbonIntensity": 100 + h, "datetime": f"2026-11-23T0{h}:00:00Z"} for h in range(3)]
    StandIn.body = json.dumps({"zone": "DE", "forecast": hours}).encode()
    trace = electricity_maps.forecast("DE", maps.url)
    assert StandIn.asked.startswith("/v3/carbon-intensity/forecast?zone=DE ")
    assert (trace.start_s, list(trace.values_gCO2e_per_kWh)) == (MONDAY_s, [100, 101, 102])
    StandIn.body = json.dumps({"forecast": [hours[0], hours[2]]}).encode()
    with pytest.raises(ElectricityMapsError, match="hour by hour"):
        electricity_maps.forecast("DE", maps.url)
    StandIn.body = b'{"forecast": []}'
    with pytest.raises(ElectricityMapsError, match="no forecast"):
        electricity_maps.forecast("DE", maps.url)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"no", "does not accept the token"),
        (403, b"", "plan does not cover"),
        (404, b"", "does not know the zone"),
        (429, b"", "too many requests"),
        (500, b"oops", "status 500"),
        (302, b"", "status 302"),
        (200, b"<html>", "not the JSON"),
        (200, b"[1]", "not the JSON"),
        (200, b"\xff\xfe", "not the JSON"),
        (200, answer(carbonIntensity=None), "no carbon intensity"),
        (200, answer(carbonIntensity=-5), "no carbon intensity"),
        (200, answer(carbonIntensity=True), "no carbon intensity"),
        (200, answer(carbonIntensity="302"), "no carbon intensity"),
        (200, answer(carbonIntensity=float("nan")), "no carbon intensity"),
        (200, answer(carbonIntensity=302_000), "no carbon intensity"),
        (200, answer(datetime="soon"), "no time"),
        (200, answer(datetime="2026-11-23T10:00:00"), "no UTC offset"),
    ],
)
def test_answers_that_are_none(maps: StandIn, status: int, body: bytes, says: str) -> None:
    StandIn.status, StandIn.body = status, body
    with pytest.raises(ElectricityMapsError, match=says) as error:
        electricity_maps.latest("DE", maps.url)
    assert SECRET not in str(error.value)
    assert isinstance(error.value, KinowattError)
    assert "elsewhere" not in StandIn.asked  # the token is not sent on


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no token"):
        electricity_maps.latest("DE")
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        closed = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(ElectricityMapsError, match="cannot be reached"):
        electricity_maps.latest("DE", closed)
    with pytest.raises(InputError, match="address"):
        electricity_maps.latest("DE", "file:///etc/passwd#")
    monkeypatch.setenv(TOKEN_VARIABLE, "two\nlines")
    with pytest.raises(InputError, match="holds no token"):
        electricity_maps.latest("DE", closed)


def test_a_server_that_says_nothing_is_given_up(maps: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(electricity_maps, "TIMEOUT_s", 0.1)
    monkeypatch.setattr(Handler, "do_GET", lambda _: time.sleep(0.5))
    with pytest.raises(ElectricityMapsError, match="cannot be reached"):
        electricity_maps.latest("DE", maps.url)


def test_the_table_without_anything_set() -> None:
    assert current("CN-GD") == carbon.intensity("CN-GD")
    assert current() == carbon.intensity("world")
    assert forecast("CN-GD") is None
    for function in (current, forecast):
        with pytest.raises(InputError, match="ISO country code"):
            function("Atlantis")


def csv(folder: Path, columns: str = "", cells: str = "") -> Path:
    path = folder / "mine.csv"
    path.write_text(f"datetime,gCO2e_per_kWh{columns}\n2026-11-23T00:00Z,412.5{cells}\n2026-11-23T01:00Z,398{cells}\n")
    return path


def test_the_csv_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CSV_VARIABLE, str(csv(tmp_path)))
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    found = current("CN-GD", MONDAY_s + 5000)
    assert (found.zone, found.name, found.gCO2e_per_kWh, found.year) == ("CN-GD", "Guangdong, China", 398.0, 2026)
    assert found.source == "mine.csv, hour of 2026-11-23T01:00Z"
    trace = forecast("CN-GD")
    assert trace is not None
    assert trace.mean(MONDAY_s, MONDAY_s + 7200) == pytest.approx(405.25)
    with pytest.raises(InputError, match=r"not in the trace of mine\.csv"):
        current("CN-GD", MONDAY_s + 7200)
    with pytest.raises(InputError, match="ISO country code"):
        current("Atlantis", MONDAY_s)


def test_the_csv_names_its_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CSV_VARIABLE, str(csv(tmp_path, ",zone,name,source", ",study-7,The study's grid,AC power flow")))
    found = current(at_s=MONDAY_s)
    assert (found.zone, found.name) == ("study-7", "The study's grid")
    assert found.source == "AC power flow (mine.csv), hour of 2026-11-23T00:00Z"
    with pytest.raises(InputError, match="of zone study-7, not DE"):
        current("DE", MONDAY_s)
    csv(tmp_path, ",zone", ",DE")  # the file changes: it is read again
    assert current(at_s=MONDAY_s).zone == current("deu", MONDAY_s).zone == "DEU"


def test_a_csv_that_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CSV_VARIABLE, str(tmp_path / "gone.csv"))
    for function in (current, forecast):
        with pytest.raises(InputError, match=CSV_VARIABLE):
            function("DE")


def test_electricity_maps_with_a_token(maps: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    real = electricity_maps.latest
    monkeypatch.setattr(electricity_maps, "latest", lambda zone: real(zone, maps.url))
    StandIn.body = answer()
    found = current("DEU")
    assert StandIn.asked.startswith("/v3/carbon-intensity/latest?zone=DE ")
    assert (found.zone, found.name, found.gCO2e_per_kWh, found.year) == ("DEU", "Germany", 302.0, 2026)
    assert found.source == "Electricity Maps API v3, latest hour, lifecycle, hour of 2026-11-23T10:00Z"
    assert current("us-cal-ciso").zone == "us-cal-ciso"
    assert "zone=US-CAL-CISO" in StandIn.asked
    StandIn.status = 500
    assert current("DEU") == found  # kept for five minutes
    with pytest.raises(ElectricityMapsError):
        current("FR")  # and no table in its place
    with pytest.raises(InputError, match="needs a zone"):
        current()
    with pytest.raises(InputError, match="present hour only"):
        current("DE", MONDAY_s - 1e6)
