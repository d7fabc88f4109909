"""The verbs that make pictures and videos: words and files become a Shot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kinowatt.cli.given import Given
from kinowatt.cli.take import How, is_picture, make, say_plan
from kinowatt.cli.words import say
from kinowatt.engine.bridge import Way, bridge
from kinowatt.errors import MediaError, PromptError, ShotError
from kinowatt.media.camera_path import read as read_path
from kinowatt.media.image import read_image
from kinowatt.media.provenance import read_label
from kinowatt.media.video import read_video
from kinowatt.models import specs
from kinowatt.shot import END, MAX_SECONDS, START, Anchor, Camera, Shot, remix

Negative = Annotated[str, typer.Option(help="what should not be seen")]
GOES_ON = "the scene goes on"  # what stands where nothing is said


def generate_verb(
    prompt: Annotated[list[str], typer.Argument(help="what is to be seen; then a text for each --at, in order")],
    given: Given,
    at: Annotated[
        list[str] | None, typer.Option(help='a second from which another text counts: --at 20s "the sea at night"; may be repeated')
    ] = None,
    image: Annotated[list[str] | None, typer.Option(help="FILE[@start|@end|@1.5s]: an image placed in time; may be repeated")] = None,
    video: Annotated[list[str] | None, typer.Option(help="FILE[@start|@end|@1.5s]: footage placed in time; may be repeated")] = None,
    strength: Annotated[float, typer.Option(help="how firmly --video holds: 1 keeps it, less lets it be redrawn")] = 1.0,
    negative: Negative = "",
    camera: Annotated[str | None, typer.Option(help="camera move, for example orbit-left, dolly-in, crane-up")] = None,
    lens: Annotated[float | None, typer.Option(help="focal length in mm")] = None,
    shot: Annotated[str | None, typer.Option(help="shot scale: macro, close-up, near, medium, wide")] = None,
    angle: Annotated[str | None, typer.Option(help="camera angle: low, eye, high")] = None,
    camera_path: Annotated[Path | None, typer.Option(help="a JSON file of key frames that the camera goes through")] = None,
    light: Annotated[str | None, typer.Option(help="time of day: dawn, noon, dusk, night")] = None,
    mood: Annotated[str | None, typer.Option(help="mood: lonely, lively, calm, tense, mysterious")] = None,
) -> None:
    """Make a video (or a picture) from a sentence, images and footage."""
    anchors = [_place(text, read_image, 1.0) for text in image or []]
    path = () if camera_path is None else read_path(camera_path)
    anchors += [_place(text, read_video, strength) for text in video or []]
    first, *scenes = _scenes(prompt, at or [])
    request = replace(given.shot(first[1], negative), storyboard=tuple(scenes))
    if request.seconds is None and is_picture(given.out):
        request = replace(request, seconds=0.0001)  # one frame
    request = replace(request, anchors=tuple(anchors), camera=Camera(camera, lens, shot, angle, path), light=light, mood=mood)
    if given.seconds is None and any(a.strength < 1 for a in anchors):
        request = replace(request, seconds=max(a.clip.seconds for a in anchors if a.strength < 1))
    _shoot("generate", request, given.how())


def extend_verb(
    clip: Path,
    given: Given,
    prompt: Annotated[str | None, typer.Option(help="what happens there; default: what the clip's own label says")] = None,
    backward: Annotated[bool, typer.Option("--backward", help="into the past")] = False,
) -> None:
    """Run a clip on into the future, or with --backward into the past."""
    text = _text(prompt, [clip], GOES_ON, first=backward)
    _bridge("extend", _in_its_world(given.shot(text), given, clip), [clip], "backward" if backward else "forward", given.how())


def connect_verb(
    before: Path,
    after: Path,
    given: Given,
    prompt: Annotated[str | None, typer.Option(help="what happens in between; default: the text of both labels, if it is one")] = None,
    blend: Annotated[bool, typer.Option("--blend", help="let the end of the one dissolve into the beginning of the other")] = False,
) -> None:
    """Fill the time between two clips, or with --blend draw the one over into the other."""
    text = _text(prompt, [before, after], "one scene turns into the other")
    _bridge("connect", _in_its_world(given.shot(text), given, before), [before, after], "blend" if blend else "connect", given.how())


def loop_verb(
    clip: Path,
    given: Given,
    prompt: Annotated[str | None, typer.Option(help="what happens on the way back; default: what the clip's own label says")] = None,
) -> None:
    """Lead a clip back to its own beginning."""
    text = _text(prompt, [clip], GOES_ON)
    _bridge("loop", _in_its_world(given.shot(text), given, clip), [clip], "loop", given.how())


def remix_verb(
    clip: Path,
    prompt: str,
    given: Given,
    strength: Annotated[float, typer.Option(help="how firmly the clip holds: 1 keeps it, less lets it be redrawn")] = 0.4,
    negative: Negative = "",
) -> None:
    """Redraw a whole clip after a new sentence."""
    request = given.shot(prompt, negative)
    source = read_video(clip)
    if request.seconds is None:
        request = replace(request, seconds=min(source.seconds, MAX_SECONDS))
    _shoot("remix", remix(request, source, strength=strength), given.how())


def _text(prompt: str | None, files: list[Path], otherwise: str, first: bool = False) -> str:
    """The prompt that was given; else the one that the labels of all these clips agree on, and a note of it; else what says nothing.

    Of a clip that was told in several texts, the one at its end counts, or at its beginning.
    """
    if prompt is not None:
        return prompt
    own = {_told(path, first) for path in files}
    text = own.pop()
    if own or text is None:
        return otherwise
    say.print(f"note: the prompt is what the clip's own label says: {text}", markup=False)
    return text


def _told(path: Path, first: bool) -> str | None:
    """The last text of a clip, or the first, as its label gives it; None if none can be read there."""
    try:
        shot = read_label(path)["shot"]
        text = shot["prompt"] if first or not shot.get("storyboard") else shot["storyboard"][-1][1]
        Shot(text)  # a label may say anything
    except (MediaError, PromptError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return str(text)


def _in_its_world(shot: Shot, given: Given, clip: Path) -> Shot:
    """The shot with the seed of the clip's label, unless another was given: from noise that stands there comes more of the same place."""
    if given.seed is not None or not specs.find(shot.model).standing:
        return shot
    try:
        return replace(shot, seed=int(read_label(clip)["shot"]["seed"]))
    except (MediaError, ShotError, KeyError, TypeError, ValueError):  # a label may say anything
        return shot


