"""One take from the command line: planned, made with a progress bar, written with its label, and put into the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinowatt.cli.words import check_writable, say, time_of
from kinowatt.clip import Clip
from kinowatt.energy.bill import LOAD, EnergyBill, in_Wh
from kinowatt.energy.grid_source import forecast
from kinowatt.energy.hourly import SLACK, UNKNOWN_S, greenest
from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.meter import Meter
from kinowatt.energy.predict import LEAST_HISTORY
from kinowatt.engine import cost
from kinowatt.engine.bridge import Bridge
from kinowatt.engine.budget import fitted
from kinowatt.engine.plan import fill
from kinowatt.errors import InputError, OutputError
from kinowatt.media.provenance import write_labelled, write_labelled_image
from kinowatt.media.sheet import contact_sheet
from kinowatt.models import specs
from kinowatt.shot import Shot

if TYPE_CHECKING:
    from kinowatt.engine.engine import Engine, Progress, Take


@dataclass(frozen=True)
class How:
    """Where a take goes, on what it runs, and how it is told of."""

    out: Path
    device: str
    runtime: str
    zone: str | None
    deadline: str | None
    dry_run: bool
    sheet: bool
    as_json: bool


def is_picture(out: Path) -> bool:
    """Whether the output is one picture."""
    return out.suffix.lower() == ".png"


def make(verb: str, request: Shot, how: How, joined: Bridge | None = None, files: Sequence[Path] = ()) -> None:
    """Make a take, join it with the clips that it leans on, write it, and say what it cost."""
    check_writable(how.out)
    if how.out.suffix.lower() not in (".mp4", ".png"):
        raise OutputError(f"{how.out} is neither .mp4 nor .png; kinowatt writes H.264 video as .mp4 and pictures as .png")
    if how.deadline is not None:
        _wait(request, time_of(how.deadline), how.zone)
    meter = Meter(zone=how.zone)
    _refuse_early(request, meter)
    with meter:
        with meter.phase(LOAD):
            from kinowatt.engine import engine as engines  # torch takes seconds to import

            engine = engines.load(request.model, how.device, how.runtime)
        take = _generate(engine, request, meter, quiet=how.as_json)
        clip = joined.join(take.clip) if joined else take.clip
        with meter.phase("write"):
            parts = joined.parts(take.clip, files) if joined else [clip]
            label = _write(take, parts, how.out, meter, joined.new_frames(take.clip) if joined else None)
    bill = meter.bill
    if how.sheet:
        contact_sheet(how.out.with_name(how.out.stem + "-sheet.png"), [(take.shot.prompt, clip)])
    _remember(verb, engine, take, clip, bill, how.out)
    _tell(take, clip, bill, how, [label[key] for key in ("unsigned_because", "no_manifest_because") if label.get(key)])


def _refuse_early(request: Shot, meter: Meter) -> None:
    """A budget that nothing fits is refused before the model is loaded, where history knows enough. BudgetError."""
    budget_J, spec = request.budget.joules(meter.intensity.gCO2e_per_kWh, meter.pue), specs.find(request.model)
    if budget_J is not None:
        known = cost.outlook(Ledger(), spec)
        load_J = known.load_J
        if len(known.past) >= LEAST_HISTORY and load_J is not None:
            fitted(request, spec, budget_J, known.predict, lambda plan: load_J)


def _wait(request: Shot, deadline: float, zone: str | None) -> None:
    """Sleep until the greenest hours before the deadline, where hours are known. InputError if it cannot be met."""
    spec = specs.find(request.model)
    expected = cost.outlook(Ledger(), spec).predict(fill(request, spec))
    lasts, trace, now = (expected.seconds * SLACK if expected else UNKNOWN_S), forecast(zone), time.time()
    if deadline < now + lasts:
        raise InputError(f"this takes about {lasts:.0f} s and the deadline is in {max(deadline - now, 0.0):.0f} s; give it more")
    window = None if trace is None else greenest(trace, now, deadline, lasts)
    if window is None or window.mean_gCO2e_per_kWh is None:
        say.print("note: the deadline changes nothing: the carbon intensity of these hours is not known", markup=False)
        return
    at = datetime.fromtimestamp(window.begin_s).strftime("%Y-%m-%d %H:%M")
    say.print(f"waiting until {at} for {window.mean_gCO2e_per_kWh:.0f} g CO2e/kWh", markup=False)
    time.sleep(max(window.begin_s - time.time(), 0.0))


def _generate(engine: Engine, request: Shot, meter: Meter, *, quiet: bool) -> Take:
    """Generate with a progress bar that shows the energy so far."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:8}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    with Bar(*columns, console=say, disable=quiet) as bar:
        lines: dict[str, Any] = {}

        def show(progress: Progress) -> None:
            if progress.phase not in lines:
                lines[progress.phase] = bar.add_task(progress.phase, total=progress.of, text="")
            spent = progress.bill.total_Wh
            text = f"{progress.done}/{progress.of}" + ("" if spent is None else f"  {in_Wh(spent)} so far")
            bar.update(lines[progress.phase], completed=progress.done, total=progress.of, text=text)

        return engine.generate(request, show, meter)


