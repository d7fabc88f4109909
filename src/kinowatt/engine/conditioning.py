"""Anchors in time become two tensors: what is known, and how noisy each latent frame may get.

The codec is causal: latent 0 holds frame 0, latent k the frames 4k-3..4k and, through the encoder, their past. Footage that does not
start the clip lacks that past, so it is encoded with its first frame held before it, and those warm-up latents are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from kinowatt.errors import ShotError
from kinowatt.models.protocols import Codec
from kinowatt.shot import END, OUTSIDE, START, Anchor

FADE_FRAMES = 8  # beside given pixels, into which what the codec loses of them fades
STILL = 12.0  # grey values by which a place changes when a third of its details is kept
WARM_UP = 2  # latents encoded before an anchor that does not start the clip; they settle the encoder's memory
OUTSIDE_FRAMES = 9  # of a reference outside of time: enough to know a face, cheap enough to carry through every step


@dataclass(frozen=True, eq=False)
class Known:
    """What the anchors say about a clip: `latents_1CFHW` and `ceiling_1F` steer the denoiser.

    The last `outside` latents stand outside of time: the network sees them, the clip does not have them.
    """

    latents_1CFHW: torch.Tensor
    ceiling_1F: torch.Tensor
    outside: int = 0


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


def placed(anchors: Sequence[Anchor], frames: int, fps: float) -> list[tuple[int, Anchor]]:
    """Every anchor inside the clip, with the frame where it starts, cut to what lies within."""
    out = []
    for anchor in anchors:
        if anchor.at == OUTSIDE:
            continue
        start, length = first_frame(anchor, frames, fps), anchor.clip.frames
        begin = length - frames if anchor.at == END and length > frames else 0
        out.append((start, replace(anchor, clip=anchor.clip.cut(begin, begin + frames - start))))
    return out


def build(anchors: Sequence[Anchor], codec: Codec, frames: int, height: int, width: int, fps: float) -> Known:
    """Place the anchors (already fitted to this size and rate) in a clip of `frames` frames. Where two overlap, the firmer one counts."""
    t, h, w = codec.stride
    count = latent_frames(frames, t)
    for anchor in anchors:
        if (anchor.clip.height, anchor.clip.width) != (height, width):
            raise ShotError(f"an anchor of {anchor.clip.width}x{anchor.clip.height} must be fitted to {width}x{height} first")
    known = torch.zeros(1, codec.channels, count, height // h, width // w)
    ceiling = torch.ones(1, count)
    for start, anchor in placed(anchors, frames, fps):
        first, latents_1CFHW = encode_anchor(anchor.clip.frames_TCHW, start, codec, whole=anchor.strength < 1.0, frames=frames)
        latents_1CFHW = _its_own(latents_1CFHW.to(known), anchor)
        for k in range(latents_1CFHW.shape[2]):
            if 1.0 - anchor.strength < ceiling[0, first + k]:
                ceiling[0, first + k] = 1.0 - anchor.strength
                known[:, :, first + k] = latents_1CFHW[:, :, k]
    beside = [_outside(anchor, codec).to(known) for anchor in anchors if anchor.at == OUTSIDE]
    outside = sum(part.shape[2] for part in beside)
    levels = [
        torch.full((1, part.shape[2]), 1.0 - a.strength) for part, a in zip(beside, (a for a in anchors if a.at == OUTSIDE), strict=True)
    ]
    return Known(torch.cat([known, *beside], 2), torch.cat([ceiling, *levels], 1), outside)


def _its_own(encoded_1CFHW: torch.Tensor, anchor: Anchor) -> torch.Tensor:
    """The latents that the model made itself in place of those encoded anew.

    Latent 0 holds one frame, so of a longer clip's latents only those after the anchor's first fit the grid of the new one.
    """
    if anchor.latents_CFHW is None:
        return encoded_1CFHW
    own = torch.from_numpy(anchor.latents_CFHW)[None].to(encoded_1CFHW)
    if own.shape[3:] != encoded_1CFHW.shape[3:]:
        raise ShotError("the clip's latents are of another size than the shot; make the shot in the size of the clip")
    count = encoded_1CFHW.shape[2] - (0 if own.shape[2] == encoded_1CFHW.shape[2] else 1)
    return torch.cat([encoded_1CFHW[:, :, : encoded_1CFHW.shape[2] - count], own[:, :, own.shape[2] - count :]], 2)


def _outside(anchor: Anchor, codec: Codec) -> torch.Tensor:
    """Footage outside of time as latents: at most OUTSIDE_FRAMES frames from its middle."""
    clip = anchor.clip
    frames = (min(clip.frames, OUTSIDE_FRAMES) - 1) // codec.stride[0] * codec.stride[0] + 1
    begin = (clip.frames - frames) // 2
    with torch.inference_mode():
        return codec.encode(to_signal(clip.frames_TCHW[begin : begin + frames]))


def encode_anchor(frames_TCHW: np.ndarray, start: int, codec: Codec, *, whole: bool, frames: int) -> tuple[int, torch.Tensor]:
    """Encode footage that stands at frame `start`: (index of its first latent, latents 1CFHW).

    Only latents whose frames are all given are returned, unless that would be none (a single image inside a latent) or `whole` is
    asked for (an edit): then the footage is held at its ends to fill the latents that it touches.
    """
    stride, last = codec.stride[0], start + len(frames_TCHW) - 1
    # A latent of a codec without memory holds its last frame alone.
    held = 1 if codec.memoryless else stride
    first_latent, last_latent = -(-(start + held - 1) // stride) if start else 0, last // stride
    if whole or last_latent < first_latent:
        first_latent, last_latent = -(-start // stride), min(-(-last // stride), (frames - 1) // stride)
    begin = 0 if first_latent == 0 else (first_latent - 1 - WARM_UP) * stride
    # Frame numbers of the shot, mapped onto the footage; before its start and after its end it stands still.
    index = np.clip(np.arange(begin, last_latent * stride + 1) - start, 0, len(frames_TCHW) - 1)
    with torch.inference_mode():
        latents = codec.encode(to_signal(frames_TCHW[index]))
    return first_latent, latents[:, :, 0 if first_latent == 0 else 1 + WARM_UP :]


def hand_over(frames_TCHW: np.ndarray, given: Sequence[tuple[int, Anchor]]) -> None:
    """Give what the codec has lost of given pixels to the frames beside them, in place, before those pixels are pasted back.

    Else the picture would turn softer, and often into another tint, from one frame to the next. The mean colour is carried on as it is,
    details where nothing moves, neither in the given frames nor since; both fade within FADE_FRAMES.
    """
    hard = [(start, anchor.clip.frames_TCHW) for start, anchor in given if anchor.strength == 1.0]
    known = {frame for start, clip in hard for frame in range(start, start + len(clip))}
    lost = {}
    for start, clip in hard:
        for edge, way in ((start, -1), (start + len(clip) - 1, 1)):
            coded = frames_TCHW[edge].astype(np.float32)
            last, earlier = clip[edge - start].astype(np.float32), clip[edge - start - way * min(4, len(clip) - 1)]
            lost[edge, way] = coded, last - coded, np.exp(-np.abs(last - earlier).mean(axis=0) / STILL)
    for (edge, way), (coded, left, stood) in lost.items():
        tint = left.mean(axis=(1, 2), keepdims=True)
        for away in range(1, FADE_FRAMES + 1):
            frame = edge + way * away
            if frame in known or not 0 <= frame < len(frames_TCHW):
                break
            now = frames_TCHW[frame].astype(np.float32)
            still = stood * np.exp(-np.abs(now - coded).mean(axis=0) / STILL)
            now += (tint + (left - tint) * still) * (0.5 + 0.5 * np.cos(np.pi * away / (FADE_FRAMES + 1)))
            frames_TCHW[frame] = now.round().clip(0, 255).astype(np.uint8)


def paste_back(frames_TCHW: np.ndarray, given: Sequence[tuple[int, Anchor]]) -> None:
    """Put given pixels back exactly, in place: the codec has only seen them through its latents."""
    for start, anchor in given:
        if anchor.strength == 1.0:
            frames_TCHW[start : start + anchor.clip.frames] = anchor.clip.frames_TCHW
