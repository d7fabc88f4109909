"""The drawn label: what a clip cost, its class from A to G, and who says so; as SVG and as PNG, from one list of shapes.

The class is of joules per megapixel-frame (one million pixels of one frame), loading the model apart: what one more clip of the kind
costs, whatever its size and length. The thresholds go in the steps of 1, 3 and 10, so a class is a factor of about three: more than any
difference between two prompts (below 1 %) or laboratories (3 to 9 % per step), and as much as a real change of means brings. Anchors, GPU
energy alone on one H100, from the measurements of ML.ENERGY v3 at 50 steps: CogVideoX-2B 1.7 kJ and Wan2.1 1.3B at 480p 2.0 kJ are in E;
CogVideoX1.5-5B 4.0 kJ, Wan2.1 14B at 480p 8.9 kJ and HunyuanVideo at 720p 9.8 kJ in F, at the border of G once the host is counted;
Wan2.1 1.3B in 4 steps without guidance would be at 80 J in B, and spark on a processor is at about 10 J in A. So every class can be
reached by a model that exists, and the best is not handed to what most people run today.
The bill counts every device that was measured or modelled, not the GPU alone. The class does not weigh the quality of the picture.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinowatt.energy.bill import LOAD, MEASURED
from kinowatt.energy.drawing import Box, Drawing, Shape, save, text, to_png, to_svg, width

CLASSES: tuple[tuple[str, float], ...] = (
    ("A", 30.0),
    ("B", 100.0),
    ("C", 300.0),
    ("D", 1_000.0),
    ("E", 3_000.0),
    ("F", 10_000.0),
    ("G", math.inf),
)
"""Class and the most J per megapixel-frame that it may cost."""

PAPER, INK, SOFT, LINE, BAND = "#f8f6f0", "#16241f", "#5d6a64", "#d8d4c7", "#14231f"
BARS = ("#0f7b6c", "#2c8552", "#86b04f", "#d9b63c", "#e08e35", "#bb5127", "#98292b")
DARK_WORDS = ("#86b04f", "#d9b63c", "#e08e35")  # bars on which white could not be read
SIZE = (420, 640)
WIDTH, HEIGHT = SIZE
MARGIN = 28
ROOM = WIDTH - 2 * MARGIN
UNKNOWN = "unknown"
DEVICES = {"gpu_J": "GPU", "cpu_J": "CPU", "dram_J": "memory", "host_modelled_J": "rest of the machine", "modelled_J": "CPU"}
DEVICES |= {"cpu_modelled_J": "CPU", "ram_modelled_J": "memory"}


def thresholds() -> list[dict[str, Any]]:
    """The classes for a page or a program: `label`, `above_J_per_megapixel_frame`, and `most_J_per_megapixel_frame` (None for G)."""
    floors = [0.0, *(most for _, most in CLASSES)]
    return [
        {"label": name, "above_J_per_megapixel_frame": floor, "most_J_per_megapixel_frame": None if math.isinf(most) else most}
        for (name, most), floor in zip(CLASSES, floors, strict=False)
    ]


def energy_class(J_per_megapixel_frame: float | None) -> str | None:
    """The class of a figure; None where it is not known."""
    if J_per_megapixel_frame is None or not math.isfinite(J_per_megapixel_frame):
        return None
    return next(name for name, most in CLASSES if J_per_megapixel_frame <= most)


@dataclass(frozen=True)
class Figures:
    """What the drawing says. None is not measured, or not known."""

    model: str
    width: int | None
    height: int | None
    frames: int | None
    made_frames: int | None  # of these, what the energy was spent on
    seconds: float | None
    steps: int | None
    total_Wh: float | None
    load_J: float | None  # None: no loading is in the bill
    work_J: float | None  # the total without loading
    carbon_gCO2e: float | None
    embodied_gCO2e: float | None
    zone: str
    intensity_year: int | None
    intensity_gCO2e_per_kWh: float | None
    pue: float
    measured: tuple[str, ...]  # devices
    modelled: tuple[str, ...]
    not_measured: tuple[str, ...]
    fingerprint: str | None  # SHA-256 of the certificate that stands in the label
    intact: bool | None  # whether its signature was found to hold, for the label and the footage; None: nobody has looked
    version: str

    @property
    def J_per_megapixel_frame(self) -> float | None:
        """Joules of the work per million pixels of a frame that was made."""
        if self.work_J is None or not (self.width and self.height and self.made_frames):
            return None
        return self.work_J / (self.width * self.height / 1e6 * self.made_frames)

    @property
    def J_per_second(self) -> float | None:
        """Joules of the work per second of video that was made; None for a picture."""
        if self.work_J is None or not (self.seconds and self.frames and self.made_frames):
            return None
        return self.work_J / (self.seconds * self.made_frames / self.frames)

    @property
    def letter(self) -> str | None:
        """The class from A to G."""
        return energy_class(self.J_per_megapixel_frame)

    @staticmethod
    def of(label: Mapping[str, Any], intact: bool | None = None) -> Figures:
        """The figures of a clip's label, of this version or an older one; `intact` is what verifying the file has found.

        What is missing, or is no number, is None: a label may have been written by anybody.
        """
        energy, shot, clip = (_mapping(label.get(key)) for key in ("energy", "shot", "clip"))
        parts = [key for key, value in energy.items() if key.endswith("_J") and _number(value) is not None]
        total_Wh = _number(energy.get("total_Wh"))
        load = _mapping(_mapping(energy.get("phases")).get(LOAD))
        load_J = sum(_number(load.get(part)) or 0.0 for part in parts) if load else None
        frames, made = _count(clip.get("frames")), _count(clip.get("made_frames"))
        pue = _number(energy.get("pue"))
        return Figures(
            model=_plain(shot.get("model")) or "unknown model",
            width=_count(clip.get("width")),
            height=_count(clip.get("height")),
            frames=frames,
            made_frames=frames if made is None else made,
            seconds=_number(clip.get("seconds")),
            steps=_count(shot.get("steps")),
            total_Wh=total_Wh,
            load_J=load_J,
            work_J=None if total_Wh is None else max(total_Wh * 3600.0 - (load_J or 0.0), 0.0),
            carbon_gCO2e=_number(energy.get("carbon_gCO2e")),
            embodied_gCO2e=_number(energy.get("embodied_gCO2e")),
            zone=_plain(energy.get("zone")),
            intensity_year=_count(energy.get("intensity_year")),
            intensity_gCO2e_per_kWh=_number(energy.get("intensity_gCO2e_per_kWh")),
            pue=1.0 if pue is None else pue,
            measured=_devices([part for part in parts if part in MEASURED]),
            modelled=_devices([part for part in parts if part not in MEASURED]),
            not_measured=_devices(energy.get("not_measured")),
            fingerprint=_fingerprint(label.get("signature")),
            intact=intact,
            version=_plain(label.get("version")),
        )

    def to_json(self) -> dict[str, Any]:
        """The figures for programs, with the class and its threshold table's names."""
        figures = {"J_per_second": self.J_per_second, "J_per_megapixel_frame": self.J_per_megapixel_frame}
        rounded = {key: None if value is None else float(f"{value:.6g}") for key, value in figures.items()}
        return {"class": self.letter, "total_Wh": self.total_Wh, "carbon_gCO2e": self.carbon_gCO2e, **rounded, "load_J": self.load_J}

    @property
    def how(self) -> str:
        """Whether the energy was measured or modelled."""
        if self.total_Wh is None:
            return "not measured"
        return "measured" if not self.modelled else "modelled" if not self.measured else "measured, in part modelled"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    """A number that can be drawn."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e18
    return float(value) if good else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _plain(value: Any) -> str:
    """Words on one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value or ""))[:200].split())


