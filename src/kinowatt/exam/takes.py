"""Physics-IQ's formula on our scenes: where, when and how much a clip moves, against two takes of the same scene.

Motamed et al. 2025 (arXiv 2501.09038): the mean of three overlaps of motion masks, each as a share of the overlap of the two takes,
minus the squared error in excess of that between the takes; cut at 0 and 100. Their masks, in short: what differs by more than 10 of 255
from a running mean of the blurred grey picture, opened and closed. Legend: T frames, H W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kinowatt.clip import Clip
from kinowatt.exam import figure, scenes
from kinowatt.exam.figure import Figure, Section, Shown
from kinowatt.exam.physics import CEASED, GIVEN, PLAIN
from kinowatt.exam.scenes import FRAMES
from kinowatt.exam.sitting import Sitting, beside
from kinowatt.shot import START, Anchor
from kinowatt.worlds.toybox import Sample

THRESHOLD, FOLLOWS = 10.0, 0.3  # of 255; share of the new frame in the running mean
KERNEL = 5  # pixels, of blur, opening and closing, for pictures of about 256; smaller ones have smaller kernels
GREY = np.array([0.299, 0.587, 0.114], np.float32)
SECOND = 0.02  # how much smaller or larger things are in the second take
EVENTS = ("collide", "bounce", "projectile", "topple", "pendulum", "roll")
CONTEXT = "For context, on Physics-IQ's own scenes: Sora 10.0, SVD 14.8, Wan2.2 38.3, Sora 2 42.3 (from an image), Magi-1 56.0 (from video)"


def moving(clip: Clip) -> np.ndarray:
    """Where a clip moves (T, H, W)."""
    grey = torch.from_numpy(np.tensordot(clip.frames_TCHW.astype(np.float32), GREY, ([1], [0])))[:, None]
    kernel = max(KERNEL * clip.height // 256 // 2 * 2 + 1, 3)
    pad = kernel // 2
    line = torch.exp(-0.5 * ((torch.arange(kernel) - pad) / (0.3 * (pad - 1) + 0.8)) ** 2)  # OpenCV's width for a kernel of this size
    line = line / line.sum()
    grey = functional.conv2d(functional.pad(grey, (pad,) * 4, mode="reflect"), torch.outer(line, line)[None, None])
    mean, masks = grey[0], [torch.zeros_like(grey[0])]
    for frame in grey[1:]:
        mean = (1 - FOLLOWS) * mean + FOLLOWS * frame
        masks.append(((frame - mean).abs() > THRESHOLD).float())
    found = torch.stack(masks)

    def grown(x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(x, kernel, 1, pad)

    opened = grown(-grown(-found))
    return (-grown(-grown(opened)))[:, 0].numpy() > 0.5


def overlaps(a_THW: np.ndarray, b_THW: np.ndarray) -> np.ndarray:
    """Of motion in place and time, in place, and in place weighted by how often; 1 where nothing moves in either."""

    def share(a: np.ndarray, b: np.ndarray) -> float:
        union = float(np.maximum(a, b).sum())
        return float(np.minimum(a, b).sum()) / union if union else 1.0

    in_time = float(np.mean([share(a, b) for a, b in zip(a_THW, b_THW, strict=True)]))
    return np.array([in_time, share(a_THW.max(0), b_THW.max(0)), share(a_THW.mean(0), b_THW.mean(0))])


def parts(clip: Clip, take: Clip) -> np.ndarray:
    """The three overlaps and the squared error (of pictures in 0..1) after the given frames."""
    a, b = (c.cut(GIVEN, FRAMES) for c in (clip, take))
    error = float(np.mean((a.frames_TCHW / 255.0 - b.frames_TCHW / 255.0) ** 2))
    return np.append(overlaps(moving(a), moving(b)), error)


def score(made_N4: np.ndarray, takes_N4: np.ndarray) -> float:
    """The score of 0 to 100 of several clips, and between the two takes of each."""
    made, variance = made_N4.mean(0), takes_N4.mean(0)
    return float(np.clip(100.0 * ((made[:3] / np.maximum(variance[:3], 1e-6)).mean() - (made[3] - variance[3])), 0.0, 100.0))


def second(s: Sitting, number: int, over: dict[str, Any]) -> Sample:
    """The scene once more, its things a little larger and smaller: as close as two takes in a studio come."""
    drawn = s.world.sample(number, **over).scene
    changed = tuple(replace(x, size_m=x.size_m * (1 + SECOND * (-1) ** i)) for i, x in enumerate(drawn.subjects))
    return s.world.sample(number, **over, subjects=changed)


def takes(s: Sitting) -> Section:
    """The score, and those of the scene itself and of a clip that stands still."""
    marks: dict[str, list[np.ndarray]] = {"made": [], "truth": [], "coded": [], "floor": [], "between": []}
    clips: list[Shown] = []
    for i in range(s.amounts.takes):
        over: dict[str, Any] = {"event": EVENTS[i % len(EVENTS)], **PLAIN}
        number = scenes.first(i // len(EVENTS) + 1, **over)[-1]
        one, two = s.world.sample(number, **over).clip, second(s, number, over).clip
        told = scenes.prompt(s.world.sample(number, **over))
        made = s.candidate.make(told, number, FRAMES, [Anchor(one.cut(0, GIVEN), START)]).clip
        s.say(f"two takes: {told[:100]}")
        held = scenes.still(one, GIVEN - 1, FRAMES)
        for name, clip in {"made": made, "truth": two, "coded": s.candidate.coded(one), "floor": held}.items():
            marks[name].append(parts(clip, one))
        marks["between"].append(parts(two, one))
        clips.append(Shown("going on | first take", told, number, number, beside(made, one)))
    words = (
        f"{GIVEN} frames of a scene are given; the rest is held against the scene. The second take has things {SECOND:.0%} larger and "
        "smaller; by the formula it scores 100, and so sets the scale.",
        f"{CONTEXT}. Our scenes are simpler and shorter: only the formula is the same, the numbers cannot be compared.",
    )
    return Section("takes", "Physics-IQ's formula", words, (_figure(marks),), tuple(clips))


def _figure(marks: dict[str, Sequence[np.ndarray]] | dict[str, list[np.ndarray]]) -> Figure:
    between = np.stack(marks["between"])

    def of(name: str) -> figure.Estimate:
        rows = np.stack(marks[name])
        return figure.statistic(len(rows), lambda at: score(rows[at], between[at]))

    mean = np.stack(marks["made"]).mean(0)
    says = "overlap in time and place {:.2f}, in place {:.2f}, weighted {:.2f}, squared error {:.4f}".format(*mean)
    return Figure("Physics-IQ's formula", "of 100", of("made"), of("truth"), of("coded"), of("floor"), CEASED, None, says)
