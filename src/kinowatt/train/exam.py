"""The exam, first part: how close generated clips come to held-out clips of the world, between noise (0) and the world itself (1).

Scenes that no training saw are rendered; their captions are the prompts. Two scores, both on features of the model's own codec:
how alike the two sets are (a Fréchet distance), and how well each clip fits its own caption among all others (a rank). Ground truth
through the codec, and noise through its decoder, take the same exam: the ceiling and the floor of each score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.engine import conditioning
from kinowatt.engine.engine import Engine
from kinowatt.media.image import fit
from kinowatt.train.data import BLOCK, HELD_OUT, raw_block

FRAMES = 33
EPS = 1e-6


@dataclass(frozen=True)
class Score:
    """`frechet` >= 0, smaller is better; `rank` 0.5 by chance, 1 if every clip is nearest to the scene of its own caption."""

    frechet: float
    rank: float


@dataclass(frozen=True)
class Scale:
    """What the scores are held against."""

    floor: Score
    ceiling: Score

    def quality(self, score: Score) -> float:
        """The mean of both scores, each between its floor and its ceiling, cut at 0 and 1."""
        parts = [
            (getattr(score, name) - getattr(self.floor, name)) / (getattr(self.ceiling, name) - getattr(self.floor, name))
            for name in ("frechet", "rank")
        ]
        return float(np.mean(np.clip(parts, 0.0, 1.0)))

    def to_json(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)


class Exam:
    """Held-out scenes of one size, with their captions and features."""

    def __init__(self, engine: Engine, clips: int, cache: Path, size: tuple[int, int] = (128, 128)) -> None:
        self.engine, self.size = engine, size
        self.captions: list[str] = []
        truth: list[Clip] = []
        fps = engine.model.spec.fps
        for number in range((clips + BLOCK - 1) // BLOCK):
            block = raw_block(cache / "raw", HELD_OUT + number, size, FRAMES)
            truth += [Clip(frames, fps=fps) for frames in block.frames_NTCHW]
            self.captions += [row[0] for row in block.captions]
        self.captions = self.captions[:clips]
        self.truth_ND = self.features(truth[:clips])
        self.scale = Scale(
            self.score(self.features(self._noise(clips))), self.score(self.features([self._coded(c) for c in truth[:clips]]))
        )

    def features(self, clips: Sequence[Clip]) -> np.ndarray:
        """Per clip (N, 3C): mean, spread and change in time of each of the codec's C channels. Other sizes are enlarged to this one."""
        return np.stack([self._feature(self._encoded(clip)) for clip in clips])

    @torch.inference_mode()
    def _encoded(self, clip: Clip) -> torch.Tensor:
        fitted, _ = fit(clip, *self.size)
        device = self.engine.device
        with torch.autocast(device.type, torch.bfloat16):
            latents = self.engine.model.codec.encode(conditioning.to_signal(fitted.frames_TCHW).to(device))
        return latents[0].float().cpu()

    @staticmethod
    def _feature(latents_CFHW: torch.Tensor) -> np.ndarray:
        change = latents_CFHW.diff(dim=1).abs().mean((1, 2, 3)) if latents_CFHW.shape[1] > 1 else latents_CFHW.new_zeros(len(latents_CFHW))
        return torch.cat([latents_CFHW.mean((1, 2, 3)), latents_CFHW.std((1, 2, 3)), change]).numpy()

    def score(self, made_ND: np.ndarray) -> Score:
        """The scores of clips made from the captions, in their order."""
        centre_D, spread_D = self.truth_ND.mean(0), self.truth_ND.std(0) + EPS
        truth_ND, made_ND = (self.truth_ND - centre_D) / spread_D, (made_ND - centre_D) / spread_D
        # Of Gaussians with diagonal covariance: with some tens of clips the full covariance is not known.
        frechet = np.mean((made_ND.mean(0) - truth_ND.mean(0)) ** 2 + (made_ND.std(0) - truth_ND.std(0)) ** 2)
        # Among the others, how many scenes are farther from the clip than the one of its caption. Sets are centred first: rank judges
        # what differs from prompt to prompt, not what all clips have in common.
        apart_NN = np.linalg.norm((made_ND - made_ND.mean(0))[:, None] - (truth_ND - truth_ND.mean(0))[None], axis=-1)
        farther = (apart_NN > np.diag(apart_NN)[:, None]).sum(1)
        return Score(float(frechet), float(np.mean(farther / (len(apart_NN) - 1))))

    @torch.inference_mode()
    def _decoded(self, latents_1CFHW: torch.Tensor) -> Clip:
        frames = [conditioning.to_frames(part) for part in self.engine.runtime.decode_stream(latents_1CFHW)]
        return Clip(np.concatenate(frames), fps=self.engine.model.spec.fps)

    def _coded(self, clip: Clip) -> Clip:
        """The world as the codec shows it: no denoiser can do better."""
        return self._decoded(self._encoded(clip)[None].to(self.engine.device))

    def _noise(self, clips: int) -> list[Clip]:
        """What the decoder makes of noise."""
        generator, codec = torch.Generator().manual_seed(0), self.engine.model.codec
        channels = codec.channels
        shape = (1, channels, (FRAMES - 1) // codec.stride[0] + 1, self.size[1] // codec.stride[1], self.size[0] // codec.stride[2])
        return [self._decoded(torch.randn(shape, generator=generator).to(self.engine.device)) for _ in range(clips)]
