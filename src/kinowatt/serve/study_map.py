"""The map of a study while it is computed: the network's lines and buses, and how often each is outside of its limits, growth by growth.

It grows with the study: whatever weather and growth has been computed so far is in it. Legend: E elements, N nodes, G growths.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt.grid.network import Network
from kinowatt.grid.scenarios import WEATHERS, Scenarios
from kinowatt.grid.study import Work
from kinowatt.places import whole


class StudyMap:
    """Written to `map.json` in the study's folder; `update` adds the growths that are there by now and says how many that makes."""

    def __init__(self, path: Path, kept: Path, network: Network, scenarios: Scenarios, work: Work) -> None:
        self.path, self.kept = path, kept
        self.growths = len(work.settings.growths(work.settings.main))
        self._read: set[tuple[str, int]] = set()
        self._told = {**_network(network, work), "scenarios": scenarios.count, "steps": scenarios.steps}
        self._told["weathers"] = {
            w: {key: [None] * self.growths for key in ("risk", "elements", "buses")} for w in WEATHERS
        }  # fmt: skip

    def update(self) -> int:
        """Take in what was computed since; returns how many (weather, growth) the map has. OutputError if it cannot be written."""
        before = len(self._read)
        for weather in WEATHERS:
            for growth in range(self.growths):
                path = self.kept / f"curve-{weather}-{growth}.npz"  # as grid/study.py names its tasks
                if (weather, growth) not in self._read and path.is_file():
                    self._take(weather, growth, path)
        if len(self._read) > before or not self.path.is_file():
            with whole(self.path) as part:
                part.write_text(json.dumps(self._told, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        return len(self._read)

    def _take(self, weather: str, growth: int, path: Path) -> None:
        with np.load(path) as tally:
            steps = max(int(tally["seen"]) * int(tally["steps"]), 1)
            violated_S = tally["violated_S"]
            held = self._told["weathers"][weather]
            held["risk"][growth] = _short(violated_S[violated_S >= 0].sum() / steps)
            held["elements"][growth] = [_short(n / steps) for n in tally["element_E"]]
            held["buses"][growth] = [_short(n / steps) for n in tally["node_N"]]
        self._read.add((weather, growth))


def _network(network: Network, work: Work) -> dict[str, Any]:
    """What does not change: places of elements and of all nodes (lat, lon), MW installed at growth 1, and what a whole growth adds."""
    c, s = network.circuit, work.settings

    def place(node: int) -> list[float]:
        return [round(float(network.lat_N[node]), 5), round(float(network.lon_N[node]), 5)]

    elements = []
    for e in range(c.elements):
        k = c.branches_of(e)
        elements.append({"kind": c.kinds[e], "name": c.names[e], "from": place(c.from_K[k[0]]), "to": place(c.to_K[k[-1]])})
    names = network.net.bus["name"]
    buses = []
    for n in range(c.nodes):
        bus = int(c.bus_of_node[n])
        grows = {k: [_short(work.installed[k][n]), _short(work.unit_MW[k] * work.shares[k][0][n])] for k in work.kinds}
        buses.append({"name": str(names.get(bus) or bus) if bus >= 0 else "", "at": place(n), **grows})
    stands, unit = network.plants[s.main].total_MW, work.unit_MW.get(s.main, 0.0)
    return {
        "network": network.name, "kind": s.main, "growth": s.growths(s.main), "planned_risk": s.risk,
        "installed_MW": [_short(stands + (g - 1.0) * unit) for g in s.growths(s.main)],
        "other_kind": s.other, "other_growth": s.growths(s.other)[0], "elements": elements, "buses": buses,
    }  # fmt: skip


def _short(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}") or 0
