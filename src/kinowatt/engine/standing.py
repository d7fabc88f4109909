"""Noise that stands in the world: where the camera moves, it moves with the picture, and where things stand still, so does it.

Noise warping (Chang et al., ICLR 2024; Burgert et al. 2025, arXiv 2501.08331) along what is known before a clip is made:
the camera's path over level ground under a far sky. Part of the noise stays each frame's own (Ge et al. 2023, arXiv 2305.10474).
Legend: B batch, C channels, F latent frames, H W latents, N = pixels of a small picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kinowatt.engine.camera_path import rows_of
from kinowatt.engine.plan import Plan
from kinowatt.models import vae
from kinowatt.models.blocking import Blocking, covers, nearest_first
from kinowatt.models.ground import points
from kinowatt.models.precision import exact
from kinowatt.models.spec import ModelSpec
from kinowatt.models.spots import placed
from kinowatt.shot import CameraKey
from kinowatt.worlds.toybox import camera
from kinowatt.worlds.toybox.scene import MOVES, SHOTS


@dataclass(frozen=True, eq=False)
class Cameras:
    """Where each latent frame is seen from: rows (B, F, 4, 4), position and focal length | right | up | forward, and metres (B) from the
    first camera to what it looks at."""

    rows_BF44: torch.Tensor
    focus_B: torch.Tensor

    def to(self, device: torch.device) -> Cameras:
        """The same on a device."""
        return Cameras(self.rows_BF44.to(device), self.focus_B.to(device))

    def of(self, begin: int, count: int) -> Cameras:
        """Of so many frames from one on; after the last it stands still."""
        at = torch.arange(begin, begin + count).clamp(max=self.rows_BF44.shape[1] - 1)
        return Cameras(self.rows_BF44[:, at], self.focus_B)


@dataclass(frozen=True, eq=False)
class Dice:
    """How noise is drawn: on the CPU, so that a seed means the same picture on every device."""

    share: float  # of its variance, that stands in the world
    cameras: Cameras | None  # None where nothing stands
    blocking: Blocking | None = None  # of the frames, where it is known: what stands on a thing moves with it

    def __call__(self, shape_1CFHW: Sequence[int], seed: int, begin: int = 0, part: int = 0) -> torch.Tensor:
        """Noise (1, C, F, H, W) of a clip's frames from `begin` on. Each part of a long clip has a world of its own: from the same one the
        network would write the same into what it goes on from, part after part (LOG.md)."""
        seed = mixed(seed, part) if part else seed
        own, world = (torch.Generator().manual_seed(s) for s in (seed, mixed(seed, 0)))
        if self.cameras is None:
            return torch.randn(tuple(shape_1CFHW), generator=own)
        frames, high, wide = shape_1CFHW[2], shape_1CFHW[3] * vae.SMALL, shape_1CFHW[4] * vae.SMALL
        things = None if self.blocking is None else self.blocking.of(begin, frames)
        return self._drawn(shape_1CFHW, places(self.cameras.of(begin, frames), high, wide, things), own, world)

    def roll(self, shape_BCFHW: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Noise (B, C, F, H, W) for as many clips and frames as there are cameras, on their device."""
        if self.cameras is None:
            return torch.randn(tuple(shape_BCFHW), generator=generator)
        high, wide = (side * vae.SMALL for side in shape_BCFHW[3:])
        return self._drawn(shape_BCFHW, places(self.cameras, high, wide, self.blocking), generator, generator)

    def _drawn(self, shape_BCFHW: Sequence[int], numbers_BFN: torch.Tensor, own: torch.Generator, world: torch.Generator) -> torch.Tensor:
        """For frames whose places are given. Each by itself is white noise, in the pixels of the small picture that a latent frame holds;
        what stands begins alike for any number of frames."""
        batch, channels, frames, height, width = shape_BCFHW
        high, wide = height * vae.SMALL, width * vae.SMALL
        colours = channels // vae.SMALL**2
        world_NBC = torch.randn(numbers_BFN.shape[1] * high * wide, batch, colours, generator=world).to(numbers_BFN.device)
        at_BN = numbers_BFN.flatten(1).long()
        standing = torch.stack([world_NBC[at_N, b] for b, at_N in enumerate(at_BN)]).transpose(1, 2)
        mine = torch.randn(batch, colours, frames, high, wide, generator=own).to(numbers_BFN.device)
        drawn = self.share**0.5 * standing.reshape_as(mine) + (1.0 - self.share) ** 0.5 * mine
        return vae.fold(drawn).contiguous()  # sums come out the same to the bit only where numbers lie alike


