"""The request. A Shot says everything about one take; there is no other request type and no pipeline per task.

A generation mode is not code but a placement of anchors, made by the helpers at the end of this page.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from kinowatt.clip import Clip
from kinowatt.errors import PromptError, ShotError

START: Literal["start"] = "start"
END: Literal["end"] = "end"
OUTSIDE: Literal["outside"] = "outside"
At = float | Literal["start", "end", "outside"]

MAX_PROMPT_CHARS = 32_000  # as the Videos API
MAX_SECONDS = 600.0  # of models that roll; others make MAX_WHOLE_SECONDS
MAX_WHOLE_SECONDS = 60.0
MAX_SCENES = 100
BLEND = 0.35  # how firmly a dissolve holds that is to become one scene
OVERLAP_FRAMES = 9  # given to the model on each side of a seam: three latents, enough to see how things move


@dataclass(frozen=True, eq=False)
class Anchor:
    """Footage placed in time.

    `at`: START, END, the second at which its first frame stands, or OUTSIDE of time: seen by the model, not in the clip.
    `strength`: 1 keeps the footage as it is, 0 ignores it; in between it may be redrawn (noise ceiling = 1 - strength).
    `latents_CFHW`: where the footage ends a clip that the same model made, all latents of that clip: time goes on from them rather
    than from the footage encoded anew. At START only.
    """

    clip: Clip
    at: At = START
    strength: float = 1.0
    latents_CFHW: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.strength <= 1.0:
            raise ShotError(f"an anchor's strength lies in (0, 1], not {self.strength:g}")
        if isinstance(self.at, (int, float)) and not (math.isfinite(self.at) and self.at >= 0):
            raise ShotError(f"an anchor stands at a second >= 0, not at {self.at}")
        if self.latents_CFHW is not None and (self.at != START or self.strength < 1.0):
            raise ShotError("latents go on in time only from the start, and as they are")


@dataclass(frozen=True)
class CameraKey:
    """A key frame of a camera path: second, place and what is looked at (x right, y ahead, z up; any unit), and focal length.

    `focal_mm` is full-frame equivalent (24 mm high sensor). The ground lies at z = 0: noise that stands in the world stands there.
    """

    at_s: float
    position: tuple[float, float, float]
    look_at: tuple[float, float, float]
    focal_mm: float = 35.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.at_s) and self.at_s >= 0):
            raise ShotError(f"a key frame of the camera stands at a second >= 0, not at {self.at_s:g}")
        if not 8 <= self.focal_mm <= 1200:
            raise ShotError(f"a lens of {self.focal_mm:g} mm does not exist here; use 8 to 1200")
        ahead = [b - a for a, b in zip(self.position, self.look_at, strict=True)]
        if math.hypot(*ahead[:2]) < 1e-3 * max(math.hypot(*ahead), 1e-9):
            raise ShotError("the camera looks straight up or down, or at its own place; move look_at a little aside")


@dataclass(frozen=True)
class Camera:
    """How the picture is taken: explicit controls that override the prompt's words. All optional.

    `move` such as orbit-left; `lens_mm` full-frame equivalent (24 mm high sensor); `shot` scale; `angle`; `path`: key frames in the
    order of time, which the model follows.
    """

    move: str | None = None
    lens_mm: float | None = None
    shot: str | None = None
    angle: str | None = None
    path: tuple[CameraKey, ...] = ()

    def __post_init__(self) -> None:
        if any(b.at_s <= a.at_s for a, b in itertools.pairwise(self.path)):
            raise ShotError("the key frames of the camera must stand one after the other in time")


@dataclass(frozen=True)
class Budget:
    """What a take may cost in all: watt-hours, grams of CO2 equivalent (operational), or both; then the tighter one counts."""

    Wh: float | None = None
    gCO2e: float | None = None

    def __post_init__(self) -> None:
        for value, unit in ((self.Wh, "Wh"), (self.gCO2e, "g CO2e")):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ShotError(f"a budget of {value:g} {unit} buys nothing; give a positive number")

    def joules(self, gCO2e_per_kWh: float, pue: float = 1.0) -> float | None:
        """The joules of devices that it stands for at a carbon intensity; None if it is empty."""
        grams = None if self.gCO2e is None or gCO2e_per_kWh <= 0 else self.gCO2e / gCO2e_per_kWh / pue * 3.6e6
        known = [v for v in (None if self.Wh is None else self.Wh * 3600.0, grams) if v is not None]
        return min(known, default=None)


@dataclass(frozen=True, eq=False)
class Shot:
    """One take to be made. Sizes in pixels, durations in seconds; None means the model's own default."""

    prompt: str
    negative: str = ""
    seconds: float | None = None
    size: tuple[int, int] | None = None  # width, height
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(2**31))
    steps: int | None = None
    guidance: float | None = None
    cache: int | None = None  # the guidance term is computed at every so manieth step and kept in between
    model: str = "spark"
    anchors: tuple[Anchor, ...] = ()
    camera: Camera = Camera()
    light: str | None = None  # time of day
    mood: str | None = None
    budget: Budget = Budget()
    enlarge: str | None = None  # how sizes beyond the model's own are made: "refine", "lanczos", or as was measured
    storyboard: tuple[tuple[float, str], ...] = ()  # (second, prompt): what is to be seen from there on, after the prompt itself

    def __post_init__(self) -> None:
        for prompt in (self.prompt, *(text for _, text in self.storyboard)):
            if not prompt.strip():
                raise PromptError("the prompt is empty; say what should be seen, for example: a red ball bounces on sand at dusk")
            if len(prompt) > MAX_PROMPT_CHARS:
                raise PromptError(f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT_CHARS} are read")
        seconds = [0.0, *(second for second, _ in self.storyboard)]
        if not all(math.isfinite(b) and a < b for a, b in itertools.pairwise(seconds)) or len(seconds) > MAX_SCENES + 1:
            raise ShotError(f"a storyboard goes on in time after second 0, from one text to the next, with at most {MAX_SCENES} of them")
        if self.seconds is not None and not (0 < self.seconds <= MAX_SECONDS):
            raise ShotError(f"{self.seconds:g} seconds cannot be made; ask for more than 0 and at most {MAX_SECONDS:g}")
        if self.size is not None and min(self.size) < 16:
            raise ShotError(f"{self.size[0]}x{self.size[1]} is too small; each side needs at least 16 pixels")
        if self.size is not None and self.size[0] * self.size[1] > 4096 * 4096:
            raise ShotError(f"{self.size[0]}x{self.size[1]} is too large; at most 4096x4096 pixels")
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise ShotError(f"{self.steps} steps cannot be taken; ask for 1 to 1000")
        if self.guidance is not None and not (0 <= self.guidance <= 50):
            raise ShotError(f"guidance {self.guidance:g} is out of range; 0 to 50")
        if self.cache is not None and not 1 <= self.cache <= 100:
            raise ShotError(f"a guidance term kept for {self.cache} steps is out of range; 1 (computed each time) to 100")
        if self.enlarge not in (None, "refine", "lanczos"):
            raise ShotError(f"{self.enlarge!r} is no way to enlarge; use refine or lanczos")
        if not 0 <= self.seed < 2**63:
            raise ShotError(f"seed {self.seed} is out of range; 0 to {2**63 - 1}")


