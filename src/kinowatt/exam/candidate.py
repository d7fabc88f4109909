"""The model that sits the exam: its clips, each made once and kept by what it was made of, and what its codec makes of others."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.engine import conditioning
from kinowatt.engine.engine import Engine
from kinowatt.exam import sources
from kinowatt.models import precision
from kinowatt.places import whole
from kinowatt.shot import Anchor, Shot

MAKING = ("language", "engine", "models")  # packages whose code decides what a clip shows


@dataclass(frozen=True, eq=False)
class Made:
    """A clip with the energy and time that it took. None: not measured."""

    clip: Clip
    work_J: float | None
    seconds: float


class Candidate:
    """An engine behind a folder of what it has made. Clips are known by weights, runtime, code and all that the shot says."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder

    @property
    def fps(self) -> float:
        """Of its clips."""
        return self.engine.model.spec.fps

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its clips."""
        return self.engine.model.spec.size

    def make(self, prompt: str, seed: int, frames: int, anchors: Sequence[Anchor] = ()) -> Made:
        """One clip at the model's own size, with its own steps and guidance."""
        said = [self.engine.model.sha256, self.engine.runtime.name, sources.sha256(*MAKING), prompt, seed, frames, self.size]
        said += [[a.at, a.strength, hashlib.sha256(a.clip.frames_TCHW.tobytes()).hexdigest()] for a in anchors]
        path = self.folder / f"{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]}.npz"
        if (kept := _kept(path, self.fps)) is not None:
            return kept
        shot = Shot(prompt, seconds=frames / self.fps, size=self.size, seed=seed, anchors=tuple(anchors))
        take = self.engine.generate(shot)
        made = Made(take.clip, take.bill.work_J, take.bill.energy.wall_s)
        self.folder.mkdir(parents=True, exist_ok=True)
        joules = np.nan if made.work_J is None else made.work_J
        with whole(path) as part, part.open("wb") as file:
            np.savez_compressed(file, frames=made.clip.frames_TCHW, cost=np.array([joules, made.seconds]))
        return made

    @torch.inference_mode()
    def encoded(self, clip: Clip) -> torch.Tensor:
        """The latents (C, F, H, W) of a clip of whole latents, float32 on the CPU."""
        device = self.engine.device
        with precision.autocast(device):
            latents = self.engine.model.codec.encode(conditioning.to_signal(clip.frames_TCHW).to(device))
        return latents[0].float().cpu()

    @torch.inference_mode()
    def decoded(self, latents_CFHW: torch.Tensor) -> Clip:
        """Latents to a clip."""
        stream = self.engine.decoded(latents_CFHW[None].to(self.engine.device))
        return Clip(np.concatenate([conditioning.to_frames(part) for part in stream]), fps=self.fps)

    def coded(self, clip: Clip) -> Clip:
        """A clip as the codec shows it: no denoiser can do better."""
        return self.decoded(self.encoded(clip))

    def noise(self, frames: int, seed: int, size: tuple[int, int]) -> Clip:
        """What the decoder makes of noise."""
        codec = self.engine.model.codec
        t, h, w = codec.stride
        shape = (codec.channels, (frames - 1) // t + 1, size[1] // h, size[0] // w)
        return self.decoded(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))


def _kept(path: Path, fps: float) -> Made | None:
    try:
        with np.load(path) as file:
            joules, seconds = file["cost"].tolist()
            return Made(Clip(file["frames"], fps=fps), None if np.isnan(joules) else joules, seconds)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
