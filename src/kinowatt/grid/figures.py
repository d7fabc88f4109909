"""A study's pictures: curves and the one-line map. Drawn with matplotlib, as SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from kinowatt.errors import MissingDependency
from kinowatt.grid.hosting import BINS
from kinowatt.grid.network import Network
from kinowatt.grid.scenarios import FIELD, WEATHERS
from kinowatt.grid.study import Study
from kinowatt.grid.verdict import hosted_MW, installed

INK, SOFT, RULE = "#1d2330", "#697284", "#d9dde5"
COLOUR = {"field": "#c2410c", "pixel": "#2563eb", "independent": "#64748b"}
WORDS = {"field": "field", "pixel": "one pixel", "independent": "independent sites"}
STYLE = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9.0, "svg.fonttype": "none", "axes.edgecolor": SOFT,
    "axes.labelcolor": INK, "xtick.color": SOFT, "ytick.color": SOFT, "text.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": RULE, "grid.linewidth": 0.6, "legend.frameon": False,
    "figure.facecolor": "white", "axes.axisbelow": True,
}  # fmt: skip


@contextmanager
def _sheet(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of inches and its axes, in the house's style."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("the report's pictures need matplotlib; install kinowatt[grid]") from error
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layouts that are tight
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: Any) -> str:
    """The drawing as an SVG element whose fonts are the page's."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'width="100%"', text[text.index("<svg") :], count=1)


def risk_curve(study: Study) -> str:
    """Risk against installed MW: three weathers in place, tested growths of other placements, and the hosting capacity's spread."""
    mw = np.array(installed(study))
    risk = study.settings.risk
    with _sheet(7.2, 4.0) as (figure, axes):
        top = max(4 * risk, 1.3 * min(max(t.risk for t in study.curves[FIELD]), 6 * risk))
        for (other, placement), hosted in study.hosted.items():
            if other == 0 and placement:
                axes.plot(mw[list(hosted.tested)], [100 * t.risk for t in hosted.tallies], color="#f0b894", lw=0.6, alpha=0.55, zorder=1)
        for weather in reversed(WEATHERS):
            curve = [100 * t.risk for t in study.curves[weather]]
            axes.plot(mw, curve, color=COLOUR[weather], lw=2.0, label=WORDS[weather], marker="o", ms=3, zorder=3)
        values = np.array([hosted_MW(study, study.hosted[0, p]) for p in range(study.settings.placements)])
        low, middle, high = np.percentile(values, [5, 50, 95])
        axes.axvspan(low, high, color="#fdeee3", zorder=0)
        axes.axvline(middle, color=COLOUR["field"], lw=0.9, ls="--")
        axes.axhline(100 * risk, color=INK, lw=0.9)
        axes.text(mw[0], 100 * risk, f" planned risk {risk:.1%}", va="bottom", ha="left", fontsize=8)
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
        axes.text(middle, 97 * top, f" P50 {middle:.0f} MW\n (P5 {low:.0f}, P95 {high:.0f})", va="top", ha="left", fontsize=8, bbox=box)
        axes.set(
            xlabel=f"installed {study.settings.main.upper() if study.settings.main == 'pv' else 'wind'}, MW",
            ylabel="steps with a violation, %",
        )
        axes.set_ylim(0, 100 * top)
        axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.93))
        return _svg(figure)


def exceedance(study: Study) -> str:
    """Share of steps in which the most loaded line, or transformer, is above a loading, at the map's growth."""
    with _sheet(5.4, 4.0) as (figure, axes):
        for weather in reversed(WEATHERS):
            tally = study.curves[weather][study.map_index]
            for counts, style, what in ((tally.lines_histogram, "-", "lines"), (tally.trafos_histogram, "--", "transformers")):
                if counts.sum():
                    above = 100 * counts[::-1].cumsum()[::-1] / counts.sum()
                    axes.step(
                        BINS[:-1],
                        np.where(above > 0, above, np.nan),
                        style,
                        where="post",
                        color=COLOUR[weather],
                        lw=1.5,
                        label=f"{WORDS[weather]}, {what}",
                    )
        axes.axvline(100, color=INK, lw=0.9)
        last = max((int(np.flatnonzero(t[study.map_index].lines_histogram).max(initial=50)) for t in study.curves.values()), default=60)
        axes.set(yscale="log", xlabel="loading of the most loaded one, %", ylabel="steps above, %", xlim=(0, min(BINS[last] + 15, 200)))
        axes.legend(fontsize=8)
        return _svg(figure)


