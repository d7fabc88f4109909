"""The director: rows and back again, what is known stays as it is, and a camera's way is a camera's path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinowatt.models import director
from kinowatt.models.blocking import MOST, TRACK, Blocking, looks
from kinowatt.models.director import FRAMES, ROW, SLOTS, Director, DirectorConfig
from kinowatt.models.steering import ray_maps
from kinowatt.worlds.toybox import camera
from kinowatt.worlds.toybox.blocking import way
from kinowatt.worlds.toybox.scene import MOVES

WORDS = ("color=red", "kind=ball", "move=static")


def rows_44(camera_FT: np.ndarray) -> np.ndarray:
    """Camera rows (F, 4, 4) as worlds/toybox/camera.py has them, in units of the distance to the focus, of a camera's way."""
    x, y, z, yaw, pitch, focal = camera_FT.T
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], 1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], 1)
    rows = np.zeros((len(x), 4, 4), np.float32)
    rows[:, 0, :3], rows[:, 0, 3] = np.stack([x, y, z], 1), np.exp(focal)
    rows[:, 1, :3], rows[:, 2, :3], rows[:, 3, :3] = right, np.cross(right, forward), forward
    return rows


@pytest.fixture
def net() -> Director:
    torch.manual_seed(0)
    net = Director(DirectorConfig(width=32, heads=2, layers=1, text_width=16), WORDS)
    torch.nn.init.normal_(net.outward.weight, std=0.1)
    net.fit(torch.randn(100, TRACK), torch.rand(100, TRACK) + 0.1)
    return net.eval().requires_grad_(False)


def blocking(things: int = 2) -> Blocking:
    generator = torch.Generator().manual_seed(1)
    tracks = torch.rand(1, MOST, FRAMES, TRACK, generator=generator) + 0.05
    rows = torch.zeros(1, MOST, director.LOOKS)
    told = [looks("ball", "red", "matte", True), looks("turbine", None, None, False), looks("domino", "blue", "glossy", False)]
    rows[0, :things] = torch.tensor(told[:things])
    return Blocking(tracks, rows)


def test_rows_are_read_as_they_were_told(net: Director) -> None:
    told, seen_from = blocking(3), torch.randn(1, FRAMES, TRACK)
    rows = net.rows(seen_from, told)
    assert rows.shape == (1, SLOTS, ROW)
    read_way, read = net.read(rows)
    assert torch.allclose(read_way, seen_from, atol=1e-5)
    assert torch.equal(read.looks_BKL, told.looks_BKL)
    assert torch.allclose(read.tracks_BKFT[:, :3], told.tracks_BKFT[:, :3], atol=1e-4)


@pytest.mark.parametrize("move", MOVES)
def test_a_way_is_the_path_that_it_was_told_of(move: str) -> None:
    path = camera.named(move, "medium", 35, "eye", 33, 1.0)
    rows = path.rows_T44[::4]
    again = rows_44(way(rows, path.distance_m))
    one, other = (ray_maps(torch.from_numpy(r), focus, 4, 6, stride=1) for r, focus in ((rows, path.distance_m), (again, 1.0)))
    assert torch.allclose(one, other, atol=1e-4)
    assert np.allclose(again[:, 0, 2], rows[:, 0, 2] / path.distance_m, atol=1e-5), "as high above the ground"


def test_what_is_known_stays_as_it_is_and_the_rest_comes_from_the_seed(net: Director) -> None:
    ids = net.text.ids([WORDS])
    known, is_known = net.rows(torch.randn(1, FRAMES, TRACK), blocking()), torch.zeros(1, SLOTS, FRAMES + 1, dtype=torch.bool)
    is_known[:, 0], is_known[:, 1, :3] = True, True
    noise = torch.randn(2, SLOTS, ROW)
    one, again, other = (net.draw(ids, torch.ones(1), n[None], known, is_known, steps=4) for n in (noise[0], noise[0], noise[1]))
    assert torch.equal(one, again)
    assert torch.equal(one[:, 0], known[:, 0])
    assert torch.equal(one[:, 1, : 3 * TRACK], known[:, 1, : 3 * TRACK])
    assert not torch.allclose(one[:, 1, 3 * TRACK :], other[:, 1, 3 * TRACK :], atol=0.1)
    worded = net.draw(ids, torch.ones(1), noise[:1], known, is_known, steps=4, guidance=4.0)
    assert not torch.allclose(worded, one)


def test_a_file_is_read_and_another_is_not(net: Director) -> None:
    config = {"director": {"width": 32, "heads": 2, "layers": 1, "text_width": 16}, "vocabulary": list(WORDS)}
    loaded = director.load({k: v.half() for k, v in net.state_dict().items()}, config)
    assert torch.allclose(loaded.spread_2T, net.spread_2T, atol=1e-2)
    with pytest.raises(RuntimeError):
        director.load({k: v for k, v in net.state_dict().items() if "inward" not in k}, config)
    with pytest.raises(KeyError):
        director.load({}, {"vocabulary": []})
