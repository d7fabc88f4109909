"""The painter: from words, a camera's way and a blocking to a backdrop, how a place and what stands in it look at first sight.

A small network paints each pixel of each frame by itself, from where its ray goes in the world (ground.py) and what the words say; so
joints and squares stand still in the world and move as the camera moves. Another paints each thing where it stands, from where a pixel
lies in the thing as it is turned; the nearer hides the farther. They are taught what the world shows there, and paint the mean of what
they are not told: no cloud, no glint. Legend: B batch, F latent frames, K things, H W pixels of the small picture that a latent frame
holds, P sampled pixels, N things of all clips, M their pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import ground, vae, weights
from kinowatt.models.blocking import COLORS, KINDS, LOOKS, POSE, Blocking, nearest_first
from kinowatt.models.text import TextConfig, TextEncoder

FILE = "painter.safetensors"
SKY = 5  # numbers of a pixel beside the ground's: its ray's rise in three scales | log of the camera's height and of its distance
BACKDROP = vae.COLOURS + 1  # colours | 1 where a backdrop is given
BACKDROP_CHANNELS = BACKDROP * vae.SMALL**2
REACH = 2.5  # ellipses from its middle a thing is painted, with what it changes around it
HUB = 0.25  # of a turbine's ellipse its hub lies above the middle (of all corners of its solids, worlds/toybox/physics.py)
OCTAVES = (2.0, 4.0)  # of the waves by which a pixel's place in a thing is told
TURBINE = 1 + len(COLORS) + KINDS.index("turbine")  # its place among looks
SPOT = 2 + 2 + 3 + 3 + 1 + 2 * len(OCTAVES) * 5 + 6  # numbers of a pixel in a thing, see `spots`
THING = LOOKS + 4 + POSE + 1  # numbers of a thing beside the words: looks | outline, size and distance | pose, and whether it is known


@dataclass(frozen=True)
class PainterConfig:
    """Sizes of a painter."""

    width: int = 128
    layers: int = 3
    thing_width: int = 128
    thing_layers: int = 4
    text_width: int = 96
    text_layers: int = 1


class Pixels(nn.Module):
    """A network of each pixel by itself, modulated by what is said to all pixels of a picture or of a thing."""

    def __init__(self, told: int, said: int, width: int, layers: int, out: int) -> None:
        super().__init__()
        widths = [told] + [width] * layers
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.heard = nn.Linear(said, 2 * width * layers)
        self.outward = nn.Linear(width, out)
        nn.init.zeros_(self.outward.weight)

    def forward(self, told_MD: torch.Tensor, said_NC: torch.Tensor, whose_M: torch.Tensor) -> torch.Tensor:
        """Numbers (M, out) of pixels, each by what is said to those of its picture or thing."""
        x, said = told_MD, self.heard(said_NC).chunk(2 * len(self.layers), -1)
        for k, layer in enumerate(self.layers):
            more = F.silu(layer(x) * (1.0 + said[2 * k][whose_M]) + said[2 * k + 1][whose_M])
            x = x + more if k else more
        painted: torch.Tensor = self.outward(x)
        return painted


class Painter(nn.Module):
    """Normalised colours of pixels, as latents hold them."""

    def __init__(self, config: PainterConfig, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.text = TextEncoder(TextConfig(tuple(vocabulary), width=config.text_width, layers=config.text_layers))
        self.place = Pixels(ground.TOLD + SKY, config.text_width, config.width, config.layers, vae.COLOURS)
        self.thing = nn.Sequential(nn.Linear(THING + config.text_width, config.thing_width), nn.SiLU())
        self.things = Pixels(SPOT, config.thing_width, config.thing_width, config.thing_layers, vae.COLOURS + 1)

    def words(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """What the token rows of each clip say (B, text_width)."""
        text: torch.Tensor = self.text(ids_BL)
        return text.sum(1) / (ids_BL > 0).sum(1, keepdim=True).clamp(min=1)

    def forward(self, told_BPN: torch.Tensor, words_BW: torch.Tensor) -> torch.Tensor:
        """Colours (B, P, 3) of pixels of a place of which is told what `told` says."""
        batch, count = told_BPN.shape[:2]
        whose = torch.arange(batch, device=told_BPN.device).repeat_interleave(count)
        return self.place(told_BPN.flatten(0, 1), words_BW, whose).unflatten(0, (batch, count))

    def before(
        self, place_BP3: torch.Tensor, words_BW: torch.Tensor, blocking: Blocking, pixels_BP2: torch.Tensor, height: int
    ) -> torch.Tensor:
        """The same colours with the things of a blocking of one frame before them; where pixels are, x and y in half frame heights."""
        there_BK, order_BK = blocking.looks_BKL[..., 0] > 0, nearest_first(blocking)[..., 0]
        b, k = there_BK.nonzero(as_tuple=True)
        tracks, looks = blocking.tracks_BKFT[b, k, 0], blocking.looks_BKL[b, k]
        poses = tracks.new_zeros(len(b), POSE) if blocking.poses_BKFP is None else blocking.poses_BKFP[b, k, 0]
        u, v = within(tracks, pixels_BP2[b], height)
        near = 1.0 - (u.square() + v.square()) / REACH**2
        n, p = (near > 0).nonzero(as_tuple=True)
        said = self.thing(torch.cat([looks, outline(tracks, height), poses, poses.any(-1, keepdim=True).float(), words_BW[b]], 1))
        numbers = self.things(spots(tracks, looks, poses, u[n, p], v[n, p], n, height), said, n)
        # It fades out towards the edge of its reach.
        covers = torch.sigmoid(numbers[:, vae.COLOURS :]) * (4.0 * near[n, p, None]).clamp(max=1.0)
        empty = place_BP3.new_zeros(*there_BK.shape, place_BP3.shape[1], vae.COLOURS + 1)
        painted = empty.index_put((b[n], k[n], p), torch.cat([numbers[:, : vae.COLOURS], covers], 1).to(empty))
        painted = painted.gather(1, order_BK[..., None, None].expand_as(painted))
        colours, covers = painted.split([vae.COLOURS, 1], 3)
        free = torch.cat([torch.ones_like(covers[:, :1]), (1.0 - covers).cumprod(1)], 1)
        return place_BP3 * free[:, -1] + (colours * covers * free[:, :-1]).sum(1)

    @torch.no_grad()
    def paint(self, rows_BF44: torch.Tensor, focus_B: torch.Tensor, ids_BL: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """A backdrop (B, BACKDROP_CHANNELS, F, height, width) of a place for so many latents, folded as they are."""
        high, wide = height * vae.SMALL, width * vae.SMALL
        frames, words = [], self.words(ids_BL)
        for f in range(rows_BF44.shape[1]):  # one by one: a clip may be long
            pixels = told(rows_BF44[:, f : f + 1], focus_B, high, wide)
            frames.append(self(pixels.flatten(2).transpose(1, 2), words).transpose(1, 2).unflatten(2, (high, wide)))
        colours = vae.fold(torch.stack(frames, 2))
        return torch.cat([colours, torch.ones_like(colours[:, : vae.SMALL**2])], 1)

    @torch.no_grad()
    def peopled(self, backdrop_BCFHW: torch.Tensor, ids_BL: torch.Tensor, blocking: Blocking) -> torch.Tensor:
        """The same backdrop with the things of a blocking in it."""
        folded, there = backdrop_BCFHW.split([vae.COLOURS * vae.SMALL**2, vae.SMALL**2], 1)
        high, wide = (side * vae.SMALL for side in folded.shape[3:])
        words, at = self.words(ids_BL), places(high, wide).expand(len(folded), -1, -1)
        frames = []
        for f, place in enumerate(vae.unfold(folded).unbind(1)):
            seen = self.before(place.flatten(2).transpose(1, 2), words, blocking.of(f, 1), at, high)
            frames.append(seen.transpose(1, 2).unflatten(2, (high, wide)))
        return torch.cat([vae.fold(torch.stack(frames, 2)), there], 1)


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


def axes_of(tracks_NT: torch.Tensor, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Half a pixel more on each side than they are: nothing is lost between pixels (as in blocking.covers)."""
    l11, l22 = ((tracks_NT[:, k].square() + height**-2).sqrt() for k in (2, 4))
    return l11, l22


