"""An exam goes on where it was, and its report says what is met and what is not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinowatt.clip import Clip
from kinowatt.engine.load import load
from kinowatt.engine.ways import Ways
from kinowatt.errors import OutputError
from kinowatt.exam import judges, report, run, sources
from kinowatt.exam.candidate import Candidate
from kinowatt.exam.figure import Bar, Estimate, Figure, Section, Shown
from kinowatt.exam.sitting import QUICK, Sitting
from kinowatt.shot import START, Anchor


def clip(frames: int = 5) -> Clip:
    return Clip(np.random.default_rng(0).integers(0, 256, (frames, 3, 32, 32), dtype=np.uint8), fps=16.0)


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 1, value + 1, 4)


def test_what_is_done_is_not_done_again(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def first(s: Sitting) -> Section:
        asked.append("first")
        lines = Figure("colour", "%", estimate(40), estimate(90), estimate(80), estimate(20), "another", Bar(95.0, "least"))
        return Section("a", "A", ("<words>",), (lines,), (Shown("made", "a <red> ball", 7, 8, clip()),))

    def second(s: Sitting) -> Section:
        asked.append("second")
        if len(asked) == 2:
            raise KeyboardInterrupt
        return Section("b", "B", (), (Figure("g", "% off", estimate(3), bar=Bar(5.0, "most")),))

    monkeypatch.setattr(run, "SECTIONS", (first, second))
    monkeypatch.setattr(judges, "load", judges.Judges)
    engine, out = load(str(small_model), "cpu", Ways("torch")), tmp_path / "exam"
    with pytest.raises(KeyboardInterrupt):
        run.examine(engine, True, out, tmp_path / "kept", lambda line: None)
    assert not out.exists()
    found = run.examine(engine, True, out, tmp_path / "kept", lambda line: None)
    assert asked == ["first", "second", "second"]
    assert found == json.loads((out / "report.json").read_text())
    shown = found["sections"][0]["clips"][0]
    assert (shown["scene"], shown["seed"], shown["prompt"]) == (7, 8, "a <red> ball")
    assert (out / shown["file"]).stat().st_size > 100
    page = (out / "report.html").read_text()
    assert "1 of 2" in page
    assert "above the ceiling" in page, "a bar of 95 with a judge of 90 is told"
    assert "a &lt;red&gt; ball" in page
    assert "<words>" not in page


def test_clips_are_made_once(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(str(small_model), "cpu", Ways("torch"))
    candidate = Candidate(engine, tmp_path)
    monkeypatch.setattr(Candidate, "size", (64, 64))
    anchors = [Anchor(Clip(clip(1).frames_TCHW.repeat(2, 2).repeat(2, 3), fps=16.0), START)]
    made = candidate.make("a red ball", 1, 5)
    other = candidate.make("a red ball", 1, 5, anchors)
    assert not np.array_equal(made.clip.frames_TCHW, other.clip.frames_TCHW)
    calls: list[object] = []
    generate: Callable[..., object] = engine.generate
    monkeypatch.setattr(engine, "generate", lambda *a, **k: calls.append(a) or generate(*a, **k))
    again = candidate.make("a red ball", 1, 5)
    assert not calls
    assert np.array_equal(again.clip.frames_TCHW, made.clip.frames_TCHW)
    assert (again.work_J, again.seconds) == (made.work_J, made.seconds)
    next(tmp_path.glob("*.npz")).write_bytes(b"broken off")
    candidate.make("a red ball", 1, 5)
    candidate.make("a red ball", 1, 5, anchors)
    assert len(calls) == 1, "a damaged file is made anew"
    monkeypatch.setattr(sources, "sha256", lambda *packages, **how: "of other code")
    candidate.make("a red ball", 1, 5)
    assert len(calls) == 2, "what other code made is not used again"


def test_an_exam_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="-o"):
        run.check(tmp_path / "file")
    with pytest.raises(OutputError, match="-o"):
        run.check(tmp_path / "no" / "where")
    run.check(tmp_path / "new")


def test_numbers_are_short() -> None:
    assert [report.number(x) for x in (0.123, 12.34, 1234.5)] == ["0.12", "12.3", "1234"]
    assert QUICK.quick
