"""Blocking, as a stage director has it: which things there are, and where each of them stands in every latent frame.

spark's network is shown it as channels beside the latents: each thing painted as an ellipse of what it is. Legend: B batch, K things,
F latent frames, L looks, H W pixels of the small picture that the latents hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from kinowatt.models import vae

MOST = 8  # things
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown", "cyan")
KINDS = ("ball", "cube", "cylinder", "cone", "torus", "capsule", "domino", "turbine", "panel")
BARE = ("turbine", "panel")  # kinds that have no colour and no material of their own
MATERIALS = ("matte", "glossy", "metal", "glass")
LOOKS = 1 + len(COLORS) + len(KINDS) + len(MATERIALS) + 1  # there is one | color | kind | material | striped
GROUPS = (  # of looks after the first, of which a thing has one each: color, kind, material
    slice(len(COLORS)), slice(len(COLORS), len(COLORS) + len(KINDS)), slice(len(COLORS) + len(KINDS), LOOKS - 2),
)  # fmt: skip
POSE = 6  # of the thing's own z axis and x axis, how far they point right, up and away; zeros where that is not to be seen, or not known
TRACK = 6  # x, y of the middle | l11, l21, l22 of the ellipse, all in half frame heights | log of distance over that to the focus
PAINTED = LOOKS + 3  # looks | u, v inside the ellipse | 1 where a blocking is given
BLOCKING_CHANNELS = PAINTED * vae.SMALL**2
LEAST_SEEN = 0.25  # of a thing's ellipse, for it to be in the picture
ROWS = 16  # of a picture in which that is reckoned
SOFTNESS = 2.5  # of an ellipse's edge, per pixel


@dataclass(frozen=True, eq=False)
class Blocking:
    """Things (B, K, F, TRACK) with their looks (B, K, LOOKS) and, where they are known, their poses (B, K, F, POSE), and the hooks that
    they hang from (B, K, HOOK; limbs.py).

    The matrix (l11 0; l21 l22) takes the unit disc to the ellipse that a thing covers. Rows of looks that begin with 0 are no things.
    """

    tracks_BKFT: torch.Tensor
    looks_BKL: torch.Tensor
    poses_BKFP: torch.Tensor | None = None
    hooks_BKH: torch.Tensor | None = None

    def to(self, device: torch.device) -> Blocking:
        """The same on a device."""
        poses, hooks = (None if part is None else part.to(device) for part in (self.poses_BKFP, self.hooks_BKH))
        return Blocking(self.tracks_BKFT.to(device), self.looks_BKL.to(device), poses, hooks)

    def only(self, told_B: torch.Tensor) -> Blocking:
        """With the things of those clips only."""
        return replace(self, looks_BKL=self.looks_BKL * told_B.to(self.looks_BKL)[:, None, None])

    def one(self, b: int) -> Blocking:
        """Clip b alone."""
        poses, hooks = (None if part is None else part[b : b + 1] for part in (self.poses_BKFP, self.hooks_BKH))
        return Blocking(self.tracks_BKFT[b : b + 1], self.looks_BKL[b : b + 1], poses, hooks)

    def wider(self, by: float) -> Blocking:
        """With ellipses so much larger."""
        return replace(self, tracks_BKFT=self.tracks_BKFT * torch.tensor([1.0, 1.0, by, by, by, 1.0]).to(self.tracks_BKFT))

    def things(self) -> Blocking | None:
        """Of a single clip: those rows alone that are things; None where none is."""
        there = self.looks_BKL[0, :, 0] > 0
        if not there.any():
            return None
        poses, hooks = (None if part is None else part[:, there] for part in (self.poses_BKFP, self.hooks_BKH))
        return Blocking(self.tracks_BKFT[:, there], self.looks_BKL[:, there], poses, hooks)

    def of(self, begin: int, count: int) -> Blocking:
        """Of so many frames from one on; after the last all stands still."""
        at = torch.arange(begin, begin + count).clamp(max=self.tracks_BKFT.shape[2] - 1)
        poses = None if self.poses_BKFP is None else self.poses_BKFP[:, :, at]
        return Blocking(self.tracks_BKFT[:, :, at], self.looks_BKL, poses, self.hooks_BKH)

    def by_frame(self) -> Blocking:
        """Each frame of a single clip as a clip of its own."""
        count = self.tracks_BKFT.shape[2]
        poses = None if self.poses_BKFP is None else self.poses_BKFP.transpose(0, 2)
        hooks = None if self.hooks_BKH is None else self.hooks_BKH.expand(count, -1, -1)
        return Blocking(self.tracks_BKFT.transpose(0, 2), self.looks_BKL.expand(count, -1, -1), poses, hooks)

    def channels(self, height: int, width: int, given_B: torch.Tensor | None = None) -> torch.Tensor:
        """Painted and folded as latents are: (B, BLOCKING_CHANNELS, F, height, width) for so many latents; zeros where none is given."""
        painted = paint(self, height * vae.SMALL, width * vae.SMALL)
        if given_B is not None:
            painted = painted * given_B.to(painted)[:, None, None, None, None]
        return vae.fold(painted)


def looks(kind: str, color: str | None, material: str | None, striped: bool) -> list[float]:
    """LOOKS numbers of a thing, 1 where it is so."""
    said = [*(color == c for c in COLORS), *(kind == k for k in KINDS), *(material == m for m in MATERIALS), striped]
    return [1.0, *map(float, said)]


def settled(looks: torch.Tensor) -> torch.Tensor:
    """Looks (..., LOOKS) of numbers that are the higher the more likely, and over 0 where likely: each the likeliest of its kind."""
    there = (looks[..., :1] > 0).float()
    parts = [there]
    for group in GROUPS:
        part = looks[..., 1:][..., group]
        parts.append(F.one_hot(part.argmax(-1), part.shape[-1]).float())
    bare = parts[2][..., [KINDS.index(kind) for kind in BARE]].sum(-1, keepdim=True)
    parts[1], parts[3] = parts[1] * (1.0 - bare), parts[3] * (1.0 - bare)
    parts.append((looks[..., -1:] > 0).float())
    return torch.cat(parts, -1) * there


def covers(blocking: Blocking, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How much of each pixel (B, K, F, H, W) a thing covers if none stands before it, and where in its ellipse, u and v, the pixel is."""
    tracks = blocking.tracks_BKFT[..., None, None]
    device = tracks.device
    y = 1.0 - (torch.arange(height, device=device) + 0.5) * 2.0 / height
    x = ((torch.arange(width, device=device) + 0.5) * 2.0 / width - 1.0) * width / height
    # Half a pixel more on each side: nothing is lost between pixels.
    l11, l22 = ((tracks[..., k, :, :].square() + height**-2).sqrt() for k in (2, 4))
    u = ((x - tracks[..., 0, :, :]) / l11).expand(*tracks.shape[:3], height, width)
    v = (y[:, None] - tracks[..., 1, :, :] - tracks[..., 3, :, :] * u) / l22
    radius = (l11 * l22).sqrt() * height / 2.0
    inside = torch.sigmoid((1.0 - (u.square() + v.square() + 1e-9).sqrt()) * radius * SOFTNESS)
    return inside * blocking.looks_BKL[..., :1, None, None], u, v


