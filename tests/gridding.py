"""A small network with coordinates, and weather for it, that several tests of the grid study share."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.clip import Channel
from kinowatt.grid.fields import Ensemble

PLACES = [(11.40, 53.60), (11.40, 53.61), (11.55, 53.60), (11.62, 53.70), (11.30, 53.70)]  # lon, lat


def five_buses() -> Any:
    """110/20 kV, one transformer, four lines of which one is open at an end, a shunt, loads, PV and wind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp

        net = pp.create_empty_network(sn_mva=1.0)
        kv = (110.0, 20.0, 20.0, 20.0, 20.0)
        for i, (place, v) in enumerate(zip(PLACES, kv, strict=True)):
            pp.create_bus(net, v, name=f"B{i}", geodata=place, min_vm_pu=0.9, max_vm_pu=1.1)
        pp.create_ext_grid(net, 0, vm_pu=1.01)
        pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV", name="T")
        for a, b, km in ((1, 2, 10.0), (2, 3, 12.0), (1, 4, 11.0), (3, 4, 20.0)):
            pp.create_line(net, a, b, km, "NA2XS2Y 1x150 RM/25 12/20 kV", name=f"L{a}{b}")
        pp.create_switch(net, 4, 3, "l", closed=False)
        pp.create_shunt(net, 2, q_mvar=-0.4, p_mw=0.01)
        for bus, mw in ((2, 2.0), (3, 1.5), (4, 2.5)):
            pp.create_load(net, bus, mw, 0.3 * mw, name=f"load {bus}")
        pp.create_sgen(net, 3, 2.0, type="PV", name="PV 3")
        pp.create_sgen(net, 4, 1.0, type="PV", name="PV 4")
        pp.create_sgen(net, 2, 3.0, type="WP", name="wind 2")
        net.trafo["tap_pos"] = 2
        net.trafo["tap_changer_type"] = None
    return net


def write_net(net: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp

        pp.to_json(net, str(path))
    return path


def ensemble(members: int = 10, frames: int = 24, *, wind: bool = True, seed: int = 0) -> Ensemble:
    """An hourly index and wind from local midnight of a June day, each member a plane of weather with a slope of its own."""
    rng = np.random.default_rng(seed)
    lat_HW, lon_HW = (x.astype(float) for x in np.meshgrid(np.linspace(53.55, 53.75, 5), np.linspace(11.25, 11.70, 6), indexing="ij"))
    slope = rng.normal(0, 1.0, (members, frames, 1, 1)) * (lon_HW - lon_HW.mean()) * 2
    sky = np.clip(rng.uniform(0.3, 1.0, (members, 1, 1, 1)) + slope, 0.05, 1.1)
    speed = np.clip(rng.uniform(2.0, 12.0, (members, 1, 1, 1)) + 2 * slope, 0.0, None)
    channels = (Channel("clear_sky_index", "1"), Channel("wind_speed_100m", "m/s"))[: 1 + wind]
    values = np.stack([sky, speed][: 1 + wind], 2).astype(np.float32)
    times = (np.datetime64("2016-06-14T23:30") + np.arange(frames) * np.timedelta64(60, "m")).astype("datetime64[ns]")
    return Ensemble(values, channels, times, 1.0, lat_HW, lon_HW, np.ones(lat_HW.shape, bool))
