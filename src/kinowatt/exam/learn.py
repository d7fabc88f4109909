"""How the judges learn: once, on renders of training scenes. `python -m kinowatt.exam.learn` leaves exam/judges.safetensors.

They are measured on held-out scenes that the exam itself does not ask about, and what they reach is kept in the file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from kinowatt.exam import adherence, flow, judges
from kinowatt.exam.eye import BARE, PARTS, WHOLE, Eye, Sight
from kinowatt.exam.fit import Say, fit
from kinowatt.exam.judges import FILE, Judges, Verdict
from kinowatt.exam.pictures import COLOURS, FIELDS, GLANCES, KINDS, SOFT_SHARE, Pictures, pictures, rarity, softened
from kinowatt.exam.scenes import JUDGES_HELD_OUT
from kinowatt.models import precision
from kinowatt.places import cache
from kinowatt.worlds.toybox.seen import SEEN_SHARE

PICTURES = 24  # of a step
EYE_LR, READER_LR = 2e-3, 3e-3
FURTHER = 0.5  # of the Eye's learning rate, where it goes on from what it has learnt
STEPS = {"eye": 6000, "readers": 3000}
HELD_OUT = 375  # scenes
GLANCED = 20_000  # the first scene that is looked at in fewer looks
IGNORED = -1
LEAST_AREA = 4  # pixels at half size: a smaller bit of a thing says little of its shape
LEAST_SHARE = 0.4 * SEEN_SHARE  # of the frame: what shows less has no middle to be found
CLOSE = 0.3  # how near a middle a pixel is asked what stands there


def centres(ids_NHW: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where things have their middles: (N, H, W) in 0..1, a hill on each visible thing's centroid, as wide as the thing allows; whose hill
    a pixel is on, as an id (N, H, W); and the logarithms of its area and height, as shares (N, 2, H, W)."""
    hills, owners = np.zeros(ids_NHW.shape, np.float32), np.zeros(ids_NHW.shape, np.uint8)
    sizes = np.zeros((len(ids_NHW), 2, *ids_NHW.shape[1:]), np.float32)
    height, width = ids_NHW.shape[1:]
    rows, columns = np.mgrid[:height, :width]
    for picture, hill, owner, size in zip(ids_NHW, hills, owners, sizes, strict=True):
        for k in np.flatnonzero(np.bincount(picture.ravel(), minlength=2)[1:] >= LEAST_SHARE * picture.size) + 1:
            y, x = np.nonzero(picture == k)
            wide = np.clip(0.12 * np.sqrt(len(y)), 0.7, 3.0)
            away = (rows - np.round(y.mean())) ** 2 + (columns - np.round(x.mean())) ** 2
            own = np.exp(-away / (2 * wide**2)).astype(np.float32)
            nearer = own > hill
            hill[nearer], owner[nearer] = own[nearer], k
            size[:, nearer] = np.log([[len(y) / picture.size], [(np.ptp(y) + 1) / height]])
    return hills, owners, sizes


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
    """Pictures (N, 3, H, W) and what is to be said of them, at half their size: masks, and of what stands at a middle kinds and colours,
    shares and centres (N, H/2, W/2), sizes (N, 2, H/2, W/2), and fields (N, len(WHOLE))."""

    signal: torch.Tensor
    masks: torch.Tensor
    kinds: torch.Tensor
    colours: torch.Tensor
    shares: torch.Tensor
    centres: torch.Tensor
    sizes: torch.Tensor
    whole: torch.Tensor


