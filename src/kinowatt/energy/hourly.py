"""Carbon intensity hour by hour: a user's own CSV, and the greenest stretch of time before a deadline.

The CSV's format (a grid study writes it, too):

    datetime,gCO2e_per_kWh
    2026-11-23T00:00Z,412.5
    2026-11-23T01:00Z,398.0

UTF-8, commas, a header. One row per hour, in order, without gaps; a row holds from its time for one hour. `datetime` is ISO 8601: with an
offset (`Z`, `+08:00`), or without one, which means UTC; not both in a file. Instead of it `hour` counts 0, 1, 2 ... from 1970-01-01T00:00Z,
for traces without a date. `gCO2e_per_kWh` is a number from 0 to 2000 (grams, location-based). Optional columns, the same in every row:
`zone` (its code), `name`, `source`. Other columns are passed over. The exports of Electricity Maps ("Datetime (UTC)", "Carbon intensity
gCO₂eq/kWh (Life cycle)" before "(direct)", "Zone id") are read as they are.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kinowatt.errors import InputError

HOUR_s = 3600.0
SLACK = 2.0  # a job that waits for greener hours is thought to last twice as long as predicted
UNKNOWN_S = 600.0  # how long a job may last of which nothing is known
MOST_gCO2e_per_kWh = 2000.0  # more than any power plant emits (lignite: about 1,200): a number above is in another unit
MOST_BYTES = 64_000_000  # ten years of Electricity Maps' export are 13 MB
TIMES = ("datetime", "datetime (utc)", "datetime_utc")
HOURS = ("hour",)
VALUES = (  # the first that is there is read: life cycle before direct
    "gco2e_per_kwh",
    "carbon intensity gco2eq/kwh (life cycle)",
    "carbon intensity gco2eq/kwh (lca)",
    "carbon intensity gco2eq/kwh (direct)",
)
ZONES, NAMES, SOURCES = ("zone", "zone id"), ("name", "zone name"), ("source",)
NUMBER = re.compile(r"\+?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, eq=False)
class Trace:
    """Carbon intensity of one zone, an hour per value, from `start_s` (seconds since 1970 UTC) on. `zone` may be empty: not known.

    ValueError if there is no value, or one is negative or not finite.
    """

    zone: str
    name: str
    source: str
    start_s: float
    values_gCO2e_per_kWh: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        values = np.array(self.values_gCO2e_per_kWh, dtype=np.float64)  # a copy: what was given may change
        if values.ndim != 1 or not values.size or not np.isfinite(values).all() or values.min() < 0:
            raise ValueError("a trace is a row of finite intensities of at least 0")
        values.setflags(write=False)
        object.__setattr__(self, "values_gCO2e_per_kWh", values)

    @property
    def end_s(self) -> float:
        """Where the last hour ends."""
        return self.start_s + HOUR_s * self.values_gCO2e_per_kWh.size

    @cached_property
    def borders_s(self) -> npt.NDArray[np.float64]:
        """Where hours begin, and the end."""
        return np.arange(self.values_gCO2e_per_kWh.size + 1, dtype=np.float64) * HOUR_s + self.start_s

    @cached_property
    def _integral(self) -> npt.NDArray[np.float64]:
        """Intensity times seconds from the start to each border."""
        sums: npt.NDArray[np.float64] = np.concatenate(([0.0], np.cumsum(self.values_gCO2e_per_kWh))) * HOUR_s
        return sums

    def at(self, time_s: float) -> float:
        """The value of the hour in which a time lies. InputError outside the trace."""
        if not self.start_s <= time_s < self.end_s:
            raise InputError(f"{_iso(time_s)} is not in the trace of {self.source}, which {self._span()}")
        return float(self.values_gCO2e_per_kWh[int((time_s - self.start_s) // HOUR_s)])

    def mean(self, begin_s: float, end_s: float) -> float:
        """The mean over a stretch of time, each hour by its part of it. InputError if any of it is outside the trace."""
        if end_s == begin_s:
            return self.at(begin_s)
        if not self.start_s <= begin_s < end_s <= self.end_s:
            raise InputError(f"{_iso(begin_s)} to {_iso(end_s)} is not in the trace of {self.source}, which {self._span()}")
        return float(self.means(np.array([begin_s]), end_s - begin_s)[0])

    def means(self, begins_s: npt.NDArray[np.float64], duration_s: float) -> npt.NDArray[np.float64]:
        """Means over stretches of one duration (above 0) that begin at these times, all within the trace."""
        ends = np.interp(begins_s + duration_s, self.borders_s, self._integral)
        found: npt.NDArray[np.float64] = (ends - np.interp(begins_s, self.borders_s, self._integral)) / duration_s
        return found

    def _span(self) -> str:
        return f"goes from {_iso(self.start_s)} to {_iso(self.end_s)}"


@dataclass(frozen=True)
class Window:
    """When a job would run, in seconds since 1970 UTC, and its mean intensity; None where the trace does not know it."""

    begin_s: float
    end_s: float
    mean_gCO2e_per_kWh: float | None


def greenest(trace: Trace, now_s: float, deadline_s: float, duration_s: float) -> Window:
    """The window of least mean intensity that begins now or later and ends by the deadline; of equals, the earliest.

    The mean is linear between the times at which the window's begin or end meets an hour's border, so only those are compared.
    Hours that the trace does not have are not guessed: windows that touch them are left out. If none is left, the job begins now and its
    mean is None. InputError if the deadline cannot be met, or the duration is no positive time.
    """
    if not 0 < duration_s < math.inf or not math.isfinite(now_s) or math.isnan(deadline_s):
        raise InputError(f"a job of {duration_s:g} s cannot be planned; its duration is a number of seconds above 0")
    if now_s + duration_s > deadline_s:
        left = max(deadline_s - now_s, 0.0)
        raise InputError(f"the job needs {span(duration_s)} and its deadline is in {span(left)}; give it more time, or fewer steps")
    first_s, last_s = max(now_s, trace.start_s), min(deadline_s, trace.end_s) - duration_s
    if first_s > last_s:
        return Window(now_s, now_s + duration_s, None)
    borders_s = trace.borders_s
    begins_s = np.unique(np.concatenate((borders_s, borders_s - duration_s, [first_s, last_s])))
    begins_s = begins_s[(begins_s >= first_s) & (begins_s <= last_s)]
    means = trace.means(begins_s, duration_s)
    best = int(np.argmax(means <= means.min() + 1e-9))  # rounding makes no later window greener
    return Window(float(begins_s[best]), float(begins_s[best]) + duration_s, float(means[best]))


def read_trace(path: Path) -> Trace:
    """The trace in a CSV of the format above. InputError, with the line, where it is broken: nothing is filled in or passed over."""
    name = path.name
    header, rows = _rows(path)
    times = _column(header, TIMES) if _column(header, TIMES) is not None else _column(header, HOURS)
    value = _column(header, VALUES)
    if times is None or value is None:
        raise InputError(f"{name}: line 1 is no header with the columns datetime,gCO2e_per_kWh (separated by commas)")
    read = _hour if _column(header, TIMES) is None else _time
    start_s, aware, before = 0.0, None, (0.0, 0)
    values: list[float] = []
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{name}: line {line} has {len(row)} columns, the header has {len(header)}")
        time_s, offset = read(row[times].strip(), f"{name}: line {line}")
        if aware is not None and offset != aware:
            raise InputError(f"{name}: line {line} is {'' if offset else 'not '}written with a UTC offset, unlike the lines before it")
        if not values:
            start_s = time_s
        elif abs(time_s - before[0] - HOUR_s) > 1e-3:
            raise InputError(f"{name}: line {line} {_step(time_s - before[0])} line {before[1]}; each line must be one hour later")
        aware, before = offset, (time_s, line)
        values.append(_value(row[value].strip(), f"{name}: line {line}"))
    if not values:
        raise InputError(f"{name}: there is a header, but no hour below it")
    if 0 < max(values) < 1:
        raise InputError(f"{name}: no hour has 1 g/kWh or more; write grams, not kilograms or tonnes")
    said = [_same(name, header, rows, c) for c in (ZONES, NAMES, SOURCES)]
    return Trace(said[0], said[1], f"{said[2]} ({name})" if said[2] else name, start_s, np.array(values))


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header in lower case, and rows with the number of their line; empty lines are left out."""
    name = path.name
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); give a CSV with the columns datetime,gCO2e_per_kWh") from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"{name} is larger than {MOST_BYTES // 1_000_000} MB, which no hourly trace is")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{name} is no text in UTF-8; give a CSV with the columns datetime,gCO2e_per_kWh") from None
    if "\0" in text:
        raise InputError(f"{name} is no text; give a CSV with the columns datetime,gCO2e_per_kWh")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{name}: line {reader.line_num} is no CSV ({error})") from None
    if not rows:
        raise InputError(f"{name} is empty; give a CSV with the columns datetime,gCO2e_per_kWh")
    return [cell.strip().lower().replace("₂", "2") for cell in rows[0][1]], rows[1:]


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(n) for n in names if n in header), None)


