"""The verbs of weather: nowcast and score."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinowatt.cli.words import Json, check_writable, say
from kinowatt.errors import GridError, OutputError

if TYPE_CHECKING:
    import numpy as np

    from kinowatt.grid.scores import Row

Weather = Annotated[Path, typer.Option("--weather", help="NetCDF, Zarr or reV HDF5 with capacity_factor, ghi or clear_sky_index")]
Fit = Annotated[Path | None, typer.Option(help="another history that clear skies and analogs are learned from")]
Own = Annotated[Path | None, typer.Option("--model", help="a skies.safetensors of your own; default: the shipped one")]


def nowcast_verb(
    weather: Weather,
    at: Annotated[str, typer.Option("--at", help="UTC, for example 2012-06-24T15:00")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the ensemble to write, .zarr or .nc")],
    horizon: Annotated[str, typer.Option(help="for example 3h or 90min")] = "3h",
    members: Annotated[int, typer.Option(help="how many ways on")] = 50,
    fit: Fit = None,
    seed: Annotated[int, typer.Option(help="another seed, other members", min=0)] = 0,
    model: Own = None,
    as_json: Json = False,
) -> None:
    """Extend a field of sunlight by some hours, in many ways: an ensemble."""
    from kinowatt.grid import nowcast, weather_files
    from kinowatt.grid.fields import moment_of

    if out.suffix not in (".zarr", ".nc"):
        raise OutputError(f"{out} has an ending that says no format; write to a .zarr folder or a .nc file")
    if out.suffix == ".nc" or not out.exists():
        check_writable(out)
    moment, hours = moment_of(at), _hours(horizon)
    field = weather_files.read(weather)
    for note in field.notes:
        say.print(f"{weather}: {note}", markup=False)
    learned = None if fit is None else weather_files.read(fit)
    made = nowcast.nowcast(field, moment, hours, members, fit=learned, seed=seed, model=nowcast.load(model))
    made.write(out)
    mean = made.values_MTCHW[:, :, 0][:, :, made.mask_HW].mean(2)
    rows = [
        {"time": str(t)[:16], **{f"P{q}": round(float(v), 4) for q, v in zip((5, 50, 95), _quantiles(mean[:, i]), strict=True)}}
        for i, t in enumerate(made.times)
    ]
    if as_json:
        print(json.dumps({"out": str(out), "channel": made.channels[0].name, "members": made.members, "region": rows}, indent=1))
        return
    say.print(f"{out}: {made.members} members, {len(made.times)} frames; mean of {made.channels[0].name} over the region", markup=False)
    for row in rows:
        say.print(f"  {row['time']} UTC  P5 {row['P5']:.3f}  P50 {row['P50']:.3f}  P95 {row['P95']:.3f}", markup=False)


def score_verb(
    weather: Weather,
    fit: Fit = None,
    split: Annotated[str | None, typer.Option(help="test, validation or all; default: test, or with --fit all")] = None,
    members: Annotated[int, typer.Option(help="of each ensemble")] = 50,
    cases: Annotated[int, typer.Option(help="nowcasts at most, evenly through the days", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="of the members", min=0)] = 0,
    model: Own = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="the scores to write, .json or .csv")] = None,
    as_json: Json = False,
) -> None:
    """Hold nowcasts against what happened, beside persistence, analogs, climatology and independent sites."""
    from rich.progress import Progress

    from kinowatt.grid import nowcast, scores, weather_files

    if out is not None:
        check_writable(out)
    if not 2 <= members <= nowcast.MOST_MEMBERS:
        raise GridError(f"{members} members cannot be scored; ask for 2 to {nowcast.MOST_MEMBERS}")
    field = weather_files.read(weather)
    for note in field.notes:
        say.print(f"{weather}: {note}", markup=False)
    split = split or ("test" if fit is None else "all")
    trial = scores.trial(field, None if fit is None else weather_files.read(fit), split, cases)
    skies = nowcast.load(model)
    ways = scores.methods(trial, members, seed, lambda now: nowcast.forecast(skies, trial.history, now, members, seed))
    with Progress(console=say) as bar:
        line = bar.add_task("", total=len(ways) * len(trial.cases))
        rows = scores.compare(trial, ways, lambda name: bar.update(line, advance=1, description=name))
    about = {"weather": str(weather), "fit": fit and str(fit), "split": split, "cases": len(trial.cases), "members": members}
    said = {**about, "observed_ramp_correlation": trial.observed.ramp, "methods": [row.to_json() for row in rows]}
    if out is not None:
        _write(out, said, rows)
    if as_json:
        print(json.dumps(said, indent=1))
        return
    print(f"{len(trial.cases)} nowcasts of the days of {split!r}, {members} members, {trial.history.channel.name}")
    print(scores.table(rows, field.hours_per_frame, trial.observed), end="")


def _write(out: Path, said: Mapping[str, object], rows: list[Row]) -> None:
    if out.suffix == ".json":
        out.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        return
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        leads = [f"crps_site_{k + 1}" for k in range(len(rows[0].crps_site))]
        writer.writerow(["method", *leads, "crps_region", "energy", "variogram", "cover", "seconds"])
        for row in rows:
            writer.writerow([row.method, *row.crps_site, row.crps_region, row.energy, row.variogram, row.cover, row.seconds])


def _quantiles(values: np.ndarray) -> list[float]:
    import numpy as np

    return [float(v) for v in np.quantile(values, (0.05, 0.5, 0.95))]


def _hours(text: str) -> float:
    """ "3h" or "90min" to hours. GridError."""
    for unit, share in (("min", 1 / 60), ("h", 1.0)):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdecimal():
            return float(number) * share
    raise GridError(f"a horizon of {text!r} is not understood; write 3h or 90min")