def outline(tracks_NT: torch.Tensor, height: int) -> torch.Tensor:
    """What is said of things' ellipses (N, 4): how much wider than high, slant, log of their size in pixels, and distance."""
    l11, l22 = axes_of(tracks_NT, height)
    size = (l11 * l22).sqrt()
    return torch.stack([(l11 / l22).log(), tracks_NT[:, 3] / size, (size * height / 2.0).log(), tracks_NT[:, 5]], 1)


def spots(
    tracks_NT: torch.Tensor, looks_NL: torch.Tensor, poses_NP: torch.Tensor, u_M: torch.Tensor, v_M: torch.Tensor, whose_M: torch.Tensor,
    height: int,
) -> torch.Tensor:  # fmt: skip
    """What is told of pixels (M, SPOT): where they lie in their thing's ellipse, in the picture, and along the thing's own axes."""
    l11, l22 = axes_of(tracks_NT, height)
    size = (l11 * l22).sqrt()
    x = u_M * (l11 / size)[whose_M]
    y = (u_M * tracks_NT[whose_M, 3] + v_M * l22[whose_M]) / size[whose_M]
    z_N3, x_N3 = poses_NP.split(3, 1)
    axes = (z_N3, x_N3, torch.linalg.cross(z_N3, x_N3))
    turns = y - HUB * (looks_NL[:, TURBINE] * l22 / size)[whose_M]
    along = torch.stack([axis[whose_M, 0] * x + axis[whose_M, 1] * turns for axis in axes], 1)
    away = torch.stack([axis[:, 2] for axis in axes], 1)[whose_M]
    lies = torch.cat([u_M[:, None], v_M[:, None], along], 1)
    waves = [wave(lies * octave) for octave in OCTAVES for wave in (torch.sin, torch.cos)]
    faces = [along.abs(), (3.0 * along.abs() - 3.0).tanh()]
    round_M1 = (u_M.square() + v_M.square()).sqrt()[:, None]
    return torch.cat([lies[:, :2], x[:, None], y[:, None], along, away, round_M1, *waves, *faces], 1).clamp(-6.0, 6.0)


