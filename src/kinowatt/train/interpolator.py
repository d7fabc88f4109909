"""How spark's interpolator is trained: to draw the world's own frames between two that the codec holds, and to find how things truly move.

Crops, half of them mirrored and half of them backwards. The flow that its world knows teaches it sooner than pictures alone (LOG.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import interpolator, precision, weights
from kinowatt.models.interpolator import Flow, Interpolator, InterpolatorConfig
from kinowatt.models.vae import SMALL, STRIDE, VideoCodec
from kinowatt.places import whole
from kinowatt.train.codec import VEIL, VEILED_SHARE, corner
from kinowatt.train.data import HELD_OUT, Bucket, bucket_of, rendered, seeds, world
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import EXAM_BLOCKS, halved, in_time
from kinowatt.worlds.toybox import truth

OF_THINGS = 3.0  # how much more a pixel of a thing counts
OF_FLOW = 0.02  # what a pixel that a flow is off counts beside signals that are
MOST_AWAY = 96.0  # pixels: what is farther away is not looked for
COARSER = 0.7  # what a level counts of what the one before it does
SHARES = torch.arange(1, STRIDE) / STRIDE


@dataclass(frozen=True, eq=False)
class Filmed:
    """Clips of one size with what tells how they move: frames (N, T, 3, H, W) and ids (N, T, H, W) uint8, depth (N, T, H, W) float16 in
    metres, camera rows (N, T, 4, 4), and solids (N, T, S, 16), those after a clip's own of no thing."""

    frames_NTCHW: np.ndarray
    ids_NTHW: np.ndarray
    depth_NTHW: np.ndarray
    cameras_NT44: np.ndarray
    solids_NTS16: np.ndarray

    def away(self, n: int, t: int, end: int, corner: tuple[int, int], size: int) -> np.ndarray:
        """How far what frame t shows is from it in frame `end` (2, size, size) in pixels; NaN where that is not to be learnt."""
        y, x = corner
        part = slice(y, y + size), slice(x, x + size)
        here, there = ((self.cameras_NT44[n, k], self.solids_NTS16[n, k]) for k in (t, end))
        frame = self.ids_NTHW.shape[2:]
        away, before = truth.flow(self.depth_NTHW[n, t][part], self.ids_NTHW[n, t][part], here, there, (frame[0], frame[1]), corner)
        return np.where(before & (np.abs(away) < MOST_AWAY).all(0), away, np.nan)


def filmed(folder: Path | None, block: int, bucket: Bucket) -> Filmed:
    """A block with every frame, from the disk, or rendered (and kept, where a folder is given)."""
    name = f"filmed-{bucket.width}x{bucket.height}x{bucket.frames}-{block:07d}.npz"
    if folder is not None and (folder / name).exists():
        with np.load(folder / name) as file:
            return Filmed(*(file[part.name] for part in dataclasses.fields(Filmed)))
    samples = [world().sample(seed, size=(bucket.width, bucket.height), frames=bucket.frames, depth=True) for seed in seeds(block)]
    most = max(s.motion.solids_TN16.shape[1] for s in samples)
    solids = [np.pad(s.motion.solids_TN16, ((0, 0), (0, most - s.motion.solids_TN16.shape[1]), (0, 0))) for s in samples]
    depth = np.stack([s.depth_THW for s in samples if s.depth_THW is not None])
    made = Filmed(
        np.stack([s.clip.frames_TCHW for s in samples]),
        np.stack([s.ids_THW for s in samples]),
        np.minimum(depth, truth.FAR_M).astype(np.float16),
        np.stack([s.camera_T44 for s in samples]),
        np.stack(solids),
    )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / name) as part, part.open("wb") as file:
            np.savez(file, **{field.name: getattr(made, field.name) for field in dataclasses.fields(Filmed)})
    return made


def filmed_blocks(folder: Path | None, blocks: Sequence[int], buckets: Sequence[Bucket], workers: int) -> Iterator[Filmed]:
    """Blocks as they come, made by so many processes; 0: in this one, where an accelerator renders."""
    return rendered(filmed, [(folder, b, bucket_of(b, buckets)) for b in blocks], workers)


