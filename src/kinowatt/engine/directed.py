"""What a model's director tells before a clip is drawn: what stands where (models/director.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from kinowatt.engine.plan import Plan
from kinowatt.engine.standing import cameras, mixed
from kinowatt.models.blocking import LOOKS, MOST, TRACK, Blocking
from kinowatt.models.director import FRAMES, ROW, SLOTS, Director
from kinowatt.models.spec import ModelSpec
from kinowatt.shot import OUTSIDE, CameraKey
from kinowatt.worlds.toybox.blocking import way

SEEDED = 2**32  # beside the numbers of parts, for the director's own noise


def direct(plan: Plan, path: Sequence[CameraKey], director: Director, spec: ModelSpec) -> Blocking | None:
    """The blocking of a clip from words, latent frame by latent frame.

    The camera of the key frames or, where there are none, of the words is given to the director.

    None for clips without words, for those that lean on footage, which it cannot see well enough yet (LOG.md), and for those that are
    longer than it has learnt to tell: there the words alone speak.
    """
    frames = (plan.frames - 1) // spec.frame_stride + 1
    if plan.roll or frames > FRAMES or not plan.tokens or any(a.at != OUTSIDE for a in plan.shot.anchors):
        return None
    seen = cameras(plan, path, spec)
    # Fewer frames are the middle of what it draws: things may enter and leave the picture.
    begin = (FRAMES - frames) // 2
    told = np.pad(way(seen.rows_BF44[0].numpy(), float(seen.focus_B)), ((begin, FRAMES - frames - begin), (0, 0)), "edge")
    nothing = Blocking(torch.zeros(1, MOST, FRAMES, TRACK), torch.zeros(1, MOST, LOOKS))
    is_known = torch.zeros(1, SLOTS, FRAMES + 1, dtype=torch.bool)
    is_known[:, 0] = True
    noise = torch.randn(1, SLOTS, ROW, generator=torch.Generator().manual_seed(mixed(plan.shot.seed, SEEDED)))
    aspect = torch.tensor([plan.canvas_width / plan.canvas_height])
    known = director.rows(torch.from_numpy(told)[None], nothing)
    _, blocking = director.read(director.draw(director.text.ids([plan.tokens]), aspect, noise, known, is_known))
    return blocking.of(begin, frames)