PLAIN = Dice(0.0, None)


def mixed(seed: int, number: int) -> int:
    """Another seed for each number."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0]) >> 1


def dice(plan: Plan, path: Sequence[CameraKey], spec: ModelSpec) -> Dice:
    """For a clip whose camera goes along key frames or, where there are none, as the words of the prompt say."""
    return Dice(spec.standing, cameras(plan, path, spec)) if spec.standing else PLAIN


def cameras(plan: Plan, path: Sequence[CameraKey], spec: ModelSpec) -> Cameras:
    """Of a clip's latent frames."""
    rows_T44, focus_m = way(plan, path, spec)
    return Cameras(torch.from_numpy(rows_T44[:: spec.frame_stride])[None], torch.tensor([focus_m]))


def way(plan: Plan, path: Sequence[CameraKey], spec: ModelSpec) -> tuple[np.ndarray, float]:
    """Camera rows (T, 4, 4) of a clip's frames: along key frames or, where there are none, as the words of the prompt say; and the first
    distance to what is looked at, in metres."""
    if path:
        rows, focus_m = rows_of(path, plan.frames, spec.fps)
    else:
        aspect = plan.canvas_width / plan.canvas_height
        begins = [0, *(spec.frame_stride * at for at, _ in plan.scenes), plan.frames]
        texts = [plan.tokens, *(tokens for _, tokens in plan.scenes)]
        spans = [stop - start for start, stop in itertools.pairwise(begins)]
        paths = [_spoken(tokens, span, aspect) for tokens, span in zip(texts, spans, strict=True)]
        rows, focus_m = np.concatenate([p.rows_T44 for p in paths]), paths[0].distance_m
    return rows, focus_m


def _spoken(tokens: Sequence[str], frames: int, aspect: float) -> camera.Path:
    """What the words of a text say of the camera. Where they say nothing it stands still."""
    said: dict[str, str] = {}
    for slot, _, value in (token.partition("=") for token in tokens):
        said.setdefault(slot, value)
    shot, move = said.get("shot", "medium"), said.get("move", "static")
    if move not in MOVES:  # "pan" without a side: the first of its kind
        move = next((m for m in MOVES if m.startswith(f"{move}-")), "flyover")
    lens, count = float(said.get("lens", SHOTS[shot][1])), said.get("count", "")
    many = int(count) if count.isdigit() else 1  # captions tell of more than one how many they are
    return camera.named(move, shot, lens, said.get("angle", "eye"), frames, aspect, said.get("kind"), many)


def places(cameras: Cameras, height: int, width: int, blocking: Blocking | None = None) -> torch.Tensor:
    """Which place in the world, or on a thing, each pixel shows, as a number in [0, F N) (B, F, N) that no frame shows twice."""
    rows_BF44 = cameras.rows_BF44
    batch, frames = rows_BF44.shape[:2]
    own_N = torch.arange(height * width, device=rows_BF44.device)
    if blocking is None and bool((rows_BF44 == rows_BF44[:, :1]).all()):
        return own_N.expand(batch, frames, -1)
    point_BFN3, far_BFN = points(rows_BF44.float(), cameras.focus_B, height, width)
    things = None if blocking is None else _Things(blocking, height, width)
    found = [own_N.expand(batch, -1)]
    for k in range(1, frames):
        number_BN = torch.full_like(found[0], -1)
        for j in range(k):  # the oldest first
            pixel_BN, seen_BN = _pixels(point_BFN3[:, k], far_BFN[:, k], rows_BF44[:, j].float(), height, width)
            if things is not None:
                pixel_BN, seen_BN = things.moved(k, j, pixel_BN, seen_BN)
            number_BN = torch.where(seen_BN & (number_BN < 0), found[j].gather(1, pixel_BN), number_BN)
            if bool((number_BN >= 0).all()):
                break
        found.append(_once(number_BN, k, frames))
    return torch.stack(found, 1)