def told(rows_BF44: torch.Tensor, focus_B: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """What is told of each pixel (B, ground.TOLD + SKY, F, height, width)."""
    rows_BF44 = rows_BF44.float()
    ray = ground.rays(rows_BF44, height, width)
    rise = F.normalize(ray, dim=-1)[..., 2]
    high = rows_BF44[..., None, 0, 2].clamp(min=1e-2).log().expand_as(rise)
    away = focus_B.float().clamp(min=1e-2).log()[:, None, None].expand_as(rise)
    sky = torch.stack([rise, (4.0 * rise).tanh(), (16.0 * rise).tanh(), high / 2.0, away / 2.0], 1)
    return torch.cat([ground.waves(rows_BF44, focus_B, height, width), sky.unflatten(3, (height, width))], 1)


def of(path: Path) -> Painter:
    """The painter of a weights file. WeightsError if it holds none."""
    tensors, config = weights.load(path)
    try:
        return load(tensors, config)
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path} holds no painter; train one with kinowatt train painter") from error


def load(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Painter:
    """A painter, ready to paint, of a file's tensors and config. KeyError, TypeError or RuntimeError for another file."""
    made = Painter(PainterConfig(**config["painter"]), config["vocabulary"])
    made.load_state_dict({k: v.float() for k, v in tensors.items()})
    return made.eval().requires_grad_(False)
