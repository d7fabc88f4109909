"""The drawn label: figures from a bill, classes with published thresholds, drawings that hold their words."""

import base64
import io
import itertools
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kinowatt.energy import drawing, label
from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.carbon import intensity
from kinowatt.energy.label import CLASSES, Figures, energy_class, thresholds
from kinowatt.errors import OutputError


def labelled(**changes: Any) -> dict[str, Any]:
    """A label: 3600 J in all, 600 of them loading, over 10 frames of half a megapixel in 2 s."""
    bill = EnergyBill(
        Energy(9.0, gpu_J=3000.0, cpu_modelled_J=600.0),
        intensity("FR"),
        {"load": Energy(1.0, gpu_J=500.0, cpu_modelled_J=100.0), "denoise": Energy(8.0, gpu_J=2500.0, cpu_modelled_J=500.0)},
        {"dram_J": "no counter"},
    )
    clip = {"frames": 10, "made_frames": 10, "width": 1000, "height": 500, "fps": 5.0, "seconds": 2.0}
    signature = {"alg": "ES256", "certificates": [base64.b64encode(b"certificate").decode()], "value": ""}
    made = {"version": "0.1.0", "shot": {"model": "wan", "steps": 50}, "energy": bill.to_json(), "clip": clip, "signature": signature}
    return made | changes


def words(figures: Figures) -> list[str]:
    return [shape.words for shape in label.drawing(figures) if isinstance(shape, drawing.Text)]


def test_figures_leave_loading_apart() -> None:
    figures = Figures.of(labelled())
    assert figures.total_Wh == pytest.approx(1.0)
    assert figures.load_J == 600.0
    assert figures.J_per_second == pytest.approx(3000 / 2)
    assert figures.J_per_megapixel_frame == pytest.approx(3000 / 5)
    assert figures.letter == "D"
    assert figures.how == "measured, in part modelled"
    assert (figures.measured, figures.modelled, figures.not_measured) == (("GPU",), ("CPU",), ("memory",))
    assert figures.to_json()["class"] == "D"


def test_given_frames_do_not_make_new_ones_cheaper() -> None:
    """Ten new frames behind thirty that were given cost what ten frames cost."""
    clip = labelled()["clip"] | {"frames": 40, "seconds": 8.0}
    longer, alone = Figures.of(labelled(clip=clip)), Figures.of(labelled())
    assert longer.J_per_megapixel_frame == pytest.approx(alone.J_per_megapixel_frame)
    assert longer.J_per_second == pytest.approx(alone.J_per_second)
    assert any("40 frames (10 new)" in line for line in words(longer))


def test_classes_are_published_and_leave_no_gap() -> None:
    table = thresholds()
    assert [row["label"] for row in table] == list("ABCDEFG")
    assert table[0]["above_J_per_megapixel_frame"] == 0
    assert all(a["most_J_per_megapixel_frame"] == b["above_J_per_megapixel_frame"] for a, b in itertools.pairwise(table))
    assert table[-1]["most_J_per_megapixel_frame"] is None
    for name, most in CLASSES[:-1]:
        assert energy_class(most) == name
        assert energy_class(math.nextafter(most, math.inf)) == chr(ord(name) + 1)
    assert energy_class(0.0) == "A"
    assert energy_class(None) is None
    assert energy_class(math.nan) is None


@pytest.mark.parametrize(
    ("J", "width", "height", "frames", "letter"),
    [
        (64_672, 832, 480, 81, "E"),  # Wan2.1 1.3B
        (289_254, 832, 480, 81, "F"),  # Wan2.1 14B
        (1_164_112, 1280, 720, 129, "F"),  # HunyuanVideo 13B
        (28_615, 720, 480, 49, "E"),  # CogVideoX-2B
        (335_359, 1360, 768, 81, "F"),  # CogVideoX1.5-5B
        (64_672 * 4 / 100, 832, 480, 81, "B"),  # Wan2.1 1.3B in 4 steps, without guidance
    ],
)
def test_the_models_that_the_classes_were_made_by(J: float, width: int, height: int, frames: int, letter: str) -> None:
    energy = {"gpu_J": J, "total_Wh": J / 3600}
    figures = Figures.of({"energy": energy, "clip": {"width": width, "height": height, "frames": frames}})
    assert figures.letter == letter
    assert figures.how == "measured"


def test_what_is_not_measured_has_no_class() -> None:
    figures = Figures.of(labelled(energy={"total_Wh": None, "gpu_J": None, "not_measured": ["NVML"]}))
    assert figures.letter is None
    assert figures.how == "not measured"
    assert figures.J_per_second is None
    said = words(figures)
    assert "unknown" in said
    assert {"no class:", "not measured", "carbon unknown", "not measured: NVML"} <= set(said)
    assert sum(isinstance(s, drawing.Shape) for s in label.drawing(figures)) == 8, "seven bars and the bolt, and no pointer"


def test_labels_of_older_versions() -> None:
    """They name no clip, and their model of the CPU otherwise."""
    old = {"version": "0.1.0", "shot": {"model": "spark"}, "energy": {"modelled_J": 7.2, "total_Wh": 0.002, "zone": "world", "phases": {}}}
    figures = Figures.of(old)
    assert figures.letter is None
    assert figures.total_Wh == 0.002
    assert figures.how == "modelled"
    assert figures.fingerprint is None
    assert {"2 mWh", "size unknown", "not signed", "not in it"} <= set(words(figures))