class InterpolatorTask:
    """Two pictures, as the codec draws them, to the frames between."""

    name, ema_decay = "interpolator", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float, codec: Path) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.interpolator_lr
        self.model = Interpolator(InterpolatorConfig())
        self.module: nn.Module = self.model
        self.codec = VideoCodec.from_file(codec).to(device).eval().requires_grad_(False)
        kept = cache / "filmed" if recipe.keep_raw else None
        held = range(HELD_OUT, HELD_OUT + EXAM_BLOCKS)
        self.held_out = list(filmed_blocks(kept, held, recipe.buckets, recipe.workers))
        self.blocks = in_time(filmed_blocks(kept, range(recipe.interpolator_blocks), recipe.buckets, recipe.workers), deadline)

    def start(self, folder: Path) -> float | None:
        """Begin with the weights of a model folder; returns the joules that they have cost. WeightsError."""
        tensors, config = weights.load(folder / interpolator.FILE)
        try:
            self.model.load_state_dict(interpolator.load(tensors, config).state_dict())
        except (KeyError, TypeError, RuntimeError) as error:
            raise WeightsError(f"{folder / interpolator.FILE} holds an interpolator of another kind; train one from nothing") from error
        cost: float | None = config.get("total_J")
        return cost

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Of this step's crops: how far off frames and flows are at every level."""
        rng = np.random.default_rng(step)
        true_NTCHW, subject_NTHW, away_NTE2HW = self._crops(rng)
        small = F.avg_pool2d(true_NTCHW[:, [0, -1]].transpose(0, 1).flatten(0, 1), SMALL)
        veil = VEIL * rng.random((len(small), 1, 1, 1), np.float32) * (rng.random((len(small), 1, 1, 1)) < VEILED_SHARE)
        noise = torch.from_numpy(rng.standard_normal(small.shape, np.float32) * veil).to(small)
        with torch.no_grad():
            ends = self.codec.decoder.drawn(small + noise).float().clamp(-1.0, 1.0).chunk(2)
        flows = self.model(*ends, SHARES.to(self.device))
        off = _off(flows, ends[0], ends[1], true_NTCHW[:, 1:-1], subject_NTHW[:, 1:-1])
        return off + OF_FLOW * _astray(flows, away_NTE2HW, subject_NTHW[:, 1:-1]), len(true_NTCHW)

    def _crops(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Five frames, from one that latents hold to the next or backwards (N, 5, 3, H, W), 1 where a thing is (N, 5, H, W), and how far
        away what the three between show is in either end (N, 3, 2, 2, H, W)."""
        size = self.recipe.interpolator_crop
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for _ in range(self.recipe.interpolator_batch):
            block = self.blocks[rng.integers(len(self.blocks))]
            n, k = (int(rng.integers(count)) for count in (len(block.ids_NTHW), (block.ids_NTHW.shape[1] - 1) // STRIDE))
            first = k * STRIDE
            y, x = corner(rng, block.ids_NTHW[n, first + rng.integers(STRIDE + 1)], size)
            back, turn = rng.choice((-1, 1), 2)
            span, part = slice(first, first + STRIDE + 1), (slice(y, y + size), slice(x, x + size))
            between, ends = range(first + 1, first + STRIDE), (first, first + STRIDE)
            away = np.stack([[block.away(n, t, end, (y, x), size) for end in ends[::back]] for t in between[::back]])
            away = away[..., ::turn]
            away[:, :, 0] *= turn
            frames, ids = block.frames_NTCHW[n, span][:, :, *part], block.ids_NTHW[n, span][:, *part]
            parts.append((frames[::back, ..., ::turn], ids[::back, ..., ::turn] > 0, away))
        frames_NTCHW, things_NTHW, away_NTE2HW = (torch.from_numpy(np.stack(of)).to(self.device) for of in zip(*parts, strict=True))
        return frames_NTCHW.float().div(127.5).sub(1.0), things_NTHW.float(), away_NTE2HW

    @torch.no_grad()
    def examine(self) -> dict[str, float]:
        """PSNR in dB of frames between on held-out scenes, over the frame, over things, and where pictures only fade."""
        squares: dict[str, list[float]] = {"psnr_dB": [], "subject_psnr_dB": [], "faded_psnr_dB": []}
        clips = 0
        for block in self.held_out:
            for frames_TCHW, ids_THW in zip(block.frames_NTCHW, block.ids_NTHW, strict=True):
                clips += 1
                for true_TCHW, thing_THW, ends in self._pairs(frames_TCHW, ids_THW):
                    with precision.autocast(self.device):
                        made = self.model(*ends, SHARES.to(self.device))[0].mixed(*ends)[0].float()
                    share = SHARES.to(made)[:, None, None, None]
                    off = ((made - true_TCHW) / 2).square().mean(1)
                    squares["psnr_dB"].append(float(off.mean()))
                    squares["faded_psnr_dB"].append(float(((torch.lerp(ends[0], ends[1], share) - true_TCHW) / 2).square().mean()))
                    if thing_THW.any():
                        squares["subject_psnr_dB"].append(float(off[thing_THW].mean()))
        return {name: round(float(-10 * np.log10(np.mean(of))), 2) for name, of in squares.items()} | {"clips": float(clips)}

    def _pairs(self, frames_TCHW: np.ndarray, ids_THW: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]]:
        """Each stretch of a clip: frames between, where things are in them, and the two pictures (1, C, H, W) around them."""
        true = torch.from_numpy(frames_TCHW).to(self.device).float().div(127.5).sub(1.0)
        held = self.codec.decoder.drawn(F.avg_pool2d(true[::STRIDE], SMALL)).float().clamp(-1.0, 1.0)
        for k in range(len(held) - 1):
            span = slice(k * STRIDE + 1, (k + 1) * STRIDE)
            yield true[span], torch.from_numpy(ids_THW[span] > 0).to(self.device), [held[k : k + 1], held[k + 1 : k + 2]]

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write interpolator.safetensors."""
        config = {"interpolator": dataclasses.asdict(self.model.config)}
        said = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / interpolator.FILE, halved(self.model), config | said)


