"""A figure of the exam: what a model reached, between a floor and a ceiling that took the same test, with its spread and its bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from kinowatt.clip import Clip

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Estimate:
    """A value over `n` clips, with the interval in which 95 of 100 resamplings of the clips lie. None: nothing could be measured."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Bar:
    """What the project wants to reach."""

    value: float
    sense: Literal["least", "most"]

    def met(self, value: float) -> bool:
        """Whether a value does."""
        return value >= self.value if self.sense == "least" else value <= self.value


@dataclass(frozen=True)
class Figure:
    """One line of the report. `truth`: the world itself through the same judge; `coded`: the world through the codec; `floor`: what
    `floor_is` says. `bar` may lie above the ceiling; then the report says that no model can be seen to meet it."""

    name: str
    unit: str
    made: Estimate
    truth: Estimate | None = None
    coded: Estimate | None = None
    floor: Estimate | None = None
    floor_is: str = ""
    bar: Bar | None = None
    says: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar or a value."""
        return None if self.bar is None or self.made.value is None else self.bar.met(self.made.value)

    def to_json(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self) | {"met": self.met}


@dataclass(frozen=True, eq=False)
class Shown:
    """A clip of the report: where it is from, and its picture until it is written."""

    label: str
    prompt: str
    scene: int
    seed: int
    clip: Clip | None = None
    file: str = ""

    def to_json(self) -> dict[str, Any]:
        """All but the picture."""
        return {k: getattr(self, k) for k in ("label", "prompt", "scene", "seed", "file")}


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers that are no figures, for example what is taken for what."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the exam."""

    name: str
    title: str
    words: tuple[str, ...]
    figures: tuple[Figure, ...]
    clips: tuple[Shown, ...] = ()
    tables: tuple[Table, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        tables = [asdict(t) for t in self.tables]
        clips = [c.to_json() for c in self.clips]
        figures = [f.to_json() for f in self.figures]
        return {"name": self.name, "title": self.title, "words": list(self.words), "figures": figures, "clips": clips, "tables": tables}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Section:
        """What `to_json` gave."""
        return Section(
            data["name"],
            data["title"],
            tuple(data["words"]),
            tuple(_figure(row) for row in data["figures"]),
            tuple(Shown(**row) for row in data["clips"]),
            tuple(Table(t["title"], tuple(t["head"]), tuple(tuple(r) for r in t["rows"])) for t in data["tables"]),
        )


def _figure(row: dict[str, Any]) -> Figure:
    made = {k: Estimate(**row[k]) if row[k] else None for k in ("made", "truth", "coded", "floor")}
    bar = Bar(**row["bar"]) if row["bar"] else None
    assert made["made"] is not None
    return Figure(row["name"], row["unit"], made["made"], made["truth"], made["coded"], made["floor"], row["floor_is"], bar, row["says"])


Values = Sequence[float | Sequence[float] | None]


def mean(values: Values, scale: float = 1.0) -> Estimate:
    """The mean over clips. A clip may give several numbers (one for each of its things), or none; clips are resampled, not numbers."""
    rows = [np.atleast_1d(np.asarray(v, float)) for v in values if v is not None]
    rows = [r for r in rows if len(r)]
    if not rows:
        return Estimate(None, None, None, 0)
    sums, sizes = np.array([r.sum() for r in rows]) * scale, np.array([len(r) for r in rows])
    return _resampled(len(rows), lambda at: sums[at].sum(-1) / sizes[at].sum(-1))


def median(values: Values, scale: float = 1.0) -> Estimate:
    """The median over clips with one number each."""
    rows = np.array([v for v in values if v is not None], float) * scale
    return _resampled(len(rows), lambda at: np.median(rows[at], -1)) if len(rows) else Estimate(None, None, None, 0)


def statistic(n: int, of: Callable[[np.ndarray], float]) -> Estimate:
    """Anything that is computed of clips 0..n-1; `of` gets the places of those that count."""
    return _resampled(n, lambda at: np.array([of(row) for row in np.atleast_2d(at)])) if n else Estimate(None, None, None, 0)


def _resampled(n: int, of: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """The bootstrap (Efron 1979), percentile interval."""
    value = float(np.ravel(of(np.arange(n)[None]))[0])
    if n < 2:
        return Estimate(value, None, None, n)
    drawn = of(np.random.default_rng(0).integers(n, size=(RESAMPLES, n)))
    low, high = np.nanpercentile(drawn, INTERVAL)
    return Estimate(value, float(low), float(high), n)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values sharing theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[place])


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation (Spearman 1904); 0 where one of both does not vary."""
    a, b = ranks(a) - ranks(a).mean(), ranks(b) - ranks(b).mean()
    length = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / length) if length else 0.0
