"""The small pictures of a clip: thumbnail, spritesheet, preview."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from kinowatt.clip import Clip
from kinowatt.media.image import fit_frame, save

THUMBNAIL_PX = 480  # longer side, at most
SPRITES = 24  # frames of a spritesheet, evenly spaced in time
SPRITE_PX = 160


def thumbnail(path: Path, clip: Clip) -> None:
    """The middle frame as WebP. OutputError if it cannot be written."""
    save(path, Image.fromarray(_small(clip.frames_TCHW[clip.frames // 2], THUMBNAIL_PX)))


def spritesheet(path: Path, clip: Clip) -> None:
    """Frames in rows, left to right, as JPEG. OutputError if it cannot be written."""
    at = np.unique(np.linspace(0, clip.frames - 1, min(SPRITES, clip.frames)).round().astype(int))
    sprites = [_small(clip.frames_TCHW[i], SPRITE_PX) for i in at]
    columns = math.ceil(math.sqrt(len(sprites)))
    height, width = sprites[0].shape[:2]
    sheet = Image.new("RGB", (columns * width, math.ceil(len(sprites) / columns) * height))
    for i, sprite in enumerate(sprites):
        sheet.paste(Image.fromarray(sprite), (i % columns * width, i // columns * height))
    save(path, sheet)


def _small(frame_CHW: np.ndarray, longest_px: int) -> np.ndarray:
    frame_HWC = np.ascontiguousarray(frame_CHW.transpose(1, 2, 0))
    height, width = frame_HWC.shape[:2]
    scale = min(1.0, longest_px / max(width, height))
    return fit_frame(frame_HWC, max(round(width * scale), 1), max(round(height * scale), 1))
