"""Between the canvas, whose sides are whole tokens, and the picture that was asked for. No torch here."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from kinowatt.clip import Clip
from kinowatt.engine.plan import Plan
from kinowatt.media.image import fit_frame


class Framed(Protocol):
    """A picture in the middle of a canvas: a plan, or a stage of enlarging."""

    @property
    def inner_width(self) -> int: ...  # noqa: D102
    @property
    def inner_height(self) -> int: ...  # noqa: D102
    @property
    def canvas_width(self) -> int: ...  # noqa: D102
    @property
    def canvas_height(self) -> int: ...  # noqa: D102


def picture(frames_TCHW: np.ndarray, plan: Plan) -> np.ndarray:
    """Decoded frames, cut from the canvas and enlarged to the wanted size."""
    inner = off_canvas(frames_TCHW, plan)
    return resized(inner, plan.width, plan.height) if plan.enlarged else inner


def resized(frames_TCHW: np.ndarray, width: int, height: int) -> np.ndarray:
    """Frames of another size, by Lanczos' filter."""
    return np.stack([fit_frame(f.transpose(1, 2, 0), width, height).transpose(2, 0, 1) for f in frames_TCHW])


def off_canvas(frames_TCHW: np.ndarray, plan: Framed) -> np.ndarray:
    """The inner picture of frames of the canvas."""
    top, left = (plan.canvas_height - plan.inner_height) // 2, (plan.canvas_width - plan.inner_width) // 2
    return np.ascontiguousarray(frames_TCHW[:, :, top : top + plan.inner_height, left : left + plan.inner_width])


def on_canvas(clip: Clip, plan: Framed) -> Clip:
    """Footage of the inner size in the middle of the canvas; its borders run on to the edges, so that no pixel is resampled."""
    more_h, more_w = plan.canvas_height - plan.inner_height, plan.canvas_width - plan.inner_width
    pads = ((0, 0), (0, 0), (more_h // 2, more_h - more_h // 2), (more_w // 2, more_w - more_w // 2))
    return replace(clip, frames_TCHW=np.pad(clip.frames_TCHW, pads, "edge"))