def _off(
    flows: list[Flow], before_NCHW: torch.Tensor, after_NCHW: torch.Tensor, true_NTCHW: torch.Tensor, thing_NTHW: torch.Tensor
) -> torch.Tensor:
    """How far frames made by the flows of all levels are from the true ones; each level is compared at its own size."""
    total, weight = torch.zeros((), device=true_NTCHW.device), 1.0
    height = before_NCHW.shape[2]
    for flow in flows:
        square = height // flow.before_NTHW.shape[2]
        true = F.avg_pool3d(true_NTCHW.transpose(1, 2), (1, square, square)).transpose(1, 2)
        counts = 1.0 + OF_THINGS * F.avg_pool2d(thing_NTHW, square)
        made = flow.mixed(*(F.avg_pool2d(end, square) for end in (before_NCHW, after_NCHW)))
        off = ((made - true).square() + 1e-4).sqrt().mean(2)
        total = total + weight * (off * counts).sum() / counts.sum()
        weight *= COARSER
    return total


def _astray(flows: list[Flow], away_NTE2HW: torch.Tensor, thing_NTHW: torch.Tensor) -> torch.Tensor:
    """How far, in their own pixels, the flows of all levels are from the true ones."""
    total, weight = torch.zeros((), device=away_NTE2HW.device), 1.0
    told = torch.isfinite(away_NTE2HW).all(3)
    true = torch.where(told[:, :, :, None], away_NTE2HW, 0.0)
    counts = told.float() * (1.0 + OF_THINGS * thing_NTHW[:, :, None])
    height = away_NTE2HW.shape[-2]
    for flow in flows:
        square = height // flow.before_NTHW.shape[2]
        each = F.avg_pool3d(counts.flatten(0, 1), (1, square, square)).unflatten(0, counts.shape[:2])
        mean = F.avg_pool3d((true * counts[:, :, :, None]).flatten(0, 2), (1, square, square)).unflatten(0, counts.shape[:3])
        mean = mean / each.clamp(min=1e-6)[:, :, :, None] / square
        off = ((flow.away_NTE2HW - mean).square().sum(3) + 1e-2).sqrt()
        total = total + weight * (off * each).sum() / each.sum().clamp(min=1e-6)
        weight *= COARSER
    return total
