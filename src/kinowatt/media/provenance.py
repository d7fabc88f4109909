"""The label: what was asked, what made it, and what it cost, inside the MP4's own metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kinowatt
from kinowatt.errors import MediaError
from kinowatt.media.video import read_metadata
from kinowatt.shot import Shot

TAG = "kinowatt"  # key of the JSON label among the file's tags


def shot_to_json(shot: Shot) -> dict[str, Any]:
    """A shot as JSON; footage stands as its shape, place and hash."""
    return {
        "prompt": shot.prompt,
        "negative": shot.negative,
        "model": shot.model,
        "seconds": shot.seconds,
        "size": shot.size,
        "seed": shot.seed,
        "steps": shot.steps,
        "guidance": shot.guidance,
        "light": shot.light,
        "mood": shot.mood,
        "camera": {k: v for k, v in vars(shot.camera).items() if v is not None},
        "anchors": [
            {
                "at": a.at,
                "strength": a.strength,
                "frames": a.clip.frames,
                "size": (a.clip.width, a.clip.height),
                "sha256": hashlib.sha256(a.clip.frames_TCHW.tobytes()).hexdigest(),
            }
            for a in shot.anchors
        ],
    }


def stamp(shot: Shot, energy: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a clip: the label as JSON, and a title and comment that any player shows."""
    label = {"version": kinowatt.__version__, "shot": shot_to_json(shot), "energy": energy, **facts}
    spent = energy["total_Wh"]
    said = "energy not measured" if spent is None else f"{spent:.4g} Wh, {energy['carbon_gCO2e']:.3g} g CO2e"
    return {
        TAG: json.dumps(label, ensure_ascii=False),
        "title": shot.prompt[:200],
        "comment": f"Made by a generative model (kinowatt, {shot.model}); {said}",
    }


def read_label(path: Path) -> dict[str, Any]:
    """The label of a clip. MediaError if it has none."""
    tags = {key.lower(): value for key, value in read_metadata(path).items()}
    if TAG not in tags:
        raise MediaError(f"{path} carries no kinowatt label; it was made elsewhere, or a tool has removed its metadata")
    try:
        label: dict[str, Any] = json.loads(tags[TAG])
        return {**label, "shot": label["shot"], "energy": label["energy"]}
    except (json.JSONDecodeError, KeyError, TypeError) as e:
        raise MediaError(f"the kinowatt label of {path} is damaged") from e
