"""The shot lexicon: what is written in three scripts is read as the same tokens."""

import itertools
import time

import pytest

from kinowatt import language
from kinowatt.errors import ShotError
from kinowatt.language.forms import plural, progressive, third_person
from kinowatt.language.small import OTHER_CHINESE, OTHER_ENGLISH, SMALL_CHINESE, SMALL_ENGLISH, WITHOUT


def test_a_prompt_in_three_scripts_reads_the_same() -> None:
    english = language.read("two red balls bounce on the snow at dusk, close-up")
    traditional = language.read("兩個紅色的球在雪地上彈跳，黃昏，特寫")
    simplified = language.read("两个红色的球在雪地上弹跳，黄昏，特写")
    assert traditional.tokens == simplified.tokens
    assert english.fields == traditional.fields
    assert english.fields["count"] == ("2",)
    assert english.not_understood == traditional.not_understood == ()


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("a drone shot of wind turbines", "move=aerial"),
        ("航拍", "move=aerial"),
        ("平移跟拍", "move=track"),
        ("近景", "shot=near"),
        ("中景", "shot=medium"),
        ("大遠景", "shot=wide"),
        ("微距镜头", "shot=macro"),
        ("medium close-up of a cube", "shot=near"),
        ("a 40mm lens", "lens=35"),
        ("80 毫米", "lens=85"),
        ("a 35-millimetre prime", "lens=35"),
        ("low-angle view", "angle=low"),
        ("bird’s-eye view", "angle=high"),
        ("the camera tilts   up", "move=tilt-up"),
        ("the camera is turning left", "move=pan-left"),
        ("a ball turns left", "heading=left"),
        ("Dolly zoom", "move=dolly-zoom"),
        ("希區考克變焦", "move=dolly-zoom"),
        ("golden hour", "time=dusk"),
        ("a see-through torus", "kind=torus"),
        ("雨夜", "weather=rain"),
        ("blown along by the wind", "event=wind"),
        ("濕漉漉的路面", "surface=wet"),
        ("turns in the wind", "event=turn"),
        ("a couple of cubes", "count=2"),
        ("三顆球", "count=3"),
        ("3 balls", "count=3"),
    ],
)
def test_a_cinematographers_words(text: str, token: str) -> None:
    assert token in language.read(text).tokens


def test_what_is_not_known_is_said_and_kept() -> None:
    reading = language.read("a purple elephant dances, 鯨魚跳舞")
    assert "elephant" in reading.not_understood
    assert "~elephant" in reading.tokens
    assert reading.fields == {"color": ("purple",)}
    assert reading.understood == ("purple",)
    assert any("鯨" in word or "鲸" in word for word in reading.not_understood)


@pytest.mark.parametrize("text", ["handheld", "手持", "大象", "小狗", "飛機", "紅綠燈", "depth of field", "rubber duck"])
def test_words_are_not_read_in_parts(text: str) -> None:
    reading = language.read(text)
    assert reading.understood == ()
    assert reading.not_understood == (text,)


@pytest.mark.parametrize(
    ("text", "fields", "denied"),
    [
        ("a cube without any fog", {"kind": ("cube",)}, ("without any fog",)),
        ("no rain or thick fog, night", {"time": ("night",)}, ("no rain or thick fog",)),
        ("no clouds", {"weather": ("clear",)}, ()),
        ("the ball isn't red but blue", {"kind": ("ball",), "color": ("blue",)}, ("isn't red",)),
        ("the camera does not move", {"move": ("static",)}, ()),
        ("沒有霧的草地", {"ground": ("grass",)}, ("沒有霧",)),
        ("不要紅色，藍色", {"color": ("blue",)}, ("不要紅色",)),
        ("沒有雲", {"weather": ("clear",)}, ()),
        ("no people, a ball", {"kind": ("ball",)}, ("no people",)),
    ],
)
def test_what_is_denied_is_not_read_as_wanted(text: str, fields: dict[str, tuple[str, ...]], denied: tuple[str, ...]) -> None:
    reading = language.read(text)
    assert reading.fields == fields
    assert reading.not_understood == denied


