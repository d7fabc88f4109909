"""An order: a request in plain JSON, as it lies in the database until a worker takes it. Orders become Shots here, and nowhere else."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np

from kinowatt.clip import Clip
from kinowatt.engine.bridge import Way, bridge
from kinowatt.engine.plan import Plan, fill
from kinowatt.models.specs import ModelSpec
from kinowatt.shot import Anchor, At, Camera, Shot
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
    budget_Wh: float | None = None
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
            camera=Camera(**self.camera),
            light=self.light,
            mood=self.mood,
        )
        if self.mode in SOFT and sources:
            return remix_shot(shot, sources[0], strength=self.strength or STRENGTH[self.mode])
        return shot

    def plan(self, spec: ModelSpec) -> Plan:
        """What would be computed, without any footage. ShotError or PromptError if it cannot be made."""
        shot = self.shot([STAND_IN] * len(self.anchors), [STAND_IN] * len(self.sources))
        way = next((w for w in BRIDGES if w == self.mode), None)
        if way is not None:
            shot = bridge(shot, [STAND_IN] * len(self.sources), way, spec).shot
        return fill(shot, spec)


def work(plan: Plan, spec: ModelSpec) -> float:
    """How much a plan asks of the network: tokens times steps times passes per step. What energy and time are predicted from."""
    tokens = ((plan.frames - 1) // 4 + 1) * plan.canvas_width * plan.canvas_height / spec.grid**2
    return tokens * float(plan.shot.steps or 1) * (1.0 if plan.shot.guidance == 1.0 else 2.0)


@dataclass(frozen=True)
class Prediction:
    """Energy and time before the event, from what like jobs have cost on this server."""

    Wh: float | None
    p10_Wh: float | None
    p90_Wh: float | None
    seconds: float
    how: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in answers."""
        return {k: round(v, 9) if isinstance(v, float) else v for k, v in asdict(self).items()}


def predict(amount: float, history: Sequence[tuple[float, float | None, float]]) -> Prediction | None:
    """From (work, Wh, seconds) of finished jobs: the ratios of the nearest in size, by their median. None without history."""
    near = sorted((row for row in history if row[0] > 0), key=lambda row: abs(math.log(row[0] / amount)))[:12]
    if not near:
        return None
    seconds = float(np.median([s / w for w, _, s in near])) * amount
    ratios = [wh / w for w, wh, _ in near if wh is not None]
    clips = "one finished clip" if len(near) == 1 else f"median of the {len(near)} finished clips nearest in size"
    how = f"{clips} on this server"
    if not ratios:
        return Prediction(None, None, None, seconds, how)
    low, middle, high = (float(q) * amount for q in np.quantile(ratios, (0.1, 0.5, 0.9)))
    return Prediction(middle, low, high, seconds, how)
