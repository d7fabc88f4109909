"""The verbs that make pictures and videos: words and files become a Shot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kinowatt.cli.take import How, is_picture, make, say_plan
from kinowatt.cli.words import DeviceName, Json, ModelName, RuntimeName, Zone, size_of
from kinowatt.engine.bridge import Way, bridge
from kinowatt.errors import ShotError
from kinowatt.media.image import read_image
from kinowatt.media.video import read_video
from kinowatt.models import specs
from kinowatt.shot import END, MAX_PROMPT_CHARS, START, Anchor, At, Budget, Camera, Shot, remix

Out = Annotated[Path, typer.Option("-o", "--out", help="the MP4 to write, or a .png for one picture")]
Size = Annotated[str | None, typer.Option(help="width x height in pixels, for example 256x256; default: the model's")]
Seconds = Annotated[float | None, typer.Option(help="duration; frames come in 4k+1")]
Seed = Annotated[int | None, typer.Option(help="same seed, same machine: same frames")]
Steps = Annotated[int | None, typer.Option(help="denoising steps")]
Guidance = Annotated[float | None, typer.Option(help="how strongly the words count; 1 = off, half the energy")]
Cache = Annotated[int | None, typer.Option(help="compute the term of guidance at every so manieth step only, and keep it in between")]
Negative = Annotated[str, typer.Option(help="what should not be seen")]
Move = Annotated[str | None, typer.Option("--camera", help="camera move, for example orbit-left, dolly-in, crane-up")]
Lens = Annotated[float | None, typer.Option(help="focal length in mm")]
Scale = Annotated[str | None, typer.Option("--shot", help="shot scale: macro, close-up, near, medium, wide")]
Angle = Annotated[str | None, typer.Option(help="camera angle: low, eye, high")]
Light = Annotated[str | None, typer.Option(help="time of day: dawn, noon, dusk, night")]
Mood = Annotated[str | None, typer.Option(help="mood: lonely, lively, calm, tense, mysterious")]
BudgetWh = Annotated[float | None, typer.Option(help="what it may cost in all, in watt-hours")]
BudgetGrams = Annotated[float | None, typer.Option("--budget-gco2e", help="what it may cost in all, in grams of CO2 equivalent")]
Deadline = Annotated[str | None, typer.Option(help="wait for the greenest hours before then: 6h, 2d, or 2026-12-01T06:00")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what it would be and cost, and make nothing")]
Sheet = Annotated[bool, typer.Option("--sheet", help="a contact sheet (PNG) beside the video")]


def generate_verb(
    prompt: str,
    out: Out = Path("out.mp4"),
    size: Size = None,
    seconds: Seconds = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    cache: Cache = None,
    image: Annotated[list[str] | None, typer.Option(help="FILE[@start|@end|@1.5s]: an image placed in time; may be repeated")] = None,
    video: Annotated[list[str] | None, typer.Option(help="FILE[@start|@end|@1.5s]: footage placed in time; may be repeated")] = None,
    strength: Annotated[float, typer.Option(help="how firmly --video holds: 1 keeps it, less lets it be redrawn")] = 1.0,
    negative: Negative = "",
    camera: Move = None,
    lens: Lens = None,
    shot: Scale = None,
    angle: Angle = None,
    light: Light = None,
    mood: Mood = None,
    model: ModelName = "spark",
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    budget_wh: BudgetWh = None,
    budget_gco2e: BudgetGrams = None,
    deadline: Deadline = None,
    dry_run: DryRun = False,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Make a video (or a picture) from a sentence, images and footage."""
    anchors = [_place(text, read_image, 1.0) for text in image or []]
    anchors += [_place(text, read_video, strength) for text in video or []]
    if seconds is None and is_picture(out):
        seconds = 0.0001  # one frame
    request = _shot(prompt, size, seconds, seed, steps, guidance, cache, negative, model, Budget(budget_wh, budget_gco2e))
    request = replace(request, anchors=tuple(anchors), camera=Camera(camera, lens, shot, angle), light=light, mood=mood)
    if seconds is None and any(a.strength < 1 for a in anchors):
        request = replace(request, seconds=max(a.clip.seconds for a in anchors if a.strength < 1))
    _shoot("generate", request, How(out, device, runtime, zone, deadline, dry_run, sheet, as_json))


