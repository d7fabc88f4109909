"""What is in a scene, and how a random one is drawn. Everything that a caption may say is a field here."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import Any

from kinowatt.errors import InputError

COLORS = {  # linear RGB; no channel is full, so that no light makes them glow
    "red": (0.68, 0.055, 0.045),
    "orange": (0.80, 0.27, 0.03),
    "yellow": (0.82, 0.60, 0.06),
    "green": (0.05, 0.33, 0.09),
    "blue": (0.05, 0.15, 0.62),
    "purple": (0.28, 0.075, 0.50),
    "pink": (0.82, 0.24, 0.38),
    "white": (0.82, 0.82, 0.80),
    "black": (0.028, 0.028, 0.032),
    "brown": (0.25, 0.125, 0.055),
    "cyan": (0.04, 0.42, 0.48),
}
MATERIALS = {"matte": 0, "glossy": 1, "metal": 2, "glass": 3}
SUN_ASIDE_DEG = 40, 150  # of where the camera is: light from the side or from behind shows form, from behind the camera it is flat
KINDS = ("ball", "cube", "cylinder", "cone", "torus", "capsule")
EVENTS = ("fall", "bounce", "roll", "collide", "pendulum", "domino", "topple", "projectile", "wind", "turbine", "solar", "still")
SIDEWAYS = ("roll", "collide", "projectile", "domino", "pendulum", "topple", "wind")  # these move along x, seen from the side
MOVES = (
    "static", "pan-left", "pan-right", "tilt-up", "tilt-down", "track-left", "track-right", "dolly-in", "dolly-out", "dolly-zoom",
    "zoom-in", "zoom-out", "orbit-left", "orbit-right", "flyover", "crane-up", "crane-down",
)  # fmt: skip
SHOTS = {"macro": (0.92, 100), "close-up": (0.66, 85), "near": (0.47, 50), "medium": (0.33, 35), "wide": (0.21, 24)}
"""Scale to (share of the frame's height that the subject fills, focal length in mm on a sensor 24 mm high)."""
ANGLES = ("low", "eye", "high")
TIMES = ("dawn", "noon", "dusk", "night")
WEATHERS = ("clear", "cloudy", "overcast", "fog", "rain", "snowfall")
GROUNDS = ("grass", "sand", "pavement", "snow", "sea", "checker")
MOODS = ("lonely", "lively", "calm", "tense", "mysterious")
PACES = {"slow": 0.7, "normal": 1.0, "fast": 1.4}
SPEEDS = tuple(PACES)
MOST = {"collide": 4, "roll": 4, "projectile": 3, "pendulum": 3}  # subjects; five elsewhere


@dataclass(frozen=True)
class Subject:
    """One solid: its kind, look and half height in metres (of a torus the outer radius)."""

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
    wet: bool
    hills: float  # 0: none
    count: int  # dominoes, turbines or panels
    heading: int  # +1: what moves sideways moves to +x
    aside: float  # where the subject stands in the frame, -1 left edge to 1 right edge
    azimuth_deg: float  # of the camera, seen from the subject
    sun_azimuth_deg: float

    @property
    def pace(self) -> float:
        """Factor of the speed at which things are set going."""
        return PACES[self.speed]


def _known() -> dict[str, tuple[str | None, ...]]:
    return {
        "event": EVENTS, "move": MOVES, "shot": tuple(SHOTS), "angle": ANGLES, "time": TIMES, "weather": WEATHERS,
        "ground": GROUNDS, "mood": (*MOODS, None), "speed": SPEEDS,
    }  # fmt: skip


def _check(given: dict[str, Any]) -> None:
    for name, values in _known().items():
        if name in given and given[name] not in values:
            raise InputError(f"the toybox has no {name} {given[name]!r}; use one of {', '.join(str(v) for v in values)}")
    unknown = sorted(set(given) - {f.name for f in fields(Scene)})
    if unknown:
        raise InputError(f"a scene has no {unknown[0]!r}; use one of {', '.join(f.name for f in fields(Scene))}")


def sample(seed: int, **over: Any) -> Scene:
    """A random scene; the same seed gives the same scene. `over` fixes fields. InputError for a value that does not exist."""
    _check(over)
    r = random.Random(seed)
    mood = over.get("mood", r.choice((*MOODS, None, None, None)))
    event = over.get("event") or r.choice(_events(mood))
    weather, time, speed, angle = _mood_causes(mood, r)
    weather = over.get("weather", weather)
    azimuth = _azimuth_deg(event, r)
    subjects = _subjects(event, mood, r)
    alone = len(subjects) == 1 and event == "still"
    scene = Scene(
        seed=seed,
        event=event,
        subjects=subjects,
        ground=_ground(event, weather, r),
        time=time,
        weather=weather,
        mood=mood,
        move=_move(event, mood, r),
        shot=_shot(event, mood, r),
        lens_mm=0,
        angle=angle,
        speed=speed,
        beach=False,
        wet=False,
        hills=0.0,
        count=_count(event, mood, r),
        heading=r.choice((-1, 1)),
        aside=r.choice((-0.33, 0.33)) * (alone and r.random() < 0.7),
        azimuth_deg=azimuth,
        sun_azimuth_deg=azimuth + r.choice((-1, 1)) * r.uniform(*SUN_ASIDE_DEG),
    )
    scene = replace(scene, **over)
    beach = over.get("beach", scene.ground == "sand" and r.random() < 0.4)
    flat = beach or scene.ground in ("sea", "checker", "pavement")
    hills = 0.0 if flat else over.get("hills", r.choice((0.0, 0.8, 1.6)))
    wet = over.get("wet", scene.ground == "pavement" and scene.weather != "snowfall" and r.random() < 0.35) or _wetted(scene)
    return replace(scene, lens_mm=SHOTS[scene.shot][1], beach=beach, hills=hills, wet=wet)


def _wetted(scene: Scene) -> bool:
    return scene.weather == "rain" and scene.ground not in ("snow", "sea")


def changed(scene: Scene, field: str, value: Any, subject: int = 0) -> Scene:
    """The same scene with one field changed and everything else equal, the seed too: a counterfactual.

    `field` is a field of Scene, or `color`, `material` or `striped` of the subject numbered `subject`. Rain wets the ground, so
    `wet` follows the weather. InputError for what does not exist.
    """
    if field in ("color", "material", "striped"):
        values: tuple[Any, ...] = {"color": tuple(COLORS), "material": tuple(MATERIALS)}.get(field, (False, True))
        if value not in values:
            raise InputError(f"the toybox has no {field} {value!r}; use one of {', '.join(map(str, values))}")
        if not 0 <= subject < len(scene.subjects):
            raise InputError(f"this scene has {len(scene.subjects)} subjects; there is no number {subject}")
        other = replace(scene.subjects[subject], **{field: value})
        return replace(scene, subjects=(*scene.subjects[:subject], other, *scene.subjects[subject + 1 :]))
    _check({field: value})
    after = replace(scene, **{field: value})
    return replace(after, wet=True) if field in ("weather", "ground") and _wetted(after) else after


def _mood_causes(mood: str | None, r: random.Random) -> tuple[str, str, str, str]:
    """Weather, time of day, speed and angle that make the mood; captions may name the mood without them."""
    anyhow = ("clear", "clear", "cloudy", "cloudy", "overcast", "fog", "rain", "snowfall")
    weather = {
        "lonely": ("fog", "overcast", "cloudy", "snowfall", "rain"),
        "lively": ("clear", "clear", "cloudy"),
        "calm": ("clear", "cloudy", "snowfall"),
        "tense": ("overcast", "cloudy", "rain"),
        "mysterious": ("clear", "cloudy", "fog", "fog"),
    }
    time = {
        "lively": ("noon", "dawn", "noon"),
        "calm": ("dawn", "noon"),
        "tense": ("dusk", "night", "noon"),
        "mysterious": ("night", "dusk"),
        "lonely": ("dusk", "dawn", "noon"),
    }
    speed = {"lonely": ("slow",), "calm": ("slow",), "lively": ("fast",), "tense": ("fast",), "mysterious": ("slow", "normal")}
    angle = {"tense": ("low",), "calm": ("eye",)}
    key = mood or ""
    return (
        r.choice(weather.get(key, anyhow)),
        r.choice(time.get(key, TIMES)),
        r.choice(speed.get(key, SPEEDS)),
        r.choice(angle.get(key, ("low", "eye", "eye", "high"))),
    )


def _events(mood: str | None) -> tuple[str, ...]:
    """One thing alone is lonely, many are lively; what needs several cannot be the one, nor a solar field the other."""
    never = {"lonely": ("collide", "domino", "topple", "solar"), "lively": ("solar", "turbine", "still")}.get(mood or "", ())
    return tuple(event for event in EVENTS if event not in never)


def _azimuth_deg(event: str, r: random.Random) -> float:
    """What moves sideways is seen from its side, so that left and right mean something."""
    if event in ("turbine", "solar"):
        return -90 + r.uniform(-35, 35)
    return -90 + r.uniform(-25, 25) if event in SIDEWAYS else r.uniform(0, 360)


def _subjects(event: str, mood: str | None, r: random.Random) -> tuple[Subject, ...]:
    if event in ("domino", "turbine", "solar"):
        return ()
    few, most = {"lonely": (1, 1), "calm": (1, 2), "lively": (3, 5)}.get(mood or "", (1, r.choice((1, 2, 3, 3, 4, 5))))
    least = {"collide": 2, "topple": 3}.get(event, 1)
    n = min(max(r.randint(few, most), least), MOST.get(event, 5))
    subjects = []
    for i, color in enumerate(r.sample(sorted(COLORS), n)):
        kind = r.choice(_kinds(event, i))
        low, high = {"lonely": (0.20, 0.27)}.get(mood or "", (0.24, 0.42))
        if event == "topple":
            low, high = 0.26, 0.32
        size = round(r.uniform(low, high), 2)
        if kind == "torus":
            size = round(size * 1.15, 2)
        striped = kind in ("ball", "cylinder", "capsule") and r.random() < 0.35
        material = r.choice(("matte", "matte", "glossy", "glossy", "metal", "metal", "glass"))
        subjects.append(Subject(kind, color, material, size, striped and material != "glass"))
    return tuple(subjects)


def _kinds(event: str, i: int) -> tuple[str, ...]:
    """Kinds that can do what happens: what rolls is round, what is stacked is flat, what the wind blows is light."""
    if event == "bounce" or (event == "collide" and i == 0):
        return ("ball",)
    return {
        "roll": ("ball", "ball", "cylinder", "capsule", "torus"),
        "topple": ("cube",),
        "pendulum": ("ball", "ball", *KINDS),
        "wind": ("ball", "ball", "cube", "capsule", "cylinder"),
    }.get(event, KINDS)


def _ground(event: str, weather: str, r: random.Random) -> str:
    grounds: tuple[str, ...] = ("grass", "sand", "pavement", "pavement", "snow", "checker")
    if event in ("turbine", "solar"):
        grounds = ("grass", "grass", "sand", "snow", "sea" if event == "turbine" else "sand", "grass")
    if weather == "snowfall":
        grounds = ("snow", "snow", "snow", "grass", "pavement" if event not in ("turbine", "solar") else "snow")
    elif weather == "rain":
        grounds = tuple(g for g in grounds if g != "snow")
    return r.choice(grounds)


def _move(event: str, mood: str | None, r: random.Random) -> str:
    calm = ("static", "dolly-in", "dolly-out", "track-left", "track-right", "orbit-left", "orbit-right", "crane-up")
    if event in ("turbine", "solar") and r.random() < 0.4:
        return r.choice(("orbit-left", "orbit-right", "flyover", "crane-up"))
    return r.choice(calm if mood == "calm" else MOVES)


def _shot(event: str, mood: str | None, r: random.Random) -> str:
    if event in ("turbine", "solar"):
        return r.choice(("wide", "medium"))
    if event in ("domino", "topple", "projectile", "collide", "wind"):
        return r.choice(("medium", "wide"))
    if mood == "lonely":
        return r.choice(("wide", "wide", "medium"))
    scales = ("macro", "close-up", "near", "medium", "wide") if event in ("still", "roll") else ("close-up", "near", "medium", "wide")
    return r.choice(scales)


def _count(event: str, mood: str | None, r: random.Random) -> int:
    few = mood == "lonely"
    return {"domino": r.randint(5, 8), "turbine": 1 if few else r.choice((1, 2, 3)), "solar": r.choice((2, 4, 6))}.get(event, 0)
