"""Rain and snow are told where the world has them, in every frame, also in a world that is flipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kinowatt import language
from kinowatt.models import falls, vae
from kinowatt.models.painter import Painter, PainterConfig
from kinowatt.models.spots import Views, places
from kinowatt.train.latents import FALLING, mirrored_cameras
from kinowatt.worlds.toybox import Toybox, light, scene

SIDE = 64


def sharp(picture_FHW: torch.Tensor) -> torch.Tensor:
    return picture_FHW - F.avg_pool2d(picture_FHW[:, None], 3, 1, 1)[:, 0]


@pytest.mark.parametrize("event", ["still", "wind"])
def test_flakes_and_streaks_are_where_the_world_has_them(event: str) -> None:
    over: dict[str, Any] = {"event": event, "time": "noon", "ground": "pavement", "mood": None, "shot": "wide"}
    for weather, least in (("snowfall", 0.1), ("rain", 0.015)):
        made = scene.sample(5, **over, weather=weather)
        sample = Toybox().film(made, (SIDE * falls.HALF, SIDE * falls.HALF), 9, 16.0, every=4)
        true = F.avg_pool2d(torch.from_numpy(sample.clip.frames_TCHW).float().mean(1, keepdim=True) / 255.0, falls.HALF)[:, 0]
        begins = np.array([falls.numbers(made.weather, light.clock(made), (light.drift(made), 0.0))], np.float32)
        for turn in (1, -1):
            rows = sample.camera_T44 if turn == 1 else mirrored_cameras(sample.camera_T44[None])[0]
            told = torch.from_numpy(begins if turn == 1 else begins * FALLING).repeat(3, 1)
            told[:, falls.CLOCK] += torch.arange(3) * 0.25
            shares = falls.covers(torch.from_numpy(rows), told, places(SIDE, SIDE).expand(3, -1, -1), SIDE).unflatten(1, (SIDE, SIDE))
            seen = sharp(true if turn == 1 else true.flip(2))
            most = shares.flatten().topk(60).values[-1]
            here, elsewhere = (float(seen[of > most].mean()) for of in (shares, shares.roll(1, 0)))
            assert here > least, (weather, turn)
            assert elsewhere < 0.3 * here, "in another frame they are elsewhere"


def test_nothing_falls_from_a_clear_sky_or_behind_the_ground() -> None:
    level = torch.tensor([[[0.0, -4.0, 1.0, 2.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]])
    at = places(SIDE, SIDE)[None]
    clear, snow = (torch.tensor([falls.numbers(weather, 3.0, (0.0, 0.0))]) for weather in ("clear", "snowfall"))
    assert not falls.covers(level, clear, at, SIDE).any()
    shares = falls.covers(level, snow, at, SIDE).unflatten(1, (SIDE, SIDE))[0]
    assert float(shares.max()) <= 1.0
    assert float(shares[-8:].mean()) < float(shares[: SIDE // 2].mean()), "the ground is near, and the sky is full of it"
    low = level.clone()
    low[:, 0, 2] = 0.3  # the ground below is nearer than anything that is painted
    assert not falls.covers(low, snow, at, SIDE).unflatten(1, (SIDE, SIDE))[0, -8:].gt(0.5).any()


@torch.no_grad()
def test_painters_paint_what_falls_in_one_colour_before_all_else() -> None:
    torch.manual_seed(0)
    paints = Painter(PainterConfig(width=16, layers=2, thing_width=16, thing_layers=2, text_width=32), language.VOCABULARY).eval()
    level = torch.tensor([[[[0.0, -4.0, 1.0, 2.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]]]).expand(1, 2, 4, 4)
    told = torch.tensor([[falls.numbers("snowfall", second, (0.0, 0.0)) for second in (3.0, 3.25)]])
    dry = Views(level, torch.tensor([4.0]), torch.tensor([[0.6, 0.0, 0.8]]))
    snow, ids = Views(dry.rows_BF44, dry.focus_B, dry.lights_B3, told), paints.text.ids([language.read("a ball in the snow").tokens])
    place = paints.paint(dry, ids, 4, 4)
    assert torch.equal(paints.rained(place, dry, ids), place)
    clear = torch.tensor([[falls.numbers("clear", 3.0, (0.0, 0.0))] * 2])
    assert torch.equal(paints.rained(place, Views(level, dry.focus_B, dry.lights_B3, clear), ids), place)
    fallen = paints.rained(place, snow, ids)
    shares = falls.covers(level[0], told[0], places(16, 16).expand(2, -1, -1), 16).view(2, 16, 16)
    was, now = (vae.unfold(p[:, : -(vae.SMALL**2)])[0] for p in (place, fallen))
    colour = paints.drops(paints.words(ids))[0]
    torch.testing.assert_close(now, torch.lerp(was, colour[None, :, None, None].expand_as(was), shares[:, None]))
    assert not torch.equal(now[0] - was[0], now[1] - was[1]), "they have moved"
