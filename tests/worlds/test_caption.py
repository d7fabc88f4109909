"""Captions: many wordings, all read as what is seen, and none that the exam keeps back."""

import json
import random
from dataclasses import replace

import pytest

pytest.importorskip("numpy")

from kinowatt import language
from kinowatt.errors import InputError
from kinowatt.worlds.toybox import scene, splits
from kinowatt.worlds.toybox.caption import LANGUAGES, REGISTERS, Seen, mirrored, write
from kinowatt.worlds.toybox.physics import Thing

ROUND = ("ball", "ball", "cube", "cylinder", "cone", "torus", "capsule")
WITH_HEADING = ("roll", "collide", "projectile", "domino", "wind")
MOST_TOKENS = 40  # that spark reads of a prompt


def drawn(seed: int) -> Seen:
    """Something that a clip might show."""
    r = random.Random(seed)
    pick = {slot: r.choice(list(values)) for slot, values in language.LEXICON.items()}
    event = r.choice([*language.LEXICON["event"], None])
    if event in ("turn", None):
        things = tuple(Thing("turbine" if event else "panel") for _ in range(r.randint(1, 4)))
    elif event == "domino":
        things = tuple(Thing("domino", r.choice(list(language.LEXICON["color"])), "glossy", 0.2) for _ in range(r.randint(5, 8)))
    else:
        colors = r.sample(list(language.LEXICON["color"]), r.randint(2 if event == "collide" else 1, 5))
        materials = list(language.LEXICON["material"])
        things = tuple(Thing(r.choice(ROUND), c, r.choice(materials), r.uniform(0.2, 0.45), r.random() < 0.2) for c in colors)
    fields = {slot: pick[slot] for slot in ("shot", "lens", "time")} | {"move": r.choice(scene.MOVES)}
    fields |= {slot: pick[slot] for slot in ("weather", "ground", "angle", "mood", "place") if r.random() < 0.7}
    if fields.get("ground") == "pavement":
        fields["surface"] = "wet"
    return Seen(things, event, pick["heading"] if event in WITH_HEADING else None, r.choice(("slow", "fast", None)), fields)


def allowed(seen: Seen) -> dict[str, set[str]]:
    """The values of each slot that a caption may say."""
    move = seen.fields["move"]
    return {slot: {value} for slot, value in seen.fields.items()} | {
        "kind": {t.kind for t in seen.things},
        "color": {t.color or "" for t in seen.things},
        "material": {t.material or "" for t in seen.things},
        "pattern": {"striped"} if any(t.striped for t in seen.things) else set(),
        "size": {"small" if t.size_m < 0.28 else "large" for t in seen.things},
        "count": {str(n) for n in range(2, len(seen.things) + 1)},
        "event": {seen.event or ""},
        "heading": {seen.heading or ""},
        "speed": {seen.speed or ""},
        "move": {move, move.split("-")[0], "aerial" if move.startswith(("orbit", "flyover")) else move},
    }


