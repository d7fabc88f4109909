"""The verb of examination: what a model can do, between noise and the world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kinowatt.cli.words import DeviceName, Json, RuntimeName, say
from kinowatt.errors import ShotError


def exam_verb(
    model: Annotated[str, typer.Argument(help="a known model, or a folder of weights")] = "spark",
    quick: Annotated[bool, typer.Option("--quick", help="few clips: some minutes on two cores, wide intervals")] = False,
    out: Annotated[Path, typer.Option("-o", "--out", help="the folder of the report")] = Path("exam"),
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    as_json: Json = False,
) -> None:
    """Examine a model on held-out scenes of the toybox: prompts, camera, mood, words, physics, time, codec, cost. HTML and JSON."""
    from kinowatt.engine import load
    from kinowatt.engine.engine import Engine
    from kinowatt.engine.ways import Ways
    from kinowatt.exam import run
    from kinowatt.places import cache

    run.check(out)
    engine = load.load(model, device, Ways(runtime))
    if not isinstance(engine, Engine):
        raise ShotError(f"{engine.model.spec.name} runs through diffusers and knows nothing of the toybox; name a model trained on it")
    found = run.examine(engine, quick, out, cache() / "exam", lambda line: say.print(line, markup=False, style="dim"))
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for section in found["sections"]:
        for figure in section["figures"]:
            value, met = figure["made"]["value"], {True: "met", False: "missed", None: ""}[figure["met"]]
            told = "not measurable" if value is None else f"{value:.3g} {figure['unit']}"
            say.print(f"{section['title']}: {figure['name']} {told} {met}".rstrip(), markup=False)
    say.print(f"{out / 'report.html'}: {found['seconds'] / 60:.1f} min", markup=False)
