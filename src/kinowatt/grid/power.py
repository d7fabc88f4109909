"""Weather at a plant to its power: photovoltaics by pvlib, wind by windpowerlib. Nothing of it is learned.

Powers are per installed megawatt (pu). Legend: U distinct times; other arrays have any shape.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kinowatt.errors import MissingDependency
from kinowatt.worlds.sun import TURBIDITY

TILT, AZIMUTH = 30.0, 180.0  # degrees: fixed panels that look to the equator
LOSSES, EFFICIENCY, DC_AC = 0.14, 0.96, 1.2  # PVWatts (Dobos 2014, NREL/TP-6A20-62641), and modules over inverter
PER_KELVIN, KELVIN_PER_W_m2 = -0.0037, 0.03  # of crystalline silicon; a module's warmth over the air's, per irradiance
AIR_C = 15.0  # where the weather holds no temperature
TURBINE, HUB_m = "E-126/4200", 135.0  # a common onshore turbine of windpowerlib's library (oedb)
ROUGHNESS_m = 0.1  # open farmland
WAKES = 0.93  # what a farm's turbines leave of each other's wind, as power
SAYS = {
    "pv": f"PV by pvlib: fixed at {TILT:.0f}° to the equator, PVWatts with {LOSSES:.0%} losses and {DC_AC} DC/AC, cos φ = 1",
    "wind": f"wind by windpowerlib: {TURBINE} at {HUB_m:.0f} m, roughness {ROUGHNESS_m} m, {1 - WAKES:.0%} wake losses, cos φ = 1",
}


@dataclass(frozen=True, eq=False)
class Sun:
    """Where the sun stands at a place (degrees; U), and what a clear sky gives (W/m2)."""

    zenith_U: np.ndarray
    azimuth_U: np.ndarray
    clear_U: np.ndarray
    day_U: np.ndarray  # of the year


def sun_at(times_U: np.ndarray, lat: float, lon: float) -> Sun:
    """By pvlib: Ineichen and Perez's clear sky, of the same air as `worlds.sun`. Times are UTC. MissingDependency."""
    try:
        import pandas
        import pvlib
    except ImportError as error:
        raise MissingDependency("solar power needs pvlib; install kinowatt[grid]") from error
    stamps = pandas.DatetimeIndex(times_U).tz_localize("UTC")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of angles that are not defined at night
        sun = pvlib.solarposition.get_solarposition(stamps, lat, lon)
        air = pvlib.atmosphere.get_absolute_airmass(pvlib.atmosphere.get_relative_airmass(sun.apparent_zenith))
        extra = pvlib.irradiance.get_extra_radiation(stamps)
        clear = pvlib.clearsky.ineichen(sun.apparent_zenith, air, TURBIDITY, dni_extra=extra).ghi.fillna(0.0)
    return Sun(sun.apparent_zenith.to_numpy(), sun.azimuth.to_numpy(), clear.to_numpy(), np.asarray(stamps.dayofyear))


def pv_pu(index: np.ndarray, at: np.ndarray, sun: Sun, south: bool, air_C: np.ndarray | float = AIR_C) -> np.ndarray:
    """AC power of fixed panels from a clear-sky index, at times `at` (indices into the sun's, same shape). `south` of the equator.

    Erbs splits the light into direct and diffuse; the sky is isotropic; PVWatts makes DC of it, and the inverter cuts at its rating.
    """
    import pvlib

    zenith, azimuth = sun.zenith_U[at], sun.azimuth_U[at]
    ghi = np.clip(index, 0.0, None) * sun.clear_U[at]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        split = pvlib.irradiance.erbs(ghi, zenith, sun.day_U[at])
        facing = 0.0 if south else AZIMUTH
        aoi = pvlib.irradiance.aoi(TILT, facing, zenith, azimuth)
        plane = pvlib.irradiance.get_total_irradiance(
            TILT, facing, zenith, azimuth, split["dni"], ghi, split["dhi"], model="isotropic", albedo=0.2
        )
        light = np.nan_to_num(plane["poa_direct"]) * np.nan_to_num(pvlib.iam.physical(aoi)) + np.nan_to_num(plane["poa_diffuse"])
    cell_C = air_C + KELVIN_PER_W_m2 * light
    dc = light / 1000.0 * (1.0 + PER_KELVIN * (cell_C - 25.0)) * (1.0 - LOSSES) * EFFICIENCY * DC_AC
    return np.asarray(np.clip(dc, 0.0, 1.0), dtype=np.float32)


def wind_pu(speed_m_s: np.ndarray, height_m: float) -> np.ndarray:
    """Power of a farm from the wind at a height, by the logarithmic profile and the turbine's curve."""
    from windpowerlib import wind_speed

    at_hub = wind_speed.logarithmic_profile(speed_m_s, height_m, HUB_m, ROUGHNESS_m)
    speeds, powers = _curve()
    return np.asarray(np.interp(at_hub, speeds, powers, left=0.0, right=0.0) * WAKES, dtype=np.float32)


@lru_cache(maxsize=1)
def _curve() -> tuple[np.ndarray, np.ndarray]:
    """The turbine's wind speeds and powers in pu."""
    try:
        from windpowerlib import WindTurbine
    except ImportError as error:
        raise MissingDependency("wind power needs windpowerlib; install kinowatt[grid]") from error
    turbine = WindTurbine(turbine_type=TURBINE, hub_height=HUB_m)
    curve = turbine.power_curve
    return curve.wind_speed.to_numpy(float), curve.value.to_numpy(float) / float(turbine.nominal_power)