def _devices(parts: Any) -> tuple[str, ...]:
    """Their names for people, each once; older labels hold names already."""
    listed = parts if isinstance(parts, (list, tuple, Mapping)) else ()
    return tuple(dict.fromkeys(_plain(DEVICES.get(str(part), part)) for part in listed))


def _fingerprint(signature: Any) -> str | None:
    try:
        return hashlib.sha256(base64.b64decode(_mapping(signature)["certificates"][0], validate=True)).hexdigest()
    except (KeyError, IndexError, TypeError, ValueError, binascii.Error):
        return None


def joules(value_J: float | None) -> str:
    """Joules for people, in three digits."""
    return _scaled(value_J, (("J", 1.0), ("kJ", 1e3), ("MJ", 1e6), ("GJ", 1e9)))


def watt_hours(value_Wh: float | None) -> str:
    """Watt-hours for people, in three digits."""
    return _scaled(value_Wh, (("mWh", 1e-3), ("Wh", 1.0), ("kWh", 1e3), ("MWh", 1e6)))


def grams(value_gCO2e: float | None) -> str:
    """Grams of CO2 equivalent for people, in three digits."""
    return _scaled(value_gCO2e, (("mg CO2e", 1e-3), ("g CO2e", 1.0), ("kg CO2e", 1e3), ("t CO2e", 1e6)))