class Lessons:
    """Random pictures of sets, blurred, noisy and mirrored at random, with what is to be said of them."""

    def __init__(self, sets: Sequence[Pictures]) -> None:
        self.sets = sets
        self.share = np.array([made.frames_NTCHW.shape[0] * made.frames_NTCHW.shape[1] for made in sets], float)
        things = [thing for made in sets for seen in made.seen for thing in seen.things]
        self.rarity = torch.from_numpy(rarity([KINDS.index(thing.kind) for thing in things]))

    def draw(self, rng: np.random.Generator) -> Told:
        """A batch of PICTURES."""
        frames, ids, kinds, colours, fields = zip(*(self._one(rng) for _ in range(PICTURES)), strict=True)
        x, ids_NHW = judges.signal(np.stack(frames)), np.stack(ids)
        hills, owners, sizes = centres(ids_NHW)
        picture = np.arange(PICTURES)[:, None, None]
        kind_of, colour_of = np.stack(kinds), np.stack(colours)  # by id
        masks = np.where(ids_NHW > 0, BARE + colour_of[picture, ids_NHW], 0)
        told = [masks, kind_of[picture, owners], colour_of[picture, owners], shares(ids_NHW), hills, sizes]
        if rng.random() < 0.5:
            x, told = x.flip(3), [a[..., ::-1] for a in told]
        if rng.random() < SOFT_SHARE:
            x = softened(x, rng)
        x = x + torch.from_numpy(rng.normal(0, rng.uniform(0, 0.05), x.shape).astype(np.float32))
        told.append(np.stack(fields))
        return Told(x, *(torch.from_numpy(np.ascontiguousarray(a)) for a in told))

    def _one(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """A picture, its ids at half size, kinds (-1: none) and colours (0: none) by id, and fields; IGNORED is what nobody can see."""
        made = self.sets[rng.choice(len(self.sets), p=self.share / self.share.sum())]
        n, t = rng.integers(len(made.seen)), rng.integers(made.frames_NTCHW.shape[1])
        kinds, colours = np.full(256, -1), np.zeros(256, int)
        for k, thing in enumerate(made.things[n], 1):
            kinds[k], colours[k] = KINDS.index(thing.kind), 1 + COLOURS.index(thing.color) if thing.color else 0
        shown = made.seen[n].fields | {"mood": made.fields[n]["mood"]}
        fields = [FIELDS[name].index(made.fields[n][name]) if name in shown else IGNORED for name in WHOLE]
        return made.frames_NTCHW[n, t], made.ids_NTHW[n, t, ::2, ::2], kinds, colours, np.array(fields)


def eye_loss(sight: Sight, told: Told, rare: torch.Tensor) -> torch.Tensor:
    """Cross entropies, and for centres the focal loss of CenterNet (arXiv 1904.07850, eq. 1). `rare`: weights of KINDS.

    Colours are asked once of every pixel and once of every thing: by pixels alone, the background and large things are all that is learnt.
    """
    weight = torch.ones(sight.masks.shape[1])
    weight[0] = 0.4
    loss = functional.cross_entropy(sight.masks, told.masks, weight)
    each = functional.cross_entropy(sight.masks, told.masks, reduction="none")
    loss = loss + 0.5 * (each * told.shares).sum() / told.shares.sum().clamp(min=1e-6)
    near = torch.where(told.centres > CLOSE, told.centres, 0.0)
    near = near / near.sum().clamp(min=1.0)
    kinds = told.kinds.clamp(min=0)
    loss = loss + (functional.cross_entropy(sight.kinds, kinds, rare, reduction="none") * near).sum()
    loss = loss + (functional.cross_entropy(sight.colours, told.colours, reduction="none") * near).sum()
    loss = loss + (functional.smooth_l1_loss(sight.sizes, told.sizes, reduction="none", beta=0.3).sum(1) * near).sum()
    likely = sight.centres[:, 0].sigmoid().clamp(1e-4, 1 - 1e-4)
    top = (told.centres > 0.999).float()
    focal = top * (1 - likely) ** 2 * likely.log() + (1 - top) * (1 - told.centres) ** 4 * likely**2 * (1 - likely).log()
    loss = loss - 0.5 * focal.sum() / top.sum().clamp(min=1.0)
    for i, name in enumerate(WHOLE):
        if (told.whole[:, i] != IGNORED).any():
            loss = loss + 0.3 * functional.cross_entropy(sight.whole[name], told.whole[:, i], ignore_index=IGNORED)
    return loss


def _exact(sight: Sight) -> Sight:
    parts = {name: getattr(sight, name).float() for name in PARTS}
    return Sight(**parts, whole={k: v.float() for k, v in sight.whole.items()})


def teach_eye(judge: Judges, sets: Sequence[Pictures], steps: int, say: Say) -> None:
    """Train the Eye for so many steps, with the learning rate warmed up and let down; on other pictures than those that it has learnt."""
    done = int(judge.facts.get("steps", 0))
    lessons, rng = Lessons(sets), np.random.default_rng(done)

    def loss() -> torch.Tensor:
        told = lessons.draw(rng)
        with precision.autocast(torch.device("cpu")):
            sight = judge.eye(told.signal)
        return eye_loss(_exact(sight), told, lessons.rarity)

    fit("eye", judge.eye, loss, steps, EYE_LR * (FURTHER if done else 1.0), 0.02, say)


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
        measured = judges.causes(frames, len(judges.things(sight)), flow.speed(*flows))
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


def learn(scenes: int, glanced: int, steps: Mapping[str, int], folder: Path, workers: int, say: Say, further: bool = False) -> Judges:
    """Render (or read), train, measure, save. `steps`: of the parts that learn, by name; the others stay as they are. `further`: the Eye
    goes on from what it has learnt, else it begins from nothing."""
    begun = time.monotonic()
    torch.manual_seed(0)
    judge = Judges() if set(steps) == set(STEPS) and not further else judges.load()
    if "eye" in steps and not further:
        judge.eye, judge.facts = Eye(), {k: v for k, v in judge.facts.items() if k != "steps"}
    facts = dict(judge.facts)
    held = pictures(folder, JUDGES_HELD_OUT, HELD_OUT, workers)
    made = pictures(folder, 0, scenes, workers) if steps else held
    if "eye" in steps:
        say(f"{scenes} and {glanced} scenes to learn from, {len(held.fields)} held out, after {time.monotonic() - begun:.0f} s")
        teach_eye(judge, [made, pictures(folder, GLANCED, glanced, workers, GLANCES)], steps["eye"], say)
        facts |= {"scenes": scenes, "glanced": glanced, "steps": facts.get("steps", 0) + steps["eye"]}
    if "readers" in steps:
        teach_readers(judge, made, steps["readers"], say)
    judge.facts = facts | {"held_out": len(held.fields), **measured(judge, held)}
    judge.save(FILE, judge.facts)
    say(f"{FILE.name}: {FILE.stat().st_size / 1e3:.0f} kB, {time.monotonic() - begun:.0f} s, {judge.facts['accuracy']}")
    return judge


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the judges of the exam.")
    parser.add_argument("--scenes", type=int, default=2500, help="that the Eye and the readers learn from")
    parser.add_argument("--glanced", type=int, default=9000, help="scenes, in fewer looks, that the Eye learns from")
    parser.add_argument("--parts", nargs="*", default=list(STEPS), choices=STEPS, help="that learn anew; default: all; none: only measure")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where renders are kept; default: kinowatt's cache")
    parser.add_argument("--further", action="store_true", help="the Eye goes on from the judges as they are; default: from nothing")
    given = parser.parse_args()
    steps = {p: STEPS[p] for p in given.parts}
    learn(given.scenes, given.glanced, steps, given.folder or cache() / "judges", given.workers, print, given.further)
