"""How a scene is lit: time of day, weather and mood to the shader's uniforms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinowatt.worlds.toybox.scene import GROUNDS, Scene

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Hour:
    """Light of a time of day; colours are linear RGB radiance, angles degrees."""

    elevation_deg: float
    sun: Rgb
    zenith: Rgb
    horizon: Rgb
    ambient: Rgb
    fog: Rgb
    stars: float
    exposure: float


HOURS = {
    "dawn": Hour(12, (1.9, 1.22, 0.74), (0.22, 0.36, 0.62), (0.92, 0.70, 0.56), (0.26, 0.29, 0.37), (0.74, 0.62, 0.56), 0.0, 0.84),
    "noon": Hour(50, (1.8, 1.68, 1.46), (0.12, 0.30, 0.70), (0.58, 0.72, 0.88), (0.27, 0.34, 0.44), (0.62, 0.72, 0.83), 0.0, 0.66),
    "dusk": Hour(8, (1.9, 0.80, 0.32), (0.13, 0.17, 0.40), (0.95, 0.46, 0.22), (0.27, 0.255, 0.36), (0.62, 0.38, 0.32), 0.0, 1.15),
    "night": Hour(34, (0.26, 0.32, 0.46), (0.010, 0.016, 0.045), (0.035, 0.055, 0.10), (0.06, 0.072, 0.11), (0.04, 0.055, 0.09), 0.8, 1.55),
}
GROUND_RGB: dict[str, tuple[Rgb, Rgb]] = {
    "grass": ((0.075, 0.135, 0.048), (0.175, 0.235, 0.105)),
    "sand": ((0.50, 0.38, 0.24), (0.64, 0.52, 0.36)),
    "pavement": ((0.30, 0.30, 0.31), (0.45, 0.44, 0.42)),
    "snow": ((0.50, 0.55, 0.65), (0.68, 0.71, 0.76)),
    "sea": ((0.015, 0.10, 0.16), (0.05, 0.22, 0.27)),
    "checker": ((0.20, 0.23, 0.28), (0.62, 0.62, 0.58)),
}
COVER = {"clear": 0.06, "cloudy": 0.52, "overcast": 0.92, "fog": 0.5, "rain": 0.97, "snowfall": 0.97}
HAZE = {"clear": 1.0, "cloudy": 0.8, "overcast": 0.25, "fog": 0.35, "rain": 0.1, "snowfall": 0.15}
GRADES: dict[str | None, tuple[Rgb, Rgb]] = {  # tint; exposure factor, saturation, contrast
    None: ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "lonely": ((0.84, 0.97, 1.14), (0.88, 0.52, 0.94)),
    "lively": ((1.07, 1.01, 0.93), (1.03, 1.14, 1.02)),
    "calm": ((1.04, 1.02, 0.98), (1.12, 0.84, 0.82)),
    "tense": ((1.04, 0.98, 0.84), (0.92, 0.74, 1.20)),
    "mysterious": ((0.88, 0.86, 1.22), (0.86, 0.90, 1.05)),
}
RAIN_M_S, SNOW_M_S = 8.0, 1.1
DRIFT, WIND = 0.15 / RAIN_M_S, 2.5 / RAIN_M_S  # metres to the side per metre that rain falls, in calm air and where wind blows things along
CLOCK_S = 50  # up to so many seconds before a scene begins its clouds and rain have begun
LAMP_M, LAMP_ASIDE_DEG = (1.9, 2.4), 50.0  # how far from the middle of a scene a lamp stands and how high it hangs; beside the camera


def _grey(rgb: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(rgb * (1 - share) + rgb.mean() * share)


def shines_from(time: str, camera_deg: float, aside_deg: float, lamp: bool) -> tuple[float, float, float]:
    """Where most of the light comes from, a unit vector: the sun or the moon, so many degrees beside where the camera stands as seen from
    what it looks at; at night, where there is one, the lamp on that side."""
    if time == "night" and lamp:
        azimuth, elevation = camera_deg + math.copysign(LAMP_ASIDE_DEG, math.sin(math.radians(aside_deg))), math.atan2(LAMP_M[1], LAMP_M[0])
    else:
        azimuth, elevation = camera_deg + aside_deg, math.radians(HOURS[time].elevation_deg)
    azimuth = math.radians(azimuth)
    return math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)


def main_light(scene: Scene) -> tuple[float, float, float]:
    """Where most of a scene's light comes from: a unit vector."""
    return shines_from(scene.time, scene.azimuth_deg, scene.sun_azimuth_deg - scene.azimuth_deg, has_lamp(scene.event))


