"""An order: a request in plain JSON, as it lies in the database until a worker takes it. Orders become Shots here, and nowhere else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np

from kinowatt.clip import Clip
from kinowatt.engine.bridge import Way, bridge
from kinowatt.engine.plan import Plan, fill
from kinowatt.models.specs import ModelSpec
from kinowatt.shot import Anchor, At, Budget, Camera, CameraKey, Shot
from kinowatt.shot import remix as remix_shot

Mode = Literal["create", "remix", "edit", "forward", "backward", "loop", "connect"]
BRIDGES: tuple[Way, ...] = ("forward", "backward", "loop", "connect")
SOFT = ("remix", "edit")
STRENGTH = {"remix": 0.3, "edit": 0.6}  # how firmly the old clip holds, where nothing is said
STAND_IN = Clip(np.zeros((1, 3, 16, 16), np.uint8), fps=16.0)  # for planning: nothing is known of footage but that there is some


@dataclass(frozen=True)
class Source:
    """Footage by its id: an uploaded file or a video of ours."""

    kind: Literal["file", "video"]
    id: str


@dataclass(frozen=True)
class Placed:
    """A source that stands in time."""

    source: Source
    at: At = "start"
    strength: float = 1.0


def _camera_key(row: Mapping[str, Any]) -> CameraKey:
    """A key frame from JSON, which has lists where it has tuples."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return CameraKey(**fields)


@dataclass(frozen=True)
class Order:
    """All that a worker needs to make one video. `sources` are the clips that a bridge, a remix or an edit works on."""

    model: str
    prompt: str
    mode: Mode = "create"
    negative: str = ""
    seconds: float | None = None  # of new footage
    size: tuple[int, int] | None = None
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))
    steps: int | None = None
    guidance: float | None = None
    camera: dict[str, Any] = field(default_factory=dict)
    light: str | None = None
    mood: str | None = None
    anchors: tuple[Placed, ...] = ()
    sources: tuple[Source, ...] = ()
    strength: float | None = None
    cache: int | None = None
    budget_Wh: float | None = None
    budget_gCO2e: float | None = None
    storyboard: tuple[tuple[float, str], ...] = ()
    enlarge: str | None = None
    notes: tuple[str, ...] = ()  # what was said when the order was taken, for example that a reference is cut

    def to_json(self) -> dict[str, Any]:
        """As it lies in the database."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Order:
        """Back from the database."""
        known = {f.name: data[f.name] for f in fields(Order) if f.name in data}
        known["anchors"] = tuple(Placed(Source(**a["source"]), a["at"], a["strength"]) for a in data["anchors"])
        known["sources"] = tuple(Source(**s) for s in data["sources"])
        known["size"] = tuple(data["size"]) if data["size"] else None
        known["notes"] = tuple(data["notes"])
        known["storyboard"] = tuple((second, text) for second, text in data.get("storyboard", ()))
        return Order(**known)

    @property
    def files(self) -> set[str]:
        """Ids of the files it uses."""
        return {s.id for s in (*self.sources, *(a.source for a in self.anchors)) if s.kind == "file"}

    def shot(self, anchors: Sequence[Clip], sources: Sequence[Clip] = ()) -> Shot:
        """The Shot, given the footage of its anchors and, for a remix or an edit, of its source."""
        given = tuple(Anchor(clip, a.at, a.strength) for clip, a in zip(anchors, self.anchors, strict=True))
        shot = Shot(
            self.prompt,
            negative=self.negative,
            seconds=self.seconds,
            size=self.size,
            seed=self.seed,
            steps=self.steps,
            guidance=self.guidance,
            model=self.model,
            anchors=given,
            camera=Camera(**self.camera | {"path": tuple(map(_camera_key, self.camera.get("path", ())))}),
            light=self.light,
            mood=self.mood,
            cache=self.cache,
            storyboard=self.storyboard,
            enlarge=self.enlarge,
            budget=Budget(self.budget_Wh, self.budget_gCO2e),
        )
        if self.mode in SOFT and sources:
            return remix_shot(shot, sources[0], strength=self.strength or STRENGTH[self.mode])
        return shot

    def plan(self, spec: ModelSpec) -> Plan:
        """What would be computed, without any footage. ShotError or PromptError if it cannot be made."""
        return fill(self.shot_as_planned(spec), spec)

    def shot_as_planned(self, spec: ModelSpec) -> Shot:
        """The shot, with stand-ins for its footage."""
        shot = self.shot([STAND_IN] * len(self.anchors), [STAND_IN] * len(self.sources))
        way = next((w for w in BRIDGES if w == self.mode), None)
        if way is not None:
            shot = bridge(shot, [STAND_IN] * len(self.sources), way, spec).shot
        return shot
