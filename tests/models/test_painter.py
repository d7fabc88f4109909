"""A painter paints every pixel from its ray, the words and the thing in which it lies, and a backdrop is folded as latents are."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinowatt import language
from kinowatt.errors import WeightsError
from kinowatt.models import painter, spots, vae, weights
from kinowatt.models.blocking import LOOKS, MOST, POSE, TRACK, Blocking, looks
from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.painter import BACKDROP, BACKDROP_CHANNELS, Painter, PainterConfig
from kinowatt.models.spots import Stands, Views, places
from kinowatt.worlds.toybox import Toybox, blocking, camera, light, physics, scene


def made() -> Painter:
    torch.manual_seed(0)
    paints = Painter(PainterConfig(width=16, layers=2, thing_width=16, thing_layers=2, text_width=32), language.VOCABULARY)
    for network in (paints.place, paints.things, paints.shadows):
        torch.nn.init.normal_(network.outward.weight)
    return paints.eval()


def views(move: str, light: tuple[float, float, float] = (0.6, 0.0, 0.8)) -> Views:
    path = camera.named(move, "medium", 35.0, "eye", 33, 1.0)
    return Views(torch.from_numpy(path.rows_T44[::4])[None], torch.tensor([path.distance_m]), torch.tensor([light]))


def first(seen: Views, count: int) -> Views:
    return dataclasses.replace(seen, rows_BF44=seen.rows_BF44[:, :count])


@torch.no_grad()
def test_a_backdrop_is_folded_and_says_that_it_is_there() -> None:
    paints = made()
    seen = views("orbit-left")
    ids = paints.text.ids([language.read("a ball on grass").tokens])
    backdrop = paints.paint(seen, ids, 3, 4)
    assert backdrop.shape == (1, BACKDROP_CHANNELS, 9, 3, 4)
    colours, there = backdrop.split([vae.COLOURS * vae.SMALL**2, vae.SMALL**2], 1)
    assert bool((there == 1).all())
    assert BACKDROP_CHANNELS == BACKDROP * vae.SMALL**2
    pixels = painter.told(seen.frame(4), 12, 16)[:, :, 0].flatten(2).transpose(1, 2)
    own = paints(pixels, paints.words(ids)).transpose(1, 2).unflatten(2, (12, 16))
    torch.testing.assert_close(vae.unfold(colours)[:, 4], own)


@torch.no_grad()
def test_words_and_cameras_change_what_is_painted_and_no_words_are_words_too() -> None:
    paints = made()
    still = views("static")
    ids = paints.text.ids([language.read(words).tokens for words in ("a ball on grass", "a ball on snow", "")])
    grass, snow, nothing = (paints.paint(still, row[None], 4, 4) for row in ids)
    assert float((grass - snow).abs().max()) > 0.05
    assert bool(nothing.isfinite().all())
    assert torch.equal(grass[:, :, 0], grass[:, :, 8])
    panned = paints.paint(views("pan-left"), ids[:1], 4, 4)
    assert float((panned[:, :, 0] - panned[:, :, 8]).abs().max()) > 0.05


def stand(far: float = 0.0, pose: float = 0.0, frames: int = 2) -> Blocking:
    """A red cube, and a blue ball beside it, its edge before the cube's or behind it."""
    tracks, rows = torch.zeros(1, MOST, frames, TRACK), torch.zeros(1, MOST, LOOKS)
    tracks[0, 0] = torch.tensor([-0.2, 0.0, 0.2, 0.0, 0.2, 0.0])
    tracks[0, 1] = torch.tensor([0.1, 0.0, 0.2, 0.0, 0.2, far])
    rows[0, 0], rows[0, 1] = (torch.tensor(looks(*what, None, False)) for what in (("cube", "red"), ("ball", "blue")))
    poses = torch.zeros(1, MOST, frames, POSE)
    poses[0, 0] = torch.tensor([0.0, 1.0, 0.0, math.cos(pose), 0.0, math.sin(pose)])
    return Blocking(tracks, rows, poses)


@torch.no_grad()
def test_things_are_painted_where_they_stand_as_they_are_turned_the_nearer_before_the_farther() -> None:
    paints = made()
    paints.shadows.outward.bias[vae.COLOURS] = -100.0
    seen = first(views("static"), 2)
    ids = paints.text.ids([language.read("a red cube and a blue ball on grass").tokens])
    empty = paints.paint(seen, ids, 4, 4)
    assert torch.equal(paints.peopled(empty, seen, ids, stand().only(torch.zeros(1))), empty), "no things, no change"
    full = paints.peopled(empty, seen, ids, stand())
    changed = (vae.unfold(full[:, : -(vae.SMALL**2)]) != vae.unfold(empty[:, : -(vae.SMALL**2)])).any(2)[0, 0]
    y, x = changed.nonzero(as_tuple=True)
    side = 4 * vae.SMALL
    at = places(side, side).unflatten(0, (side, side))[y, x]
    away = torch.minimum((at - torch.tensor([-0.2, 0.0])).norm(dim=1), (at - torch.tensor([0.1, 0.0])).norm(dim=1))
    assert len(at) > 20
    assert float(away.max()) < spots.REACH * (0.2**2 + side**-2) ** 0.5 + 1e-4
    for other in (stand(far=-1.0), stand(pose=0.7), dataclasses.replace(stand(), poses_BKFP=None)):
        assert float((paints.peopled(empty, seen, ids, other) - full).abs().max()) > 0.01


