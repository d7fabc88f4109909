"""A clip: frames in time, with a channel legend. RGB video is a clip; so are wind and irradiance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinowatt.errors import ShotError


@dataclass(frozen=True)
class Channel:
    """One channel of a clip: its name and its unit."""

    name: str
    unit: str


RGB = (Channel("red", "sRGB/255"), Channel("green", "sRGB/255"), Channel("blue", "sRGB/255"))


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames `frames_TCHW` at a constant rate.

    RGB clips hold uint8 in 0..255 (sRGB) and have `fps`; fields hold float32 in the unit of each channel
    and have `hours_per_frame`. Exactly one of the two rates is set.
    """

    frames_TCHW: np.ndarray
    fps: float | None = None
    hours_per_frame: float | None = None
    channels: tuple[Channel, ...] = RGB

    def __post_init__(self) -> None:
        if self.frames_TCHW.ndim != 4 or min(self.frames_TCHW.shape) < 1:
            raise ShotError(f"a clip needs frames of shape T,C,H,W, not {self.frames_TCHW.shape}")
        if self.frames_TCHW.shape[1] != len(self.channels):
            raise ShotError(f"a clip with {len(self.channels)} channels cannot hold frames of {self.frames_TCHW.shape[1]}")
        if (self.fps is None) == (self.hours_per_frame is None):
            raise ShotError("a clip has either fps or hours_per_frame, and exactly one of them")

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return int(self.frames_TCHW.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.frames_TCHW.shape[3])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.frames_TCHW.shape[2])

    @property
    def seconds(self) -> float:
        """Duration in seconds: frames over the frame rate."""
        if self.fps is None:
            assert self.hours_per_frame is not None
            return self.frames * self.hours_per_frame * 3600.0
        return self.frames / self.fps

    def cut(self, start: int, stop: int) -> Clip:
        """Frames start..stop-1 (Python's slice rules) as a clip of the same rate."""
        return replace(self, frames_TCHW=self.frames_TCHW[start:stop])


def join(clips: Sequence[Clip]) -> Clip:
    """Clips of one size and rate, one after the other. ShotError if they differ."""
    if len({(c.frames_TCHW.shape[1:], c.fps, c.hours_per_frame) for c in clips}) != 1:
        raise ShotError("only clips of one size and one rate can be joined; fit them first")
    return replace(clips[0], frames_TCHW=np.concatenate([c.frames_TCHW for c in clips]))
