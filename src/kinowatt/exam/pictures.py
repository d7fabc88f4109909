"""What the judges learn from, and how they watch: renders of the world at four frames a second, 128 pixels a side, with exact masks."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kinowatt.clip import Clip
from kinowatt.media.image import fit
from kinowatt.places import whole
from kinowatt.worlds.toybox import Toybox, scene, threads
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.seen import Seen

SIDE = 128  # pixels of what a judge sees
WATCHED_FPS = 4.0  # of what it sees; a clip of 2 s is nine frames
LOOKS = 9
GLANCES = 3  # of a scene that is only looked at: over the same two seconds, a third of the work
SOFT_SHARE = 0.4  # of the pictures that are learnt from
SHARD = 25  # scenes in a file

# What can be seen of things; the last of each list are not in the tables that random scenes are drawn from.
KINDS = (*scene.KINDS, *(k for k in ("domino", "turbine", "panel") if k not in scene.KINDS))
COLOURS = tuple(scene.COLORS)
FIELDS: dict[str, tuple[str, ...]] = {
    "ground": tuple(scene.GROUNDS),
    "time": tuple(scene.TIMES),
    "weather": tuple(scene.WEATHERS),
    "mood": (*scene.MOODS, "none"),
    "move": tuple(scene.MOVES),
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """Watched scenes: frames (N, T, 3, H, W) and instance ids (N, T, H, W), uint8, all things of each, fields, and what is seen."""

    frames_NTCHW: np.ndarray
    ids_NTHW: np.ndarray
    things: tuple[tuple[Thing, ...], ...]
    fields: tuple[dict[str, str], ...]
    seen: tuple[Seen, ...]

    def labels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per pixel the kind and the colour (N, T, H, W), 0: none, else 1 + place in KINDS, COLOURS; and fields (N, len(FIELDS))."""
        shape = (*self.ids_NTHW.shape,)
        kinds, colours = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        for i, things in enumerate(self.things):
            kind = np.zeros(256, np.uint8)
            colour = np.zeros(256, np.uint8)
            for k, thing in enumerate(things, 1):
                kind[k] = 1 + KINDS.index(thing.kind)
                colour[k] = 1 + COLOURS.index(thing.color) if thing.color else 0
            kinds[i], colours[i] = kind[self.ids_NTHW[i]], colour[self.ids_NTHW[i]]
        told = np.array([[values.index(row[name]) for name, values in FIELDS.items()] for row in self.fields])
        return kinds, colours, told


def watched(clip: Clip) -> np.ndarray:
    """A clip of any size and rate as a judge sees it: frames (T, 3, SIDE, SIDE) uint8."""
    small, _ = fit(clip, SIDE, SIDE)
    assert small.fps is not None
    at = np.arange(0, small.frames - 0.5, small.fps / WATCHED_FPS).round().astype(int)
    frames: np.ndarray = small.frames_TCHW[at]
    return frames


def rendered(world: Toybox, seeds: Sequence[int], looks: int = LOOKS) -> Pictures:
    """Scenes as the judges watch them, in so many looks over two seconds."""
    fps = WATCHED_FPS * (looks - 1) / (LOOKS - 1)
    samples = [world.sample(seed, size=(SIDE, SIDE), frames=looks, fps=fps) for seed in seeds]
    return Pictures(
        np.stack([s.clip.frames_TCHW for s in samples]),
        np.stack([s.ids_THW for s in samples]),
        tuple(s.motion.things for s in samples),
        tuple({name: getattr(s.scene, name) or "none" for name in FIELDS} for s in samples),
        tuple(s.seen for s in samples),
    )


def softened(x_NCHW: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Pictures as soft as a codec leaves them."""
    size = int(x_NCHW.shape[2] * rng.uniform(0.4, 0.9))
    small = functional.interpolate(x_NCHW, size=(size, size), mode="bilinear", antialias=True)
    return functional.interpolate(small, size=x_NCHW.shape[2:], mode="bilinear")


def rarity(kinds_of_things: Sequence[int]) -> np.ndarray:
    """Weights of KINDS: a rare one counts for more, by the square root of how rare it is; 1 on the average thing."""
    counts = np.bincount(kinds_of_things, minlength=len(KINDS))
    weights = counts.clip(min=1) ** -0.5
    rare: np.ndarray = (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
    return rare


_world: Toybox | None = None  # one graphics context per process


def shard(folder: Path, first: int, looks: int) -> Path:
    """The file of SHARD scenes from seed `first` on, rendered if it is not there."""
    global _world  # noqa: PLW0603
    path = folder / f"judged-{looks}-{first:09d}.npz"
    if path.exists():
        return path
    _world = _world or Toybox()
    made = rendered(_world, range(first, first + SHARD), looks)
    told = [
        {"things": [asdict(t) for t in things], "fields": fields, "seen": seen.to_json()}
        for things, fields, seen in zip(made.things, made.fields, made.seen, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, frames=made.frames_NTCHW, ids=made.ids_NTHW, told=json.dumps(told))
    return path


def pictures(folder: Path, first: int, scenes: int, workers: int = 1, looks: int = LOOKS) -> Pictures:
    """Scenes from seed `first` on, from the folder or rendered into it."""
    starts = range(first, first + scenes, SHARD)
    # Graphics contexts do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=threads, initargs=(1,)) as pool:
        paths = list(pool.map(shard, [folder] * len(starts), starts, [looks] * len(starts)))
    frames, ids, told = [], [], []
    for path in paths:
        with np.load(path) as file:
            frames.append(file["frames"])
            ids.append(file["ids"])
            told += json.loads(str(file["told"]))
    return Pictures(
        np.concatenate(frames)[:scenes],
        np.concatenate(ids)[:scenes],
        tuple(tuple(_thing(t) for t in row["things"]) for row in told[:scenes]),
        tuple(row["fields"] for row in told[:scenes]),
        tuple(Seen.from_json(row["seen"]) for row in told[:scenes]),
    )


def _thing(row: dict[str, Any]) -> Thing:
    return Thing(**row)
