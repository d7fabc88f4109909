"""Scores of ensembles against what happened, through scoringrules, always beside the baselines.

CRPS: Gneiting and Raftery 2007 (eq. 20); energy score: the same (eq. 22); variogram score of order 0.5: Scheuerer and Hamill 2015.
Legend: M members, L leads, N sites, C cases.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from kinowatt.errors import GridError
from kinowatt.grid import baselines
from kinowatt.grid.fields import Field, needs
from kinowatt.grid.history import History, days, history
from kinowatt.grid.split import days_of
from kinowatt.models.skies_model import LEADS
from kinowatt.worlds.weather import Statistics, statistics

VARIOGRAM_SITES = 20  # of all, evenly: the score looks at each pair
COVER = 0.9


@dataclass(frozen=True, eq=False)
class Forecasts:
    """One method's ensembles of all cases: `members` (C, M, L, N) and what happened, `truth` (C, L, N), in the channel's unit.

    `index` holds the members as clear-sky index: ramps are compared in it, without the sun's own.
    """

    members: np.ndarray
    index: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Row:
    """Scores of one method; smaller is better, but `cover` should be 0.9. Those that need a spread are None for one member."""

    method: str
    crps_site: tuple[float, ...]  # per lead
    crps_region: float
    energy: float
    variogram: float
    cover: float | None
    ramp_correlation: tuple[float, ...] | None  # of the members' changes from frame to frame, by distance (see Statistics)
    seconds: float = 0.0

    @property
    def crps(self) -> float:
        """Mean over the leads."""
        return float(np.mean(self.crps_site))

    def to_json(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)


def score(method: str, made: Forecasts, lat_N: np.ndarray, lon_N: np.ndarray, seconds: float = 0.0) -> Row:
    """All scores of one method."""
    rules = needs("scoringrules")
    last = np.moveaxis(made.members, 1, -1)  # scoringrules wants the members last
    site_CLN = rules.crps_ensemble(made.truth, last)
    region_CLM = last.mean(2)
    region = rules.crps_ensemble(made.truth.mean(2), region_CLM)
    cases, count = made.members.shape[:2]
    flat_CMD, flat_CD = made.members.reshape(cases, count, -1), made.truth.reshape(cases, -1)
    energy = [float(rules.es_ensemble(flat_CD[c], flat_CMD[c])) for c in range(cases)]
    some = np.unique(np.linspace(0, made.truth.shape[2] - 1, VARIOGRAM_SITES).round().astype(int))
    few_CMD, few_CD = made.members[..., some].reshape(cases, count, -1), made.truth[..., some].reshape(cases, -1)
    pairs = few_CD.shape[1] ** 2  # per pair, so that the number does not grow with their count
    variogram = [float(rules.vs_ensemble(few_CD[c], few_CMD[c], p=0.5)) / pairs for c in range(cases)]
    cover = None if count == 1 else coverage(region_CLM, made.truth.mean(2))
    ramps = None
    if count > 1 and made.members.shape[2] > 1:
        ramps = statistics(made.index[:, :10].reshape(-1, *made.index.shape[2:]), lat_N, lon_N).ramp
    means = tuple(round(float(v), 4) for v in site_CLN.mean((0, 2)))
    return Row(method, means, float(region.mean()), float(np.mean(energy)), float(np.mean(variogram)), cover, ramps, seconds)


def coverage(members_M: np.ndarray, truth: np.ndarray, share: float = COVER) -> float:
    """How often the truth (…) lies within the middle `share` of members (…, M)."""
    low, high = np.quantile(members_M, [(1 - share) / 2, (1 + share) / 2], axis=-1)
    return float(((truth >= low) & (truth <= high)).mean())


def table(rows: Sequence[Row], hours_per_frame: float, observed: Statistics | None = None) -> str:
    """The rows as text."""
    leads = "/".join(f"{round(60 * hours_per_frame * (k + 1))}" for k in range(len(rows[0].crps_site)))
    head = ["method", f"CRPS site, {leads} min", "mean", "CRPS region", "energy", "variogram", "90 % cover", "ramp correlation by distance"]
    lines = [head]
    for row in rows:
        site = "/".join(f"{v:.4f}".lstrip("0") for v in row.crps_site)
        ramps = "–" if row.ramp_correlation is None else "/".join(f"{v:.2f}" for v in row.ramp_correlation)
        cover = "–" if row.cover is None else f"{row.cover:.2f}"
        numbers = [f"{row.crps:.4f}", f"{row.crps_region:.4f}", f"{row.energy:.3f}", f"{row.variogram:.4f}", cover, ramps]
        lines.append([row.method, site, *numbers])
    if observed is not None:
        lines.append(["what happened", "", "", "", "", "", "", "/".join(f"{v:.2f}" for v in observed.ramp)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines) + "\n"


Method = Callable[[int], np.ndarray]  # a frame to members (M, L, H, W) of the index


@dataclass(frozen=True, eq=False)
class Trial:
    """What is scored: frames of a history from which all methods start, and what happened, by distance of sites (`observed`)."""

    history: History
    library: baselines.Library
    cases: np.ndarray
    leads: int
    observed: Statistics


def trial(weather: Field, fit: Field | None, split: str, most: int) -> Trial:
    """Up to `most` cases, evenly through the days of the split, and what the methods may learn from: `fit`, or the train days.

    With `fit` all its days teach; without, only the train days do, and the clear sky's gain is theirs too. GridError.
    """
    leads = LEADS
    if fit is None:
        if split in ("train", "all"):
            raise GridError(f"the split {split!r} holds the days that teach; score test or validation, or give another history with --fit")
        taught = history(weather, history(_only(weather, "train")).gain)
        library = baselines.library(taught, leads, days_of(weather.times, "train"))
        tested = taught
    else:
        learned = history(fit)
        library, tested = baselines.library(learned, leads), history(weather, learned.gain)
    cases = baselines.usable(tested, leads, days_of(weather.times, split))
    if not len(cases):
        raise GridError(f"the weather has no case with {leads} frames of daylight ahead on the days of {split!r}; give a longer one")
    cases = cases[np.unique(np.linspace(0, len(cases) - 1, most).round().astype(int))]
    mask = weather.mask_HW
    seen = np.stack([tested.index[now + 1 : now + 1 + leads][:, mask] for now in cases])
    return Trial(tested, library, cases, leads, statistics(seen, weather.lat_HW[mask], weather.lon_HW[mask]))


def _only(field: Field, part: str) -> Field:
    """The frames of some days; their times have gaps then."""
    keep = np.isin(days(field.times), days_of(field.times, part))
    return replace(field, clip=replace(field.clip, frames_TCHW=field.clip.frames_TCHW[keep]), times=field.times[keep])


def methods(of: Trial, members: int, seed: int, skies: Method) -> dict[str, Method]:
    """The model, what `kinowatt grid nowcast` gives (the model and analogs in turn), and all that they are held against."""
    past, lib, leads, skies = of.history, of.library, of.leads, lru_cache(maxsize=None)(skies)

    def product(now: int) -> np.ndarray:
        return baselines.blend(skies(now), baselines.analogs(lib, past, now, members), members)

    def apart(now: int) -> np.ndarray:
        return baselines.independent(product(now), np.random.default_rng([seed, now, 1]))

    return {
        "smart persistence": lambda now: baselines.smart_persistence(past, now, leads),
        "advected persistence": lambda now: baselines.advected(past, now, leads),
        "SP + analog residuals": lambda now: baselines.analogs(lib, past, now, members),
        "climatology": lambda now: baselines.climatology(lib, past, now, members, np.random.default_rng([seed, now])),
        "skies": skies,
        "skies with analogs": product,
        "the same, independent sites": apart,
    }


def compare(of: Trial, ways: dict[str, Method], on_case: Callable[[str], None] = lambda _: None) -> list[Row]:
    """The scores of each method on all cases, in the channel's unit."""
    mask = of.history.field.mask_HW
    lat_N, lon_N = of.history.field.lat_HW[mask], of.history.field.lon_HW[mask]
    frames = [slice(now + 1, now + 1 + of.leads) for now in of.cases.tolist()]
    truth = np.stack([of.history.truth[f][:, mask] for f in frames])
    rows = []
    for name, way in ways.items():
        begun, index, values = time.monotonic(), [], []
        for now, f in zip(of.cases.tolist(), frames, strict=True):
            made = way(now)
            index.append(made[:, :, mask])
            values.append(of.history.values(made, f)[:, :, mask])
            on_case(name)
        spent = time.monotonic() - begun
        rows.append(score(name, Forecasts(np.stack(values), np.stack(index), truth), lat_N, lon_N, spent))
    return rows