class _Things:
    """Where the pixels on things were in other frames; the blocking has as many as the cameras."""

    def __init__(self, blocking: Blocking, height: int, width: int) -> None:
        self.size, self.blocking = (height, width), blocking
        self._frames: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def frame(self, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Which thing each pixel of a frame is on (B, N), -1 for none, and where in its ellipse, u and v."""
        if k not in self._frames:
            now = Blocking(self.blocking.tracks_BKFT[:, :, k : k + 1], self.blocking.looks_BKL)
            order_BKN = nearest_first(now).expand(-1, -1, self.size[0] * self.size[1])
            inside, u, v = (part.flatten(2).gather(1, order_BKN) for part in covers(now, *self.size))
            nearest = (inside > 0.5).float().argmax(1, keepdim=True)  # the first of the things that has a pixel
            inside, order, u, v = (part.gather(1, nearest)[:, 0] for part in (inside, order_BKN, u, v))
            self._frames[k] = torch.where(inside > 0.5, order, -1), u, v
        return self._frames[k]

    def moved(self, k: int, j: int, pixel_BN: torch.Tensor, seen_BN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """In which pixel of frame j each of frame k was: those on things as these moved, all others as given, if no thing was there."""
        height, width = self.size
        owner_BN, u, v = self.frame(k)
        tracks_BKT = self.blocking.tracks_BKFT[:, :, j]
        track = tracks_BKT.gather(1, owner_BN.clamp(min=0)[..., None].expand(-1, -1, tracks_BKT.shape[-1]))
        x, y = placed(track, u, v, height)
        column = ((x * height / width + 1.0) / 2.0 * width - 0.5).round()
        row = ((1.0 - y) / 2.0 * height - 0.5).round()
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        there = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
        pixel_BN = torch.where(owner_BN >= 0, there, pixel_BN)
        same = self.frame(j)[0].gather(1, pixel_BN) == owner_BN
        return pixel_BN, torch.where(owner_BN >= 0, inside, seen_BN) & same


@exact
def projected(point_BN3: torch.Tensor, far_BN: torch.Tensor, rows_B44: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where in its picture a camera sees each point: x and y (B, N) in half frame heights, and whether the point lies before it."""
    from_camera = torch.where(far_BN[..., None], point_BN3, point_BN3 - rows_B44[:, None, 0, :3])
    across, upwards, ahead = torch.einsum("bnk,bik->ibn", from_camera, rows_B44[:, 1:, :3])
    scale = rows_B44[:, None, 0, 3] / ahead.clamp(min=1e-6)
    return across * scale, upwards * scale, ahead > 1e-6


def _pixels(
    point_BN3: torch.Tensor, far_BN: torch.Tensor, rows_B44: torch.Tensor, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pixel (B, N) in which a camera sees each point, and whether it does."""
    x, y, before = projected(point_BN3, far_BN, rows_B44)
    column = ((x * height / width + 1.0) / 2.0 * width - 0.5).round()
    row = ((1.0 - y) / 2.0 * height - 0.5).round()
    seen = before & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long(), seen


def _once(number_BN: torch.Tensor, frame: int, frames: int) -> torch.Tensor:
    """Each number for one pixel only, the first that has it; numbers of the frame's own for all others: noise stays white."""
    batch, count = number_BN.shape
    own = torch.arange(count, device=number_BN.device)
    key = torch.where(number_BN < 0, frames * count, number_BN)
    first = own.new_full((batch, frames * count + 1), count).scatter_reduce(1, key, own.expand(batch, -1), "amin")
    return torch.where((number_BN >= 0) & (first.gather(1, key) == own), number_BN, frame * count + own)
