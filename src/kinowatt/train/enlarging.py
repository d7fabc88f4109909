"""Does refining show more of a scene than interpolation? Measured against the world itself, and kept beside the weights.

Scenes that no training saw are rendered at twice the model's size; their clips are shrunk to what the model computes, and enlarged again
both ways. Refining is chosen only if it is nearer to the render both in structure (SSIM) and in edges (gradient error).

    python -m kinowatt.train.enlarging --model spark --clips 8
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from kinowatt.clip import Clip
from kinowatt.energy.meter import Meter
from kinowatt.engine import load as engines
from kinowatt.engine import stages
from kinowatt.engine.canvas import resized
from kinowatt.engine.engine import Engine
from kinowatt.engine.plan import Plan, fill
from kinowatt.engine.stages import LANCZOS, REFINE, Refining
from kinowatt.engine.ways import Ways
from kinowatt.errors import ShotError
from kinowatt.media.image import fit
from kinowatt.media.likeness import psnr_dB, ssim
from kinowatt.shot import Shot
from kinowatt.train.data import HELD_OUT, seeds
from kinowatt.worlds.toybox import Toybox

FRAMES = 17
# Strength, steps and guidance of the ways to refine that are tried.
TRIED = ((0.9, 3, 1.0), (0.8, 4, 1.0), (0.65, 6, 1.0), (0.8, 4, 3.0))
Scores = dict[str, float]


def edges(frames_TCHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences of grey values (T, H, W) between neighbours, along rows and down columns."""
    grey_THW = frames_TCHW.astype(np.float32).mean(1)
    return np.diff(grey_THW, axis=2), np.diff(grey_THW, axis=1)


def gradient_error(made_TCHW: np.ndarray, truth_TCHW: np.ndarray) -> float:
    """Mean difference of the gradients from the true ones, in parts of those: 0 equal, 1 as bad as an even grey."""
    pairs = list(zip(edges(made_TCHW), edges(truth_TCHW), strict=True))
    return float(sum(np.abs(a - b).sum() for a, b in pairs) / max(sum(np.abs(b).sum() for _, b in pairs), 1e-6))


def sharpness(frames_TCHW: np.ndarray) -> float:
    """Mean square of the gradients, in grey values per pixel."""
    return float(sum(np.mean(e**2) for e in edges(frames_TCHW)))


def seams(frames_TCHW: np.ndarray, stage: stages.Stage) -> float:
    """Mean absolute gradient across the borders of a stage's tiles over that elsewhere; about 1 where no border can be seen."""
    at, elsewhere = [], []
    offsets = (stage.canvas_width - stage.width) // 2, (stage.canvas_height - stage.height) // 2
    for steps, spans, offset, axis in zip(edges(frames_TCHW), (stage.columns, stage.rows), offsets, (2, 1), strict=True):
        length = steps.shape[axis]
        inner = {border - 1 - offset for span in spans for border in span if 0 < border - 1 - offset < length - 1}
        profile = np.abs(steps).mean(axis=(0, 3 - axis))
        at += [profile[i] for i in sorted(inner)]
        elsewhere += [profile[i] for i in range(length) if i not in inner]
    return float(np.mean(at) / max(np.mean(elsewhere), 1e-6)) if at else 1.0


def judge(made: np.ndarray, truth: np.ndarray, small: np.ndarray, plain: np.ndarray, stage: stages.Stage) -> Scores:
    """Likeness of an enlarged clip to the true one and to the small one that it was made from; seams, against the interpolated one."""
    shrunk = resized(made, small.shape[3], small.shape[2])
    return {
        "psnr_dB": psnr_dB(made, truth),
        "ssim": ssim(made, truth),
        "gradient_error": gradient_error(made, truth),
        "sharpness": sharpness(made) / max(sharpness(truth), 1e-6),
        "faithful_dB": min(psnr_dB(shrunk, small), 99.0),
        "seams": seams(made, stage) / max(seams(plain, stage), 1e-6),
    }


def scenes(engine: Engine, clips: int, frames: int = FRAMES) -> Iterator[tuple[Plan, Clip]]:
    """Held-out scenes at twice the model's size, each with the plan that would make such a clip."""
    spec, world = engine.model.spec, Toybox()
    size = 2 * spec.size[0], 2 * spec.size[1]
    for seed in seeds(HELD_OUT)[:clips]:
        sample = world.sample(seed, size=size, frames=frames, fps=spec.fps)
        shot = Shot(sample.caption, size=size, seconds=frames / spec.fps, seed=seed, enlarge=REFINE, model=spec.name)
        plan = fill(shot, spec)
        if not plan.stages:
            raise ShotError(f"{spec.name} makes {size[0]}x{size[1]} by itself, so there is nothing to enlarge")
        yield plan, sample.clip


def means_of(rows: list[Scores]) -> Scores:
    """Of each score."""
    return {key: round(fmean(row[key] for row in rows), 4) for key in rows[0]}


def measure(engine: Engine, clips: int, zone: str | None = None, tell: engines.Told = lambda line: None) -> Refining:
    """Try all ways to refine on the same scenes, and interpolation; the best of the ways, and whether it beats that."""
    spec = engine.model.spec
    tried = [Refining(spec.name, engine.model.sha256, REFINE, *means, clips, {}) for means in TRIED]
    rows: list[list[Scores]] = [[] for _ in tried]
    interpolated: list[Scores] = []
    for plan, truth in scenes(engine, clips):
        size, inner = (plan.width, plan.height), (plan.inner_width, plan.inner_height)
        small = fit(truth, *inner)[0].frames_TCHW
        plain = resized(small, *size)
        interpolated.append(judge(plain, truth.frames_TCHW, small, plain, plan.stages[-1]))
        nothing = np.zeros((1, engine.model.codec.channels, 1, 1, 1), np.float32)
        for way, own in zip(tried, rows, strict=True):
            its = replace(plan, stages=stages.stages(inner, size, plan.stages[0].times[-1][1], spec, way))
            with Meter(zone=zone) as meter:
                made = engine.refined(its, small, nothing, 0, meter, lambda progress: None, None)
            spent = meter.bill.phases["enlarge"]
            score = judge(made, truth.frames_TCHW, small, plain, its.stages[-1])
            own.append(score | {"joules_J": spent.total_J or 0.0, "seconds": spent.wall_s})
        tell(f"{len(interpolated)} of {clips} scenes")
    lanczos, scored = means_of(interpolated), [means_of(own) for own in rows]
    for way, score in zip(tried, scored, strict=True):
        tell(f"strength {way.strength:g}, {way.steps} steps, guidance {way.guidance:g}: {score}")
    tell(f"interpolation: {lanczos}")
    best = max(range(len(tried)), key=lambda i: scored[i]["ssim"] - scored[i]["gradient_error"])
    wins = scored[best]["ssim"] > lanczos["ssim"] and scored[best]["gradient_error"] < lanczos["gradient_error"]
    return replace(tried[best], choice=REFINE if wins else LANCZOS, scores={REFINE: scored[best], LANCZOS: lanczos})


def main() -> None:
    """Measure, keep and say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="spark")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--out", type=Path, help="the folder of the weights, if not written beside them")
    given = parser.parse_args()
    engine = engines.load(given.model, given.device, Ways(given.runtime))
    if not isinstance(engine, Engine):
        raise ShotError(f"{given.model} runs through diffusers and cannot refine; name a model that kinowatt runs itself")
    found = measure(engine, given.clips, tell=print)
    print(f"{stages.keep(found, given.out or engine.model.spec.folder)}: {found.choice}; {found.told}")


if __name__ == "__main__":
    main()
