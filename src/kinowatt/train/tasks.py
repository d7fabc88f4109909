"""The two things that are trained: the codec, then, on its frozen latents, the denoiser with its text encoder."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from kinowatt import language
from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.meter import Meter
from kinowatt.energy.processes import joint, several, speaks, take_own
from kinowatt.engine import parallel
from kinowatt.engine.parallel import World
from kinowatt.errors import InputError
from kinowatt.grid.history import history
from kinowatt.grid.weather_files import read
from kinowatt.models import weights
from kinowatt.models.dit import DITS, DiTConfig, VideoDiT
from kinowatt.models.protocols import Denoiser
from kinowatt.models.text import TextConfig, TextEncoder
from kinowatt.models.vae import CODECS, VideoCodec
from kinowatt.train.data import HELD_OUT, Block, LatentStore, latent_blocks, raw_blocks
from kinowatt.train.loop import Task, train
from kinowatt.train.loss import reconstruction_loss, velocity_loss
from kinowatt.train.recipes import RECIPES, Recipe
from kinowatt.train.shard import Rows, whole
from kinowatt.train.skies import SKIES_RECIPES, SkiesRecipe, SkiesTask

T = TypeVar("T")
KL_WEIGHT = 1e-5  # per latent number: keeps latents near unit size without blurring them
EXAM_BLOCKS = 1


class CodecTask:
    """Reconstruction of random crops, half of them on a subject."""

    name, ema_decay = "codec", 0.995

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.codec_lr
        self.module: nn.Module = VideoCodec(CODECS[recipe.codec])
        raw = cache / "raw" if recipe.keep_raw else None
        held = range(HELD_OUT, HELD_OUT + EXAM_BLOCKS)
        self.held_out = list(raw_blocks(raw, held, recipe.buckets, recipe.frames, recipe.workers))
        self.blocks = in_time(raw_blocks(raw, range(recipe.raw_blocks), recipe.buckets, recipe.frames, recipe.workers), deadline)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Weighted L1 and gradient loss with a little KL on this step's crops."""
        signal, subject = self._crops(np.random.default_rng(step))
        mean, log_variance = self.module.moments(signal)  # type: ignore[operator]
        latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        made = self.module.decode_raw(latents)  # type: ignore[operator]
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
        return reconstruction_loss(made.float(), signal, subject) + KL_WEIGHT * kl.float(), len(signal)

    def _crops(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        size, frames = self.recipe.codec_crop, self.recipe.codec_frames
        signals, subjects = [], []
        for _ in range(self.recipe.codec_batch):
            block = self.blocks[rng.integers(len(self.blocks))]
            n = rng.integers(len(block.ids_NTHW))
            t = rng.integers(block.ids_NTHW.shape[1] - frames + 1)
            y, x = _corner(rng, block.ids_NTHW[n, t], size)
            window = np.s_[n, t : t + frames]
            signals.append(block.frames_NTCHW[window][..., y : y + size, x : x + size])
            subjects.append(block.ids_NTHW[window][..., y : y + size, x : x + size] > 0)
        signal = torch.from_numpy(np.stack(signals)).to(self.device).permute(0, 2, 1, 3, 4).float().div(127.5).sub(1.0)
        return signal, torch.from_numpy(np.stack(subjects)).to(self.device).float()

    def examine(self) -> dict[str, float]:
        """PSNR in dB on held-out scenes, over the frame and over the subjects' masks; sets the latents' mean and spread first."""
        codec = self.module
        assert isinstance(codec, VideoCodec)
        codec.measure_latents(s for s, _ in self._clips(self.blocks[:6]))
        squares, subject_squares, pixels = [], 0.0, 0.0
        for signal, ids in self._clips(self.held_out):
            with torch.autocast(self.device.type, torch.bfloat16):
                made = codec.decode(codec.encode(signal))
            error = ((made.float() - signal) / 2).square().mean(1)
            squares.append(float(error.mean()))
            subject_squares += float(error[ids > 0].sum())
            pixels += float((ids > 0).sum())
        psnr = float(np.mean([-10 * np.log10(s) for s in squares]))
        return {
            "psnr_dB": round(psnr, 2),
            "subject_psnr_dB": round(-10 * np.log10(subject_squares / max(pixels, 1)), 2),
            "clips": len(squares),
        }

    def _clips(self, blocks: list[Block]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for block in blocks:
            for frames_TCHW, ids_THW in zip(block.frames_NTCHW, block.ids_NTHW, strict=True):
                signal = torch.from_numpy(frames_TCHW).to(self.device).permute(1, 0, 2, 3)[None].float().div(127.5).sub(1.0)
                yield signal, torch.from_numpy(ids_THW)[None].to(self.device)

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write codec.safetensors."""
        assert isinstance(self.module, VideoCodec)
        config = {"codec": dataclasses.asdict(self.module.config), "held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / "codec.safetensors", _half(self.module), config)


def _corner(rng: np.random.Generator, ids_HW: np.ndarray, size: int) -> tuple[int, int]:
    """Top left corner of a crop: anywhere, or around a random subject pixel."""
    height, width = ids_HW.shape
    where = np.argwhere(ids_HW) if rng.random() < 0.6 else np.zeros((0, 2))
    y, x = where[rng.integers(len(where))] - size // 2 if len(where) else (rng.integers(height), rng.integers(width))
    return int(np.clip(y, 0, height - size)), int(np.clip(x, 0, width - size))


class Spark(nn.Module):
    """What the denoiser's file holds: the DiT and its text encoder, trained together."""

    def __init__(self, dit: DiTConfig, text: TextConfig) -> None:
        super().__init__()
        self.dit, self.text = VideoDiT(dit), TextEncoder(text)

    def forward(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, ids_BL: torch.Tensor) -> torch.Tensor:
        """Velocity, of a text as its token rows (B, L)."""
        return self.dit(x_BCFHW, level_BF, self.text(ids_BL))


class SparkTask:
    """Flow matching with random ceilings per latent frame on cached latents of the frozen codec."""

    name, ema_decay = "spark", 0.9995

    def __init__(
        self, recipe: Recipe, cache: Path, folder: Path, device: torch.device, deadline: float, world: World | None = None
    ) -> None:
        self.recipe, self.device, self.lr, self.world = recipe, device, recipe.spark_lr, world
        dit = DITS[recipe.dit]
        self.model = Spark(dit, TextConfig(language.VOCABULARY, width=dit.text_dim))
        self.module: nn.Module = self.model
        self.denoiser: Denoiser = self.model if world is None else Rows(self.model, world)
        codec_path = folder / "codec.safetensors"
        latents = cache / f"latents-{weights.sha256(codec_path)[:12]}"
        raw = cache / "raw" if recipe.keep_raw else None

        def paths(blocks: range, deadline: float) -> list[Path]:
            """Of all blocks; each process makes its part of them."""
            own = blocks if world is None else blocks[world.rank :: world.size]
            made = in_time(latent_blocks(raw, latents, codec_path, own, recipe.buckets, recipe.frames, recipe.workers, device), deadline)
            return made if world is None else [path for part in world.gathered(made) for path in part]

        self.held_out = LatentStore(paths(range(HELD_OUT, HELD_OUT + EXAM_BLOCKS), math.inf), self.model.text)
        self.store = LatentStore(paths(range(recipe.latent_blocks), deadline), self.model.text)

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Velocity loss of this step's batch."""
        generator = torch.Generator().manual_seed(step)
        clean, rows = self.store.draw(self.recipe.spark_batch, generator)
        rows = rows * (torch.rand(len(rows), 1, generator=generator) >= self.recipe.caption_dropout)
        return self._loss(clean[:, :, : self._frames(clean.shape[2], generator)], rows, generator), len(clean)

    def _frames(self, most: int, generator: torch.Generator) -> int:
        """Mostly whole clips; sometimes shorter ones and single images, which the same latents hold."""
        draw = torch.rand(2, generator=generator)
        if draw[0] < 0.85:
            return most
        return 1 if draw[0] < 0.9 else 1 + int(draw[1] * most)

    def _loss(self, clean: torch.Tensor, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return velocity_loss(self.denoiser, clean.to(self.device).float(), rows.to(self.device), self.recipe.shift, generator)

    def examine(self) -> dict[str, float]:
        """Velocity loss on held-out scenes, with their captions and with none, at the same noise."""
        figures = {}
        for name, keep in (("loss", 1), ("loss_without_text", 0)):
            generator, losses = torch.Generator().manual_seed(0), []
            for _ in range(8):
                clean, rows = self.held_out.draw(16, generator)
                with torch.autocast(self.device.type, torch.bfloat16):
                    losses.append(float(self._loss(clean, rows * keep, generator)))
            figures[name] = round(float(np.mean(losses)), 4)
        return figures | {"training_clips": float(self.store.clips)}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write denoiser.safetensors."""
        config = {
            "dit": dataclasses.asdict(self.model.dit.config),
            "text": self.model.text.config.to_json(),
            "shift": self.recipe.shift,
            "held_out": receipt["held_out"],
            "total_J": receipt["total_J"],
        }
        tensors = _half(self.model)
        if self.world is None or self.world.rank == 0:
            weights.save(folder / "denoiser.safetensors", tensors, config)


def in_time(blocks: Iterator[T], deadline: float) -> list[T]:
    """Blocks until the deadline (of `time.monotonic`), and at least one."""
    made = []
    for block in blocks:
        made.append(block)
        if time.monotonic() > deadline:
            break
    return made


def _half(module: nn.Module) -> dict[str, torch.Tensor]:
    """Weights in float16: half the bytes; its rounding (2^-11) is far below what training leaves uncertain."""
    return {k: whole(v.half() if v.is_floating_point() else v) for k, v in module.state_dict().items()}


def run(
    what: str,
    recipe_name: str,
    minutes: float | None,
    resume: bool,
    device_name: str,
    folder: Path,
    cache: Path,
    receipts: Path,
    zone: str | None,
    weather: Path | None = None,
) -> dict[str, Any]:
    """Train "codec", "spark" or "skies" by a recipe; returns the receipt.

    `weather` is a history that skies learns from beside its world. InputError for unknown names, MissingDependency without a renderer.
    """
    if what not in ("codec", "spark", "skies"):
        raise InputError(f"{what!r} cannot be trained; train codec first, then spark; or skies, which needs neither")
    if recipe_name not in RECIPES:
        raise InputError(f"recipe {recipe_name!r} is unknown; use {' or '.join(RECIPES)}")
    if weather is not None and what != "skies":
        raise InputError(f"{what} learns nothing from weather; only skies does")
    recipe = RECIPES[recipe_name] if what != "skies" else SKIES_RECIPES[recipe_name]
    if several():
        if what != "spark":
            raise InputError(f"{what} is trained by one process; start it without torchrun, and spark with it")
        take_own()
    world = parallel.start(device_name)
    if device_name == "auto":
        device_name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device_name)
    torch.manual_seed(0)
    wall_s = 60.0 * (recipe.minutes if minutes is None else minutes)
    begun = time.monotonic()
    # Where a command's whole time is limited, the data takes its share of it; where data is kept on disk, it is made in full.
    data_share = 0.0 if isinstance(recipe, SkiesRecipe) else recipe.data_share
    deadline = begun + wall_s * data_share if data_share else math.inf
    with Meter(zone=zone) as meter:
        with meter.phase("data"):
            task: Task
            if isinstance(recipe, SkiesRecipe):
                task = SkiesTask(recipe, device, None if weather is None else history(read(weather)))
            elif what == "codec":
                task = CodecTask(recipe, cache, device, deadline)
            else:
                task = SparkTask(recipe, cache, folder, device, deadline, world)
        left_s = wall_s - (time.monotonic() - begun) if data_share else wall_s
        receipt = train(
            task,
            minutes=max(left_s / 60.0, wall_s / 600.0),
            folder=folder,
            resume=resume,
            device=device,
            receipts=receipts,
            meter=meter,
            world=world,
        )
    bill = meter.bill if world is None else joint(world.gathered(meter.bill))
    if speaks():
        Ledger().add(Run("train", what, receipt["device"], f"torch {torch.__version__}", bill.to_json(), out=str(folder.resolve())))
    return receipt
