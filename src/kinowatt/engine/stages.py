"""Sizes beyond what a model computes: by plain interpolation, or by the model itself, in stages of about twice the size, tile by tile.

What was measured of both ways on a model's weights decides (`Refining`, written by `python -m kinowatt.train.enlarging`). No torch here.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from kinowatt.errors import ShotError, WeightsError
from kinowatt.models.spec import ModelSpec
from kinowatt.places import whole

LANCZOS: Literal["lanczos"] = "lanczos"
REFINE: Literal["refine"] = "refine"
WAYS = (REFINE, LANCZOS)
MEASURED = "enlarging.json"  # beside the weights
OVERLAP = 0.25  # of a tile's side: where two tiles fade into each other
FACTOR = 2.0  # of a stage, about
MOST_SECONDS = 10.5  # of a clip that is refined


@dataclass(frozen=True)
class Refining:
    """How a model refines, and how that was measured against interpolation on scenes that it was not trained on.

    `scores`: means per way and size, see train/enlarging.py.
    """

    model: str
    weights_sha256: str
    choice: str  # one of WAYS
    strength: float
    steps: int
    guidance: float
    clips: int
    scores: dict[str, dict[str, float]]

    @property
    def told(self) -> str:
        """The measurement in a clause."""
        ours, plain = self.scores[REFINE], self.scores[LANCZOS]
        text = f"on {self.clips} held-out scenes refining had {ours['ssim']:.3f} SSIM and {ours['gradient_error']:.3f} gradient error, "
        return text + f"interpolation {plain['ssim']:.3f} and {plain['gradient_error']:.3f}"


UNMEASURED = Refining("", "", LANCZOS, 0.75, 4, 1.0, 0, {})


def measured(spec: ModelSpec) -> Refining | None:
    """What was measured of these weights; None where nothing was, or of others. WeightsError if the file is damaged."""
    path = spec.folder / MEASURED
    if not path.exists():
        return None
    try:
        found = Refining(**json.loads(path.read_text(encoding="utf-8")))
        assert found.choice in WAYS
        assert found.told
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise WeightsError(f"{path} does not tell how to enlarge ({error!r}); measure it anew or delete it") from error
    return None if spec.weights_sha256 not in ("", found.weights_sha256) else found


def keep(found: Refining, folder: Path) -> Path:
    """Write it beside the weights. OutputError."""
    path = folder / MEASURED
    with whole(path) as part:
        part.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return path


Spans = tuple[tuple[int, int], ...]  # begin and end of each tile along one axis


@dataclass(frozen=True)
class Stage:
    """One enlargement by the model itself. Sizes in pixels; the canvas has whole tokens, its middle is the picture.

    Tiles cover the canvas (`rows`, `columns`, in pixels) and time (`times`, in latent frames) and overlap.
    """

    width: int
    height: int
    canvas_width: int
    canvas_height: int
    rows: Spans
    columns: Spans
    times: Spans
    strength: float
    steps: int
    guidance: float

    @property
    def inner_width(self) -> int:
        """Of the picture in the canvas."""
        return self.width

    @property
    def inner_height(self) -> int:
        """Of the picture in the canvas."""
        return self.height

    @property
    def tile(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns in pixels: all tiles are alike."""
        return tuple(end - begin for (begin, end), *_ in (self.times, self.rows, self.columns))  # type: ignore[return-value]

    @property
    def tiles(self) -> int:
        """How often the network is called in a pass."""
        return len(self.rows) * len(self.columns) * len(self.times)


def way_of(wanted: str | None, spec: ModelSpec, seconds: float, found: Refining | None) -> str:
    """How to enlarge what a model makes: as is wanted, else as was found better. ShotError where it cannot be done that way."""
    if wanted == REFINE and spec.reads_sentences:  # of Wan's and foreign models, which have conditions of their own
        raise ShotError(f"{spec.name} cannot refine what it made; use --enlarge lanczos")
    if wanted == REFINE and seconds > MOST_SECONDS:
        raise ShotError(f"clips of up to {MOST_SECONDS:g} s can be refined, for which all frames must be in memory; use --enlarge lanczos")
    return wanted or (LANCZOS if seconds > MOST_SECONDS else (found or UNMEASURED).choice)


def stages(inner: tuple[int, int], size: tuple[int, int], latent_frames: int, spec: ModelSpec, how: Refining) -> tuple[Stage, ...]:
    """From a picture of `inner` size to `size` (width, height), each stage by the same factor."""
    ratio = max(size[0] / inner[0], size[1] / inner[1])
    count = max(round(math.log(ratio, FACTOR) + 0.2), 1)
    most = (spec.trained_frames - 1) // spec.frame_stride + 1
    out = []
    for i in range(1, count + 1):
        part = ratio ** (i / count - 1.0)
        width, height = size if i == count else (round(side * part / 2) * 2 for side in size)
        canvas_w, canvas_h = (math.ceil(side / spec.grid) * spec.grid for side in (width, height))
        rows, columns = (_aligned(side, own, spec.grid) for side, own in zip((canvas_h, canvas_w), reversed(spec.size), strict=True))
        times = tuple(spans(latent_frames, most))
        out.append(Stage(width, height, canvas_w, canvas_h, rows, columns, times, how.strength, how.steps, spec.strength(how.guidance)))
    return tuple(out)


def _aligned(side: int, tile: int, grid: int) -> Spans:
    """Tiles in whole tokens."""
    return tuple((begin * grid, end * grid) for begin, end in spans(side // grid, max(tile // grid, 1)))


def spans(length: int, tile: int) -> list[tuple[int, int]]:
    """Begin and end of equal tiles that cover `length` and overlap by about OVERLAP; one if it fits."""
    if tile >= length:
        return [(0, length)]
    step = max(math.floor(tile * (1.0 - OVERLAP)), 1)
    count = -(-(length - tile) // step) + 1
    return [(round(i * (length - tile) / (count - 1)), round(i * (length - tile) / (count - 1)) + tile) for i in range(count)]


def to_json(found: tuple[Stage, ...]) -> list[dict[str, Any]]:
    """For --dry-run."""
    return [{"size": f"{s.width}x{s.height}", "tiles": s.tiles, "steps": s.steps, "strength": s.strength} for s in found]
