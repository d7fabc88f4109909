"""Which carbon intensity counts here and now: the user's hourly CSV, else Electricity Maps, else the table of annual means.

The choice is the user's, by $KINOWATT_INTENSITY_CSV and $KINOWATT_ELECTRICITY_MAPS_TOKEN. A source that was chosen and fails is an error:
another one never takes its place unseen.
"""

from __future__ import annotations

import functools
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from kinowatt.energy import electricity_maps
from kinowatt.energy.carbon import WORLD, ZONE_VARIABLE, Intensity, alpha_2, code_of, intensity, named, zone_name
from kinowatt.energy.hourly import HOUR_s, Trace, read_trace
from kinowatt.errors import InputError

CSV_VARIABLE = "KINOWATT_INTENSITY_CSV"
KEPT_s = 300.0  # Electricity Maps publishes by the hour: jobs within five minutes share an answer


def current(zone: str | None = None, at_s: float | None = None) -> Intensity:
    """The intensity to bill with, at a time in seconds since 1970 UTC (without one, now).

    From the CSV, the value of that hour; from Electricity Maps, the newest hour's; from the table, the annual mean, whatever the time.
    InputError if the zone is unknown, is not the CSV's, or the time is not in the CSV; ElectricityMapsError if that does not answer.
    """
    at_s = time.time() if at_s is None else at_s
    trace = _csv(zone)
    if trace is not None:
        return _of(trace.zone, trace.name, trace.at(at_s), at_s, f"{trace.source}, {_hour(trace, at_s)}")
    if electricity_maps.token() is None:
        return intensity(zone)
    if abs(at_s - time.time()) > HOUR_s:
        raise InputError("Electricity Maps is asked for the present hour only; for another time, give a CSV of it")
    value, time_s, source = _latest(_their_zone(zone), electricity_maps.token() or "", int(time.time() // KEPT_s))
    return _of(named(zone), "", value, time_s, f"{source}, {_iso(time_s)}")


def forecast(zone: str | None = None) -> Trace | None:
    """Hours to come: the CSV's, else Electricity Maps' forecast. None with the table, for an annual mean has no hours. Errors as above."""
    trace = _csv(zone)
    if trace is None and electricity_maps.token() is not None:
        return electricity_maps.forecast(_their_zone(zone))
    if trace is None:
        intensity(zone)  # an unknown zone is said here, too
    return trace


def _csv(zone: str | None) -> Trace | None:
    """The user's trace with its zone, name and source filled in; None if no CSV is set."""
    said = os.environ.get(CSV_VARIABLE)
    if not said:
        return None
    path = Path(said)
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{CSV_VARIABLE}={said} cannot be read ({error.strerror or error}); give a CSV, or unset it") from None
    trace = _read(path, stat.st_mtime_ns, stat.st_size)
    wanted = zone or os.environ.get(ZONE_VARIABLE)
    if trace.zone and wanted and _code(wanted) != _code(trace.zone):
        raise InputError(f"{path.name} is of zone {trace.zone}, not {named(wanted)}; give the same zone, or unset {CSV_VARIABLE}")
    own = trace.zone or intensity(zone).zone
    return Trace(_code(own), trace.name or zone_name(own), trace.source, trace.start_s, trace.values_gCO2e_per_kWh)


@functools.lru_cache(maxsize=4)
def _read(path: Path, changed_ns: int, size: int) -> Trace:
    return read_trace(path)


@functools.lru_cache(maxsize=16)
def _latest(zone: str, token: str, five_minutes: int) -> tuple[float, float, str]:
    return electricity_maps.latest(zone)


def _their_zone(zone: str | None) -> str:
    """A zone as Electricity Maps writes it: countries by two letters."""
    said = named(zone)
    if code_of(said) == WORLD:
        raise InputError(
            f"Electricity Maps needs a zone; set one such as DE, or unset {electricity_maps.TOKEN_VARIABLE} for the world's mean"
        )
    return alpha_2(said) or said.upper()


def _of(zone: str, name: str, value: float, time_s: float, source: str) -> Intensity:
    return Intensity(_code(zone), name or zone_name(zone), value, datetime.fromtimestamp(time_s, UTC).year, source)


def _code(zone: str) -> str:
    """The table's code of a zone, else the zone as it is written."""
    return code_of(zone) or named(zone)


def _hour(trace: Trace, at_s: float) -> str:
    return _iso(trace.start_s + (at_s - trace.start_s) // HOUR_s * HOUR_s)


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("hour of %Y-%m-%dT%H:%MZ")