def _place(text: str, read: Any, strength: float) -> Anchor:
    """FILE[@start|@end|@1.5s] to an anchor; a file whose own name holds an @ is tried whole first."""
    name, at, where = text.rpartition("@")
    if not at or Path(text).exists():
        return Anchor(read(Path(text)), START, strength)
    if where in (START, END):
        return Anchor(read(Path(name)), START if where == START else END, strength)
    return Anchor(read(Path(name)), _second(where, text, "@start, @end or seconds such as @1.5s"), strength)


def _scenes(texts: list[str], at: list[str]) -> list[tuple[float, str]]:
    """The second at which each text begins to count; the first one from the start. ShotError if they do not belong together."""
    seconds = [_second(text, "--at") for text in at]
    if not seconds or seconds[0] > 0:
        seconds.insert(0, 0.0)
    if len(texts) != len(seconds):
        raise ShotError(f"{len(texts)} texts do not fit {len(at)} --at; write one prompt, then a text behind each --at SECOND")
    return list(zip(seconds, texts, strict=True))


def _second(text: str, whole: str, known: str = "seconds such as 20s") -> float:
    """ "1.5s" or "1.5". ShotError if it is no second."""
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise ShotError(f"{text!r} in {whole!r} is no place in time; write {known}") from None


def _shoot(verb: str, request: Shot, how: How) -> None:
    if how.dry_run:
        say_plan(request, how)
        return
    make(verb, request, how)


def _bridge(verb: str, request: Shot, files: list[Path], way: Way, how: How) -> None:
    """Make footage that leans on given clips, and join it with them."""
    clips = [read_video(path) for path in files]
    plan = bridge(request, clips, way, specs.find(request.model))
    if how.dry_run:
        say_plan(plan.shot, how)
        return
    make(verb, plan.shot, how, plan, files)
