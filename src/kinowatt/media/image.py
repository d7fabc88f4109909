"""Images in and out, and fitting any footage to a size."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from kinowatt.clip import Clip
from kinowatt.errors import MediaError, OutputError

STILL_FPS = 16.0  # a photograph is a clip of one frame, at the rate of the rest
CROP_SHARE = 0.02  # a crop smaller than this is not worth a word


def aside(path: Path) -> Path:
    """A temporary name beside `path`, for writing first and renaming after. OutputError if the folder cannot be written."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as e:
        raise OutputError(f"{path} cannot be written: {e.strerror or e}") from e
    os.close(handle)
    return Path(name)


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, for what takes several files. OutputError if there can be none."""
    aside(path).unlink()
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
        yield Path(folder)


def read_image(path: Path) -> Clip:
    """A photograph as a clip of one frame: upright (Exif orientation applied), sRGB, transparency over white. MediaError if it is none."""
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                over = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(over, upright.convert("RGBA"))
            pixels_HWC = np.asarray(upright.convert("RGB"))
    except FileNotFoundError as e:
        raise MediaError(f"{path} does not exist") from e
    except UnidentifiedImageError as e:
        raise MediaError(f"{path} is not an image that can be read; PNG, JPEG and WebP would work") from e
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:  # Pillow's ways of saying damaged
        raise MediaError(f"{path} is damaged or too large to read as an image ({e})") from e
    return Clip(np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1)[None]), fps=STILL_FPS)


def fit_frame(frame_HWC: np.ndarray, width: int, height: int) -> np.ndarray:
    """One frame, cut in its middle to the aspect and scaled (area-like filter downwards, Lanczos): (height, width, 3) uint8."""
    h, w = frame_HWC.shape[:2]
    if (w, h) == (width, height):
        return frame_HWC
    scale = max(width / w, height / h)
    cut_w, cut_h = min(width / scale, w), min(height / scale, h)  # rounding may exceed the frame by a hair, which Pillow refuses
    left, top = (w - cut_w) / 2, (h - cut_h) / 2
    box = (left, top, left + cut_w, top + cut_h)
    return np.asarray(Image.fromarray(frame_HWC).resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))


def fit(clip: Clip, width: int, height: int, fps: float | None = None) -> tuple[Clip, str | None]:
    """A clip at a size and, if given, a frame rate (nearest frames); and a note where its sides were cut off."""
    frames = clip.frames_TCHW
    if fps is not None and clip.fps is not None and clip.frames > 1 and abs(clip.fps - fps) > 1e-3:
        count = max(1, round(clip.frames / clip.fps * fps))
        at = np.minimum(np.round(np.arange(count) * clip.fps / fps).astype(int), clip.frames - 1)
        frames = frames[at]
    note = crop_note(clip.width, clip.height, width, height)
    if (clip.width, clip.height) != (width, height):
        frames = np.stack([fit_frame(f.transpose(1, 2, 0), width, height).transpose(2, 0, 1) for f in frames])
    return Clip(np.ascontiguousarray(frames), fps=fps or clip.fps, channels=clip.channels), note


def crop_note(from_width: int, from_height: int, width: int, height: int) -> str | None:
    """A sentence if fitting one size to another loses more than a sliver of the picture."""
    kept = min(width / height, from_width / from_height) / max(width / height, from_width / from_height)
    if 1 - kept < CROP_SHARE:
        return None
    return f"footage of {from_width}x{from_height} was cut to {width}x{height}; {1 - kept:.0%} of its picture is outside"


def write_image(path: Path, frame_CHW: np.ndarray, text: Mapping[str, str] | None = None) -> None:
    """Write one frame (3, H, W) uint8 as PNG, JPEG or WebP, by the name's ending. OutputError if that fails.

    `text` goes into a PNG's international text chunks, by keyword.
    """
    chunks = PngInfo()
    for keyword, words in (text or {}).items():
        chunks.add_itxt(keyword, words)
    save(path, Image.fromarray(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0))), **({"pnginfo": chunks} if text else {}))


def is_png(path: Path) -> bool:
    """Whether a file begins as PNG does."""
    try:
        with path.open("rb") as file:
            return file.read(8) == b"\x89PNG\r\n\x1a\n"
    except OSError:
        return False


def read_text(path: Path) -> dict[str, str]:
    """The text chunks of a PNG, by keyword. MediaError if it cannot be read."""
    read_image(path)  # text may stand behind the pixels, and what is damaged must be said
    with Image.open(path) as file:
        file.load()
        return {str(k): str(v) for k, v in file.info.items() if isinstance(v, str)}


def pixels_sha256(frame_CHW: np.ndarray) -> str:
    """Hash of a picture's pixels: red, green and blue of every pixel, row by row."""
    return hashlib.sha256(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0)).tobytes()).hexdigest()


def save(path: Path, picture: Image.Image, **options: Any) -> None:
    """Write aside, then rename."""
    part = aside(path)
    try:
        picture.save(part, **options)
        part.replace(path)
    except (OSError, ValueError) as e:
        raise OutputError(f"{path} cannot be written as an image: {e}") from e
    finally:
        part.unlink(missing_ok=True)
