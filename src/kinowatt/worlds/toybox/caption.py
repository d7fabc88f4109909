"""Captions, in English, Chinese or both, that name only what is seen. Every word comes from the shot lexicon.

A clip is captioned as often as wanted, each time anew: `write` draws the words, the order and what is left out.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from types import ModuleType

from kinowatt.errors import InputError
from kinowatt.language import simplified
from kinowatt.worlds.toybox import chinese, english
from kinowatt.worlds.toybox.pen import Pen
from kinowatt.worlds.toybox.seen import SEEN_SHARE, SEEN_TIME, Seen, look, mirrored

__all__ = ["LANGUAGES", "REGISTERS", "SEEN_SHARE", "SEEN_TIME", "Seen", "look", "mirrored", "write"]

LANGUAGES = ("en", "zh-Hant", "zh-Hans", "mixed")
REGISTERS = ("keywords", "sentence", "script", "paragraph")
DROPPED = (0.05, 0.15, 0.3, 0.4, 0.6)  # shares of the fields that a caption leaves out; 0.3 on the average
GROUPS = {"C": ("shot", "lens", "angle", "move"), "E": ("time", "weather", "place"), "M": ("mood",)}
# What comes when: X what happens, C camera, E where and when, M mood. A colon ends what stands before it.
SENTENCE_ORDERS = (
    "X E M C",
    "E X M C",
    "C X E M",
    "C E X M",
    "M X E C",
    "X C E M",
    "E C X M",
    "C: X E M",
    "X M E C",
    "X E C M",
    "E: X C M",
    "M C X E",
)
SCRIPT_ORDERS = ("C E X M", "C X E M", "E C X M", "C M E X", "C E M X", "C X M E")
PARAGRAPH_ORDERS = ("X E C M", "E X C M", "C X E M", "M X E C", "X C E M", "X M C E", "E X M C", "X E M C", "C E X M")
KEYWORD_MARKS = (", ", ", ", ", ", " | ", " / ", "; ", " · ", " - ")


def write(seen: Seen, *, seed: int, language: str = "en", register: str | None = None, split: str = "train", full: bool = False) -> str:
    """One caption; the same arguments give the same one.

    `language`: en, zh-Hant, zh-Hans or mixed. `register`: keywords, sentence, script or paragraph; None: by lot. `split`: paraphrase
    uses the words and templates that train never does. Not `full`: a part of the fields is left out. InputError for other values.
    """
    if language not in LANGUAGES or register not in (None, *REGISTERS):
        raise InputError(f"captions are in {', '.join(LANGUAGES)}, as {', '.join(REGISTERS)}; not in {language!r} as {register!r}")
    r = random.Random(seed)
    register = register or r.choice(REGISTERS)
    kept = _kept(seen, register, full, r)
    pen = Pen(r, split, r.random() < 0.6 if language == "mixed" else language != "en", 0.3 if language == "mixed" else 0.0, full)
    text = {"keywords": _keywords, "sentence": _sentence, "script": _script, "paragraph": _paragraph}[register](seen, kept, pen)
    if not text:  # nothing seen and nothing kept: say at least the time of day
        text = _stop(_tongue(pen).tail("time", seen.fields["time"], pen), pen)
    if language == "mixed":
        text = re.sub(r"(?<=[\u3400-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u3400-\u9fff])", " ", text)
        script = r.random() < 0.5
        return simplified(text) if script else text
    return simplified(text) if language == "zh-Hans" else text


def _kept(seen: Seen, register: str, full: bool, r: random.Random) -> dict[str, str]:
    """The fields that a caption says, in random order; lens and angle more rarely, as people do."""
    slots = list(seen.fields)
    if not full:
        drop = r.choice(DROPPED)
        slots = [s for s in slots if r.random() > (max(drop, 0.6) if s in ("lens", "angle") else drop)]
        r.shuffle(slots)
    kept = {s: seen.fields[s] for s in slots}
    if full and kept.get("angle") == "eye":
        kept.pop("angle")
    if "surface" in kept and "ground" not in kept:
        kept.pop("surface")  # it is said of the ground
    if "move" in kept and not full and r.random() < 0.15:
        kept["move"] = _family(kept["move"], r)
    return kept


def _family(move: str, r: random.Random) -> str:
    """A direction, or the kind of aerial move, left open."""
    family = move.split("-")[0]
    if family in ("orbit", "flyover") and r.random() < 0.6:
        return "aerial"
    return family if family in ("pan", "track", "orbit") else move


def _tongue(pen: Pen) -> ModuleType:
    return chinese if pen.chinese else english


def _other(pen: Pen) -> Pen:
    """In a mixed caption, sometimes the pen of the other language."""
    return replace(pen, chinese=not pen.chinese, mix=0.0) if pen.mix and pen.chance(0.4) else pen


def _stop(text: str, pen: Pen) -> str:
    if pen.chinese:
        return text + "。"
    return text[:1].upper() + text[1:] + "."


def _parts(order: str, seen: Seen, kept: dict[str, str], pen: Pen, form: str, finite: bool) -> list[list[str]]:
    """The clauses of each group of an order; `form` names the function that puts a value into words."""
    body = _tongue(pen).main(seen, kept, pen, finite)
    made = []
    for group in order.replace(":", "").split():
        if group == "X":
            made.append([body] if body else [])
            continue
        clauses = []
        for slot in (s for s in kept if s in GROUPS[group]):
            other = _other(pen)
            clauses.append(str(getattr(_tongue(other), form)(slot, kept[slot], other)))
        made.append(clauses)
    return made


def _keywords(seen: Seen, kept: dict[str, str], pen: Pen) -> str:
    words = _tongue(pen).keywords(seen, kept, pen)
    if pen.chance(0.7):
        pen.r.shuffle(words)
    mark = pen.r.choice(("，", "、", "，", " ", "；")) if pen.chinese else pen.pick(KEYWORD_MARKS)
    return str(mark.join(words))


def _sentence(seen: Seen, kept: dict[str, str], pen: Pen) -> str:
    order = pen.pick(SENTENCE_ORDERS)
    parts = _parts(order, seen, kept, pen, "tail", ":" not in order and pen.chance(0.6))
    comma, colon = ("，", "：") if pen.chinese else (", ", ": ")
    if ":" in order and parts[0]:
        rest = [clause for group in parts[1:] for clause in group]
        return _stop(comma.join(parts[0]) + colon + comma.join(rest), pen) if rest else _stop(comma.join(parts[0]), pen)
    clauses = [clause for group in parts for clause in group]
    return _stop(comma.join(clauses), pen) if clauses else ""


def _script(seen: Seen, kept: dict[str, str], pen: Pen) -> str:
    parts = _parts(pen.pick(SCRIPT_ORDERS), seen, kept, pen, "label", pen.chance(0.7))
    mark = pen.r.choice(("。", "。\n", "；")) if pen.chinese else pen.r.choice((". ", ".\n", ". ", "; "))
    lines = [clause if pen.chinese else clause[:1].upper() + clause[1:] for group in parts for clause in group]
    return mark.join(lines) + ("。" if pen.chinese else ".") if lines else ""


def _paragraph(seen: Seen, kept: dict[str, str], pen: Pen) -> str:
    order = pen.pick(PARAGRAPH_ORDERS)
    tongue = _tongue(pen)
    settings = [s for s in kept if s in GROUPS["E"]]
    led = {s: kept.pop(s) for s in settings[: pen.r.randint(0, 2)]}  # these lead or close the sentence of what happens
    parts = _parts(order, seen, kept, pen, "sentence", finite=True)
    comma = "，" if pen.chinese else ", "
    clauses = [tongue.tail(slot, value, pen) for slot, value in led.items()]
    at = order.split().index("X")
    parts[at] = [comma.join([*clauses, *parts[at]] if pen.chance(0.5) else [*parts[at], *clauses])] if parts[at] or clauses else []
    return ("" if pen.chinese else " ").join(_stop(sentence, pen) for group in parts for sentence in group)
