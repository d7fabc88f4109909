"""Words that several verbs share, and how they are read."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kinowatt.errors import InputError, OutputError, ShotError

say = Console(stderr=True, highlight=False)

ModelName = Annotated[str, typer.Option("--model", help="a known model, or a folder of weights")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu or cuda")]
RuntimeName = Annotated[str, typer.Option("--runtime", help="auto, torch, compile (torch.compile, warm after the first time) or openvino")]
Vram = Annotated[str | None, typer.Option(help="of the GPU's memory that may be used, for example 8GB; default: what is free")]
LoraFiles = Annotated[list[str] | None, typer.Option(help="FILE[:scale][@high|@low]: a LoRA of the network; may be repeated")]
Weights = Annotated[str | None, typer.Option(help="int8 or fp8: rounded weights, less memory, a small loss that is stated")]
StepCache = Annotated[float | None, typer.Option(help="leave blocks out while they change less than this, for example 0.1")]
Window = Annotated[str | None, typer.Option(help="attend within FRAMESxROWSxCOLUMNS tokens, for example 3x8x8")]
Zone = Annotated[
    str | None, typer.Option(help="where the electricity is from, for example FR or CN-GD; default: KINOWATT_ZONE, else the world")
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]


def size_of(text: str) -> tuple[int, int]:
    """ "256x144" to (256, 144). ShotError if it is no size."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(p.strip().isdecimal() and len(p) < 10 for p in parts):
        raise ShotError(f"size {text[:40]!r} is not understood; write width x height, for example 256x256")
    return int(parts[0]), int(parts[1])


def check_writable(out: Path) -> None:
    """Refuse before a joule is spent, not after the last step. OutputError."""
    if out.is_dir():
        raise OutputError(f"{out} is a folder; name a file in it, for example {out / 'out.mp4'}")
    if not out.parent.is_dir():
        raise OutputError(f"the folder {out.parent} does not exist; make it first, or write elsewhere with -o")
    if not os.access(out.parent, os.W_OK) or (out.exists() and not os.access(out, os.W_OK)):
        raise OutputError(f"{out} cannot be written; choose another place with -o")


def time_of(text: str) -> float:
    """ "6h", "90min", "2d" from now, or a date and time (local, unless it names its zone), to seconds since 1970. InputError."""
    units = {"min": 60.0, "h": 3600.0, "d": 86400.0}
    for unit, seconds in units.items():
        if text.endswith(unit) and text[: -len(unit)].replace(".", "", 1).isdecimal():
            return time.time() + float(text[: -len(unit)]) * seconds
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{text!r} is no time; write 6h, 90min or 2d from now, or a date such as 2026-12-01T06:00") from None
