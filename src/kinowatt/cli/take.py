"""One take from the command line: planned, made with a progress bar, written with its label, and put into the ledger."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
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
from kinowatt.energy.processes import joint, several, speaks, take_own
from kinowatt.engine import cost, memory
from kinowatt.engine.bridge import Bridge
from kinowatt.engine.budget import fitted
from kinowatt.engine.plan import Plan, fill
from kinowatt.engine.ways import Ways
from kinowatt.errors import BudgetError, DeviceError, InputError, OutputError, ShotError
from kinowatt.media.provenance import write_labelled, write_labelled_image
from kinowatt.media.sheet import contact_sheet
from kinowatt.models import specs
from kinowatt.models.spec import ModelSpec
from kinowatt.models.wan_specs import WanSpec
from kinowatt.shot import Budget, Shot

if TYPE_CHECKING:
    from kinowatt.engine.engine import Progress, Take
    from kinowatt.engine.load import AnyEngine
    from kinowatt.engine.parallel import World


SAVE_EVERY_S = 2.0  # between two savings of a long clip's state


@dataclass(frozen=True)
class How:
    """Where a take goes, on what it runs, and how it is told of."""

    out: Path
    device: str
    ways: Ways
    zone: str | None
    deadline: str | None
    dry_run: bool
    sheet: bool
    as_json: bool
    resume: Path | None = None


def is_picture(out: Path) -> bool:
    """Whether the output is one picture."""
    return out.suffix.lower() == ".png"


def make(verb: str, request: Shot, how: How, joined: Bridge | None = None, files: Sequence[Path] = ()) -> None:
    """Make a take, join it with the clips that it leans on, write it, and say what it cost."""
    check_writable(how.out)
    if how.out.suffix.lower() not in (".mp4", ".png"):
        raise OutputError(f"{how.out} is neither .mp4 nor .png; kinowatt writes H.264 video as .mp4 and pictures as .png")
    if several():
        _one_of_several(request)
    if how.deadline is not None:
        _wait(request, time_of(how.deadline), how.zone)
    meter = Meter(zone=how.zone)
    _refuse_early(request, meter)
    with meter:
        engine, request, world = _load(request, how, meter)
        take = _generate(engine, request, how, meter, world)
        others = [] if world is None else world.gathered(meter.so_far())[1:]
        if not speaks():
            return
        clip = joined.join(take.clip) if joined else take.clip
        with meter.phase("write"):
            parts = joined.parts(take.clip, files) if joined else [clip]
            new_frames = joined.new_frames(take.clip) if joined else None
            label = _write(take, parts, how.out, lambda: joint([meter.so_far(), *others]), new_frames)
    _forget(_kept(how))
    bill = joint([meter.bill, *others])
    if how.sheet:
        contact_sheet(how.out.with_name(how.out.stem + "-sheet.png"), [(take.shot.prompt, clip)])
    _remember(verb, engine, take, clip, bill, how.out)
    _tell(take, clip, bill, how, [label[key] for key in ("unsigned_because", "no_manifest_because") if label.get(key)])


def _one_of_several(request: Shot) -> None:
    """This process is one of torchrun's: it takes its own GPU, and only the first one speaks. ShotError with a budget."""
    if request.budget != Budget():
        raise ShotError("a budget is kept by one process alone; leave it out, or start without torchrun")
    take_own()
    say.quiet = not speaks()


def _load(request: Shot, how: How, meter: Meter) -> tuple[AnyEngine, Shot, World | None]:
    """The engine, joined with those of the other processes, and the shot that all agree on (its seed may have been drawn)."""
    with meter.phase(LOAD):
        from kinowatt.engine import load as engines  # torch takes seconds to import

        def tell(line: str) -> None:
            say.print(line, markup=False)

        if not several():
            return engines.load(request.model, how.device, how.ways, request, tell), request, None
        from kinowatt.engine import parallel
        from kinowatt.engine.engine import Engine

        world = parallel.start(how.device)
        assert world is not None
        request = world.agreed(request)
        engine = engines.load(request.model, how.device, how.ways, request, tell)
        if not isinstance(engine, Engine):
            raise ShotError(f"{request.model} runs through diffusers in one process; start without torchrun")
        parallel.spread(engine, world)
        return engine, request, world


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


def _kept(how: How) -> Path:
    """Where the state of a take is saved; what a rolling window has left behind lies in the folder of that name without its ending."""
    return how.resume or how.out.with_name(f"{how.out.name}.latents.safetensors")


def _forget(kept: Path) -> None:
    kept.unlink(missing_ok=True)
    shutil.rmtree(kept.with_suffix(""), ignore_errors=True)


