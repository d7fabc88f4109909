"""Frames between latents, drawn along how they move: as an interpolator finds it in the pictures, and as camera path and director tell.

spark's codec holds every fourth frame, and its decoder fades from one to the next, so that what moves fast is seen double. Here each
pixel of a frame between is looked up in the frames before and after it, by several guesses of how it moves: as the interpolator says
(or, without one, not at all), with the level ground, with what is far away, with a thing. The guess by which both look most alike around
it counts most (bidirectional motion compensation, as in frame-rate conversion). Legend: K things, F latent frames, T frames, N guesses,
H W pixels; places in a picture are x to the right and y up, in half frame heights from its middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from kinowatt.engine.camera_path import monotone
from kinowatt.engine.standing import projected
from kinowatt.models import precision
from kinowatt.models.blocking import Blocking, covers, nearest_first
from kinowatt.models.ground import points
from kinowatt.models.interpolator import Flow, Interpolator

AROUND = 11  # pixels a side in which the frames before and after are compared, in pictures of 128 rows
CERTAIN = 0.02  # differences of signals over which a guess is given up
OF_THINGS = 0.03  # by which a thing's motion is believed the more
WIDER = 1.4  # than its ellipse is what moves with a thing: corners, and its shadow's root
HIDES = (1.4, 2.2)  # times its ellipse: up to there a thing hides what stands behind it, and from there on it does not
OUTSIDE = 0.3  # as which difference it counts that a guess leads out of the picture


@dataclass(frozen=True, eq=False)
class Between:
    """How a clip moves: camera rows (T, 4, 4) of its frames (see toybox/camera.py), metres from the first to what it looks at, what stands
    where, latent frame by latent frame, and who finds how pictures move."""

    rows_T44: torch.Tensor
    focus_m: float
    blocking: Blocking | None
    stride: int
    interpolator: Interpolator | None

    @property
    def moves(self) -> bool:
        """Whether anything can be said of how it moves."""
        return self.interpolator is not None or self._told

    @property
    def _told(self) -> bool:
        return self.blocking is not None or not self._still

    @property
    def _still(self) -> bool:
        return bool((self.rows_T44 == self.rows_T44[:1]).all())

    def along(self, stream: Iterable[torch.Tensor], first: int = 0) -> Iterator[torch.Tensor]:
        """The frames (1, 3, T, H, W) of a stream from number `first` on, below 0 in a clip's past; those between latents drawn anew."""
        done, last = first, None
        for signal in stream:
            drawn, last = self.drawn(signal, done, last)
            done += signal.shape[2]
            yield drawn

    def drawn(self, signal_1CTHW: torch.Tensor, first: int, last_1CHW: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Frames from number `first` on, those between latents drawn anew; and the last one of a latent, which the next call wants."""
        drawn = signal_1CTHW.clone()
        for i in range(signal_1CTHW.shape[2]):
            if (first + i) % self.stride:
                continue
            held = signal_1CTHW[:, :, i]
            count = min(self.stride - 1, i)
            if last_1CHW is not None and count and self.moves and first + i > 0:
                numbers = torch.arange(first + i - count, first + i)
                drawn[:, :, i - count : i] = self._frames(last_1CHW, held, numbers).transpose(0, 1)[None]
            last_1CHW = held
        return drawn, last_1CHW

    def _frames(self, before_1CHW: torch.Tensor, after_1CHW: torch.Tensor, numbers_T: torch.Tensor) -> torch.Tensor:
        """The frames (T, C, H, W) of those numbers, all between the same two."""
        height, width = before_1CHW.shape[2:]
        begin = int(numbers_T[0]) // self.stride * self.stride
        shares_T = ((numbers_T - begin) / self.stride).to(before_1CHW)
        flow = None if self.interpolator is None else self._found(before_1CHW, after_1CHW, shares_T)
        if flow is not None and not self._told:
            return flow.mixed(before_1CHW, after_1CHW)[0]
        share = shares_T[:, None, None, None]
        ends = [self._places(numbers_T, begin + away, height, width) for away in (0, self.stride)]
        places_NT2HW2 = torch.stack(ends, 2)
        guesses, count = places_NT2HW2.shape[:2]
        scale = torch.tensor([height / width, -1.0])
        grid = (places_NT2HW2 * scale).to(before_1CHW)
        if flow is not None:  # from standing still, so many pixels away
            grid[0] += flow.away_NTE2HW[0].movedim(2, -1) * (2.0 / torch.tensor([width, height]).to(grid))
        grid = grid.flatten(0, 1)
        looked = [
            F.grid_sample(end.expand(guesses * count, -1, -1, -1), grid[:, k], padding_mode="border", align_corners=False)
            for k, end in enumerate((before_1CHW, after_1CHW))
        ]
        inside = (grid.abs() <= 1.0).all(-1)[:, :, None].to(before_1CHW)  # (N T, 2, 1, H, W)
        shows = inside * self._unhidden(grid, begin, height, width) + 1e-3
        around = round(AROUND * height / 256) * 2 + 1
        unlike = (looked[0] - looked[1]).abs().mean(1, keepdim=True)
        unlike = F.avg_pool2d(F.pad(unlike, (around // 2,) * 4, mode="replicate"), (around, 1), 1)
        unlike = F.avg_pool2d(unlike, (1, around), 1)  # columns, then rows: the same, and far less work than squares
        unlike = unlike + OUTSIDE * (1.0 - inside[:, 0] * inside[:, 1]) + 10.0 * (inside[:, 0] + inside[:, 1] == 0)
        unlike = unlike.unflatten(0, (guesses, count))
        if self.blocking is not None:
            unlike[-1] -= OF_THINGS
        weight = torch.softmax(-unlike / CERTAIN, 0)
        faded = share.repeat(guesses, 1, 1, 1)
        parts = (1.0 - faded) * shows[:, 0], faded * shows[:, 1]
        if flow is not None:
            own = flow.before_NTHW[0][:, None]
            parts[0][:count], parts[1][:count] = own * shows[:count, 0], (1.0 - own) * shows[:count, 1]
        mixed = (looked[0] * parts[0] + looked[1] * parts[1]) / (parts[0] + parts[1])
        return (mixed.unflatten(0, (guesses, count)) * weight).sum(0)

    def _found(self, before_1CHW: torch.Tensor, after_1CHW: torch.Tensor, shares_T: torch.Tensor) -> Flow:
        assert self.interpolator is not None
        with precision.autocast(before_1CHW.device):
            return self.interpolator.between(before_1CHW, after_1CHW, shares_T)

    def _unhidden(self, grid_N2HW2: torch.Tensor, begin: int, height: int, width: int) -> torch.Tensor:
        """Whether what a guess looks up in the frames before and after (N T, 2, 1, H, W) can be what it looks for: what does not move with
        a thing is not seen where a thing stands."""
        count = len(grid_N2HW2)
        shows = grid_N2HW2.new_ones(count, 2, 1, height, width)
        if self.blocking is None:
            return shows
        fixed = count // self._guesses * (self._guesses - 1)  # the guess of things is the last
        for k, end in enumerate((begin, begin + self.stride)):
            _, u, v = covers(self._wider(self.blocking, torch.tensor([end]), 1.0), height, width)
            away = (u.square() + v.square()).sqrt()[:, :, 0]
            free = ((away - HIDES[0]) / (HIDES[1] - HIDES[0])).clamp(0.0, 1.0).prod(1, keepdim=True).to(grid_N2HW2)
            shows[:fixed, k] = F.grid_sample(
                free.expand(fixed, -1, -1, -1), grid_N2HW2[:fixed, k], padding_mode="border", align_corners=False
            )
        return shows

    @property
    def _guesses(self) -> int:
        return 1 + 2 * (not self._still) + (self.blocking is not None)

    def _places(self, numbers_T: torch.Tensor, end: int, height: int, width: int) -> torch.Tensor:
        """Where, by each guess, the pixels of frames are in another one: (N, T, H, W, 2)."""
        y = 1.0 - (torch.arange(height) + 0.5) * 2.0 / height
        x = ((torch.arange(width) + 0.5) * 2.0 / width - 1.0) * width / height
        here = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)
        found = [here.expand(len(numbers_T), -1, -1, -1)]
        if not self._still:
            rows = self.rows_T44[numbers_T.clamp(max=len(self.rows_T44) - 1)]
            other = self.rows_T44[min(end, len(self.rows_T44) - 1)].expand_as(rows)
            for focus_m in (self.focus_m, 0.0):
                point, far = points(rows[None], torch.tensor([focus_m]), height, width)
                seen = torch.stack(projected(point[0], far[0], other)[:2], -1)
                found.append(seen.unflatten(1, (height, width)))
        if self.blocking is not None:
            found.append(self._with_things(self.blocking, numbers_T, end, height, width))
        return torch.stack(found)

    def _with_things(self, blocking: Blocking, numbers_T: torch.Tensor, end: int, height: int, width: int) -> torch.Tensor:
        """Where the pixels on things are as those move (T, H, W, 2); others are nowhere."""
        now, then = self._wider(blocking, numbers_T), self._wider(blocking, torch.tensor([end])).tracks_BKFT[0, :, 0]
        order = nearest_first(now)[0, ..., None, None].expand(-1, -1, height, width)
        inside, u, v = (part[0].gather(0, order) for part in covers(now, height, width))
        first = (inside > 0.5).float().argmax(0, keepdim=True)
        on_one, owner, u, v = (part.gather(0, first)[0] for part in (inside, order, u, v))
        track = then[owner]
        l11, l22 = ((track[..., k].square() + height**-2).sqrt() for k in (2, 4))
        place = torch.stack([track[..., 0] + l11 * u, track[..., 1] + track[..., 3] * u + l22 * v], -1)
        return torch.where(on_one[..., None] > 0.5, place, 9.0)

    def _wider(self, blocking: Blocking, numbers_T: torch.Tensor, by: float = WIDER) -> Blocking:
        """What stands where in single frames, a little wider than it is."""
        tracks = blocking.tracks_BKFT[0].transpose(0, 1)
        at = np.arange(len(tracks)) * float(self.stride)
        # A curve through the latents around them is the same as through all.
        first = max(int(numbers_T[0]) // self.stride - 2, 0)
        near = slice(first, first + 6)
        told = torch.from_numpy(monotone(at[near], tracks[near].flatten(1).numpy(), numbers_T.numpy().astype(float))).float()
        told = told.unflatten(1, tracks.shape[1:]).transpose(0, 1)[None]
        return Blocking(told, blocking.looks_BKL).wider(by)
