"""The report: one HTML page with its clips beside it, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from kinowatt.exam.figure import Estimate, Figure, Section, Shown, Table

CSS = Path(__file__).with_name("report.css")
AT_ONCE = 12  # clips of a section that are seen without a click
COLUMNS = ("", "model", "", "ceiling: the world", "through the codec", "floor", "bar", "", "n", "what it is")
PLAY = (
    "const see=new IntersectionObserver(a=>a.forEach(e=>{const v=e.target;if(e.isIntersecting){v.preload='auto';v.play().catch(()=>0)}"
    "else v.pause()}));document.querySelectorAll('video').forEach(v=>see.observe(v))"
)


def page(facts: dict[str, Any], sections: Sequence[Section]) -> str:
    """The whole page. `facts`: what stands in report.json beside the sections."""
    name = escape(facts["model"])
    barred = [f for s in sections for f in s.figures if f.bar]
    met = sum(bool(f.met) for f in barred)
    head = [
        f"<h1>{name} sits its exam</h1>",
        f"<p class=soft>{escape(facts['amount'])}. Weights {facts['weights_sha256'][:12]}, {escape(facts['runtime'])} on "
        f"{escape(facts['device'])}, {escape(facts['date'])}. Scenes that no training saw, in the order of their numbers, seeds with them: "
        "nothing was picked.</p>",
        _cards(met, len(barred), facts),
        *(f"<p>{escape(line)}</p>" for line in facts["words"]),
    ]
    bars = Section("bars", "All bars", ("What the project wants to reach, out of the sections below.",), tuple(barred))
    body = "".join(head) + "".join(_section(s) for s in (bars, *sections))
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>Exam: {name}</title><style>{CSS.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{body}</main><script>{PLAY}</script></body></html>\n"
    )


def _cards(met: int, bars: int, facts: dict[str, Any]) -> str:
    cards = [(f"{met} of {bars}", "bars met"), *((value, told) for told, value in facts["cards"].items())]
    inside = "".join(f"<div class=card><b>{escape(big)}</b><span>{escape(small)}</span></div>" for big, small in cards)
    return f"<div class=cards>{inside}</div>"


def _section(s: Section) -> str:
    rows = "".join(_row(f) for f in s.figures)
    head = "".join(f"<th{' class=says' if c == COLUMNS[-1] else ''}>{escape(c)}</th>" for c in COLUMNS)
    clips = [_clip(c) for c in s.clips]
    shown = f"<div class=clips>{''.join(clips[:AT_ONCE])}</div>" if clips else ""
    if rest := clips[AT_ONCE:]:
        shown += f"<details><summary>{len(rest)} more clips</summary><div class=clips>{''.join(rest)}</div></details>"
    return (
        f"<h2 id={s.name}>{escape(s.title)}</h2>"
        + "".join(f"<p class=soft>{escape(line)}</p>" for line in s.words)
        + (f"<div class=scroll><table><tr>{head}</tr>{rows}</table></div>" if rows else "")
        + "".join(_table(t) for t in s.tables)
        + shown
    )


def _row(f: Figure) -> str:
    bar = "" if f.bar is None else f"{'≥' if f.bar.sense == 'least' else '≤'} {number(f.bar.value)}"
    met = "" if f.met is None else "<span class=yes>met</span>" if f.met else "<span class=no>missed</span>"
    if f.met is False and f.truth and f.truth.value is not None and f.bar and not f.bar.met(f.truth.value):
        met += "<span class=range>above the ceiling</span>"
    floor = f"<td title='{escape(f.floor_is)}'>{_value(f.floor)}</td>"
    unit = f" <span class=n>{escape(f.unit)}</span>" if f.unit else ""
    says = "; ".join(part for part in (f.says, f.floor_is and f"floor: {f.floor_is}") if part)
    return (
        f"<tr><td>{escape(f.name)}{unit}</td><td class=made>{_value(f.made)}{_range(f.made)}</td><td>{_drawn(f)}</td>"
        f"<td>{_value(f.truth)}{_range(f.truth)}</td><td>{_value(f.coded)}</td>{floor}"
        f"<td>{bar}</td><td>{met}</td><td class=n>{f.made.n}</td><td class=says>{escape(says)}</td></tr>"
    )


def number(value: float) -> str:
    """Short."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _value(e: Estimate | None) -> str:
    return "" if e is None else "not measurable" if e.value is None else number(e.value)


def _range(e: Estimate | None) -> str:
    return "" if e is None or e.low is None or e.high is None else f"<span class=range>{number(e.low)} to {number(e.high)}</span>"


def _drawn(f: Figure) -> str:
    """Floor, ceiling, codec, bar and model on one line; the model with its interval."""
    marks = [(name, e.value) for name, e in (("floor", f.floor), ("coded", f.coded), ("truth", f.truth)) if e and e.value is not None]
    if f.made.value is None or not marks:
        return ""
    spans = [v for v in (f.made.low, f.made.high) if v is not None]
    values = [v for _, v in marks] + [f.made.value, *spans] + ([f.bar.value] if f.bar else [])
    low, wide = min(values), max(max(values) - min(values), 1e-9)

    def x(value: float) -> str:
        return f"{8 + 154 * (value - low) / wide:.1f}"

    line = "<line x1=8 x2=162 y1=11 y2=11 stroke='var(--rule)'/>"
    if spans:
        line += f"<line x1={x(spans[0])} x2={x(spans[1])} y1=11 y2=11 stroke='var(--made)' stroke-width=3 opacity=.45 />"
    if f.bar:
        line += f"<line x1={x(f.bar.value)} x2={x(f.bar.value)} y1=2 y2=20 stroke='var(--ink)' stroke-dasharray='2 2'/>"
    line += "".join(f"<circle cx={x(v)} cy=11 r=4 fill='var(--{name})'><title>{name}: {number(v)}</title></circle>" for name, v in marks)
    line += f"<circle cx={x(f.made.value)} cy=11 r=5 fill='var(--made)'><title>model: {number(f.made.value)}</title></circle>"
    return f"<svg class=scale viewBox='0 0 170 22'>{line}</svg>"


def _table(t: Table) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in t.head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in t.rows)
    inside = f"<table class=small><tr>{head}</tr>{rows}</table>"
    return f"<details><summary>{escape(t.title)}</summary><div class=scroll>{inside}</div></details>"


def _clip(c: Shown) -> str:
    told = f"<b>{escape(c.label)}</b><br>{escape(c.prompt)}<br>scene {c.scene}, seed {c.seed}"
    return f"<figure><video muted loop playsinline preload=metadata src='{escape(c.file)}'></video><figcaption>{told}</figcaption></figure>"
