"""Ray maps say where a camera stands and looks, relative to its first frame; a network without a path steers nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kinowatt.models.blocking import BLOCKING_CHANNELS
from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.painter import BACKDROP_CHANNELS
from kinowatt.models.steering import RAY_CHANNELS, STEERING_CHANNELS, ray_maps, steered, steering, steering_pair
from kinowatt.worlds.toybox import camera


def rows(place: np.ndarray, look: np.ndarray, focal: float = 3.0) -> torch.Tensor:
    return torch.from_numpy(camera._rows(place.copy(), look.copy(), np.full(len(place), focal)))


def test_the_first_camera_looks_ahead_from_where_it_is() -> None:
    path = rows(np.array([[3.0, -4.0, 1.0]] * 9), np.array([[0.0, 0.0, 0.5]] * 9))
    maps = ray_maps(path, 5.0, 8, 8)
    assert maps.shape == (RAY_CHANNELS, 3, 8, 8)
    ray = maps[:3]
    assert float(ray.norm(dim=0).sub(1).abs().max()) < 1e-5
    middle = ray[:, 0, 3:5, 3:5].mean((1, 2))
    assert middle.tolist() == pytest.approx([0, 0, 1], abs=0.02)
    assert float(ray[0, 0, :, 0].max()) < 0 < float(ray[0, 0, :, -1].min()), "left of the picture is left of the camera"
    assert float(ray[1, 0, 0].min()) > 0 > float(ray[1, 0, -1].max()), "the top row looks up"
    assert not maps[3:6].any()
    assert bool((maps[6] == 1).all())


def test_a_path_means_the_same_wherever_it_begins_and_at_any_scale() -> None:
    u = np.linspace(0, 1, 9)[:, None]
    place, look = np.hstack([u * 2, -3 + 0 * u, 1 + u]), np.hstack([0 * u, 0 * u, 0.4 + 0 * u])
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    here = ray_maps(rows(place, look), 3.0, 6, 10)
    there = ray_maps(rows(place @ turn.T * 7 + 5, look @ turn.T * 7 + 5), 21.0, 6, 10)
    assert float((here - there).abs().max()) < 1e-5
    assert float(here[3:6, -1].abs().max()) > 0.3, "it moved"


def test_a_longer_lens_sees_less() -> None:
    still, look = np.array([[0.0, -3.0, 1.0]] * 5), np.array([[0.0, 0.0, 0.5]] * 5)
    wide, long = (ray_maps(rows(still, look, f), 3.0, 4, 4)[0, 0, 0, -1] for f in (2.0, 8.0))
    assert float(wide) > 2 * float(long)


@torch.no_grad()
def test_steering_reaches_the_network_and_zeros_do_not() -> None:
    torch.manual_seed(0)
    dit = VideoDiT(dataclasses.replace(DITS["xs"], layers=1, heads=1)).eval()
    for p in dit.parameters():
        p.normal_(0, 0.05)
    x, level, text = torch.randn(1, 48, 2, 4, 4), torch.rand(1, 2), torch.randn(1, 3, dit.config.text_dim)
    rays = ray_maps(rows(np.array([[0.0, -3.0, 1.0]] * 5), np.array([[0.0, 0.0, 0.5]] * 5)), 3.0, 4, 4)[None]
    empty, red = torch.zeros(1, BLOCKING_CHANNELS, 2, 4, 4), torch.rand(1, BLOCKING_CHANNELS, 2, 4, 4)
    none_behind, behind = torch.zeros(1, BACKDROP_CHANNELS, 2, 4, 4), torch.rand(1, BACKDROP_CHANNELS, 2, 4, 4)
    none, path, switch, blocked, placed = (
        steered(dit, steering(r, g, b, w))(x, level, text)
        for r, g, b, w in (
            (rays * 0, torch.zeros(1), empty, none_behind),
            (rays, torch.zeros(1), empty, none_behind),
            (rays * 0, torch.ones(1), empty, none_behind),
            (rays * 0, torch.zeros(1), red, none_behind),
            (rays * 0, torch.zeros(1), empty, behind),
        )
    )
    plain = dit(torch.cat([x, torch.zeros(1, dit.config.in_channels - 48, 2, 4, 4)], 1), level, text)
    assert torch.equal(none, plain)
    assert float((path - plain).abs().max()) > 1e-3
    assert float((switch - plain).abs().max()) > 1e-4
    assert float((blocked - plain).abs().max()) > 1e-3
    assert float((placed - plain).abs().max()) > 1e-3


def test_guidance_moves_away_from_the_same_place_with_nothing_in_it() -> None:
    rays, red = torch.zeros(1, RAY_CHANNELS, 2, 4, 4), torch.rand(1, BLOCKING_CHANNELS, 2, 4, 4)
    peopled, empty = torch.rand(2, 1, BACKDROP_CHANNELS, 2, 4, 4)
    told, untold = steering_pair(rays, red, (peopled, empty), torch.device("cpu"))
    assert torch.equal(told[:, STEERING_CHANNELS:-BACKDROP_CHANNELS], red)
    assert not untold[:, STEERING_CHANNELS:-BACKDROP_CHANNELS].any()
    for full, bare in ((told, untold), steering_pair(rays, None, (peopled, empty), torch.device("cpu"))):
        for channels, behind in ((full, peopled), (bare, empty)):
            assert channels.shape[1] == STEERING_CHANNELS + BLOCKING_CHANNELS + BACKDROP_CHANNELS
            assert torch.equal(channels[:, -BACKDROP_CHANNELS:], behind)
    assert all(c.shape[1] == STEERING_CHANNELS for c in steering_pair(rays, None, None, torch.device("cpu")))


def test_frames_outside_of_time_have_no_blocking() -> None:
    channels = steering(torch.zeros(1, RAY_CHANNELS, 3, 4, 4), torch.zeros(1), torch.ones(1, BLOCKING_CHANNELS, 2, 4, 4))
    assert channels.shape == (1, STEERING_CHANNELS + BLOCKING_CHANNELS, 3, 4, 4)
    assert bool((channels[:, STEERING_CHANNELS:, :2] == 1).all())
    assert not channels[:, :, 2].any()
