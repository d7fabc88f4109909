"""A study's footage: the weather of one scenario beside the network with its loadings. Legend: T steps, E lines and transformers."""

from __future__ import annotations

from typing import Any

import numpy as np

from kinowatt.clip import Clip
from kinowatt.grid.fields import Field
from kinowatt.grid.figures import COLOUR, INK, STYLE, lay
from kinowatt.grid.flow import Solver
from kinowatt.grid.network import Network
from kinowatt.grid.scenarios import FIELD, SUN_CHANNELS
from kinowatt.grid.study import Study
from kinowatt.grid.verdict import installed

FRAMES_PER_S = 8.0
LONGEST = 200  # frames
BOXES = ((0.05, 0.33, 0.42, 0.55), (0.53, 0.33, 0.42, 0.55), (0.05, 0.08, 0.90, 0.17))  # weather, network, curves
HEAT = ("#cbd2dc", "#8fb7d9", "#f5b06a", "#d9480f", "#7f1d1d")
HOTTEST_percent = 130.0


def worst_scenario(study: Study) -> int:
    """The scenario with most violated steps at the map's growth; of equals the one with the highest loading."""
    tally = study.curves[FIELD][study.map_index]
    return int(np.lexsort((np.nan_to_num(tally.worst_ST, nan=9.0).max(1), tally.violated_S))[-1])


def footage(study: Study, sky: Field, scenario: int) -> Clip:
    """1280×720 footage of one scenario at the map's growth, in place."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    network, s, frames = study.network, study.settings, []
    plan = study.work.plan(s.growths(s.main)[study.map_index], s.growths(s.other)[0], 0)
    one = slice(scenario, scenario + 1)
    (p, q), given = study.work.case.rest(one), study.work.case.available(FIELD, plan, one)
    flows = Solver(network.circuit, network.net).solve((p + given)[0], q[0])
    loading_TE = 100.0 * flows.loading_SE_percent / network.circuit.limit_E_percent
    times, lines = study.scenarios.times_ST[scenario], network.circuit.is_line_E
    hours_T = study.scenarios.hours * (np.arange(len(times)) + 0.5)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.8, 7.2), dpi=100)
        canvas, (left, right, below) = FigureCanvasAgg(figure), [figure.add_axes(box) for box in BOXES]
        shown, values_THW = _weather(figure, left, sky, network)
        drawn, marks = _network(figure, right, network, loading_TE[0])
        left.set(xlim=right.get_xlim(), ylim=right.get_ylim())
        cursor = _curves(below, hours_T, loading_TE, given[0].sum(1))
        words = figure.text(0.05, 0.945, "", fontsize=13)
        for t in range(0, len(times), -(-len(times) // LONGEST)):
            shown.set_array(values_THW[t])
            drawn.set_array(np.nan_to_num(loading_TE[t, lines]))
            marks.set_array(np.nan_to_num(loading_TE[t, ~lines]))
            cursor.set_xdata([hours_T[t], hours_T[t]])
            moment = str(times[t].astype("datetime64[m]")).replace("T", " ")
            state = f"{int((loading_TE[t] > 100.0).sum())} above the limit" if flows.converged_S[t] else "no solution"
            words.set_text(
                f"{network.name}, {installed(study)[study.map_index]:.0f} MW {s.main}, scenario {scenario}, {moment} UTC: {state}"
            )
            canvas.draw()
            frames.append(np.asarray(canvas.buffer_rgba())[:, :, :3].transpose(2, 0, 1).copy())
    return Clip(np.stack(frames), fps=FRAMES_PER_S)


def _weather(figure: Any, axes: Any, sky: Field, network: Network) -> tuple[Any, np.ndarray]:
    """The weather's first channel that means sun, else its first; the mesh, and its values (T, H, W)."""
    import matplotlib

    names = [c.name for c in sky.clip.channels]
    name = next((n for n in SUN_CHANNELS if n in names), names[0])
    unit = sky.clip.channels[names.index(name)].unit
    values_THW = np.where(sky.mask_HW, sky.channel(name), np.nan)
    top = max(float(np.nanmax(values_THW)), 1e-6)
    mesh = axes.pcolormesh(sky.lon_HW, sky.lat_HW, values_THW[0], cmap="cividis", vmin=0, vmax=top, shading="nearest")
    lay(axes, network, np.zeros(network.circuit.elements), 1.0, matplotlib.colors.ListedColormap(["#ffffff"]), bold=0.5)
    axes.grid(visible=False)
    axes.set_title(f"weather: {name.replace('_', ' ')}" + (f", {unit}" if unit != "1" else ""), fontsize=11, loc="left")
    figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.01)
    return mesh, values_THW


def _network(figure: Any, axes: Any, network: Network, loading_E: np.ndarray) -> tuple[Any, Any]:
    import matplotlib

    heat = matplotlib.colors.LinearSegmentedColormap.from_list("heat", HEAT)
    drawn, marks = lay(axes, network, np.nan_to_num(loading_E), HOTTEST_percent, heat, bold=1.6)
    axes.scatter(network.lon_N, network.lat_N, s=5, color=INK, zorder=3, lw=0)
    axes.grid(visible=False)
    axes.set_title("loading of lines and transformers, % of the limit", fontsize=11, loc="left")
    figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.01)
    return drawn, marks


def _curves(axes: Any, hours_T: np.ndarray, loading_TE: np.ndarray, power_T_MW: np.ndarray) -> Any:
    """The most loaded element and the plants' power over time, and the line that moves along."""
    most_T, top_MW = loading_TE.max(1), max(float(power_T_MW.max()), 1e-9)
    axes.plot(hours_T, most_T, color=COLOUR[FIELD], lw=1.8, label="most loaded, % of its limit")
    axes.plot(hours_T, 100 * power_T_MW / top_MW, color="#d69e2e", lw=1.4, label=f"plants' power, % of {top_MW:.0f} MW")
    axes.axhline(100, color=INK, lw=0.8)
    axes.legend(fontsize=9, loc="upper left", ncols=2)
    highest = float(np.nan_to_num(most_T).max())
    axes.set(xlim=(0, hours_T[-1] + hours_T[0]), ylim=(0, max(150.0, 1.45 * highest)), xlabel="hours")
    return axes.axvline(hours_T[0], color=INK, lw=1.2)
