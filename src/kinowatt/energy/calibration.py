"""How good predictions are: published clips predicted cold, and this machine's own, each only from those made before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.energy.anatomy import KNOWN
from kinowatt.energy.bill import in_Wh
from kinowatt.energy.predict import LEAST_HISTORY, POINTS, Past, Point, Prediction, Work, cold, gpu_efficiency
from kinowatt.errors import MissingDependency
from kinowatt.places import whole


@dataclass(frozen=True)
class Check:
    """One clip, predicted and paid. `left_out_Wh` is the prediction without any clip of its own model (published ones only)."""

    name: str
    predicted_Wh: float
    p10_Wh: float
    p90_Wh: float
    measured_Wh: float
    left_out_Wh: float | None = None

    @property
    def error(self) -> float:
        """Relative: 0.1 is ten percent too much."""
        return self.predicted_Wh / self.measured_Wh - 1.0

    @property
    def inside(self) -> bool:
        """Whether the clip fell between P10 and P90."""
        return self.p10_Wh <= self.measured_Wh <= self.p90_Wh


@dataclass(frozen=True)
class Calibration:
    """All checks. `own` are in the order in which the clips were made; the first few were predicted without enough history."""

    published: tuple[Check, ...]
    own: tuple[Check, ...]
    place: str

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        rows = {name: [{**asdict(c), "error": round(c.error, 4)} for c in checks] for name, checks in self.groups().items()}
        return {"place": self.place, "own_median_error": _median(self.warm), **rows}

    def groups(self) -> dict[str, tuple[Check, ...]]:
        """The two kinds of checks."""
        return {"published": self.published, "own": self.own}

    @property
    def warm(self) -> tuple[Check, ...]:
        """Own clips that had enough before them."""
        return self.own[LEAST_HISTORY:]

    def lines(self) -> list[str]:
        """For terminals: every published clip, and the newest twenty of this machine."""
        wide = max(len(c.name) for c in (*self.published, *self.own))
        said = ["Published clips (GPU energy), predicted cold; the last column without any clip of the same model:"]
        for c in self.published:
            out = "" if c.left_out_Wh is None else f"  {c.left_out_Wh / c.measured_Wh - 1:>+7.1%}"
            said.append(f"  {c.name:{wide}}  {in_Wh(c.measured_Wh):>10}  predicted {in_Wh(c.predicted_Wh):>10}  {c.error:>+7.1%}{out}")
        if not self.own:
            return [*said, "No clips of this machine yet: make some, and each is predicted from those before it."]
        newest = f", the newest 20 of {len(self.own)}" if len(self.own) > 20 else ""
        said.append(f"This machine ({self.place}), each clip from those before it{newest}:")
        for c in self.own[-20:]:
            said.append(f"  {c.name:{wide}}  {in_Wh(c.measured_Wh):>10}  predicted {in_Wh(c.predicted_Wh):>10}  {c.error:>+7.1%}")
        if self.warm:
            within = sum(abs(c.error) <= 0.1 for c in self.warm) / len(self.warm)
            band = sum(c.inside for c in self.warm) / len(self.warm)
            said.append(
                f"With at least {LEAST_HISTORY} clips of history: median error {_median(self.warm):.1%}, {within:.0%} within 10 %, "
                f"{band:.0%} inside P10–P90 (80 % would be right), over {len(self.warm)} clips."
            )
        return said


def published() -> tuple[Check, ...]:
    """Every published point, predicted from arithmetic alone."""
    return tuple(_published(point) for point in POINTS)


def _published(point: Point) -> Check:
    width = KNOWN[point.model].width
    found = cold(point.work, gpu_efficiency(point.gpu, width))
    others = [p for p in POINTS if p.model != point.model]
    left_out = cold(point.work, gpu_efficiency(point.gpu, width, others))
    name = f"{point.model} {point.size[0]}x{point.size[1]}x{point.frames}, {point.gpu}"
    return Check(name, found.Wh, found.p10_Wh, found.p90_Wh, point.joules_J / 3600, left_out.Wh)


def prequential(past: Sequence[tuple[str, Past]], predict: Callable[[Work, Sequence[Past]], Prediction | None]) -> tuple[Check, ...]:
    """Each clip, oldest first, predicted from those before it (name and facts of each)."""
    checks = []
    for i, (name, clip) in enumerate(past):
        found = predict(clip.work, [p for _, p in past[:i]])
        if found is not None:
            checks.append(Check(name, found.Wh, found.p10_Wh, found.p90_Wh, clip.joules_J / 3600))
    return tuple(checks)


def draw(path: Path, found: Calibration) -> None:
    """Predicted against measured, both logarithmic. MissingDependency without matplotlib; OutputError if it cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependency("drawing curves needs matplotlib; pip install 'kinowatt[plots]'") from None
    figure = Figure(figsize=(9, 4.5), dpi=130, layout="constrained")
    titles = {"published": "published clips, cold", "own": f"this machine, {len(found.own)} clips"}
    for axes, (kind, checks) in zip(figure.subplots(1, 2), found.groups().items(), strict=True):
        axes.set_title(titles[kind])
        axes.set_xlabel("measured, Wh")
        axes.set_ylabel("predicted, Wh")
        if not checks:
            axes.text(0.5, 0.5, "none yet", ha="center", transform=axes.transAxes)
            continue
        measured, predicted = (np.array([getattr(c, f) for c in checks]) for f in ("measured_Wh", "predicted_Wh"))
        ends = np.array([min(measured.min(), predicted.min()) / 1.5, max(measured.max(), predicted.max()) * 1.5])
        width = 0.25 if kind == "published" else 0.10
        axes.fill_between(ends, ends * (1 - width), ends * (1 + width), color="#7aa874", alpha=0.25, label=f"within {width:.0%}")
        axes.plot(ends, ends, color="#333", lw=0.8)
        bars = np.array([[c.predicted_Wh - c.p10_Wh, c.p90_Wh - c.predicted_Wh] for c in checks]).T
        axes.errorbar(measured, predicted, bars, fmt="none", ecolor="#c9a227", elinewidth=0.8, alpha=0.6, label="P10–P90")
        shade = np.linspace(0.25, 1.0, len(checks))
        axes.scatter(measured, predicted, s=22, c=shade, cmap="Blues", vmin=0, vmax=1, edgecolors="#1f3b57", lw=0.5, zorder=3)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
        axes.set_aspect("equal")
        axes.legend(loc="upper left", frameon=False, fontsize=8)
    with whole(path) as part:
        figure.savefig(part, format="png")


def _median(checks: Sequence[Check]) -> float | None:
    return float(np.median([abs(c.error) for c in checks])) if checks else None
