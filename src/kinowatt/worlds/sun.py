"""The sun above a lattice, by pvlib: its elevation, and what a clear sky would give. This is computed, never learned.

Legend: T frames, H rows, W columns. Times are UTC (datetime64[ns]) and stand in the middle of their frames.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinowatt.errors import MissingDependency

KNOTS = 5  # rows and columns at most for which pvlib is asked; between them the sun is as good as linear
TURBIDITY = 2.5  # Linke: of clean air, so that little is clearer than "clear"


@dataclass(frozen=True)
class Panels:
    """A photovoltaic system per kilowatt of its modules, as PVWatts has it (Dobos 2014, NREL/TP-6A20-62641). Angles in degrees."""

    tracking: bool = True  # about a horizontal axis that points to the azimuth
    tilt: float = 0.0
    azimuth: float = 180.0
    losses: float = 0.14  # share of the DC power
    efficiency: float = 0.96  # of the inverter
    dc_ac: float = 1.3  # modules over inverter: what is above is cut
    ground_cover: float = 0.4

    @staticmethod
    def of_rev(text: str) -> Panels:
        """From the JSON that reV keeps beside its results. ValueError if it is none."""
        said = json.loads(text)
        return Panels(
            tracking=int(said["array_type"]) >= 2,
            tilt=float(said["tilt"]),
            azimuth=float(said["azimuth"]),
            losses=float(said["losses"]) / 100.0,
            efficiency=float(said["inv_eff"]) / 100.0,
            dc_ac=float(said["dc_ac_ratio"]),
            ground_cover=float(said["gcr"]),
        )


def sky(times: np.ndarray, lat_HW: np.ndarray, lon_HW: np.ndarray, panels: Panels | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Elevation of the sun in degrees, and what a clear sky would give, both (T, H, W) in float32.

    That is global horizontal irradiance in W/m2 (Ineichen and Perez 2002), or with `panels` their power per power of the modules, at 15 °C
    of air and before the inverter cuts it. MissingDependency without pvlib.
    """
    import pandas

    pvlib, stamps = _pvlib(), pandas.DatetimeIndex(times).tz_localize("UTC")
    height, width = lat_HW.shape
    rows, columns = (np.unique(np.linspace(0, n - 1, KNOTS).round().astype(int)) for n in (height, width))
    knots = np.empty((2, len(times), len(rows), len(columns)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of angles that are not defined at night
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                sun = pvlib.solarposition.get_solarposition(stamps, float(lat_HW[row, column]), float(lon_HW[row, column]))
                knots[0, :, i, j] = sun.elevation
                knots[1, :, i, j] = _clear(stamps, sun).ghi if panels is None else _power(stamps, sun, panels)
    elevation, clear = (_between(rows, height) @ knots @ _between(columns, width).T).astype(np.float32)
    return elevation, clear


def _power(stamps: Any, sun: Any, panels: Panels) -> np.ndarray:
    pvlib = _pvlib()
    clear = _clear(stamps, sun)
    if panels.tracking:
        turned = pvlib.tracking.singleaxis(
            sun.apparent_zenith,
            sun.azimuth,
            axis_tilt=panels.tilt,
            axis_azimuth=panels.azimuth,
            max_angle=45,
            backtrack=False,
            gcr=panels.ground_cover,
        )
        tilt, azimuth = turned.surface_tilt.fillna(0.0), turned.surface_azimuth.fillna(panels.azimuth)
    else:
        tilt, azimuth = panels.tilt, panels.azimuth
    aoi = pvlib.irradiance.aoi(tilt, azimuth, sun.apparent_zenith, sun.azimuth)
    plane = pvlib.irradiance.get_total_irradiance(
        tilt, azimuth, sun.apparent_zenith, sun.azimuth, clear.dni, clear.ghi, clear.dhi, model="isotropic", albedo=0.2
    )
    light_W_m2 = (plane.poa_direct.fillna(0.0) * pvlib.iam.physical(aoi) + plane.poa_diffuse.fillna(0.0)).clip(lower=0.0)
    cell_C = 15.0 + 0.03 * light_W_m2
    dc = light_W_m2 / 1000.0 * (1.0 - 0.0047 * (cell_C - 25.0)) * (1.0 - panels.losses)
    return np.asarray(dc * panels.efficiency)


def _clear(stamps: Any, sun: Any) -> Any:
    pvlib = _pvlib()
    air = pvlib.atmosphere.get_absolute_airmass(pvlib.atmosphere.get_relative_airmass(sun.apparent_zenith))
    extra = pvlib.irradiance.get_extra_radiation(stamps)
    return pvlib.clearsky.ineichen(sun.apparent_zenith, air, TURBIDITY, dni_extra=extra).fillna(0.0)


def _between(knots: np.ndarray, count: int) -> np.ndarray:
    """Weights (count, knots) of linear interpolation."""
    return np.stack([np.interp(np.arange(count), knots, one) for one in np.eye(len(knots))], 1)


def _pvlib() -> Any:
    try:
        import pvlib
    except ImportError as error:
        raise MissingDependency("the sun's place needs pvlib; install kinowatt[grid]") from error
    return pvlib
