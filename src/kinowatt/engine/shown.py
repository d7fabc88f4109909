"""What footage shows, as a backdrop for the frames that it does not show.

The place is level ground and what is far away, seen by the clip's cameras: so each pixel of a frame is looked up where the nearest given
frame saw the same point. Where none did, or where something or its shadow hid it, colours spread from beside it. Things are cut out of the
place and set where the blocking has them, as wide and as high; things that the footage does not show are the painter's, and so are ropes,
and shadows, where those of the footage tell from where the light comes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from kinowatt.engine.backdrop import HANGING
from kinowatt.engine.conditioning import Known
from kinowatt.engine.plan import Plan
from kinowatt.engine.standing import Cameras, cameras, projected
from kinowatt.models import vae
from kinowatt.models.blocking import Blocking, covers, in_picture, in_sight, nearest_first
from kinowatt.models.ground import points
from kinowatt.models.limbs import Limbs, hooks
from kinowatt.models.painter import Painter
from kinowatt.models.spec import ModelSpec
from kinowatt.models.spots import Stands, Views, placed, places, within
from kinowatt.shot import CameraKey
from kinowatt.worlds.toybox.light import HOURS

AROUND = 1.7  # ellipses of a thing, within which its pixels are not the place's
CORE, CUT, BESIDE = 0.7, 1.6, 2.4  # ellipses: a thing, where its outline is, and what is around it
SOFT = 0.1  # in normalised colours: of outlines
HIDDEN = 0.1  # of a thing, that others hide: then the painter paints it beneath what is seen of it
AZIMUTHS = 24  # from which light is looked for
SHADE, RING = 0.9, 1.8  # sizes: where a shadow would be dark, and where it would be light beside it
DARKER = 0.4  # in normalised colours: a shadow


@dataclass(frozen=True, eq=False)
class Shown:
    """Of a clip of which latent frames are given: a backdrop as `backdrop.Backdrop` is one."""

    painter: Painter
    cameras: Cameras
    rows_1L: torch.Tensor  # token rows of the clip's words
    blocking: Blocking | None  # of the clip
    given: dict[int, torch.Tensor]  # latent frames (1, C, 1, H, W)
    light: torch.Tensor | None = None  # from where most of it comes, a unit vector (3); None where no shadow tells

    def of(self, begin: int, count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Channels (1, BACKDROP_CHANNELS, count, height, width) of so many latent frames, with what stands there and without; after
        the last all stands still."""
        bare = torch.stack([self._place(k) for k in range(begin, begin + count)])
        empty = _channels(bare)
        if self.blocking is None:
            return empty, empty
        seen, own = self.cameras.of(begin, count).rows_BF44[0], self.blocking.of(begin, count).by_frame()
        light = self.light if self.light is not None else seen.new_tensor([0.0, 0.0, 1.0])  # an overcast sky's
        views = Views(seen[:, None], self.cameras.focus_B.expand(count), light.expand(count, -1))
        words, at = self.painter.words(self.rows_1L).expand(count, -1), places(*bare.shape[2:]).expand(count, -1, -1)
        told = words, own, views, at, bare.shape[2]
        flat = bare.flatten(2).transpose(1, 2)
        if self.light is not None:
            flat = self.painter.shaded(flat, *told)
        others = self._only(own, ~self._whole_K)
        pictures = _pictures(self.painter.bodied(flat, words, others, *told[2:]), bare.shape)
        pictures = torch.stack([self._set(picture, begin + n) for n, picture in enumerate(pictures)])
        flat = self.painter.limbed(pictures.flatten(2).transpose(1, 2), words, self._only(own, ~self._whole_K | self._hang_K), *told[2:])
        return _channels(_pictures(flat, bare.shape)), empty

    def _only(self, blocking: Blocking, which_K: torch.Tensor) -> Blocking:
        return replace(blocking, looks_BKL=blocking.looks_BKL * which_K[:, None])

    def lit(self, times: Sequence[str]) -> Shown:
        """With a light, of those that shine at these times of day: of many directions that whose shadows are the darkest beside what is
        around them. The same where none is dark."""
        best: tuple[float, torch.Tensor | None] = (DARKER, None)
        for elevation in {math.radians(HOURS[time].elevation_deg) for time in times}:
            for turn in range(AZIMUTHS):
                azimuth = 2.0 * math.pi * turn / AZIMUTHS
                level = math.cos(elevation)
                light = torch.tensor([level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)])
                if (mean := self.darker(light)) > best[0]:
                    best = mean, light
        return replace(self, light=best[1])

    def darker(self, light: torch.Tensor) -> float:
        """By how much shadows would be darker than the ground beside them, if light came from there: over DARKER if it does."""
        if self.blocking is None:
            return 0.0
        frames = list(self.given)[:: max(len(self.given) // 3, 1)][:3]
        return sum(self._darker(j, light) for j in frames) / len(frames)

    def _darker(self, j: int, light: torch.Tensor) -> float:
        """By how much the shadows of a given frame would be darker than the ground beside them, if light came from there."""
        grey, free = self._greys[j]
        near = self._fallen(j, light, grey.shape)
        inside, beside = (near(SHADE) & free), near(RING) & ~near(1.2 * SHADE) & free
        if int(inside.sum()) < 4 or int(beside.sum()) < 4:
            return 0.0
        return float(grey[beside].mean() - grey[inside].mean())

    @functools.cached_property
    def _greys(self) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """Of given frames their brightness (H, W), and where nothing stands."""
        found = {}
        for j, latent in self.given.items():
            grey = vae.unfold(latent.float())[0, 0].mean(0)
            found[j] = grey, ~self._near_things(j, grey.shape, 1.1)
        return found

    def _fallen(self, j: int, light: torch.Tensor, size: Sequence[int]) -> functools.partial[torch.Tensor]:
        """Where (H, W) shadows fall in a given frame, within so many sizes of their middles."""
        assert self.blocking is not None
        views = Views(self.cameras.of(j, 1).rows_BF44, self.cameras.focus_B, light[None])
        fallen = Stands(self.blocking.of(j, 1), views).fallen(places(*size)[None])
        return functools.partial(lambda reach: (fallen.near(reach) > 0).any(0).unflatten(0, tuple(size)))

    def _near_things(self, j: int, size: Sequence[int], by: float) -> torch.Tensor:
        """Where (H, W) things stand in a given frame."""
        assert self.blocking is not None
        return covers(self.blocking.of(j, 1).wider(by), size[0], size[1])[0][0, :, 0].amax(0) > 0.5

    @functools.cached_property
    def _bare(self) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """Of each given frame its colours (3, H, W), and where the place is seen (1, H, W), 1 or 0."""
        found = {}
        for j, latent in self.given.items():
            picture = vae.unfold(latent.float())[0, 0]
            there = torch.ones(1, *picture.shape[1:])
            if self.blocking is not None:
                hidden = self._near_things(j, picture.shape[1:], AROUND)
                if self.light is not None:
                    hidden |= self._fallen(j, self.light, picture.shape[1:])(1.3)
                else:  # what is dark beside a thing may be its shadow all the same
                    grey, beside = picture.mean(0), self._near_things(j, picture.shape[1:], BESIDE)
                    hidden |= beside & (grey < grey[beside & ~hidden].median() - DARKER)
                there = (~(hidden | self._roped(j, picture.shape[1:]))).float()[None]
            found[j] = picture, there
        return found

    def _roped(self, j: int, size: Sequence[int]) -> torch.Tensor:
        """Where (H, W) ropes, the beams above them and their shadows are in a given frame."""
        assert self.blocking is not None
        light = self.cameras.rows_BF44.new_tensor([0.0, 0.0, 1.0]) if self.light is None else self.light
        own = self._only(self.blocking.of(j, 1), self._hang_K)
        stands = Stands(own, Views(self.cameras.of(j, 1).rows_BF44, self.cameras.focus_B, light[None]))
        found = [Limbs(own, stands)] + [Limbs(own, stands, fallen=True)] * (self.light is not None)
        beside = torch.cat([limbs.beside(places(*size)[None], size[0])[0] for limbs in found])
        return (beside > 0).any(0).unflatten(0, tuple(size))

    @functools.cached_property
    def _hang_K(self) -> torch.Tensor:
        """Which things hang from ropes."""
        assert self.blocking is not None
        hooks_BKH = self.blocking.hooks_BKH
        return torch.zeros(self.blocking.looks_BKL.shape[1], dtype=torch.bool) if hooks_BKH is None else hooks_BKH[0, :, 2] > 0

    def _place(self, k: int) -> torch.Tensor:
        """Colours (3, H, W) of the place as a frame shows it."""
        found, known = torch.zeros(()), torch.zeros(())
        for j in sorted(self.given, key=lambda j: abs(j - k)):
            picture, there = self._looked_up(k, j)
            found, known = found + picture * there * (1.0 - known), known + there * (1.0 - known)
            if bool((known > 0.99).all()):
                break
        return spread(found, known)

    def _looked_up(self, k: int, j: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Colours and presence as frame k sees what frame j shows."""
        picture, there = self._bare[j]
        now, then = (self.cameras.of(f, 1).rows_BF44.float() for f in (k, j))
        if torch.equal(now, then):
            return picture, there
        height, width = picture.shape[1:]
        point, far = points(now, self.cameras.focus_B, height, width)
        x, y, before = projected(point[:, 0], far[:, 0], then[:, 0])
        both = _sampled(torch.cat([picture * there, there]), torch.stack([x, y], -1)[0])
        colours, share = both.split([vae.COLOURS, 1])
        inside = before[0] & (x[0].abs() < width / height) & (y[0].abs() < 1.0)
        return colours / share.clamp(min=1e-3), ((share > 0.5) & inside.unflatten(0, (height, width))).float()

    @functools.cached_property
    def _seen_KF(self) -> torch.Tensor:
        """Which things are to be seen in which frames."""
        assert self.blocking is not None
        _, _, _, height, width = next(iter(self.given.values())).shape
        return in_picture(self.blocking, width / height)[0]

    @functools.cached_property
    def _from_K(self) -> list[int | None]:
        """The given frame of which each thing is cut out, where most of it is in sight; None where it is in none."""
        given = list(self.given)
        return [
            given[int(self._sight_KF[k, given].argmax())] if bool(self._seen_KF[k, given].any()) else None
            for k in range(len(self._seen_KF))
        ]

    @functools.cached_property
    def _sight_KF(self) -> torch.Tensor:
        """How much of each thing is to be seen in each frame."""
        assert self.blocking is not None
        _, _, _, height, width = next(iter(self.given.values())).shape
        return in_sight(self.blocking, height * vae.SMALL, width * vae.SMALL)[0] * self._seen_KF

    @functools.cached_property
    def _whole_K(self) -> torch.Tensor:
        """Which things are cut out as a whole."""
        return torch.tensor([j is not None and bool(self._sight_KF[k, j] > 1.0 - HIDDEN) for k, j in enumerate(self._from_K)])

    @functools.cached_property
    def _cuts(self) -> dict[int, torch.Tensor]:
        """Of each thing that is cut out its colours times how much of each pixel it covers, and that (4, H, W)."""
        return {k: self._cut(k, j) for k, j in enumerate(self._from_K) if j is not None}

    def _cut(self, k: int, j: int) -> torch.Tensor:
        """Near its outline a pixel is a thing's if its colour is rather in the thing's middle than around it."""
        assert self.blocking is not None
        picture, _ = self._bare[j]
        size = picture.shape[1:]
        own = self.blocking.of(j, 1)
        u, v = within(own.tracks_BKFT[0, k : k + 1, 0], places(*size)[None], size[0])
        far = (u.square() + v.square())[0].sqrt()
        order = nearest_first(own)[0, :, 0].tolist()
        hides = own.only(torch.ones(1))
        hides.looks_BKL[0, order[order.index(k) :]] = 0.0  # what is as far away, or farther
        free = covers(hides, size[0], size[1])[0][0, :, 0].amax(0).flatten() < 0.5
        if self.light is not None:
            free &= ~(self._fallen(j, self.light, size)(SHADE).flatten() & (far > 1.0))
        colours_N3 = picture.flatten(1).T
        inside, beside = (colours_N3[where & free] for where in (far < CORE, (far > CUT) & (far < BESIDE)))
        share = ((far < CUT) & free).float()
        if len(inside) and len(beside):
            near = (far < CUT) & (far >= CORE) & free
            nearest = [torch.cdist(colours_N3[near], of).amin(1) for of in (inside, beside)]
            share[near] = torch.sigmoid((nearest[1] - nearest[0]) / SOFT)
        share = share.unflatten(0, size)
        return torch.cat([picture * share, share[None]])

    def _set(self, place: torch.Tensor, frame: int) -> torch.Tensor:
        """Colours (3, H, W) of a frame with the things before them that footage shows."""
        assert self.blocking is not None
        size = place.shape[1:]
        now = self.blocking.of(frame, 1)
        at = min(frame, self.blocking.tracks_BKFT.shape[2] - 1)
        for k in reversed(nearest_first(now)[0, :, 0].tolist()):
            j = self._from_K[k]
            if j is None or not self._seen_KF[k, at]:
                continue
            u, v = within(now.tracks_BKFT[0, k : k + 1, 0], places(*size)[None], size[0])
            track = self.blocking.tracks_BKFT[0, k, j]
            x, y = placed(track, u[0], v[0], size[0])
            colours, share = _sampled(self._cuts[k], torch.stack([x, y], -1)).split([vae.COLOURS, 1])
            place = place * (1.0 - share) + colours
        return place


def shown(
    plan: Plan, path: Sequence[CameraKey], painter: Painter, blocking: Blocking | None, known: Known, spec: ModelSpec
) -> Shown | None:
    """Of a clip of which frames are given as they are; None where none is."""
    inside = known.ceiling_1F.shape[1] - known.outside
    given = {f: known.latents_1CFHW[:, :, f : f + 1].float().cpu() for f in range(inside) if known.ceiling_1F[0, f] == 0.0}
    if not given:
        return None
    seen = cameras(plan, path, spec)
    if blocking is not None and HANGING in plan.tokens:
        blocking = replace(blocking, hooks_BKH=hooks(blocking, seen.rows_BF44.float(), seen.focus_B))
    said = [token.removeprefix("time=") for token in plan.tokens if token.startswith("time=")]
    return Shown(painter, seen, painter.text.ids([plan.tokens]), blocking, given).lit(said[:1] or list(HOURS))


def spread(colours_CHW: torch.Tensor, known_1HW: torch.Tensor) -> torch.Tensor:
    """Colours where they are known, and from beside there where not: from means over ever larger squares."""
    level = (colours_CHW * known_1HW)[None], known_1HW[None].float()
    levels = [level]
    while max(level[1].shape[2:]) > 1:
        padded = [F.pad(part, (0, part.shape[3] % 2, 0, part.shape[2] % 2)) for part in level]
        level = F.avg_pool2d(padded[0], 2), F.avg_pool2d(padded[1], 2)
        levels.append(level)
    filled = level[0] / level[1].clamp(min=1e-6)
    for sums, share in reversed(levels):
        filled = F.interpolate(filled, size=share.shape[2:], mode="bilinear", align_corners=False)
        filled = sums + filled * (1.0 - share)
    return filled[0]


def _pictures(flat_FP3: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Pixels as pictures of a shape (F, C, H, W)."""
    return flat_FP3.transpose(1, 2).unflatten(2, tuple(shape[2:]))


def _channels(pictures_FCHW: torch.Tensor) -> torch.Tensor:
    """Pictures of frames as channels of a backdrop (1, BACKDROP_CHANNELS, F, H, W)."""
    colours = vae.fold(pictures_FCHW[None].transpose(1, 2))
    return torch.cat([colours, torch.ones_like(colours[:, : vae.SMALL**2])], 1)


def _sampled(picture_CHW: torch.Tensor, at_N2: torch.Tensor) -> torch.Tensor:
    """A picture (C, H, W) looked up at so many places as it has pixels, x and y in half frame heights; nothing lies outside."""
    height, width = picture_CHW.shape[1:]
    grid = torch.stack([at_N2[:, 0] * height / width, -at_N2[:, 1]], -1).clamp(-4.0, 4.0).unflatten(0, (height, width))
    return F.grid_sample(picture_CHW[None], grid[None], padding_mode="zeros", align_corners=False)[0]