def test_typing_errors_are_understood_and_said() -> None:
    reading = language.read("a wind turbnie and a cylnder on the pavvement, a checkerbord")
    meant = {word.split(" → ")[0]: word.split(" → ")[1] for word in reading.understood if "→" in word}
    assert meant == {"turbnie": "turbine", "cylnder": "cylinder", "pavvement": "pavement", "checkerbord": "checkerboard"}
    assert reading.fields["kind"] == ("turbine", "cylinder")
    assert reading.not_understood == ()
    for other in ("bal", "glas", "carbon", "planning", "marbled", "winner", "filling"):
        assert language.read(other).not_understood == (other,)


def test_every_phrase_of_the_table_is_read_as_its_own_value() -> None:
    for slot, values in language.LEXICON.items():
        for value, words in values.items():
            for phrase in words.all:
                assert language.read(phrase).tokens == (f"{slot}={value}",), phrase
            for phrase in (*words.chinese, *words.chinese_also):
                assert language.read(language.simplified(phrase)).tokens == (f"{slot}={value}",), phrase


def test_the_table_is_rich_and_small_words_are_none_of_it() -> None:
    known = {language.folded(phrase) for values in language.LEXICON.values() for words in values.values() for phrase in words.all}
    beside = (SMALL_ENGLISH, SMALL_CHINESE, OTHER_CHINESE, OTHER_ENGLISH, WITHOUT)
    assert not known & {language.folded(phrase) for group in beside for phrase in group}
    for slot, values in language.LEXICON.items():
        for value, words in values.items():
            if slot != "count" and value not in ("pan", "aerial"):
                assert len({*words.english, *words.short, *words.english_also}) >= 20, (slot, value)
                assert len({*words.chinese, *words.chinese_also}) >= 14, (slot, value)


def test_spans_are_places_in_the_text_and_do_not_overlap() -> None:
    text = "No fog：兩個 RED balls，大象 on the sand, İ blue"
    spans = language.spans(text)
    assert [text[a:b] for a, b, _ in spans] == ["No fog", "兩", "RED", "balls", "大象", "sand", "İ", "blue"]
    assert all(end <= start for (_, end, _), (start, _, _) in itertools.pairwise(spans))


def test_long_text_is_read_quickly() -> None:
    started = time.perf_counter()
    reading = language.read("a red ball xyz " * 2100)
    assert time.perf_counter() - started < 2.0
    assert reading.not_understood == ("xyz",)


@pytest.mark.parametrize(
    ("verb", "one", "many", "doing"),
    [
        ("fly off", "flies off", "fly off", "flying off"),
        ("be thrown", "is thrown", "are thrown", "being thrown"),
        ("drop", "drops", "drop", "dropping"),
        ("crash into", "crashes into", "crash into", "crashing into"),
        ("lie still", "lies still", "lie still", "lying still"),
        ("topple over", "topples over", "topple over", "toppling over"),
        ("swing", "swings", "swing", "swinging"),
        ("spin", "spins", "spin", "spinning"),
        ("dolly in", "dollies in", "dolly in", "dollying in"),
    ],
)
def test_verbs_have_their_forms(verb: str, one: str, many: str, doing: str) -> None:
    assert (third_person(verb), third_person(verb, many=True), progressive(verb)) == (one, many, doing)


def test_nouns_have_plurals() -> None:
    assert [plural(n) for n in ("toy box", "torus", "domino", "lifebuoy", "party", "inch")] == [
        "toy boxes",
        "tori",
        "dominoes",
        "lifebuoys",
        "parties",
        "inches",
    ]


def test_controls_replace_the_prompts_words() -> None:
    reading = language.read("a red ball, static camera, wide shot")
    tokens = language.merge(reading, language.controls(move="orbit-left", lens_mm=80, shot="Close_Up"))
    assert tokens == ("color=red", "kind=ball", "shot=close-up", "move=orbit-left", "lens=85")


def test_controls_cover_every_value() -> None:
    for name, slot in (("move", "move"), ("shot", "shot"), ("angle", "angle"), ("light", "time"), ("mood", "mood")):
        for value in language.LEXICON[slot]:
            assert language.controls(**{name: value}) == (f"{slot}={value}",)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"move": "teleport"}, {"mood": "purple"}, {"lens_mm": 0.0}, {"angle": ""}, {"lens_mm": float("nan")}])
def test_wrong_controls_are_refused_in_a_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(ShotError) as refused:
        language.controls(**wrong)  # type: ignore[arg-type]
    assert "use" in str(refused.value)
