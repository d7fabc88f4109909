"""What a shot will be: every default filled in, every size settled, every doubt said. No torch here: the web process plans too."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from kinowatt import language
from kinowatt.errors import ShotError
from kinowatt.models.sentence import sentence
from kinowatt.models.spec import ModelSpec
from kinowatt.shot import MAX_SECONDS, OUTSIDE, START, Shot

SMALLEST = 16  # pixels of a side


@dataclass(frozen=True)
class Plan:
    """A shot with every default filled in: what will be computed. Sizes in pixels.

    The network computes the canvas; the middle of it (inner) is the picture, and is enlarged to the size asked for where that is
    more than the model can do by itself.
    """

    shot: Shot
    frames: int
    width: int
    height: int
    inner_width: int
    inner_height: int
    canvas_width: int
    canvas_height: int
    tokens: tuple[str, ...]  # of the prompt: words of the lexicon, or one sentence for models that read such
    negative: tuple[str, ...]
    reading: language.Reading
    guidance_low: float | None = None  # of the second of two networks; None: as the first
    warnings: tuple[str, ...] = field(default=())

    @property
    def enlarged(self) -> bool:
        """Whether the network computes fewer pixels than are asked for."""
        return (self.inner_width, self.inner_height) != (self.width, self.height)


def frames_of(seconds: float, fps: float, stride: int = 4) -> int:
    """The nearest number of frames `stride` k + 1 that the codec can hold; of MAX_SECONDS at most, or hardly more."""
    return max(round((min(seconds, MAX_SECONDS) * fps - 1) / stride), 0) * stride + 1


def fill(shot: Shot, spec: ModelSpec) -> Plan:
    """Fill the defaults of the model into a shot. ShotError if it cannot be made."""
    aspect = shot.anchors[0].clip.width / shot.anchors[0].clip.height if shot.anchors else None
    width, height = shot.size or default_size(spec, aspect)
    if width % 2 or height % 2:
        raise ShotError(
            f"{width}x{height} has an odd side, which H.264 video cannot hold; {width + width % 2}x{height + height % 2} would work"
        )
    seconds = spec.seconds if shot.seconds is None else shot.seconds
    frames = frames_of(seconds, spec.fps, spec.frame_stride)
    inner = _inner(width, height, spec)
    canvas = [math.ceil(side / spec.grid) * spec.grid for side in inner]
    if spec.needs_image and not any(a.at in (START, 0.0) for a in shot.anchors):
        raise ShotError(f"{spec.name} goes on from an image; give one that the clip starts with, for example --image photo.jpg")
    steps = spec.steps if shot.steps is None else shot.steps
    guidance = spec.guidance if shot.guidance is None else shot.guidance
    seconds = min(frames / spec.fps, MAX_SECONDS)
    filled = replace(shot, size=(width, height), seconds=seconds, steps=steps, guidance=guidance, cache=shot.cache or 1)
    low = spec.guidance_low if shot.guidance is None else None
    tokens, negative, reading = _words(shot, spec)
    plan = Plan(filled, frames, width, height, *inner, canvas[0], canvas[1], tokens, negative, reading, low)
    return replace(plan, warnings=_warnings(plan, spec))


def _words(shot: Shot, spec: ModelSpec) -> tuple[tuple[str, ...], tuple[str, ...], language.Reading]:
    """What the text encoder is given for the prompt and against it, and what the lexicon made of the prompt."""
    if spec.reads_sentences:
        return (sentence(shot),), (shot.negative,), language.Reading((), {}, (), ())
    reading = language.read(shot.prompt)
    extra = language.controls(**vars(shot.camera), light=shot.light, mood=shot.mood)
    negative = language.read(shot.negative).tokens if shot.negative else ()
    return language.merge(reading, extra), negative, reading


def _inner(width: int, height: int, spec: ModelSpec) -> tuple[int, int]:
    """The size that the network computes: the one asked for, or the largest of its aspect that the model can do."""
    scale = math.sqrt(spec.most_pixels / (width * height))
    if scale >= 1:
        return width, height
    if scale * min(width, height) < SMALLEST:
        raise ShotError(f"{width}x{height} is too narrow; {spec.name} makes sides of at most {spec.most_pixels // SMALLEST**2} to 1")
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


def default_size(spec: ModelSpec, aspect: float | None = None) -> tuple[int, int]:
    """The model's own size, or, where footage of an aspect (width over height) is given, the nearest trained size.

    Where no trained size is known, one of that aspect with about as many pixels as the model's own, whole tokens a side.
    """
    if aspect is None:
        return spec.size
    if not spec.trained_sizes:
        height = math.sqrt(spec.size[0] * spec.size[1] / aspect)
        return max(round(height * aspect / spec.grid), 1) * spec.grid, max(round(height / spec.grid), 1) * spec.grid
    return min(spec.trained_sizes, key=lambda s: abs(math.log(s[0] / s[1]) - math.log(aspect)))


def _warnings(plan: Plan, spec: ModelSpec) -> tuple[str, ...]:
    said = [spec.weakness] if spec.weakness else []
    areas = [w * h for w, h in spec.trained_sizes]
    if plan.enlarged:
        said.append(
            f"{spec.name} makes pictures of at most {spec.most_pixels} pixels: it was computed at {plan.inner_width}x{plan.inner_height} "
            f"and enlarged to {plan.width}x{plan.height} by plain interpolation"
        )
    elif areas and not 0.7 * min(areas) <= plan.width * plan.height <= 1.4 * max(areas):
        sizes = ", ".join(f"{w}x{h}" for w, h in spec.trained_sizes)
        said.append(f"{spec.name} is made for {sizes}; {plan.width}x{plan.height} is beyond that and may look worse")
    if plan.frames > spec.trained_frames:
        most = spec.trained_frames / spec.fps
        said.append(f"{spec.name} was trained on clips of {most:.1f} s; {plan.frames / spec.fps:.1f} s in one go will drift")
    for mode in modes_of(plan.shot):
        if mode not in spec.trained_modes:
            said.append(f"{spec.name} was not trained on the mode {mode!r}")
    if not spec.reads_sentences and not plan.reading.understood:
        said.append(f"{spec.name} understood no word of the prompt; it will show a scene of its own choice")
    return tuple(said)


def modes_of(shot: Shot) -> tuple[str, ...]:
    """The ways of placing anchors, in the words of `ModelSpec.trained_modes`."""
    inside = [a for a in shot.anchors if a.at != OUTSIDE]
    reference = () if len(inside) == len(shot.anchors) else ("reference",)
    at = {a.at for a in inside}
    if not at:
        return reference or ("text",)
    if any(a.strength < 1 for a in inside):
        return ("soft", *reference)
    if at - {"start", "end"}:
        return ("keys", *reference)
    return ("both" if len(at) > 1 else str(at.pop()), *reference)
