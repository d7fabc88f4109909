"""What is in a scene, and how a random one is drawn. Everything that a caption may say is a field here."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from kinowatt.errors import InputError

COLORS = {  # linear RGB
    "red": (0.78, 0.06, 0.05),
    "orange": (0.90, 0.33, 0.03),
    "yellow": (0.92, 0.74, 0.05),
    "green": (0.04, 0.38, 0.08),
    "blue": (0.05, 0.17, 0.78),
    "purple": (0.33, 0.07, 0.60),
    "pink": (0.88, 0.24, 0.42),
    "white": (0.90, 0.90, 0.90),
    "black": (0.03, 0.03, 0.035),
    "brown": (0.28, 0.14, 0.06),
    "cyan": (0.03, 0.45, 0.52),
}
MATERIALS = {"matte": 0, "glossy": 1, "metal": 2}
KINDS = ("ball", "cube", "cylinder", "cone")
EVENTS = ("fall", "bounce", "roll", "collide", "pendulum", "domino", "topple", "projectile", "turbine", "solar", "still")
SIDEWAYS = ("roll", "collide", "projectile", "domino", "pendulum", "topple")  # these move along x, seen from the side
MOVES = (
    "static", "pan-left", "pan-right", "tilt-up", "tilt-down", "track-left", "track-right", "dolly-in", "dolly-out",
    "zoom-in", "zoom-out", "orbit-left", "orbit-right", "flyover", "crane-up", "crane-down",
)  # fmt: skip
SHOTS = {"macro": (1.05, 100), "close-up": (0.72, 85), "near": (0.50, 50), "medium": (0.35, 35), "wide": (0.21, 24)}
"""Scale to (share of the frame's height that the subject fills, focal length in mm on a sensor 24 mm high)."""
ANGLES = ("low", "eye", "high")
TIMES = ("dawn", "noon", "dusk", "night")
WEATHERS = ("clear", "cloudy", "overcast", "fog")
GROUNDS = ("grass", "sand", "pavement", "snow", "sea", "checker")
MOODS = ("lonely", "lively", "calm", "tense", "mysterious")


@dataclass(frozen=True)
class Subject:
    """One solid: its kind, look and half height in metres."""

    kind: str
    color: str
    material: str
    size_m: float
    striped: bool = False


@dataclass(frozen=True)
class Scene:
    """One scene, before physics. Angles in degrees, lengths in metres."""

    seed: int
    event: str
    subjects: tuple[Subject, ...]
    ground: str
    time: str
    weather: str
    mood: str | None
    move: str
    shot: str
    lens_mm: int
    angle: str
    speed: str  # slow, normal or fast
    beach: bool
    hills: float  # 0: none
    count: int  # dominoes, turbines or panels
    heading: int  # +1: what moves sideways moves to +x
    azimuth_deg: float
    sun_azimuth_deg: float

    @property
    def pace(self) -> float:
        """Factor of the speed at which things are set going."""
        return {"slow": 0.7, "normal": 1.0, "fast": 1.4}[self.speed]


def sample(seed: int, **over: Any) -> Scene:
    """A random scene; the same seed gives the same scene. `over` fixes fields. InputError for a value that does not exist."""
    r = random.Random(seed)
    known = {"event": EVENTS, "move": MOVES, "shot": tuple(SHOTS), "angle": ANGLES, "time": TIMES, "weather": WEATHERS, "ground": GROUNDS}
    for name, values in known.items():
        if name in over and over[name] not in values:
            raise InputError(f"the toybox has no {name} {over[name]!r}; use one of {', '.join(values)}")
    mood = over.get("mood", r.choice((*MOODS, None, None, None)))
    event = over.get("event") or r.choice(EVENTS)
    weather, time, speed, angle = _mood_causes(mood, r)
    scene = Scene(
        seed=seed,
        event=event,
        subjects=_subjects(event, mood, r),
        ground=_ground(event, r),
        time=time,
        weather=weather,
        mood=mood,
        move=_move(event, mood, r),
        shot=_shot(event, mood, r),
        lens_mm=0,
        angle=angle,
        speed=speed,
        beach=False,
        hills=0.0,
        count=_count(event, mood, r),
        heading=r.choice((-1, 1)),
        azimuth_deg=r.uniform(0, 360),
        sun_azimuth_deg=r.uniform(0, 360),
    )
    scene = replace(scene, **over)
    beach = over.get("beach", scene.ground == "sand" and r.random() < 0.5)
    flat = beach or scene.ground in ("sea", "checker", "pavement")
    hills = 0.0 if flat else over.get("hills", r.choice((0.0, 0.8, 1.6)))
    return replace(scene, lens_mm=SHOTS[scene.shot][1], beach=beach, hills=hills)


def _mood_causes(mood: str | None, r: random.Random) -> tuple[str, str, str, str]:
    """Weather, time of day, speed and angle that make the mood; captions may name the mood without them."""
    weather = {
        "lonely": ("fog", "overcast", "cloudy"),
        "lively": ("clear", "cloudy"),
        "calm": ("clear", "cloudy"),
        "tense": ("overcast", "cloudy"),
    }
    time = {
        "lively": ("noon", "dawn", "noon"),
        "calm": ("dawn", "noon"),
        "tense": ("dusk", "night"),
        "mysterious": ("night", "dusk"),
        "lonely": ("dusk", "dawn", "noon"),
    }
    speed = {"lonely": ("slow",), "calm": ("slow",), "lively": ("fast",), "tense": ("fast",)}
    angle = {"tense": ("low",)}
    key = mood or ""
    return (
        r.choice(weather.get(key, WEATHERS)),
        r.choice(time.get(key, TIMES)),
        r.choice(speed.get(key, ("slow", "normal", "fast"))),
        r.choice(angle.get(key, ("low", "eye", "eye", "high"))),
    )


def _subjects(event: str, mood: str | None, r: random.Random) -> tuple[Subject, ...]:
    if event in ("domino", "turbine", "solar"):
        return ()
    n = {"lonely": 1, "calm": r.randint(1, 2), "lively": r.randint(3, 4)}.get(mood or "", r.randint(1, 3))
    if event == "collide":
        n = min(max(n, 2), 3)
    if event == "topple":
        n = min(max(n, 3), 4)
    if event in ("projectile", "pendulum"):
        n = min(n, 3)
    colors = r.sample(sorted(COLORS), n)
    subjects = []
    for i, color in enumerate(colors):
        round_ = event in ("bounce", "pendulum") or (event == "collide" and i == 0)
        kinds = ("ball",) if round_ else ("ball", "ball", "cylinder") if event == "roll" else ("cube",) if event == "topple" else KINDS
        kind = r.choice(kinds)
        low = 0.26 if event == "topple" else 0.24
        size = round(r.uniform(low, 0.42 if event != "topple" else 0.32), 2)
        subjects.append(Subject(kind, color, r.choice(sorted(MATERIALS)), size, kind == "ball" and r.random() < 0.4))
    return tuple(subjects)


def _ground(event: str, r: random.Random) -> str:
    if event == "turbine":
        return r.choice(("grass", "sand", "snow", "sea"))
    if event == "solar":
        return r.choice(("grass", "sand", "snow"))
    return r.choice([g for g in GROUNDS if g != "sea"])


def _move(event: str, mood: str | None, r: random.Random) -> str:
    calm = ("static", "dolly-in", "dolly-out", "track-left", "track-right", "orbit-left", "orbit-right", "crane-up")
    if event in ("turbine", "solar") and r.random() < 0.4:
        return r.choice(("orbit-left", "orbit-right", "flyover", "crane-up"))
    return r.choice(calm if mood == "calm" else MOVES)


def _shot(event: str, mood: str | None, r: random.Random) -> str:
    if event in ("turbine", "solar"):
        return r.choice(("wide", "medium"))
    if event in ("domino", "topple", "projectile", "collide"):
        return r.choice(("medium", "wide"))
    if mood == "lonely":
        return r.choice(("wide", "wide", "medium"))
    scales = ("macro", "close-up", "near", "medium", "wide") if event in ("still", "roll") else ("close-up", "near", "medium", "wide")
    return r.choice(scales)


def _count(event: str, mood: str | None, r: random.Random) -> int:
    few = mood == "lonely"
    return {"domino": r.randint(5, 8), "turbine": 1 if few else r.choice((1, 2, 3)), "solar": r.choice((2, 4, 6))}.get(event, 0)
