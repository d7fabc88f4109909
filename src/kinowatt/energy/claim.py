"""One published claim about energy: its inputs, each with a source, and the arithmetic that leads from them to figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kinowatt.energy.carbon import intensity
from kinowatt.errors import InputError

ZONE = "zone"  # --set zone=DE fills the input below from the table that ships with kinowatt
INTENSITY = "intensity_kg_per_kWh"

Overrides = Mapping[str, float | str]


@dataclass(frozen=True)
class Input:
    """A number that a claim rests on. `--set` may make it any value above `least`, or `least` too if `inclusive`, up to `most`."""

    value: float
    unit: str
    source: str
    least: float = 0.0
    most: float = math.inf
    inclusive: bool = False

    def check(self, name: str, value: float) -> float:
        """The value, if it makes sense here. InputError otherwise."""
        low = value >= self.least if self.inclusive else value > self.least
        if math.isfinite(value) and low and value <= self.most:
            return value
        bound = f"{'at least' if self.inclusive else 'above'} {self.least:g}"
        top = f" and at most {self.most:g}" if math.isfinite(self.most) else ""
        raise InputError(f"{name}={value:g} makes no sense; it must be a finite number {bound}{top}")


@dataclass(frozen=True)
class Published:
    """A figure as printed: `step` is the worth of its last digit; `at_least` where the text says more than."""

    value: float
    step: float
    at_least: bool = False

    def agrees(self, ours: float) -> bool:
        """Whether `ours` rounds to the printed digits, or reaches the printed bound."""
        return ours >= self.value if self.at_least else abs(ours - self.value) <= self.step / 2 * (1 + 1e-9)


@dataclass(frozen=True)
class Figure:
    """One number of a claim: what kinowatt computes (None where nothing can be) and, where there is one, what was published.

    `formula` is the arithmetic with its numbers; `spec` formats ours where three digits, or all before the point, are not right.
    """

    name: str
    unit: str
    ours: float | None
    formula: str
    published: Published | None = None
    spec: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over published; None where one of them is missing."""
        return None if self.ours is None or self.published is None else self.ours / self.published.value

    @property
    def agrees(self) -> bool | None:
        """Whether ours meets the published figure to the digits given; None where one of them is missing."""
        return None if self.ours is None or self.published is None else self.published.agrees(self.ours)

    def ours_text(self) -> str:
        """Our number, or a word for its absence."""
        return "not derivable" if self.ours is None else format(self.ours, self.spec) if self.spec else brief(self.ours)

    def published_text(self) -> str:
        """The number as printed, or a dash."""
        if self.published is None:
            return "-"
        decimals = max(0, -math.floor(math.log10(self.published.step) + 1e-9))
        return f"{'> ' if self.published.at_least else ''}{self.published.value:,.{decimals}f}"

    def ratio_text(self) -> str:
        """The ratio to three digits, or a dash."""
        r = self.ratio
        return "-" if r is None else f"{r:.3f}" if 0.1 <= r < 10 else brief(r)

    def to_json(self) -> dict[str, Any]:
        """All of it, unrounded."""
        p = self.published
        return {
            "name": self.name,
            "unit": self.unit,
            "published": None if p is None else p.value,
            "published_is_a_lower_bound": p is not None and p.at_least,
            "ours": self.ours,
            "ratio": self.ratio,
            "agrees": self.agrees,
            "formula": self.formula,
        }


Compute = Callable[[Mapping[str, float]], tuple[Figure, ...]]


@dataclass(frozen=True)
class Claim:
    """A published claim. `verdict` is ours in a few words, on the published assumptions; `why` says what it rests on."""

    key: str
    text: str
    inputs: Mapping[str, Input]
    compute: Compute
    verdict: str
    why: str
    source: str


@dataclass(frozen=True)
class Result:
    """A claim computed: with its own inputs, or with some of them replaced (`changed` holds the published values of those)."""

    claim: Claim
    inputs: Mapping[str, Input]
    figures: tuple[Figure, ...]
    changed: Mapping[str, float] = field(default_factory=dict)

    @property
    def headline(self) -> Figure:
        """The figure that the claim is known by: the first."""
        return self.figures[0]

    def figure(self, name: str) -> Figure:
        """The figure of that name. KeyError if the claim has none."""
        return {f.name: f for f in self.figures}[name]

    def to_json(self) -> dict[str, Any]:
        """Claim, inputs, figures and verdict; numbers unrounded."""
        return {
            "key": self.claim.key,
            "claim": self.claim.text,
            "figures": [f.to_json() for f in self.figures],
            "verdict": self.claim.verdict,
            "why": self.claim.why,
            "source": self.claim.source,
            "inputs": {name: {"value": i.value, "unit": i.unit, "source": i.source} for name, i in self.inputs.items()},
            "changed_from": dict(self.changed),
        }


def settable(claim: Claim) -> tuple[str, ...]:
    """Names that `--set` takes for this claim."""
    return (*claim.inputs, ZONE) if INTENSITY in claim.inputs else tuple(claim.inputs)


def compute(claim: Claim, overrides: Overrides | None = None) -> Result:
    """A claim with some inputs replaced. InputError names an unknown input, or a value that makes no sense."""
    inputs = dict(claim.inputs)
    changed: dict[str, float] = {}
    for name, said in (overrides or {}).items():
        if name not in settable(claim):
            raise InputError(f"the claim {claim.key} has no input {name!r}; it has {', '.join(settable(claim))}")
        target, new = _replacement(claim, name, said)
        inputs[target] = new
        changed[target] = claim.inputs[target].value
    figures = claim.compute({name: i.value for name, i in inputs.items()})
    if not all(f.ours is None or math.isfinite(f.ours) for f in figures):
        raise InputError(f"the claim {claim.key} leads beyond any finite number with {', '.join(changed)} set so; use smaller values")
    return Result(claim, inputs, figures, changed)


def _replacement(claim: Claim, name: str, said: float | str) -> tuple[str, Input]:
    if name == ZONE:
        zone = intensity(str(said))
        source = f"{zone.name} {zone.year}, {zone.source}"
        return INTENSITY, replace(claim.inputs[INTENSITY], value=zone.gCO2e_per_kWh / 1000, source=source)
    old = claim.inputs[name]
    try:
        value = float(said)
    except ValueError:
        raise InputError(f"{name}={said!r} is not a number; write for example {name}={old.value:g}") from None
    return name, replace(old, value=old.check(name, value), source="set by you")


def brief(x: float) -> str:
    """A result: three digits, or all those before the point."""
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def scaled(x: float) -> str:
    """A number for prose: thousands separated, or in powers of ten where it is longer than twelve digits."""
    return f"{x:.6g}" if abs(x) >= 1e12 or (x and abs(x) < 1e-3) else f"{x:,.6f}".rstrip("0").rstrip(".")
