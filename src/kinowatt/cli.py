"""The verbs. Each turns words and files into a Shot, or calls one function of the house; nothing is computed here."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from rich.console import Console

from kinowatt.clip import Clip
from kinowatt.energy.bill import EnergyBill
from kinowatt.energy.meter import Meter
from kinowatt.engine.bridge import Way, bridge
from kinowatt.errors import KinowattError, OutputError, ShotError
from kinowatt.media.image import read_image, write_image
from kinowatt.media.provenance import read_label, stamp
from kinowatt.media.sheet import contact_sheet
from kinowatt.media.video import read_video, write_joined
from kinowatt.serve.cli import keys_app, serve_verb, webhooks_app
from kinowatt.shot import END, MAX_PROMPT_CHARS, START, Anchor, At, Camera, Shot, remix

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command("serve")(serve_verb)
app.add_typer(keys_app, name="keys")
app.add_typer(webhooks_app, name="webhooks")
say = Console(stderr=True, highlight=False)

Out = Annotated[Path, typer.Option("-o", "--out", help="the MP4 to write, or a .png for one picture")]
Size = Annotated[str | None, typer.Option(help="width x height in pixels, for example 256x256; default: the model's")]
Seconds = Annotated[float | None, typer.Option(help="duration; frames come in 4k+1")]
Seed = Annotated[int | None, typer.Option(help="same seed, same machine: same frames")]
Steps = Annotated[int | None, typer.Option(help="denoising steps")]
Guidance = Annotated[float | None, typer.Option(help="how strongly the words count; 1 = off, half the energy")]
Negative = Annotated[str, typer.Option(help="what should not be seen")]
Move = Annotated[str | None, typer.Option("--camera", help="camera move, for example orbit-left, dolly-in, crane-up")]
Lens = Annotated[float | None, typer.Option(help="focal length in mm")]
Scale = Annotated[str | None, typer.Option("--shot", help="shot scale: macro, close-up, near, medium, wide")]
Angle = Annotated[str | None, typer.Option(help="camera angle: low, eye, high")]
Light = Annotated[str | None, typer.Option(help="time of day: dawn, noon, dusk, night")]
Mood = Annotated[str | None, typer.Option(help="mood: lonely, lively, calm, tense, mysterious")]
ModelName = Annotated[str, typer.Option("--model", help="a known model, or a folder of weights")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
RuntimeName = Annotated[str, typer.Option("--runtime", help="auto, torch or openvino")]
Zone = Annotated[str | None, typer.Option(help="country of the electricity, for example FR; default: KINOWATT_ZONE, else the world")]
Sheet = Annotated[bool, typer.Option("--sheet", help="a contact sheet (PNG) beside the video")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]


@app.command("generate")
def generate_verb(
    prompt: str,
    out: Out = Path("out.mp4"),
    size: Size = None,
    seconds: Seconds = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
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
    device: Device = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Make a video (or a picture) from a sentence, images and footage."""
    anchors = [_place(text, read_image, 1.0) for text in image or []]
    anchors += [_place(text, read_video, strength) for text in video or []]
    request = _shot(prompt, size, 0.0001 if seconds is None and _is_picture(out) else seconds, seed, steps, guidance, negative, model)
    request = replace(request, anchors=tuple(anchors), camera=Camera(camera, lens, shot, angle), light=light, mood=mood)
    if seconds is None and not _is_picture(out) and any(a.strength < 1 for a in anchors):
        request = replace(request, seconds=max(a.clip.seconds for a in anchors if a.strength < 1))
    _shoot(request, out, device, runtime, zone, sheet, as_json)


@app.command("extend")
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
    model: ModelName = "spark",
    device: Device = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Run a clip on into the future, or with --backward into the past."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, "", model)
    _bridge(request, [clip], "backward" if backward else "forward", out, device, runtime, zone, sheet, as_json)


@app.command("connect")
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
    model: ModelName = "spark",
    device: Device = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Fill the time between two clips."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, "", model)
    _bridge(request, [before, after], "connect", out, device, runtime, zone, sheet, as_json)