def fan(study: Study) -> str:
    """The power of all weather-driven plants over the horizon, at the map's growth: field in bands, one pixel as lines."""
    hours = study.scenarios.hours * (np.arange(study.scenarios.steps) + 0.5)
    with _sheet(5.4, 4.0) as (figure, axes):
        power = study.curves[FIELD][study.map_index].power_ST_MW
        for low, high, shade in ((5, 95, "#fbd9c3"), (25, 75, "#f3a97c")):
            edges = np.percentile(power, [low, high], axis=0)
            axes.fill_between(hours, *edges, color=shade, lw=0, label=f"field, {low} to {high} of 100")
        axes.plot(hours, np.median(power, 0), color=COLOUR["field"], lw=1.8, label="field, median")
        pixel = np.percentile(study.curves["pixel"][study.map_index].power_ST_MW, [5, 95], axis=0)
        axes.plot(hours, pixel.T, color=COLOUR["pixel"], lw=1.0, ls="--", label=["one pixel, 5 and 95 of 100", None])
        for row in power[:: max(len(power) // 4, 1)][:4]:
            axes.plot(hours, row, color=INK, lw=0.5, alpha=0.6)
        axes.set(
            xlabel="hours from the scenario's beginning", ylabel="power of the plants, MW", xlim=(0, hours[-1] + study.scenarios.hours / 2)
        )
        axes.set_ylim(0, 1.4 * float(max(power.max(), pixel.max(), 1e-9)))
        axes.legend(fontsize=8, ncols=2, loc="upper left")
        return _svg(figure)


def lay(axes: Any, network: Network, values_E: np.ndarray, top: float, colours: Any, bold: float = 1.0) -> tuple[Any, Any]:
    """Lines and transformers in their colours; returns both collections."""
    from matplotlib.collections import LineCollection

    c = network.circuit
    lines, others = np.flatnonzero(c.is_line_E), np.flatnonzero(~c.is_line_E)
    first = [c.branches_of(e)[0] for e in range(c.elements)]
    at = [[(network.lon_N[n], network.lat_N[n]) for n in (c.from_K[first[e]], c.to_K[first[e]])] for e in lines]
    widths = bold * np.where(values_E[lines] > 0, 2.4, 1.3)
    drawn = LineCollection(at, array=values_E[lines], cmap=colours, clim=(0, top), linewidths=widths, zorder=2, capstyle="round")
    axes.add_collection(drawn)
    spots = np.array([(network.lon_N[c.from_K[first[e]]], network.lat_N[c.from_K[first[e]]]) for e in others]).reshape(-1, 2)
    marks = axes.scatter(
        *spots.T, c=values_E[others], cmap=colours, vmin=0, vmax=top, marker="s", s=52 * bold, edgecolors=INK, linewidths=0.8, zorder=4
    )
    axes.set_aspect(1.0 / np.cos(np.radians(network.lat_N.mean())))
    return drawn, marks


def network_map(study: Study) -> str:
    """The one-line map: elements coloured by the share of steps in which they are above their limit; circles are plants, by MW."""
    import matplotlib

    tally, network = study.curves[FIELD][study.map_index], study.network
    share_E = 100.0 * tally.element_E / (tally.seen * tally.steps)
    share_N = 100.0 * tally.node_N / (tally.seen * tally.steps)
    s, top = study.settings, max(float(share_E.max(initial=0.0)), 0.1)
    colours = matplotlib.colors.LinearSegmentedColormap.from_list("risk", ["#b9c0cc", "#f5b06a", "#d9480f", "#7f1d1d"])
    plan = study.work.plan(s.growths(s.main)[study.map_index], s.growths(s.other)[0], 0)
    with _sheet(7.2, 5.6) as (figure, axes):
        for kind, colour in (("pv", "#f7c948"), ("wind", "#7cc4c4")):
            if kind in plan and plan[kind].any():
                size = 700 * plan[kind] / max(float(v.max()) for v in plan.values())
                axes.scatter(
                    network.lon_N,
                    network.lat_N,
                    s=size,
                    color=colour,
                    alpha=0.45,
                    lw=0,
                    zorder=1,
                    label=f"{kind.upper() if kind == 'pv' else kind}",
                )
        drawn, _ = lay(axes, network, share_E, top, colours)
        axes.scatter(network.lon_N, network.lat_N, s=6, color=INK, zorder=3, lw=0)
        off = share_N > 0
        if off.any():
            axes.scatter(
                network.lon_N[off],
                network.lat_N[off],
                s=60,
                facecolors="none",
                edgecolors="#7c3aed",
                lw=1.4,
                zorder=5,
                label="voltage outside",
            )
        _mark(axes, network, share_E)
        axes.grid(visible=False)
        axes.set(xlabel="longitude, °", ylabel="latitude, °")
        figure.colorbar(drawn, ax=axes, label="steps above the limit, %", shrink=0.8)
        axes.legend(fontsize=8, loc="upper right", markerscale=0.5)
        return _svg(figure)


def _mark(axes: Any, network: Network, share_E: np.ndarray) -> None:
    """Name the four elements that are most often above their limit; those that lie on each other share a label."""
    c, labels = network.circuit, dict[tuple[float, float], list[str]]()
    for e in np.argsort(-share_E)[:4]:
        if share_E[e] > 0:
            k = c.branches_of(int(e))[0]
            x, y = (float((v[c.from_K[k]] + v[c.to_K[k]]) / 2) for v in (network.lon_N, network.lat_N))
            labels.setdefault((round(x, 4), round(y, 4)), []).append(f"{c.names[e]}: {share_E[e]:.1f} %")
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}
    for at, words in labels.items():
        axes.annotate("\n".join(words), at, xytext=(7, 7), textcoords="offset points", fontsize=7.5, bbox=box, zorder=6)
