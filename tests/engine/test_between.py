"""Frames between latents: what moves is seen once, where it is, and what stands does not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinowatt.engine.between import Between
from kinowatt.engine.engine import Engine
from kinowatt.engine.load import load
from kinowatt.engine.ways import Ways
from kinowatt.models.blocking import LOOKS, TRACK, Blocking, looks
from kinowatt.models.interpolator import Flow, Interpolator, InterpolatorConfig
from kinowatt.shot import Shot
from kinowatt.worlds.toybox import camera

SIDE, FRAMES = 96, 9


def film(speed: float, radius: float = 0.16) -> torch.Tensor:
    """A bright ball (1, 3, T, H, W) goes to the right by half frame heights a frame, on stripes that stand."""
    y = 1.0 - (torch.arange(SIDE) + 0.5) * 2.0 / SIDE
    x = (torch.arange(SIDE) + 0.5) * 2.0 / SIDE - 1.0
    ground = -0.5 + 0.2 * torch.sin(9.0 * y)[:, None].expand(SIDE, SIDE)
    frames = []
    for t in range(FRAMES):
        away = torch.hypot(x[None] - (-0.6 + speed * t), y[:, None])
        ball = torch.sigmoid((radius - away) * 60.0)
        frames.append(ground * (1.0 - ball) + 0.8 * ball)
    return torch.stack(frames).expand(3, -1, -1, -1)[None]


def told(speed: float, radius: float = 0.16) -> Blocking:
    tracks = torch.tensor([[-0.6 + 4 * speed * k, 0.0, radius, 0.0, radius, 0.0] for k in range(3)]).view(1, 1, 3, TRACK)
    return Blocking(tracks, torch.tensor(looks("ball", "red", None, False)).view(1, 1, LOOKS))


def faded(frames: torch.Tensor) -> torch.Tensor:
    """As a codec leaves it that keeps every fourth frame and fades between them."""
    share = (torch.arange(FRAMES) % 4 / 4)[:, None, None]
    before = torch.arange(FRAMES) // 4 * 4
    after = (before + 4).clamp(max=FRAMES - 1)
    return frames[:, :, before] * (1 - share) + frames[:, :, after] * share


def still(blocking: Blocking | None, interpolator: Interpolator | None = None) -> Between:
    rows = torch.from_numpy(camera.named("static", "medium", 35, "eye", FRAMES, 1.0).rows_T44)
    return Between(rows, 3.0, blocking, 4, interpolator)


def error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean())


@pytest.mark.parametrize("speed", [0.05, 0.1])  # twice as fast: more than its own width from latent to latent
def test_what_moves_is_seen_once(speed: float) -> None:
    true = film(speed)
    linear = faded(true)
    (drawn,) = still(told(speed)).along([linear])
    assert error(drawn, true) < 0.2 * error(linear, true)
    assert torch.equal(drawn[:, :, ::4], linear[:, :, ::4]), "frames of latents stay as they are"
    ground = drawn[0, 0, :, :20]
    assert float(ground.std(0).max()) < 1e-3, "what stands does not change"


def test_a_blocking_that_is_wrong_is_not_believed_where_nothing_is() -> None:
    linear = faded(film(0.05))
    wrong = told(0.05)
    wrong.tracks_BKFT[..., 1] = 0.7  # nothing is there
    (drawn,) = still(wrong).along([linear])
    assert error(drawn, linear) < 1e-3


def test_what_a_camera_shows_goes_by_once() -> None:
    """A pan over a wall far away: each frame is the one before, moved."""
    path = camera.named("pan-right", "medium", 35, "eye", FRAMES, 1.0)
    rows = torch.from_numpy(path.rows_T44)
    y = (1.0 - (torch.arange(SIDE) + 0.5) * 2.0 / SIDE)[:, None].expand(SIDE, SIDE)
    x = ((torch.arange(SIDE) + 0.5) * 2.0 / SIDE - 1.0)[None].expand(SIDE, SIDE)
    shown = []
    for row in rows:
        ray = row[1, :3] * x[..., None] + row[2, :3] * y[..., None] + row[3, :3] * row[0, 3]
        angle = torch.atan2(ray[..., 1], ray[..., 0])
        shown.append(0.7 * torch.sin(40.0 * angle))
    true = torch.stack(shown).expand(3, -1, -1, -1)[None]
    linear = faded(true)
    (drawn,) = Between(rows, path.distance_m, None, 4, None).along([linear])
    assert error(drawn, true) < 0.3 * error(linear, true)
    assert still(None).moves is False
    (same,) = still(None).along([linear])
    assert torch.equal(same, linear)


class Seeing(Interpolator):
    """Finds the ball of a film: where it is in a frame between, it came from and goes to as it does."""

    def __init__(self, speed: float, radius: float = 0.16) -> None:
        super().__init__(InterpolatorConfig((8, 8)))
        self.speed, self.radius, self.asked = speed, radius, 0

    def between(self, before_NCHW: torch.Tensor, after_NCHW: torch.Tensor, shares_T: torch.Tensor) -> Flow:
        first = 4 * self.asked
        self.asked += 1
        away, seen = torch.zeros(1, len(shares_T), 2, 2, SIDE, SIDE), torch.empty(1, len(shares_T), SIDE, SIDE)
        x, y = (torch.arange(SIDE) + 0.5) * 2.0 / SIDE - 1.0, 1.0 - (torch.arange(SIDE) + 0.5) * 2.0 / SIDE
        for i, share in enumerate(shares_T.tolist()):
            on = torch.hypot(x[None] - (-0.6 + self.speed * (first + 4 * share)), y[:, None]) < 1.3 * self.radius
            away[0, i, 0, 0][on], away[0, i, 1, 0][on] = (-share * 4 * self.speed * SIDE / 2, (1 - share) * 4 * self.speed * SIDE / 2)
            was = torch.hypot(x[None] - (-0.6 + self.speed * first), y[:, None]) < 1.3 * self.radius  # where it was, later shows the ground
            will = torch.hypot(x[None] - (-0.6 + self.speed * (first + 4)), y[:, None]) < 1.3 * self.radius
            seen[0, i] = torch.where(was & ~on, 0.0, torch.where(will & ~on, 1.0, 1.0 - share))
        return Flow(away, seen)


@pytest.mark.parametrize("blocking", [None, told(0.1)], ids=["alone", "beside a blocking"])
def test_what_an_interpolator_finds_is_drawn(blocking: Blocking | None) -> None:
    true = film(0.1)
    linear = faded(true)
    (drawn,) = still(blocking, Seeing(0.1)).along([linear])
    assert error(drawn, true) < 0.05 * error(linear, true)
    assert torch.equal(drawn[:, :, ::4], linear[:, :, ::4]), "frames of latents stay as they are"


def test_a_blocking_that_is_wrong_leaves_what_an_interpolator_finds() -> None:
    true, wrong = film(0.05), told(0.05)
    wrong.tracks_BKFT[..., 1] = 0.7  # nothing is there
    (drawn,) = still(wrong, Seeing(0.05)).along([faded(true)])
    assert error(drawn, true) < 0.1 * error(faded(true), true)


def test_an_interpolator_that_finds_nothing_leaves_no_ghosts_of_what_is_told() -> None:
    """Where a thing was and will be, the ground is not looked up, whoever guesses."""
    true = film(0.1)
    alone, beside = (next(still(told(0.1), by).along([faded(true)])) for by in (None, Interpolator(InterpolatorConfig((8, 8)))))
    assert error(beside, true) < 1.2 * error(alone, true)


@pytest.mark.parametrize("cuts", [(1, 4, 4), (5, 4), (3, 6)])
def test_parts_of_a_stream_come_out_as_the_whole(cuts: tuple[int, ...]) -> None:
    linear, between = faded(film(0.1)), still(told(0.1))
    (whole,) = between.along([linear])
    if cuts == (3, 6):  # a latent's frame may only come with a later part: then those before it are left as they were
        got = torch.cat(list(between.along(linear.split(list(cuts), 2))), 2)
        assert torch.equal(got[:, :, 5:], whole[:, :, 5:])
        return
    assert torch.allclose(torch.cat(list(between.along(linear.split(list(cuts), 2))), 2), whole, atol=1e-6)


def test_a_past_is_passed_over() -> None:
    linear, between = faded(film(0.1)), still(told(0.1))
    (whole,) = between.along([linear])
    past = torch.zeros(1, 3, 4, SIDE, SIDE)
    (drawn,) = between.along([torch.cat([past, linear], 2)], -4)
    assert torch.equal(drawn[:, :, :4], past)
    assert torch.allclose(drawn[:, :, 4:], whole, atol=1e-6)


def test_a_clip_is_drawn_so_whole_or_rolling() -> None:
    """Of the weights that ship: between latents a clip is not the fading of its neighbours, and rolling goes on where a part ended."""
    engine = load("spark", "cpu", Ways("torch"))
    assert isinstance(engine, Engine)
    for seconds in (1.0, 2.5):
        shot = Shot("a red ball rolls to the right on grass, static camera", size=(64, 64), steps=2, seed=3, seconds=seconds)
        take = engine.generate(shot)
        assert take.latents_1CFHW is not None
        plain = engine.runtime.decode_stream(torch.from_numpy(take.latents_1CFHW))
        linear = torch.cat(list(plain), 2)[0].transpose(0, 1).add(1).mul(127.5).clamp(0, 255)
        frames = take.clip.frames_TCHW.astype(np.float32)
        off = np.abs(frames - linear.numpy()).mean((1, 2, 3))
        assert off[::4].max() < 0.5, "frames of latents are those of the codec"
        assert off[[k for k in range(len(off)) if k % 4]].mean() > 0.05
