"""A world of clouds: fields of the clear-sky index that drift, live and die at many scales, held against statistics of measured ones.

A Gaussian field is the sum of octaves, each with its size, share of the variance, lifetime and wind (turbulent sums of random fields are
old; see for example Schertzer and Lovejoy 1987 for rain and clouds). Its values become indices by the quantiles of measured ones, which
makes the broken sky flicker and the clear sky rest. Legend: B cases, T frames, H W cells, N sites, C cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

BINS_km = (1.0, 6.0, 15.0, 30.0, 60.0, 130.0)
LAGS = 6  # frames, of the statistics in time
TORUS = 64  # cells of the periodic square on which fields are made
QUANTILES = np.linspace(0.0, 1.0, 33)


@dataclass(frozen=True)
class Statistics:
    """Of an index: correlation of its level, and of its change from one frame to the next, by the distance of two sites (`BINS_km`).

    And the correlation of one site's level after 1 to 6 frames; mean, standard deviation, and quantiles at `QUANTILES`.
    """

    level: tuple[float, ...]
    ramp: tuple[float, ...]
    lags: tuple[float, ...]
    mean: float
    sd: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class Clouds:
    """The parameters of the world. Sizes in km, lifetimes in hours, winds in km/h; the first share is that of the whole region's sky."""

    shares: tuple[float, ...]
    sizes_km: tuple[float, ...]
    region_life_h: float
    life_h: float  # of an octave of 10 km; others live (size / 10 km) ** life_power as long
    life_power: float
    wind: tuple[float, float]  # mean, to the east and to the north
    wind_spread: float
    unrest: float  # spread, between cases, of the logarithm of the octaves' strength: calm days and broken skies
    quantiles: tuple[float, ...]

    def lives_h(self) -> np.ndarray:
        """Lifetime of each octave."""
        return self.life_h * (np.asarray(self.sizes_km) / 10.0) ** self.life_power


# Found by `calibrated` from the 2012 history of 100 sites in Rhode Island (NREL reV, BSD-3); LOG.md has its table beside the measured one.
NEW_ENGLAND = Clouds(
    shares=(0.5555, 0.0327, 0.0202, 0.0294, 0.0415, 0.0134, 0.3073),
    sizes_km=(2.0, 5.0, 10.0, 20.0, 40.0, 80.0),
    region_life_h=17.95,
    life_h=0.802,
    life_power=2.004,
    wind=(20.0, 5.0),
    wind_spread=18.0,
    unrest=0.5,
    quantiles=(
        *(0.0, 0.037, 0.072, 0.106, 0.142, 0.183, 0.229, 0.278, 0.33, 0.384, 0.438, 0.493, 0.544, 0.592, 0.636, 0.676, 0.714),
        *(0.746, 0.779, 0.81, 0.834, 0.858, 0.877, 0.893, 0.908, 0.925, 0.942, 0.958, 0.972, 0.987, 1.0, 1.013, 1.153),
    ),
)


def statistics(index_CTN: np.ndarray, lat_N: np.ndarray, lon_N: np.ndarray) -> Statistics:
    """Of an index in cases of consecutive frames (at least two). Bins without a pair of sites hold nan."""
    level = _by_distance(index_CTN.reshape(-1, index_CTN.shape[2]), lat_N, lon_N)
    ramp = _by_distance(np.diff(index_CTN, axis=1).reshape(-1, index_CTN.shape[2]), lat_N, lon_N)
    rest = index_CTN - index_CTN.mean((0, 1))
    lags = [float((rest[:, :-k] * rest[:, k:]).mean() / (rest**2).mean()) for k in range(1, min(LAGS + 1, index_CTN.shape[1]))]
    quantiles = tuple(float(q) for q in np.quantile(index_CTN, QUANTILES))
    return Statistics(level, ramp, tuple(lags), float(index_CTN.mean()), float(index_CTN.std()), quantiles)


def _by_distance(values_SN: np.ndarray, lat_N: np.ndarray, lon_N: np.ndarray) -> tuple[float, ...]:
    with np.errstate(invalid="ignore"):  # a site that never changes has no correlation
        correlation = np.atleast_2d(np.corrcoef(values_SN.astype(np.float64).T))
    east, north = _km(lat_N, lon_N)
    away = np.hypot(east[:, None] - east, north[:, None] - north)
    pairs = [correlation[(away >= low) & (away < high)] for low, high in pairwise(BINS_km)]
    return tuple(float(np.nanmean(p)) if np.isfinite(p).any() else float("nan") for p in pairs)


