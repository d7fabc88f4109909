"""Optical flow by block matching, and what of it tells a camera's move. Legend: P pairs of frames, G grid cells a side, H W."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

SMALL = 48  # pixels a side of what is matched
REACH = 6  # pixels that a block may have moved between two looks
BLOCK, STRIDE = 8, 4  # of a block, and from block to block, in pixels
BANDS = 4  # rows of the grid are looked at in so many bands: the sky, the horizon, the ground
HALVES = 2  # of the clip


@torch.inference_mode()
def match(frames_THW3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flow (P, G, G, 2) as x, y in shares of the frame's side, and how sure it is (P, G, G) from 0, of frames (T, 3, H, W) uint8.

    Full search over blocks of a small image, with the vertex of a parabola through the least costs.
    """
    small = functional.adaptive_avg_pool2d(torch.from_numpy(frames_THW3).float() / 255.0, SMALL)
    before, after = small[:-1], functional.pad(small[1:], (REACH,) * 4, mode="replicate")
    height, width = small.shape[2:]
    costs = []
    for dy in range(2 * REACH + 1):
        for dx in range(2 * REACH + 1):
            apart = (before - after[:, :, dy : dy + height, dx : dx + width]).abs().mean(1, keepdim=True)
            costs.append(functional.avg_pool2d(apart, BLOCK, STRIDE)[:, 0])
    side = 2 * REACH + 1
    cost_PGGYX = torch.stack(costs, -1).numpy()
    cost_PGGYX = cost_PGGYX.reshape(*cost_PGGYX.shape[:3], side, side)
    # Where nothing tells two displacements apart, the smaller one is the likelier.
    away = np.hypot(*np.meshgrid(np.arange(side) - REACH, np.arange(side) - REACH))
    held = cost_PGGYX + 0.0004 * away
    flat = held.reshape(*held.shape[:3], -1)
    y, x = np.divmod(flat.argmin(-1), side)
    flow = np.stack([x + _vertex(held, y, x, along_x=True), y + _vertex(held, y, x, along_x=False)], -1) - REACH
    sure = cost_PGGYX.mean((-1, -2)) - cost_PGGYX.min((-1, -2))
    return flow / np.array([width, height]), sure


def _vertex(cost_PGGYX: np.ndarray, y: np.ndarray, x: np.ndarray, along_x: bool) -> np.ndarray:
    """Where between pixels the cost is least, by the parabola through three neighbours; 0 at the edge of the search."""
    side = cost_PGGYX.shape[-1]
    p, i, j = np.indices(y.shape)

    def at(step: int) -> np.ndarray:
        yy, xx = (y, np.clip(x + step, 0, side - 1)) if along_x else (np.clip(y + step, 0, side - 1), x)
        return np.asarray(cost_PGGYX[p, i, j, yy, xx])

    low, middle, high = at(-1), at(0), at(1)
    curve = low - 2 * middle + high
    inside = (x > 0) & (x < side - 1) if along_x else (y > 0) & (y < side - 1)
    return np.where(inside & (curve > 1e-9), 0.5 * (low - high) / np.maximum(curve, 1e-9), 0.0)


def features(flow_PGG2: np.ndarray, weight_PGG: np.ndarray) -> np.ndarray:
    """What tells a move: of each half of the clip and each band of rows, dx = a + b x and dy = c + d x, as (halves, bands + 1, 5).

    The last band is the whole frame. The fifth number is how much weight a band has: sky without clouds has none.
    """
    grid = flow_PGG2.shape[1]
    x = np.linspace(-1, 1, grid)
    rows = [slice(round(grid * b / BANDS), round(grid * (b + 1) / BANDS)) for b in range(BANDS)] + [slice(0, grid)]
    out = np.zeros((HALVES, BANDS + 1, 5))
    for half, pairs in enumerate(np.array_split(np.arange(len(flow_PGG2)), HALVES)):
        for band, part in enumerate(rows):
            flow, weight = flow_PGG2[pairs, part], weight_PGG[pairs, part]
            xs = np.broadcast_to(x, weight.shape)
            out[half, band, :2] = _line(xs, flow[..., 0], weight)
            out[half, band, 2:4] = _line(xs, flow[..., 1], weight)
            out[half, band, 4] = weight.mean()
    return out


def _line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted least squares of y = a + b x, cells that are far off the rest left out once."""
    for _ in range(2):
        total = weight.sum() + 1e-9
        mx, my = (weight * x).sum() / total, (weight * y).sum() / total
        slope = (weight * (x - mx) * (y - my)).sum() / ((weight * (x - mx) ** 2).sum() + 1e-3 * total + 1e-9)
        off = np.abs(y - my - slope * (x - mx))
        weight = weight * (off < 2.5 * np.sqrt((weight * off**2).sum() / total) + 1e-6)
    return float(my - slope * mx), float(slope)


def mirrored(features_HB5: np.ndarray) -> np.ndarray:
    """The features of the clip flipped left to right."""
    return np.asarray(features_HB5 * np.array([-1.0, 1.0, 1.0, -1.0, 1.0]))


def speed(flow_PGG2: np.ndarray, weight_PGG: np.ndarray) -> float:
    """Root mean square of the flow, in shares of the frame per pair."""
    return float(np.sqrt((weight_PGG[..., None] * flow_PGG2**2).sum() / (weight_PGG.sum() + 1e-9)))
