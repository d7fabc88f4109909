"""Captions in English: noun phrases, clauses, sentences."""

from __future__ import annotations

import re
from collections import Counter

from kinowatt.language.forms import plural, progressive, third_person
from kinowatt.worlds.toybox.pen import UNIFORM, Pen, looks_of
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.seen import Seen

FINITE = (
    "{np} {does}{how}{where}",
    "{where_first}{np} {does}{how}",
    "{np} {is_doing}{how}{where}",
    "there {is} {np} {doing}{how}{where}",
    "we see {np} {doing}{how}{where}",
    "{where_first}there {is} {np} {doing}{how}",
    "{where_first}we see {np} {doing}{how}",
    "we watch as {np} {does}{how}{where}",
    "the camera shows {np} {doing}{how}{where}",
    "here {np} {does}{how}{where}",
    "in the middle of the picture, {np} {does}{how}{where}",
    "{where_first}{np} {is_doing}{how}",
    "the scene opens with {np} {doing}{how}{where}",
    "in this shot {np} {does}{how}{where}",
    "what we see is {np} {doing}{how}{where}",
)
FRAGMENT = (
    "{np} {doing}{how}{where}",
    "{np} that {does}{how}{where}",
    "{np} {does}{how}{where}",
    "a video of {np} {doing}{how}{where}",
    "{where_first}{np} {doing}{how}",
    "a scene with {np} {doing}{how}{where}",
    "a clip in which {np} {does}{how}{where}",
    "footage of {np} {doing}{how}{where}",
)
TAILS: dict[str, tuple[str, ...]] = {
    "move": (
        "the camera {does}",
        "{label}",
        "as the camera {does}",
        "while the camera {does}",
        "camera {doing}",
        "{a label}",
        "with {a label}",
        "filmed with {a label}",
        "shown in {a label}",
    ),
    "shot": ("{word}", "{a word}", "in {a word}", "framed in {a word}", "seen in {a word}", "filmed as {a word}", "shown in {a word}"),
    "mood": (
        "{word}",
        "with {a word}",
        "{a short} mood",
        "{a short} atmosphere",
        "{short} mood",
        "{short} atmosphere",
        "{a short} scene",
        "{short} and cinematic",
        "{short} in mood",
        "with {a short} feeling",
        "in {a short} style",
    ),
}
SENTENCES: dict[str, tuple[str, ...]] = {
    "move": (
        "the camera {does}",
        "meanwhile the camera {does}",
        "as we watch, the camera {does}",
        "the shot is {a label}",
        "throughout, the camera {does}",
        "all the while the camera {does}",
        "it is filmed with {a label}",
        "for the camera movement we use {a label}",
        "during the shot the camera {does}",
        "the camera {is_doing}",
        "the camera movement is {a label}",
    ),
    "shot": (
        "it is {a word}",
        "the framing is {a word}",
        "we see it all in {a word}",
        "the shot is {a word}",
        "it is filmed as {a word}",
        "this is {a word}",
    ),
    "lens": (
        "it was filmed with {a lens}",
        "the camera has {a lens}",
        "{a lens} was used",
        "we used {a lens}",
        "the lens used is {a lens}",
    ),
    "angle": ("{word}", "camera angle: {word}", "angle: {word}"),
    "time": (
        "the scene takes place {word}",
        "it all happens {word}",
        "it was filmed {word}",
        "this happens {word}",
        "we see it {word}",
        "the story is set {word}",
        "we are here {word}",
    ),
    "weather": (
        "it happens {word}",
        "the scene was filmed {word}",
        "everything is shown {word}",
        "it all takes place {word}",
        "we are outdoors {word}",
    ),
    "place": (
        "the scene is set {word}",
        "it all takes place {word}",
        "all of this happens {word}",
        "it was filmed {word}",
        "the story is set {word}",
    ),
    "mood": (
        "the mood is {short}",
        "it feels {short}",
        "the whole scene has {a word}",
        "there is {a word}",
        "the overall feeling is {short}",
        "{a short} atmosphere fills the picture",
        "the scene has {a short} mood",
        "the atmosphere is {short}",
        "everything feels {short}",
        "it leaves us with {a word}",
    ),
}
LABELS = {
    "move": ("camera: {label}", "camera movement: {label}", "move: {label}", "the camera {does}", "{label}"),
    "shot": ("shot: {word}", "framing: {word}", "{word}", "{a word}"),
    "lens": ("lens: {word}", "{word}", "camera lens: {word}"),
    "angle": ("angle: {word}", "camera angle: {word}", "{word}"),
    "time": ("time: {short}", "light: {short}", "{short}", "{word}"),
    "weather": ("weather: {short}", "sky: {short}", "{short}", "{word}"),
    "place": ("place: {short}", "location: {short}", "background: {short}", "ext. {short}"),
    "mood": ("mood: {short}", "atmosphere: {short}", "tone: {short}", "{word}"),
}
PAIRS = ("{first} and {last}", "{first} and also {last}", "{first} plus {last}")
LISTS = ("{first} and {last}", "{first}, and {last}", "{first}, plus {last}")


def a(noun: str) -> str:
    """A noun phrase with its article."""
    return ("an " if re.match(r"[aeiou]|8|F[A-Z]|M[A-Z]|X[A-Z]|E[A-Z]", noun) else "a ") + noun


