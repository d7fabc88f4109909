"""Recipes: every number of a training run in one place. Measured results stand beside them in LOG.md."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from kinowatt.train.data import Bucket


@dataclass(frozen=True)
class Recipe:
    """One way of training codec and denoiser."""

    codec: str  # key of vae.CODECS
    dit: str  # key of dit.DITS
    buckets: tuple[Bucket, ...]  # clip sizes in pixels and lengths in frames, with shares
    workers: int  # processes that render and encode; 0: in the training process, on its device
    keep_raw: bool  # keep rendered clips on disk (a CPU renders slowly, an accelerator does not)
    raw_blocks: int  # blocks of 32 scenes, of which the codec learns from a few pictures each
    latent_blocks: int  # blocks that the denoiser learns from
    codec_batch: int
    codec_crop: int  # pixels a side
    codec_lr: float
    spark_batch: int
    spark_lr: float
    director_batch: int
    director_lr: float
    observer_batch: int
    observer_lr: float
    painter_batch: int
    painter_lr: float
    interpolator_batch: int
    interpolator_crop: int  # pixels a side
    interpolator_blocks: int  # every frame of which is rendered
    interpolator_lr: float
    minutes: float  # default wall clock of one run
    data_share: float = 0.0  # of the wall clock, for making data; 0: data is kept on disk and made in full, beside the clock
    shift: float = 3.0  # of the noise levels; larger pictures need more (arXiv 2403.03206)
    standing: float = 0.9  # of the noise's variance, that stands in the world (engine/standing.py)
    caption_dropout: float = 0.1
    fps: float = 16.0


CPU = Recipe(
    codec="drawn",
    dit="xs",
    buckets=(Bucket(128, 128, 8), Bucket(160, 96, 4), Bucket(96, 160, 2), Bucket(96, 96, 1, frames=65)),
    workers=os.cpu_count() or 2,
    keep_raw=True,
    raw_blocks=160,
    latent_blocks=300,
    codec_batch=24,
    codec_crop=96,
    codec_lr=2e-3,
    spark_batch=8,
    spark_lr=1.5e-3,
    director_batch=256,
    director_lr=1.5e-3,
    observer_batch=64,
    observer_lr=1.5e-3,
    painter_batch=128,
    painter_lr=2e-3,
    interpolator_batch=16,
    interpolator_crop=96,
    interpolator_blocks=16,
    interpolator_lr=1e-3,
    minutes=60.0,
)
RECIPES = {
    # A rehearsal: every step of the others in minutes, on a world of postage stamps. Its weights are of no use.
    "tiny": Recipe(
        codec="drawn",
        dit="xs",
        buckets=(Bucket(32, 32, 1, frames=5),),
        workers=0,
        keep_raw=True,
        raw_blocks=2,
        latent_blocks=2,
        codec_batch=2,
        codec_crop=32,
        codec_lr=5e-4,
        spark_batch=4,
        spark_lr=1e-3,
        director_batch=8,
        director_lr=1.5e-3,
        observer_batch=8,
        observer_lr=1.5e-3,
        painter_batch=8,
        painter_lr=2e-3,
        interpolator_batch=2,
        interpolator_crop=32,
        interpolator_blocks=2,
        interpolator_lr=1e-3,
        minutes=0.5,
    ),
    # A few CPU cores at 128 px, where a scene costs a sixth; then, from the denoiser that came of it, at the size that ships.
    "cpu": CPU,
    "cpu-256": replace(
        CPU,
        buckets=(Bucket(256, 256, 8), Bucket(320, 192, 4), Bucket(192, 320, 2), Bucket(128, 128, 3), Bucket(128, 128, 1, frames=65)),
        spark_lr=8e-4,
        interpolator_crop=128,
        shift=5.0,
    ),
    # One lease of an accelerator: 256 px, everything rendered and encoded on the device, ten minutes in all.
    "gpu": Recipe(
        codec="drawn",
        dit="s",
        buckets=(
            Bucket(256, 256, 6),
            Bucket(320, 192, 4),
            Bucket(288, 512, 1, frames=17),
            Bucket(512, 288, 1, frames=17),
            Bucket(192, 320, 2),
            Bucket(128, 128, 1, frames=65),
        ),
        workers=0,
        keep_raw=False,
        raw_blocks=128,
        latent_blocks=400,
        codec_batch=64,
        codec_crop=128,
        codec_lr=1e-3,
        spark_batch=64,
        spark_lr=5e-4,
        director_batch=256,
        director_lr=1.5e-3,
        observer_batch=64,
        observer_lr=1.5e-3,
        painter_batch=256,
        painter_lr=2e-3,
        interpolator_batch=64,
        interpolator_crop=128,
        interpolator_blocks=48,
        interpolator_lr=1e-3,
        minutes=8.0,
        data_share=0.4,
        shift=4.0,
    ),
}
