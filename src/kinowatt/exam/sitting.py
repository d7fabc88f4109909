"""One sitting of the exam: who is examined, how much is asked, and the answers that several sections judge."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinowatt.clip import Clip
from kinowatt.exam import scenes
from kinowatt.exam.candidate import Candidate, Made
from kinowatt.exam.figure import Shown
from kinowatt.exam.judges import Judges, Verdict
from kinowatt.exam.scenes import FRAMES, World
from kinowatt.worlds.toybox import Sample


@dataclass(frozen=True)
class Amounts:
    """How many clips each part of the exam asks for."""

    prompts: int  # from text, with English sentences as in training
    split: int  # each of: paraphrased, Chinese, with pairs of attributes never seen together
    codec: int  # reconstructed at 256x256
    motions: int  # of each event, going on from given frames
    backward: int  # of each event, into the past
    hidden: int  # things that go behind others
    takes: int  # scenes with two takes
    long: tuple[tuple[float, int], ...]  # seconds, and how many clips
    quick: bool = False


QUICK = Amounts(prompts=10, split=3, codec=4, motions=1, backward=1, hidden=1, takes=2, long=((10.0, 1),), quick=True)
FULL = Amounts(prompts=64, split=32, codec=24, motions=6, backward=3, hidden=6, takes=12, long=((10.0, 4), (30.0, 2), (60.0, 2)))


@dataclass(frozen=True, eq=False)
class Answer:
    """A prompt and what came of it: the scene that it describes, the clip, and what the judges say of both."""

    sample: Sample
    prompt: str
    seed: int
    made: Made
    verdict: Verdict

    def shown(self, label: str) -> Shown:
        """For the report: the clip, and the scene that was asked for to its right."""
        return Shown(label, self.prompt, self.sample.scene.seed, self.seed, beside(self.made.clip, self.sample.clip))


@dataclass(eq=False)
class Sitting:
    """All that the sections share."""

    candidate: Candidate
    judges: Judges
    amounts: Amounts
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.world = World(self.candidate.size, FRAMES, self.candidate.fps)

    def answer(self, sample: Sample, prompt: str) -> Answer:
        """Ask for a scene. The seed of the noise is the scene's number."""
        made = self.candidate.make(prompt, sample.scene.seed, FRAMES)
        self.say(f"asked: {prompt[:100]}")
        return Answer(sample, prompt, sample.scene.seed, made, self.judges.judge(made.clip))

    @functools.cached_property
    def samples(self) -> list[Sample]:
        """The scenes of the first prompts."""
        return [self.world.sample(number) for number in scenes.first(self.amounts.prompts)]

    @functools.cached_property
    def answers(self) -> list[Answer]:
        """To English sentences in the words of training."""
        return [self.answer(sample, scenes.prompt(sample)) for sample in self.samples]

    @functools.cached_property
    def truth(self) -> list[Verdict]:
        """What the judges say of the scenes themselves."""
        return [self.judges.judge(sample.clip) for sample in self.samples]

    @functools.cached_property
    def coded_clips(self) -> list[Clip]:
        """The scenes through the codec."""
        return [self.candidate.coded(sample.clip) for sample in self.samples]

    @functools.cached_property
    def coded(self) -> list[Verdict]:
        """What the judges say of those."""
        return [self.judges.judge(clip) for clip in self.coded_clips]

    @property
    def others(self) -> list[Verdict]:
        """The floor: what the judges say of another scene, the next one."""
        return [*self.truth[1:], *self.truth[:1]]


def beside(left: Clip, right: Clip) -> Clip:
    """Two clips as one, as long as the shorter."""
    n = min(left.frames, right.frames)
    return Clip(np.concatenate([left.frames_TCHW[:n], right.frames_TCHW[:n]], 3), fps=left.fps)
