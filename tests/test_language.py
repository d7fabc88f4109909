"""The shot lexicon: what is written in three scripts is read as the same tokens."""

import time

import pytest

from kinowatt import language
from kinowatt.errors import ShotError


def test_a_prompt_in_three_scripts_reads_the_same() -> None:
    english = language.read("two red balls bounce on the snow at dusk, close-up")
    traditional = language.read("兩個紅色的球在雪地上彈跳，黃昏，特寫")
    simplified = language.read("两个红色的球在雪地上弹跳，黄昏，特写")
    assert traditional == simplified or traditional.fields == simplified.fields
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
        ("微距镜头", "shot=macro"),
        ("medium close-up of a cube", "shot=near"),
        ("a 40mm lens", "lens=35"),
        ("80 毫米", "lens=85"),
        ("low-angle view", "angle=low"),
        ("the camera tilts   up", "move=tilt-up"),
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


def test_every_phrase_of_the_table_is_read_as_its_own_value() -> None:
    for slot, values in language.LEXICON.items():
        for value, words in values.items():
            for phrase in words.all:
                assert language.read(phrase).tokens == (f"{slot}={value}",), phrase
            for phrase in (*words.chinese, *words.chinese_also):
                assert language.read(language.simplified(phrase)).tokens == (f"{slot}={value}",), phrase


def test_long_text_is_read_quickly() -> None:
    started = time.perf_counter()
    reading = language.read("a red ball xyz " * 2100)
    assert time.perf_counter() - started < 2.0
    assert reading.not_understood == ("xyz",)


def test_controls_replace_the_prompts_words() -> None:
    reading = language.read("a red ball, static camera, wide shot")
    tokens = language.merge(reading, language.controls(move="orbit-left", lens_mm=80, shot="Close_Up"))
    assert tokens == ("color=red", "kind=ball", "shot=close-up", "move=orbit-left", "lens=85")


@pytest.mark.parametrize("wrong", [{"move": "teleport"}, {"mood": "purple"}, {"lens_mm": 0.0}, {"angle": ""}, {"lens_mm": float("nan")}])
def test_wrong_controls_are_refused_in_a_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(ShotError) as refused:
        language.controls(**wrong)  # type: ignore[arg-type]
    assert "use" in str(refused.value)
