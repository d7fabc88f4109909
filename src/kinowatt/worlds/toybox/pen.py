"""The choice of words: which synonym, which template, by lot, and never one that the split keeps back."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kinowatt.language import LEXICON
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.splits import allowed

SMALL_M, LARGE_M = 0.28, 0.37  # half heights below and above which a thing is called small or large
SIZED = ("ball", "cube", "cylinder", "cone", "torus", "capsule")
MIXED = ("kind", "ground")  # in a mixed caption these may be English words in a Chinese clause
UNIFORM = ("domino", "turbine", "panel")  # always named together


@dataclass(frozen=True, eq=False)
class Pen:
    """`chinese`: the language. `mix`: how often a noun is of the other one. `full`: whether it leaves nothing out."""

    r: random.Random
    split: str
    chinese: bool
    mix: float = 0.0
    full: bool = False

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.r.random() < p

    def says(self, p: float) -> bool:
        """True with probability p, and always where nothing is to be left out."""
        return self.full or self.chance(p)

    def pick(self, templates: tuple[str, ...]) -> str:
        """One of the templates that the split may use."""
        return self.r.choice(allowed(templates, templates, self.split))

    def word(self, slot: str, value: str, *, short: bool = False) -> str:
        """A wording of a value; `short`: as it stands in a list of keywords."""
        row = LEXICON[slot][value]
        english = not self.chinese or (slot in MIXED and self.chance(self.mix))
        if not english:
            return self.r.choice(allowed(row.chinese, row.chinese, self.split))
        options = row.short if short or self.chinese else row.english
        return self.r.choice(allowed(options, tuple(dict.fromkeys((*row.english, *row.short))), self.split))


def looks_of(thing: Thing, pen: Pen) -> dict[str, str]:
    """What is said of a thing: all of it, or its colour nearly always, its size, material and pattern half the time."""
    looks: dict[str, str] = {}
    if thing.size_m and thing.kind in SIZED and not SMALL_M <= thing.size_m <= LARGE_M:
        looks["size"] = "small" if thing.size_m < SMALL_M else "large"
    if thing.material and thing.kind not in UNIFORM:
        looks["material"] = thing.material
    if thing.striped:
        looks["pattern"] = "striped"
    if thing.color:
        looks["color"] = thing.color
    return {slot: value for slot, value in looks.items() if pen.says(0.95 if slot == "color" else 0.5)}
