"""The verb that makes one picture: a clip of one frame, written as PNG with its label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinowatt.cli.given import Given
from kinowatt.cli.making import Negative
from kinowatt.cli.take import is_picture, make, say_plan
from kinowatt.errors import OutputError, ShotError
from kinowatt.media.image import read_image
from kinowatt.shot import START, Anchor, Camera

ONE_FRAME_s = 0.0001  # rounded to the least clip that a codec holds


def image_verb(
    prompt: str,
    given: Given,
    image: Annotated[Path | None, typer.Option(help="a picture to redraw after the prompt, in its aspect")] = None,
    strength: Annotated[float, typer.Option(help="how firmly --image holds: 1 keeps it, less lets it be redrawn")] = 0.4,
    negative: Negative = "",
    lens: Annotated[float | None, typer.Option(help="focal length in mm")] = None,
    shot: Annotated[str | None, typer.Option(help="shot scale: macro, close-up, near, medium, wide")] = None,
    angle: Annotated[str | None, typer.Option(help="camera angle: low, eye, high")] = None,
    light: Annotated[str | None, typer.Option(help="time of day: dawn, noon, dusk, night")] = None,
    mood: Annotated[str | None, typer.Option(help="mood: lonely, lively, calm, tense, mysterious")] = None,
) -> None:
    """Make one picture (PNG, out.png by default) from a sentence, or redraw one."""
    given = replace(given, out=Path("out.png") if given.out == Given.out else given.out)
    if not is_picture(given.out):
        raise OutputError(f"{given.out} is no picture; name a .png, or make a video with kinowatt generate")
    if given.seconds is not None:
        raise ShotError("a picture lasts no time; leave --seconds out, or make a video with kinowatt generate")
    anchors = () if image is None else (Anchor(read_image(image), START, strength),)
    request = replace(given.shot(prompt, negative), seconds=ONE_FRAME_s, anchors=anchors)
    request = replace(request, camera=Camera(None, lens, shot, angle), light=light, mood=mood)
    if given.dry_run:
        say_plan(request, given.how())
    else:
        make("image", request, given.how())