@pytest.mark.parametrize("split", splits.SPLITS)
def test_captions_are_read_as_what_is_seen(split: str) -> None:
    for i in range(320):
        seen = drawn(i)
        text = write(seen, seed=i, language=LANGUAGES[i % 4], register=REGISTERS[i // 4 % 4], split=split)
        reading = language.read(text)
        assert reading.not_understood == (), text
        assert 0 < len(reading.tokens) <= MOST_TOKENS, text
        may = allowed(seen)
        for slot, values in reading.fields.items():
            assert set(values) <= may.get(slot, set()), (slot, values, text)


def test_a_full_caption_names_every_field() -> None:
    for i in range(200):
        seen = drawn(i)
        reading = language.read(write(seen, seed=i, language=LANGUAGES[i % 4], full=True))
        missing = set(seen.fields.items()) - {(slot, v) for slot, values in reading.fields.items() for v in values} - {("angle", "eye")}
        assert not missing, (missing, reading)
        assert {t.kind for t in seen.things} == set(reading.fields["kind"])


def test_a_third_of_the_fields_is_left_out() -> None:
    said = total = 0
    for i in range(300):
        seen = drawn(i)
        fields = language.read(write(seen, seed=i)).fields
        for slot in ("shot", "time", "weather", "mood"):
            said += slot in fields
            total += slot in seen.fields
    assert 0.6 < said / total < 0.8


def test_words_are_many_and_captions_seldom_the_same() -> None:
    captions = {write(drawn(i), seed=i, language=LANGUAGES[i % 4]) for i in range(700)}
    words = {w for text in captions for w in text.lower().split() if w.isascii()}
    assert len(captions) > 695
    assert len(words) > 700  # the study's grammar had 186 in 3,000 captions


def test_the_same_seed_gives_the_same_caption_and_another_one_another() -> None:
    seen = drawn(3)
    assert write(seen, seed=5) == write(seen, seed=5)
    assert len({write(seen, seed=s) for s in range(20)}) > 15


def test_training_never_uses_what_the_exam_keeps_back() -> None:
    kept = {p: split for split in splits.SPLITS for p in _own_phrases(split)}
    counts = {"train": 0, "paraphrase": 0}
    for i in range(250):
        text = write(drawn(i), seed=i, language=("en", "zh-Hans")[i % 2], split="train")
        for start, end, _ in language.spans(text):
            split = kept.get(language.folded(text[start:end]))
            assert split != "paraphrase", (text, text[start:end])
        text = write(drawn(i), seed=i, language=("en", "zh-Hans")[i % 2], split="paraphrase")
        for start, end, _ in language.spans(text):
            if word := kept.get(language.folded(text[start:end])):
                counts[word] += 1
    assert counts["paraphrase"] > 5 * counts["train"], counts


def _own_phrases(split: str) -> set[str]:
    """Words that one split has for itself. (A mood's adjectives and "atmosphere" may make a phrase that is held out as a whole.)"""
    phrases = set()
    for slot in ("color", "material", "time", "weather", "shot", "ground"):
        for row in language.LEXICON[slot].values():
            for options, among in ((row.english, tuple(dict.fromkeys((*row.english, *row.short)))), (row.chinese, row.chinese)):
                own = [p for p in options if (p in splits.held_out(among)) == (split == "paraphrase")]
                phrases |= {language.folded(p) for p in own}
    return phrases


def test_a_fifth_is_held_out_and_never_the_first() -> None:
    for values in language.LEXICON.values():
        for row in values.values():
            kept = splits.held_out(row.chinese)
            assert row.chinese[0] not in kept
            assert abs(len(kept) - len(row.chinese) / 5) <= 0.5


def test_registers_look_different() -> None:
    seen = replace(drawn(8), fields={"time": "dusk", "move": "pan-left", "shot": "wide", "mood": "calm", "weather": "clear"})
    made = {register: [write(seen, seed=s, register=register, full=True) for s in range(30)] for register in REGISTERS}
    assert all("." not in text for text in made["keywords"])
    assert all(text.count(".") == 1 for text in made["sentence"])
    assert all(text.count(". ") >= 2 for text in made["paragraph"])
    with pytest.raises(InputError, match="captions are in en"):
        write(seen, seed=1, register="sonnet")
    with pytest.raises(InputError, match="no split 'test'"):
        write(seen, seed=1, split="test")


def test_mixed_captions_hold_both_languages() -> None:
    texts = [write(drawn(i), seed=i, language="mixed", register="sentence", full=True) for i in range(60)]
    both = [t for t in texts if any("\u4e00" <= c <= "\u9fff" for c in t) and any("a" <= c <= "z" for c in t)]
    assert len(both) > 45


def test_what_is_seen_survives_json() -> None:
    for i in range(50):
        seen = drawn(i)
        data = json.loads(json.dumps(seen.to_json()))
        data["later"] = data["things"][0]["later"] = 1
        assert Seen.from_json(data) == seen


def test_mirrored_twice_is_the_same_and_once_changes_sides() -> None:
    for i in range(50):
        assert mirrored(mirrored(drawn(i))) == drawn(i)
    seen = Seen((), "roll", "left", None, {"move": "orbit-right", "time": "noon"})
    assert mirrored(seen) == Seen((), "roll", "right", None, {"move": "orbit-left", "time": "noon"})
    assert mirrored(replace(seen, heading=None, fields={"move": "crane-up"})).fields == {"move": "crane-up"}


def test_some_pairs_are_kept_from_training_but_each_part_is_not() -> None:
    drawn_scenes = [scene.sample(i) for i in range(800)]
    held = [s for s in drawn_scenes if splits.held_out_pair(s)]
    assert 0.04 < len(held) / len(drawn_scenes) < 0.2
    cone = scene.Subject("cone", "purple", "matte", 0.3)
    still = next(s for s in drawn_scenes if s.event == "still" and not splits.held_out_pair(s))
    assert splits.held_out_pair(replace(still, subjects=(cone,)))
    assert not splits.held_out_pair(replace(still, subjects=(replace(cone, color="red"), scene.Subject("ball", "purple", "matte", 0.3))))
    values = {f"{slot}={v}" for slot, rows in language.LEXICON.items() for v in rows} | {f"event={e}" for e in scene.EVENTS}
    assert all(pair <= values and len(pair) == 2 for pair in splits.HELD_OUT_PAIRS)
