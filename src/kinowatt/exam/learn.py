"""How the judges learn: once, on renders of training scenes. `python -m kinowatt.exam.learn` leaves exam/judges.safetensors.

They are measured on held-out scenes that the exam itself does not ask about, and what they reach is kept in the file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from kinowatt.exam import adherence, flow, judges
from kinowatt.exam.eye import WHOLE, Sight
from kinowatt.exam.judges import FILE, Judges, Verdict
from kinowatt.exam.pictures import FIELDS, Pictures, pictures
from kinowatt.exam.scenes import JUDGES_HELD_OUT
from kinowatt.models import precision
from kinowatt.places import cache
from kinowatt.worlds.toybox.seen import SEEN_SHARE

PICTURES = 24  # of a step
EYE_LR, READER_LR = 2e-3, 3e-3
READER_STEPS = 1500
IGNORED = -1
Told = Callable[[str], None]


def centres(ids_NHW: np.ndarray) -> np.ndarray:
    """Where things have their middles: (N, H, W) in 0..1, a hill on each visible thing's centroid, as wide as the thing allows."""
    out = np.zeros(ids_NHW.shape, np.float32)
    y, x = np.mgrid[: ids_NHW.shape[1], : ids_NHW.shape[2]]
    for picture, hills in zip(ids_NHW, out, strict=True):
        area = np.bincount(picture.ravel(), minlength=2)
        for k in np.flatnonzero(area[1:] > SEEN_SHARE * picture.size) + 1:
            mine = picture == k
            width = np.clip(0.12 * np.sqrt(area[k]), 0.7, 2.0)
            cy, cx = np.round(y[mine].mean()), np.round(x[mine].mean())
            np.maximum(hills, np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2)), out=hills)
    return out


class Lessons:
    """Random pictures of a set, blurred, noisy and mirrored at random, with what is to be said of them."""

    def __init__(self, made: Pictures) -> None:
        self.frames = made.frames_NTCHW
        self.ids = made.ids_NTHW[:, :, ::2, ::2]
        self.kinds, self.colours, fields = made.labels()
        self.kinds, self.colours = self.kinds[:, :, ::2, ::2], self.colours[:, :, ::2, ::2]
        # What a scene has but nobody can see is not asked for.
        names = list(FIELDS)
        shown = np.array([[name in seen.fields for name in WHOLE] for seen in made.seen])
        self.whole = np.where(shown, fields[:, [names.index(name) for name in WHOLE]], IGNORED)

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
        """Signal, kinds, colours (IGNORED where there is no thing), centres, fields."""
        n, t = rng.integers(len(self.frames), size=PICTURES), rng.integers(self.frames.shape[1], size=PICTURES)
        frames, ids = self.frames[n, t], self.ids[n, t]
        kinds, colours = self.kinds[n, t].astype(np.int64), self.colours[n, t].astype(np.int64)
        colours = np.where(kinds > 0, colours, IGNORED)
        x, hills = judges.signal(frames), centres(ids)
        if rng.random() < 0.5:
            x = x.flip(3)
            kinds, colours, hills = kinds[..., ::-1], colours[..., ::-1], hills[..., ::-1]
        if rng.random() < 0.4:  # as soft as a codec leaves it
            size = int(x.shape[2] * rng.uniform(0.4, 0.9))
            small = functional.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
            x = functional.interpolate(small, size=x.shape[2:], mode="bilinear")
        x = x + torch.from_numpy(rng.normal(0, rng.uniform(0, 0.05), x.shape).astype(np.float32))
        rest = (torch.from_numpy(np.ascontiguousarray(a)) for a in (kinds, colours, hills, self.whole[n]))
        return x, *rest


