"""How good predictions are, as it is told: each clip from those before it only, lines that add up, and a curve that can be drawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinowatt.energy import calibration
from kinowatt.energy.calibration import Calibration, Check, prequential, published
from kinowatt.energy.predict import LEAST_HISTORY, Past, Prediction, Work, cpu_efficiency, warm
from kinowatt.errors import MissingDependency, OutputError

DEVICE = cpu_efficiency("torch float32")


def history(count: int) -> list[tuple[str, Past]]:
    """Clips of random length on a machine that takes twice what the formula says and two joules more, with 3 % of noise."""
    rng, found = np.random.default_rng(1), []
    for number in range(count):
        work = Work(float(rng.uniform(1e11, 2e12)), 0.0, 20)
        joules = (2 * work.FLOP / DEVICE.FLOP_per_J + 2.0) * float(np.exp(rng.normal(0, 0.03)))
        found.append((f"clip {number}", Past(work, joules, joules / 10)))
    return found


def from_before(work: Work, before: Sequence[Past]) -> Prediction:
    return warm(work, DEVICE, before)


def test_published_clips_are_within_a_quarter_with_and_without_their_model() -> None:
    checks = published()
    assert len(checks) == 10
    for check in checks:
        assert abs(check.error) < 0.25
        assert check.left_out_Wh is not None
        assert check.left_out_Wh == pytest.approx(check.measured_Wh, rel=0.25)
    assert any(abs(c.left_out_Wh / c.predicted_Wh - 1) > 0.01 for c in checks if c.left_out_Wh), "leaving a model out changes something"


def test_each_clip_is_predicted_from_those_before_it() -> None:
    seen: list[int] = []
    past = history(8)

    def predict(work: Work, before: Sequence[Past]) -> Prediction | None:
        assert [*before] == [clip for _, clip in past[: len(before)]]
        assert work is past[len(before)][1].work
        seen.append(len(before))
        return from_before(work, before) if before else None

    checks = prequential(past, predict)
    assert seen == [*range(8)]
    assert [c.name for c in checks] == [f"clip {n}" for n in range(1, 8)], "what cannot be predicted is not judged"
    assert checks[-1].measured_Wh == pytest.approx(past[-1][1].joules_J / 3600)


def test_history_brings_the_error_under_a_tenth() -> None:
    found = Calibration(published(), prequential(history(60), from_before), "a chip")
    first, later = found.own[:LEAST_HISTORY], found.own[10:]
    assert all(c.error < -0.3 for c in first), "cold, half of the truth"
    assert np.median([abs(c.error) for c in later]) < 0.04
    assert np.mean([abs(c.error) < 0.1 for c in later]) >= 0.9
    assert 0.65 <= np.mean([c.inside for c in later]) <= 0.95
    assert found.warm == found.own[LEAST_HISTORY:]
    told = found.to_json()
    assert told["own_median_error"] == pytest.approx(np.median([abs(c.error) for c in found.warm]))
    assert len(told["own"]) == 60
    assert told["published"][0]["error"] == pytest.approx(found.published[0].error, abs=1e-4)


def test_the_figures_of_a_check() -> None:
    check = Check("a clip", 1.1, 0.9, 1.2, 1.0)
    assert check.error == pytest.approx(0.1)
    assert check.inside
    assert not replace(check, measured_Wh=0.8).inside
    assert not replace(check, measured_Wh=1.3).inside


def test_the_lines_say_what_is_known() -> None:
    none = Calibration(published(), (), "a chip")
    assert "No clips of this machine yet" in none.lines()[-1]
    assert json.loads(json.dumps(none.to_json(), allow_nan=False))["own_median_error"] is None
    few = Calibration(published(), prequential(history(2), from_before), "a chip")
    assert not any("median error" in line for line in few.lines())
    many = Calibration(published(), prequential(history(30), from_before), "a chip").lines()
    assert len([line for line in many if line.startswith("  clip")]) == 20
    assert "newest 20 of 30" in "\n".join(many)
    assert "median error" in many[-1]
    assert "over 27 clips" in many[-1]
    assert any("wan2.1-t2v-14b 832x480x81, H100" in line and "80.35 Wh" in line for line in many)


@pytest.mark.parametrize("clips", [0, 1, 30])
def test_the_curve_is_drawn(tmp_path: Path, clips: int) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "calibration.png"
    calibration.draw(path, Calibration(published(), prequential(history(clips), from_before), "a chip"))
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 800
        assert np.asarray(picture.convert("L")).std() > 10, "not an empty sheet"
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.png"], "nothing is left beside it"


def test_a_curve_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(OutputError, match="cannot be written"):
        calibration.draw(tmp_path / "none" / "c.png", Calibration(published(), (), "a chip"))


def test_without_matplotlib_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"kinowatt\[plots\]"):
        calibration.draw(tmp_path / "c.png", Calibration(published(), (), "a chip"))
