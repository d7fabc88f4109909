"""Published figures: every figure is computed, to the digits that the sources give; other assumptions scale as they should."""

import json
import math
import unicodedata
from pathlib import Path

import pytest

from kinowatt.energy import carbon, claims
from kinowatt.energy.claim import Published
from kinowatt.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "claims.md"

# Written by hand from the sources, not from the code: claim, figure, value, and the worth of its last digit.
EXPECTED = [
    ("gpt3-training", "V100-hours", 3_545_619, 1),
    ("gpt3-training", "energy", 1287.06, 0.01),
    ("gpt3-training", "carbon", 552.15, 0.01),
    ("gpt3-120b", "energy", 1_287_060, 10),
    ("gpt3-120b", "parameters", 175, 1),
    ("gpt3-120b", "published over Patterson", 3.5, 0.1),
    ("chatgpt-training", "per person, by the claim", 780, 1),
    ("chatgpt-training", "per person, China 2020", 776, 1),
    ("chatgpt-training", "over Patterson's energy", 0.73, 0.01),
    ("chatgpt-training", "over the 4.5 million kWh", 0.21, 0.01),
    ("chatgpt-inference", "GPU-hours a day", 29_166.7, 0.1),
    ("chatgpt-inference", "energy a day", 11_871, 1),
    ("chatgpt-inference", "carbon a day", 3.824, 0.001),
    ("chatgpt-inference", "carbon a month", 115, 1),
    ("chatgpt-inference", "energy per word", 142, 1),
    ("chatgpt-inference", "over a measured 405B", 50, 10),
    ("chatgpt-inference", "over a measured 70B", 300, 100),
    ("sora-parameters", "another report over this one", 10, 1),
    ("sora-231", "frames", 4.67e12, 0.01e12),
    ("sora-231", "A100 for one month", 2337, 1),
    ("sora-factorial", "break-even, low", 15.33, 0.01),
    ("sora-factorial", "break-even, high", 38.33, 0.01),
    ("sora-factorial", "training energy, low", 2.1, 0.1),
    ("sora-factorial", "training energy, high", 5.3, 0.1),
    ("sora-factorial", "training energy, of 70,900", 35.7, 0.1),
    ("image-256-words", "energy of the words", 127, 1),
    ("image-256-words", "image over words", 60, 10),
    ("image-256-words", "patches of one image", 256, 1),
    ("minute-1000-chats", "Wan 1.3B, 480p", 634, 1),
    ("minute-1000-chats", "Wan 14B, 720p", 12_900, 100),
]

KEYS = (
    "gpt3-training",
    "gpt3-120b",
    "chatgpt-training",
    "chatgpt-inference",
    "sora-parameters",
    "sora-70900",
    "sora-231",
    "sora-factorial",
    "image-256-words",
    "minute-1000-chats",
    "gartner-2025",
)


@pytest.mark.parametrize(("key", "name", "value", "step"), EXPECTED)
def test_figures_to_the_digits_given(key: str, name: str, value: float, step: float) -> None:
    ours = claims.run(key).figure(name).ours
    assert ours is not None
    assert abs(ours - value) <= step / 2 * (1 + 1e-9)


def test_eleven_claims_each_with_its_sources() -> None:
    assert tuple(c.key for c in claims.claims()) == KEYS
    for c in claims.claims():
        assert c.inputs
        assert c.verdict
        assert c.source
        assert all(i.source for i in c.inputs.values())
        for name, i in c.inputs.items():
            assert i.check(name, i.value) == i.value


def test_what_is_published_and_whether_it_agrees() -> None:
    said = {r.claim.key: [(f.published_text(), f.agrees) for f in r.figures if f.published] for r in claims.results()}
    assert said == {
        "gpt3-training": [("1,287", True), ("552", True)],
        "gpt3-120b": [("4,500,000", False), ("120", False)],
        "chatgpt-training": [("> 900,000", True)],
        "chatgpt-inference": [("29,167", True), ("3.82", True), ("> 100", True)],
        "sora-parameters": [("3", False)],
        "sora-70900": [("70,900", None)],
        "sora-231": [("231", False)],
        "sora-factorial": [("15.3", True), ("38.1", False)],
        "image-256-words": [("256", False)],
        "minute-1000-chats": [("> 1,000", False), ("> 1,000", True), ("> 1,000", True)],
        "gartner-2025": [("> 1", None)],
    }
    assert claims.run("sora-231").headline.ratio == pytest.approx(10.1, abs=0.05)
    assert claims.run("sora-factorial").figure("break-even, high").ratio == pytest.approx(1.006, abs=5e-4)


def test_unknown_derivations_say_so() -> None:
    for key in ("gpt3-120b", "chatgpt-training", "sora-70900", "image-256-words", "gartner-2025"):
        c = claims.claim(key)
        assert "unknown" in c.verdict + c.why or "no derivation is known" in c.why
    for key in ("sora-70900", "gartner-2025"):
        assert claims.run(key).headline.ours is None
        assert "not derivable" in claims.claims_text([key])


