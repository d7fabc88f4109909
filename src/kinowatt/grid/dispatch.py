"""Carbon of the studied network hour by hour, by a simple merit order, as a CSV by which jobs can be queued (energy/hourly.py reads it).

Wind and sun of the network serve its load first, then its other plants; what is missing comes from gas up to a limit, then from coal.
What is too much leaves the network and is not counted. No start-up, no trade, no storage: an index of when it is green, not an account.
Legend: S scenarios, T steps, H hours.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import numpy as np

from kinowatt.grid.network import Network
from kinowatt.grid.scenarios import FIELD, Scenarios
from kinowatt.grid.study import Work

# Median life-cycle emissions in g CO2e/kWh: IPCC AR5 WG3, annex III, table A.III.2 (other: dedicated biomass).
EMITS_gCO2e_per_kWh = {"wind": 11.0, "pv": 48.0, "other": 230.0, "gas": 490.0, "coal": 820.0}
GAS_SHARE = 0.5  # of the peak load that gas can serve
SOURCE = "kinowatt grid study, merit order wind and sun, own plants, gas, coal; IPCC AR5 medians"


def intensity_H(network: Network, scenarios: Scenarios, work: Work, plan: dict[str, np.ndarray]) -> tuple[np.datetime64, np.ndarray]:
    """The first hour (UTC) and g CO2e/kWh of consecutive hours, mean over the scenarios that share the first one's day."""
    same = scenarios.times_ST[:, 0] == scenarios.times_ST[0, 0]
    rows = scenarios.times_ST[0]
    year_T = network.year_index(rows)
    load_T = network.load_YN_MW[year_T].sum(1)
    supply: dict[str, np.ndarray] = {}
    for kind in ("wind", "pv", "other"):
        if kind in plan:
            made = scenarios.pu[FIELD, kind][same] @ plan[kind].astype(np.float32)
        else:
            made = np.broadcast_to(network.plants[kind].profile_YN_MW[year_T].sum(1), (int(same.sum()), len(rows)))
        supply[kind] = np.clip(made, 0.0, None)
    grams, left = np.zeros(supply["pv"].shape), np.broadcast_to(load_T, supply["pv"].shape).astype(float)
    supply["gas"] = np.full(left.shape, GAS_SHARE * network.peak_load_MW)
    supply["coal"] = np.full(left.shape, np.inf)
    for kind, emits in EMITS_gCO2e_per_kWh.items():
        used = np.minimum(left, supply[kind])
        grams, left = grams + used * emits, left - used
    mean_T = (grams / np.maximum(load_T, 1e-9)).mean(0)
    hour_T = rows.astype("datetime64[h]")
    hours = np.unique(hour_T)
    return hours[0], np.array([mean_T[hour_T == h].mean() for h in hours])


def as_csv(first: np.datetime64, values_H: np.ndarray, name: str) -> str:
    """In the format of energy/hourly.py."""
    out, begin = io.StringIO(), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=int(first.astype("datetime64[h]").astype(int)))
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["datetime", "gCO2e_per_kWh", "name", "source"])
    for i, value in enumerate(values_H):
        table.writerow([(begin + timedelta(hours=i)).strftime("%Y-%m-%dT%H:%MZ"), f"{value:.1f}", name, SOURCE])
    return out.getvalue()
