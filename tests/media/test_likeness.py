"""PSNR and SSIM are what their equations say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kinowatt.media.likeness import psnr_dB, ssim


def clip(seed: int, frames: int = 2, size: tuple[int, int] = (24, 30)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 3, *size), dtype=np.uint8)


def test_psnr_by_hand() -> None:
    a = np.full((1, 3, 16, 16), 100, np.uint8)
    b = a + np.uint8(5)
    assert psnr_dB(a, b) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr_dB(b, a) == psnr_dB(a, b)
    assert psnr_dB(a, a) == math.inf


def test_ssim_of_one_window_is_the_equation() -> None:
    a, b = clip(0, 1, (11, 11)), clip(1, 1, (11, 11))
    at = np.arange(11) - 5
    weight = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    wanted = []
    for x, y in zip(a[0].astype(float), b[0].astype(float), strict=True):
        mx, my = (weight * x).sum(), (weight * y).sum()
        vx, vy, xy = ((weight * p).sum() for p in ((x - mx) ** 2, (y - my) ** 2, (x - mx) * (y - my)))
        c1, c2 = 2.55**2, 7.65**2
        wanted.append((2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert ssim(a, b) == pytest.approx(np.mean(wanted), abs=1e-12)


def test_ssim_falls_with_noise_and_with_blur() -> None:
    smooth = np.broadcast_to((np.sin(np.arange(30) / 4) * 60 + 120)[None, None, None], (2, 3, 24, 30)).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 1, smooth.shape)
    little, much = (np.clip(smooth + s * noise, 0, 255).astype(np.uint8) for s in (3, 20))
    assert ssim(smooth, smooth) == 1.0
    assert 1.0 > ssim(smooth, little) > ssim(smooth, much) > 0.0
    # Brightness alone counts little in SSIM, as much as any error in PSNR.
    brighter = smooth + np.uint8(20)
    assert ssim(smooth, brighter) > 0.9 > ssim(smooth, much)
    assert abs(psnr_dB(smooth, brighter) - psnr_dB(smooth, much)) < 1
