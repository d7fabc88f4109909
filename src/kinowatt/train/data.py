"""Training data: blocks of rendered clips, kept on disk once, and their latents, encoded once and held in memory.

A block is 32 scenes of one size. Its number decides its seeds and its size, so any process can make any block, and a run that was
killed goes on with the blocks that are there.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kinowatt import language
from kinowatt.engine.conditioning import to_signal
from kinowatt.models import weights
from kinowatt.models.text import TextEncoder
from kinowatt.models.vae import VideoCodec
from kinowatt.worlds.toybox import Toybox, threads

BLOCK = 32
CAPTIONS = 4  # wordings per clip, English and Chinese
HELD_OUT = 1_000_000  # the first block of scenes that no training ever sees


@dataclass(frozen=True)
class Bucket:
    """A size in pixels and how many of eight blocks have it."""

    width: int
    height: int
    share: int


@dataclass(frozen=True, eq=False)
class Block:
    """Rendered scenes of one size: frames (N, T, C, H, W) and instance ids (N, T, H, W), uint8, and captions per clip."""

    frames_NTCHW: np.ndarray
    ids_NTHW: np.ndarray
    captions: list[list[str]]


def block_size(block: int, buckets: Sequence[Bucket]) -> tuple[int, int]:
    """Width and height of a block: the buckets in turn, by their shares."""
    turn = [b for b in buckets for _ in range(b.share)]
    bucket = turn[random.Random(block).randrange(len(turn))]
    return bucket.width, bucket.height


_world: Toybox | None = None  # one graphics context per process


def render_block(block: int, size: tuple[int, int], frames: int) -> Block:
    """Render the 32 scenes of a block."""
    global _world  # noqa: PLW0603
    _world = _world or Toybox()
    samples = [_world.sample(block * BLOCK + i, size=size, frames=frames) for i in range(BLOCK)]
    captions = [list(_world.captions(s, CAPTIONS)) for s in samples]
    return Block(np.stack([s.clip.frames_TCHW for s in samples]), np.stack([s.ids_THW for s in samples]), captions)


def raw_block(folder: Path | None, block: int, size: tuple[int, int], frames: int) -> Block:
    """A block from the disk, or rendered (and kept, where a folder is given)."""
    if folder is None:
        return render_block(block, size, frames)
    path = folder / f"clips-{size[0]}x{size[1]}x{frames}-{block:07d}.npz"
    if path.exists():
        with np.load(path) as file:
            return Block(file["frames"], file["ids"], [list(row) for row in file["captions"].tolist()])
    made = render_block(block, size, frames)
    folder.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez(aside, frames=made.frames_NTCHW, ids=made.ids_NTHW, captions=np.array(made.captions))
    aside.replace(path)
    return made


def raw_blocks(folder: Path | None, blocks: Sequence[int], buckets: Sequence[Bucket], frames: int, workers: int) -> Iterator[Block]:
    """Blocks as they come, made by `workers` processes (0: in this one, as on a GPU that renders itself)."""
    if workers == 0:
        for b in blocks:
            yield raw_block(folder, b, block_size(b, buckets), frames)
        return
    # Graphics contexts do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=threads, initargs=(1,)) as pool:
        for done in as_completed([pool.submit(raw_block, folder, b, block_size(b, buckets), frames) for b in blocks]):
            yield done.result()


@torch.inference_mode()
def latent_block(raw: Path | None, folder: Path, codec: VideoCodec, block: int, size: tuple[int, int], frames: int) -> Path:
    """Encode one block with the frozen codec, bfloat16, and keep it; returns the file's path."""
    path = folder / f"latents-{size[0]}x{size[1]}x{frames}-{block:07d}.safetensors"
    if path.exists():
        return path
    made = raw_block(raw, block, size, frames)
    device = next(codec.parameters()).device
    latents = []
    for clip_TCHW in made.frames_NTCHW:
        with torch.autocast(device.type, torch.bfloat16):
            latents.append(codec.encode(to_signal(clip_TCHW).to(device)))
    weights.save(path, {"latents": torch.cat(latents).bfloat16()}, {"captions": made.captions})
    return path


def _latent_worker(raw: Path | None, folder: Path, codec_path: Path, block: int, size: tuple[int, int], frames: int) -> Path:
    torch.set_num_threads(1)
    return latent_block(raw, folder, load_codec(codec_path), block, size, frames)


_codecs: dict[Path, VideoCodec] = {}


def load_codec(path: Path) -> VideoCodec:
    """The codec of a weights file, frozen; read once per process."""
    if path not in _codecs:
        _codecs[path] = VideoCodec.from_file(path).eval().requires_grad_(False)
    return _codecs[path]


def latent_blocks(
    raw: Path | None,
    folder: Path,
    codec_path: Path,
    blocks: Sequence[int],
    buckets: Sequence[Bucket],
    frames: int,
    workers: int,
    device: torch.device,
) -> Iterator[Path]:
    """Latent files as they come, by processes on a CPU, in this process on an accelerator."""
    if workers == 0:
        codec = load_codec(codec_path).to(device)
        for b in blocks:
            yield latent_block(raw, folder, codec, b, block_size(b, buckets), frames)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=threads, initargs=(1,)) as pool:
        jobs = [pool.submit(_latent_worker, raw, folder, codec_path, b, block_size(b, buckets), frames) for b in blocks]
        for done in as_completed(jobs):
            yield done.result()


class LatentStore:
    """All latents of a run in memory, by size, with the token rows of their captions."""

    def __init__(self, paths: Sequence[Path], text: TextEncoder) -> None:
        latents: dict[tuple[int, int], list[torch.Tensor]] = {}
        rows: dict[tuple[int, int], list[torch.Tensor]] = {}
        for path in sorted(paths):
            tensors, config = weights.load(path)
            x = tensors["latents"]
            size = (x.shape[-1], x.shape[-2])
            latents.setdefault(size, []).append(x)
            ids = [text.ids([language.read(c).tokens for c in wordings]) for wordings in config["captions"]]
            rows.setdefault(size, []).append(torch.stack(ids))
        self.latents = {size: torch.cat(parts) for size, parts in latents.items()}
        self.rows = {size: torch.cat(parts) for size, parts in rows.items()}
        self.clips = sum(len(x) for x in self.latents.values())

    def draw(self, batch: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Random clips of one size: latents (B, C, F, H, W) and one wording's token rows (B, L) each."""
        sizes = list(self.latents)
        share = torch.tensor([float(len(self.latents[s])) for s in sizes])
        size = sizes[int(torch.multinomial(share, 1, generator=generator))]
        pick = torch.randint(len(self.latents[size]), (batch,), generator=generator)
        wording = torch.randint(CAPTIONS, (batch,), generator=generator)
        return self.latents[size][pick], self.rows[size][pick, wording]
