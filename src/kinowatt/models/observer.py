"""The observer: from pictures to a blocking. It finds every thing in frames that are given, so that a director can go on from there.

One convolutional network sees each latent frame's small picture by itself, larger ones averaged down to about the size that it knows, and
says of every pixel whether the middle of a thing lies there, and of what shape and kind it is (after CenterNet, Zhou et al. 2019,
arXiv 1904.07850). What it finds in several frames is joined into things by where and what it is.
Legend: B batch, F latent frames, K things, H W pixels of the picture that is seen, N = B * F.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.models import vae
from kinowatt.models.blocking import COLORS, GROUPS, KINDS, LOOKS, MATERIALS, MOST, TRACK, Blocking, settled
from kinowatt.models.director import shaped

FILE = "observer.safetensors"
MAPS = 1 + TRACK + LOOKS - 1  # middle here | track | looks
SEEN_PIXELS = 32 * 32  # about as many as it sees of a frame
DEEP = 4  # both sides of what it sees are multiples of this
SURE = 0.3  # how likely a middle has to be
NEAR = 0.35  # half frame heights that a thing may go from one given frame to the next
UNNAMED = 0.2  # what looks count that the words do not name, where they name others
ALIKE = 0.5  # half frame heights that things are apart which look nothing like each other


@dataclass(frozen=True)
class ObserverConfig:
    """Channels at the size of the small picture, at a half, and at a quarter of it."""

    widths: tuple[int, int, int] = (32, 64, 128)


@dataclass(frozen=True, eq=False)
class Found:
    """What is seen of one frame: tracks (K, TRACK), likelihoods of looks (K, LOOKS - 1), and how sure each is (K)."""

    tracks_KT: torch.Tensor
    looks_KL: torch.Tensor
    sure_K: torch.Tensor


class Observer(nn.Module):
    """Latents to maps of what stands where."""

    def __init__(self, config: ObserverConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        self.enter = nn.Conv2d(vae.COLOURS + 2, fine, 3, padding=1)  # beside the colours, where in the picture a pixel is
        self.fine, self.middle = _Residual(fine), nn.Sequential(_Residual(middle), _Residual(middle))
        self.coarse = nn.Sequential(*(_Residual(coarse) for _ in range(3)))
        self.down1, self.down2 = nn.Conv2d(fine, middle, 2, stride=2), nn.Conv2d(middle, coarse, 2, stride=2)
        self.up2, self.up1 = nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, fine, 1)
        self.middle_again, self.fine_again = _Residual(middle), _Residual(fine)
        self.leave = nn.Sequential(nn.Conv2d(fine, 2 * fine, 3, padding=1), nn.SiLU(), nn.Conv2d(2 * fine, MAPS, 1))
        # Of a track's numbers (see director.plain) over all things that are seen; x and y are told from the pixel on.
        self.mean_T, self.spread_T = nn.Buffer(torch.zeros(TRACK)), nn.Buffer(torch.ones(TRACK))
        nn.init.constant_(self.leave[-1].bias[:1], -4.0)  # type: ignore[index]  # middles are rare

    def forward(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Maps (B, F, MAPS, H, W), the first of them a logit."""
        small, rows = looked_at(latents_BCFHW)
        height, width = small.shape[3:]
        where = places(height, width, rows).to(small).expand(small.shape[0] * small.shape[1], -1, -1, -1)
        x = torch.cat([small.flatten(0, 1), where], 1)
        fine = self.fine(self.enter(x))
        middle = self.middle(self.down1(fine))
        coarse = self.coarse(self.down2(middle))
        middle = self.middle_again(middle + self.up2(_twice(coarse)))
        fine = self.fine_again(fine + self.up1(_twice(middle)))
        maps: torch.Tensor = self.leave(fine)
        return maps.unflatten(0, small.shape[:2])

    def told(self, maps_NMHW: torch.Tensor, rows: float) -> torch.Tensor:
        """Tracks (N, TRACK, H, W), with logarithms as `director.plain` has them, of maps of which so many rows are the frame's."""
        track, (height, width) = maps_NMHW[:, 1 : 1 + TRACK], maps_NMHW.shape[2:]
        beside = places(height, width, rows).to(track) + track[:, :2] * 2.0 / rows
        return torch.cat([beside, track[:, 2:] * self.spread_T[2:, None, None] + self.mean_T[2:, None, None]], 1)

    @torch.no_grad()
    def find(self, latents_BCFHW: torch.Tensor) -> list[list[Found]]:
        """What is seen of each frame of each clip, the surest first."""
        maps, rows = self(latents_BCFHW), looked_at(latents_BCFHW[:1, :, :1])[1]
        return [[self._found(m[None], rows) for m in clip] for clip in maps]

    def _found(self, maps_1MHW: torch.Tensor, rows: float) -> Found:
        sure = maps_1MHW[:, :1].sigmoid()
        peak = torch.where(F.max_pool2d(sure, 3, stride=1, padding=1) == sure, sure, 0.0).flatten()
        at = peak.argsort(descending=True)[:MOST]
        at = at[peak[at] > SURE]
        tracks = shaped(self.told(maps_1MHW, rows)[0].flatten(1)[:, at].T)
        said = maps_1MHW[0, 1 + TRACK :].flatten(1)[:, at].T
        likely = [said[:, group].softmax(-1) for group in GROUPS]
        return Found(tracks, torch.cat([*likely, said[:, -1:].sigmoid()], -1), peak[at])