def test_the_enumeration_of_70900_is_no_evidence() -> None:
    r = claims.run("sora-70900")
    tried, land = r.figure("combinations tried").ours, r.figure("combinations that land").ours
    assert tried == 2 * 4 * (2 + 2 * 2 * 4) * 9 * 5 * 13 * 3
    assert land == 34
    # One of them by hand: a month at 60 fps, 3 B, 3,072 tokens, forward and backward, an H100 at 70 % of 1,978.9 TFLOP/s for 730 h.
    by_hand = 500 * 60 * 24 * 30 * 3600 * 60 * 6 * 3e9 * 3072 / (1978.9e12 * 0.7 * 730 * 3600)
    assert abs(by_hand / 70_900 - 1) < 0.0008
    wider = claims.run("sora-70900", {"tolerance": 0.01}).figure("combinations that land").ours
    assert wider is not None
    assert wider > 5 * 34
    another = claims.run("sora-70900", {"claimed_months": 60_000}).figure("combinations that land").ours
    assert another is not None
    assert another > 0


def test_a_batch_divides_until_arithmetic_binds() -> None:
    def word_J(**inputs: float) -> float:
        ours = claims.run("chatgpt-inference", inputs).figure("energy per word").ours
        assert ours is not None
        return ours

    assert word_J(batch=64) == pytest.approx(0.35 * 407 / 64)
    floor = 407 * 2 * 175e9 * (4 / 3) / (312e12 * 0.5)  # J of a word when arithmetic alone sets the time
    assert word_J(batch=1000) == pytest.approx(floor)
    assert word_J(batch=10_000) == pytest.approx(floor)
    assert word_J(batch=64, utilisation=0.1) == pytest.approx(5 * floor)  # 23 queries fill a slower GPU
    assert word_J(pue=1.2, host_W=93) == pytest.approx(0.35 * (407 + 93) * 1.2)


def test_other_assumptions_scale_and_are_marked() -> None:
    own, half = claims.run("gpt3-training"), claims.run("gpt3-training", {"utilisation": 2 * 24.6 / 125})
    assert own.headline.ours is not None
    assert half.headline.ours == pytest.approx(own.headline.ours / 2)
    assert half.changed == {"utilisation": 24.6 / 125}
    assert "re-run with utilisation=0.3936" in claims.claims_text(["gpt3-training"], {"utilisation": "0.3936"})
    assert "published assumptions" not in claims.claims_text(["gpt3-training"])
    table = carbon.intensity("DE").gCO2e_per_kWh
    assert claims.run("gpt3-training", {"zone": "DE"}).figure("carbon").ours == pytest.approx(1287.06 * table / 1000, rel=1e-5)
    assert claims.run("gpt3-training").inputs["pue"].value == 1.1  # an override leaves the claim alone


def test_an_override_without_keys_chooses_its_claims() -> None:
    assert [r.claim.key for r in claims.results(None, {"batch": "64"})] == ["chatgpt-inference"]
    keys = [r.claim.key for r in claims.results(None, {"pue": 1.5, "batch": 2})]
    assert keys == ["gpt3-training", "gpt3-120b", "chatgpt-training", "chatgpt-inference", "sora-factorial"]


@pytest.mark.parametrize(
    ("keys", "overrides", "message"),
    [
        (["sora"], {}, "the claims are gpt3-training, gpt3-120b"),
        (["gpt3-training"], {"batch": 64.0}, "utilisation, gpu_W, pue, intensity_kg_per_kWh, zone"),
        (None, {"bath": 64.0}, "inputs are"),
        (["gpt3-training"], {"pue": 0.9}, "at least 1"),
        (["gpt3-training"], {"utilisation": 1.1}, "at most 1"),
        (["gpt3-training"], {"gpu_W": 0.0}, "above 0"),
        (["gpt3-training"], {"gpu_W": math.nan}, "finite"),
        (["gpt3-training"], {"gpu_W": "many"}, "not a number"),
        (["gpt3-training"], {"zone": "Atlantis"}, "ISO country code"),
        (["gpt3-training"], {"gpu_W": 1e300, "work_FLOP": 1e300}, "beyond any finite number"),
    ],
)
def test_what_cannot_be_run_is_said(keys: list[str] | None, overrides: dict[str, float | str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        claims.results(keys, overrides)


def test_a_single_run_takes_only_its_own_inputs() -> None:
    with pytest.raises(InputError, match="has no input 'batch'"):
        claims.run("gpt3-training", {"batch": 64})


def test_settings_of_a_command_line() -> None:
    assert claims.overrides_from(["batch=64", "zone = DE"]) == {"batch": "64", "zone": "DE"}
    for bad in ("batch", "=3", "batch="):
        with pytest.raises(InputError, match="name=value"):
            claims.overrides_from([bad])


def test_the_text_fits_a_terminal() -> None:
    for text in (claims.claims_text(), claims.claims_text(list(KEYS))):
        for line in text.splitlines():
            assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) <= 120
        assert text.count("verdict: ") == text.count("source:  ") == 11


def test_json() -> None:
    rows = json.loads(json.dumps(claims.claims_json(), allow_nan=False))
    assert [r["key"] for r in rows] == list(KEYS)
    assert rows[0]["figures"][0]["published"] == 1287
    assert rows[0]["figures"][0]["ours"] == pytest.approx(1287.06, abs=0.005)
    assert rows[0]["inputs"]["pue"] == {"value": 1.1, "unit": "facility over IT energy", "source": rows[0]["inputs"]["work_FLOP"]["source"]}
    assert rows[5]["figures"][0]["ours"] is None
    assert claims.claims_json(["gpt3-training"], {"pue": "2"})[0]["changed_from"] == {"pue": 1.1}


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == claims.markdown()


def test_published_digits() -> None:
    assert Published(3.82, 0.01).agrees(3.8244)
    assert not Published(3.82, 0.01).agrees(3.8256)
    assert Published(100, 1, at_least=True).agrees(114.7)
    assert not Published(1000, 1, at_least=True).agrees(634)
