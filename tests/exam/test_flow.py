"""Optical flow finds known motions, and its features turn round with the picture."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from kinowatt.exam import flow


def texture(seed: int = 0, side: int = 160) -> torch.Tensor:
    noise = torch.rand(1, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(noise, size=(side, side), mode="bicubic").clamp(0, 1)


def frames(shift_x: float = 0.0, shift_y: float = 0.0, zoom: float = 1.0, count: int = 5) -> np.ndarray:
    """A textured plane; shifts in pixels per frame, zoom per frame."""
    made = []
    for t in range(count):
        scale = 0.6 / zoom**t
        theta = torch.tensor([[[scale, 0, -2 * shift_x * t / 160], [0, scale, -2 * shift_y * t / 160]]])
        grid = functional.affine_grid(theta, [1, 3, 96, 96], align_corners=False)
        made.append(functional.grid_sample(texture(), grid, align_corners=False)[0])
    return (torch.stack(made) * 255).round().byte().numpy()


def test_a_shift_is_found_below_a_pixel() -> None:
    found, sure = flow.match(frames(shift_x=2.3, shift_y=-1.4))
    want = np.array([2.3, -1.4]) / 0.6 / 160  # shares of the frame: the plane is seen through a window of 0.6
    assert np.median(found.reshape(-1, 2), 0) == pytest.approx(want, abs=0.003)
    assert (sure > 0).all()
    assert flow.speed(found, sure) == pytest.approx(np.hypot(*want), rel=0.2)


def test_zooming_in_spreads_the_picture() -> None:
    lines = flow.features(*flow.match(frames(zoom=1.06)))
    assert (lines[:, -1, 1] > 0.02).all(), "what is to the right moves to the right"
    top, bottom = lines[:, 0, 2], lines[:, -2, 2]
    assert (top < -0.01).all()
    assert (bottom > 0.01).all()


def test_a_still_picture_stands_still() -> None:
    found, _ = flow.match(frames())
    assert np.abs(found).max() < 0.003


def test_features_turn_round_with_the_picture() -> None:
    seen = frames(shift_x=3.0, shift_y=1.0, zoom=1.03)
    there = flow.features(*flow.match(seen))
    back = flow.features(*flow.match(np.ascontiguousarray(seen[..., ::-1])))
    assert back[..., :4] == pytest.approx(flow.mirrored(there)[..., :4], abs=0.004)