def test_the_signature_is_drawn_as_it_was_found() -> None:
    foot = {intact: words(Figures.of(labelled(), intact))[-2] for intact in (None, True, False)}
    assert foot[None].startswith("signed by ")
    assert "verified" not in foot[None]
    assert foot[True].endswith("verified")
    assert foot[False] == "changed since it was signed"
    assert words(Figures.of(labelled(signature=None), False))[-2] == "not signed"


def test_units_for_people() -> None:
    assert [label.joules(v) for v in (0.0, 0.0123, 9.56, 23.5875, 999.4, 999.6, 9560.17, 123_456.0, None)] == [
        *("0 J", "0.0123 J", "9.56 J", "23.6 J", "999 J", "1 kJ", "9.56 kJ", "123 kJ", "unknown")
    ]
    assert [label.watt_hours(v) for v in (0.00002, 0.5, 87.32, 1234.0)] == ["0.02 mWh", "500 mWh", "87.3 Wh", "1.23 kWh"]
    assert [label.grams(v) for v in (0.0103, 45.72)] == ["10.3 mg CO2e", "45.7 g CO2e"]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3))
parts = ("gpu_J", "cpu_J", "total_Wh", "carbon_gCO2e", "zone", "pue", "intensity_year", "not_measured", "phases", "embodied_gCO2e")
bills = st.dictionaries(st.sampled_from(parts), anything | st.floats(0, 1e9))
clips = st.dictionaries(st.sampled_from(["width", "height", "frames", "made_frames", "seconds"]), anything | st.integers(1, 4000))
shots = st.dictionaries(st.sampled_from(["model", "steps"]), anything)


@settings(deadline=None, max_examples=60)
@given(st.fixed_dictionaries({}, optional={"energy": bills | anything, "clip": clips | anything, "shot": shots, "signature": anything}))
def test_whatever_a_label_says_it_can_be_drawn_and_nothing_overflows(made: dict[str, Any]) -> None:
    figures = Figures.of(made)
    for shape in label.drawing(figures):
        if isinstance(shape, drawing.Text):
            left = shape.x - shape.width * {"start": 0, "middle": 0.5, "end": 1}[shape.anchor]
            assert left >= 20
            assert left + shape.width <= label.WIDTH - 20
            assert shape.y <= label.HEIGHT
    ElementTree.fromstring(label.svg(figures))


def test_the_svg_escapes_what_it_is_given() -> None:
    hostile = '</text><script>alert("x")</script>&amp;\x00'
    tree = ElementTree.fromstring(label.svg(Figures.of(labelled(shot={"model": hostile, "steps": 1}))))
    kinds = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert kinds == {"svg", "title", "rect", "polygon", "text"}
    title = tree.findtext("{http://www.w3.org/2000/svg}title") or ""
    assert "class D" in title
    assert "<script>" in title


def test_the_pointer_stands_at_its_class() -> None:
    for row, (_, most) in enumerate(CLASSES):
        J = (0.9 * most if math.isfinite(most) else 50_000.0) * 5
        shapes = label.drawing(Figures.of(labelled(energy={"gpu_J": J, "total_Wh": J / 3600})))
        polygons = [s for s in shapes if isinstance(s, drawing.Shape)]
        bars = [s for s in polygons if s.fill in label.BARS]
        pointer = next(s for s in polygons if s.fill == label.INK)
        middle = [sum(y for _, y in shape.points) / 5 for shape in (bars[row], pointer)]
        assert middle[0] == pytest.approx(middle[1], abs=0.1)


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_can_be_read_on_what_they_stand_on() -> None:
    pairs = [(bar, label.INK if bar in label.DARK_WORDS else "#ffffff") for bar in label.BARS]
    pairs += [
        (label.PAPER, label.INK),
        (label.PAPER, label.SOFT),
        ("#ece8db", label.SOFT),
        (label.BAND, label.PAPER),
        (label.LINE, label.INK),
    ]
    for ground, ink in pairs:
        bright, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) > 4.5, (ground, ink)


def test_the_png_shows_what_the_list_says(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    label.png(path, Figures.of(labelled()))
    picture = Image.open(io.BytesIO(path.read_bytes()))
    assert picture.size == (840, 1280)
    pixels = np.asarray(picture)
    assert pixels[2, 2, 3] == 0, "round corners"
    for row, bar in enumerate(label.BARS):
        y = (138 + 29 * row + 22) * 2
        assert "#" + bytes(pixels[y, 120, :3]).hex() == bar
    assert (pixels[2 * 225 : 2 * 250, 2 * 330 : 2 * 384, 0] > 230).any(), "the letter on its pointer"
    label.save_svg(tmp_path / "label.svg", Figures.of(labelled()))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["label.png", "label.svg"]
    (tmp_path / "folder.png").mkdir()
    for bad in (tmp_path / "folder.png", tmp_path / "no" / "where.png"):
        with pytest.raises(OutputError, match="cannot be written"):
            label.png(bad, Figures.of(labelled()))
    assert len(list(tmp_path.iterdir())) == 3