def _same(name: str, header: Sequence[str], rows: Sequence[tuple[int, list[str]]], names: Sequence[str]) -> str:
    """What an optional column says in every row."""
    column = _column(header, names)
    if column is None:
        return ""
    said = rows[0][1][column].strip()
    for line, row in rows:
        if row[column].strip() != said:
            raise InputError(f"{name}: line {line} has {header[column]} {row[column].strip()[:40]!r}, the first one has {said[:40]!r}")
    return said


def _time(said: str, where: str) -> tuple[float, bool]:
    """Seconds since 1970 and whether an offset was written."""
    try:
        time = datetime.fromisoformat(said)
    except ValueError:
        raise InputError(f"{where} has {said[:40]!r} for a time; write it like 2026-11-23T14:00Z") from None
    offset = time.tzinfo is not None
    return (time if offset else time.replace(tzinfo=UTC)).timestamp(), offset


def _hour(said: str, where: str) -> tuple[float, bool]:
    if not (said.isascii() and said.isdecimal() and len(said) <= 9):
        raise InputError(f"{where} has {said[:40]!r} for an hour; count 0, 1, 2, ... or write a datetime column")
    return int(said) * HOUR_s, False


def _value(said: str, where: str) -> float:
    if not NUMBER.fullmatch(said):
        raise InputError(f"{where} has {said[:40]!r} for g CO2e/kWh; write a number of at least 0, such as 412.5")
    value = float(said)
    if value > MOST_gCO2e_per_kWh:
        raise InputError(f"{where} has {said[:40]} g CO2e/kWh, more than any power plant emits; write grams per kWh")
    return value


def _step(seconds: float) -> str:
    if seconds == 0:
        return "repeats the time of"
    return f"is {span(abs(seconds))} {'after' if seconds > 0 else 'before'}"


def span(seconds: float) -> str:
    """A time span for people."""
    for unit, of_unit in (("days", 24 * HOUR_s), ("h", HOUR_s), ("min", 60.0)):
        if seconds >= (2 if unit == "days" else 1) * of_unit:
            return f"{seconds / of_unit:.3g} {unit}"
    return f"{seconds:.3g} s"


def _iso(time_s: float) -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_s)).strftime("%Y-%m-%dT%H:%MZ")
    except (OverflowError, ValueError):
        return f"{time_s:g} s"
