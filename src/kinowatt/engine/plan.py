"""What a shot will be: every default filled in, every size settled, every doubt said. No torch here: the web process plans too."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace

from kinowatt import language
from kinowatt.engine import stages
from kinowatt.engine.stages import Refining, Stage
from kinowatt.errors import ShotError
from kinowatt.models.sentence import sentence
from kinowatt.models.spec import ModelSpec
from kinowatt.shot import MAX_SECONDS, MAX_WHOLE_SECONDS, OUTSIDE, OVERLAP_FRAMES, START, Shot

SMALLEST = 16  # pixels of a side
LEAST_WINDOW = 4  # latent frames: fewer leave no room for what was and what comes


@dataclass(frozen=True)
class Roll:
    """How a window goes over a clip that is longer than its model has seen. All counts are of latent frames.

    The clip is made part by part: the first fills the window, each other one adds `stride` frames at its end, behind what is clean.
    """

    frames: int  # of the clip
    window: int  # that the network sees at once
    stride: int  # by which it goes on
    steps: int  # that each part takes

    @property
    def total(self) -> int:
        """Steps until the last frame is clean: one pass each, or two with guidance."""
        return self.steps * (1 + -(-(self.frames - self.window) // self.stride))

    def part(self, step: int) -> range:
        """The frames that a step moves."""
        begin = self.clean(step)
        return range(begin, min(begin + self.stride, self.frames) if begin else self.window)

    def clean(self, step: int) -> int:
        """Frames that are clean before a step, from the first on."""
        parts = step // self.steps
        return min(self.window + self.stride * (parts - 1), self.frames) if parts else 0

    def splits(self, frame: int) -> bool:
        """Whether what begins with a frame begins within a part."""
        return frame < self.window or (frame - self.window) % self.stride > 0

    def begin(self, step: int) -> int:
        """The frame at which the window begins."""
        return max(min(self.clean(step) + self.stride, self.frames) - self.window, 0)


def rolls(spec: ModelSpec) -> bool:
    """Whether a model was trained on frames that each have a level of noise of their own (train/loss.py): then a window may roll."""
    return "lagged" in spec.trained_modes and (spec.trained_frames - 1) // spec.frame_stride + 1 >= LEAST_WINDOW


def roll_of(frames: int, steps: int, spec: ModelSpec) -> Roll:
    """The window over a clip of pixel frames: as long as the clips of training, and new by two thirds in each part."""
    seen, count = ((n - 1) // spec.frame_stride + 1 for n in (spec.trained_frames, frames))
    return Roll(count, min(seen, count), 2 * seen // 3, steps)


@dataclass(frozen=True)
class Plan:
    """A shot with every default filled in: what will be computed. Sizes in pixels.

    The network computes the canvas; the middle of it (inner) is the picture, and is enlarged to the size asked for where that is
    more than the model can do in one go: by plain interpolation, or by the model itself in stages.
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
    strength: float = 1.0  # of guidance, as it is computed at each step; 1 takes one pass
    begins: float = 1.0  # the level of noise at which the clip begins, where it has a backdrop
    one_pass: bool = False  # the network is asked for a velocity that is guided already
    warnings: tuple[str, ...] = field(default=())
    stages: tuple[Stage, ...] = ()  # of enlarging by the model itself
    roll: Roll | None = None  # where the clip is longer than the model has seen, or has a storyboard
    scenes: tuple[tuple[int, tuple[str, ...]], ...] = ()  # of the storyboard: the latent frame where one begins, and its tokens

    @property
    def enlarged(self) -> bool:
        """Whether the network computes fewer pixels than are asked for."""
        return (self.inner_width, self.inner_height) != (self.width, self.height)

    @property
    def small(self) -> Plan:
        """The same before its stages of enlarging."""
        return replace(self, width=self.inner_width, height=self.inner_height, stages=()) if self.stages else self


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
    _check_length(seconds, shot, spec)
    frames = frames_of(seconds, spec.fps, spec.frame_stride)
    inner = _inner(width, height, spec)
    canvas = [math.ceil(side / spec.grid) * spec.grid for side in inner]
    if spec.needs_image and not any(a.at in (START, 0.0) for a in shot.anchors):
        raise ShotError(f"{spec.name} goes on from an image; give one that the clip starts with, for example --image photo.jpg")
    begins, most = (spec.begins, spec.steps) if from_words(shot) else (1.0, spec.steps_from_noise or spec.steps)
    steps = most if shot.steps is None else shot.steps
    guidance = spec.guidance if shot.guidance is None else shot.guidance
    seconds = min(frames / spec.fps, MAX_SECONDS)
    filled = replace(shot, size=(width, height), seconds=seconds, steps=steps, guidance=guidance, cache=shot.cache or 1)
    low = spec.guidance_low if shot.guidance is None else None
    tokens, negative, reading = _words(shot, spec)
    said = tokens or negative or shot.storyboard
    strength = spec.strength(guidance, bool(shot.negative)) if said else 1.0  # with nothing to follow there is nothing to strengthen
    plan = Plan(
        filled, frames, width, height, *inner, canvas[0], canvas[1], tokens, negative, reading, low, strength, begins,
        spec.one_pass is not None,
    )  # fmt: skip
    if rolls(spec) and (frames > spec.trained_frames or shot.storyboard):
        plan = _rolled(plan, spec)
    how = stages.measured(spec) if plan.enlarged else None
    if plan.enlarged and stages.way_of(shot.enlarge, spec, seconds, how) == stages.REFINE:
        latent_frames = (frames - 1) // spec.frame_stride + 1
        plan = replace(plan, stages=stages.stages(inner, (width, height), latent_frames, spec, how or stages.UNMEASURED))
    return replace(plan, warnings=_warnings(plan, spec, how))


