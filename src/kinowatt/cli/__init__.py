"""The verbs. Each turns words and files into a Shot, or calls one function of the house; nothing is computed here."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from kinowatt.cli import energy, making
from kinowatt.cli.bench import bench_app
from kinowatt.cli.exam import exam_verb
from kinowatt.cli.given import with_given
from kinowatt.cli.grid import grid_app
from kinowatt.cli.picture import image_verb
from kinowatt.cli.serving import keys_app, serve_verb, webhooks_app
from kinowatt.cli.words import DeviceName, Zone, check_writable, say, size_of
from kinowatt.energy.processes import speaks
from kinowatt.errors import InputError, KinowattError, ShotError
from kinowatt.media.sheet import contact_sheet

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for name in ("generate", "extend", "connect", "loop", "remix"):
    app.command(name)(with_given(getattr(making, f"{name}_verb")))
app.command("image")(with_given(image_verb))
app.command("label")(energy.label_verb)
app.command("tune")(energy.tune_verb)
app.command("exam")(exam_verb)
app.add_typer(energy.energy_app, name="energy")
app.add_typer(bench_app, name="bench")
app.add_typer(grid_app, name="grid")
app.command("serve")(serve_verb)
app.add_typer(keys_app, name="keys")
app.add_typer(webhooks_app, name="webhooks")


@app.command("world")
def world_verb(
    preview: Annotated[Path, typer.Option(help="the contact sheet to write (PNG)")] = Path("sheet.png"),
    clips: Annotated[int, typer.Option(help="how many scenes", min=1, max=500)] = 12,
    seed: Annotated[int, typer.Option(help="the first scene's seed", min=0)] = 0,
    size: Annotated[str, typer.Option(help="width x height in pixels")] = "192x192",
) -> None:
    """Render random scenes of the toybox, the simulated world that spark learns from, into one contact sheet."""
    from kinowatt.worlds.toybox import Toybox

    check_writable(preview)
    wanted = size_of(size)
    if not 16 <= min(wanted) <= max(wanted) <= 4096:
        raise ShotError(f"{size} cannot be rendered; each side needs 16 to 4096 pixels")
    world = Toybox()
    samples = [world.sample(number, size=wanted) for number in range(seed, seed + clips)]
    contact_sheet(preview, [(s.caption, s.clip) for s in samples])
    say.print(f"{preview}: {clips} scenes")


@app.command("train")
def train_verb(
    what: Annotated[str, typer.Argument(help="codec, interpolator, painter, director, poser, observer, spark, distil, skies or phyworld")],
    recipe: Annotated[str, typer.Option(help="cpu, cpu-256 (goes on from cpu), gpu, or tiny, a rehearsal")] = "cpu",
    minutes: Annotated[float | None, typer.Option(help="wall clock of training; default: the recipe's", min=0.0)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest checkpoint")] = False,
    device: DeviceName = "auto",
    folder: Annotated[Path | None, typer.Option(help="where weights and checkpoints go; default: in runs/checkpoints")] = None,
    weather: Annotated[Path | None, typer.Option(help="a history of weather that skies also learns from")] = None,
    start: Annotated[Path | None, typer.Option(help="a model folder whose weights it begins with, instead of nothing")] = None,
    cache: Annotated[Path, typer.Option(help="where rendered clips and latents are kept")] = Path("runs/cache"),
    receipts: Annotated[Path, typer.Option(help="where the receipt goes")] = Path("runs/receipts"),
    zone: Zone = None,
) -> None:
    """Train the codec, spark, skies or phyworld, from nothing or from weights; leave a receipt."""
    from kinowatt.train.tasks import run

    folder = folder or Path("runs/checkpoints") / ("spark" if what == "codec" else what)
    receipt = run(what, recipe, minutes, resume, device, folder, cache, receipts, zone, weather=weather, start=start)
    if speaks():
        print(json.dumps(receipt, indent=1, ensure_ascii=False))


def main() -> None:
    """Run a verb. Exit code 0, 2 for a request that cannot work, 1 for a fault of ours, 130 when interrupted."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except TyperException as error:
        print(f"kinowatt: {error.format_message()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KinowattError as error:
        if speaks() or not isinstance(error, InputError):  # what one of several processes refuses, all of them do
            print(f"kinowatt: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("kinowatt: stopped; nothing was written", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if os.environ.get("KINOWATT_DEBUG"):
            traceback.print_exc()
        print(f"kinowatt: this is a fault of ours: {type(error).__name__}: {error} (KINOWATT_DEBUG=1 shows where)", file=sys.stderr)
        sys.exit(1)
