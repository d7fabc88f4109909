"""What the codec keeps: PSNR and SSIM over the frame, and over the things' own masks, where a good mean can hide what vanished.

And the two scores of exam/closeness.py, with the energy and time of a clip.
"""

from __future__ import annotations

import math

import numpy as np

from kinowatt.clip import Clip
from kinowatt.exam import closeness, figure, scenes
from kinowatt.exam.figure import Bar, Estimate, Figure, Section, Shown
from kinowatt.exam.scenes import FRAMES, World
from kinowatt.exam.sitting import Sitting, beside
from kinowatt.media.image import fit
from kinowatt.media.likeness import psnr_dB, ssim

SIDE = 256  # pixels
PARTS = ("PSNR", "PSNR over things", "SSIM", "SSIM over things")
THIRD = "the scene at a third of its size, enlarged"
MARGIN = 8  # pixels round a thing, of SSIM's window


def masked_psnr_dB(a_TCHW: np.ndarray, b_TCHW: np.ndarray, mask_THW: np.ndarray) -> float | None:
    """Over the pixels of a mask; None where it is empty."""
    if not mask_THW.any():
        return None
    square = float((((a_TCHW.astype(np.float32) - b_TCHW) ** 2).mean(1))[mask_THW].mean())
    return 10.0 * math.log10(255.0**2 / max(square, 1e-6))


def compared(made: Clip, true: Clip, mask_THW: np.ndarray) -> list[float | None]:
    """The PARTS of one clip."""
    a, b = made.frames_TCHW, true.frames_TCHW
    boxed = [ssim(x, y) for x, y in _boxes(a, b, mask_THW)]
    return [psnr_dB(a, b), masked_psnr_dB(a, b, mask_THW), ssim(a[::4], b[::4]), float(np.mean(boxed)) if boxed else None]


def _boxes(a_TCHW: np.ndarray, b_TCHW: np.ndarray, mask_THW: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The part of every fourth frame that holds all things."""
    out = []
    for a, b, mask in zip(a_TCHW[::4], b_TCHW[::4], mask_THW[::4], strict=True):
        y, x = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(y):
            rows, columns = (slice(max(v[0] - MARGIN, 0), v[-1] + MARGIN) for v in (y, x))
            if min(b[0, rows, columns].shape) >= 11:
                out.append((a[None, :, rows, columns], b[None, :, rows, columns]))
    return out


def codec(s: Sitting) -> Section:
    """Held-out scenes at 256x256 through the codec."""
    world = World((SIDE, SIDE), 17, s.candidate.fps, s.world.toybox)
    rows, floors, clips = [], [], []
    for number in scenes.first(s.amounts.codec):
        sample = world.sample(number)
        made = s.candidate.coded(sample.clip)
        small = fit(fit(sample.clip, SIDE // 3, SIDE // 3)[0], SIDE, SIDE)[0]
        rows.append(compared(made, sample.clip, sample.ids_THW > 0))
        floors.append(compared(small, sample.clip, sample.ids_THW > 0))
        clips.append(Shown("through the codec | the scene", scenes.prompt(sample), number, number, beside(made, sample.clip)))
        s.say(f"codec: {rows[-1][0]:.1f} dB")
    bars = {"PSNR": Bar(36.0, "least"), "PSNR over things": Bar(32.0, "least")}
    figures = []
    for i, name in enumerate(PARTS):
        kept, floor = (figure.mean([row[i] for row in of]) for of in (rows, floors))
        says = "mean over clips" if "things" not in name else "over the exact masks" if "PSNR" in name else "in the box round all things"
        figures.append(Figure(name, "dB" if "PSNR" in name else "", kept, None, None, floor, THIRD, bars.get(name), says))
    words = (f"{len(rows)} held-out scenes of 17 frames at {SIDE}x{SIDE}.",)
    return Section("codec", "Codec", words, tuple(figures), tuple(clips[:12]))


def likeness(s: Sitting) -> Section:
    """How close all clips from text come to all scenes, and what one costs."""
    truth = np.stack([closeness.feature(s.candidate.encoded(x.clip)) for x in s.samples])
    noise = [s.candidate.noise(FRAMES, i, s.candidate.size) for i in range(len(s.samples))]
    sets = {
        "made": np.stack([closeness.feature(s.candidate.encoded(a.made.clip)) for a in s.answers]),
        "coded": np.stack([closeness.feature(s.candidate.encoded(c)) for c in s.coded_clips]),
        "floor": np.stack([closeness.feature(s.candidate.encoded(c)) for c in noise]),
    }

    def of(name: str, what: str) -> Estimate:
        return figure.statistic(len(truth), lambda at: float(getattr(closeness.score(truth[at], sets[name][at]), what)))

    figures = [
        Figure(told, "", of("made", what), None, of("coded", what), of("floor", what), "noise through the decoder", None, says)
        for told, what, says in (
            ("Fréchet distance", "frechet", "diagonal, on features of the model's own codec; smaller is better"),
            ("rank of its own caption", "rank", "0.5 by chance, 1 where every clip is nearest to its own scene"),
        )
    ]
    joules = figure.mean([a.made.work_J for a in s.answers])
    figures.append(Figure("energy of a clip", "J", joules, says="making it, without loading and writing"))
    bar = Bar(10.0, "most") if s.candidate.size == (SIDE, SIDE) else None
    size = "x".join(map(str, s.candidate.size))
    says = f"{FRAMES} frames at {size}; the first clip prepares the runtime" + ("" if bar else f"; the bar is for {SIDE}x{SIDE}")
    figures.append(Figure("time of a clip", "s", figure.median([a.made.seconds for a in s.answers]), bar=bar, says=says))
    words = ("All clips from text against all scenes that they were asked for.",)
    return Section("likeness", "Likeness and cost", words, tuple(figures))