@torch.no_grad()
def test_what_hides_all_hides_what_is_behind_it() -> None:
    paints = made()
    paints.things.outward.bias[vae.COLOURS] = 100.0
    seen = first(views("static"), 2)
    ids = paints.text.ids([language.read("a red cube and a blue ball on grass").tokens])
    empty = paints.paint(seen, ids, 4, 4)
    near, alone = stand(far=-1.0), stand(far=-1.0)
    alone.looks_BKL[0, 0, 0] = 0.0
    pair, ball = (vae.unfold(paints.peopled(empty, seen, ids, b)[:, : -(vae.SMALL**2)]) for b in (near, alone))
    inside = (places(16, 16) - torch.tensor([0.1, 0.0])).norm(dim=1).unflatten(0, (16, 16)) < 0.2
    torch.testing.assert_close(pair[..., inside], ball[..., inside])
    assert not torch.equal(pair, ball)


@torch.no_grad()
def test_shadows_fall_away_from_the_light_and_things_hide_them() -> None:
    paints, words = made(), torch.zeros(1, 32)
    at = places(24, 24)[None]
    ground = torch.zeros(1, 24 * 24, vae.COLOURS)
    rows, dark = [], []
    for side in (1.0, -1.0):
        seen = views("static", (0.6 * side, 0.0, 0.8)).frame(0)
        paints.things.outward.bias[vae.COLOURS] = -100.0  # no things, their shadows alone
        shade = paints.before(ground, words, stand(frames=1), seen, at, 24)
        changed = (shade != 0).any(2)[0]
        rows.append(at[0, changed, 0].mean())
        dark.append(changed)
        lies = Stands(stand(frames=1), seen)
        assert bool((lies.fallen(at).near(spots.REACH) > 0).any(0)[changed].all())
    assert 20 < dark[0].sum() < 24 * 24
    assert rows[0] < rows[1] - 0.1, "to the left of where the light comes from the right"
    paints.things.outward.bias[vae.COLOURS] = 100.0
    both = paints.before(ground, words, stand(frames=1), seen, at, 24)
    inside = (at[0] - torch.tensor([0.1, 0.0])).norm(dim=1) < 0.2
    assert not torch.equal(both[:, inside], shade[:, inside])


def test_shadows_are_looked_for_where_the_world_has_them() -> None:
    """A red ball in the noon's sun, before a still camera: the pixels told to be its shadow are the darkest of the ground."""
    over: dict[str, Any] = {"event": "still", "weather": "clear", "time": "noon", "ground": "snow", "mood": None, "move": "static"}
    world, side = Toybox(), 64
    for seed in range(2):
        ball = scene.sample(seed, **over, subjects=(scene.Subject("ball", "red", "matte", 0.4),), shot="medium", angle="eye")
        sample = world.film(ball, (side, side), 1, 16.0)
        tracks = torch.from_numpy(blocking.tracks(sample.motion, sample.camera_T44, sample.focus_m))[None]
        rows = torch.tensor([[looks("ball", "red", "matte", False)]])
        seen = Views(torch.from_numpy(sample.camera_T44)[None], torch.tensor([sample.focus_m]), torch.tensor([light.main_light(ball)]))
        fallen = Stands(Blocking(tracks, rows), seen).fallen(places(side, side)[None])
        grey = torch.from_numpy(sample.clip.frames_TCHW[0].mean(0).ravel())
        ground = fallen.ground_NP[0] & (torch.from_numpy(sample.ids_THW[0].ravel()) == 0)
        told = ground & (fallen.near(0.7)[0] > 0)
        assert int(told.sum()) > 15
        assert float(grey[told].median()) < float(grey[ground].quantile(0.15)), seed


def test_another_file_holds_no_painter(tmp_path: Path) -> None:
    weights.save(tmp_path / "painter.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="holds no painter; train one with kinowatt train painter"):
        painter.of(tmp_path / "painter.safetensors")


@torch.no_grad()
def test_what_is_behind_is_let_through_by_as_much_as_a_token_says() -> None:
    torch.manual_seed(0)
    dit = VideoDiT(dataclasses.replace(DITS["xs"], layers=1, heads=1)).eval()
    assert dit.behind is not None
    for p in dit.parameters():
        p.normal_(0, 0.05)
    dit.behind.weight.zero_()
    dit.behind.bias.zero_()
    x, level, text = torch.randn(1, dit.config.in_channels, 2, 4, 6), torch.rand(1, 2), torch.randn(1, 3, dit.config.text_dim)
    nothing = dit(x, level, text)
    dit.behind.bias.fill_(0.75)
    colours = x[:, -BACKDROP_CHANNELS:][:, : vae.COLOURS * vae.SMALL**2]
    torch.testing.assert_close(dit(x, level, text), nothing - 0.75 * colours)
    dit.behind.weight.normal_()
    through = (dit(x, level, text) - nothing) / colours
    torch.testing.assert_close(through, through[:, :1].expand_as(through), atol=1e-3, rtol=1e-3)
    assert float(through.std(dim=(2, 3, 4)).min()) > 0.05, "each token by another share"


def test_what_turns_about_a_hub_is_told_about_it() -> None:
    """The middle of all corners of a turbine lies so far below its hub, however its blades stand."""
    for phase in (0.0, 0.5, 1.0):
        angles = phase + np.arange(3) * 2.0 * np.pi / 3.0
        tower = [(0.0, z) for z in (0.0, physics.TOWER_M)]
        nacelle = [(0.0, physics.TOWER_M)] * 4
        reach = physics.ROTOR_M / 2 + 0.1
        ends = [reach - physics.ROTOR_M / 2, reach + physics.ROTOR_M / 2]
        blades = [(np.sin(a) * r, physics.TOWER_M + np.cos(a) * r) for a in angles for r in ends]
        corners = np.array(tower + nacelle + blades)
        below = physics.TOWER_M - corners[:, 1].mean()
        assert below / corners[:, 1].std() == pytest.approx(spots.HUB, abs=0.02)
