"""Hourly traces: what a CSV may look like, every way in which it can be broken, and the greenest window against brute force."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinowatt.energy.hourly import HOUR_s, Trace, greenest, read_trace
from kinowatt.errors import InputError

MIDNIGHT_s = 1_795_392_000.0  # 2026-11-23T00:00Z


def trace(*values: float, start_s: float = 0.0) -> Trace:
    return Trace("DEU", "Germany", "a test", start_s, np.array(values))


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "grid.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_at_and_mean_by_hand() -> None:
    t = trace(100, 300, 200)
    assert [t.at(s) for s in (0, 3599, 3600, 10799)] == [100, 100, 300, 200]
    assert t.mean(0, 10800) == pytest.approx(200)
    assert t.mean(1800, 5400) == pytest.approx(200)  # half an hour of 100, half of 300
    assert t.mean(3600, 9000) == pytest.approx((300 * 2 + 200) / 3)
    assert t.mean(4000, 4000) == 300
    for begin, end in ((-1, 100), (0, 10801), (5000, 4000)):
        with pytest.raises(InputError, match="not in the trace of a test"):
            t.mean(begin, end)
    for s in (-0.1, 10800.0, math.nan):
        with pytest.raises(InputError, match="not in the trace"):
            t.at(s)


def test_a_trace_cannot_be_changed_or_be_nonsense() -> None:
    values = np.array([1.0, 2.0])
    t = Trace("", "", "x", 0.0, values)
    values[0] = 99
    assert t.at(0) == 1
    with pytest.raises(ValueError, match="read-only"):
        t.values_gCO2e_per_kWh[0] = 5
    for bad in ([], [-1.0], [math.nan], [[1.0]]):
        with pytest.raises(ValueError, match="finite"):
            Trace("", "", "x", 0.0, np.array(bad))


def test_a_plain_csv(tmp_path: Path) -> None:
    t = read_trace(write(tmp_path, "datetime,gCO2e_per_kWh\n2026-11-23T00:00Z,412.5\n2026-11-23T01:00Z,398\n\n"))
    assert t.start_s == MIDNIGHT_s
    assert list(t.values_gCO2e_per_kWh) == [412.5, 398.0]
    assert (t.zone, t.name, t.source) == ("", "", "grid.csv")


def test_time_zones(tmp_path: Path) -> None:
    naive = read_trace(write(tmp_path, "datetime,gCO2e_per_kWh\n2026-11-23 00:00,1\n2026-11-23 01:00:00,2\n"))
    east = read_trace(write(tmp_path, "datetime,gCO2e_per_kWh\n2026-11-23T08:00+08:00,1\n2026-11-23T09:00+08:00,2\n"))
    india = read_trace(write(tmp_path, "datetime,gCO2e_per_kWh\n2026-11-23T05:00+05:30,1\n"))
    assert naive.start_s == east.start_s == MIDNIGHT_s
    assert india.start_s == MIDNIGHT_s - 1800
    # the clock goes back: written with offsets, it is an hour like any other
    autumn = "datetime,gCO2e_per_kWh\n2026-10-25T02:00+02:00,1\n2026-10-25T02:00+01:00,2\n2026-10-25T03:00+01:00,3\n"
    assert read_trace(write(tmp_path, autumn)).values_gCO2e_per_kWh.size == 3


def test_hours_without_a_date_and_the_optional_columns(tmp_path: Path) -> None:
    t = read_trace(
        write(
            tmp_path, 'Hour,zone,name,source,GCO2E_PER_KWH,MW\r\n0,X1,"My grid, small",study 7,5,9\r\n1,X1,"My grid, small",study 7,6,9\r\n'
        )
    )
    assert (t.start_s, t.zone, t.name, t.source) == (0.0, "X1", "My grid, small", "study 7 (grid.csv)")
    assert t.mean(0, 7200) == pytest.approx(5.5)


def test_the_export_of_electricity_maps(tmp_path: Path) -> None:
    direct, life = "Carbon intensity gCO₂eq/kWh (direct)", "Carbon intensity gCO₂eq/kWh (Life cycle)"
    new = f"Datetime (UTC),Country,Zone name,Zone id,{direct},{life},Data source\n"
    row = "2024-01-01 0{}:00:00,France,France,FR,{},{},x\n"
    t = read_trace(write(tmp_path, "\ufeff" + new + row.format(0, 20, 40) + row.format(1, 22, 44)))
    assert list(t.values_gCO2e_per_kWh) == [40, 44]
    assert (t.zone, t.name) == ("FR", "France")
    old = "Datetime (UTC),Zone Id,Carbon Intensity gCO₂eq/kWh (LCA)\n2022-01-01 00:00:00,SE-SE3,25\n"
    assert read_trace(write(tmp_path, old)).zone == "SE-SE3"


HEAD = "datetime,gCO2e_per_kWh\n"
TWO = HEAD + "2026-11-23T00:00Z,1.5\n2026-11-23T01:00Z,2\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (HEAD, "no hour below it"),
        ("time,value\n1,2\n", "line 1 is no header"),
        ("datetime;gCO2e_per_kWh\n2026-11-23T00:00Z;1\n", "separated by commas"),
        ("datetime,kg\n2026-11-23T00:00Z,1\n", "line 1 is no header"),
        (TWO + "2026-11-23T03:00Z,3\n", "line 4 is 2 h after line 3"),
        (TWO + "2026-11-23T01:00Z,3\n", "line 4 repeats the time of line 3"),
        (TWO + "2026-11-23T00:00Z,3\n", "line 4 is 1 h before line 3"),
        (TWO + "2026-11-23T01:15Z,3\n", "line 4 is 15 min after line 3"),
        (TWO + "2026-11-24T01:00Z,3\n", "line 4 is 24 h after line 3"),
        (TWO + "\n2026-11-23T02:00,3\n", "line 5 is not written with a UTC offset"),
        (HEAD + "2026-11-23T00:00,1\n2026-11-23T01:00Z,3\n", "line 3 is written with a UTC offset"),
        (TWO + "2026-11-23T02:00Z,-3\n", "line 4 has '-3'"),
        (TWO + "2026-11-23T02:00Z,nan\n", "line 4 has 'nan'"),
        (TWO + "2026-11-23T02:00Z,inf\n", "line 4 has 'inf'"),
        (TWO + "2026-11-23T02:00Z,\n", "line 4 has ''"),
        (TWO + "2026-11-23T02:00Z,1_0\n", "line 4 has '1_0'"),
        (TWO + "2026-11-23T02:00Z,٤\n", "line 4 has '٤'"),
        (TWO + "2026-11-23T02:00Z,1e999\n", "more than any power plant"),
        (TWO + "2026-11-23T02:00Z,412000\n", "more than any power plant"),
        (TWO + "2026-11-23T02:00Z,412,5\n", "line 4 has 3 columns, the header has 2"),
        (TWO + "2026-11-23T02:00Z\n", "line 4 has 1 columns"),
        (TWO + "23.11.2026 02:00,3\n", "line 4 has '23.11.2026 02:00' for a time"),
        (TWO + '"2026-11-23T02:00Z,3\n', "is no CSV"),
        (HEAD + "2026-11-23T00:00Z,0.41\n2026-11-23T01:00Z,0.39\n", "not kilograms"),
        ("hour,gCO2e_per_kWh\n0,1\n2,1\n", "line 3 is 2 h after line 2"),
        ("hour,gCO2e_per_kWh\n-1,1\n", "line 2 has '-1' for an hour"),
        ("hour,gCO2e_per_kWh\n0.5,1\n", "count 0, 1, 2"),
        ("hour,zone,gCO2e_per_kWh\n0,DE,1\n1,FR,1\n", "line 3 has zone 'FR', the first one has 'DE'"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "no text in UTF-8"),
        (HEAD.encode() + b"2026-11-23T00:00Z,\x00\n", "is no text"),
        (HEAD.encode("utf-16"), "no text in UTF-8"),
        ("x" * 200_000, "no CSV"),
    ],
)
def test_a_broken_csv_is_one_clear_sentence(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(InputError) as error:
        read_trace(write(tmp_path, text))
    said = str(error.value)
    assert says in said
    assert "grid.csv" in said
    assert "\n" not in said
    assert len(said) < 250


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            read_trace(path)


def test_all_zero_is_a_grid_without_carbon(tmp_path: Path) -> None:
    assert read_trace(write(tmp_path, HEAD + "2026-11-23T00:00Z,0\n")).at(MIDNIGHT_s) == 0.0


@given(data=st.binary(max_size=200))
def test_junk_never_passes_as_numbers(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError):
        read_trace(write(tmp_path_factory.mktemp("junk"), data))


def test_the_greenest_window_by_hand() -> None:
    t = trace(400, 300, 100, 200, 500)
    window = greenest(t, 0.0, 5 * HOUR_s, 2 * HOUR_s)
    assert (window.begin_s, window.end_s, window.mean_gCO2e_per_kWh) == (2 * HOUR_s, 4 * HOUR_s, 150.0)
    window = greenest(t, 0.0, 3.5 * HOUR_s, 2 * HOUR_s)  # ends at the deadline: half of 300, 100, half of 200
    assert (window.begin_s, window.mean_gCO2e_per_kWh) == (1.5 * HOUR_s, pytest.approx((150 + 100 + 100) / 2))
    assert greenest(t, 0.0, HOUR_s, HOUR_s).begin_s == 0.0  # no time to wait
    assert greenest(trace(5, 5, 5), 600.0, 3 * HOUR_s, 60.0).begin_s == 600.0  # of equals the earliest


def test_what_is_not_known_is_not_guessed() -> None:
    t = trace(400, 100, start_s=10 * HOUR_s)
    window = greenest(t, 0.0, 100 * HOUR_s, HOUR_s)  # begins before the trace, ends after it
    assert (window.begin_s, window.mean_gCO2e_per_kWh) == (11 * HOUR_s, 100.0)
    for now_s, deadline_s, duration_s in ((11.5 * HOUR_s, math.inf, HOUR_s), (0.0, 10.5 * HOUR_s, HOUR_s), (0.0, 99 * HOUR_s, 3 * HOUR_s)):
        window = greenest(t, now_s, deadline_s, duration_s)
        assert (window.begin_s, window.end_s, window.mean_gCO2e_per_kWh) == (now_s, now_s + duration_s, None)


def test_an_impossible_deadline() -> None:
    with pytest.raises(InputError, match=r"needs 2 h and its deadline is in 1\.5 h"):
        greenest(trace(1, 2, 3), 0.0, 1.5 * HOUR_s, 2 * HOUR_s)
    with pytest.raises(InputError, match="deadline is in 0 s"):
        greenest(trace(1, 2, 3), 9000.0, 10.0, 60.0)
    for now_s, deadline_s, duration_s in (
        (0.0, 9e9, 0.0),
        (0.0, 9e9, -1.0),
        (0.0, 9e9, math.nan),
        (math.nan, 9e9, 1.0),
        (0.0, math.nan, 1.0),
    ):
        with pytest.raises(InputError, match="cannot be planned"):
            greenest(trace(1, 2, 3), now_s, deadline_s, duration_s)


@given(
    values=st.lists(st.integers(0, 900), min_size=2, max_size=12),
    now_h=st.floats(0, 3),
    duration_h=st.floats(0.05, 4),
    slack_h=st.floats(0, 12),
)
def test_no_window_is_greener(values: list[int], now_h: float, duration_h: float, slack_h: float) -> None:
    t = trace(*values)
    now_s, duration_s = now_h * HOUR_s, duration_h * HOUR_s
    deadline_s = now_s + duration_s + slack_h * HOUR_s
    window = greenest(t, now_s, deadline_s, duration_s)
    assert now_s <= window.begin_s
    assert window.end_s <= deadline_s + 1e-6
    latest_s = min(deadline_s, t.end_s) - duration_s
    if window.mean_gCO2e_per_kWh is None:
        assert latest_s < now_s
        return
    assert window.mean_gCO2e_per_kWh == pytest.approx(t.mean(window.begin_s, min(window.end_s, t.end_s)), abs=1e-6)
    for begin_s in np.linspace(now_s, latest_s, 40):
        assert window.mean_gCO2e_per_kWh <= t.mean(begin_s, min(begin_s + duration_s, t.end_s)) + 1e-6
