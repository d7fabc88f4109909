"""The forms of words: how a table's row is written down, plurals, and verbs in their persons."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The phrases of one value. Chinese is kept in traditional script.

    `english` and `chinese` are what captions say: adjectives, adverbials, nouns in the singular or verbs in the infinitive, one kind
    per slot; `short` are the words for a list of keywords; the others are only understood.
    """

    english: tuple[str, ...]
    short: tuple[str, ...]
    english_also: tuple[str, ...]
    chinese: tuple[str, ...]
    chinese_also: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every phrase once."""
        return tuple(dict.fromkeys((*self.english, *self.short, *self.english_also, *self.chinese, *self.chinese_also)))


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(p for p in text.split("|") if p))


def words(english: str, short: str, also: str, chinese: str, chinese_also: str = "") -> Words:
    """A row as it stands, phrases separated by bars."""
    said = _split(english)
    return Words(said, _split(short) or said, _split(also), _split(chinese), _split(chinese_also))


def nouns(english: str, also: str, chinese: str, chinese_also: str = "") -> Words:
    """A row of nouns in the singular; plurals are understood too."""
    said, more = _split(english), _split(also)
    return Words(said, said, (*more, *(plural(n) for n in (*said, *more))), _split(chinese), _split(chinese_also))


def verbs(english: str, also: str, chinese: str, chinese_also: str = "") -> Words:
    """A row of verb phrases in the infinitive ("roll along", "be thrown"); their other forms are understood too."""
    said = _split(english)
    forms = [form for verb in said for form in (third_person(verb), third_person(verb, many=True), progressive(verb))]
    passive = [verb.removeprefix("be ") for verb in said if verb.startswith("be ")]
    return Words(said, said, (*_split(also), *forms, *passive), _split(chinese), _split(chinese_also))


def moves(english: str, short: str, also: str, chinese: str, chinese_also: str = "") -> Words:
    """A row of what a camera does. A verb marked with @ means a camera only after that word: "turn left" may be said of a ball."""
    marked = _split(english)
    said = tuple(verb.removeprefix("@") for verb in marked)
    forms = []
    for verb, mark in zip(said, marked, strict=True):
        bare = (verb, third_person(verb), progressive(verb))
        forms += [f"{subject} {form}" for subject in ("camera", "the camera", "drone", "the drone") for form in bare]
        forms += [f"{subject} is {bare[2]}" for subject in ("camera", "the camera")]
        forms += bare if verb == mark else ()
    return Words(said, _split(short), (*_split(also), *forms), _split(chinese), _split(chinese_also))


def plural(noun: str) -> str:
    """A noun in the plural: "toy box" to "toy boxes"."""
    for one, many in {"torus": "tori", "annulus": "annuli", "dice": "dice", "domino": "dominoes"}.items():
        if noun.endswith(one):
            return noun.removesuffix(one) + many
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def third_person(verb: str, many: bool = False) -> str:
    """A verb phrase with its subject in the singular or plural: "fly off" to "flies off" or "fly off", "be thrown" to "is thrown"."""
    first, _, rest = verb.partition(" ")
    if first == "be":
        one = "are" if many else "is"
    elif many:
        one = first
    elif first in ("go", "do") or first.endswith(("s", "x", "ch", "sh")):
        one = first + "es"
    else:
        one = first[:-1] + "ies" if re.search(r"[^aeiou]y$", first) else first + "s"
    return f"{one} {rest}".strip()


def progressive(verb: str) -> str:
    """A verb phrase as a participle: "drop down" to "dropping down"."""
    first, _, rest = verb.partition(" ")
    if first == "lie":
        one = "lying"
    elif first == "be" or first.endswith(("ee", "ye", "oe")):
        one = first + "ing"
    elif first.endswith("e"):
        one = first[:-1] + "ing"
    elif re.fullmatch(r"(?:[^aeiou]*|[^aeiou]+u|re)[aeiou][^aeiouwxy]", first) and first not in ("dribble",):
        one = first + first[-1] + "ing"
    else:
        one = first + "ing"
    return f"{one} {rest}".strip()
