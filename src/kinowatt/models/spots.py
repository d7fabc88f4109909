"""Where pixels lie in things and in their shadows: what a painter is told of them (painter.py).

Things are known by their tracks in the picture (blocking.py), so with the camera's place also in the world, and with where the light comes
from, where they throw their shadows on level ground. Legend: B batch, K things, P pixels, N things of all clips, M pixels of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kinowatt.models import ground
from kinowatt.models.blocking import COLORS, KINDS, LOOKS, POSE, Blocking, nearest_first
from kinowatt.models.precision import exact

REACH = 2.5  # ellipses from its middle a thing is painted, with what it changes around it; sizes, its shadow
LONGEST = 12.0  # sizes of a thing, as far behind it as its shadow is painted
HUB = 0.25  # of a turbine's ellipse its hub lies above the middle (of all corners of its solids, worlds/toybox/physics.py)
OCTAVES = (2.0, 4.0)  # of the waves by which a pixel's place in a thing is told
TURBINE = 1 + len(COLORS) + KINDS.index("turbine")  # its place among looks
SPOT = 2 + 2 + 3 + 3 + 1 + 2 * len(OCTAVES) * 5 + 6  # numbers of a pixel in a thing, see `Stands.spots`
SHADE = 4 + 3 + 3 + 1 + 2 * len(OCTAVES) * 5  # numbers of a pixel in a thing's shadow, see `Stands.shades`
# Numbers of a thing beside the words: looks | outline, size and distance | pose as the camera sees it, as the light sees it, and whether it
# is known | where the light comes from as the camera sees the thing, and its height.
THING = LOOKS + 4 + 2 * POSE + 1 + 4


@dataclass(frozen=True, eq=False)
class Views:
    """From where frames are seen: camera rows (B, F, 4, 4), and metres (B) from the first to what it looks at; and where most of the light
    comes from: unit vectors (B, 3). What falls (B, F, FALL; falls.py), where that is known."""

    rows_BF44: torch.Tensor
    focus_B: torch.Tensor
    lights_B3: torch.Tensor
    falls_BFN: torch.Tensor | None = None

    def frame(self, f: int) -> Views:
        """One of them."""
        falls = None if self.falls_BFN is None else self.falls_BFN[:, f : f + 1]
        return Views(self.rows_BF44[:, f : f + 1], self.focus_B, self.lights_B3, falls)

    def to(self, device: torch.device) -> Views:
        """The same on a device."""
        falls = None if self.falls_BFN is None else self.falls_BFN.to(device)
        return Views(self.rows_BF44.to(device), self.focus_B.to(device), self.lights_B3.to(device), falls)


@dataclass(frozen=True, eq=False)
class Fallen:
    """Where on the ground pixels are, in the world (B, P, 3), and, of things of clips b (N), where they (N, P) lie beside them as the light
    sees it, in sizes of the thing: the vector (N, P, 3) from the thing's middle to the ground there, and that along the light's axes: to
    the side, up and towards the light; how far it lies from the camera; and whether there is ground."""

    point_BP3: torch.Tensor
    b: torch.Tensor
    away_NP3: torch.Tensor
    seen_NP3: torch.Tensor
    far_NP: torch.Tensor
    ground_NP: torch.Tensor

    def near(self, reach: float) -> torch.Tensor:
        """Over 0 (N, P) where a shadow may fall within so many sizes of its middle."""
        beside, up, towards = self.seen_NP3.unbind(-1)
        there = self.ground_NP & (towards < reach) & (towards > -LONGEST)
        return torch.where(there, 1.0 - (beside.square() + up.square()) / reach**2, -1.0)

    def point(self, n: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """Where in the world (M, 3) the ground is at pixels p beside things n."""
        return self.point_BP3[self.b[n], p]


class Stands:
    """The things of a blocking of one frame in the world: which they are (b clip, k), their tracks, looks and poses, middles (N, 3) and
    sizes (N) in metres."""

    @exact
    def __init__(self, blocking: Blocking, views: Views) -> None:
        self.order_BK = nearest_first(blocking)[..., 0]
        self.b, self.k = b, k = (blocking.looks_BKL[..., 0] > 0).nonzero(as_tuple=True)
        self.tracks, self.looks = blocking.tracks_BKFT[b, k, 0], blocking.looks_BKL[b, k]
        self.poses = self.tracks.new_zeros(len(b), POSE) if blocking.poses_BKFP is None else blocking.poses_BKFP[b, k, 0]
        self.rows, self.focus, self.light = views.rows_BF44[:, 0].float(), views.focus_B, views.lights_B3[b]
        rows = self.rows[b]
        self.axes = rows[:, 1:, :3]  # of the camera: right, up and forward
        focal, x, y = rows[:, 0, 3], self.tracks[:, 0], self.tracks[:, 1]
        ahead = self.tracks[:, 5].exp() * self.focus[b]
        towards = torch.stack([x / focal, y / focal, torch.ones_like(x)], 1)
        self.middle = middles(self.tracks, rows, self.focus[b])
        self.size = ((self.tracks[:, 2].square() + 1e-4) * (self.tracks[:, 4].square() + 1e-4)) ** 0.25 * ahead / focal
        self.tall = self.tracks[:, 4].abs() * ahead / focal  # half of its height, metres
        # Poses are told as seen along the ray to the thing.
        away = F.normalize(towards, dim=1)
        right = F.normalize(away.new_tensor([1.0, 0.0, 0.0]) - away[:, :1] * away, dim=1)
        view = torch.stack([right, -torch.linalg.cross(right, away), away], 1) @ self.axes
        self.shines = torch.einsum("nij,nj->ni", view, self.light)
        self.own = [torch.einsum("ni,nij->nj", part, view) for part in self.poses.split(3, 1)]  # the thing's z and x axes in the world
        level = F.normalize(torch.stack([-self.light[:, 1], self.light[:, 0], torch.zeros_like(x)], 1), dim=1)
        self.lit = torch.stack([level, torch.linalg.cross(self.light, level), self.light], 1)

    @exact
    def told(self, height: int) -> torch.Tensor:
        """What is told of each thing (N, THING)."""
        by_light = [torch.einsum("nij,nj->ni", self.lit, axis) for axis in self.own]
        known = self.poses.any(-1, keepdim=True).float()
        return torch.cat([self.looks, outline(self.tracks, height), self.poses, *by_light, known, self.shines, self.light[:, 2:]], 1)

    def spots(self, u_M: torch.Tensor, v_M: torch.Tensor, n: torch.Tensor, height: int) -> torch.Tensor:
        """What is told of pixels (M, SPOT): where they lie in their thing's ellipse, in the picture, and along the thing's own axes."""
        l11, l22 = axes_of(self.tracks, height)
        size = (l11 * l22).sqrt()
        x = u_M * (l11 / size)[n]
        y = (u_M * self.tracks[n, 3] + v_M * l22[n]) / size[n]
        z_N3, x_N3 = self.poses.split(3, 1)
        axes = (z_N3, x_N3, torch.linalg.cross(z_N3, x_N3))
        turns = y - HUB * (self.looks[:, TURBINE] * l22 / size)[n]
        along = torch.stack([axis[n, 0] * x + axis[n, 1] * turns for axis in axes], 1)
        away = torch.stack([axis[:, 2] for axis in axes], 1)[n]
        lies = torch.cat([u_M[:, None], v_M[:, None], along], 1)
        faces = [along.abs(), (3.0 * along.abs() - 3.0).tanh()]
        round_M1 = (u_M.square() + v_M.square()).sqrt()[:, None]
        return torch.cat([lies[:, :2], x[:, None], y[:, None], along, away, round_M1, *_waves(lies), *faces], 1).clamp(-6.0, 6.0)

    @exact
    def rays(self, pixels_M2: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        """Directions in the world (M, 3) of pixels, as things n are seen."""
        rows = self.rows[self.b[n]]
        return rows[:, 1, :3] * pixels_M2[:, :1] + rows[:, 2, :3] * pixels_M2[:, 1:] + rows[:, 3, :3] * rows[:, 0, 3:]

    @exact
    def fallen(self, pixels_BP2: torch.Tensor) -> Fallen:
        """Where the ground of pixels lies beside each thing."""
        right, up, forward = (self.rows[:, None, i, :3] for i in (1, 2, 3))
        ray = right * pixels_BP2[..., :1] + up * pixels_BP2[..., 1:] + forward * self.rows[:, None, :1, 3]
        from_BP3 = self.rows[:, None, 0, :3]
        steps = -from_BP3[..., 2] / ray[..., 2].clamp(max=-1e-6)
        on = (ray[..., 2] < -1e-6) & (steps > 0) & (steps * ray.norm(dim=-1) < ground.FAR * self.focus[:, None])
        point = from_BP3 + torch.where(on, steps, 0.0)[..., None] * ray
        away = (point[self.b] - self.middle[:, None]) / self.size[:, None, None]
        seen = torch.einsum("nij,npj->npi", self.lit, away)
        return Fallen(point, self.b, away, seen, steps[self.b] / self.size[:, None], on[self.b])

    def shades(self, fallen: Fallen, n: torch.Tensor, p: torch.Tensor, height: int) -> torch.Tensor:
        """What is told of pixels (M, SHADE) in shadows: where they lie as the light sees the thing, and along the thing's own axes."""
        seen, lit = fallen.seen_NP3[n, p], self.lit[n]
        beside = fallen.away_NP3[n, p] - seen[:, 2:] * lit[:, 2]
        l22 = self.tracks[n, 4].abs() / (self.tracks[n, 2].abs() * self.tracks[n, 4].abs() + 1e-4).sqrt()
        lifted = torch.stack([torch.zeros_like(l22), torch.zeros_like(l22), HUB * self.looks[n, TURBINE] * l22], 1)
        turns = beside - (lifted - (lifted * lit[:, 2]).sum(1, keepdim=True) * lit[:, 2])
        z, x = (axis[n] for axis in self.own)
        along = torch.stack([(axis * turns).sum(1) for axis in (z, x, torch.linalg.cross(z, x))], 1)
        lies = torch.cat([seen[:, :2], along], 1)
        far = (1.0 - seen[:, 2:]).clamp(min=0.1).log()
        coarse = (fallen.far_NP[n, p, None] * 2.0 / height).clamp(min=1e-4).log()
        round_M1 = seen[:, :2].norm(dim=1, keepdim=True)
        return torch.cat([seen[:, :2], far, round_M1, along, along.abs(), coarse, *_waves(lies)], 1).clamp(-6.0, 6.0)