def _scaled(value: float | None, units: Sequence[tuple[str, float]]) -> str:
    if value is None:
        return UNKNOWN
    unit, scale = next(((u, s) for u, s in reversed(units) if value >= 0.9995 * s), units[0])
    amount = value / scale
    return f"{amount:.0f} {unit}" if amount >= 99.95 else f"{amount:.3g} {unit}"


def drawing(figures: Figures) -> Drawing:
    """The label as shapes, in units of 420 by 640."""
    return [*_head(figures), *_scale(figures), *_amounts(figures), *_foot(figures)]


def _head(figures: Figures) -> Drawing:
    bolt = ((40, 14), (29, 35), (37, 35), (33, 51), (47, 28), (38.5, 28), (44, 14))
    size = f"{figures.width}x{figures.height}" if figures.width and figures.height else "size unknown"
    new = f" ({figures.made_frames} new)" if figures.made_frames and figures.made_frames != figures.frames else ""
    about = [size]
    about += [f"{figures.frames} frame{'s' * (figures.frames > 1)}{new}"] if figures.frames else []
    about += [f"{figures.seconds:.3g} s"] if figures.seconds else []
    about += [f"{figures.steps} step{'s' * (figures.steps > 1)}"] if figures.steps else []
    return [
        Box(0, 0, WIDTH, 100, BAND, 18),
        Box(0, 100, WIDTH, HEIGHT - 100, PAPER, 18),
        Box(0, 64, WIDTH, 80, PAPER),
        Shape(bolt, "#f2c14e"),
        text(58, 41, "kinowatt", 25, PAPER, 150, bold=True),
        text(WIDTH - MARGIN, 39, "energy of a picture" if figures.frames == 1 else "energy of a clip", 14, "#b9cdc3", 160, anchor="end"),
        text(MARGIN, 97, figures.model, 22, INK, ROOM, bold=True),
        text(MARGIN, 118, " · ".join(about), 13.5, SOFT, ROOM),
    ]


def _scale(figures: Figures) -> Drawing:
    """Seven bars, and the clip's class pointed out."""
    shapes: Drawing = []
    top, step, height = 138, 29, 25
    for row, ((name, most), colour) in enumerate(zip(CLASSES, BARS, strict=True)):
        y, end = top + row * step, MARGIN + 108 + 23 * row
        words = INK if colour in DARK_WORDS else "#ffffff"
        shapes.append(Shape(((MARGIN, y), (end, y), (end + 12, y + height / 2), (end, y + height), (MARGIN, y + height)), colour))
        shapes.append(text(MARGIN + 10, y + 19, name, 18, words, 20, bold=True))
        limit = f"up to {joules(most)}" if math.isfinite(most) else f"above {joules(CLASSES[-2][1])}"
        shapes.append(text(end, y + 17.5, limit, 12.5, words, 70, anchor="end"))
        if name == figures.letter:
            middle, half = y + height / 2, 21
            left, right = 302, WIDTH - MARGIN
            tip = ((left, middle), (left + 18, middle - half), (right, middle - half), (right, middle + half), (left + 18, middle + half))
            shapes.append(Shape(tip, INK))
            shapes.append(text((left + 18 + right) / 2, middle + 12, name, 33, PAPER, 60, bold=True, anchor="middle"))
    if figures.letter is None:
        shapes.append(Box(302, 138, 90, 42, LINE, 8))
        shapes.append(text(347, 156, "no class:", 12.5, INK, 84, anchor="middle"))
        shapes.append(text(347, 172, "not measured" if figures.total_Wh is None else "size unknown", 12.5, INK, 84, anchor="middle"))
    shapes.append(text(MARGIN, 357, "by J per megapixel-frame, loading the model apart", 12, SOFT, ROOM))
    return shapes