@app.command("loop")
def loop_verb(
    clip: Path,
    prompt: Annotated[str, typer.Option(help="what happens on the way back")] = "the scene goes on",
    out: Out = Path("out.mp4"),
    size: Size = None,
    seconds: Seconds = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Guidance = None,
    model: ModelName = "spark",
    device: Device = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Lead a clip back to its own beginning."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, "", model)
    _bridge(request, [clip], "loop", out, device, runtime, zone, sheet, as_json)


@app.command("remix")
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
    negative: Negative = "",
    model: ModelName = "spark",
    device: Device = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    sheet: Sheet = False,
    as_json: Json = False,
) -> None:
    """Redraw a whole clip after a new sentence."""
    request = _shot(prompt, size, seconds, seed, steps, guidance, negative, model)
    source = read_video(clip)
    request = replace(request, seconds=min(source.seconds, 60.0) if seconds is None else seconds)
    _shoot(remix(request, source, strength=strength), out, device, runtime, zone, sheet, as_json)


@app.command("label")
def label_verb(clip: Path, as_json: Json = False) -> None:
    """Read the energy label and the shot out of a clip."""

    label = read_label(clip)
    if as_json:
        print(json.dumps(label, ensure_ascii=False))
        return
    shot = label["shot"]
    print(f"{clip}\n  {shot['prompt']!r}, {shot['model']}, seed {shot['seed']}, {shot['steps']} steps")
    print(f"  {EnergyBill.from_json(label['energy']).one_line()}")


@app.command("world")
def world_verb(
    preview: Annotated[Path, typer.Option(help="the contact sheet to write (PNG)")] = Path("sheet.png"),
    clips: Annotated[int, typer.Option(help="how many scenes", min=1, max=500)] = 12,
    seed: Annotated[int, typer.Option(help="the first scene's seed", min=0)] = 0,
    size: Annotated[str, typer.Option(help="width x height in pixels")] = "192x192",
) -> None:
    """Render random scenes of the toybox, the simulated world that spark learns from, into one contact sheet."""
    from kinowatt.worlds.toybox import Toybox

    _check_writable(preview)
    wanted = _size(size)
    if not 16 <= min(wanted) <= max(wanted) <= 4096:
        raise ShotError(f"{size} cannot be rendered; each side needs 16 to 4096 pixels")
    world = Toybox()
    samples = [world.sample(number, size=wanted) for number in range(seed, seed + clips)]
    contact_sheet(preview, [(s.caption, s.clip) for s in samples])
    say.print(f"{preview}: {clips} scenes")


