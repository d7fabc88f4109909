"""How the judges learn: once, on renders of training scenes. `python -m kinowatt.exam.learn` leaves exam/judges.safetensors.

They are measured on held-out scenes that the exam itself does not ask about, and what they reach is kept in the file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kinowatt.exam import adherence, flow, glances, judges
from kinowatt.exam.eye import WHOLE, Sight
from kinowatt.exam.fit import Say, fit
from kinowatt.exam.judges import FILE, Judges, Verdict
from kinowatt.exam.pictures import FIELDS, GLANCES, KINDS, SOFT_SHARE, Pictures, pictures, rarity, softened
from kinowatt.exam.scenes import JUDGES_HELD_OUT
from kinowatt.models import precision
from kinowatt.places import cache

PICTURES = 24  # of a step
EYE_LR, READER_LR = 2e-3, 3e-3
STEPS = {"eye": 2500, "namer": 4500, "readers": 1500}
HELD_OUT = 375  # scenes
IGNORED = -1
LEAST_AREA = 4  # pixels at half size: a smaller bit of a thing says little of its shape


def centres(ids_NHW: np.ndarray) -> np.ndarray:
    """Where things have their middles: (N, H, W) in 0..1, a hill on each visible thing's centroid, as wide as the thing allows."""
    out = np.zeros(ids_NHW.shape, np.float32)
    y, x = np.mgrid[: ids_NHW.shape[1], : ids_NHW.shape[2]]
    for picture, hills in zip(ids_NHW, out, strict=True):
        for row, column, _, root in glances.shown(picture):
            width = np.clip(0.12 * root, 0.7, 2.0)
            cy, cx = np.round(row), np.round(column)
            np.maximum(hills, np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2)), out=hills)
    return out


def shares(ids_NHW: np.ndarray) -> np.ndarray:
    """Weights (N, H, W) with which every thing of a picture counts as one, however large it is: 1 / area; 0 where there is none."""
    out = np.zeros(ids_NHW.shape, np.float32)
    for picture, weight in zip(ids_NHW, out, strict=True):
        area = np.bincount(picture.ravel(), minlength=2).astype(np.float32)
        area[0] = np.inf
        weight[:] = 1.0 / area.clip(min=LEAST_AREA)[picture]
    return out


@dataclass(frozen=True, eq=False)
class Told:
    """Pictures (N, 3, H, W) and what is to be said of them, at half their size: kinds and colours (IGNORED where there is no thing),
    shares and centres (N, H/2, W/2), and fields (N, len(WHOLE))."""

    signal: torch.Tensor
    kinds: torch.Tensor
    colours: torch.Tensor
    shares: torch.Tensor
    centres: torch.Tensor
    whole: torch.Tensor


class Lessons:
    """Random pictures of a set, blurred, noisy and mirrored at random, with what is to be said of them."""

    def __init__(self, made: Pictures) -> None:
        self.frames = made.frames_NTCHW
        self.ids = made.ids_NTHW[:, :, ::2, ::2]
        self.kinds, self.colours, fields = made.labels()
        self.kinds, self.colours = self.kinds[:, :, ::2, ::2], self.colours[:, :, ::2, ::2]
        self.rarity = torch.from_numpy(rarity([KINDS.index(thing.kind) for seen in made.seen for thing in seen.things]))
        # What a scene has but nobody can see is not asked for.
        names = list(FIELDS)
        shown = np.array([[name in seen.fields for name in WHOLE] for seen in made.seen])
        self.whole = np.where(shown, fields[:, [names.index(name) for name in WHOLE]], IGNORED)

    def draw(self, rng: np.random.Generator) -> Told:
        """A batch of PICTURES."""
        n, t = rng.integers(len(self.frames), size=PICTURES), rng.integers(self.frames.shape[1], size=PICTURES)
        frames, ids = self.frames[n, t], self.ids[n, t]
        kinds, colours = self.kinds[n, t].astype(np.int64), self.colours[n, t].astype(np.int64)
        colours = np.where(kinds > 0, colours, IGNORED)
        x, hills, weight = judges.signal(frames), centres(ids), shares(ids)
        if rng.random() < 0.5:
            x = x.flip(3)
            kinds, colours, weight, hills = (a[..., ::-1] for a in (kinds, colours, weight, hills))
        if rng.random() < SOFT_SHARE:
            x = softened(x, rng)
        x = x + torch.from_numpy(rng.normal(0, rng.uniform(0, 0.05), x.shape).astype(np.float32))
        rest = (torch.from_numpy(np.ascontiguousarray(a)) for a in (kinds, colours, weight, hills, self.whole[n]))
        return Told(x, *rest)


