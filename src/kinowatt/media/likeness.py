"""How alike two clips are: PSNR and SSIM, of a cheaper take against the exact one. Legend: T frames, C channels, H W."""

from __future__ import annotations

import math

import numpy as np

PEAK = 255.0
SIDE, SIGMA = 11, 1.5  # the window of SSIM, in pixels


def psnr_dB(a_TCHW: np.ndarray, b_TCHW: np.ndarray) -> float:
    """Peak signal-to-noise ratio of uint8 clips of one shape, over all their pixels; infinite where they are equal."""
    assert a_TCHW.shape == b_TCHW.shape
    square = float(np.mean((a_TCHW.astype(np.float64) - b_TCHW) ** 2))
    return math.inf if square == 0 else 10.0 * math.log10(PEAK**2 / square)


def ssim(a_TCHW: np.ndarray, b_TCHW: np.ndarray) -> float:
    """Structural similarity of uint8 clips of one shape, sides of at least 11 pixels; 1 where they are equal.

    Wang et al. 2004 (IEEE TIP 13(4), eq. 13): a Gaussian window where it lies inside the picture; mean over channels and frames.
    """
    assert a_TCHW.shape == b_TCHW.shape
    assert min(a_TCHW.shape[2:]) >= SIDE
    return float(np.mean([_ssim(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(a_TCHW, b_TCHW, strict=True)]))


def _ssim(a_CHW: np.ndarray, b_CHW: np.ndarray) -> float:
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_a, mean_b = _windowed(a_CHW), _windowed(b_CHW)
    var_a, var_b = _windowed(a_CHW**2) - mean_a**2, _windowed(b_CHW**2) - mean_b**2
    shared = _windowed(a_CHW * b_CHW) - mean_a * mean_b
    top = (2 * mean_a * mean_b + c1) * (2 * shared + c2)
    return float(np.mean(top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def _windowed(x_CHW: np.ndarray) -> np.ndarray:
    """Weighted mean of each window (C, H - 10, W - 10): down the rows, then along them."""
    weight = np.exp(-0.5 * ((np.arange(SIDE) - SIDE // 2) / SIGMA) ** 2)
    weight /= weight.sum()
    height, width = x_CHW.shape[1] - SIDE + 1, x_CHW.shape[2] - SIDE + 1
    rows = sum(w * x_CHW[:, i : i + height] for i, w in enumerate(weight))
    return np.asarray(sum(w * rows[:, :, i : i + width] for i, w in enumerate(weight)))