def eye_loss(sight: Sight, kinds: torch.Tensor, colours: torch.Tensor, hills: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Cross entropies, and for centres the focal loss of CenterNet (arXiv 1904.07850, eq. 1)."""
    kind_weight = torch.ones(sight.kinds.shape[1])
    kind_weight[0] = 0.4
    loss = functional.cross_entropy(sight.kinds, kinds, kind_weight)
    loss = loss + 0.7 * functional.cross_entropy(sight.colours, colours, ignore_index=IGNORED)
    likely = sight.centres.sigmoid().clamp(1e-4, 1 - 1e-4)
    top = (hills > 0.99).float()
    focal = top * (1 - likely) ** 2 * likely.log() + (1 - top) * (1 - hills) ** 4 * likely**2 * (1 - likely).log()
    loss = loss - 0.5 * focal.sum() / top.sum().clamp(min=1.0)
    for i, name in enumerate(WHOLE):
        if (whole[:, i] != IGNORED).any():
            loss = loss + 0.3 * functional.cross_entropy(sight.whole[name], whole[:, i], ignore_index=IGNORED)
    return loss


def _exact(sight: Sight) -> Sight:
    return Sight(sight.kinds.float(), sight.colours.float(), sight.centres.float(), {k: v.float() for k, v in sight.whole.items()})


def teach_eye(judge: Judges, made: Pictures, steps: int, say: Told) -> None:
    """Train the Eye for so many steps, with the learning rate warmed up and let down."""
    lessons, rng = Lessons(made), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(judge.eye.parameters(), EYE_LR, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, EYE_LR, steps, pct_start=0.15)
    judge.eye.train()
    mean = 0.0
    for step in range(steps):
        x, *told = lessons.draw(rng)
        with precision.autocast(torch.device("cpu")):
            sight = judge.eye(x)
        loss = eye_loss(_exact(sight), *told)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(judge.eye.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        mean = 0.98 * mean + 0.02 * loss.item() if step else loss.item()
        if step % 100 == 99:
            say(f"eye, step {step + 1} of {steps}: loss {mean:.3f}")


def teach_reader(reader: judges.Reader, x_ND: np.ndarray, y_N: np.ndarray) -> None:
    """Train a reader on measured numbers; small enough for whole batches."""
    x, y = torch.from_numpy(x_ND).float(), torch.from_numpy(y_N).long()
    reader.mean.copy_(x.mean(0))
    reader.spread.copy_(x.std(0) + 1e-6)
    optimiser = torch.optim.AdamW(reader.parameters(), READER_LR, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, READER_LR, READER_STEPS)
    generator = torch.Generator().manual_seed(0)
    reader.train()
    for _ in range(READER_STEPS):
        some = torch.randint(len(x), (256,), generator=generator)
        noisy = x[some] + 0.1 * reader.spread * torch.randn(x[some].shape, generator=generator)
        loss = functional.cross_entropy(reader(noisy), y[some], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    reader.eval()


def teach_readers(judge: Judges, made: Pictures, say: Told) -> None:
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
        measured = judges.causes(frames, judges.things(sight)[1], flow.speed(*flows))
        causes.append(judges.mood_numbers(measured, whole).numpy())
        moods.append(FIELDS["mood"].index(fields["mood"]))
        if len(causes) % 100 == 0:
            say(f"readers: {len(causes)} of {len(made.fields)} scenes")
    teach_reader(judge.camera, np.stack(numbers), np.array(moves))
    teach_reader(judge.mood, np.stack(causes), np.array(moods))


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


def learn(scenes: int, steps: int, folder: Path, workers: int, say: Told) -> Judges:
    """Render (or read), train, measure, save."""
    begun = time.monotonic()
    torch.manual_seed(0)
    made = pictures(folder, 0, scenes, workers)
    held = pictures(folder, JUDGES_HELD_OUT, max(scenes // 8, 50), workers)
    say(f"{len(made.fields)} scenes to learn from, {len(held.fields)} held out, after {time.monotonic() - begun:.0f} s")
    judge = Judges()
    teach_eye(judge, made, steps, say)
    teach_readers(judge, made, say)
    facts = {"scenes": scenes, "steps": steps, "held_out": len(held.fields), **measured(judge, held)}
    judge.facts = facts
    judge.save(FILE, facts)
    say(f"{FILE.name}: {FILE.stat().st_size / 1e3:.0f} kB, {time.monotonic() - begun:.0f} s, {facts['accuracy']}")
    return judge


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the judges of the exam.")
    parser.add_argument("--scenes", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where renders are kept; default: kinowatt's cache")
    given = parser.parse_args()
    learn(given.scenes, given.steps, given.folder or cache() / "judges", given.workers, print)
