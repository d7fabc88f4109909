"""Scores of ensembles against what happened, through scoringrules, always beside the baselines.

CRPS: Gneiting and Raftery 2007 (eq. 20); energy score: the same (eq. 22); variogram score of order 0.5: Scheuerer and Hamill 2015.
Legend: M members, L leads, N sites, C cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kinowatt.grid.fields import needs
from kinowatt.worlds.weather import Statistics, statistics

VARIOGRAM_SITES = 20  # of all, evenly: the score looks at each pair
COVER = 0.9


@dataclass(frozen=True, eq=False)
class Forecasts:
    """One method's ensembles of all cases: `members` (C, M, L, N) and what happened, `truth` (C, L, N), in the channel's unit."""

    members: np.ndarray
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
        ramps = statistics(made.members[:, :10].reshape(-1, *made.members.shape[2:]), lat_N, lon_N).ramp
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
