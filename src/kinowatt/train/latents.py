"""What the denoiser learns from: blocks of clips as latents of the frozen codec, made once and held in memory.

Every clip is there twice, as it is and mirrored, with a close look at one of its things as a reference outside of time.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kinowatt import language
from kinowatt.clip import Clip
from kinowatt.engine.conditioning import to_signal
from kinowatt.media.image import fit
from kinowatt.models import precision, weights
from kinowatt.models.steering import ray_maps
from kinowatt.models.text import TextEncoder
from kinowatt.models.vae import VideoCodec
from kinowatt.train.data import Block, Bucket, bucket_of, raw_block, wording
from kinowatt.worlds.toybox import threads
from kinowatt.worlds.toybox.seen import Seen, mirrored

Size = tuple[int, int, int]  # latent frames, rows, columns
UNKNOWN_SHARE = 0.15  # of captions with words that the lexicon does not know


@torch.inference_mode()
def latent_block(raw: Path | None, folder: Path, codec: VideoCodec, block: int, bucket: Bucket) -> Path:
    """Encode one block with the frozen codec, bfloat16, and keep it; returns the file's path."""
    path = folder / f"latents-{bucket.width}x{bucket.height}x{bucket.frames}-{block:07d}.safetensors"
    if path.exists():
        return path
    made = raw_block(raw, block, (bucket.width, bucket.height), bucket.frames)
    device = next(codec.parameters()).device

    def coded(frames_TCHW: np.ndarray) -> torch.Tensor:
        with precision.autocast(device):
            return codec.encode(to_signal(frames_TCHW).to(device)).bfloat16().cpu()

    clips = [coded(c[..., ::turn]) for turn in (1, -1) for c in made.frames_NTCHW]
    close = [close_look(made, n) for n in range(len(made.seen))]
    looks = [coded(look[..., ::turn]) for turn in (1, -1) for look in close]
    cameras = torch.from_numpy(np.concatenate([made.cameras_NT44, mirrored_cameras(made.cameras_NT44)]))
    focus = torch.from_numpy(made.focus_N).repeat(2)
    tensors = {"latents": torch.cat(clips), "looks": torch.cat(looks), "cameras": cameras, "focus": focus}
    seen = [s.to_json() for s in made.seen] + [mirrored(s).to_json() for s in made.seen]
    weights.save(path, tensors, {"seen": seen})
    return path


def close_look(block: Block, n: int) -> np.ndarray:
    """One frame (1, C, H, W) of clip n cut to the first thing that is seen, enlarged to the clip's size; the whole frame if none is."""
    ids_THW = block.ids_NTHW[n]
    _, height, width = ids_THW.shape
    t = int((ids_THW > 0).sum((1, 2)).argmax())
    frame_CHW = block.frames_NTCHW[n, t]
    found = np.bincount(ids_THW[t].ravel(), minlength=2)[1:]
    if not found.any():
        return frame_CHW[None]
    rows, columns = np.nonzero(ids_THW[t] == 1 + found.argmax())
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    # As much of the frame as the thing takes, and half as much again around it.
    share = min(1.5 * max((np.ptp(rows) + 1) / height, (np.ptp(columns) + 1) / width), 1.0)
    h, w = max(int(height * share), 8), max(int(width * share), 8)
    y, x = (int(np.clip(m - s / 2, 0, most - s)) for m, s, most in zip(middle, (h, w), (height, width), strict=True))
    return fit(Clip(np.ascontiguousarray(frame_CHW[None, :, y : y + h, x : x + w]), fps=16.0), width, height)[0].frames_TCHW


def mirrored_cameras(cameras_NT44: np.ndarray) -> np.ndarray:
    """Cameras of the world flipped left to right (x to -x), which shows the picture mirrored; right turns with its picture."""
    flipped = cameras_NT44.copy()
    flipped[:, :, :, 0] *= -1.0
    flipped[:, :, 1, :3] *= -1.0
    return flipped


def _latent_worker(raw: Path | None, folder: Path, codec_path: Path, block: int, bucket: Bucket) -> Path:
    torch.set_num_threads(1)
    return latent_block(raw, folder, load_codec(codec_path), block, bucket)


_codecs: dict[Path, VideoCodec] = {}