def middles(tracks_T: torch.Tensor, rows_44: torch.Tensor, focus: torch.Tensor) -> torch.Tensor:
    """Where in the world things are (..., 3): of tracks (..., TRACK), cameras (..., 4, 4) and distances to the focus (...)."""
    x, y = (tracks_T[..., i] / rows_44[..., 0, 3] for i in (0, 1))
    towards = torch.stack([x, y, torch.ones_like(x)], -1)
    ahead = (tracks_T[..., 5].exp() * focus)[..., None]
    return rows_44[..., 0, :3] + ahead * torch.einsum("...i,...ij->...j", towards, rows_44[..., 1:, :3])


def places(height: int, width: int) -> torch.Tensor:
    """Where the pixels of a picture are (height * width, 2), x and y in half frame heights."""
    y = 1.0 - (torch.arange(height) + 0.5) * 2.0 / height
    x = ((torch.arange(width) + 0.5) * 2.0 / width - 1.0) * width / height
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], 1)


def within(tracks_NT: torch.Tensor, pixels_NP2: torch.Tensor, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where in a thing's ellipse pixels are, u and v (N, P)."""
    l11, l22 = axes_of(tracks_NT, height)
    x, y = (pixels_NP2[..., i] - tracks_NT[:, None, i] for i in (0, 1))
    u = x / l11[:, None]
    return u, (y - tracks_NT[:, 3, None] * u) / l22[:, None]


def placed(tracks_T: torch.Tensor, u: torch.Tensor, v: torch.Tensor, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where in the picture u and v of ellipses of tracks (..., TRACK) are, x and y: what `within` undoes."""
    l11, l22 = ((tracks_T[..., k].square() + height**-2).sqrt() for k in (2, 4))
    return tracks_T[..., 0] + l11 * u, tracks_T[..., 1] + tracks_T[..., 3] * u + l22 * v


def axes_of(tracks_NT: torch.Tensor, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Half a pixel more on each side than they are: nothing is lost between pixels (as in blocking.covers)."""
    l11, l22 = ((tracks_NT[:, k].square() + height**-2).sqrt() for k in (2, 4))
    return l11, l22


def outline(tracks_NT: torch.Tensor, height: int) -> torch.Tensor:
    """What is said of things' ellipses (N, 4): how much wider than high, slant, log of their size in pixels, and distance."""
    l11, l22 = axes_of(tracks_NT, height)
    size = (l11 * l22).sqrt()
    return torch.stack([(l11 / l22).log(), tracks_NT[:, 3] / size, (size * height / 2.0).log(), tracks_NT[:, 5]], 1)


def _waves(lies_MD: torch.Tensor) -> list[torch.Tensor]:
    return [wave(lies_MD * octave) for octave in OCTAVES for wave in (torch.sin, torch.cos)]