def eye_loss(sight: Sight, told: Told, rare: torch.Tensor) -> torch.Tensor:
    """Cross entropies, and for centres the focal loss of CenterNet (arXiv 1904.07850, eq. 1). `rare`: weights of KINDS.

    Which kind a thing has is asked once of every thing: by pixels alone, the background and large balls are all that is learnt (LOG.md).
    """
    kind_weight = torch.ones(sight.kinds.shape[1])
    kind_weight[0] = 0.4
    loss = functional.cross_entropy(sight.kinds, told.kinds, kind_weight)
    loss = loss + 0.7 * functional.cross_entropy(sight.colours, told.colours, ignore_index=IGNORED)
    kind = (told.kinds - 1).clamp(min=0)
    which = functional.cross_entropy(sight.kinds[:, 1:], kind, rare, reduction="none")
    loss = loss + (which * told.shares).sum() / (rare[kind] * told.shares).sum().clamp(min=1e-6)
    likely = sight.centres.sigmoid().clamp(1e-4, 1 - 1e-4)
    top = (told.centres > 0.99).float()
    focal = top * (1 - likely) ** 2 * likely.log() + (1 - top) * (1 - told.centres) ** 4 * likely**2 * (1 - likely).log()
    loss = loss - 0.5 * focal.sum() / top.sum().clamp(min=1.0)
    for i, name in enumerate(WHOLE):
        if (told.whole[:, i] != IGNORED).any():
            loss = loss + 0.3 * functional.cross_entropy(sight.whole[name], told.whole[:, i], ignore_index=IGNORED)
    return loss


def _exact(sight: Sight) -> Sight:
    return Sight(sight.kinds.float(), sight.colours.float(), sight.centres.float(), {k: v.float() for k, v in sight.whole.items()})


def teach_eye(judge: Judges, made: Pictures, steps: int, say: Say) -> None:
    """Train the Eye for so many steps, with the learning rate warmed up and let down."""
    lessons, rng = Lessons(made), np.random.default_rng(0)

    def loss() -> torch.Tensor:
        told = lessons.draw(rng)
        with precision.autocast(torch.device("cpu")):
            sight = judge.eye(told.signal)
        return eye_loss(_exact(sight), told, lessons.rarity)

    fit("eye", judge.eye, loss, steps, EYE_LR, 0.02, say)


def teach_reader(name: str, reader: judges.Reader, x_ND: np.ndarray, y_N: np.ndarray, steps: int, say: Say) -> None:
    """Train a reader on measured numbers; small enough to be kept whole."""
    x, y = torch.from_numpy(x_ND).float(), torch.from_numpy(y_N).long()
    reader.mean.copy_(x.mean(0))
    reader.spread.copy_(x.std(0) + 1e-6)
    generator = torch.Generator().manual_seed(0)

    def loss() -> torch.Tensor:
        some = torch.randint(len(x), (256,), generator=generator)
        noisy = x[some] + 0.1 * reader.spread * torch.randn(x[some].shape, generator=generator)
        return functional.cross_entropy(reader(noisy), y[some], label_smoothing=0.05)

    fit(name, reader, loss, steps, READER_LR, 0.1, say)


