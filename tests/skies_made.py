"""Small skies that several tests share: a history on a little lattice, made by the weather world."""

from __future__ import annotations

import numpy as np

from kinowatt.clip import Channel, Clip
from kinowatt.grid.fields import Field
from kinowatt.worlds.weather import NEW_ENGLAND, windows

ROWS, COLUMNS = 6, 4


def sunny(days: int = 40, seed: int = 0, channel: str = "clear_sky_index") -> Field:
    """Half hours of so many days of June and July, one sky a day, on a lattice whose first cell holds nothing."""
    index = windows(NEW_ENGLAND, np.random.default_rng(seed), days, 48, (ROWS, COLUMNS)).reshape(days * 48, 1, ROWS, COLUMNS)
    mask = np.ones((ROWS, COLUMNS), bool)
    mask[0, 0] = False
    times = np.datetime64("2012-06-01", "ns") + np.arange(days * 48) * np.timedelta64(30, "m")
    lat, lon = np.meshgrid(41.0 + 0.04 * np.arange(ROWS), -71.8 + 0.04 * np.arange(COLUMNS), indexing="ij")
    clip = Clip(np.where(mask, index, 0.0).astype(np.float32), hours_per_frame=0.5, channels=(Channel(channel, "1"),))
    return Field(clip, times, lat, lon, mask)
