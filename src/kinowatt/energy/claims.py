"""Published figures on the energy of AI, computed again from their inputs: which reproduce, which do not, and by how much."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from kinowatt.energy.claim import Claim, Figure, Overrides, Result, compute, scaled, settable
from kinowatt.energy.claims_language import LANGUAGE, WORKFORCE
from kinowatt.energy.claims_video import VIDEO
from kinowatt.errors import InputError

WIDTH = 108  # columns of the text for terminals, leaving room for the Chinese titles, which count double

INTRODUCTION = """\
# Published figures, computed again

Eleven claims about the energy of AI that are often repeated, each recomputed from its inputs. Most come from one article, OFweek's
“Sora有界,能源無界” of 2024-02-26, or from what it draws on. *Ours* is the result of the formula below each claim; *ratio* is ours over
published. Where no derivation is known, the page says so. Every figure counts the energy that its formula names and no more: where PUE,
the host or a batch is left out, it is an input that you can set.

This page is written by `kinowatt.energy.claims.markdown()`; do not edit it by hand.
"""

AGAIN = """\
## With other assumptions

```
kinowatt energy claims                                        # all claims
kinowatt energy claims chatgpt-inference                      # one claim, with its inputs and formulas
kinowatt energy claims chatgpt-inference --set batch=64       # the same with another assumption
kinowatt energy claims --set pue=1.2 --set zone=DE            # the claims that have such an input
kinowatt energy claims --json
```

`zone` takes an ISO country code and fills `intensity_kg_per_kWh` from the table that ships with kinowatt. A verdict always stands for the
published assumptions.
"""


def claims() -> tuple[Claim, ...]:
    """All claims, in the order of the page."""
    return (*LANGUAGE, *VIDEO, WORKFORCE)


def claim(key: str) -> Claim:
    """The claim of that key. InputError naming the known ones."""
    known = {c.key: c for c in claims()}
    if key not in known:
        raise InputError(f"there is no claim {key!r}; the claims are {', '.join(known)}")
    return known[key]


def run(key: str | Claim, overrides: Overrides | None = None) -> Result:
    """A claim, with some of its inputs replaced. InputError for an unknown claim or input, or a value that makes no sense."""
    return compute(claim(key) if isinstance(key, str) else key, overrides)


def overrides_from(settings: Iterable[str]) -> dict[str, float | str]:
    """`name=value` as it stands on a command line. InputError for anything else."""
    found: dict[str, float | str] = {}
    for said in settings:
        name, equals, value = said.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"{said!r} is no setting; write name=value, such as batch=64")
        found[name.strip()] = value.strip()
    return found


def results(keys: Sequence[str] | None = None, overrides: Overrides | None = None) -> tuple[Result, ...]:
    """The claims of these keys; without keys all, or those that an override changes. InputError if no claim has such an input."""
    chosen = [claim(k) for k in keys] if keys else list(claims())
    wanted = dict(overrides or {})
    for name in wanted:
        if not any(name in settable(c) for c in chosen):
            names = dict.fromkeys(n for c in chosen for n in settable(c))
            raise InputError(f"no claim asked for has an input {name!r}; the inputs are {', '.join(names)}")
    apart = [(c, {n: v for n, v in wanted.items() if n in settable(c)}) for c in chosen]
    return tuple(run(c, own) for c, own in apart if own or keys or not wanted)


def claims_json(keys: Sequence[str] | None = None, overrides: Overrides | None = None) -> list[dict[str, Any]]:
    """The claims as JSON, numbers unrounded."""
    return [r.to_json() for r in results(keys, overrides)]


def claims_text(keys: Sequence[str] | None = None, overrides: Overrides | None = None) -> str:
    """The claims for a terminal; with formulas and inputs where claims are asked for by key, or only one is left."""
    found = results(keys, overrides)
    return "\n\n".join("\n".join(lines(r, details=bool(keys) or len(found) == 1)) for r in found)


def lines(result: Result, details: bool = False) -> list[str]:
    """One claim as lines of at most `WIDTH` columns."""
    c = result.claim
    out = [*_wrapped(f"{c.key}: {c.text}", "", "  ")]
    if result.changed:
        said = ", ".join(f"{n}={scaled(result.inputs[n].value)} (published assumption {scaled(v)})" for n, v in result.changed.items())
        out += _wrapped(f"re-run with {said}", "  ", "    ")
    out.append(f"  {'':34} {'published':>14} {'ours':>14} {'ratio':>8}")
    for f in result.figures:
        out.append(f"  {f.name:34} {f.published_text():>14} {f.ours_text():>14} {f.ratio_text():>8}  {f.unit}".rstrip())
        if details:
            out += _wrapped(f.formula, "      ", "      ")
    out += _wrapped(f"verdict: {c.verdict}{' (on the published assumptions)' if result.changed else ''}", "  ", "    ")
    out += _wrapped(f"why:     {c.why}", "  ", "           ") if details else []
    out += _wrapped(f"source:  {c.source}", "  ", "           ")
    if details:
        out.append("  inputs, to change with --set name=value:")
        for name, i in result.inputs.items():
            out += _wrapped(f"{name} = {scaled(i.value)} {i.unit}; {i.source}", "    ", "      ")
    return out


def _wrapped(text: str, first: str, then: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)


def markdown() -> str:
    """The page docs/claims.md."""
    found = results()
    rows = ["| claim | published | ours | ratio | verdict |", "|---|---|---|---|---|"]
    for r in found:
        f = r.headline
        rows.append(
            f"| [{r.claim.text}](#{r.claim.key}) | {_amount(f.published_text(), f)} | {_ours(f)} | {f.ratio_text()} | {r.claim.verdict} |"
        )
    parts = [INTRODUCTION, "\n".join(rows) + "\n", *(_section(r) for r in found), AGAIN]
    return "\n".join(parts)


def _amount(number: str, figure: Figure) -> str:
    return f"{number} {figure.unit}".strip()


def _ours(figure: Figure) -> str:
    return figure.ours_text() if figure.ours is None else _amount(figure.ours_text(), figure)


def _section(result: Result) -> str:
    """One claim of the page: its figures with their formulas, the verdict, the source, and the inputs."""
    c = result.claim
    out = [f"## {c.key}", "", f"> {c.text}", "", "| figure | formula | ours | published | ratio |", "|---|---|---|---|---|"]
    for f in result.figures:
        said = "-" if f.published is None else _amount(f.published_text(), f)
        out.append(f"| {f.name} | {f.formula} | {_ours(f)} | {said} | {f.ratio_text()} |")
    out += [
        "",
        f"**Verdict: {c.verdict}.** {c.why}",
        "",
        f"Source: {c.source}.",
        "",
        "| input | value | unit | source |",
        "|---|---|---|---|",
    ]
    out += [f"| `{name}` | {scaled(i.value)} | {i.unit} | {i.source} |" for name, i in result.inputs.items()]
    return "\n".join(out) + "\n"