def _amounts(figures: Figures) -> Drawing:
    """The energy and carbon of the whole, and what it comes to per second and per megapixel-frame."""
    colour = {"measured": BARS[0], "not measured": SOFT}.get(figures.how, "#b3701c")
    pill = width(figures.how, 12.5, bold=True) + 22
    grid = " ".join(w for w in (figures.zone, str(figures.intensity_year or "")) if w)
    if figures.intensity_gCO2e_per_kWh is not None:
        grid += f", {figures.intensity_gCO2e_per_kWh:.0f} g/kWh"
    grid += f", PUE {figures.pue:g}" if figures.pue != 1.0 else ""
    carbon = "carbon unknown" if figures.carbon_gCO2e is None else grams(figures.carbon_gCO2e)
    extra = "" if figures.embodied_gCO2e is None else f" · and {grams(figures.embodied_gCO2e)} embodied"
    shapes: Drawing = [
        Box(MARGIN, 370, ROOM, 1.5, LINE),
        text(MARGIN, 417, watt_hours(figures.total_Wh), 42, INK, ROOM - pill - 12, bold=True),
        Box(WIDTH - MARGIN - pill, 394, pill, 24, colour, 12),
        text(WIDTH - MARGIN - pill / 2, 410.5, figures.how, 12.5, "#ffffff", pill, bold=True, anchor="middle"),
        text(MARGIN, 448, carbon, 22, INK, ROOM, bold=True),
        text(MARGIN, 467, f"{grid or 'zone unknown'}{extra}", 12.5, SOFT, ROOM),
    ]
    cells = (
        (joules(figures.work_J), "for the picture") if figures.frames == 1 else (joules(figures.J_per_second), "per second of video"),
        (joules(figures.J_per_megapixel_frame), "per megapixel-frame"),
        (joules(figures.load_J) if figures.load_J is not None else "not in it", "loading the model"),
    )
    cell = (ROOM - 20) / 3
    for i, (amount, unit) in enumerate(cells):
        x = MARGIN + i * (cell + 10)
        shapes.append(Box(x, 484, cell, 56, "#ece8db", 9))
        shapes.append(text(x + 10, 509, amount, 19, INK, cell - 20, bold=True))
        shapes.append(text(x + 10, 528, unit, 11.5, SOFT, cell - 16))
    return shapes


def _foot(figures: Figures) -> Drawing:
    kinds = (("measured", figures.measured), ("modelled", figures.modelled))
    counted = " · ".join(f"{how}: {', '.join(devices)}" for how, devices in kinds if devices) or "nothing was measured"
    missing = f"not measured: {', '.join(figures.not_measured)}" if figures.not_measured else "the quality of the picture is not weighed"
    signed, colour = "not signed", INK
    if figures.fingerprint:
        digits = " ".join(figures.fingerprint[i : i + 4] for i in range(0, 16, 4))
        signed = f"signed by {digits}{', verified' if figures.intact else ''}"
        if figures.intact is False:
            signed, colour = "changed since it was signed", BARS[-1]
    return [
        text(MARGIN, 565, counted, 12.5, INK, ROOM),
        text(MARGIN, 584, missing, 12.5, INK if figures.not_measured else SOFT, ROOM),
        Box(MARGIN, 597, ROOM, 1.5, LINE),
        text(MARGIN, 619, signed, 12.5, colour, ROOM - 95, bold=figures.intact is False),
        text(WIDTH - MARGIN, 619, f"kinowatt {figures.version}".strip(), 12.5, SOFT, 90, anchor="end"),
    ]


def sentence(figures: Figures) -> str:
    """The label in words, for those who cannot see it."""
    spent = f"{watt_hours(figures.total_Wh)} ({figures.how}), {grams(figures.carbon_gCO2e)}"
    each = f"{joules(figures.J_per_second)} per second of video, {joules(figures.J_per_megapixel_frame)} per megapixel-frame"
    return f"Energy label: class {figures.letter or 'unknown'}; {spent}; {each}; {figures.model}"


def svg(figures: Figures, width_px: float = SIZE[0]) -> str:
    """The label as an SVG of its own, with its own background."""
    return to_svg(drawing(figures), SIZE, sentence(figures), width_px)


def png_bytes(figures: Figures, scale: float = 2.0) -> bytes:
    """The label as a PNG of 420 by 640 pixels times `scale`."""
    return to_png(drawing(figures), SIZE, scale)


def png(path: Path, figures: Figures, scale: float = 2.0) -> None:
    """Write the label as a PNG. OutputError if that fails."""
    save(path, png_bytes(figures, scale))


def save_svg(path: Path, figures: Figures) -> None:
    """Write the label as an SVG. OutputError if that fails."""
    save(path, svg(figures).encode())