def extend(
    shot: Shot, clip: Clip, *, backward: bool = False, overlap_frames: int = OVERLAP_FRAMES, latents_CFHW: np.ndarray | None = None
) -> Shot:
    """Run `clip` on into the future (its last frames at START) or the past (its first frames at END).

    `latents_CFHW`: all latents of `clip`, where they are known; time then goes on from them.
    """
    n = min(overlap_frames, clip.frames)
    tail = clip.cut(clip.frames - n, clip.frames)
    anchor = Anchor(clip.cut(0, n), END) if backward else Anchor(tail, START, latents_CFHW=latents_CFHW)
    return replace(shot, anchors=(*shot.anchors, anchor))


def connect(shot: Shot, before: Clip, after: Clip, *, overlap_frames: int = OVERLAP_FRAMES) -> Shot:
    """Fill the time between two clips: the end of one at START, the head of the other at END."""
    return extend(extend(shot, before, overlap_frames=overlap_frames), after, backward=True, overlap_frames=overlap_frames)


def loop(shot: Shot, clip: Clip, *, overlap_frames: int = OVERLAP_FRAMES) -> Shot:
    """Lead `clip` back into itself: its own tail at START, its own head at END."""
    return connect(shot, clip, clip, overlap_frames=overlap_frames)


def blend(shot: Shot, before: Clip, after: Clip, frames: int, *, strength: float = BLEND, overlap_frames: int = OVERLAP_FRAMES) -> Shot:
    """Let `before` dissolve into `after`: the last `frames` of the one and the first of the other become one scene.

    The dissolve itself is an anchor that may be redrawn as much as 1 - strength; what stands before and after it is kept. Both clips
    have the shot's size and rate. ShotError if they are too short.
    """
    if min(before.frames, after.frames) <= frames:
        raise ShotError(f"clips of {before.frames} and {after.frames} frames are too short to blend over {frames}; ask for fewer seconds")
    assert before.fps is not None
    share = ((np.arange(frames, dtype=np.float32) + 0.5) / frames)[:, None, None, None]
    mixed = before.frames_TCHW[before.frames - frames :] * (1.0 - share) + after.frames_TCHW[:frames] * share
    start, end = before.cut(0, before.frames - frames), after.cut(frames, after.frames)
    soft = Anchor(replace(before, frames_TCHW=mixed.round().astype(np.uint8)), min(overlap_frames, start.frames) / before.fps, strength)
    joined = connect(shot, start, end, overlap_frames=overlap_frames)
    return replace(joined, anchors=(*joined.anchors, soft))


def remix(shot: Shot, clip: Clip, *, strength: float) -> Shot:
    """Redraw a whole clip: it stands at START and may change as much as 1 - strength."""
    return replace(shot, anchors=(*shot.anchors, Anchor(clip, START, strength)))


def still(clip: Clip, frames: int) -> Clip:
    """The first frame of `clip`, held for `frames` frames."""
    return replace(clip, frames_TCHW=np.repeat(clip.frames_TCHW[:1], frames, axis=0))