def nearest_first(blocking: Blocking) -> torch.Tensor:
    """Order (B, K, F) of the things from the camera on; those that are none come last."""
    return (blocking.tracks_BKFT[..., 5] + 100.0 * (1.0 - blocking.looks_BKL[..., :1])).argsort(1)


def in_sight(blocking: Blocking, height: int, width: int) -> torch.Tensor:
    """Which share of each thing's ellipse (B, K, F) lies in the picture with no other thing before it."""
    order = nearest_first(blocking)
    inside, _, _ = covers(blocking, height, width)
    inside = inside.gather(1, order[..., None, None].expand(-1, -1, -1, height, width))
    free = torch.cat([torch.ones_like(inside[:, :1]), (1.0 - inside).cumprod(1)[:, :-1]], 1)
    seen = torch.empty_like(blocking.tracks_BKFT[..., 0]).scatter(1, order, (inside * free).sum((3, 4)))
    l11, l22 = ((blocking.tracks_BKFT[..., k].square() + height**-2).sqrt() for k in (2, 4))
    return seen / (math.pi * l11 * l22 * (height / 2.0) ** 2)


def in_picture(blocking: Blocking, aspect: float) -> torch.Tensor:
    """Whether each thing (B, K, F) can be found in pictures that are so much wider than high: its middle lies there, and enough of it is
    seen."""
    middle = (blocking.tracks_BKFT[..., 1].abs() < 1.0) & (blocking.tracks_BKFT[..., 0].abs() < aspect)
    seen = in_sight(blocking, ROWS, round(ROWS * aspect)) > LEAST_SEEN
    return seen & middle & (blocking.looks_BKL[..., :1] > 0)


def paint(blocking: Blocking, height: int, width: int) -> torch.Tensor:
    """Pictures (B, PAINTED, F, H, W) of what stands where, the nearer before the farther."""
    order = nearest_first(blocking)
    at = order[..., None, None].expand(-1, -1, -1, height, width)
    inside, u, v = (part.gather(1, at) for part in covers(blocking, height, width))
    free = torch.cat([torch.ones_like(inside[:, :1]), (1.0 - inside).cumprod(1)[:, :-1]], 1)
    seen = inside * free
    looks = blocking.looks_BKL[:, :, None].expand(-1, -1, order.shape[2], -1).gather(1, order[..., None].expand(-1, -1, -1, LOOKS))
    painted = torch.einsum("bkfhw,bkfl->blfhw", seen, looks)
    uv = torch.stack([(seen * part.clamp(-1.5, 1.5)).sum(1) for part in (u, v)], 1)
    return torch.cat([painted, uv, torch.ones_like(uv[:, :1])], 1)