def teach_readers(judge: Judges, made: Pictures, steps: int, say: Say) -> None:
    """Train the readers of moves and moods on what the Eye and the flow say of scenes."""
    moves, moods, numbers, causes = [], [], [], []
    turn = {name: FIELDS["move"].index(_mirrored(name)) for name in FIELDS["move"]}
    for frames, fields in zip(made.frames_NTCHW, made.fields, strict=True):
        flows = flow.match(frames)
        found = flow.features(*flows)
        numbers += [found.ravel(), flow.mirrored(found).ravel()]
        moves += [FIELDS["move"].index(fields["move"]), turn[fields["move"]]]
        sight = judge.see(frames)
        whole = {name: logits.log_softmax(1).mean(0) for name, logits in sight.whole.items()}
        measured = judges.causes(frames, judge.things(frames, sight)[1], flow.speed(*flows))
        causes.append(judges.mood_numbers(measured, whole).numpy())
        moods.append(FIELDS["mood"].index(fields["mood"]))
        if len(causes) % 100 == 0:
            say(f"readers: {len(causes)} of {len(made.fields)} scenes")
    teach_reader("camera", judge.camera, np.stack(numbers), np.array(moves), steps, say)
    teach_reader("mood", judge.mood, np.stack(causes), np.array(moods), steps, say)


def _mirrored(move: str) -> str:
    family, _, way = move.partition("-")
    return f"{family}-{'right' if way == 'left' else 'left'}" if way in ("left", "right") else move


def measured(judge: Judges, made: Pictures) -> dict[str, Any]:
    """Shares of right answers on scenes, of colours and shapes by things, of the rest by scenes; and which moves are taken for which."""
    marks: dict[str, list[float]] = {name: [] for name in adherence.ALL}
    moves = []
    for frames, fields, seen in zip(made.frames_NTCHW, made.fields, made.seen, strict=True):
        verdict: Verdict = judge.verdict(frames, judge.see(frames), *flow.match(frames))
        for name, of in adherence.ALL.items():
            marks[name] += of(seen, verdict) or []
        moves.append((fields["move"], verdict.fields["move"]))
    table = adherence.taken_for("", moves)
    accuracy = {name: round(float(np.mean(values)), 4) for name, values in marks.items() if values}
    return {"accuracy": accuracy, "confusion": [list(table.head), *(list(row) for row in table.rows)]}


def learn(scenes: int, glanced: int, steps: Mapping[str, int], folder: Path, workers: int, say: Say) -> Judges:
    """Render (or read), train, measure, save. `steps`: of the parts that learn anew, by name; the others stay as they are."""
    begun = time.monotonic()
    torch.manual_seed(0)
    judge = Judges() if set(steps) == set(STEPS) else judges.load()
    facts = dict(judge.facts)
    held = pictures(folder, JUDGES_HELD_OUT, HELD_OUT, workers)
    if "eye" in steps or "readers" in steps:
        made = pictures(folder, 0, scenes, workers)
        say(f"{len(made.fields)} scenes to learn from, {len(held.fields)} held out, after {time.monotonic() - begun:.0f} s")
    if "eye" in steps:
        teach_eye(judge, made, steps["eye"], say)
        facts |= {"scenes": scenes, "steps": steps["eye"]}
    if "namer" in steps:
        glances.teach(judge, pictures(folder, 0, glanced, workers, GLANCES), steps["namer"], say)
        facts |= {"glanced": glanced, "namer_steps": steps["namer"]}
    if "readers" in steps:
        teach_readers(judge, made, steps["readers"], say)
    judge.facts = facts | {"held_out": len(held.fields), **measured(judge, held)}
    judge.save(FILE, judge.facts)
    say(f"{FILE.name}: {FILE.stat().st_size / 1e3:.0f} kB, {time.monotonic() - begun:.0f} s, {judge.facts['accuracy']}")
    return judge


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the judges of the exam.")
    parser.add_argument("--scenes", type=int, default=1500, help="that the Eye and the readers learn from")
    parser.add_argument("--glanced", type=int, default=6000, help="scenes, in fewer looks, that the Namer learns from")
    parser.add_argument("--parts", nargs="*", default=list(STEPS), choices=STEPS, help="that learn anew; default: all; none: only measure")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where renders are kept; default: kinowatt's cache")
    given = parser.parse_args()
    learn(given.scenes, given.glanced, {p: STEPS[p] for p in given.parts}, given.folder or cache() / "judges", given.workers, print)
