"""How the codec's decoder is trained: reconstruction of random crops of pictures, more than half of them on a subject, half mirrored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.engine.conditioning import to_signal
from kinowatt.models import precision, weights
from kinowatt.models.vae import CODECS, SMALL, VideoCodec
from kinowatt.train.data import HELD_OUT, Block, raw_blocks
from kinowatt.train.loss import reconstruction_loss
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import EXAM_BLOCKS, halved, in_time

EVERY = 16  # frames of a clip, of which one is learnt from: neighbours are alike
VEIL, VEILED_SHARE = 0.05, 0.5  # the most noise on a small picture, and how many have some


class CodecTask:
    """Reconstruction; the encoder has nothing to learn."""

    name, ema_decay = "codec", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.codec_lr
        self.codec = VideoCodec(CODECS[recipe.codec])
        self.module: nn.Module = self.codec
        raw = cache / "raw" if recipe.keep_raw else None
        held = range(HELD_OUT, HELD_OUT + EXAM_BLOCKS)
        self.held_out = list(raw_blocks(raw, held, recipe.buckets, recipe.workers))
        self.blocks = in_time(raw_blocks(raw, range(recipe.raw_blocks), recipe.buckets, recipe.workers, EVERY), deadline)

    def start(self, folder: Path) -> float | None:
        """Begin with the weights of a model folder; returns the joules that they have cost. WeightsError."""
        path = folder / "codec.safetensors"
        self.codec.load_state_dict(VideoCodec.from_file(path).state_dict())
        cost: float | None = weights.load(path)[1].get("total_J")
        return cost

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Weighted loss of pixels, edges and hues on this step's crops."""
        rng = np.random.default_rng(step)
        true_NCHW, subject = self._crops(rng)
        small = F.avg_pool2d(true_NCHW, SMALL)
        # What a denoiser makes is never quite clean; a decoder that has only seen clean pictures draws its noise large.
        veil = VEIL * rng.random((len(small), 1, 1, 1), np.float32) * (rng.random((len(small), 1, 1, 1)) < VEILED_SHARE)
        noise = torch.from_numpy(rng.standard_normal(small.shape, np.float32) * veil).to(small)
        made = self.codec.decoder.drawn(small + noise)
        return reconstruction_loss(made.float()[:, :, None], true_NCHW[:, :, None], subject[:, None]), len(small)

    def _crops(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (N, 3, H, W) in [-1, 1], and 1 where a subject is (N, H, W)."""
        size, pictures, subjects = self.recipe.codec_crop, [], []
        for _ in range(self.recipe.codec_batch):
            block = self.blocks[rng.integers(len(self.blocks))]
            n, t = (rng.integers(count) for count in block.ids_NTHW.shape[:2])
            y, x = corner(rng, block.ids_NTHW[n, t], size)
            turn = rng.choice((-1, 1))
            pictures.append(block.frames_NTCHW[n, t, :, y : y + size, x : x + size][..., ::turn])
            subjects.append(block.ids_NTHW[n, t, y : y + size, x : x + size][..., ::turn] > 0)
        true = torch.from_numpy(np.stack(pictures)).to(self.device).float().div(127.5).sub(1.0)
        return true, torch.from_numpy(np.stack(subjects)).to(self.device).float()

    def examine(self) -> dict[str, float]:
        """PSNR in dB on held-out scenes, over the frame and over the subjects' masks."""
        squares, subject_squares, pixels = [], 0.0, 0.0
        for signal, ids in self._clips(self.held_out):
            with precision.autocast(self.device):
                made = self.codec.decode(self.codec.encode(signal))
            error = ((made.float() - signal) / 2).square().mean(1)
            squares.append(float(error.mean()))
            subject_squares += float(error[ids > 0].sum())
            pixels += float((ids > 0).sum())
        psnr = float(np.mean([-10 * np.log10(s) for s in squares]))
        return {
            "psnr_dB": round(psnr, 2),
            "subject_psnr_dB": round(float(-10 * np.log10(subject_squares / max(pixels, 1))), 2),
            "clips": len(squares),
        }

    def _clips(self, blocks: list[Block]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for block in blocks:
            for frames_TCHW, ids_THW in zip(block.frames_NTCHW, block.ids_NTHW, strict=True):
                yield to_signal(frames_TCHW).to(self.device), torch.from_numpy(ids_THW)[None].to(self.device)

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write codec.safetensors."""
        config = {"codec": dataclasses.asdict(self.codec.config), "held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / "codec.safetensors", halved(self.codec), config)


def corner(rng: np.random.Generator, ids_HW: np.ndarray, size: int) -> tuple[int, int]:
    """Top left corner of a crop: anywhere, or around a random subject pixel."""
    height, width = ids_HW.shape
    where = np.argwhere(ids_HW) if rng.random() < 0.6 else np.zeros((0, 2))
    y, x = where[rng.integers(len(where))] - size // 2 if len(where) else (rng.integers(height), rng.integers(width))
    return int(np.clip(y, 0, height - size)), int(np.clip(x, 0, width - size))
