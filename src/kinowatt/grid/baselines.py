"""What a nowcast is held against: smart persistence, alone, moved along, and with the residuals of analogs; climatology; independent sites.

All work on the clear-sky index and return members (M, L, H, W) for the L frames after the frame `now`. Legend: see history.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinowatt.errors import GridError
from kinowatt.grid.history import MOST, History, days

PAST = 4  # frames that a nowcast sees, the present one among them
NEAR_DAYS = 20  # of the year, for climatology
REACH = 6  # cells that clouds may move from one frame to the next: some 25 km in half an hour
OVERLAP = 0.4  # of the cells that a motion must keep in sight


@dataclass(frozen=True, eq=False)
class Library:
    """The frames of a history that forecasts may learn from: `starts` (S,) are frames with a whole past and future in daylight."""

    history: History
    starts: np.ndarray
    leads: int
    features_SD: np.ndarray


def usable(history: History, leads: int, days_in: np.ndarray | None = None) -> np.ndarray:
    """Frames with daylight everywhere from the frame itself to the last of its `leads`, without a gap, on the given days."""
    lit = np.asarray(history.day[:, history.field.mask_HW].all(1))
    count = len(lit) - leads - PAST + 1
    if count < 1:
        return np.zeros(0, int)
    frames: np.ndarray = np.arange(PAST - 1, PAST - 1 + count)
    ok = np.asarray(np.all([lit[frames + k] for k in range(leads + 1)], axis=0))
    span = history.field.times[frames + leads] - history.field.times[frames - PAST + 1]
    ok &= abs(span / np.timedelta64(1, "s") / 3600.0 - (leads + PAST - 1) * history.field.hours_per_frame) < 1e-3
    if days_in is not None:
        ok &= np.isin(days(history.field.times[frames]), days_in)
    return np.asarray(frames[ok])


def library(history: History, leads: int, days_in: np.ndarray | None = None) -> Library:
    """All usable frames, with what makes two of them alike. GridError if there are fewer than ten."""
    starts = usable(history, leads, days_in)
    if len(starts) < 10:
        raise GridError(f"only {len(starts)} frames have {leads} frames of daylight after them; give a longer history with --fit")
    return Library(history, starts, leads, np.stack([features(history, int(s)) for s in starts]))


def features(history: History, now: int) -> np.ndarray:
    """Level, spread in space, change in the last hour, spread of that change, sun and hour: each in units of about one spread."""
    mask = history.field.mask_HW
    index = history.index[now][mask]
    # Before sunrise there is no index: a change that is not known counts as none.
    earlier = np.where(history.day[now - 2][mask], history.index[now - 2][mask], index)
    change, sun = index - earlier, history.elevation[now][mask].mean()
    rising = 1.0 if sun > history.elevation[now - 1][mask].mean() else 0.0
    return np.array([index.mean() / 0.1, index.std() / 0.07, change.mean() / 0.1, change.std() / 0.1, sun / 20.0, rising])


def smart_persistence(history: History, now: int, leads: int) -> np.ndarray:
    """The present index goes on (1, L, H, W)."""
    return np.repeat(history.index[None, now : now + 1], leads, 1)


def motion(history: History, now: int) -> tuple[int, int]:
    """Cells to the north and the east per frame by which the last two frames follow best from the two before them.

    Of equal ones the smallest: under a clear sky nothing moves. The mean squared difference of block matching, over the whole lattice.
    """
    lit = history.day[now - 2 : now + 1] & history.field.mask_HW
    index, (height, width) = history.index[now - 2 : now + 1], history.field.mask_HW.shape
    steps = [(y, x) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1) if abs(y) < height and abs(x) < width]
    best, least = (0, 0), np.inf
    for y, x in sorted(steps, key=lambda step: step[0] ** 2 + step[1] ** 2):
        to, come = _windows(height, y), _windows(width, x)
        both = lit[1:, to[0], come[0]] & lit[:-1, to[1], come[1]]
        if both.sum() < OVERLAP * 2 * history.field.mask_HW.sum():
            continue
        error = float(np.square(index[1:, to[0], come[0]] - index[:-1, to[1], come[1]])[both].mean())
        if error < least - 1e-9:
            best, least = (y, x), error
    return best


def _windows(count: int, moved: int) -> tuple[slice, slice]:
    """Where cells of a row are after a move, and where they were before it."""
    return slice(max(moved, 0), count + min(moved, 0)), slice(max(-moved, 0), count - max(moved, 0))


def advected(history: History, now: int, leads: int) -> np.ndarray:
    """The present index moves on as it did in the last hour (1, L, H, W); what would come from outside the lattice is as it is."""
    north, east = motion(history, now)
    mask, present = history.field.mask_HW, history.index[now]
    out = smart_persistence(history, now, leads).copy()
    for lead in range(leads):
        y, x = north * (lead + 1), east * (lead + 1)
        if abs(y) >= mask.shape[0] or abs(x) >= mask.shape[1]:
            break
        to, come = _windows(mask.shape[0], y), _windows(mask.shape[1], x)
        out[0, lead, to[0], come[0]] = np.where(mask[to[1], come[1]], present[to[1], come[1]], out[0, lead, to[0], come[0]])
    return out


def analogs(lib: Library, history: History, now: int, members: int) -> np.ndarray:
    """Smart persistence with the residual fields that followed the frames most like the present one."""
    away_S = np.square(lib.features_SD - features(history, now)).sum(1)
    if lib.history is history:
        away_S[days(history.field.times[lib.starts]) == days(history.field.times[now : now + 1])] = np.inf
    chosen = lib.starts[np.argsort(away_S)[np.arange(members) % len(lib.starts)]]
    residual = np.stack([lib.history.index[s + 1 : s + 1 + lib.leads] - lib.history.index[s] for s in chosen])
    return np.asarray(np.clip(smart_persistence(history, now, lib.leads) + residual, 0.0, MOST))


def climatology(lib: Library, history: History, now: int, members: int, rng: np.random.Generator) -> np.ndarray:
    """What the index was at this time of day on days of this season, whichever the weather."""
    times, own = lib.history.field.times[lib.starts], history.field.times[now]
    of_day = _hour(times) - _hour(own[None])
    of_year = (_year_day(times) - _year_day(own[None]) + 183) % 365 - 183
    near = np.flatnonzero((abs(of_day) < 0.26) & (abs(of_year) <= NEAR_DAYS))
    if not len(near):
        near = np.argsort(abs(of_year) / NEAR_DAYS + abs(of_day))[:members]
    chosen = lib.starts[rng.choice(near, members, replace=len(near) < members)]
    return np.stack([lib.history.index[s + 1 : s + 1 + lib.leads] for s in chosen])


def blend(first_MLHW: np.ndarray, second_MLHW: np.ndarray, members: int) -> np.ndarray:
    """Members of two ensembles in turn: each keeps its own kind of error, and what they share counts."""
    half = (members + 1) // 2
    both = np.stack([first_MLHW[:half], second_MLHW[:half]], 1)
    return both.reshape(-1, *first_MLHW.shape[1:])[:members]


def independent(members_MLHW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same members at each site, but in an order of its own: the marginals stay, the field goes."""
    count, _, height, width = members_MLHW.shape
    order = np.argsort(rng.random((count, 1, height, width)), 0)
    return np.take_along_axis(members_MLHW, np.broadcast_to(order, members_MLHW.shape), 0)


def _hour(times: np.ndarray) -> np.ndarray:
    return np.asarray((times - times.astype("datetime64[D]")) / np.timedelta64(1, "h"))


def _year_day(times: np.ndarray) -> np.ndarray:
    return np.asarray((times.astype("datetime64[D]") - times.astype("datetime64[Y]").astype("datetime64[D]")).astype(int))
