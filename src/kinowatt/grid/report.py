"""What a study leaves: summary.json, tables, one HTML page with its pictures inside, footage, PyPSA's network, and carbon by the hour."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from kinowatt.energy.bill import EnergyBill
from kinowatt.errors import OutputError
from kinowatt.grid import dispatch, figures, verdict
from kinowatt.grid.footage import footage, worst_scenario
from kinowatt.grid.pypsa_file import write_pypsa
from kinowatt.grid.scenarios import WEATHERS, weather_of
from kinowatt.grid.study import Step, Study
from kinowatt.media.video import write_video

EMBEDDED_BYTES = 6_000_000  # footage up to this stands in the page itself
_RISK_WORDS = (
    "Thick: what stands, grown in place, with three weathers. Thin: other placements at the growths that the search tested. "
    "Shaded: hosting capacity from P5 to P95 over placements."
)
_MAP_WORDS = "Share of steps in which an element is above its limit, in place, with the weather field. Squares are transformers."
CSS = Path(__file__).with_name("report.css")


def write_report(folder: Path, study: Study, bill: EnergyBill, step: Step) -> dict[str, Any]:
    """Write everything into the study's folder and give the summary back. OutputError if a file cannot be written."""
    step("report", 0, 4)
    found = verdict.summary(study, bill)
    for name, rows in tables(study, found).items():
        _text(folder / name, _csv(rows))
    s = study.settings
    plan = study.work.plan(s.growths(s.main)[study.map_index], s.growths(s.other)[0], 0)
    first, values_H = dispatch.intensity_H(study.network, study.scenarios, study.work, plan)
    _text(folder / "intensity.csv", dispatch.as_csv(first, values_H, study.network.name))
    step("report", 1, 4)
    scenario = worst_scenario(study)
    clip = footage(study, weather_of(study.scenarios, scenario), scenario)
    write_video(folder / "weather.mp4", clip, {"title": f"kinowatt grid study of {study.network.name}", "comment": study.network.licence})
    step("report", 2, 4)
    found["pypsa_scenarios"] = write_pypsa(folder / "pypsa.nc", study)
    step("report", 3, 4)
    _text(folder / "summary.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _text(folder / "report.html", page(study, found, (folder / "weather.mp4").read_bytes(), bill))
    step("report", 4, 4)
    return found


def _text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def tables(study: Study, found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the CSV files, by name."""
    axis = found["axis"]
    curves = [
        {
            "weather": w, "growth": g, "installed_MW": mw, "risk": b["risk"][i], "line_hours": b["line_hours"][i],
            "transformer_hours": b["transformer_hours"][i], "voltage_hours": b["voltage_hours"][i], "unsolved_steps": b["unsolved"][i],
            "losses_MWh": b["losses_MWh"][i], "ramp_p99_9_MW": b["ramp_p99_9_MW"][i],
        }
        for w, b in found["weathers"].items()
        for i, (g, mw) in enumerate(zip(axis["growth"], axis["installed_MW"], strict=True))
    ]  # fmt: skip
    other = f"{axis['other_kind']}_growth"
    placed = [{other: row[other], **p} for row in found["hosting_capacity"] for p in row["placements"]]
    elements = [{k: e[k] for k in ("kind", "name", "probability")} for e in found["map"]["elements"]]
    relief = [{**{k: v for k, v in r.items() if k != "storage"}, **_storage(r)} for r in found["relief"]]
    return {
        "curves.csv": curves, "placements.csv": placed, "elements.csv": elements, "relief.csv": relief,
        "reinforcement.csv": found["reinforcement"], "unsolved.csv": verdict.unsolved(study),
    }  # fmt: skip


def _storage(row: dict[str, Any]) -> dict[str, Any]:
    return {f"storage_{k}": v for k, v in row.get("storage", {}).items() if k != "sites"}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()


def page(study: Study, found: dict[str, Any], film: bytes, bill: EnergyBill) -> str:
    """The report: one HTML file that needs nothing beside it (footage of more than 6 MB lies beside it)."""
    name, s = escape(found["network"]["name"]), study.settings
    kind = "PV" if s.main == "pv" else "wind"
    at = f"{found['map']['installed_MW']:.0f} MW of {kind}"
    inside = "data:video/mp4;base64," + base64.b64encode(film).decode() if len(film) <= EMBEDDED_BYTES else "weather.mp4"
    weather = found["weather"]
    sections = [
        f"<h1>Grid study: {name}</h1>",
        f"<p class=soft>{weather['scenarios']} scenarios of {s.horizon_h:g} h in steps of {weather['hours_per_step']:g} h "
        f"from {escape(weather['source'])}; "
        f"{s.placements} placements; planned risk {s.risk:.1%}. Scenario generator and nowcast, no weather forecast.</p>",
        _cards(found, kind, bill),
        "<h2>Risk against growth</h2>",
        _figure(figures.risk_curve(study), _RISK_WORDS),
        f"<h2>Where it is too much, at {at}</h2>",
        _figure(figures.network_map(study), _MAP_WORDS),
        f"<h2>How much, and when, at {at}</h2>",
        "<div class=two>"
        + _figure(figures.exceedance(study), "Share of steps in which the most loaded line, or transformer, is above a loading.")
        + _figure(figures.fan(study), "Power of all plants that the weather drives. Thin lines are single scenarios.") + "</div>",
        "<h2>The worst scenario</h2>",
        f"<figure><video controls muted loop src='{inside}'></video>"
        f"<figcaption>The weather beside the network's loadings, at {at}.</figcaption></figure>",
        "<h2>What the field adds</h2>",
        "".join(f"<p>{escape(line)}</p>" for line in found["what_the_field_adds"]),
        _compared(found),
        "<h2>Hosting capacity, weather and placement apart</h2>",
        _capacities(found, kind),
        "<h2>Without new lines</h2>",
        _relief(found, s.storage),
        "<h2>With stronger ones</h2>",
        _reinforced(found),
        "<h2>What the words mean</h2>",
        "<ul>" + "".join(f"<li><b>{escape(k.replace('_', ' '))}</b>: {escape(v)}.</li>" for k, v in found["definition"].items()) + "</ul>",
        "<h2>Limits, data, check, energy</h2>",
        "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in _small(found, bill)) + "</ul>",
    ]  # fmt: skip
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>Grid study: {name}</title><style>{CSS.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _figure(svg: str, words: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(words)}</figcaption></figure>"


def _cards(found: dict[str, Any], kind: str, bill: EnergyBill) -> str:
    row = found["hosting_capacity"][0]
    limiting = next(iter(row["limiting"]))
    spread = row["standard_deviation_MW"]
    cards = [
        (f"{row['P50_MW']:.0f} MW", f"hosting capacity for {kind}, P50; P5 {row['P5_MW']:.0f}, P95 {row['P95_MW']:.0f} MW over placements"),
        (f"{row['in_place_MW']:.0f} MW", f"grown in place, from {found['axis']['installed_MW'][0]:.0f} MW"),
        (escape(limiting), f"limits {row['limiting'][limiting]} of {len(row['placements'])} placements"),
        (f"± {spread['placement']:.0f} / {spread['weather']:.0f} MW", "standard deviation: where plants go / which weather comes"),
        (
            f"{(bill.total_Wh or 0.0):.2f} Wh" if bill.total_Wh is not None else "not known",
            f"energy of this study, {bill.energy.wall_s:.0f} s",
        ),
    ]
    return (
        "<div class=cards>" + "".join(f"<div class=card><b>{big}</b><span>{escape(small)}</span></div>" for big, small in cards) + "</div>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: int = -1) -> str:
    body = "".join(
        f"<tr{' class=at' if i == marked else ''}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for i, row in enumerate(rows)
    )
    return f"<div class=scroll><table><tr>{''.join(f'<th>{escape(h)}</th>' for h in head)}</tr>{body}</table></div>"


def _compared(found: dict[str, Any]) -> str:
    """Three weathers side by side, growth by growth."""
    beside, axis = found["weathers"], found["axis"]
    head = ["installed, MW", *(f"{what}: {figures.WORDS[w]}" for what in ("risk, %", "line h", "transformer h") for w in WEATHERS)]
    rows = [
        [f"{mw:.0f}", *(f"{scale * beside[w][key][i]:.{digits}f}" for key, scale, digits in _COLUMNS for w in WEATHERS)]
        for i, mw in enumerate(axis["installed_MW"])
    ]
    return _table(head, rows, axis["growth"].index(found["map"]["growth"]))


_COLUMNS = (("risk", 100.0, 2), ("line_hours", 1.0, 0), ("transformer_hours", 1.0, 0))


def _capacities(found: dict[str, Any], kind: str) -> str:
    other = found["axis"]["other_kind"]
    head = [
        f"{other} growth",
        "P5, MW",
        "P50, MW",
        "P95, MW",
        "in place, MW",
        "P50 by weather",
        "P50 by placement",
        "sd weather",
        "sd placement",
        "limits most",
    ]
    rows = [
        [
            f"{r[f'{other}_growth']:g}", *(f"{r[k]:.0f}" for k in ("P5_MW", "P50_MW", "P95_MW", "in_place_MW")),
            *("{:.0f} to {:.0f}".format(*r["P50_interval_MW"][k]) for k in ("weather", "placement")),
            *(f"{r['standard_deviation_MW'][k]:.0f}" for k in ("weather", "placement")), next(iter(r["limiting"])),
        ]
        for r in found["hosting_capacity"]
    ]  # fmt: skip
    none = found["hosting_capacity"][0]["none_passes"]
    every = found["hosting_capacity"][0]["all_pass"]
    said = (
        f"<p class=soft>{kind} is searched, to one step of the axis. {none} placements pass at no growth of it (counted as 0 MW), "
        f"{every} at all of it (their capacity is at least its end).</p>"
    )
    return said + _table(head, rows)


def _relief(found: dict[str, Any], storage: bool) -> str:
    if not found["relief"]:
        return "<p>No growth of the axis has a violation in place.</p>"
    head = ["installed, MW", "violated steps", "curtailed, MWh", "of what is available, %", "still violated"]
    head += ["storage, MW", "MWh", "for 95 of 100: MW", "MWh", "given back, MWh", "violations by it"] if storage else []
    rows = []
    for r in found["relief"]:
        row = [
            f"{r['installed_MW']:.0f}",
            str(r["violated_steps"]),
            f"{r['curtailed_MWh']:.1f}",
            f"{100 * r['share_of_available']:.3f}",
            str(r["still_violated_steps"]),
        ]
        if storage:
            t = r["storage"]
            row += [f"{t[k]:.1f}" for k in ("MW", "MWh", "P95_MW", "P95_MWh", "returned_MWh")] + [str(t["violations_by_giving_back"])]
        rows.append(row)
    return "<p class=soft>In place, with the weather field, over all scenarios; every step was solved again by AC power flow.</p>" + _table(
        head, rows
    )


def _reinforced(found: dict[str, Any]) -> str:
    if not found["reinforcement"]:
        return "<p>No element is above its limit, so none was made stronger.</p>"
    head = ["a second one beside", "hosting capacity in place, MW", "more, MW", "risk at the map's growth, %", "before, %"]
    rows = [
        [
            r["element"],
            f"{r['hosted_MW']:.0f}",
            f"{r['more_MW']:.0f}",
            f"{100 * r['risk_at_map_growth']:.2f}",
            f"{100 * r['risk_before']:.2f}",
        ]
        for r in found["reinforcement"]
    ]
    return _table(head, rows)


def _small(found: dict[str, Any], bill: EnergyBill) -> list[str]:
    check, flows = found["check"], found["unsolved"]
    said = check if isinstance(check, str) else (
        f"{check['snapshots']} snapshots (random and worst) were solved again with pandapower: voltages differ by at most "
        f"{check['max_voltage_difference_pu']:.1e} pu, loadings by {check['max_loading_difference_percent']:.1e} %; "
        f"{check['converged_with_one_solver_only']} converged with one solver only."
    )  # fmt: skip
    return [
        *found["limits"],
        f"Network: {found['network']['source']}; {found['network']['licence']}.",
        f"Weather: {found['weather']['source']}.",
        said,
        f"{flows['in_place']} flows in place and {flows['other_placements']} of other placements had no solution; they count as "
        "violations (unsolved.csv).",
        f"Energy of the study: {bill.one_line()}.",
        "intensity.csv: carbon by the hour from a simple merit order; KINOWATT_INTENSITY_CSV=intensity.csv lets jobs wait for green hours.",
    ]
