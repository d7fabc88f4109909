"""The scenes that the exam asks about: their numbers, their prompts, and their truth. No training sees them, nor its own validation.

Training takes blocks of 64 numbers from 0 on, its validation from block 1,000,000 (train/data.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from kinowatt.clip import Clip
from kinowatt.worlds.toybox import Sample, Toybox, caption, scene, splits
from kinowatt.worlds.toybox.scene import Scene

JUDGES_HELD_OUT = 128_000_000  # scenes on which the judges themselves are measured
FIRST = 192_000_000  # of the exam's scenes
FRAMES = 33
FPS = 16.0


@dataclass(eq=False)
class World:
    """The toybox at one size; what was rendered is kept for this run."""

    size: tuple[int, int]
    frames: int = FRAMES
    fps: float = FPS
    _toybox: Toybox | None = None
    _kept: dict[tuple[object, ...], Sample] = field(default_factory=dict)

    @property
    def toybox(self) -> Toybox:
        """One graphics context, made when it is first needed."""
        self._toybox = self._toybox or Toybox()
        return self._toybox

    def sample(self, number: int, **over: Any) -> Sample:
        """A scene with its truth; `over` fixes fields of it."""
        key = (number, *sorted(over.items()))
        if key not in self._kept:
            self._kept[key] = self.toybox.sample(number, size=self.size, frames=self.frames, fps=self.fps, **over)
        return self._kept[key]


def numbers(fits: Callable[[Scene], bool] = lambda drawn: True, paired: bool = False, **over: Any) -> Iterator[int]:
    """Held-out scenes in the order of their numbers, none passed over but for not fitting.

    `paired`: those with a pair of attributes that training never saw together, else those without one.
    """
    for number in count(FIRST):
        drawn = scene.sample(number, **over)
        if splits.held_out_pair(drawn) == paired and fits(drawn):
            yield number


def first(n: int, fits: Callable[[Scene], bool] = lambda drawn: True, paired: bool = False, **over: Any) -> list[int]:
    """The first `n` of `numbers`."""
    return list(islice(numbers(fits, paired, **over), n))


def prompt(sample: Sample, language: str = "en", split: str = "train", register: str | None = "sentence") -> str:
    """A caption that names everything seen. The seed of its wording is the scene's."""
    return caption.write(sample.seen, seed=sample.scene.seed, language=language, register=register, split=split, full=True)


def still(clip: Clip, at: int, frames: int) -> Clip:
    """One frame held: what a model that knows nothing of motion would show."""
    frame = clip.frames_TCHW[at : at + 1]
    return Clip(frame.repeat(frames, axis=0), fps=clip.fps)
