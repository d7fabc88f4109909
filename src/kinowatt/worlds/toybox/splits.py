"""What training never sees, so that an exam can ask for it: some pairs of attributes, a fifth of the words, a fifth of the templates."""

from __future__ import annotations

import functools
import zlib

from kinowatt.errors import InputError
from kinowatt.worlds.toybox.scene import Scene, Subject

SPLITS = ("train", "paraphrase")
HELD_OUT_SHARE = 0.2

# Each part of a pair is common in training; the two together are not there. Sideways moves and headings stay out of it: clips are mirrored.
HELD_OUT_PAIRS = tuple(
    frozenset(pair.split(" "))
    for pair in (
        "kind=cone color=purple",
        "kind=cylinder color=pink",
        "kind=torus color=green",
        "kind=capsule color=black",
        "event=pendulum color=yellow",
        "event=bounce ground=snow",
        "event=fall move=crane-up",
        "event=roll time=night",
        "event=wind ground=checker",
        "event=turbine time=dusk",
    )
)


def held_out_pair(scene: Scene) -> bool:
    """Whether a scene has a pair of attributes that training is kept from."""
    stage = {f"{slot}={getattr(scene, slot)}" for slot in ("event", "ground", "move", "time", "weather")}
    return any(pair <= stage | _traits(subject) for pair in HELD_OUT_PAIRS for subject in (*scene.subjects, None))


def kept_apart(kind: str, color: str) -> bool:
    """Whether training is kept from a thing of this kind and colour."""
    return frozenset((f"kind={kind}", f"color={color}")) in HELD_OUT_PAIRS


def _traits(subject: Subject | None) -> set[str]:
    return set() if subject is None else {f"kind={subject.kind}", f"color={subject.color}"}


@functools.cache
def held_out(options: tuple[str, ...]) -> frozenset[str]:
    """The fifth of some wordings, by their checksums, that only the paraphrase test uses. The first is never among them."""
    ranked = sorted(options[1:], key=lambda text: zlib.crc32(text.encode()))
    return frozenset(ranked[: round(HELD_OUT_SHARE * len(options))])


@functools.cache
def allowed(options: tuple[str, ...], among: tuple[str, ...], split: str) -> tuple[str, ...]:
    """The wordings that a split may use, of options whose held-out fifth is drawn `among` all wordings of one meaning.

    The paraphrase split has only held-out ones, or all where none of the options is held out. InputError for an unknown split.
    """
    if split not in SPLITS:
        raise InputError(f"captions have no split {split!r}; use {' or '.join(SPLITS)}")
    kept = held_out(among)
    own = tuple(o for o in options if (o in kept) == (split == "paraphrase"))
    return own or options
