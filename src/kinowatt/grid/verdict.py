"""What a study found, as one JSON object: definitions, figures with their spread, comparisons, limits. Legend: B draws, P placements."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kinowatt import __version__
from kinowatt.energy.bill import EnergyBill
from kinowatt.grid.hosting import Hosted, Tally, interval, limiting, resampled_last, search
from kinowatt.grid.scenarios import FIELD, INDEPENDENT, PIXEL, SAYS, WEATHERS
from kinowatt.grid.study import Study

DRAWS = 500  # of the bootstrap
LISTED = 200  # snapshots without a solution that the summary names; the CSV names all
DEFINITION = {
    "violation": "a step of a scenario in which any line or transformer is loaded above its limit, any bus voltage leaves its limits, "
    "or the power flow has no solution",
    "risk": "the share of all steps of all scenarios with a violation",
    "hosting_capacity": "the installed MW at the largest growth of the axis at which the risk is at most the planned one; found by "
    "bisection, so growths between two that pass are taken to pass; 0 where not even the first passes",
    "P5_P50_P95": "over placements of what is added; the first placement is in place, the others choose a third of the nodes by lot",
    "intervals": "nine of ten draws of a bootstrap: over scenarios with placements kept (weather), over placements with scenarios kept",
}
LIMITS = (
    "Scenarios are drawn by a scenario generator and nowcast; this is no weather forecast.",
    "Plants feed in at cos φ = 1 and follow the weather only; nothing switches, and no tap follows the voltage.",
    "Sources hold their voltage; faults, n-1 security, protection and dynamics are not studied.",
    "One pixel is a plant's place, drawn by megawatts for each scenario: one place for all would show its yield, not what space does. With "
    "the sites of one history in turn, PV × 5 on SimBench's 1-HV-mixed gave 1214 to 1546 h of lines and 425 to 760 h of transformers above "
    "their limits; drawn by megawatts 1360 and 542, the field 1448 and 492.",
    "Curtailment and storage are what a working rule needs, checked by AC power flow, not a proven minimum.",
)


def summary(study: Study, bill: EnergyBill) -> dict[str, Any]:
    """The content of summary.json."""
    s, c = study.settings, study.network.circuit
    map_growth = s.growths(s.main)[study.map_index]
    found = {
        "kinowatt": __version__,
        "definition": DEFINITION,
        "settings": {
            "network": s.network, "weather": s.weather, "pv_growth": s.pv_growth, "wind_growth": s.wind_growth, "placements": s.placements,
            "scenarios": s.scenarios, "horizon_h": s.horizon_h, "risk": s.risk, "limits": s.limits, "seed": s.seed,
            "history": s.history, "at": s.at, "place": s.place,
        },
        "network": {
            "name": study.network.name, "source": study.network.source, "licence": study.network.licence, "nodes": c.nodes,
            "lines": int(c.is_line_E.sum()), "transformers": int((~c.is_line_E).sum()), "peak_load_MW": study.network.peak_load_MW,
            "installed_MW": {k: p.total_MW for k, p in study.network.plants.items()},
        },
        "weather": {
            "source": study.scenarios.source, "scenarios": study.scenarios.count, "steps": study.scenarios.steps,
            "hours_per_step": study.scenarios.hours, "drives": study.scenarios.kinds,
            "first": str(study.scenarios.times_ST.min().astype("datetime64[m]")),
            "last": str(study.scenarios.times_ST.max().astype("datetime64[m]")),
        },
        "axis": {
            "kind": s.main, "growth": s.growths(s.main), "installed_MW": installed(study), "one_growth_MW": study.work.unit_MW.get(s.main),
            "one_growth_is": "what is installed" if study.network.plants[s.main].total_MW else "the peak load, as nothing is installed",
            "other_kind": s.other, "other_growth": s.growths(s.other),
        },
        "hosting_capacity": [capacity(study, j) for j in range(len(s.growths(s.other)))],
        "weathers": {w: beside(study, w) for w in WEATHERS},
        "what_the_field_adds": adds(study),
        "relief": [_relief(study, g) for g in sorted(study.relief)],
        "reinforcement": reinforcement(study),
        "map": {"growth": map_growth, "installed_MW": installed(study)[study.map_index], **_map(study)},
        "unsolved": _unsolved(study),
        "check": study.check.to_json() if study.check else "pandapower solved all snapshots, so there was nothing to check it by",
        "energy": bill.to_json(),
        "limits": [*LIMITS, *study.notes],
    }  # fmt: skip
    rounded: dict[str, Any] = _rounded(found)
    return rounded


def _rounded(value: Any) -> Any:
    """Six digits: more are noise."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def installed(study: Study) -> list[float]:
    """MW of the searched kind at each growth of the axis."""
    s = study.settings
    stands, unit = study.network.plants[s.main].total_MW, study.work.unit_MW.get(s.main, 0.0)
    return [stands + (g - 1.0) * unit for g in s.growths(s.main)]