def _km(lat_N: np.ndarray, lon_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (lon_N - lon_N.mean()) * 111.2 * np.cos(np.radians(lat_N.mean())), (lat_N - lat_N.mean()) * 111.2


def gaussian(clouds: Clouds, rng: np.random.Generator, cases: int, frames: int, step_km: tuple[float, float], hours: float) -> np.ndarray:
    """The octaves' sum (B, T, TORUS, TORUS), mean 0 and variance 1 less the region's share, on cells of `step_km` (north, east)."""
    north, east = (2 * np.pi * np.fft.fftfreq(TORUS, d=step) for step in step_km)
    wave = north[:, None] ** 2 + east[None, :] ** 2
    sizes = np.asarray(clouds.sizes_km)[:, None, None]
    spectrum = np.exp(-wave * sizes**2 / 4.0)  # of the amplitude: the covariance is exp(-d2 / (2 size2))
    spectrum *= TORUS / np.sqrt((spectrum**2).sum((1, 2), keepdims=True))
    spectrum *= np.sqrt(np.asarray(clouds.shares[1:]))[:, None, None]
    winds = np.asarray(clouds.wind) + clouds.wind_spread * rng.standard_normal((cases, 1, 2))
    winds = winds + 0.25 * clouds.wind_spread * rng.standard_normal((cases, len(clouds.sizes_km), 2))
    moved = winds[..., 0, None, None] * east[None, :] + winds[..., 1, None, None] * north[:, None]
    drift = np.exp(-1j * hours * moved).astype(np.complex64)
    keep = np.exp(-hours / clouds.lives_h())[:, None, None].astype(np.float32)
    shape, out = (cases, len(sizes), TORUS, TORUS), np.empty((cases, frames, TORUS, TORUS), np.float32)
    spectrum = spectrum.astype(np.float32)
    waves, strength = _noise(rng, shape), np.exp(clouds.unrest * rng.standard_normal((cases, 1, 1)) - clouds.unrest**2)
    for t in range(frames):
        if t:
            waves = drift * (keep * waves + np.sqrt(1 - keep**2) * _noise(rng, shape))
        # Real and imaginary part of a complex field are two independent fields; one is used.
        out[:, t] = np.fft.ifft2((spectrum * waves).sum(1)).real * (TORUS * strength)
    return out


def region(clouds: Clouds, rng: np.random.Generator, cases: int, frames: int, hours: float) -> np.ndarray:
    """What all cells of a case share (B, T): a value that forgets itself, with the region's share as variance."""
    keep, out = np.exp(-hours / clouds.region_life_h), rng.standard_normal((cases, frames))
    for t in range(1, frames):
        out[:, t] = keep * out[:, t - 1] + np.sqrt(1 - keep**2) * out[:, t]
    return np.asarray(np.sqrt(clouds.shares[0]) * out)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]


def to_index(clouds: Clouds, gauss: np.ndarray) -> np.ndarray:
    """Gaussian values to indices of the measured distribution."""
    return np.asarray(np.interp(gauss, _normal_at(), clouds.quantiles), dtype=np.float32)


@lru_cache(maxsize=1)
def _normal_at() -> np.ndarray:
    """Values of a standard normal variable at `QUANTILES`, its ends cut at 3."""
    grid = np.linspace(-5.0, 5.0, 20001)
    below = np.cumsum(np.exp(-(grid**2) / 2))
    return np.clip(np.interp(QUANTILES, below / below[-1], grid), -3.0, 3.0)


