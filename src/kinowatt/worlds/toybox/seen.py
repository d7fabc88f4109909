"""What a clip shows: the things and the fields of its scene that a caption may name. Captions are written from it, as often as wanted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinowatt.worlds.toybox.camera import Path
from kinowatt.worlds.toybox.physics import Motion, Thing
from kinowatt.worlds.toybox.scene import Scene

SEEN_SHARE = 0.002  # of the frame's pixels, where a thing is seen at all
SEEN_TIME = 0.25  # of the frames
HILLS, WATER = 65, 66
MIRRORING = ("pavement", "checker")  # grounds that are seen to be wet
MIRROR = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Seen:
    """What a caption may say: things by visible share, and the fields of the scene that the picture shows."""

    things: tuple[Thing, ...]
    event: str | None
    heading: str | None  # of what moves sideways, in the picture
    speed: str | None
    fields: dict[str, str]  # slot of the lexicon to value

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return dataclasses.asdict(self) | {"things": [dataclasses.asdict(thing) for thing in self.things]}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Seen:
        """What `to_json` gave; keys that are not known here are left out."""
        known = {f.name for f in dataclasses.fields(Thing)}
        things = tuple(Thing(**{k: v for k, v in row.items() if k in known}) for row in data["things"])
        return Seen(things, data["event"], data["heading"], data["speed"], dict(data["fields"]))


def mirrored(seen: Seen) -> Seen:
    """What a clip shows when it is flipped left to right: directions and sideways moves of the camera change sides."""
    turned = dict(seen.fields)
    family, _, side = turned.get("move", "").partition("-")
    if side in MIRROR:
        turned["move"] = f"{family}-{MIRROR[side]}"
    return replace(seen, heading=MIRROR.get(seen.heading or ""), fields=turned)


def look(scene: Scene, motion: Motion, path: Path, raw_THW: np.ndarray) -> Seen:
    """Judge from the id masks what is visible."""
    pixels = raw_THW[0].size
    counts = np.stack([np.bincount(frame.ravel(), minlength=256) for frame in raw_THW])
    share = counts / pixels
    visible = [k for k in range(len(motion.things)) if (share[:, k + 1] > SEEN_SHARE).mean() >= SEEN_TIME]
    things = tuple(motion.things[k] for k in visible)
    fields = {"shot": path.shot, "lens": str(scene.lens_mm), "move": scene.move, "time": scene.time}
    if share[:, 0].mean() > 0.04 or scene.weather in ("fog", "overcast", "rain", "snowfall"):
        fields["weather"] = scene.weather
    if share[:, 64:67].sum(1).mean() > 0.04:
        fields["ground"] = scene.ground
        if scene.wet and scene.ground in MIRRORING:
            fields["surface"] = "wet"
    if not scene.move.startswith(("orbit", "crane")) and scene.move != "flyover":
        fields["angle"] = scene.angle
    if scene.mood:
        fields["mood"] = scene.mood
    if scene.beach and share[:, WATER].mean() > 0.01:
        fields["place"] = "beach"
    elif share[:, HILLS].mean() > 0.01:
        fields["place"] = "hills"
    happens = {"turbine": "turn", "solar": None}.get(scene.event, scene.event) if things else None
    if happens == "collide" and len(things) < 2:
        happens = None  # the other one is out of the picture
    heading = None
    if happens in ("roll", "collide", "projectile", "domino", "wind"):
        right = path.rows_T44[len(path.rows_T44) // 2, 1, 0]  # things move along x
        heading = "right" if right * scene.heading > 0 else "left"
    says_speed = happens in ("roll", "collide", "projectile", "turn", "wind") and scene.speed != "normal"
    return Seen(things, happens, heading, scene.speed if says_speed else None, fields)
