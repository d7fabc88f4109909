"""New footage that leans on given clips, and the joining of both: extend forward and backward, loop, connect, blend. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from kinowatt.clip import Clip, join
from kinowatt.engine.plan import fill
from kinowatt.media.image import fit
from kinowatt.models.specs import ModelSpec
from kinowatt.shot import MAX_SECONDS, OVERLAP_FRAMES, Anchor, Shot, blend, connect, extend, loop

Way = Literal["forward", "backward", "loop", "connect", "blend"]


@dataclass(frozen=True, eq=False)
class Bridge:
    """`shot` makes the new footage with its overlaps; `join` cuts those off and puts the given clips to it."""

    shot: Shot
    way: Way
    clips: tuple[Clip, ...]  # at the size and rate of the shot
    unchanged: tuple[bool, ...]  # which of them had that size and rate already

    @property
    def head(self) -> int:
        """Frames at the start of the made clip that were given."""
        return 0 if self.way == "backward" else min(OVERLAP_FRAMES, self.clips[0].frames)

    @property
    def tail(self) -> int:
        """Frames at its end that were given."""
        return 0 if self.way == "forward" else min(OVERLAP_FRAMES, self.clips[-1].frames)

    def new_frames(self, made: Clip) -> int:
        """How many frames of the made clip were not given: what its energy was spent on."""
        return made.frames - self.head - self.tail

    def parts(self, made: Clip, files: Sequence[Path | None] = ()) -> list[Clip | Path]:
        """Given clips and what was made between, after or before them; a given clip that fits as it is stands for its file, if named."""
        given: list[Clip | Path] = list(self.clips)
        for i, file in enumerate(files):
            if file is not None and self.unchanged[i]:
                given[i] = file
        middle = made.cut(self.head, made.frames - self.tail)
        before = [] if self.way == "backward" else [given[0]]
        after = [given[-1]] if self.way in ("backward", "connect", "blend") else []
        return [*before, middle, *after]

    def join(self, made: Clip) -> Clip:
        """The whole as one clip."""
        return join([part for part in self.parts(made) if isinstance(part, Clip)])


def bridge(shot: Shot, clips: list[Clip], way: Way, spec: ModelSpec, latents_CFHW: np.ndarray | None = None) -> Bridge:
    """Place the overlaps of `clips` as anchors. `shot.seconds` is the new footage; the overlaps come on top. ShotError if it does not fit.

    `latents_CFHW`: those that end the first clip, for going forward in latent space.
    """
    seams = 2 if way in ("connect", "loop", "blend") else 1
    overlap_s = seams * OVERLAP_FRAMES / spec.fps
    new_s = spec.seconds - overlap_s if shot.seconds is None else shot.seconds
    shot = replace(shot, seconds=min(new_s + overlap_s, MAX_SECONDS))
    width, height = fill(replace(shot, anchors=(Anchor(clips[0]),)), spec).shot.size or spec.size
    shot = replace(shot, size=(width, height))
    fitted = [fit(clip, width, height, spec.fps)[0] for clip in clips]
    if way == "connect":
        shot = connect(shot, fitted[0], fitted[-1])
    elif way == "blend":
        mixed = fill(replace(shot, anchors=(Anchor(fitted[0]),)), spec).frames - 2 * OVERLAP_FRAMES
        shot = blend(shot, fitted[0], fitted[-1], mixed)
        fitted = [fitted[0].cut(0, fitted[0].frames - mixed), fitted[-1].cut(mixed, fitted[-1].frames)]
    elif way == "loop":
        shot = loop(shot, fitted[0])
    else:
        shot = extend(shot, fitted[0], backward=way == "backward", latents_CFHW=latents_CFHW)
    unchanged = tuple(a.frames_TCHW.shape == b.frames_TCHW.shape and a.fps == b.fps for a, b in zip(clips, fitted, strict=True))
    return Bridge(shot, way, tuple(fitted), unchanged)
