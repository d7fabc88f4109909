"""Contact sheets: clips as rows of frames with their titles, in one PNG, or in a JPEG where its name says so."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kinowatt.clip import Clip
from kinowatt.media.image import save

COLUMNS = 6  # frames per clip
GAP, LINE, LETTERS = 4, 15, 12  # pixels
QUALITY = 88  # of a JPEG
CHINESE = ("NotoSansCJK-Regular.ttc", "PingFang.ttc", "msjh.ttc", "wqy-microhei.ttc")  # of Linux, macOS, Windows; looked for by name


def contact_sheet(path: Path, rows: Sequence[tuple[str, Clip]], columns: int = COLUMNS) -> None:
    """Write one row of `columns` frames, evenly spaced in time, per (title, clip). OutputError if the path cannot be written."""
    font = _font("".join(title for title, _ in rows))
    drawn = []
    for title, clip in rows:
        at = np.linspace(0, clip.frames - 1, min(columns, clip.frames)).round().astype(int)
        frames = clip.frames_TCHW[at].transpose(0, 2, 3, 1)
        width = len(at) * (clip.width + GAP) - GAP
        lines = textwrap.wrap(title, max(width // 7, 20)) or [""]
        row = Image.new("RGB", (width, clip.height + LINE * len(lines) + 2 * GAP), "white")
        ImageDraw.Draw(row).multiline_text((2, 1), "\n".join(lines), fill="black", font=font, spacing=3)
        for i, frame in enumerate(frames):
            row.paste(Image.fromarray(frame), (i * (clip.width + GAP), LINE * len(lines) + GAP))
        drawn.append(row)
    sheet = Image.new("RGB", (max(r.width for r in drawn), sum(r.height for r in drawn)), "white")
    y = 0
    for row in drawn:
        sheet.paste(row, (0, y))
        y += row.height
    save(path, sheet, quality=QUALITY)


def _font(words: str) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own letters; where the words have Chinese among them and a font of the system has it, that one."""
    for name in CHINESE if any("\u3400" <= c <= "\u9fff" for c in words) else ():
        try:
            return ImageFont.truetype(name, LETTERS)
        except OSError:
            continue
    return ImageFont.load_default(size=LETTERS)
