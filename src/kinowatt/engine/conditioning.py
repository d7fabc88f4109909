"""Anchors in time become two tensors: what is known, and how noisy each latent frame may get.

The codec is causal: latent 0 holds frame 0, latent k the frames 4k-3..4k and, through the encoder, their past. Footage that does not
start the clip lacks that past, so it is encoded with its first frame held before it, and those warm-up latents are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kinowatt.errors import ShotError
from kinowatt.models.protocols import Codec
from kinowatt.shot import END, START, Anchor

WARM_UP = 2  # latents encoded before an anchor that does not start the clip; they settle the encoder's memory


@dataclass(frozen=True, eq=False)
class Known:
    """What the anchors say about a clip of T frames.

    `latents_1CFHW` and `ceiling_1F` steer the denoiser; `paste` lists (first frame, frames_TCHW uint8) to put back after decoding.
    """

    latents_1CFHW: torch.Tensor
    ceiling_1F: torch.Tensor
    paste: tuple[tuple[int, np.ndarray], ...]


def latent_frames(frames: int, stride: int = 4) -> int:
    """Latent frames F of T = 4k+1 pixel frames."""
    if (frames - 1) % stride:
        raise ShotError(f"{frames} frames do not fit the codec; {(frames - 1) // stride * stride + 1} would")
    return (frames - 1) // stride + 1


def to_signal(frames_TCHW: np.ndarray) -> torch.Tensor:
    """Frames uint8 (T, C, H, W) to (1, C, T, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames_TCHW)).permute(1, 0, 2, 3)[None].float().div(127.5).sub(1.0)


def to_frames(signal_1CTHW: torch.Tensor) -> np.ndarray:
    """(1, C, T, H, W) in [-1, 1] to frames uint8 (T, C, H, W)."""
    scaled = signal_1CTHW[0].float().add(1.0).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(1, 0, 2, 3).contiguous().cpu().numpy()


def first_frame(anchor: Anchor, frames: int, fps: float) -> int:
    """The frame of the shot at which the anchor's first frame stands."""
    if anchor.at == START:
        return 0
    if anchor.at == END:
        return max(frames - anchor.clip.frames, 0)
    start = round(float(anchor.at) * fps)
    if start >= frames:
        raise ShotError(f"an anchor at {anchor.at:g} s lies after the end of the clip; the last frame is at {(frames - 1) / fps:g} s")
    return start


def build(anchors: Sequence[Anchor], codec: Codec, frames: int, height: int, width: int, fps: float) -> Known:
    """Place the anchors (already fitted to this size and rate) in a clip of `frames` frames. Where two overlap, the firmer one counts."""
    t, h, w = codec.stride
    count = latent_frames(frames, t)
    known = torch.zeros(1, codec.channels, count, height // h, width // w)
    ceiling = torch.ones(1, count)
    paste = []
    for anchor in anchors:
        start = first_frame(anchor, frames, fps)
        if anchor.at == END and anchor.clip.frames > frames:
            clip = anchor.clip.cut(anchor.clip.frames - frames, anchor.clip.frames)
        else:
            clip = anchor.clip.cut(0, frames - start)
        if (clip.height, clip.width) != (height, width):
            raise ShotError(f"an anchor of {clip.width}x{clip.height} must be fitted to {width}x{height} first")
        first, latents_1CFHW = encode_anchor(clip.frames_TCHW, start, codec, whole=anchor.strength < 1.0, frames=frames)
        for k in range(latents_1CFHW.shape[2]):
            if 1.0 - anchor.strength < ceiling[0, first + k]:
                ceiling[0, first + k] = 1.0 - anchor.strength
                known[:, :, first + k] = latents_1CFHW[:, :, k].to(known)
        if anchor.strength == 1.0:
            paste.append((start, clip.frames_TCHW))
    return Known(known, ceiling, tuple(paste))


def encode_anchor(frames_TCHW: np.ndarray, start: int, codec: Codec, *, whole: bool, frames: int) -> tuple[int, torch.Tensor]:
    """Encode footage that stands at frame `start`: (index of its first latent, latents 1CFHW).

    Only latents whose frames are all given are returned, unless that would be none (a single image inside a latent) or `whole` is
    asked for (an edit): then the footage is held at its ends to fill the latents that it touches.
    """
    stride, last = codec.stride[0], start + len(frames_TCHW) - 1
    first_latent, last_latent = -(-(start + stride - 1) // stride) if start else 0, last // stride
    if whole or last_latent < first_latent:
        first_latent, last_latent = -(-start // stride), min(-(-last // stride), (frames - 1) // stride)
    begin = 0 if first_latent == 0 else (first_latent - 1 - WARM_UP) * stride
    # Frame numbers of the shot, mapped onto the footage; before its start and after its end it stands still.
    index = np.clip(np.arange(begin, last_latent * stride + 1) - start, 0, len(frames_TCHW) - 1)
    with torch.inference_mode():
        latents = codec.encode(to_signal(frames_TCHW[index]))
    return first_latent, latents[:, :, 0 if first_latent == 0 else 1 + WARM_UP :]


def paste_back(frames_TCHW: np.ndarray, known: Known) -> np.ndarray:
    """Put given pixels back exactly: the codec has only seen them through its latents."""
    out = frames_TCHW.copy()
    for start, given_TCHW in known.paste:
        out[start : start + len(given_TCHW)] = given_TCHW
    return out
