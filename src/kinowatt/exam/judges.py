"""The judges: what a clip shows, by networks trained on the world's own renders and by optical flow. They know nothing of prompts.

What they say of held-out renders, and of those through the codec, stands beside whatever they say of a model: no score means more
than its ceiling. Legend: T looks (frames at WATCHED_FPS), H W.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kinowatt.clip import Clip
from kinowatt.errors import WeightsError
from kinowatt.exam import flow
from kinowatt.exam.eye import BARE, PARTS, WHOLE, Eye, Sight
from kinowatt.exam.following import followed
from kinowatt.exam.pictures import COLOURS, FIELDS, KINDS, watched
from kinowatt.models import weights
from kinowatt.worlds.toybox.seen import SEEN_TIME

FILE = Path(__file__).with_name("judges.safetensors")
TABLES = {"kinds": KINDS, "colours": COLOURS, **FIELDS}  # what the networks were trained to tell apart
BATCH = 32  # pictures at once
CAMERA_FEATURES = flow.HALVES * (flow.BANDS + 1) * 5
MOOD_FEATURES = 13 + sum(len(FIELDS[name]) for name in WHOLE)


@dataclass(frozen=True)
class Found:
    """A thing that is seen: its colour (None: no colour of its own), its kind, and its height as a share of the frame's."""

    kind: str
    color: str | None
    height: float


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a clip shows."""

    things: tuple[Found, ...]
    fields: Mapping[str, str]  # ground, time, weather, mood, move
    speed: float  # of the picture as a whole, in shares of its side per second
    causes: Mapping[str, float]  # what a mood is made of, measured

    @property
    def height(self) -> float:
        """Of the tallest thing, as a share of the frame's height; 0 where nothing is seen."""
        return max((t.height for t in self.things), default=0.0)

    @property
    def colours(self) -> set[str]:
        """That are seen."""
        return {t.color for t in self.things if t.color}


class Reader(nn.Module):
    """Measured numbers to the logits of a class."""

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, numbers: int, classes: int, width: int = 96) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("spread", torch.ones(numbers))
        self.layers = nn.Sequential(nn.Linear(numbers, width), nn.SiLU(), nn.Dropout(0.3), nn.Linear(width, classes))

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes)."""
        logits: torch.Tensor = self.layers(((x_ND - self.mean) / self.spread).clamp(-6, 6))
        return logits


def signal(frames_NCHW: np.ndarray) -> torch.Tensor:
    """Frames uint8 to what the Eye takes."""
    return torch.from_numpy(np.ascontiguousarray(frames_NCHW)).float() / 127.5 - 1.0


class Judges:
    """The Eye, and two readers: of camera moves from flow, of moods from their causes."""

    def __init__(self) -> None:
        self.eye = Eye()
        self.camera, self.mood = Reader(CAMERA_FEATURES, len(FIELDS["move"])), Reader(MOOD_FEATURES, len(FIELDS["mood"]))
        self.facts: dict[str, Any] = {}
        self.sha256 = "untrained"

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The networks, by name."""
        return {"eye": self.eye, "camera": self.camera, "mood": self.mood}

    def judge(self, clip: Clip) -> Verdict:
        """What a clip of any size and rate shows."""
        looks = watched(clip)
        sights = self.see(looks)
        return self.verdict(looks, sights, *flow.match(looks))

    @torch.inference_mode()
    def see(self, frames_THW3: np.ndarray) -> Sight:
        """All looks of a clip through the Eye."""
        self.eye.eval()
        parts = [self.eye(signal(frames_THW3[i : i + BATCH])) for i in range(0, len(frames_THW3), BATCH)]
        told = {name: torch.cat([getattr(p, name) for p in parts]) for name in PARTS}
        return Sight(**told, whole={name: torch.cat([p.whole[name] for p in parts]) for name in WHOLE})

    @torch.inference_mode()
    def verdict(self, looks: np.ndarray, sight: Sight, flow_PGG2: np.ndarray, sure_PGG: np.ndarray) -> Verdict:
        """From what was seen and how it moved."""
        whole = {name: logits.log_softmax(1).mean(0) for name, logits in sight.whole.items()}
        told = {name: FIELDS[name][int(scores.argmax())] for name, scores in whole.items()}
        self.camera.eval()
        self.mood.eval()
        seen = torch.from_numpy(flow.features(flow_PGG2, sure_PGG).ravel()).float()
        told["move"] = FIELDS["move"][int(self.camera(seen[None]).argmax())]
        found = things(sight)
        speed = flow.speed(flow_PGG2, sure_PGG)
        numbers = causes(looks, len(found), speed)
        told["mood"] = FIELDS["mood"][int(self.mood(mood_numbers(numbers, whole)[None]).argmax())]
        return Verdict(found, told, speed, numbers)

    def save(self, path: Path, facts: dict[str, Any]) -> None:
        """Half precision is enough for judges. `facts` are kept with the classes."""
        tensors = {f"{part}.{k}": v.half() for part, network in self.parts.items() for k, v in network.state_dict().items()}
        weights.save(path, tensors, {"classes": {k: list(v) for k, v in TABLES.items()}, "facts": facts})


