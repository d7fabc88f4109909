"""Where kinowatt keeps what outlives a run: a home for what matters (ledger, certificate), a cache for what can be made again.

And how a file is written: aside, then renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kinowatt.errors import OutputError

HOME_VARIABLE, CACHE_VARIABLE = "KINOWATT_HOME", "KINOWATT_CACHE"


def home() -> Path:
    """$KINOWATT_HOME, else the user's data folder (XDG base directories). Nothing is made."""
    return _folder(HOME_VARIABLE, "XDG_DATA_HOME", ".local/share")


def cache() -> Path:
    """$KINOWATT_CACHE, else the user's cache folder; made where it does not exist. OSError if it cannot be."""
    folder = _folder(CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _folder(own: str, variable: str, default: str) -> Path:
    said = os.environ.get(own)
    return Path(said) if said else Path(os.environ.get(variable) or Path.home() / default) / "kinowatt"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, renamed to it at the end: what is there is the old file or the new one, never half of one.

    OutputError if it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