@app.command("train")
def train_verb(
    what: Annotated[str, typer.Argument(help="codec or spark")],
    recipe: Annotated[str, typer.Option(help="cpu or gpu")] = "cpu",
    minutes: Annotated[float | None, typer.Option(help="wall clock of training; default: the recipe's", min=0.0)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest checkpoint")] = False,
    device: Device = "auto",
    folder: Annotated[Path, typer.Option(help="where weights and checkpoints go")] = Path("runs/checkpoints/spark"),
    cache: Annotated[Path, typer.Option(help="where rendered clips and latents are kept")] = Path("runs/cache"),
    receipts: Annotated[Path, typer.Option(help="where the receipt goes")] = Path("runs/receipts"),
    zone: Zone = None,
) -> None:
    """Train the codec, or spark on the frozen codec, from nothing, and leave a receipt of joules."""
    from kinowatt.train.tasks import run

    receipt = run(what, recipe, minutes, resume, device, folder, cache, receipts, zone)
    print(json.dumps(receipt, indent=1, ensure_ascii=False))


def _is_picture(out: Path) -> bool:
    return out.suffix.lower() == ".png"


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(p.strip().isdecimal() for p in parts):
        raise ShotError(f"size {text!r} is not understood; write width x height, for example 256x256")
    return int(parts[0]), int(parts[1])


def _shot(
    prompt: str,
    size: str | None,
    seconds: float | None,
    seed: int | None,
    steps: int | None,
    guidance: float | None,
    negative: str,
    model: str,
) -> Shot:
    given: dict[str, Any] = {} if seed is None else {"seed": seed}
    if len(negative) > MAX_PROMPT_CHARS:
        raise ShotError(f"the negative prompt has {len(negative)} characters; at most {MAX_PROMPT_CHARS} are read")
    wanted = None if size is None else _size(size)
    return Shot(prompt, negative=negative, seconds=seconds, size=wanted, steps=steps, guidance=guidance, model=model, **given)


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


def _check_writable(out: Path) -> None:
    """Refuse before a joule is spent, not after the last step."""
    if out.is_dir():
        raise OutputError(f"{out} is a folder; name a file in it, for example {out / 'out.mp4'}")
    if not out.parent.is_dir():
        raise OutputError(f"the folder {out.parent} does not exist; make it first, or write elsewhere with -o")
    if not os.access(out.parent, os.W_OK) or (out.exists() and not os.access(out, os.W_OK)):
        raise OutputError(f"{out} cannot be written; choose another place with -o")


def _open(request: Shot, out: Path, device: str, runtime: str) -> Any:
    """The engine for a shot whose output can be written."""
    _check_writable(out)
    if out.suffix.lower() not in (".mp4", ".png"):
        raise OutputError(f"{out} is neither .mp4 nor .png; kinowatt writes H.264 video as .mp4 and pictures as .png")
    from kinowatt.engine import engine  # torch takes seconds to import

    return engine.load(request.model, device, runtime)


def _shoot(request: Shot, out: Path, device: str, runtime: str, zone: str | None, sheet: bool, as_json: bool) -> None:
    made = _take(_open(request, out, device, runtime), request, zone, quiet=as_json)
    _finish(made, made.clip, out, sheet, as_json)


def _bridge(
    request: Shot, files: list[Path], way: Way, out: Path, device: str, runtime: str, zone: str | None, sheet: bool, as_json: bool
) -> None:
    """Make footage that leans on given clips, and join it with them."""
    clips = [read_video(path) for path in files]
    engine = _open(request, out, device, runtime)
    plan = bridge(request, clips, way, engine.model.spec)
    made = _take(engine, plan.shot, zone, quiet=as_json)
    _finish(made, plan.join(made.clip), out, sheet, as_json, plan.parts(made.clip, files))


def _take(engine: Any, request: Shot, zone: str | None, *, quiet: bool) -> Any:
    """Generate with a progress bar that shows the energy so far."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:8}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    with Progress(*columns, console=say, disable=quiet) as bar:
        lines: dict[str, Any] = {}

        def show(progress: Any) -> None:
            if progress.phase not in lines:
                lines[progress.phase] = bar.add_task(progress.phase, total=progress.of, text="")
            spent = progress.bill.total_Wh
            text = f"{progress.done}/{progress.of}" + ("" if spent is None else f"  {spent:.3f} Wh so far")
            bar.update(lines[progress.phase], completed=progress.done, text=text)

        return engine.generate(request, show, Meter(zone=zone))


def _finish(take: Any, clip: Clip, out: Path, sheet: bool, as_json: bool, parts: Sequence[Clip | Path] = ()) -> None:
    """Write the clip (or the parts that it consists of) with its label, then say what happened."""

    facts = {"weights_sha256": take.weights_sha256, "runtime": take.runtime, "warnings": list(take.warnings)}
    energy = take.bill.to_json()
    if _is_picture(out):
        write_image(out, clip.frames_TCHW[0])
    else:
        write_joined(out, parts or [clip], stamp(take.shot, energy, facts))
    if sheet:
        contact_sheet(out.with_name(out.stem + "-sheet.png"), [(take.shot.prompt, clip)])
    if as_json:
        result = {"path": str(out), "frames": clip.frames, "width": clip.width, "height": clip.height, "fps": clip.fps}
        result |= {"seed": take.shot.seed, "model": take.shot.model, "runtime": take.runtime, "warnings": list(take.warnings)}
        result |= {"understood": list(take.understood), "not_understood": list(take.not_understood), "energy": energy}
        print(json.dumps(result, ensure_ascii=False))
        return
    for warning in take.warnings:
        say.print(f"note: {warning}", markup=False)
    say.print(f"understood: {', '.join(take.understood) or 'nothing'}", markup=False)
    if take.not_understood:
        say.print(f"not understood: {', '.join(take.not_understood)}", markup=False)
    say.print(
        f"{clip.frames} frames, {clip.width}x{clip.height}, {clip.seconds:.2f} s, seed {take.shot.seed}, {take.runtime}", markup=False
    )
    say.print(take.bill.one_line(), markup=False)
    print(out)


def main() -> None:
    """Run a verb. Exit code 0, 2 for a request that cannot work, 1 for a fault of ours, 130 when interrupted."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KinowattError as error:
        print(f"kinowatt: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        print("kinowatt: stopped; nothing was written", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if os.environ.get("KINOWATT_DEBUG"):
            traceback.print_exc()
        print(f"kinowatt: this is a fault of ours: {type(error).__name__}: {error} (KINOWATT_DEBUG=1 shows where)", file=sys.stderr)
        sys.exit(1)