def name(thing: Thing, pen: Pen) -> str:
    """A thing without its article: "small shiny red ball", "red metal ball"."""
    looks = looks_of(thing, pen)
    order = ["size", "material", "pattern", "color"]
    if thing.material in ("metal", "glass") and pen.chance(0.5):
        order = ["size", "pattern", "color", "material"]
    return " ".join([*(pen.word(slot, looks[slot]) for slot in order if slot in looks), pen.word("kind", thing.kind)])


def listed(names: list[str], pen: Pen) -> str:
    """Names in a row."""
    if len(names) == 1:
        return names[0]
    return pen.pick(PAIRS if len(names) == 2 else LISTS).format(first=", ".join(names[:-1]), last=names[-1])


def group(things: tuple[Thing, ...], pen: Pen, article: bool = True) -> str:
    """All things: one by one, or counted where they are of one kind."""
    kinds = Counter(t.kind for t in things)
    kind, n = kinds.most_common(1)[0]
    if kind not in UNIFORM and (n == 1 or len(kinds) > 1 or pen.says(0.65)):
        names = [name(t, pen) for t in things]
        return listed([a(x) for x in names] if article else names, pen)
    colors = {t.color for t in things}
    shared = [pen.word("color", next(iter(colors)) or "")] if len(colors) == 1 and None not in colors else []
    if n == 1:
        noun = " ".join([*shared, pen.word("kind", kind)])
        return a(noun) if article else noun
    noun = " ".join([pen.word("count", str(n)), *shared, plural(pen.word("kind", kind))])
    if not shared and None not in colors and pen.says(0.6):
        noun += ", " + listed(["one " + pen.word("color", t.color or "") for t in things], pen) + ","
    return noun


def main(seen: Seen, kept: dict[str, str], pen: Pen, finite: bool) -> str:
    """What is there and what happens; takes ground and surface out of `kept`."""
    where = _where(kept, pen)
    if not seen.things:
        return where.strip().removeprefix("on ")
    if seen.event is None:
        return (group(seen.things, pen) + where).replace(",,", ",")
    verb = pen.word("event", seen.event)
    how = _how(seen, pen)
    subject, many = seen.things, len(seen.things) > 1
    if seen.event == "collide":
        subject, many = seen.things[:1], False
        how = " " + listed([a(name(t, pen)) for t in seen.things[1:]], pen) + (how if pen.says(0.4) else "")
    subjects, doing = group(subject, pen), progressive(verb)
    text = pen.pick(FINITE if finite else FRAGMENT).format(
        np=subjects,
        does=third_person(verb, many),
        doing=doing.removeprefix("being ") if pen.chance(0.5) else doing,
        is_doing=f"{'are' if many else 'is'} {progressive(verb)}",
        how=how,
        where=where,
        where_first=where.strip() + ", " if where else "",
        **{"is": "are" if many and not re.match("an? (?!pair|couple|duo|trio|set|total|group|cluster|coll)", subjects) else "is"},
    )
    return text.replace(",,", ",")


def _where(kept: dict[str, str], pen: Pen) -> str:
    ground, surface = kept.pop("ground", None), kept.pop("surface", None)
    if ground is None:
        return ""
    noun = pen.word("ground", ground)
    if surface:
        noun = f"{pen.word('surface', surface)} {noun}"
    return f" on the {noun}"


def _how(seen: Seen, pen: Pen) -> str:
    said = []
    if seen.speed and pen.says(0.6):
        said.append(pen.word("speed", seen.speed))
    if seen.heading and seen.event != "collide" and pen.says(0.65):
        said.append(pen.word("heading", seen.heading))
    if pen.chance(0.3):
        said.reverse()
    return "".join(" " + s for s in said)


def keywords(seen: Seen, kept: dict[str, str], pen: Pen) -> list[str]:
    """All of it as labels, in no order."""
    out = []
    if seen.things:
        crash = seen.event == "collide"
        first = group(seen.things[:1] if crash else seen.things, pen, article=False)
        doing = " " + progressive(pen.word("event", seen.event)) if seen.event else ""
        rest = " " + listed([name(t, pen) for t in seen.things[1:]], pen) if crash else _how(seen, pen)
        out.append((first + doing + rest).replace(",,", ","))
    ground, surface = kept.pop("ground", None), kept.pop("surface", None)
    if ground:
        out.append(" ".join([*([pen.word("surface", surface)] if surface else []), pen.word("ground", ground)]))
    return out + [pen.word(slot, value, short=True) for slot, value in kept.items()]


def tail(slot: str, value: str, pen: Pen) -> str:
    """A value as a clause among others."""
    return _filled(TAILS[slot], slot, value, pen) if slot in TAILS else pen.word(slot, value)


def sentence(slot: str, value: str, pen: Pen) -> str:
    """A value as a sentence of its own."""
    return _filled(SENTENCES[slot], slot, value, pen)


def label(slot: str, value: str, pen: Pen) -> str:
    """A value as a line of a shot list."""
    return _filled(LABELS[slot], slot, value, pen)


def _filled(templates: tuple[str, ...], slot: str, value: str, pen: Pen) -> str:
    word, short = pen.word(slot, value), pen.word(slot, value, short=True)
    made = pen.pick(templates).replace("{a word}", a(word)).replace("{a short}", a(short)).replace("{a label}", a(short))
    lens = word if word.endswith(("lens", "prime")) else f"{value} mm lens"
    return made.replace("{a lens}", a(lens)).format(
        word=word, short=short, label=short, does=third_person(word), doing=progressive(word), is_doing=f"is {progressive(word)}"
    )
