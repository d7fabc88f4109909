"""The shot lexicon: free text (English, 繁體, 简体) to the tokens that spark reads, and which words were understood.

A phrase that the lexicon knows becomes one token `slot=value`, the same in every language, in the prompt's order; any other word
stays as `~word`. The world's captions are written with the same table, so what can be written can be read.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kinowatt.errors import ShotError
from kinowatt.language.forms import Words
from kinowatt.language.looks import COLOR, MATERIAL, PATTERN, SIZE
from kinowatt.language.script import simplified
from kinowatt.language.settings import GROUND, MOOD, PLACE, SURFACE, TIME, WEATHER
from kinowatt.language.shots import ANGLE, LENS, LENSES_MM, MOVE, SHOT
from kinowatt.language.small import OTHER_CHINESE, OTHER_ENGLISH, SMALL_CHINESE, SMALL_ENGLISH, WITHOUT
from kinowatt.language.things import COUNT, EVENT, HEADING, KIND, SPEED

__all__ = ["LENSES_MM", "LEXICON", "VOCABULARY", "Reading", "Words", "controls", "merge", "nearest_lens", "read", "simplified", "spans"]

LEXICON: dict[str, dict[str, Words]] = {
    "kind": KIND,
    "color": COLOR,
    "material": MATERIAL,
    "pattern": PATTERN,
    "size": SIZE,
    "count": COUNT,
    "event": EVENT,
    "heading": HEADING,
    "speed": SPEED,
    "move": MOVE,
    "shot": SHOT,
    "lens": LENS,
    "angle": ANGLE,
    "time": TIME,
    "weather": WEATHER,
    "ground": GROUND,
    "place": PLACE,
    "mood": MOOD,
    "surface": SURFACE,
}
VOCABULARY: tuple[str, ...] = tuple(f"{slot}={value}" for slot, values in LEXICON.items() for value in values)

_HAN = "\u3400-\u9fff"
_WORD = rf"[^\W_{_HAN}]+(?:['’][^\W_{_HAN}]+)*"
_PIECE = re.compile(rf"(?P<mm>(\d{{1,4}})[\s-]*(?:mm\b|millimet(?:er|re)s?\b|毫米|厘米镜|公厘))|(?P<han>[{_HAN}])|(?P<word>{_WORD})")
_JOINT = re.compile(r"\s+|\s*-\s*")  # between two words of a phrase
_SAYS_NOTHING, _DENIES = "", "!"  # what the table holds for small words and for "without", where others have their token
_DENIED_TOO = re.compile(r"[\s、-]*(?:(?:or|nor|any|an?|the|of|visible|very|too|more|single|kind|或者?|和|与|任何|太|很)[\s、]*)*")
_SWAPPED, _MISSING, _TOO_MANY = 6, 7, 9  # letters that a word has at least where two are swapped, or one is missing or too many


@dataclass(frozen=True)
class Reading:
    """What was read in a prompt: tokens in order, values per slot, and the words understood and not understood.

    A typing error is among the words understood, with the word that it was read as: "turbnie → turbine".
    """

    tokens: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]
    understood: tuple[str, ...]
    not_understood: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    """Folded phrases to tokens (None: a whole word that is not known), and of each first word or character the longest phrase."""

    tokens: dict[str, str | None]
    longest: dict[str, int]
    correct: dict[str, str]  # single words that a typing error may be read as


def folded(text: str) -> str:
    """Lower case and simplified script, character by character, so that places stay."""
    return simplified("".join(c.lower() if len(c.lower()) == 1 else c for c in text)).replace("’", "'")


@functools.cache
def _table() -> _Table:
    tokens: dict[str, str | None] = dict.fromkeys((*SMALL_ENGLISH, *SMALL_CHINESE), _SAYS_NOTHING)
    tokens |= dict.fromkeys((*OTHER_CHINESE, *OTHER_ENGLISH), None) | dict.fromkeys(WITHOUT, _DENIES)
    tokens = {folded(phrase): token for phrase, token in tokens.items()}
    correct = {}
    for slot, values in LEXICON.items():
        for value, row in values.items():
            for phrase in row.all:
                key = re.sub(r"[\s-]+", " ", folded(phrase))
                tokens[key] = f"{slot}={value}"
                if key.isalpha() and key.isascii():
                    correct[key] = f"{slot}={value}"
    longest: dict[str, int] = {}
    for key in tokens:
        han = re.match(f"[{_HAN}]", key)
        first, length = (key[0], len(key)) if han else (key.split(" ")[0], key.count(" ") + 1)
        longest[first] = max(longest.get(first, 0), length)
    return _Table(tokens, longest, correct)


def nearest_lens(mm: float) -> str:
    """The lens of the lexicon nearest to a focal length, by ratio."""
    return str(min(LENSES_MM, key=lambda known: max(known / mm, mm / known)))


@functools.lru_cache(maxsize=4096)
def _typed(word: str) -> str | None:
    """The word of the lexicon that an unknown one is a typing error of: two neighbours swapped, or one letter inside missing or too many.

    A wrong letter or another ending is no error to mend: it is mostly another word ("carbon" and "carton", "marbled").
    """
    if len(word) < _SWAPPED or not (word.isalpha() and word.isascii()):
        return None
    cuts = [(word[:i], word[i:]) for i in range(1, len(word))]
    near = {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    if len(word) >= _MISSING:
        near |= {a + letter + b for a, b in cuts for letter in string.ascii_lowercase}
    if len(word) >= _TOO_MANY:
        near |= {a + b[1:] for a, b in cuts if len(b) > 1}
    known = _table().correct
    found = sorted(w for w in near if w in known)
    return found[0] if found and len({known[w] for w in found}) == 1 else None


def _matches(text: str) -> Iterator[tuple[int, int, str | None, str | None]]:
    """The longest phrases of a folded text, one after another: start, end, what the table holds, and the word that a typing error meant."""
    table = _table()
    pieces = [(m.start(), m.end(), m.lastgroup) for m in _PIECE.finditer(text)]
    i = 0
    while i < len(pieces):
        start, end, kind = pieces[i]
        piece = text[start:end]
        if kind == "mm":
            millimetres = int(re.findall(r"\d+", piece)[0])
            yield start, end, f"lens={nearest_lens(max(millimetres, 1))}", None
        elif kind == "han":
            lengths = range(table.longest.get(piece, 1), 0, -1)
            length = next((n for n in lengths if text[start : start + n] in table.tokens), 1)
            end = start + length
            yield start, end, table.tokens.get(text[start:end]), None
        else:
            end, token = _phrase(text, pieces, i)
            meant = _typed(piece) if token is None and piece not in table.tokens and end == pieces[i][1] else None
            yield start, end, table.correct[meant] if meant else token, meant
        while i < len(pieces) and pieces[i][0] < end:
            i += 1


def _phrase(text: str, pieces: list[tuple[int, int, str | None]], i: int) -> tuple[int, str | None]:
    """Where the longest known phrase that begins with word `i` ends, and its token."""
    table = _table()
    key = text[pieces[i][0] : pieces[i][1]]
    best = (pieces[i][1], table.tokens.get(key))
    for j in range(i + 1, min(i + table.longest.get(key, 1), len(pieces))):
        if pieces[j][2] != "word" or not _JOINT.fullmatch(text, pieces[j - 1][1], pieces[j][0]):
            break
        key += " " + text[pieces[j][0] : pieces[j][1]]
        if key in table.tokens:
            best = (pieces[j][1], table.tokens[key])
    return best


def _scan(text: str) -> list[tuple[int, int, str | None, str | None]]:
    """Every word that says something. What is denied ("without fog") is one unknown word with its "without"."""
    text = folded(text)
    out: list[tuple[int, int, str | None, str | None]] = []
    run_ends = -1  # where the last unknown Chinese character ended, so that neighbours make one word
    denial: tuple[int, int] | None = None  # the "without" and all that it denies so far
    for start, end, token, meant in _matches(text):
        if denial and token != _DENIES and not _DENIED_TOO.fullmatch(text, denial[1], start):
            denial = None
        if token == _DENIES:
            denial = (start, end)
        elif token == _SAYS_NOTHING:
            continue
        elif denial:
            if out and out[-1][0] == denial[0]:
                out.pop()
            denial = (denial[0], end)
            out.append((*denial, None, None))
        elif token is None and "\u3400" <= text[start] <= "\u9fff":
            if run_ends == start:
                start = out.pop()[0]
            run_ends = end
            out.append((start, end, None, None))
        else:
            out.append((start, end, token, meant))
    return out


def spans(text: str) -> list[tuple[int, int, str | None]]:
    """Every word that says something, as (start, end, token); the token is None where the lexicon does not know it."""
    return [(start, end, token) for start, end, token, _ in _scan(text)]


def read(text: str) -> Reading:
    """Read free text. Never fails; what it does not know it says."""
    plain = folded(text)
    tokens: list[str] = []
    fields: dict[str, list[str]] = {}
    known: list[str] = []
    unknown: list[str] = []
    for start, end, token, meant in _scan(text):
        word = text[start:end].lower()
        if token is None:
            tokens.append("~" + plain[start:end])
            unknown.append(word)
            continue
        slot, value = token.split("=", 1)
        tokens.append(token)
        known.append(f"{word} → {meant}" if meant else word)
        if value not in fields.setdefault(slot, []):
            fields[slot].append(value)
    once = {slot: tuple(values) for slot, values in fields.items()}
    return Reading(tuple(tokens), once, tuple(dict.fromkeys(known)), tuple(dict.fromkeys(unknown)))


def controls(
    *,
    move: str | None = None,
    lens_mm: float | None = None,
    shot: str | None = None,
    angle: str | None = None,
    light: str | None = None,
    mood: str | None = None,
) -> tuple[str, ...]:
    """Tokens of explicit controls. ShotError if a value is not one of the lexicon's."""
    tokens = []
    for slot, said, value in (
        ("shot", "shot", shot),
        ("angle", "angle", angle),
        ("move", "camera move", move),
        ("time", "light", light),
        ("mood", "mood", mood),
    ):
        if value is None:
            continue
        name = value.strip().lower().replace("_", "-")
        if name not in LEXICON[slot]:
            raise ShotError(f"{said} {value[:80]!r} is unknown; use one of {', '.join(LEXICON[slot])}")
        tokens.append(f"{slot}={name}")
    if lens_mm is not None:
        if not 8 <= lens_mm <= 1200:
            raise ShotError(f"a lens of {lens_mm:g} mm does not exist here; use 8 to 1200 (spark knows {', '.join(map(str, LENSES_MM))})")
        tokens.append(f"lens={nearest_lens(lens_mm)}")
    return tuple(tokens)


def merge(reading: Reading, extra: Iterable[str]) -> tuple[str, ...]:
    """The prompt's tokens with explicit ones at the end; an explicit value replaces the prompt's in its slot."""
    extra = tuple(extra)
    taken = {token.split("=", 1)[0] for token in extra}
    return tuple(t for t in reading.tokens if t.startswith("~") or t.split("=", 1)[0] not in taken) + extra
