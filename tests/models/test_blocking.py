"""What stands where, as a network sees it: the nearer before the farther, nothing of what is not told, folded as latents are."""

from __future__ import annotations

import math

import pytest
import torch

from kinowatt.models import vae
from kinowatt.models.blocking import (
    BLOCKING_CHANNELS,
    COLORS,
    KINDS,
    LOOKS,
    MOST,
    PAINTED,
    POSE,
    TRACK,
    Blocking,
    in_picture,
    in_sight,
    looks,
    paint,
    settled,
)


def two(far_of_red: float, far_of_blue: float, frames: int = 3) -> Blocking:
    """A red ball and a blue cube behind or before it, a little to the right."""
    tracks = torch.zeros(1, MOST, frames, TRACK)
    for k, (x, far) in enumerate(((0.0, far_of_red), (0.25, far_of_blue))):
        tracks[0, k] = torch.tensor([x, 0.0, 0.4, 0.0, 0.4, far])
    rows = torch.zeros(1, MOST, LOOKS)
    rows[0, 0] = torch.tensor(looks("ball", "red", "matte", False))
    rows[0, 1] = torch.tensor(looks("cube", "blue", None, True))
    return Blocking(tracks, rows)


def test_looks_say_each_thing_once() -> None:
    ball, panel = looks("ball", "red", "matte", False), looks("panel", None, None, False)
    assert len(ball) == len(panel) == LOOKS
    assert (sum(ball), sum(panel)) == (4.0, 2.0)


@pytest.mark.parametrize(("red_is", "seen"), [(-0.5, "red"), (0.5, "blue")])
def test_the_nearer_hides_the_farther(red_is: float, seen: str) -> None:
    painted = paint(two(red_is, 0.0), 32, 32)
    assert painted.shape == (1, PAINTED, 3, 32, 32)
    both = painted[0, :, 0, 16, 18]  # where the ellipses overlap
    assert float(both[1 + COLORS.index(seen)]) > 0.95
    assert float(both[1 : 1 + len(COLORS)].sum()) == pytest.approx(1.0, abs=0.05)
    assert float(painted[0, 0].max()) <= 1.0 + 1e-5


def test_a_thing_takes_as_much_of_the_picture_as_its_ellipse() -> None:
    one = two(0.0, 0.0)
    one.looks_BKL[0, 1] = 0.0
    area = float(paint(one, 64, 64)[0, 0, 0].mean())
    assert area == pytest.approx(math.pi * 0.4**2 / 4.0, rel=0.08)
    wide = paint(one, 32, 64)[0, 0, 0]  # as high, in a frame of twice the width
    assert float(wide.mean()) == pytest.approx(math.pi * 0.4**2 / 8.0, rel=0.12)
    u = paint(one, 64, 64)[0, LOOKS, 0, 32]
    assert float(u[32 - 8]) < -0.3 < 0.3 < float(u[32 + 8]), "places within it run from side to side"


def test_no_things_leave_the_picture_empty_and_no_blocking_leaves_all_channels_empty() -> None:
    told = torch.tensor([True, False])
    two_clips = Blocking(torch.zeros(2, MOST, 3, TRACK), torch.zeros(2, MOST, LOOKS))
    channels = two_clips.channels(8, 8, told)
    assert channels.shape == (2, BLOCKING_CHANNELS, 3, 8, 8)
    assert not channels[1].any()
    unfolded = channels[:1].unflatten(1, (PAINTED, vae.SMALL**2))
    assert not unfolded[:, :-1].any()
    assert bool((unfolded[:, -1] == 1).all()), "that it is told is told"


def test_only_and_of_take_clips_and_frames() -> None:
    blocking = two(0.0, 0.5, frames=5)
    assert not blocking.only(torch.tensor([False])).looks_BKL.any()
    assert torch.equal(blocking.only(torch.tensor([True])).looks_BKL, blocking.looks_BKL)
    assert torch.equal(blocking.of(1, 2).tracks_BKFT, blocking.tracks_BKFT[:, :, 1:3])
    assert torch.equal(blocking.of(4, 3).tracks_BKFT[:, :, 2], blocking.tracks_BKFT[:, :, 4]), "it stands still after its end"


def test_poses_go_where_their_things_go() -> None:
    both = two(0.0, 0.0)
    frames = both.tracks_BKFT.shape[2]
    poses = torch.arange(MOST * frames * POSE).reshape(1, MOST, frames, POSE).float()
    posed = Blocking(both.tracks_BKFT, both.looks_BKL, poses)
    things, last = posed.things(), posed.of(frames - 1, 2)
    assert things is not None
    assert things.poses_BKFP is not None
    assert torch.equal(things.poses_BKFP, poses[:, posed.looks_BKL[0, :, 0] > 0])
    assert last.poses_BKFP is not None
    assert torch.equal(last.poses_BKFP, poses[:, :, [-1, -1]])
    each = posed.by_frame()
    assert each.poses_BKFP is not None
    assert torch.equal(each.poses_BKFP[1, :, 0], poses[0, :, 1])
    assert torch.equal(each.tracks_BKFT[1, :, 0], posed.tracks_BKFT[0, :, 1])
    assert len(each.looks_BKL) == frames
    assert posed.only(torch.ones(1)).poses_BKFP is poses
    assert both.by_frame().poses_BKFP is None
    wide = posed.wider(2.0).tracks_BKFT
    assert torch.equal(wide[..., 2:5], 2.0 * posed.tracks_BKFT[..., 2:5])
    assert torch.equal(wide[..., [0, 1, 5]], posed.tracks_BKFT[..., [0, 1, 5]])


def test_what_is_in_the_picture_is_not_hidden_and_not_cut_off() -> None:
    hidden = two(-0.5, 0.5)
    hidden.tracks_BKFT[0, 1, :, 0] = 0.0
    hidden.tracks_BKFT[0, 1, :, 2], hidden.tracks_BKFT[0, 1, :, 4] = 0.3, 0.3
    share = in_sight(hidden, 32, 32)[0, :2, 0]
    assert float(share[0]) == pytest.approx(1.0, abs=0.1)
    assert float(share[1]) < 0.1
    assert in_picture(hidden, 1.0)[0, :3, 0].tolist() == [True, False, False], "the third is no thing"
    away = two(0.0, 0.1)
    away.tracks_BKFT[0, 0, 1, 0] = -1.2
    assert in_picture(away, 1.0)[0, 0].tolist() == [True, False, True]
    assert in_picture(away, 1.6)[0, 0].tolist() == [True, True, True], "a wider picture shows it"


def test_looks_settle_on_the_likeliest() -> None:
    likely = torch.full((1, LOOKS), -0.5)
    likely[0, [0, 1 + COLORS.index("red"), 1 + len(COLORS) + KINDS.index("cube")]] = torch.tensor([0.1, -0.1, 0.3])
    likely[0, 1 + len(COLORS) + len(KINDS)] = 0.9
    assert settled(likely)[0].tolist() == looks("cube", "red", "matte", False)
    likely[0, 1 + len(COLORS) + KINDS.index("turbine")] = 0.4
    assert settled(likely)[0].tolist() == looks("turbine", None, None, False)
    likely[0, 0] = -0.1
    assert not settled(likely).any()


def test_only_things_are_things() -> None:
    there = two(0.0, 0.0).things()
    assert there is not None
    assert there.looks_BKL.shape[1] == there.tracks_BKFT.shape[1] == 2
    assert Blocking(torch.zeros(1, MOST, 3, TRACK), torch.zeros(1, MOST, LOOKS)).things() is None