@functools.cache
def load(path: Path = FILE) -> Judges:
    """The judges that come with kinowatt. WeightsError if they are not there, or learned another world than this one."""
    if not path.is_file():
        raise WeightsError(f"the exam has no judges at {path.name}; train them with python -m kinowatt.exam.learn")
    tensors, facts = weights.load(path)
    if facts["classes"] != {k: list(v) for k, v in TABLES.items()}:
        raise WeightsError("the judges learned a world with other things in it; train them anew with python -m kinowatt.exam.learn")
    judges = Judges()
    for name, network in judges.parts.items():
        network.load_state_dict({k.removeprefix(f"{name}."): v.float() for k, v in tensors.items() if k.startswith(f"{name}.")})
        network.eval()
    judges.facts, judges.sha256 = facts["facts"], weights.sha256(path)
    return judges


def colour_masks(sight: Sight) -> np.ndarray:
    """Per look and pixel 0 (no thing), 1 + place in COLOURS, or 1 + len(COLOURS) for things without a colour of their own (T, H, W)."""
    said = sight.masks.argmax(1)
    return torch.where(said > BARE, said - BARE, torch.where(said == BARE, len(COLOURS) + 1, 0)).numpy().astype(np.uint8)


def things(sight: Sight) -> tuple[Found, ...]:
    """The things of a clip, the largest first: what is followed through its looks, and seen in SEEN_TIME of them, the captions' own
    rule."""
    seen = [t for t in followed(sight) if len(t.areas) >= SEEN_TIME * len(sight.centres)]
    seen.sort(key=lambda t: -float(np.median(t.areas)))
    return tuple(Found(KINDS[t.kind], COLOURS[t.colour - 1] if t.colour else None, float(np.median(t.heights))) for t in seen)


def causes(looks: np.ndarray, count: int, speed: float) -> dict[str, float]:
    """What a mood is made of: tint, saturation, brightness, contrast, how many things there are, how fast the picture moves."""
    rgb = looks.transpose(0, 2, 3, 1).reshape(-1, 3) / 255.0
    top, bottom = (looks[:, :, part].transpose(0, 2, 3, 1).reshape(-1, 3) / 255.0 for part in (slice(0, 32), slice(-32, None)))
    grey = rgb.mean(1)
    spread = rgb.max(1) - rgb.min(1)
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "darkest": float(np.percentile(grey, 5)),
        "brightest": float(np.percentile(grey, 95)),
        "saturation": float((spread / (rgb.max(1) + 0.02)).mean()),
        "warmth": float((rgb[:, 0] - rgb[:, 2]).mean()),
        "purple": float((rgb[:, 0] + rgb[:, 2] - 2 * rgb[:, 1]).mean()),
        "sky warmth": float((top[:, 0] - top[:, 2]).mean()),
        "sky purple": float((top[:, 0] + top[:, 2] - 2 * top[:, 1]).mean()),
        "ground warmth": float((bottom[:, 0] - bottom[:, 2]).mean()),
        "ground purple": float((bottom[:, 0] + bottom[:, 2] - 2 * bottom[:, 1]).mean()),
        "things": float(count),
        "speed": speed,
    }


def mood_numbers(measured: Mapping[str, float], whole: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The causes of a mood beside the light they stand in: a warm picture means another thing at dusk than at noon."""
    return torch.cat([torch.tensor(list(measured.values())), *(whole[name].exp() for name in WHOLE)])