def _write(take: Take, parts: Sequence[Clip | Path], out: Path, meter: Meter, new_frames: int | None) -> dict[str, Any]:
    facts = {"weights_sha256": take.weights_sha256, "runtime": take.runtime, "warnings": list(take.warnings)}

    def energy() -> dict[str, Any]:
        return meter.so_far().to_json()

    if is_picture(out):
        return write_labelled_image(out, take.clip.frames_TCHW[0], take.shot, energy, facts)
    return write_labelled(out, parts, take.shot, energy, facts, new_frames)


def _remember(verb: str, engine: Engine, take: Take, clip: Clip, bill: EnergyBill, out: Path) -> None:
    """Put the run into the ledger; a ledger that cannot be written is said, and costs no video."""
    plan = engine.plan(take.shot)
    run = Run(
        verb,
        engine.model.spec.name,
        engine.place.device,
        engine.place.runtime,
        bill.to_json(),
        cost.work(plan, engine.anatomy),
        out=str(out.resolve()),
        frames=clip.frames,
        width=clip.width,
        height=clip.height,
        fps=clip.fps or 0.0,
        steps=take.shot.steps or 0,
    )
    try:
        Ledger().add(run)
    except (OutputError, OSError) as error:
        say.print(f"note: not in the ledger: {error}", markup=False)


def _tell(take: Take, clip: Clip, bill: EnergyBill, how: How, unsigned: list[str]) -> None:
    warnings = [*take.warnings, *(f"the label is not signed in full: {why}" for why in unsigned)]
    if how.as_json:
        result = {"path": str(how.out), "frames": clip.frames, "width": clip.width, "height": clip.height, "fps": clip.fps}
        result |= {"seed": take.shot.seed, "model": take.shot.model, "runtime": take.runtime, "warnings": warnings}
        result |= {"understood": list(take.understood), "not_understood": list(take.not_understood), "energy": bill.to_json()}
        print(json.dumps(result, ensure_ascii=False))
        return
    for warning in warnings:
        say.print(f"note: {warning}", markup=False)
    if take.understood or take.not_understood:
        say.print(f"understood: {', '.join(take.understood) or 'nothing'}", markup=False)
    if take.not_understood:
        say.print(f"not understood: {', '.join(take.not_understood)}", markup=False)
    say.print(
        f"{clip.frames} frames, {clip.width}x{clip.height}, {clip.seconds:.2f} s, seed {take.shot.seed}, {take.runtime}", markup=False
    )
    say.print(bill.one_line(), markup=False)
    load = bill.phases[LOAD].total_J
    if load is not None and bill.work_J is not None:
        say.print(f"of that, loading {in_Wh(load / 3600)}; one more such clip costs about {in_Wh(bill.work_J / 3600)}", markup=False)
    print(how.out)


def say_plan(request: Shot, as_json: bool, zone: str | None = None) -> None:
    """What a take would be and cost, without loading anything."""
    spec = specs.find(request.model)
    known, meter = cost.outlook(Ledger(), spec), Meter(zone=zone)
    budget_J = request.budget.joules(meter.intensity.gCO2e_per_kWh, meter.pue)

    notes: tuple[str, ...] = ()
    if budget_J is not None:
        fit = fitted(request, spec, budget_J, known.predict, lambda plan: known.load_J or 0.0)
        request, notes = fit.shot, fit.notes
    plan = fill(request, spec)
    prediction = known.predict(plan)
    warnings = [*plan.warnings, *notes]
    told = {
        "model": spec.name,
        "size": f"{plan.width}x{plan.height}",
        "frames": plan.frames,
        "seconds_of_video": plan.frames / spec.fps,
        "steps": plan.shot.steps,
        "guidance": plan.shot.guidance,
        "cache": plan.shot.cache,
        "FLOP": cost.work(plan, known.anatomy).FLOP,
        "device": known.place.device,
        "runtime": known.place.runtime,
        "warnings": warnings,
        "predicted": None if prediction is None else prediction.to_json(),
        "load_Wh": None if known.load_J is None else round(known.load_J / 3600, 9),
    }
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    for warning in warnings:
        say.print(f"note: {warning}", markup=False)
    means = f"{plan.shot.steps} steps, guidance {plan.shot.guidance:g}"
    print(f"{plan.frames} frames, {plan.width}x{plan.height}, {means}, on {known.place.device}")
    if prediction is None:
        print("its energy is not known: nothing is published of this device, and too little was made here yet")
    else:
        band = f"{in_Wh(prediction.p10_Wh)} to {in_Wh(prediction.p90_Wh)} in eight of ten cases"
        print(f"about {in_Wh(prediction.Wh)} ({band}), {prediction.seconds:.1f} s, without loading; from {prediction.how}")
        if known.load_J is not None:
            print(f"loading has cost {in_Wh(known.load_J / 3600)} before")