def extend_verb(
    clip: Path,
    prompt: Annotated[str, typer.Option(help="what happens there")] = "the scene goes on",
    backward: Annotated[bool, typer.Option("--backward", help="into the past")] = False,
    out: Out = Path("out.mp4"),
    size: Size = None,
    seconds: Seconds = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    cache: Cache = None,
    model: ModelName = "spark",
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    budget_wh: BudgetWh = None,
    budget_gco2e: BudgetGrams = None,
    deadline: Deadline = None,
    dry_run: DryRun = False,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Run a clip on into the future, or with --backward into the past."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, cache, "", model, Budget(budget_wh, budget_gco2e))
    _bridge(
        "extend", request, [clip], "backward" if backward else "forward", How(out, device, runtime, zone, deadline, dry_run, sheet, as_json)
    )


def connect_verb(
    before: Path,
    after: Path,
    prompt: Annotated[str, typer.Option(help="what happens in between")] = "one scene turns into the other",
    out: Out = Path("out.mp4"),
    size: Size = None,
    seconds: Seconds = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    cache: Cache = None,
    model: ModelName = "spark",
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    budget_wh: BudgetWh = None,
    budget_gco2e: BudgetGrams = None,
    deadline: Deadline = None,
    dry_run: DryRun = False,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Fill the time between two clips."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, cache, "", model, Budget(budget_wh, budget_gco2e))
    _bridge("connect", request, [before, after], "connect", How(out, device, runtime, zone, deadline, dry_run, sheet, as_json))


def loop_verb(
    clip: Path,
    prompt: Annotated[str, typer.Option(help="what happens on the way back")] = "the scene goes on",
    out: Out = Path("out.mp4"),
    size: Size = None,
    seconds: Seconds = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    cache: Cache = None,
    model: ModelName = "spark",
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    budget_wh: BudgetWh = None,
    budget_gco2e: BudgetGrams = None,
    deadline: Deadline = None,
    dry_run: DryRun = False,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Lead a clip back to its own beginning."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, cache, "", model, Budget(budget_wh, budget_gco2e))
    _bridge("loop", request, [clip], "loop", How(out, device, runtime, zone, deadline, dry_run, sheet, as_json))


def remix_verb(
    clip: Path,
    prompt: str,
    strength: Annotated[float, typer.Option(help="how firmly the clip holds: 1 keeps it, less lets it be redrawn")] = 0.4,
    out: Out = Path("out.mp4"),
    size: Size = None,
    seconds: Seconds = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    cache: Cache = None,
    negative: Negative = "",
    model: ModelName = "spark",
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    budget_wh: BudgetWh = None,
    budget_gco2e: BudgetGrams = None,
    deadline: Deadline = None,
    dry_run: DryRun = False,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Redraw a whole clip after a new sentence."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, cache, negative, model, Budget(budget_wh, budget_gco2e))
    source = read_video(clip)
    request = replace(request, seconds=min(source.seconds, 60.0) if seconds is None else seconds)
    _shoot("remix", remix(request, source, strength=strength), How(out, device, runtime, zone, deadline, dry_run, sheet, as_json))


def _shot(
    prompt: str,
    size: str | None,
    seconds: float | None,
    seed: int | None,
    steps: int | None,
    guidance: float | None,
    cache: int | None,
    negative: str,
    model: str,
    budget: Budget,
) -> Shot:
    given: dict[str, Any] = {} if seed is None else {"seed": seed}
    if len(negative) > MAX_PROMPT_CHARS:
        raise ShotError(f"the negative prompt has {len(negative)} characters; at most {MAX_PROMPT_CHARS} are read")
    given |= {"size": None if size is None else size_of(size), "steps": steps, "guidance": guidance, "cache": cache, "budget": budget}
    return Shot(prompt, negative=negative, seconds=seconds, model=model, **given)


def _place(text: str, read: Any, strength: float) -> Anchor:
    """FILE[@start|@end|@1.5s] to an anchor; a file whose own name holds an @ is tried whole first."""
    name, at, where = text.rpartition("@")
    if not at or Path(text).exists():
        return Anchor(read(Path(text)), START, strength)
    if where in (START, END):
        return Anchor(read(Path(name)), START if where == START else END, strength)
    try:
        second: At = float(where.removesuffix("s"))
    except ValueError:
        raise ShotError(f"{where!r} in {text!r} is no place in time; write @start, @end or seconds such as @1.5s") from None
    return Anchor(read(Path(name)), second, strength)


def _shoot(verb: str, request: Shot, how: How) -> None:
    if how.dry_run:
        say_plan(request, how.as_json, how.zone)
        return
    make(verb, request, how)


def _bridge(verb: str, request: Shot, files: list[Path], way: Way, how: How) -> None:
    """Make footage that leans on given clips, and join it with them."""
    clips = [read_video(path) for path in files]
    plan = bridge(request, clips, way, specs.find(request.model))
    if how.dry_run:
        say_plan(plan.shot, how.as_json, how.zone)
        return
    make(verb, plan.shot, how, plan, files)
