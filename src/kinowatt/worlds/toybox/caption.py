"""Captions, in English and Chinese, that name only what is seen. Every word comes from the shot lexicon."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import numpy as np

from kinowatt.language import LEXICON, plural, simplified
from kinowatt.worlds.toybox.camera import Path
from kinowatt.worlds.toybox.physics import Motion, Thing
from kinowatt.worlds.toybox.scene import Scene

SEEN_SHARE = 0.002  # of the frame's pixels, where a thing is seen at all
SEEN_TIME = 0.25  # of the frames
HILLS, WATER = 65, 66
PLURAL = {"ball": "balls", "cube": "cubes", "cylinder": "cylinders", "cone": "cones", "turbine": "wind turbines", "panel": "solar panels"}
UNIT = {"turbine": "座", "panel": "塊", "domino": "張"}


@dataclass(frozen=True)
class Seen:
    """What a caption may say: things by visible share, and the fields of the scene that the picture shows."""

    things: tuple[Thing, ...]
    event: str | None
    heading: str | None  # of what moves sideways, in the picture
    speed: str | None
    fields: dict[str, str]


def look(scene: Scene, motion: Motion, path: Path, raw_THW: np.ndarray) -> Seen:
    """Judge from the id masks what is visible."""
    frames, pixels = raw_THW.shape[0], raw_THW[0].size
    counts = np.stack([np.bincount(frame.ravel(), minlength=256) for frame in raw_THW])
    share = counts / pixels
    visible = [k for k in range(len(motion.things)) if (share[:, k + 1] > SEEN_SHARE).mean() >= SEEN_TIME]
    things = tuple(motion.things[k] for k in visible)
    fields = {"shot": path.shot, "lens": str(scene.lens_mm), "move": scene.move, "time": scene.time}
    if share[:, 0].mean() > 0.04 or scene.weather in ("fog", "overcast"):
        fields["weather"] = scene.weather
    if share[:, 64:67].sum(1).mean() > 0.04:
        fields["ground"] = scene.ground
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
    if happens in ("roll", "collide", "projectile", "domino"):
        right = path.rows_T44[frames // 2, 1, 0]  # things move along x
        heading = "right" if right * scene.heading > 0 else "left"
    says_speed = happens in ("roll", "collide", "projectile", "turn") and scene.speed != "normal"
    return Seen(things, happens, heading, scene.speed if says_speed else None, fields)


def write(seen: Seen, *, seed: int, language: str = "en", full: bool = False) -> str:
    """One caption. `language`: en, zh-Hant or zh-Hans. Not `full`: a random part of the fields is left out."""
    r = random.Random(seed)
    english = language == "en"
    kept = dict(seen.fields)
    if not full:
        drop = r.choice((0.1, 0.3, 0.6, 0.85))
        kept = {slot: value for slot, value in kept.items() if r.random() > (0.8 if slot in ("lens", "angle") else drop)}
    elif kept.get("angle") == "eye":
        kept.pop("angle")
    main = _english(seen, r, kept) if english else _chinese(seen, r, kept)
    kept.pop("ground", None)
    rest = [_phrase(slot, value, r, english) for slot, value in kept.items()]
    if not full:
        r.shuffle(rest)
    first = 0 if full or r.random() < 0.6 else min(r.randint(1, 2), len(rest))
    parts = [p for p in (*rest[:first], main, *rest[first:]) if p]
    if not parts:  # nothing seen and nothing kept: say at least the time of day
        parts = [_phrase("time", seen.fields["time"], r, english)]
    if english:
        text = ", ".join(parts)
        return text[0].upper() + text[1:] + "."
    text = "，".join(parts) + "。"
    return simplified(text) if language == "zh-Hans" else text


def _phrase(slot: str, value: str, r: random.Random, english: bool) -> str:
    """A phrase for a value; a direction or the kind of aerial move is sometimes left open."""
    if slot == "move" and r.random() < 0.2:
        family = value.split("-")[0]
        value = "aerial" if family in ("orbit", "flyover") and r.random() < 0.6 else family if family in LEXICON["move"] else value
    words = LEXICON[slot][value]
    return r.choice(words.english if english else words.chinese)


def _look_of(thing: Thing) -> tuple[tuple[str, str], ...]:
    slots: list[tuple[str, str]] = []
    if thing.material and thing.kind != "domino":
        slots.append(("material", thing.material))
    if thing.size_m and thing.kind in ("ball", "cube", "cylinder", "cone"):
        slots += [("size", "small")] if thing.size_m < 0.28 else [("size", "large")] if thing.size_m > 0.37 else []
    if thing.striped:
        slots.append(("pattern", "striped"))
    if thing.color:
        slots.append(("color", thing.color))
    return tuple(slots)


def _name(thing: Thing, r: random.Random, english: bool) -> str:
    """A name such as "a shiny red ball": the colour is nearly always said, the rest half the time."""
    said = [(slot, value) for slot, value in _look_of(thing) if r.random() < {"color": 0.95}.get(slot, 0.5)]
    words = [_phrase(slot, value, r, english) for slot, value in said] + [_phrase("kind", thing.kind, r, english)]
    if english:
        return ("an " if words[0][0] in "aeio" else "a ") + " ".join(words)
    return "一個" + "的".join(["".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _group(seen: Seen, r: random.Random, english: bool) -> str:
    """All things seen: one by one, or counted where they are of one kind."""
    kinds = Counter(t.kind for t in seen.things)
    kind, n = kinds.most_common(1)[0]
    uniform = kind in ("domino", "turbine", "panel")
    if not uniform and (n == 1 or len(kinds) > 1 or r.random() < 0.7):
        names = [_name(t, r, english) for t in seen.things]
        if english:
            return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
        return "和".join(names)
    colors = {t.color for t in seen.things}
    color = _phrase("color", next(iter(colors)) or "", r, english) if len(colors) == 1 and None not in colors else ""
    if n == 1:
        noun = "wind turbine" if kind == "turbine" else "solar panel" if kind == "panel" else LEXICON["kind"][kind].english[0]
        return f"a {noun}" if english else f"一{UNIT.get(kind, '個')}{LEXICON['kind'][kind].chinese[0]}"
    if english:
        noun = "dominoes" if kind == "domino" else PLURAL[kind]
        return " ".join(w for w in (LEXICON["count"][str(n)].english[0], color, noun) if w)
    number = LEXICON["count"][str(n)].chinese[0]
    return f"{number}{UNIT.get(kind, '個')}{color}{LEXICON['kind'][kind].chinese[0]}"


def _english(seen: Seen, r: random.Random, kept: dict[str, str]) -> str:
    where = ""
    if "ground" in kept:
        noun = _phrase("ground", kept["ground"], r, True)
        where = " on the " + noun if r.random() < 0.8 or kept["ground"] == "sea" else " over the " + noun
    if not seen.things:
        return where.strip()
    if seen.event is None:
        return _group(seen, r, True) + where
    doing = _phrase("event", seen.event, r, True)
    if len(seen.things) > 1:
        doing = plural(doing)
    if seen.speed and r.random() < 0.6:
        doing += " " + _phrase("speed", seen.speed, r, True)
    if seen.heading and seen.event != "collide" and r.random() < 0.6:
        doing += " " + _phrase("heading", seen.heading, r, True)
    if seen.event == "collide":
        first, *others = [_name(t, r, True) for t in seen.things]
        doing = _phrase("event", "collide", r, True)
        return f"{first} {doing} {' and '.join(others)}{where}"
    return f"{_group(seen, r, True)} {doing}{where}"


def _chinese(seen: Seen, r: random.Random, kept: dict[str, str]) -> str:
    where = _phrase("ground", kept["ground"], r, False) + "上" if "ground" in kept else ""
    if not seen.things:
        return where
    if seen.event is None:
        return where + _group(seen, r, False)
    how = _phrase("speed", seen.speed, r, False) if seen.speed and r.random() < 0.6 else ""
    if seen.event == "collide":
        first, *others = [_name(t, r, False) for t in seen.things]
        return f"{where}{first}{_phrase('event', 'collide', r, False)}{'和'.join(others)}"
    to = _phrase("heading", seen.heading, r, False) if seen.heading and r.random() < 0.6 else ""
    return f"{where}{_group(seen, r, False)}{to}{how}{_phrase('event', seen.event, r, False)}"
