"""What costs less at a small loss, by choice: step caching, short weights, windowed attention. What was measured of each, in words.

The figures are those of savings.json, which benchmarks/savings.py writes; they hold for the weights that they were measured on.
No torch here.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinowatt.errors import ShotError

# One byte; beside it each output of a layer has a scale, which the widths of real networks make less than .1 %.
BYTES_PER_WEIGHT = {"int8": 1.0, "fp8": 1.0}

STEP_CACHE, WEIGHTS, WINDOW = "step cache", "weights", "window"


def window_of(text: str) -> tuple[int, int, int]:
    """Latent frames, rows and columns, in tokens, of "3x8x8". ShotError."""
    if not (match := re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})x([1-9]\d{0,3})", text)):
        raise ShotError(f"a window has latent frames, rows and columns of tokens, for example 3x8x8, not {text!r}")
    return int(match[1]), int(match[2]), int(match[3])


def share_of_work(grid: Sequence[int], window: Sequence[int]) -> float:
    """Share in (0, 1] of self-attention's scores that windows compute, on a grid of tokens (frames, rows, columns)."""
    return math.prod(min(w, n) / n for n, w in zip(grid, window, strict=True))


@dataclass(frozen=True)
class Measured:
    """One saving against the exact run, same prompts and seeds: means over `clips` takes of the decoded frames' likeness, and ratios.

    `psnr_dB` is None where every take was equal to the exact one. `blocks_skipped` is a share; ratios are those of denoising.
    """

    model: str
    weights_sha256: str
    kind: str
    setting: str
    clips: int
    runtime: str
    psnr_dB: float | None
    ssim: float
    seconds_ratio: float
    joules_ratio: float
    blocks_skipped: float


@functools.cache
def table() -> tuple[Measured, ...]:
    """All that was measured."""
    read: dict[str, Any] = json.loads((Path(__file__).parent / "savings.json").read_text(encoding="utf-8"))
    return tuple(Measured(**row) for row in read["rows"])


def of_step_cache(threshold: float, skipped: float, model: str, weights_sha256: str) -> str:
    """What a take says of its step cache, of whose blocks a share was `skipped`."""
    if skipped == 0:
        return f"step cache {threshold:g}: no block could be left out, so nothing was lost"
    figures = _figures(STEP_CACHE, f"{threshold:g}", model, weights_sha256)
    return f"step cache {threshold:g}: {skipped:.0%} of blocks were not computed; {figures}"


def of_weights(kind: str, model: str, weights_sha256: str) -> str:
    """What a take says of its weights in 8 bits."""
    return f"weights {kind}: those of the network's blocks were rounded to 8 bits; {_figures(WEIGHTS, kind, model, weights_sha256)}"


def of_window(window: Sequence[int], grid: Sequence[int], model: str, weights_sha256: str) -> str:
    """What a take on a grid of tokens says of its windows."""
    setting, share = "x".join(map(str, window)), share_of_work(grid, window)
    if share == 1:
        return f"window {setting}: it covers the whole clip, so nothing was lost"
    return f"window {setting}: each token attended to {share:.0%} of the clip; {_figures(WINDOW, setting, model, weights_sha256)}"


def _figures(kind: str, setting: str, model: str, weights_sha256: str) -> str:
    """Of the same saving on these weights; else of the next stronger step cache; else that there are none."""
    rows = [row for row in table() if row.kind == kind and row.weights_sha256 == weights_sha256]
    same = [row for row in rows if row.setting == setting]
    if not same and kind == STEP_CACHE:
        same = sorted((row for row in rows if float(row.setting) > float(setting)), key=lambda row: float(row.setting))[:1]
    if not same:
        return f"what that loses was not measured on {model}"
    row = same[0]
    if row.psnr_dB is None:
        loss = "no loss"
    else:
        loss = f"{row.psnr_dB:.1f} dB PSNR, {row.ssim:.2f} SSIM against exact".replace(" 0.", " .")
    what = "this" if row.setting == setting else f"{row.setting}, the nearest above,"
    where = f"mean of {row.clips} clips, {row.runtime}"
    return f"on {model} at its defaults {what} was measured at {loss}, for {row.joules_ratio:.2f} of the joules of denoising ({where})"
