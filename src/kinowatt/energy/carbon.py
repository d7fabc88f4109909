"""Carbon intensity of electricity, from a table that ships with kinowatt: location-based, no offsets, no network."""

from __future__ import annotations

import difflib
import functools
import json
import math
import os
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kinowatt.errors import InputError

ZONE_VARIABLE = "KINOWATT_ZONE"
PUE_VARIABLE = "KINOWATT_PUE"
WORLD = "world"


@dataclass(frozen=True)
class Intensity:
    """Grams of CO2 equivalent per kWh in a zone, with the table's year and source."""

    zone: str
    name: str
    gCO2e_per_kWh: float
    year: int
    source: str


@functools.cache
def _table() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files(__package__).joinpath("intensity.json").read_text(encoding="utf-8"))
    return loaded


@functools.cache
def _codes() -> dict[str, str]:
    """Every spelling of a zone's code, in capitals, with its code in the table."""
    codes = {"WORLD": WORLD}
    for code, row in _table()["zones"].items():
        codes[code] = code
        codes[row.get("alpha_2", code)] = code
    return codes


def intensity(zone: str | None = None) -> Intensity:
    """The intensity of a zone; without one, of $KINOWATT_ZONE, else of the world.

    A zone is an ISO 3166-1 country (TW or TWN), an ISO 3166-2 province or state (CN-GD, US-CA, CA-QC, AU-VIC; also cn_gd), or `world`.
    The tables differ in what they count (countries: life cycle; provinces and states: mostly combustion), as `source` says.
    InputError, with the nearest codes, if the zone is not in the table: no other zone's value is put in its place.
    """
    said = named(zone)
    code = code_of(said)
    if code is None:
        raise InputError(_unknown(said))
    row = _table()[WORLD] if code == WORLD else _table()["zones"][code]
    return Intensity(code, row["name"], row["gCO2e_per_kWh"], row["year"], _table()["sources"][row["source"]])


def named(zone: str | None = None) -> str:
    """The zone that is meant: the one given, else $KINOWATT_ZONE, else `world`; with hyphens, as it was written otherwise."""
    return (zone or os.environ.get(ZONE_VARIABLE) or WORLD).strip().replace("_", "-")


def code_of(zone: str) -> str | None:
    """The table's code of a zone; None if it is not in the table."""
    return _codes().get(named(zone).upper())


def alpha_2(zone: str) -> str | None:
    """A country's two letters; None for other zones."""
    row: dict[str, Any] = _table()["zones"].get(code_of(zone), {})
    return row.get("alpha_2")


def zone_name(zone: str) -> str:
    """A zone's name in the table. Zones that only a user's CSV or Electricity Maps know are named by their code."""
    try:
        return intensity(zone).name
    except InputError:
        return zone


def zones() -> tuple[str, ...]:
    """All codes of the table: `world`, countries (alpha-3), then their provinces and states."""
    return (WORLD, *_table()["zones"])


def pue(value: float | None = None) -> float:
    """Power usage effectiveness (ISO/IEC 30134-2): the site's energy over its computers'. The one given, else $KINOWATT_PUE, else 1.

    1.0 says that no cooling and no losses of the building are counted. InputError if it is no finite number of at least 1.
    """
    said: object = (os.environ.get(PUE_VARIABLE) or "1.0") if value is None else value
    try:
        found = float(said)  # type: ignore[arg-type]
    except ValueError:
        found = math.nan
    if not 1.0 <= found < math.inf:
        where = PUE_VARIABLE if value is None else "PUE"
        raise InputError(f"{where}={said} is no power usage effectiveness; write a number of at least 1, such as 1.2")
    return found


def _unknown(said: str) -> str:
    codes, names = _codes(), {row["name"].lower(): code for code, row in _table()["zones"].items()}
    near = [codes[c] for c in difflib.get_close_matches(said.upper(), codes, n=3, cutoff=0.6)]
    near += [names[n] for n in difflib.get_close_matches(said.lower(), names, n=2, cutoff=0.6)]
    near += [code for name, code in names.items() if len(said) > 3 and name.startswith(said.lower())]
    hint = f"did you mean {', '.join(list(dict.fromkeys(near))[:4])}? " if near else ""
    return (
        f"no carbon intensity is known for zone {said[:40]!r}; {hint}"
        "use an ISO country code such as DE, TWN or USA, a province or state such as CN-GD or US-CA, or world"
    )
