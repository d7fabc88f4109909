"""Training data: blocks of rendered clips, kept on disk once.

A block is 32 scenes of one bucket. Its number decides its seeds and its bucket, so any process can make any block, and a run that was
killed goes on with the blocks that are there. A block holds what its clips show, not their captions: those are written anew at each draw.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kinowatt.models import falls
from kinowatt.worlds.toybox import Sample, Toybox, caption, light, scene, splits, threads
from kinowatt.worlds.toybox.physics import Motion
from kinowatt.worlds.toybox.seen import Seen

T = TypeVar("T")
BLOCK = 32
LANGUAGES = ("en", "en", "zh-Hant", "zh-Hans", "mixed")  # of a caption, as often as they stand here
HELD_OUT = 1_000_000  # the first block of scenes that no training ever sees


@dataclass(frozen=True)
class Bucket:
    """A size in pixels, how many blocks have it in proportion to the others, and its pixel frames (4k+1)."""

    width: int
    height: int
    share: int
    frames: int = 33


@dataclass(frozen=True, eq=False)
class Block:
    """Rendered scenes of one size: frames (N, T, C, H, W) and instance ids (N, T, H, W), uint8, what they show, and where the camera was.

    `cameras_NT44`: camera rows (see toybox/camera.py); `focus_N`: metres from the camera to what it looks at. `motions`: how the scenes
    move, in the frames that were rendered; `lights_N3`: where most of the light comes from, unit vectors; `falls_NN`: what falls (N, FALL;
    models/falls.py). None of these where a block was read from the disk.
    """

    frames_NTCHW: np.ndarray
    ids_NTHW: np.ndarray
    seen: tuple[Seen, ...]
    cameras_NT44: np.ndarray
    focus_N: np.ndarray
    motions: tuple[Motion, ...] = ()
    lights_N3: np.ndarray | None = None
    falls_NN: np.ndarray | None = None

    def captions(self, split: str = "train") -> list[str]:
        """One caption of each clip, the same at every call."""
        return [wording(seen, i, split) for i, seen in enumerate(self.seen)]


def wording(seen: Seen, seed: int, split: str = "train") -> str:
    """A caption in a language and a register of its seed's choice."""
    return caption.write(seen, seed=seed, language=random.Random(seed).choice(LANGUAGES), split=split)


def bucket_of(block: int, buckets: Sequence[Bucket]) -> Bucket:
    """The bucket of a block: by lot, by their shares, the same at every call."""
    return random.Random(block).choices(buckets, [b.share for b in buckets])[0]


@functools.cache
def world() -> Toybox:
    """The world, with the one graphics context of this process."""
    return Toybox()


def seeds(block: int) -> list[int]:
    """Of the 32 scenes of a block. Scenes with a pair of attributes that is kept for the exam are passed over."""
    numbers = range(2 * BLOCK * block, 2 * BLOCK * (block + 1))
    return [n for n in numbers if not splits.held_out_pair(scene.sample(n))][:BLOCK]


def render_block(block: int, size: tuple[int, int], frames: int, every: int = 1) -> Block:
    """Render the 32 scenes of a block, or every so manieth frame of them."""
    return block_of([world().sample(seed, size=size, frames=frames, every=every) for seed in seeds(block)], every)


def block_of(samples: Sequence[Sample], every: int = 1) -> Block:
    """Samples of one size as a block; `every`: as they were rendered."""
    return Block(
        np.stack([s.clip.frames_TCHW for s in samples]),
        np.stack([s.ids_THW for s in samples]),
        tuple(s.seen for s in samples),
        np.stack([s.camera_T44 for s in samples]),
        np.array([s.focus_m for s in samples], np.float32),
        tuple(s.motion.every(every) for s in samples),
        np.array([light.main_light(s.scene) for s in samples], np.float32),
        np.array([falls.numbers(s.scene.weather, light.clock(s.scene), (light.drift(s.scene), 0.0)) for s in samples], np.float32),
    )


def raw_block(folder: Path | None, block: int, size: tuple[int, int], frames: int, every: int = 1) -> Block:
    """A block, or every so manieth frame of it, from the disk, or rendered (and kept, where a folder is given)."""
    if folder is None:
        return render_block(block, size, frames, every)
    path = folder / f"clips-{size[0]}x{size[1]}x{frames}-{every}-{block:07d}.npz"
    if path.exists():
        with np.load(path) as file:
            seen = tuple(Seen.from_json(row) for row in json.loads(str(file["seen"])))
            return Block(file["frames"], file["ids"], seen, file["cameras"], file["focus"])
    made = render_block(block, size, frames, every)
    folder.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    shown = json.dumps([s.to_json() for s in made.seen], ensure_ascii=False)
    np.savez(aside, frames=made.frames_NTCHW, ids=made.ids_NTHW, seen=shown, cameras=made.cameras_NT44, focus=made.focus_N)
    aside.replace(path)
    return made


def raw_blocks(folder: Path | None, blocks: Sequence[int], buckets: Sequence[Bucket], workers: int, every: int = 1) -> Iterator[Block]:
    """Blocks as they come, made by `workers` processes (0: in this one, as on a GPU that renders itself)."""
    jobs = [(folder, b, (k.width, k.height), k.frames, every) for b in blocks for k in (bucket_of(b, buckets),)]
    yield from rendered(raw_block, jobs, workers)


def rendered(render: Callable[..., T], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """What comes of each job, as it comes, by so many processes; 0: in this one, where an accelerator renders."""
    if workers == 0:
        yield from (render(*job) for job in jobs)
        return
    # Graphics contexts do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=threads, initargs=(1,)) as pool:
        for done in as_completed([pool.submit(render, *job) for job in jobs]):
            yield done.result()