def from_words(shot: Shot) -> bool:
    """Whether nothing is given of what the clip shows: it may begin as its backdrop."""
    return all(anchor.at == OUTSIDE for anchor in shot.anchors)


def _check_length(seconds: float, shot: Shot, spec: ModelSpec) -> None:
    """ShotError where a model cannot make a clip so long, or a storyboard goes on after its end."""
    most = MAX_WHOLE_SECONDS + 2 * OVERLAP_FRAMES / spec.fps  # with what it leans on at both sides
    if not rolls(spec) and seconds > most:
        raise ShotError(f"{spec.name} makes a clip in one go; ask for at most {MAX_WHOLE_SECONDS:g} seconds")
    if not rolls(spec) and shot.storyboard:
        raise ShotError(f"{spec.name} has one text for all of a clip; leave the storyboard out, or use spark")
    if shot.storyboard and shot.storyboard[-1][0] >= seconds:
        raise ShotError(f"the text at {shot.storyboard[-1][0]:g} s comes after the end of a clip of {seconds:g} s")


def _rolled(plan: Plan, spec: ModelSpec) -> Plan:
    """With its window and its scenes. The term of guidance is not kept over steps: what the window shows moves on between them."""
    assert plan.shot.steps is not None
    scenes, readings = [], [plan.reading]
    for second, text in plan.shot.storyboard:
        tokens, _, reading = _words(replace(plan.shot, prompt=text), spec)
        scenes.append((-(-round(second * spec.fps) // spec.frame_stride), tokens))  # the first latent frame that lies after it
        readings.append(reading)
    words = ([r.understood for r in readings], [r.not_understood for r in readings])
    heard, missed = (tuple(dict.fromkeys(itertools.chain(*found))) for found in words)
    reading = replace(plan.reading, understood=heard, not_understood=missed)
    roll = roll_of(plan.frames, plan.shot.steps, spec)
    return replace(plan, roll=roll, scenes=tuple(scenes), reading=reading, shot=replace(plan.shot, cache=1))


def _words(shot: Shot, spec: ModelSpec) -> tuple[tuple[str, ...], tuple[str, ...], language.Reading]:
    """What the text encoder is given for the prompt and against it, and what the lexicon made of the prompt."""
    if spec.reads_sentences:
        return (sentence(shot),), (shot.negative,), language.Reading((), {}, (), ())
    reading, camera = language.read(shot.prompt), shot.camera
    said = {"move": camera.move, "lens_mm": camera.lens_mm, "shot": camera.shot, "angle": camera.angle}
    extra = language.controls(**said, light=shot.light, mood=shot.mood)  # type: ignore[arg-type]
    negative = language.read(shot.negative).tokens if shot.negative else ()
    tokens = language.merge(reading, extra)
    # Words that mean nothing are learnt beside others. Alone they are nothing that a network has seen: it has seen no words at all.
    return tokens if any(not token.startswith("~") for token in tokens) else (), negative, reading


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


def _warnings(plan: Plan, spec: ModelSpec, how: Refining | None) -> tuple[str, ...]:
    said = [spec.weakness] if spec.weakness else []
    areas = [w * h for w, h in spec.trained_sizes]
    if plan.enlarged:
        said.append(
            f"{spec.name} makes pictures of at most {spec.most_pixels} pixels: it was computed at {plan.inner_width}x{plan.inner_height} "
            f"and enlarged to {plan.width}x{plan.height} {_enlarged(plan)}"
        )
        said.append(how.told if how else "which way to enlarge shows more of a scene was not measured on these weights")
    elif areas and not 0.7 * min(areas) <= plan.width * plan.height <= 1.4 * max(areas):
        sizes = ", ".join(f"{w}x{h}" for w, h in spec.trained_sizes)
        said.append(f"{spec.name} is made for {sizes}; {plan.width}x{plan.height} is beyond that and may look worse")
    if plan.frames > spec.trained_frames:
        made = "are made by a window that rolls over them, and may drift" if plan.roll else "in one go will drift"
        said.append(f"{spec.name} was trained on clips of {spec.trained_frames / spec.fps:.1f} s; {plan.frames / spec.fps:.1f} s {made}")
    for mode in modes_of(plan.shot):
        if mode not in spec.trained_modes:
            said.append(f"{spec.name} was not trained on the mode {mode!r}")
    if not spec.reads_sentences and not plan.reading.understood:
        said.append(f"{spec.name} understood no word of the prompt; it will show a scene of its own choice")
    return tuple(said)


def _enlarged(plan: Plan) -> str:
    if not plan.stages:
        return "by plain interpolation"
    count = len(plan.stages)
    return f"by the model itself, in {f'{count} stages' if count > 1 else 'one stage'} of {plan.stages[0].steps} steps"


def modes_of(shot: Shot) -> tuple[str, ...]:
    """The ways of placing anchors, in the words of `ModelSpec.trained_modes`."""
    inside = [a for a in shot.anchors if a.at != OUTSIDE]
    reference = (() if len(inside) == len(shot.anchors) else ("reference",)) + (("path",) if shot.camera.path else ())
    at = {a.at for a in inside}
    if not at:
        return reference if "reference" in reference else ("text", *reference)
    if any(a.strength < 1 for a in inside):
        return ("soft", *reference)
    if at - {"start", "end"}:
        return ("keys", *reference)
    return ("both" if len(at) > 1 else str(at.pop()), *reference)
