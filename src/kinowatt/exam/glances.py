"""How the Namer learns: from what the Eye takes for a thing in renders, and from what stands there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from kinowatt.exam.fit import Say, fit
from kinowatt.exam.judges import BATCH, Judges, middle_shares, middles, signal
from kinowatt.exam.namer import windows
from kinowatt.exam.pictures import KINDS, SOFT_SHARE, Pictures, rarity, softened
from kinowatt.models import precision
from kinowatt.worlds.toybox.seen import SEEN_SHARE

LR = 2e-3
GLANCED = 128  # middles of a step
DOUBTFUL = 0.1  # a centre that is at least so likely is shown: the judges look at fewer, and these are the hard ones
NEAR_ENOUGH = 0.35  # of the root of a thing's area, or two pixels: how far off its middle a peak still is its own
SHAKEN = 0.12  # of the same root: how far a window may slip


@dataclass(frozen=True, eq=False)
class Middles:
    """Pictures (N, 3, H, W) uint8; of each middle K the picture, and row and column in shares of its sides (K, 3), the kind that
    stands there (0: none, else 1 + place in KINDS), and by how much it may be missed, in shares of a side."""

    frames_N3HW: np.ndarray
    at_K3: torch.Tensor
    kinds_K: torch.Tensor
    slips_K: torch.Tensor


def shown(ids_HW: np.ndarray) -> np.ndarray:
    """Visible things of a picture: row and column of the middle, id, root of the area (n, 4), in pixels of `ids_HW`."""
    area = np.bincount(ids_HW.ravel(), minlength=2)
    rows = []
    for k in np.flatnonzero(area[1:] > SEEN_SHARE * ids_HW.size) + 1:
        y, x = np.nonzero(ids_HW == k)
        rows.append((y.mean(), x.mean(), k, np.sqrt(area[k])))
    return np.array(rows, np.float32).reshape(-1, 4)


def told(peaks_P2: np.ndarray, things_n4: np.ndarray) -> np.ndarray:
    """Which thing's middle each peak is (P,), -1: none's. Of a thing's peaks only the nearest is its own."""
    out = np.full(len(peaks_P2), -1)
    for k, (y, x, _, size) in enumerate(things_n4):
        away = np.hypot(peaks_P2[:, 0] - y, peaks_P2[:, 1] - x)
        away[out >= 0] = np.inf
        if len(away) and away.min() <= max(NEAR_ENOUGH * size, 2.0):
            out[away.argmin()] = k
    return out


def found(judge: Judges, made: Pictures, rng: np.random.Generator) -> Middles:
    """What the Eye finds in pictures, some of them soft, and what it has passed over."""
    frames = made.frames_NTCHW.reshape(-1, *made.frames_NTCHW.shape[2:]).copy()
    ids = made.ids_NTHW.reshape(-1, *made.ids_NTHW.shape[2:])[:, ::2, ::2]
    looks, side = made.frames_NTCHW.shape[1], ids.shape[1]
    at, kinds, slips = [], [], []
    for first in range(0, len(frames), BATCH):
        some = slice(first, first + BATCH)
        if rng.random() < SOFT_SHARE:
            soft = softened(signal(frames[some]), rng)
            frames[some] = ((soft + 1.0) * 127.5).round().clamp(0, 255).byte().numpy()
        peaks = middles(judge.see(frames[some]), DOUBTFUL).numpy()
        for i in range(len(frames[some])):
            things = made.things[(first + i) // looks]
            here = shown(ids[first + i])
            kind = np.array([0, *(1 + KINDS.index(thing.kind) for thing in things)])
            mine = peaks[peaks[:, 0] == i, 1:].astype(np.float32)
            own = told(mine, here)
            missed = np.setdiff1d(np.arange(len(here)), own)
            places = np.concatenate([mine, here[missed, :2]])
            whose = np.concatenate([own, missed])
            at.append(np.column_stack([np.full(len(places), first + i), places]))
            kinds.append(np.where(whose >= 0, kind[here[whose, 2].astype(int)], 0) if len(here) else np.zeros(len(places)))
            slips.append(np.where(whose >= 0, here[whose, 3], 0) if len(here) else np.zeros(len(places)))
    of = torch.from_numpy(np.concatenate(at).astype(np.float32))
    return Middles(
        frames,
        middle_shares(of, side),
        torch.from_numpy(np.concatenate(kinds).astype(np.int64)),
        torch.from_numpy((SHAKEN / side * np.concatenate(slips)).astype(np.float32)),
    )


def teach(judge: Judges, made: Pictures, steps: int, say: Say) -> None:
    """Train the Namer for so many steps, with the learning rate warmed up and let down. Kinds weigh by their rarity, none as the mean."""
    rng = np.random.default_rng(0)
    lesson = found(judge, made, rng)
    things = lesson.kinds_K[lesson.kinds_K > 0]
    say(f"namer: {len(lesson.kinds_K)} middles, {len(things)} of them of things")
    weight = torch.cat([torch.ones(1), torch.from_numpy(rarity((things - 1).tolist()))])
    generator = torch.Generator().manual_seed(0)

    def loss() -> torch.Tensor:
        some = torch.randint(len(lesson.kinds_K), (GLANCED,), generator=generator)
        at = lesson.at_K3[some]
        pictures = at[:, 0].long().numpy()
        slipped = at[:, 1:] + lesson.slips_K[some, None] * (2.0 * torch.rand(GLANCED, 2, generator=generator) - 1.0)
        x = windows(signal(lesson.frames_N3HW[pictures]), torch.cat([torch.arange(GLANCED)[:, None], slipped], 1))
        mirrored = torch.rand(GLANCED, generator=generator) < 0.5
        x[mirrored] = x[mirrored].flip(3)
        x = x + 0.05 * torch.rand(GLANCED, 1, 1, 1, generator=generator) * torch.randn(x.shape, generator=generator)
        with precision.autocast(torch.device("cpu")):
            logits = judge.namer(x)
        return functional.cross_entropy(logits.float(), lesson.kinds_K[some], weight, label_smoothing=0.02)

    fit("namer", judge.namer, loss, steps, LR, 0.05, say)