def _generate(engine: AnyEngine, request: Shot, how: How, meter: Meter, world: World | None) -> Take:
    """Generate with a progress bar that shows the energy so far.

    What was denoised is put beside the output before it is decoded, for decoding needs memory of its own; a clip that a window rolls over
    is kept there as it grows. Both are deleted when the clip is written.
    """
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from kinowatt.engine import state as states

    columns = (TextColumn("{task.description:8}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    kept, rolled = _kept(how), engine.plan(request).roll is not None
    if rolled and world is not None:
        raise ShotError("a clip longer than the model has seen is made by one process; start without torchrun")
    saved_s = time.monotonic()
    resume = None if how.resume is None else states.load(how.resume, engine.model.sha256)
    with Bar(*columns, console=say, disable=how.as_json or say.quiet) as bar:
        lines: dict[str, Any] = {}

        def show(progress: Progress) -> None:
            nonlocal saved_s
            if progress.phase not in lines:
                lines[progress.phase] = bar.add_task(progress.phase, total=progress.of, text="")
            spent = progress.bill.total_Wh
            text = f"{progress.done}/{progress.of}" + ("" if spent is None else f"  {in_Wh(spent)} so far")
            bar.update(lines[progress.phase], completed=progress.done, total=progress.of, text=text)
            due = progress.done == progress.of or (rolled and time.monotonic() - saved_s >= SAVE_EVERY_S)
            if progress.state is not None and due and (world is None or world.rank == 0):
                states.save(kept, progress.state, engine.model.sha256)
                saved_s = time.monotonic()

        try:
            told = show if world is None else world.in_step(show)
            return engine.generate(request, told, meter, resume, kept.with_suffix("") if rolled else None)
        except DeviceError as error:
            if not kept.exists():
                raise
            left = "goes on" if rolled else "only decodes"
            why = error if rolled else f"{error}. All steps were taken"
            raise DeviceError(f"{why}: the same command with --resume {kept} {left}") from error
        except BaseException as error:
            if not (rolled and kept.exists()) or isinstance(error, BudgetError):
                _forget(kept)
            else:
                say.print(f"note: what was made is kept: the same command with --resume {kept} goes on", markup=False)
            raise


def _write(take: Take, parts: Sequence[Clip | Path], out: Path, bill: Callable[[], EnergyBill], new_frames: int | None) -> dict[str, Any]:
    facts = {"weights_sha256": take.weights_sha256, "runtime": take.runtime, "warnings": list(take.warnings)}

    def energy() -> dict[str, Any]:
        return bill().to_json()

    if is_picture(out):
        return write_labelled_image(out, take.clip.frames_TCHW[0], take.shot, energy, facts)
    return write_labelled(out, parts, take.shot, energy, facts, new_frames)


def _remember(verb: str, engine: AnyEngine, take: Take, clip: Clip, bill: EnergyBill, out: Path) -> None:
    """Put the run into the ledger; a ledger that cannot be written is said, and costs no video."""
    plan = engine.plan(take.shot)
    run = Run(
        verb,
        engine.model.spec.name,
        engine.place.device,
        engine.place.runtime,
        bill.to_json(),
        None if engine.anatomy is None else cost.work(plan, engine.anatomy),
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


def _memory(plan: Plan, spec: ModelSpec, how: How) -> list[str]:
    """How the take would be laid out in the memory that --vram allows. ShotError if it cannot be."""
    if how.ways.memory_B is None or not isinstance(spec, WanSpec):
        return []
    found, sizes = memory.layout(plan, spec, how.ways.memory_B, how.ways)
    return found.lines(sizes)


def say_plan(request: Shot, how: How) -> None:
    """What a take would be and cost, without loading anything."""
    spec = specs.find(request.model)
    known, meter = cost.outlook(Ledger(), spec), Meter(zone=how.zone)
    budget_J = request.budget.joules(meter.intensity.gCO2e_per_kWh, meter.pue)

    notes: tuple[str, ...] = ()
    if budget_J is not None:
        fit = fitted(request, spec, budget_J, known.predict, lambda plan: known.load_J or 0.0)
        request, notes = fit.shot, fit.notes
    plan = fill(request, spec)
    prediction = known.predict(plan)
    warnings = [*plan.warnings, *notes]
    memory_lines = _memory(plan, spec, how)
    told = {
        "model": spec.name,
        "size": f"{plan.width}x{plan.height}",
        "frames": plan.frames,
        "seconds_of_video": plan.frames / spec.fps,
        "steps": plan.shot.steps,
        "guidance": plan.shot.guidance,
        "cache": plan.shot.cache,
        "FLOP": None if known.anatomy is None else cost.work(plan, known.anatomy).FLOP,
        "device": known.place.device,
        "runtime": known.place.runtime,
        "warnings": warnings,
        "predicted": None if prediction is None else prediction.to_json(),
        "memory": memory_lines,
        "load_Wh": None if known.load_J is None else round(known.load_J / 3600, 9),
    }
    if how.as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    for warning in warnings:
        say.print(f"note: {warning}", markup=False)
    means = f"{plan.shot.steps} steps, guidance {plan.shot.guidance:g}"
    print(f"{plan.frames} frames, {plan.width}x{plan.height}, {means}, on {known.place.device}")
    for line in memory_lines:
        print(line)
    if prediction is None:
        print("its energy is not known: nothing is published of this device or this model, and too little was made here yet")
    else:
        band = f"{in_Wh(prediction.p10_Wh)} to {in_Wh(prediction.p90_Wh)} in eight of ten cases"
        print(f"about {in_Wh(prediction.Wh)} ({band}), {prediction.seconds:.1f} s, without loading; from {prediction.how}")
        if known.load_J is not None:
            print(f"loading has cost {in_Wh(known.load_J / 3600)} before")
