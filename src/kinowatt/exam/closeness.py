"""How close generated clips come to held-out clips of the world, between noise (0) and the world itself (1).

Two scores, both on features of the model's own codec: how alike the two sets are (a Fréchet distance), and how well each clip fits its
own caption among all others (a rank). Ground truth through the codec, and noise through its decoder, take the same test: the ceiling and
the floor of each score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.engine.engine import Engine
from kinowatt.exam import scenes
from kinowatt.exam.candidate import Candidate
from kinowatt.exam.scenes import FRAMES
from kinowatt.media.image import fit

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
        parts = []
        for name in ("frechet", "rank"):
            low, high = getattr(self.floor, name), getattr(self.ceiling, name)
            parts.append((getattr(score, name) - low) / ((high - low) or EPS))
        return float(np.mean(np.clip(parts, 0.0, 1.0)))

    def to_json(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)


def feature(latents_CFHW: torch.Tensor) -> np.ndarray:
    """Mean, spread, change in time and change in space of each of the codec's channels (4C,).

    Without the last, an enlarged small clip looked as good as a large one: a blur keeps means and spreads.
    """
    change = latents_CFHW.diff(dim=1).abs().mean((1, 2, 3)) if latents_CFHW.shape[1] > 1 else latents_CFHW.new_zeros(len(latents_CFHW))
    edges = torch.stack([latents_CFHW.diff(dim=d).abs().mean((1, 2, 3)) for d in (2, 3)]).mean(0)
    return torch.cat([latents_CFHW.mean((1, 2, 3)), latents_CFHW.std((1, 2, 3)), change, edges]).numpy()


def score(truth_ND: np.ndarray, made_ND: np.ndarray) -> Score:
    """The scores of clips made from the captions of scenes, in their order."""
    centre_D, spread_D = truth_ND.mean(0), truth_ND.std(0) + EPS
    truth_ND, made_ND = (truth_ND - centre_D) / spread_D, (made_ND - centre_D) / spread_D
    # Of Gaussians with diagonal covariance: with some tens of clips the full covariance is not known.
    frechet = np.mean((made_ND.mean(0) - truth_ND.mean(0)) ** 2 + (made_ND.std(0) - truth_ND.std(0)) ** 2)
    # Among the others, how many scenes are farther from the clip than the one of its caption. Sets are centred first: rank judges
    # what differs from prompt to prompt, not what all clips have in common.
    apart_NN = np.linalg.norm((made_ND - made_ND.mean(0))[:, None] - (truth_ND - truth_ND.mean(0))[None], axis=-1)
    farther = (apart_NN > np.diag(apart_NN)[:, None]).sum(1)
    return Score(float(frechet), float(np.mean(farther / (len(apart_NN) - 1))))


class Closeness:
    """Held-out scenes of one size, with their captions and features."""

    def __init__(self, engine: Engine, clips: int, folder: Path, size: tuple[int, int] = (128, 128)) -> None:
        self.candidate, self.size = Candidate(engine, folder), size
        world = scenes.World(size, fps=engine.model.spec.fps)
        samples = [world.sample(number) for number in scenes.first(clips)]
        self.captions = [scenes.prompt(sample, register=None) for sample in samples]
        truth = [self.candidate.encoded(sample.clip) for sample in samples]
        self.truth_ND = np.stack([feature(latents) for latents in truth])
        self.scale = Scale(
            self.score(self.features([self.candidate.noise(FRAMES, i, size) for i in range(clips)])),
            self.score(self.features([self.candidate.decoded(latents) for latents in truth])),
        )

    def features(self, clips: Sequence[Clip]) -> np.ndarray:
        """Per clip (N, 4C). Other sizes are enlarged to this one."""
        return np.stack([feature(self.candidate.encoded(fit(clip, *self.size)[0])) for clip in clips])

    def score(self, made_ND: np.ndarray) -> Score:
        """The scores of clips made from the captions, in their order."""
        return score(self.truth_ND, made_ND)
