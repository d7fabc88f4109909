"""What is known of a model before its files are read: where they are, how it is used, and what it was trained on. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

AWAY = 0.4  # how much further from a negative prompt than from the empty one, where a network guides itself (docs/decisions/0011)


@dataclass(frozen=True)
class ModelSpec:
    """One model: its files, its defaults and its training. Sizes in pixels, width first."""

    name: str
    folder: Path
    sha256: dict[str, str]  # file name → hash; empty for a folder of the user's own
    licence: str
    trained_on: str
    trained_modes: frozenset[str]
    trained_sizes: tuple[tuple[int, int], ...]  # empty: not known
    trained_frames: int
    fps: float
    size: tuple[int, int]
    seconds: float
    steps: int
    guidance: float
    grid: int  # pixel multiple of a canvas: the codec's stride times the network's patch
    most_pixels: int  # the largest picture that the network computes; larger ones are enlarged from it
    weakness: str = ""  # one honest sentence, shown with every take
    reads_sentences: bool = False  # plain sentences, in any words; else those of the shot lexicon
    needs_image: bool = False  # makes nothing without an image at the start
    guidance_low: float | None = None  # of the second of two networks, where they have one each
    guided_below: float = 1.0  # noisier levels follow the text as it is, unguided (see engine/sample.py)
    one_pass: float | None = None  # the guidance that one pass of the network has learnt to give by itself (see train/distil.py)
    begins: float = 1.0  # the level of noise at which clips from words begin, a backdrop under it; 1: noise alone (see engine/backdrop.py)
    steps_from_noise: int | None = None  # of clips that begin as noise alone, where others do not; None: as many as those
    standing: float = 0.0  # of the noise's variance, that stands in the world where a clip is drawn (see engine/standing.py)
    hands_over: bool = False  # its codec loses so much of given pixels that the frames beside them are matched to them
    frame_stride: int = 4  # frames come in this many k, plus 1
    solver: str = "euler"  # see engine/solvers.py
    least_level: float = 0.0  # the level at which an even spacing of the steps would end; the last step goes to 0

    @property
    def weights_sha256(self) -> str:
        """Of all its files, in the order of their names, as a loaded model says it; empty for a folder of the user's own."""
        return "+".join(self.sha256[name] for name in sorted(self.sha256))

    def strength(self, guidance: float, negative: bool = False) -> float:
        """What is computed at each step for a guidance; at 1 one pass does. A network that guides itself needs a part of it only."""
        if self.one_pass is None:
            return guidance
        return guidance / self.one_pass + (AWAY if negative else 0.0)
