"""Where things are from frame to frame, in pictures and in the world: centroids of masks, and rays back into the plane of a motion.

Legend: T frames, K things. Pixels are shares of the frame: x to the right, y down, 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinowatt.clip import Clip
from kinowatt.exam.judges import Judges, colour_masks
from kinowatt.exam.pictures import COLOURS, SIDE
from kinowatt.media.image import fit
from kinowatt.worlds.toybox import Sample
from kinowatt.worlds.toybox.seen import SEEN_SHARE


@dataclass(frozen=True, eq=False)
class Tracks:
    """Of each thing of a scene its centroid (T, K, 2) and its share of the frame (T, K). A thing that is lost stays where it was last
    seen (in the middle, if never), with a share of 0."""

    centres_TK2: np.ndarray
    share_TK: np.ndarray


def exact(sample: Sample) -> Tracks:
    """By the world's own masks."""
    return _tracked(np.stack([sample.ids_THW == k + 1 for k in things(sample)], 1))


def seen(sample: Sample, clip: Clip, judges: Judges) -> Tracks:
    """By the judge's masks: the things of the scene, each known by its colour."""
    masks = colour_masks(judges.see(fit(clip, SIDE, SIDE)[0].frames_TCHW))
    colours = [1 + COLOURS.index(sample.motion.things[k].color or "") for k in things(sample)]
    return _tracked(np.stack([masks == c for c in colours], 1))


def things(sample: Sample) -> list[int]:
    """Places in the scene's list of the things that have a colour of their own, by which they can be told apart."""
    named = [t.color for t in sample.motion.things]
    return [k for k, colour in enumerate(named) if colour and named.count(colour) == 1]


def _tracked(masks_TKHW: np.ndarray) -> Tracks:
    height, width = masks_TKHW.shape[2:]
    mass = masks_TKHW.sum((2, 3)).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = (masks_TKHW.sum(2) * (np.arange(width) + 0.5)).sum(2) / mass / width
        y = (masks_TKHW.sum(3) * (np.arange(height) + 0.5)).sum(2) / mass / height
    centres, share = np.stack([x, y], -1), mass / (height * width)
    lost = share < SEEN_SHARE / 2
    last = np.full(centres.shape[1:], 0.5)
    for row, gone in zip(centres, lost, strict=True):
        row[gone] = last[gone]
        last = row
    return Tracks(centres, np.where(lost, 0.0, share))


def apart(a: Tracks, b: Tracks, frames: slice) -> float:
    """Mean distance of the same things, in shares of the frame's side."""
    return float(np.linalg.norm(a.centres_TK2[frames] - b.centres_TK2[frames], axis=-1).mean())


def world(sample: Sample, tracks: Tracks) -> np.ndarray:
    """Tracks as points of the world (T, K, 3) in metres, on the upright plane in which each thing of the scene moves.

    A picture has no depth: that a thing stays in the plane of its true motion is assumed of every clip alike.
    """
    out = np.zeros((*tracks.share_TK.shape, 3))
    aspect = sample.clip.width / sample.clip.height
    for place, k in enumerate(things(sample)):
        path = sample.motion.centers_TK3[:, k]
        for t, row in enumerate(sample.camera_T44):
            pos, focal, right, up, forward = row[0, :3], row[0, 3], row[1, :3], row[2, :3], row[3, :3]
            x, y = tracks.centres_TK2[t, place]
            ray = forward + right * ((2 * x - 1) * aspect / focal) + up * ((1 - 2 * y) / focal)
            normal = _plane(path, forward)
            out[t, place] = pos + ray * (normal @ (path[0] - pos)) / (normal @ ray)
    return out


def _plane(path_T3: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """The level normal of the upright plane along which a thing moves; where it moves straight down, of the one that faces the camera."""
    along = path_T3[-1] - path_T3[0]
    along[2] = 0.0
    level = np.array([forward[0], forward[1], 0.0])
    level /= np.linalg.norm(level)
    length = float(np.linalg.norm(along))
    if length < 0.3:
        return level
    normal = np.array([-along[1], along[0], 0.0]) / length
    # Seen along its own plane, nothing could be told.
    return normal if abs(normal @ level) > 0.5 else level