def has_lamp(event: str) -> bool:
    """Whether a lamp stands by at night."""
    return event not in ("turbine", "solar")


def drift(scene: Scene) -> float:
    """Metres to +x by which rain drifts per metre that it falls; snow three times as far."""
    return WIND * scene.heading * scene.pace if scene.event == "wind" else DRIFT


def clock(scene: Scene) -> float:
    """Seconds since a scene's clouds and rain began, when it begins."""
    return float(scene.seed % CLOCK_S)


def uniforms(scene: Scene, distance_m: float, frame_s: float) -> dict[str, Any]:
    """The shader's uniforms; `frame_s` is the time between frames, of which the shutter is open for half.

    Fog is scaled to the camera's distance, so that it veils the land and leaves the subject visible.
    """
    hour = HOURS[scene.time]
    sun, zenith, horizon, ambient, fog = (np.array(c) for c in (hour.sun, hour.zenith, hour.horizon, hour.ambient, hour.fog))
    density = {"clear": 0.05, "cloudy": 0.06, "overcast": 0.12, "rain": 0.35, "snowfall": 0.3}.get(scene.weather, 0.0) / (distance_m + 15)
    if scene.weather == "fog":
        density = min(0.10, 0.30 / distance_m)
    veiled = scene.weather not in ("clear", "cloudy")
    if veiled:
        dim = 0.85 if scene.weather == "rain" else 1.0
        sun, zenith, horizon, fog, ambient = (
            _grey(sun, 0.5) * (0.22 if scene.weather != "fog" else 0.35) * dim,
            _grey(zenith, 0.7) * 0.9 * dim,
            _grey(horizon, 0.65) * 0.85 * dim,
            _grey(fog, 0.6) * 0.9 * dim,
            _grey(ambient, 0.4) * 1.35 * dim,
        )
    tint, (exposure, saturation, contrast) = GRADES[scene.mood]
    near, far = GROUND_RGB[scene.ground]
    radius = max(9.0, 2.2 * distance_m)
    # What little light a clouded night has, the eye adapts to.
    adapted = 1.35 if scene.time == "night" and veiled else 1.0
    fall = {"rain": (1.0, RAIN_M_S, drift(scene), 0.5 * RAIN_M_S * frame_s), "snowfall": (2.0, SNOW_M_S, 3 * drift(scene), 0.0)}
    by_lamp = shines_from("night", scene.azimuth_deg, scene.sun_azimuth_deg - scene.azimuth_deg, lamp=True)
    soft = {"macro": 0.010, "close-up": 0.005}.get(scene.shot, 0.0)
    lamp = scene.time == "night" and has_lamp(scene.event)
    return {
        "SUN": shines_from(scene.time, scene.azimuth_deg, scene.sun_azimuth_deg - scene.azimuth_deg, lamp=False),
        "SUN_RGB": sun,
        "ZENITH": zenith,
        "HORIZON": horizon,
        "AMBIENT": ambient,
        "FOG_RGB": fog,
        "FOG": (density, 0.06 if scene.weather == "fog" else 0.02, HAZE[scene.weather], 0.97),
        "SKY": (COVER[scene.weather], 0.0 if veiled else hour.stars, 0.01, (scene.seed * 13.7) % 97),
        "GROUND": GROUNDS.index(scene.ground),
        "GROUND_A": near,
        "GROUND_B": far,
        "LAND": (scene.hills * radius * 0.36, radius, 3.5 if scene.beach else 0.0, float(scene.wet)),
        "FALL": fall.get(scene.weather, (0.0, 0.0, 0.0, 0.0)),
        "FALL_RGB": (ambient + 0.15 * sun) * (1.7 if scene.weather == "rain" else 2.6),
        "LENS": (distance_m, soft),
        "LAMP": (*(math.hypot(*LAMP_M) * part for part in by_lamp), 2.4 if lamp else 0.0),
        "LAMP_RGB": (1.0, 0.70, 0.40),
        "TINT": tint,
        "GRADE": (hour.exposure * exposure * adapted, saturation, contrast),
        "T0": clock(scene),
    }


def constants(scene: Scene) -> dict[str, bool]:
    """What the shader is compiled with: what costs much where a scene lacks it. A program takes seconds to compile, so they are few."""
    return {
        "WATER": scene.beach or scene.ground == "sea",
        "HILLS": scene.hills > 0,
        "FALLING": scene.weather in ("rain", "snowfall"),
    }