def looked_at(latents_BCFHW: torch.Tensor) -> tuple[torch.Tensor, float]:
    """What the observer sees of latents, pictures (B, F, 3, H, W), and how many of their rows are the frame's: what borders on it runs on
    where sides are no multiples of what the network halves."""
    small = vae.unfold(latents_BCFHW)
    height, width = small.shape[3:]
    square = max(round((height * width / SEEN_PIXELS) ** 0.5), 1)
    more = [-side % (DEEP * square) // 2 for side in (width, height)]
    wide = F.pad(small.flatten(0, 1), (more[0], more[0], more[1], more[1]), mode="replicate")
    return F.avg_pool2d(wide, square).unflatten(0, small.shape[:2]), height / square


def places(height: int, width: int, rows: float) -> torch.Tensor:
    """Where each pixel is: x and y (2, H, W) in half frame heights from the middle, y upwards; so many rows are the frame's."""
    y = (height / 2.0 - 0.5 - torch.arange(height)) * 2.0 / rows
    x = (torch.arange(width) + 0.5 - width / 2.0) * 2.0 / rows
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])


def joined(found: Sequence[Found | None], words: Sequence[str] = ()) -> tuple[Blocking, torch.Tensor]:
    """What is seen of a clip's frames, None where none is given, as things: a blocking (1, MOST, F, TRACK), and in which frames (MOST, F)
    each of them is seen. Numbers of other frames are those of the nearest in which it is.

    `words`: tokens of the text about the clip. What they name is likelier than what they do not.
    """
    favoured = named(words)
    tracks: list[dict[int, torch.Tensor]] = []
    looks: list[list[torch.Tensor]] = []
    for f, seen in enumerate(found):
        if seen is None:
            continue
        free = list(range(len(seen.sure_K)))
        cost = np.full((len(tracks), len(free)), np.inf)
        for k, (own, look) in enumerate(zip(tracks, looks, strict=True)):
            last = max(own)
            before = max((g for g in own if g < last), default=None)
            expected = [own[last][:2]]
            if before is not None:  # it goes on as it went, or it has bounced
                expected.append(own[last][:2] + (own[last][:2] - own[before][:2]) * (f - last) / (last - before))
            for i in free:
                away = min(float((seen.tracks_KT[i, :2] - place).norm()) for place in expected)
                unlike = float((seen.looks_KL[i] - torch.stack(look).mean(0)).abs().sum()) / 6.0
                if away < NEAR * (f - last):
                    cost[k, i] = away + ALIKE * unlike
        while cost.size and np.isfinite(cost.min()):
            k, i = (int(n) for n in np.unravel_index(cost.argmin(), cost.shape))
            tracks[k][f] = seen.tracks_KT[i]
            looks[k].append(seen.looks_KL[i])
            cost[k], cost[:, i] = np.inf, np.inf
            free.remove(i)
        for i in free:
            tracks.append({f: seen.tracks_KT[i]})
            looks.append([seen.looks_KL[i]])
    # Those that are seen in most frames, where there are too many.
    kept = sorted(range(len(tracks)), key=lambda k: -len(tracks[k]))[:MOST]
    made = torch.zeros(1, MOST, len(found), TRACK)
    said, known = torch.zeros(1, MOST, LOOKS), torch.zeros(MOST, len(found), dtype=torch.bool)
    for slot, k in enumerate(kept):
        for f in range(len(found)):
            made[0, slot, f] = tracks[k][min(tracks[k], key=lambda g: abs(g - f))]
        known[slot, list(tracks[k])] = True
        said[0, slot] = settled(torch.cat([torch.ones(1), torch.stack(looks[k]).mean(0) * favoured * 2.0 - 1.0])[None])[0]
    return Blocking(made, said), known


def named(words: Sequence[str]) -> torch.Tensor:
    """How much looks (LOOKS - 1) count: those of which the words name others of their kind, and not them, less."""
    parts = []
    for slot, values in (("color", COLORS), ("kind", KINDS), ("material", MATERIALS)):
        said = torch.tensor([f"{slot}={value}" in words for value in values]).float()
        parts.append(torch.where(said > 0, 1.0, UNNAMED) if said.any() else torch.ones(len(values)))
    return torch.cat([*parts, torch.ones(1)])


def load(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Observer:
    """An observer, ready to look, of a file's tensors and config. KeyError, TypeError or RuntimeError for another file."""
    made = Observer(ObserverConfig(**{k: tuple(v) for k, v in config["observer"].items()}))
    made.load_state_dict({k: v.float() for k, v in tensors.items()})
    return made.eval().requires_grad_(False)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        inside = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(inside)))


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
