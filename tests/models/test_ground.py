"""Level ground under a camera: its waves are where the world draws squares, and the same from wherever a place is seen."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from kinowatt.engine.standing import Cameras
from kinowatt.models import ground
from kinowatt.models.ground import HEADINGS, TOLD, WAVES_M
from kinowatt.train.latents import mirrored_cameras, stepped_aside
from kinowatt.worlds.toybox import Toybox, camera

SIZE = 32


def seen_from(move: str, angle: str = "eye") -> Cameras:
    path = camera.named(move, "medium", 35.0, angle, 33, 1.0)
    return Cameras(torch.from_numpy(path.rows_T44[::4])[None], torch.tensor([path.distance_m]))


def of(wave_m: float, heading: tuple[float, float]) -> slice:
    """The numbers that tell of a wave: its sine and its cosine."""
    at = 2 * (HEADINGS.index(heading) * len(WAVES_M) + WAVES_M.index(wave_m))
    return slice(at, at + 2)


def squares(told_NFHW: torch.Tensor) -> torch.Tensor:
    """1 on the light and -1 on the dark squares of the toybox's floors, whose sides are half a wave of 2.5 m; 0 at edges and far away."""
    # sin a sin b = (cos(a - b) - cos(a + b)) / 2
    product = told_NFHW[of(2.5, (1.0, -1.0))][1] - told_NFHW[of(2.5, (1.0, 1.0))][1]
    return torch.where(product.abs() > 0.6, -product.sign(), 0.0)


@pytest.fixture(scope="module")
def floor() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How bright a floor of squares is (F, H, W), with its cameras and the distance to what they look at."""
    sample = Toybox().sample(10, (SIZE * 8, SIZE * 8), 5, ground="checker", weather="clear", time="noon", wet=False, move="orbit-left")
    bright = torch.from_numpy(sample.clip.frames_TCHW).float().mean(1)[:, None]
    bright = torch.nn.functional.avg_pool2d(bright, 8)[:, 0]
    return bright, torch.from_numpy(sample.camera_T44)[None], torch.tensor([sample.focus_m])


def follows(bright_FHW: torch.Tensor, told_FHW: torch.Tensor) -> float:
    """Correlation, where something is told."""
    there = told_FHW != 0
    return float(np.corrcoef(bright_FHW[there].numpy(), told_FHW[there].numpy())[0, 1])


def test_squares_are_told_where_the_world_draws_them(floor: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    bright, rows, focus_m = floor
    assert follows(bright, squares(ground.waves(rows, focus_m, SIZE, SIZE)[0])) > 0.5
    wrong = squares(ground.waves(stepped_aside(rows), focus_m, SIZE, SIZE)[0])
    assert follows(bright, wrong) < -0.5, "one square aside all are of the other colour"


def test_a_mirrored_floor_is_seen_from_one_square_beside(floor: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    bright, rows, focus_m = floor
    flipped = torch.from_numpy(mirrored_cameras(rows.numpy()))
    assert follows(bright.flip(-1), squares(ground.waves(flipped, focus_m, SIZE, SIZE)[0])) < -0.5
    assert follows(bright.flip(-1), squares(ground.waves(stepped_aside(flipped), focus_m, SIZE, SIZE)[0])) > 0.5


def test_a_place_has_the_same_waves_from_wherever_it_is_seen() -> None:
    seen = seen_from("track-left", "high")
    told = ground.waves(seen.rows_BF44, seen.focus_B, 64, 64)[0]
    point, far = (part[0] for part in ground.points(seen.rows_BF44, seen.focus_B, 64, 64))
    rows = seen.rows_BF44[0].numpy()
    checked = 0
    for pixel in range(0, 64**2, 7):
        if far[0, pixel]:
            continue
        column, row, _ = camera.project(rows[8:], point[0, pixel][None, None].numpy(), (64, 64))[0, 0]
        i, j = int(row), int(column)
        if 0 <= row < 64 and 0 <= column < 64 and float(told[-1, 0].flatten()[pixel]) < -0.6:  # where pixels are small
            for heading in HEADINGS:
                there = told[of(10.0, heading), 8, i, j]
                assert float((told[of(10.0, heading), 0].flatten(1)[:, pixel] - there).abs().max()) < 0.15
            checked += 1
    assert checked > 100


def test_short_waves_fade_where_pixels_are_coarse_and_the_sky_has_none() -> None:
    seen = seen_from("static")
    told = ground.waves(seen.rows_BF44, seen.focus_B, 64, 64)[0, :, 0]
    near = told[-2]
    assert len(told) == TOLD
    assert set(near.unique().tolist()) == {0.0, 1.0}
    assert not told[:, near == 0].any()
    horizon = int(near[:, 32].argmax())
    for heading in HEADINGS:
        strength = [told[of(wave_m, heading)].norm(dim=0) for wave_m in WAVES_M]
        assert strength[0][-1, 32] > 0.9, "at one's feet all are told"
        assert strength[0][horizon + 1, 32] < 0.3, "half a metre cannot be told there"
        for short, long in itertools.pairwise(strength):
            assert bool((short <= long + 1e-5).all())


def test_without_a_distance_no_ground_is_near() -> None:
    seen = dataclasses.replace(seen_from("static"), focus_B=torch.zeros(1))
    assert not ground.waves(seen.rows_BF44, seen.focus_B, 16, 16).any()