def hosted_MW(study: Study, hosted: Hosted) -> float:
    """The answer of one placement; 0 where no growth passes."""
    return installed(study)[hosted.last] if hosted.last >= 0 else 0.0


def _blames(study: Study, hosted: Hosted) -> str:
    """What limits: at the first growth that does not pass."""
    at = hosted.last + 1
    return limiting(study.network.circuit, hosted.of(at)) if at in hosted.tested else "nothing on the axis"


def capacity(study: Study, other: int) -> dict[str, Any]:
    """Hosting capacity at one growth of the other kind, weather and placements kept apart."""
    s = study.settings
    answers = [study.hosted[other, p] for p in range(s.placements)]
    values = np.array([hosted_MW(study, h) for h in answers])
    rng = np.random.default_rng([s.seed, 6])
    draws_BS = rng.integers(0, study.scenarios.count, (DRAWS, study.scenarios.count))
    growths, mw = s.growths(s.main), np.array(installed(study))
    redrawn = np.array([resampled_last(h, growths, s.risk, draws_BS) for h in answers])  # (P, B), in growths
    redrawn = np.where(redrawn > 0, np.interp(redrawn, growths, mw), 0.0)
    chosen = values[rng.integers(0, len(values), (DRAWS, len(values)))]
    blames = Counter(_blames(study, h) for h in answers)
    return {
        f"{s.other}_growth": s.growths(s.other)[other],
        "P5_MW": float(np.percentile(values, 5)), "P50_MW": float(np.percentile(values, 50)), "P95_MW": float(np.percentile(values, 95)),
        "in_place_MW": float(values[0]),
        "P50_interval_MW": {"weather": interval(np.median(redrawn, 0)), "placement": interval(np.median(chosen, 1))},
        "standard_deviation_MW": {"weather": float(redrawn.std(1).mean()), "placement": float(values.std())},
        "none_passes": int(sum(h.last < 0 for h in answers)), "all_pass": int(sum(h.last == len(mw) - 1 for h in answers)),
        "limiting": dict(blames.most_common()),
        "placements": [{"placement": p, "hosted_MW": hosted_MW(study, h), "limiting": _blames(study, h)} for p, h in enumerate(answers)],
    }  # fmt: skip


def beside(study: Study, weather: str) -> dict[str, Any]:
    """One of the three weathers, in place, growth by growth."""
    tallies, hours = study.curves[weather], study.scenarios.hours
    last = search(len(tallies), study.settings.risk, tallies.__getitem__)
    return {
        "says": SAYS[weather],
        "risk": [t.risk for t in tallies],
        "line_hours": [float(t.lines_S.sum() * hours) for t in tallies],
        "transformer_hours": [float(t.trafos_S.sum() * hours) for t in tallies],
        "voltage_hours": [float(t.voltage_S.sum() * hours) for t in tallies],
        "unsolved": [len(t.unsolved) for t in tallies],
        "losses_MWh": [t.losses_MWh for t in tallies],
        "ramp_p99_9_MW": [ramp_MW(t) for t in tallies],
        "hosted_MW": hosted_MW(study, last),
        "limiting": _blames(study, last),
        "hours_in_all": study.scenarios.count * study.scenarios.steps * hours,
    }


def ramp_MW(tally: Tally) -> float:
    """99.9th percentile of the change of all plants' power from one step to the next."""
    change = abs(np.diff(tally.power_ST_MW, axis=1))
    return float(np.percentile(change, 99.9)) if change.size else 0.0


def adds(study: Study) -> list[str]:
    """What the field says that the simpler weathers do not, at the map's growth."""
    i, hours = study.map_index, study.scenarios.hours
    field, pixel, alone = (study.curves[w][i] for w in (FIELD, PIXEL, INDEPENDENT))
    mw = {w: hosted_MW(study, search(len(t), study.settings.risk, t.__getitem__)) for w, t in study.curves.items()}
    out = [
        f"At {installed(study)[i]:.0f} MW: a line above its limit in {field.lines_S.sum() * hours:.0f} h with the field, "
        f"{pixel.lines_S.sum() * hours:.0f} h with one pixel, {alone.lines_S.sum() * hours:.0f} h with independent sites; a transformer in "
        f"{field.trafos_S.sum() * hours:.0f}, {pixel.trafos_S.sum() * hours:.0f} and {alone.trafos_S.sum() * hours:.0f} h.",
        f"Its ramps (99.9th percentile per step): {ramp_MW(field):.0f} MW with the field, {ramp_MW(pixel):.0f} with one pixel, "
        f"{ramp_MW(alone):.0f} with independent sites.",
        f"Hosting capacity in place: {mw[FIELD]:.0f} MW with the field, {mw[PIXEL]:.0f} with one pixel, "
        f"{mw[INDEPENDENT]:.0f} with independent sites.",
    ]
    if mw[FIELD] == mw[PIXEL] and abs(field.risk - pixel.risk) < 0.1 * max(field.risk, 1e-9):
        out.append("On this network the field changes the verdict by little against one pixel: it is small, or its limits lie in the sum.")
    return out


