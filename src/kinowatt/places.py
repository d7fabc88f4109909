"""Where kinowatt keeps what outlives a run: a home for what matters (ledger, certificate), a cache for what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE, CACHE_VARIABLE = "KINOWATT_HOME", "KINOWATT_CACHE"


def home() -> Path:
    """$KINOWATT_HOME, else the user's data folder (XDG base directories); made where it does not exist. OSError if it cannot be."""
    return _made(os.environ.get(HOME_VARIABLE), "XDG_DATA_HOME", ".local/share")


def cache() -> Path:
    """$KINOWATT_CACHE, else the user's cache folder; made where it does not exist. OSError if it cannot be."""
    return _made(os.environ.get(CACHE_VARIABLE), "XDG_CACHE_HOME", ".cache")


def _made(own: str | None, variable: str, default: str) -> Path:
    folder = Path(own) if own else Path(os.environ.get(variable) or Path.home() / default) / "kinowatt"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
