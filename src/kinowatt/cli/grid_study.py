"""The verb of a grid study."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from kinowatt.cli.words import Json, Zone, say
from kinowatt.errors import GridError

if TYPE_CHECKING:
    from kinowatt.grid.study import Settings

NEEDED = ("pandapower", "power_grid_model", "pvlib", "windpowerlib", "pypsa", "matplotlib")


Growth = Annotated[str, typer.Option(help="factors of what is installed, FROM:TO:STEP")]


def study_verb(
    network: Annotated[str, typer.Option(help="simbench:CODE, a pandapower JSON or a MATPOWER .m")],
    weather: Annotated[
        str,
        typer.Option(
            help="an ensemble (.zarr, .nc), a history (.nc, .h5), world: simulated clouds and wind, "
            "or model: skies goes on from --history at --at"
        ),
    ] = "world",
    history: Annotated[str, typer.Option(help="the history that the model goes on from and learns clear skies from")] = "",
    at: Annotated[str, typer.Option(help="of the model: the present, UTC, for example 2012-06-24T15:00")] = "",
    out: Annotated[Path, typer.Option("-o", "--out", help="the study's folder")] = Path("study"),
    pv_growth: Growth = "1:10:0.5",
    wind_growth: Growth = "1",
    placements: Annotated[int, typer.Option(help="how many ways to place what is added; the first is in place")] = 50,
    scenarios: Annotated[int, typer.Option(help="how many stretches of weather at most")] = 500,
    horizon: Annotated[str, typer.Option(help="how long a scenario lasts, such as 24h or 2d; of the model at most 3h")] = "24h",
    risk: Annotated[float, typer.Option(help="planned share of steps with a violation")] = 0.05,
    limits: Annotated[str, typer.Option(help="which limits count: all, thermal or voltage")] = "all",
    storage_size: Annotated[bool, typer.Option("--storage-size", help="size storage that takes what would be curtailed")] = False,
    place: Annotated[bool, typer.Option("--place", help="lay the weather over the network, wherever it is from")] = False,
    coordinates: Annotated[Path | None, typer.Option(help="a CSV of bus,lat,lon for a network without coordinates")] = None,
    seed: Annotated[int, typer.Option(help="of scenarios and placements", min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the study in the folder")] = False,
    workers: Annotated[int | None, typer.Option(help="processes; default: the cores", min=1)] = None,
    ray: Annotated[bool, typer.Option("--ray", help="on Ray: RAY_ADDRESS, else this machine")] = False,
    zone: Zone = None,
    as_json: Json = False,
) -> None:
    """How much sun and wind a network takes at a planning risk: hosting capacity, curtailment, storage, reinforcement, and a report."""
    from kinowatt.grid import study
    from kinowatt.grid.fields import needs
    from kinowatt.grid.hosting import axis_of

    for name in NEEDED:  # before anything is computed, not after
        needs(name)
    asked = study.Settings(
        network, weather, axis_of(pv_growth, "--pv-growth"), axis_of(wind_growth, "--wind-growth"), placements, scenarios,
        hours_of(horizon), risk, storage_size, seed, limits, place, str(coordinates or ""), history, at,
    )  # fmt: skip
    found = _shown(out, asked, workers or os.cpu_count() or 1, ray, resume, zone)
    row = found["hosting_capacity"][0]
    if row["none_passes"]:
        most = Counter(p["limiting"] for p in row["placements"] if p["hosted_MW"] == 0.0).most_common(1)[0][0]
        said = f"of {len(row['placements'])} placements {row['none_passes']} exceed the risk even at the least growth, most often by {most}"
        say.print(said + ("; --limits thermal leaves voltages out" if most.startswith("voltage") else ""), markup=False)
    say.print(
        f"hosting capacity for {asked.main}: P5 {row['P5_MW']:.0f}, P50 {row['P50_MW']:.0f}, P95 {row['P95_MW']:.0f} MW; "
        f"{out / 'report.html'}"
    )
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))


def _shown(out: Path, asked: Settings, workers: int, ray: bool, resume: bool, zone: str | None) -> dict[str, Any]:
    """The study's summary, computed beside bars of progress; what it spends is kept as it goes, whatever ends it."""
    from kinowatt.energy.meter import Meter
    from kinowatt.grid import report, study
    from kinowatt.grid.spent import Spent

    columns = TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=say) as bars, Meter(zone=zone) as meter:
        known: dict[str, TaskID] = {}
        spent = Spent(out)

        def step(what: str, done: int, of: int) -> None:
            if what not in known:
                known[what] = bars.add_task(what, total=of)
            bars.update(known[what], completed=done, total=of)
            spent.keep(meter.so_far())

        with meter.phase("study"):
            made = study.run(out, asked, workers, ray, resume, lambda line: bars.console.print(line, markup=False), step)
        with meter.phase("report"):
            return report.write_report(out, made, spent.keep(meter.so_far()), step)


def hours_of(text: str) -> float:
    """ "24h", "90min" or "2d" in hours. GridError if it is no stretch of time above 0."""
    for unit, hours in (("min", 1 / 60), ("h", 1.0), ("d", 24.0)):
        number = text.removesuffix(unit)
        if text.endswith(unit) and number.replace(".", "", 1).isdecimal() and float(number) > 0:
            return float(number) * hours
    raise GridError(f"horizon {text[:40]!r} is not understood; write 24h, 90min or 2d")
