"""Figures have honest intervals, and bars know which way is better."""

import json

import numpy as np
import pytest

from kinowatt.exam import figure
from kinowatt.exam.figure import Bar, Estimate, Figure, Section, Shown, Table


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    found = [figure.mean(list(rng.normal(5.0, 2.0, 40))) for _ in range(200)]
    covered = np.mean([e.low <= 5.0 <= e.high for e in found if e.low is not None and e.high is not None])
    assert 0.88 <= covered <= 0.99


def test_clips_are_resampled_not_their_things() -> None:
    alike = [[1.0] * 50, [0.0] * 50]  # two clips, whatever the number of things
    found = figure.mean(alike, 100.0)
    assert (found.value, found.low, found.high, found.n) == (50.0, 0.0, 100.0, 2)
    assert figure.mean([None, [], None]) == Estimate(None, None, None, 0)
    assert figure.mean([3.0]) == Estimate(3.0, None, None, 1), "one clip has no interval"


def test_rank_correlation_knows_ties() -> None:
    assert figure.ranks(np.array([3.0, 1.0, 3.0, 0.0])).tolist() == [2.5, 1.0, 2.5, 0.0]
    assert figure.spearman(np.arange(9.0), np.arange(9.0) ** 3) == pytest.approx(1.0)
    assert figure.spearman(np.arange(9.0), -np.arange(9.0)) == pytest.approx(-1.0)
    assert figure.spearman(np.zeros(9), np.arange(9.0)) == 0.0


def test_a_bar_has_a_side() -> None:
    assert Bar(95.0, "least").met(95.0)
    assert not Bar(95.0, "least").met(94.9)
    assert Bar(5.0, "most").met(4.0)
    assert Figure("g", "%", Estimate(None, None, None, 0), bar=Bar(5.0, "most")).met is None, "what cannot be measured meets nothing"


def test_a_section_outlives_its_file() -> None:
    lines = Figure("colour", "%", Estimate(1.0, 0.5, 2.0, 3), floor=Estimate(0.0, None, None, 1), bar=Bar(95.0, "least"))
    section = Section("a", "A", ("words",), (lines,), (Shown("l", "p", 1, 2, file="clips/a.mp4"),), (Table("t", ("", "x"), (("y", "1"),)),))
    again = Section.from_json(json.loads(json.dumps(section.to_json())))
    assert again.to_json() == section.to_json()
    assert again.figures == section.figures
