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
    "dawn": Hour(10, (1.9, 1.10, 0.62), (0.20, 0.34, 0.64), (0.95, 0.66, 0.54), (0.27, 0.29, 0.39), (0.80, 0.61, 0.56), 0.0, 0.86),
    "noon": Hour(58, (1.9, 1.80, 1.60), (0.12, 0.31, 0.75), (0.60, 0.75, 0.92), (0.30, 0.37, 0.48), (0.66, 0.76, 0.88), 0.0, 0.66),
    "dusk": Hour(6, (1.9, 0.72, 0.27), (0.13, 0.15, 0.42), (0.98, 0.42, 0.20), (0.24, 0.21, 0.34), (0.72, 0.38, 0.32), 0.0, 0.95),
    "night": Hour(34, (0.22, 0.28, 0.46), (0.008, 0.014, 0.05), (0.03, 0.05, 0.11), (0.045, 0.06, 0.12), (0.035, 0.05, 0.10), 0.8, 1.35),
}
GROUND_RGB: dict[str, tuple[Rgb, Rgb]] = {
    "grass": ((0.06, 0.16, 0.03), (0.19, 0.30, 0.07)),
    "sand": ((0.62, 0.47, 0.29), (0.75, 0.62, 0.43)),
    "pavement": ((0.30, 0.30, 0.31), (0.45, 0.44, 0.42)),
    "snow": ((0.62, 0.68, 0.80), (0.84, 0.87, 0.92)),
    "sea": ((0.015, 0.10, 0.16), (0.05, 0.22, 0.27)),
    "checker": ((0.20, 0.23, 0.28), (0.62, 0.62, 0.58)),
}
COVER = {"clear": 0.06, "cloudy": 0.52, "overcast": 0.92, "fog": 0.5}
HAZE = {"clear": 1.0, "cloudy": 0.8, "overcast": 0.25, "fog": 0.35}
GRADES: dict[str | None, tuple[Rgb, Rgb]] = {  # tint; exposure factor, saturation, contrast
    None: ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "lonely": ((0.88, 0.97, 1.10), (0.85, 0.62, 0.95)),
    "lively": ((1.08, 1.01, 0.92), (1.04, 1.12, 1.04)),
    "calm": ((1.03, 1.01, 0.98), (1.10, 0.88, 0.88)),
    "tense": ((1.06, 0.95, 0.88), (0.90, 0.90, 1.28)),
    "mysterious": ((0.96, 0.84, 1.18), (0.85, 0.85, 1.08)),
}


def _grey(rgb: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(rgb * (1 - share) + rgb.mean() * share)


def uniforms(scene: Scene, distance_m: float) -> dict[str, Any]:
    """The shader's uniforms. Fog is scaled to the camera's distance, so that it veils the land and leaves the subject visible."""
    hour = HOURS[scene.time]
    sun, zenith, horizon, ambient, fog = (np.array(c) for c in (hour.sun, hour.zenith, hour.horizon, hour.ambient, hour.fog))
    density = {"clear": 0.05, "cloudy": 0.06, "overcast": 0.12}.get(scene.weather, 0.0) / (distance_m + 15)
    if scene.weather == "fog":
        density = min(0.12, 0.45 / distance_m)
    if scene.weather in ("overcast", "fog"):
        sun, zenith, horizon, fog, ambient = (
            sun * 0.35,
            _grey(zenith, 0.7) * 0.9,
            _grey(horizon, 0.5) * 0.9,
            _grey(fog, 0.5),
            ambient * 1.25,
        )
    azimuth, elevation = math.radians(scene.sun_azimuth_deg), math.radians(hour.elevation_deg)
    direction = (math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation))
    tint, (exposure, saturation, contrast) = GRADES[scene.mood]
    near, far = GROUND_RGB[scene.ground]
    radius = max(9.0, 2.2 * distance_m)
    # What little light a clouded night has, the eye adapts to.
    adapted = 1.6 if scene.time == "night" and scene.weather in ("overcast", "fog") else 1.0
    wet = float(scene.ground == "pavement" and scene.weather == "overcast")
    open_sky = scene.weather in ("clear", "cloudy")
    return {
        "SUN": direction,
        "SUN_RGB": sun,
        "ZENITH": zenith,
        "HORIZON": horizon,
        "AMBIENT": ambient,
        "FOG_RGB": fog,
        "FOG": (density, 0.06 if scene.weather == "fog" else 0.02, HAZE[scene.weather], 0.97),
        "SKY": (COVER[scene.weather], hour.stars if open_sky else 0.0, 0.01, (scene.seed * 13.7) % 97),
        "GROUND": GROUNDS.index(scene.ground),
        "GROUND_A": near,
        "GROUND_B": far,
        "LAND": (scene.hills * radius * 0.36, radius, 3.5 if scene.beach else 0.0, wet),
        "LAMP": (1.2, -1.0, 2.4, 1.8 if scene.time == "night" and scene.event not in ("turbine", "solar") else 0.0),
        "LAMP_RGB": (1.0, 0.72, 0.38),
        "TINT": tint,
        "GRADE": (hour.exposure * exposure * adapted, saturation, contrast),
        "T0": float(scene.seed % 50),
    }
