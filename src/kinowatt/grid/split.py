"""How a history is divided by time: whole days, by their place in the month, with a day between the parts."""

from __future__ import annotations

import numpy as np

from kinowatt.errors import GridError

PARTS = {"train": (1, 17), "validation": (19, 22), "test": (24, 31), "all": (1, 31)}


def days_of(times: np.ndarray, part: str) -> np.ndarray:
    """Days since 1970 of a part: "train" (days 1 to 17 of each month), "validation" (19 to 22), "test" (24 on), or "all". GridError."""
    if part not in PARTS:
        raise GridError(f"split {part!r} is unknown; use {', '.join(PARTS)}")
    first, last = PARTS[part]
    day = times.astype("datetime64[D]")
    of_month = (day - times.astype("datetime64[M]").astype("datetime64[D]")).astype(int) + 1
    return np.unique(day.astype(int)[(of_month >= first) & (of_month <= last)])
