"""Footage that is given shows the place of frames that are not, and its things, where they have moved to."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinowatt import language
from kinowatt.engine.shown import Shown, spread
from kinowatt.engine.standing import Cameras
from kinowatt.models import vae
from kinowatt.models.blocking import LOOKS, Blocking, looks
from kinowatt.models.ground import points
from kinowatt.models.limbs import HOOK, Limbs
from kinowatt.models.painter import Painter, PainterConfig
from kinowatt.models.spots import Stands, Views, middles, places
from kinowatt.worlds.toybox import camera
from kinowatt.worlds.toybox.light import HOURS

SIDE = 48


def paints() -> Painter:
    torch.manual_seed(0)
    return Painter(PainterConfig(width=16, layers=2, thing_width=16, thing_layers=2, text_width=32), language.VOCABULARY).eval()


def of(picture: torch.Tensor, cameras: Cameras, blocking: Blocking | None, at: int = 0) -> Shown:
    """A clip of which one frame is given: a picture (3, H, W)."""
    paint = paints()
    return Shown(paint, cameras, paint.text.ids([()]), blocking, {at: vae.fold(picture[None, :, None])})


def seen(move: str, frames: int = 9) -> Cameras:
    path = camera.named(move, "medium", 35.0, "eye", 4 * (frames - 1) + 1, 1.0)
    return Cameras(torch.from_numpy(path.rows_T44[::4])[None].float(), torch.tensor([path.distance_m]))


def pictures(shown: Shown, begin: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Colours (count, 3, H, W) of its frames, with what stands there and without."""
    full, empty = (vae.unfold(part[:, : -(vae.SMALL**2)])[0] for part in shown.of(begin, count, SIDE // vae.SMALL, SIDE // vae.SMALL))
    return full, empty


def ball(way: list[tuple[float, float]], size: float = 0.15) -> Blocking:
    """Of a red ball that is there, frame by frame."""
    tracks = torch.zeros(1, 2, len(way), 6)
    tracks[0, 0] = torch.tensor([[x, y, size, 0.0, size, 0.0] for x, y in way])
    said = torch.zeros(1, 2, LOOKS)
    said[0, 0] = torch.tensor(looks("ball", "red", "matte", False))
    return Blocking(tracks, said)


def disc(x: float, y: float, size: float = 0.15) -> torch.Tensor:
    at = places(SIDE, SIDE)
    return ((at - torch.tensor([x, y])).norm(dim=1) < size).unflatten(0, (SIDE, SIDE))


def test_colours_spread_from_beside_and_stay_where_they_are_known() -> None:
    torch.manual_seed(0)
    picture, known = torch.randn(3, 13, 20), torch.ones(1, 13, 20)
    assert torch.equal(spread(picture, known), picture)
    known[:, 4:9, 5:11] = 0.0
    filled = spread(picture, known)
    assert torch.equal(filled[:, :4], picture[:, :4])
    flat = spread(torch.full((3, 13, 20), 0.7) * known, known)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.7))
    halves = torch.ones(1, 16, 16)
    halves[..., 8:] = -1.0
    hole = torch.ones(1, 16, 16)
    hole[:, 6:10, 2:5] = hole[:, 6:10, 11:14] = 0.0
    filled = spread(halves, hole)
    assert float(filled[0, 6:10, 2:5].min()) > 0.3
    assert float(filled[0, 6:10, 11:14].max()) < -0.3


@torch.no_grad()
def test_before_a_still_camera_the_place_stays_and_a_thing_is_where_it_has_moved_to() -> None:
    torch.manual_seed(0)
    place = 0.3 * torch.rand(3, SIDE, SIDE) + torch.tensor([0.0, 0.5, 0.0])[:, None, None]
    red = torch.tensor([1.5, -1.0, -1.0])[:, None, None]
    picture = torch.where(disc(-0.4, 0.2), red, place)
    shown = of(picture, seen("static"), ball([(-0.4 + 0.1 * f, 0.2) for f in range(9)]))
    full, empty = pictures(shown, 0, 9)
    far = ~disc(-0.4, 0.2, 0.3)
    assert torch.allclose(empty[8][:, far], place[:, far])
    assert float(empty[8][0, disc(-0.4, 0.2)].max()) < 0.6, "nothing is left of it where it was"
    for f in (0, 4, 8):
        inside, outside = disc(-0.4 + 0.1 * f, 0.2, 0.1), ~disc(-0.4 + 0.1 * f, 0.2, 0.25) & far
        torch.testing.assert_close(full[f][:, inside], red[..., 0].expand(3, int(inside.sum())), atol=0.1, rtol=0.0)
        assert torch.allclose(full[f][:, outside], place[:, outside])