def load_codec(path: Path) -> VideoCodec:
    """The codec of a weights file, frozen; read once per process."""
    if path not in _codecs:
        _codecs[path] = VideoCodec.from_file(path).eval().requires_grad_(False)
    return _codecs[path]


def latent_blocks(
    raw: Path | None, folder: Path, codec_path: Path, blocks: Sequence[int], buckets: Sequence[Bucket], workers: int, device: torch.device
) -> Iterator[Path]:
    """Latent files as they come, by processes on a CPU, in this process on an accelerator."""
    if workers == 0:
        codec = load_codec(codec_path).to(device)
        for b in blocks:
            yield latent_block(raw, folder, codec, b, bucket_of(b, buckets))
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=threads, initargs=(1,)) as pool:
        jobs = [pool.submit(_latent_worker, raw, folder, codec_path, b, bucket_of(b, buckets)) for b in blocks]
        for done in as_completed(jobs):
            yield done.result()


@dataclass(frozen=True, eq=False)
class Draw:
    """A batch of one size: clean latents (B, C, F, H, W), token rows (B, L), ray maps (B, 7, F, H, W), close looks (B, C, 1, H, W)."""

    clean_BCFHW: torch.Tensor
    rows_BL: torch.Tensor
    rays_BCFHW: torch.Tensor
    looks_BCFHW: torch.Tensor


@dataclass(eq=False)
class _Shelf:
    """All clips of one size."""

    latents: torch.Tensor
    looks: torch.Tensor
    cameras: torch.Tensor
    focus: torch.Tensor
    seen: list[Seen]


def _noisy(tokens: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """Tokens with, now and then, some words that mean nothing: captions have none, prompts have, and they should change nothing."""
    r = random.Random(seed)
    out = list(tokens)
    for _ in range(r.randint(1, 3) if r.random() < UNKNOWN_SHARE else 0):
        out.insert(r.randint(0, len(out)), f"~{r.random()}")
    return tuple(out)


class LatentStore:
    """All latents of a run in memory, by size."""

    def __init__(self, paths: Sequence[Path], text: TextEncoder) -> None:
        self._text = text
        parts: dict[Size, list[tuple[dict[str, torch.Tensor], list[Seen]]]] = {}
        for path in sorted(paths):
            tensors, config = weights.load(path)
            _, _, *size = tensors["latents"].shape
            parts.setdefault((size[0], size[1], size[2]), []).append((tensors, [Seen.from_json(row) for row in config["seen"]]))
        self._shelves = {
            size: _Shelf(
                **{k: torch.cat([t[k] for t, _ in found]) for k in ("latents", "looks", "cameras", "focus")},
                seen=[s for _, seen in found for s in seen],
            )
            for size, found in parts.items()
        }
        self.clips = sum(len(shelf.seen) for shelf in self._shelves.values())

    def draw(self, batch: int, generator: torch.Generator, split: str = "train") -> Draw:
        """Random clips of one size, each with a caption in words of its own."""
        return self._draw([size for size in self._shelves if size[0] > 1], batch, generator, split)

    def draw_stills(self, batch: int, generator: torch.Generator, split: str = "train") -> Draw:
        """Random pictures of one size, likewise."""
        return self._draw([size for size in self._shelves if size[0] == 1], batch, generator, split)

    def _draw(self, sizes: Sequence[Size], batch: int, generator: torch.Generator, split: str) -> Draw:
        share = torch.tensor([float(len(self._shelves[s].seen)) for s in sizes])
        shelf = self._shelves[sizes[int(torch.multinomial(share, 1, generator=generator))]]
        pick = torch.randint(len(shelf.seen), (batch,), generator=generator)
        words = torch.randint(2**31, (batch,), generator=generator).tolist()
        captions = [wording(shelf.seen[i], word, split) for i, word in zip(pick.tolist(), words, strict=True)]
        rows = self._text.ids([_noisy(language.read(c).tokens, word) for c, word in zip(captions, words, strict=True)])
        _, _, _, height, width = shelf.latents.shape
        rays = torch.stack([ray_maps(shelf.cameras[i], float(shelf.focus[i]), height, width) for i in pick.tolist()])
        return Draw(shelf.latents[pick], rows, rays, shelf.looks[pick])