def windows(
    clouds: Clouds,
    rng: np.random.Generator,
    cases: int,
    frames: int,
    size: tuple[int, int],
    step_km: tuple[float, float] = (4.45, 3.3),
    hours: float = 0.5,
) -> np.ndarray:
    """Indices (cases, T, H, W). A large square gives several cases, from places that lie apart. ValueError if one does not fit."""
    height, width = size
    if max(size) > TORUS:
        raise ValueError(f"{height} x {width} cells do not fit the world's {TORUS} x {TORUS}")
    rows, columns = max(TORUS // (height + 3), 1), max(TORUS // (width + 6), 1)
    field = gaussian(clouds, rng, -(-cases // (rows * columns)), frames, step_km, hours)
    cut = [
        field[:, :, y : y + height, x : x + width]
        for y in (np.arange(rows) * (TORUS // rows)).tolist()
        for x in (np.arange(columns) * (TORUS // columns)).tolist()
    ]
    return to_index(clouds, np.concatenate(cut)[:cases] + region(clouds, rng, cases, frames, hours)[:, :, None, None])


def calibrated(clouds: Clouds, target: Statistics, lat_N: np.ndarray, lon_N: np.ndarray, hours: float = 0.5) -> Clouds:
    """Shares and lifetimes with which the statistics come nearest to the target's, by the Gaussian field's known covariance.

    Each correlation of two Gaussian values becomes one of two indices by the quantiles (no sampling); least squares over all of the
    target's correlations. Needs scipy, which pvlib brings.
    """
    from scipy.optimize import least_squares

    rng, winds = np.random.default_rng(0), np.random.default_rng(1).standard_normal((128, 2))
    bins = _displacements(lat_N, lon_N, rng)
    curve = _curve(target.quantiles)
    count = len(clouds.shares)

    def of(x: np.ndarray) -> Clouds:
        shares = np.exp(x[:count] - x[:count].max())
        made = replace(
            clouds, shares=tuple((shares / shares.sum()).tolist()), region_life_h=float(np.exp(x[count])), quantiles=target.quantiles
        )
        return replace(made, life_h=float(np.exp(x[count + 1])), life_power=float(x[count + 2]))

    def error(x: np.ndarray) -> np.ndarray:
        level, ramp, lags = _expected(of(x), bins, winds, hours, curve)
        parts = [3 * (level - target.level), 2 * (ramp - target.ramp), 3 * (lags[: len(target.lags)] - target.lags)]
        return np.concatenate([p[np.isfinite(p)] for p in parts] + [0.01 * x])

    begin = np.array([*np.log(clouds.shares), *np.log([clouds.region_life_h, clouds.life_h]), clouds.life_power])
    return of(least_squares(error, begin, max_nfev=200).x)


def _displacements(lat_N: np.ndarray, lon_N: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Up to 40 vectors (east, north) in km between two sites, per bin of distance."""
    east, north = _km(lat_N, lon_N)
    apart = np.stack([east[:, None] - east, north[:, None] - north], -1).reshape(-1, 2)
    away, out = np.hypot(*apart.T), []
    for low, high in pairwise(BINS_km):
        pairs = apart[(away >= low) & (away < high)]
        out.append(pairs[rng.permutation(len(pairs))[:40]])
    return out


def _curve(quantiles: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of a Gaussian pair and of the pair of indices that it becomes, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(48)
    weights = weights / weights.sum()
    rho = np.linspace(0.0, 1.0, 41)
    first = np.interp(nodes, _normal_at(), quantiles)
    mean, square = (weights * first).sum(), (weights * first**2).sum()
    out = []
    for r in rho:
        second = np.interp(r * nodes[:, None] + np.sqrt(1 - r**2) * nodes, _normal_at(), quantiles)
        out.append(((weights[:, None] * weights * first[:, None] * second).sum() - mean**2) / (square - mean**2))
    return rho, np.asarray(out) / out[-1]


def _expected(
    clouds: Clouds, bins: list[np.ndarray], winds: np.ndarray, hours: float, curve: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level and ramp correlations by distance, and level correlations by lag, of the indices."""
    flow = np.asarray(clouds.wind) + clouds.wind_spread * winds

    def rho(apart_P2: np.ndarray, lag: float) -> np.ndarray:
        away = ((apart_P2[:, None] - lag * flow) ** 2).sum(-1)
        parts = [clouds.shares[0] * np.full(len(apart_P2), np.exp(-lag / clouds.region_life_h))]
        for share, size, life in zip(clouds.shares[1:], clouds.sizes_km, clouds.lives_h(), strict=True):
            parts.append(share * np.exp(-lag / life) * np.exp(-away / (2 * size**2)).mean(1))
        return np.asarray(np.interp(np.sum(parts, 0), *curve))

    here = np.zeros((1, 2))
    lags = np.array([float(rho(here, hours * k)[0]) for k in range(1, LAGS + 1)])
    level, ramp = [], []
    for apart in bins:
        if not len(apart):
            level.append(np.nan)
            ramp.append(np.nan)
            continue
        same = rho(apart, 0.0)
        level.append(float(same.mean()))
        ramp.append(float(((2 * same - rho(apart, hours) - rho(-apart, hours)) / (2 - 2 * lags[0])).mean()))
    return np.array(level), np.array(ramp), lags
