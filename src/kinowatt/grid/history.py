"""A field of sunlight as a history of its clear-sky index: what clouds leave of a clear sky, 0 to about 1. Models work on that.

Legend: T frames, H rows, W columns, N sites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinowatt.clip import Channel
from kinowatt.errors import GridError
from kinowatt.grid.fields import Field
from kinowatt.worlds.sun import Panels, sky

LOW_SUN = 5.0  # degrees: below, the index says nothing
MOST = 1.2  # of the index: light from the edges of clouds goes above 1
SHARE = 0.95  # of the fit's ratios to pvlib's clear sky, month by month, is "clear": air is warmer in summer, modules cooler in winter
LEAST_DAYS = 20  # of a month, for a gain of its own


@dataclass(frozen=True, eq=False)
class History:
    """The clear-sky index (T, H, W) of a field; where `day` is false it is 0 and means nothing.

    `clear` is what the channel would be under a clear sky, `most` what it never exceeds (the inverter's limit), `gain` twelve factors on
    pvlib's clear sky, one a month.
    """

    index: np.ndarray
    clear: np.ndarray
    elevation: np.ndarray
    day: np.ndarray
    field: Field
    channel: Channel
    most: float
    gain: np.ndarray

    def values(self, index: np.ndarray, frames: slice) -> np.ndarray:
        """An index (…, T, H, W) of these frames in the unit of the channel."""
        return np.asarray(np.clip(index * self.clear[frames], 0.0, self.most))

    @property
    def truth(self) -> np.ndarray:
        """The channel's values (T, H, W)."""
        return self.field.channel(self.channel.name)


def history(field: Field, gain: np.ndarray | None = None) -> History:
    """Of capacity factors, irradiance or an index. The gain of capacity factors is found in the field unless it is given. GridError."""
    names = [c.name for c in field.clip.channels]
    name = next((n for n in ("capacity_factor", "ghi", "clear_sky_index") if n in names), None)
    if name is None:
        raise GridError(f"sunlight is nowcast from capacity_factor, ghi or clear_sky_index; this weather has {', '.join(names)}")
    channel, values = field.clip.channels[names.index(name)], field.channel(name)
    panels = (field.panels or Panels()) if name == "capacity_factor" else None
    elevation, clear = sky(field.times, field.lat_HW, field.lon_HW, panels)
    most = 1.0 / panels.dc_ac if panels is not None else np.inf
    day = (elevation > LOW_SUN) & field.mask_HW
    if name == "clear_sky_index":
        clear = np.ones_like(clear)
    if gain is None:
        gain = gain_of(values, clear, day, field.times) if panels is not None else np.ones(12)
    clear = np.minimum(clear * gain[months(field.times)][:, None, None], most).astype(np.float32)
    index = np.where(day, np.clip(values / np.maximum(clear, 0.01 * clear.max()), 0.0, MOST), 0.0).astype(np.float32)
    return History(index, clear, elevation, day, field, channel, most, gain)


def months(times: np.ndarray) -> np.ndarray:
    """0 to 11."""
    return np.asarray(times.astype("datetime64[M]").astype(int) % 12)


def days(times: np.ndarray) -> np.ndarray:
    """Days since 1970."""
    return np.asarray(times.astype("datetime64[D]").astype(int))


def gain_of(values: np.ndarray, clear: np.ndarray, day: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Per month (12,), how much of pvlib's clear power a clear sky gives: a high quantile of the ratios.

    A month with few days takes the gain of all. GridError if there is no daylight at all.
    """
    high = day & (clear > 0.3 * clear.max())
    if not high.any():
        raise GridError("this weather has no daylight to find out what a clear sky gives; give a longer history with --fit")
    month = months(times)

    def of(frames: np.ndarray) -> float:
        return float(np.quantile(values[frames][high[frames]] / clear[frames][high[frames]], SHARE))

    whole = of(np.ones(len(times), bool))
    enough = [len(np.unique(days(times[month == m]))) >= LEAST_DAYS for m in range(12)]
    return np.array([of(month == m) if enough[m] and high[month == m].any() else whole for m in range(12)])