@torch.no_grad()
@pytest.mark.parametrize("at", [0, 8])
def test_as_a_camera_pans_the_place_is_looked_up_where_it_was_seen(at: int) -> None:
    cameras = seen("pan-right")

    def world(frame: int) -> torch.Tensor:
        """Colours by where in the world rays go."""
        point, far = points(cameras.of(frame, 1).rows_BF44, cameras.focus_B, SIDE, SIDE)
        ray = torch.nn.functional.normalize(point, dim=-1)
        wave = torch.where(far[..., None], (3.0 * ray).sin(), (0.5 * point).sin())
        return wave[0, 0].T.unflatten(1, (SIDE, SIDE))

    shown = of(world(at), cameras, None, at)
    for frame in (2, 6):
        full, empty = pictures(shown, frame, 1)
        assert torch.equal(full, empty)
        middle = (slice(None), slice(4, -4), slice(16, -16))
        error = (empty[0] - world(frame))[middle].abs()
        still = (world(at) - world(frame))[middle].abs()
        assert float(error.median()) < 0.05 * float(still.median()), frame


@torch.no_grad()
def test_light_is_found_by_the_shadow_that_is_dark() -> None:
    cameras, stand = seen("static"), ball([(0.0, 0.1)] * 9)
    for azimuth in (0.6, 2.5):
        elevation = math.radians(50.0)
        light = torch.tensor([math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)])
        views = Views(cameras.of(0, 1).rows_BF44, cameras.focus_B, light[None])
        shade = (Stands(stand.of(0, 1), views).fallen(places(SIDE, SIDE)[None]).near(1.0)[0] > 0).unflatten(0, (SIDE, SIDE))
        assert int(shade.sum()) > 10
        picture = torch.where(shade, -0.8, torch.full((3, SIDE, SIDE), 0.5))
        found = of(picture, cameras, stand).lit(["noon"]).light
        assert found is not None
        assert float(found @ light) > math.cos(math.radians(25.0))
    assert of(torch.full((3, SIDE, SIDE), 0.5), cameras, stand).lit(list(HOURS)).light is None, "an overcast sky throws none"


@torch.no_grad()
def test_what_footage_does_not_show_is_the_painters() -> None:
    place = torch.full((3, SIDE, SIDE), 0.4)
    stand = ball([(-5.0, 0.0)] * 4 + [(0.0, 0.0)] * 5)
    shown = of(place, seen("static"), stand)
    torch.nn.init.constant_(shown.painter.things.outward.bias, 3.0)
    full, empty = pictures(shown, 0, 9)
    assert torch.equal(full[0], empty[0])
    assert float((full[8] - empty[8])[:, disc(0.0, 0.0, 0.1)].abs().min()) > 1.0
    assert np.isfinite(full.numpy()).all()
    gone = replace(stand, looks_BKL=torch.zeros_like(stand.looks_BKL))
    full, empty = pictures(of(place, seen("static"), gone), 0, 9)
    assert torch.equal(full, empty)


@torch.no_grad()
def test_a_thing_that_hides_all_of_the_place_leaves_a_backdrop_all_the_same() -> None:
    shown = of(torch.full((3, SIDE, SIDE), 0.4), seen("static"), ball([(0.0, 0.0)] * 9, size=3.0))
    full, empty = pictures(shown, 0, 9)
    assert bool(full.isfinite().all())
    assert bool(empty.isfinite().all())


@torch.no_grad()
def test_a_rope_goes_with_what_hangs_from_it() -> None:
    cameras = seen("static")
    focal, far = float(cameras.rows_BF44[0, 0, 0, 3]), float(cameras.focus_B)
    size, y = 0.2 * focal / far, -0.3
    stand = ball([(x, y) for x in (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.2, 0.1)], size)
    hook = torch.zeros(1, 2, HOOK)
    middle = middles(stand.tracks_BKFT, cameras.rows_BF44[:, None].float(), cameras.focus_B[:, None, None])[0, 0, 4]
    hook[0, 0] = torch.cat([middle + torch.tensor([0.0, 0.0, 1.0]), cameras.rows_BF44[0, 0, 1, :2].float()])
    stand = replace(stand, hooks_BKH=hook)

    def roped(frame: int) -> torch.Tensor:
        own = stand.of(frame, 1)
        limbs = Limbs(own, Stands(own, Views(cameras.of(frame, 1).rows_BF44, cameras.focus_B, torch.tensor([[0.0, 0.0, 1.0]]))))
        return (limbs.beside(places(SIDE, SIDE)[None], SIDE)[0] > 0.5).any(0).unflatten(0, (SIDE, SIDE))

    dark = -1.5
    picture = torch.where(roped(0), dark, torch.full((3, SIDE, SIDE), 0.5))
    shown = of(picture, cameras, stand)
    torch.nn.init.constant_(shown.painter.limbs.outward.bias, dark)
    shown.painter.limbs.outward.bias[vae.COLOURS] = 5.0
    full, empty = pictures(shown, 0, 9)
    here, there = roped(0) & ~roped(6), roped(6) & ~roped(0)
    assert min(int(here.sum()), int(there.sum())) > 10
    assert float(empty[6].min()) > 0.3, "nothing hangs in the place"
    assert float(full[6][:, here].mean()) > 0.3, "nor in what comes later, where it hung"
    assert float(full[6][:, there].mean()) < -0.5
    other = of(picture, cameras, replace(stand, hooks_BKH=None))
    full, _ = pictures(other, 6, 1)
    assert float(full[0][:, here].mean()) < 0.0, "what is not known to be a rope stays"
