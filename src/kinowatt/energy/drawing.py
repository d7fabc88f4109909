"""Boxes, polygons and lines of words as one list, drawn as SVG or as PNG with the same layout."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from kinowatt.places import whole

BOLD = 1.07  # a bold letter is so much wider
FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
SMALLEST = 0.75  # of its size, that words may shrink to before they are cut


@dataclass(frozen=True)
class Box:
    """A rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    radius: float = 0.0


@dataclass(frozen=True)
class Shape:
    """A polygon."""

    points: tuple[tuple[float, float], ...]
    fill: str


@dataclass(frozen=True)
class Text:
    """Words on a baseline; `anchor` is start, middle or end."""

    x: float
    y: float
    words: str
    size: float
    fill: str
    bold: bool = False
    anchor: str = "start"

    @property
    def width(self) -> float:
        """How wide the words stand, in the drawing's units."""
        return width(self.words, self.size, bold=self.bold)


Drawing = list[Box | Shape | Text]


@functools.cache
def _font(size: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def width(words: str, size: float, *, bold: bool = False) -> float:
    """How wide words are in Pillow's own font, which both drawings keep to."""
    return float(_font(100.0).getlength(words)) * size / 100 * (BOLD if bold else 1.0)


def text(x: float, y: float, words: str, size: float, fill: str, room: float, *, bold: bool = False, anchor: str = "start") -> Text:
    """Words that fit into `room`: set smaller, down to three quarters, then cut."""
    size *= min(1.0, max(SMALLEST, room / max(width(words, size, bold=bold), 1e-6)))
    if width(words, size, bold=bold) > room + 1e-6:
        keep = next((n for n in range(len(words) - 1, 0, -1) if width(words[:n].rstrip() + "…", size, bold=bold) <= room), 0)
        words = words[:keep].rstrip() + "…" if keep else ""
    return Text(x, y, words, size, fill, bold, anchor)


def to_svg(drawing: Drawing, size: tuple[int, int], title: str, width_px: float) -> str:
    """An SVG of its own. Words are set to the widths that the layout counted on, whatever the viewer's font."""
    place = f'width="{width_px:g}" height="{width_px * size[1] / size[0]:g}" viewBox="0 0 {size[0]} {size[1]}"'
    rows = [f'<svg xmlns="http://www.w3.org/2000/svg" {place} role="img" font-family={quoteattr(FONT)}>', f"<title>{escape(title)}</title>"]
    for shape in drawing:
        if isinstance(shape, Box):
            place = f'x="{shape.x:g}" y="{shape.y:g}" width="{shape.width:g}" height="{shape.height:g}"'
            rows.append(f'<rect {place} rx="{shape.radius:g}" fill="{shape.fill}"/>')
        elif isinstance(shape, Shape):
            points = " ".join(f"{x:g},{y:g}" for x, y in shape.points)
            rows.append(f'<polygon points="{points}" fill="{shape.fill}"/>')
        elif shape.words:
            weight = ' font-weight="700"' if shape.bold else ""
            length = f'textLength="{shape.width:.1f}" lengthAdjust="spacingAndGlyphs"'
            style = f'font-size="{shape.size:g}" fill="{shape.fill}" text-anchor="{shape.anchor}"{weight}'
            rows.append(f'<text x="{shape.x:g}" y="{shape.y:g}" {style} {length}>{escape(shape.words)}</text>')
    return "\n".join([*rows, "</svg>", ""])


def to_png(drawing: Drawing, size: tuple[int, int], scale: float) -> bytes:
    """A PNG of `size` times `scale` pixels, transparent where nothing is drawn."""
    from PIL import Image, ImageDraw

    fine = 2.0 * scale  # drawn at twice the size, then made smaller, for smooth edges
    picture = Image.new("RGBA", (round(size[0] * fine), round(size[1] * fine)), (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    for shape in drawing:
        if isinstance(shape, Box):
            corner = ((shape.x + shape.width) * fine - 1, (shape.y + shape.height) * fine - 1)
            pen.rounded_rectangle((shape.x * fine, shape.y * fine, *corner), shape.radius * fine, fill=shape.fill)
        elif isinstance(shape, Shape):
            pen.polygon([(x * fine, y * fine) for x, y in shape.points], fill=shape.fill)
        else:
            _write(pen, shape, fine)
    out = io.BytesIO()
    picture.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()


def _write(pen: Any, line: Text, fine: float) -> None:
    """One line of words. Pillow's own font has no bold: it is drawn with a stroke, letter by letter, so that letters keep apart."""
    size = line.size * fine
    x = line.x * fine - line.width * fine * {"start": 0.0, "middle": 0.5, "end": 1.0}[line.anchor]
    if not line.bold:
        pen.text((x, line.y * fine), line.words, line.fill, _font(size), anchor="ls")
        return
    for i, letter in enumerate(line.words):
        place = (x + width(line.words[:i], size, bold=True) + size * 0.015, line.y * fine)
        pen.text(place, letter, line.fill, _font(size), anchor="ls", stroke_width=size * 0.022, stroke_fill=line.fill)


def save(path: Path, content: bytes) -> None:
    """Write aside, then rename. OutputError if that fails."""
    with whole(path) as part:
        part.write_bytes(content)
