"""The painter: from words, a camera's way and a blocking to a backdrop, how a place and what stands in it look at first sight.

A small network paints each pixel of each frame by itself, from where its ray goes in the world (ground.py), from where the light comes
and what the words say; so joints and squares stand still in the world and move as the camera moves. Another paints each thing's shadow on
the ground, from where a pixel lies beside the thing as the light sees it; a third paints the thing, from where a pixel lies in it as it is
turned (spots.py); a fourth its thin parts, from where a pixel lies beside them (limbs.py). The nearer hides the farther. Before all of it
rain and snow fall (falls.py). They are taught what the world shows there, and paint the mean of what they are not told: no cloud, no glint.
Legend: B batch, F latent frames, K things, H W pixels of the small picture that a latent frame holds, P sampled pixels, N things of all
clips, M their pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import falls, ground, vae, weights
from kinowatt.models.blocking import Blocking
from kinowatt.models.limbs import LIMB, SPAN, Limbs
from kinowatt.models.solids import MEETS, PASSES, Solids
from kinowatt.models.spots import REACH, SHADE, SPOT, THING, Stands, Views, places, within
from kinowatt.models.text import TextConfig, TextEncoder

FILE = "painter.safetensors"
# Numbers of a pixel beside the ground's: its ray's rise in three scales | log of the camera's height and of its distance | how near its ray
# is to the light, in two scales, and the light's height.
SKY = 8
BACKDROP = vae.COLOURS + 1  # colours | 1 where a backdrop is given
BACKDROP_CHANNELS = BACKDROP * vae.SMALL**2
Paint = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of things and their pixels, by their numbers: colours, and a logit of cover
SHARP = 6.0  # logits of cover between where a limb of sharp sides would be and where not: so it begins where it should


@dataclass(frozen=True)
class PainterConfig:
    """Sizes of a painter."""

    width: int = 192
    layers: int = 3
    thing_width: int = 192
    thing_layers: int = 4
    shadow_layers: int = 2
    limb_width: int = 64
    limb_layers: int = 2
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
        self.things = Pixels(SPOT + MEETS, config.thing_width, config.thing_width, config.thing_layers, vae.COLOURS + 1)
        self.shadows = Pixels(SHADE + PASSES, config.thing_width, config.thing_width, config.shadow_layers, vae.COLOURS + 1)
        self.limb = nn.Sequential(nn.Linear(LIMB + config.text_width, config.limb_width), nn.SiLU())
        self.limbs = Pixels(SPAN, config.limb_width, config.limb_width, config.limb_layers, vae.COLOURS + 1)
        self.drops = nn.Sequential(nn.Linear(config.text_width, config.limb_width), nn.SiLU(), nn.Linear(config.limb_width, vae.COLOURS))

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
        self, place_BP3: torch.Tensor, words_BW: torch.Tensor, blocking: Blocking, views: Views, pixels_BP2: torch.Tensor, height: int
    ) -> torch.Tensor:
        """The same colours with the things of a blocking of one frame before them, and their shadows below; where pixels are, x and y in
        half frame heights."""
        shaded = self.shaded(place_BP3, words_BW, blocking, views, pixels_BP2, height)
        bodies = self.bodied(shaded, words_BW, blocking, views, pixels_BP2, height)
        return self.limbed(bodies, words_BW, blocking, views, pixels_BP2, height)

    def shaded(
        self, place_BP3: torch.Tensor, words_BW: torch.Tensor, blocking: Blocking, views: Views, pixels_BP2: torch.Tensor, height: int
    ) -> torch.Tensor:
        """With shadows alone."""
        stands = Stands(blocking, views)
        solids, fallen, said = Solids(stands), stands.fallen(pixels_BP2), self._said(stands, words_BW, height)

        def shade(n: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
            lies = stands.shades(fallen, n, p, height)
            return self.shadows(torch.cat([lies, solids.passes(fallen.point(n, p), solids.light[n], n)], 1), said, n)

        below = laid(place_BP3, fallen.near(REACH), stands.b, stands.k, stands.order_BK, shade)
        return self._limbs(below, Limbs(blocking, stands, fallen=True), stands, words_BW, pixels_BP2, height)

    def bodied(
        self, place_BP3: torch.Tensor, words_BW: torch.Tensor, blocking: Blocking, views: Views, pixels_BP2: torch.Tensor, height: int
    ) -> torch.Tensor:
        """With things alone, without shadows and thin parts."""
        stands = Stands(blocking, views)
        solids, said = Solids(stands), self._said(stands, words_BW, height)
        u, v = within(stands.tracks, pixels_BP2[stands.b], height)

        def thing(n: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
            lies = stands.spots(u[n, p], v[n, p], n, height)
            return self.things(torch.cat([lies, solids.meets(stands.rays(pixels_BP2[stands.b[n], p], n), n)], 1), said, n)

        near = 1.0 - (u.square() + v.square()) / REACH**2
        return laid(place_BP3, near, stands.b, stands.k, stands.order_BK, thing)

    def limbed(
        self, place_BP3: torch.Tensor, words_BW: torch.Tensor, blocking: Blocking, views: Views, pixels_BP2: torch.Tensor, height: int
    ) -> torch.Tensor:
        """With thin parts alone."""
        stands = Stands(blocking, views)
        return self._limbs(place_BP3, Limbs(blocking, stands), stands, words_BW, pixels_BP2, height)

    def _said(self, stands: Stands, words_BW: torch.Tensor, height: int) -> torch.Tensor:
        """What is said to the pixels of each thing."""
        said: torch.Tensor = self.thing(torch.cat([stands.told(height), words_BW[stands.b]], 1))
        return said

    def _limbs(
        self, below_BP3: torch.Tensor, limbs: Limbs, stands: Stands, words_BW: torch.Tensor, pixels_BP2: torch.Tensor, height: int
    ) -> torch.Tensor:
        """The same colours with limbs before them."""
        said = self.limb(torch.cat([limbs.told(height), words_BW[limbs.b]], 1))
        near, beside = limbs.beside(pixels_BP2, height)

        def limb(n: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
            spans, sharp = limbs.spans(beside[n, p])
            numbers = self.limbs(spans, said, n)
            return torch.cat([numbers[:, : vae.COLOURS], numbers[:, vae.COLOURS :] + SHARP * (sharp[:, None] - 0.5)], 1)

        return laid(below_BP3, near, limbs.b, limbs.slot, limbs.order(stands.order_BK), limb)

    def wet(self, dry_BP3: torch.Tensor, words_BW: torch.Tensor, views: Views, pixels_BP2: torch.Tensor, height: int) -> torch.Tensor:
        """The same colours of one frame with what falls before them."""
        if views.falls_BFN is None:
            return dry_BP3
        shares_BP = falls.covers(views.rows_BF44[:, 0], views.falls_BFN[:, 0], pixels_BP2, height)
        return torch.lerp(dry_BP3, self.drops(words_BW)[:, None].to(dry_BP3), shares_BP[..., None].to(dry_BP3))

    @torch.no_grad()
    def paint(self, views: Views, ids_BL: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """A backdrop (B, BACKDROP_CHANNELS, F, height, width) of a place for so many latents, folded as they are."""
        high, wide = height * vae.SMALL, width * vae.SMALL
        frames, words = [], self.words(ids_BL)
        for f in range(views.rows_BF44.shape[1]):  # one by one: a clip may be long
            pixels = told(views.frame(f), high, wide)
            frames.append(self(pixels.flatten(2).transpose(1, 2), words).transpose(1, 2).unflatten(2, (high, wide)))
        colours = vae.fold(torch.stack(frames, 2))
        return torch.cat([colours, torch.ones_like(colours[:, : vae.SMALL**2])], 1)

    @torch.no_grad()
    def peopled(self, backdrop_BCFHW: torch.Tensor, views: Views, ids_BL: torch.Tensor, blocking: Blocking) -> torch.Tensor:
        """The same backdrop with the things of a blocking in it."""
        words = self.words(ids_BL)
        return _over(backdrop_BCFHW, lambda f, below, *at: self.before(below, words, blocking.of(f, 1), views.frame(f), *at))

    @torch.no_grad()
    def rained(self, backdrop_BCFHW: torch.Tensor, views: Views, ids_BL: torch.Tensor) -> torch.Tensor:
        """The same backdrop with what falls before all of it."""
        if views.falls_BFN is None or not views.falls_BFN[..., : falls.CLOCK].any():
            return backdrop_BCFHW
        words = self.words(ids_BL)
        return _over(backdrop_BCFHW, lambda f, below, *at: self.wet(below, words, views.frame(f), *at))


def _over(backdrop_BCFHW: torch.Tensor, paint: Callable[..., torch.Tensor]) -> torch.Tensor:
    """A backdrop painted on, frame by frame: of its number, its colours, where its pixels are, and its height."""
    folded, there = backdrop_BCFHW.split([vae.COLOURS * vae.SMALL**2, vae.SMALL**2], 1)
    high, wide = (side * vae.SMALL for side in folded.shape[3:])
    at, frames = places(high, wide).expand(len(folded), -1, -1), []
    for f, below in enumerate(vae.unfold(folded).unbind(1)):
        seen = paint(f, below.flatten(2).transpose(1, 2), at, high)
        frames.append(seen.transpose(1, 2).unflatten(2, (high, wide)))
    return torch.cat([vae.fold(torch.stack(frames, 2)), there], 1)


def laid(
    below_BP3: torch.Tensor, near_NP: torch.Tensor, b: torch.Tensor, k: torch.Tensor, order_BK: torch.Tensor, paint: Paint
) -> torch.Tensor:
    """Colours with others laid over them where `near` is over 0: those of thing k of clip b (N each), in the order of things, the nearest
    first."""
    n, p = (near_NP > 0).nonzero(as_tuple=True)
    numbers = paint(n, p)
    # It fades out towards the edge of its reach.
    covers = torch.sigmoid(numbers[:, vae.COLOURS :]) * (4.0 * near_NP[n, p, None]).clamp(max=1.0)
    painted = below_BP3.new_zeros(*order_BK.shape, below_BP3.shape[1], vae.COLOURS + 1)
    painted = painted.index_put((b[n], k[n], p), torch.cat([numbers[:, : vae.COLOURS], covers], 1).to(painted))
    painted = painted.gather(1, order_BK[..., None, None].expand_as(painted))
    colours, covers = painted.split([vae.COLOURS, 1], 3)
    free = torch.cat([torch.ones_like(covers[:, :1]), (1.0 - covers).cumprod(1)], 1)
    return below_BP3 * free[:, -1] + (colours * covers * free[:, :-1]).sum(1)


def told(views: Views, height: int, width: int) -> torch.Tensor:
    """What is told of each pixel (B, ground.TOLD + SKY, F, height, width)."""
    rows_BF44 = views.rows_BF44.float()
    ray = F.normalize(ground.rays(rows_BF44, height, width), dim=-1)
    rise = ray[..., 2]
    high = rows_BF44[..., None, 0, 2].clamp(min=1e-2).log().expand_as(rise)
    away = views.focus_B.float().clamp(min=1e-2).log()[:, None, None].expand_as(rise)
    light = views.lights_B3[:, None, None]
    near, up = (ray * light).sum(-1), light[..., 2].expand_as(rise)
    sky = torch.stack([rise, (4.0 * rise).tanh(), (16.0 * rise).tanh(), high / 2.0, away / 2.0, near, near.clamp(min=0.0) ** 8, up], 1)
    return torch.cat([ground.waves(rows_BF44, views.focus_B, height, width), sky.unflatten(3, (height, width))], 1)


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