def _relief(study: Study, growth: int) -> dict[str, Any]:
    found = study.relief[growth]
    out = {
        "growth": study.settings.growths(study.settings.main)[growth], "installed_MW": installed(study)[growth],
        "curtailed_MWh": found["curtailed_MWh"], "share_of_available": found["curtailed_MWh"] / max(found["available_MWh"], 1e-9),
        "violated_steps": found["violated"], "still_violated_steps": found["left"],
    }  # fmt: skip
    if "storage_power_N_MW" in found:
        bus = study.network.circuit.bus_of_node
        power_N, energy_N = found["storage_power_N_MW"], found["storage_energy_N_MWh"]
        sites = [{"bus": int(bus[n]), "MW": float(power_N[n]), "MWh": float(energy_N[n])} for n in np.argsort(-power_N) if power_N[n] > 0]
        out["storage"] = {
            "MW": float(power_N.sum()), "MWh": float(energy_N.sum()),
            "P95_MW": found["storage_p95_MW"], "P95_MWh": found["storage_p95_MWh"],
            "taken_MWh": found["storage_taken_MWh"], "returned_MWh": found["storage_returned_MWh"],
            "violations_by_giving_back": found["storage_violations"], "sites": sites,
        }  # fmt: skip
    return out


def reinforcement(study: Study) -> list[dict[str, Any]]:
    """Elements whose doubling raises the in-place hosting capacity most; of equals, the one that lowers the risk most."""
    c, before = study.network.circuit, hosted_MW(study, study.hosted[0, 0])
    rows = [
        {
            "element": f"{c.kinds[e]} {c.names[e]}", "hosted_MW": hosted_MW(study, h), "more_MW": hosted_MW(study, h) - before,
            "risk_at_map_growth": risk, "risk_before": study.curves[FIELD][study.map_index].risk,
        }
        for e, (h, risk) in study.doubled.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda r: (-r["hosted_MW"], r["risk_at_map_growth"]))


def _map(study: Study) -> dict[str, Any]:
    """Elements and buses with their places and the share of steps in which they are outside of their limits."""
    network, c, tally = study.network, study.network.circuit, study.curves[FIELD][study.map_index]
    steps = tally.seen * tally.steps

    def place(node: int) -> list[float]:
        return [round(float(network.lat_N[node]), 5), round(float(network.lon_N[node]), 5)]

    elements = []
    for e in range(c.elements):
        k = c.branches_of(e)
        probability = float(tally.element_E[e] / steps)
        elements.append(
            {"kind": c.kinds[e], "name": c.names[e], "probability": probability, "from": place(c.from_K[k[0]]), "to": place(c.to_K[k[-1]])}
        )
    plan = study.work.plan(study.settings.growths(study.settings.main)[study.map_index], study.settings.growths(study.settings.other)[0], 0)
    buses = [
        {
            "bus": int(c.bus_of_node[n]),
            "at": place(n),
            "probability": float(tally.node_N[n] / steps),
            **{f"{k}_MW": float(v[n]) for k, v in plan.items()},
        }
        for n in range(c.nodes)
        if c.bus_of_node[n] >= 0
    ]
    return {"elements": elements, "buses": buses}


def unsolved(study: Study) -> list[dict[str, Any]]:
    """Every flow of the reference placement that had no solution."""
    times, growths = study.scenarios.times_ST, study.settings.growths(study.settings.main)
    return [
        {"weather": w, "growth": growths[g], "scenario": int(s), "time": str(times[s, t].astype("datetime64[m]"))}
        for w, tallies in study.curves.items()
        for g, tally in enumerate(tallies)
        for s, t in tally.unsolved
    ]


def _unsolved(study: Study) -> dict[str, Any]:
    rows = unsolved(study)
    placed = sum(len(t.unsolved) for key, h in study.hosted.items() if key != (0, 0) for t in h.tallies)
    return {"in_place": len(rows), "other_placements": placed, "counted_as": "violations", "first": rows[:LISTED]}
