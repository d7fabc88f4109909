"""Carbon intensity of electricity, from a table that ships with kinowatt: location-based, no offsets, no network."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kinowatt.errors import InputError

ZONE_VARIABLE = "KINOWATT_ZONE"


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
    loaded: dict[str, Any] = json.loads(resources.files(__package__).joinpath("intensity.json").read_text())
    return loaded


def intensity(zone: str | None = None) -> Intensity:
    """The intensity of a zone (ISO 3166, DE or DEU); without one, of $KINOWATT_ZONE, else of the world. InputError if it is unknown."""
    table = _table()
    wanted = (zone or os.environ.get(ZONE_VARIABLE) or "world").strip().upper()
    if wanted == "WORLD":
        return _row("world", table["world"], table["source"])
    for code, row in table["zones"].items():
        if wanted in (code, row["alpha_2"]):
            return _row(code, row, table["source"])
    raise InputError(f"no carbon intensity is known for zone {wanted!r}; use an ISO country code such as DE, TWN or USA, or world")


def _row(code: str, row: dict[str, Any], source: str) -> Intensity:
    return Intensity(code, row["name"], row["gCO2e_per_kWh"], row["year"], source)
