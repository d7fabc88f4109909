"""Hosting capacity: bisection against looking at all growths, early verdicts, placements, relief that AC flow confirms."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridding import five_buses
from kinowatt.errors import GridError
from kinowatt.grid.circuit import circuit_of
from kinowatt.grid.flow import Solver
from kinowatt.grid.hosting import Case, Tally, axis_of, evaluate, limiting, placements, resampled_last, search
from kinowatt.grid.scenarios import FIELD
from kinowatt.grid.storage import curtail, store, violated_of


def made_up(risk: float, scenarios: int = 10) -> Tally:
    """A tally of a risk, 100 steps per scenario."""
    each = np.full(scenarios, round(100 * risk))
    none = np.zeros(0, int)
    return Tally(scenarios, scenarios, 100, each, each, each, each, none, none, none, 0, none, none, none, 0.0, none, none)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 0.9))
@settings(max_examples=60, deadline=None)
def test_bisection_finds_what_a_walk_finds(risks: list[float], risk: float) -> None:
    risks = sorted(round(r, 2) for r in risks)
    found = search(len(risks), risk, lambda i: made_up(risks[i]))
    assert found.last == sum(r <= risk for r in risks) - 1
    assert len(found.tested) <= 2 + int(np.ceil(np.log2(len(risks) + 1)))
    assert found.last + 1 in (*found.tested, len(risks))


@lru_cache(maxsize=1)
def case() -> Case:
    net = five_buses()
    net.trafo["tap_changer_type"] = "Ratio"
    c = circuit_of(net)
    rng = np.random.default_rng(0)
    pu = np.zeros((40, 12, c.nodes), np.float32)
    shape = np.sin(np.linspace(0, np.pi, 12))[None, :, None] * rng.uniform(0.1, 1.0, (40, 1, 1))
    pu[:] = shape * rng.uniform(0.7, 1.0, (40, 12, c.nodes))
    rest = np.zeros((1, c.nodes), np.float32)
    rest[0, c.node_of_bus[[2, 3, 4]]] = -2.0
    return Case(c, None, {(FIELD, "pv"): pu}, np.zeros((40, 12), int), rest, 0.2 * rest, 1.0)


def plan(mw: float) -> dict[str, np.ndarray]:
    c = case().circuit
    installed = np.zeros(c.nodes)
    installed[c.node_of_bus[[3, 4]]] = mw / 2
    return {"pv": installed}


def test_counts_are_those_of_the_flows() -> None:
    tally = evaluate(case(), Solver(case().circuit), FIELD, plan(45.0))
    p, q = case().rest(slice(None))
    flows = Solver(case().circuit).solve((p + case().available(FIELD, plan(45.0), slice(None))).reshape(480, -1), q.reshape(480, -1))
    assert 0 < tally.risk < 1
    assert tally.violated_S.sum() == violated_of(case(), flows).sum()
    assert tally.element_E.tolist() == (flows.loading_SE_percent > 100).sum(0).tolist()
    assert tally.lines_histogram.sum() == 480
    assert tally.power_ST_MW.max() <= 45.0
    assert limiting(case().circuit, tally) in {"voltage, bus 3", "voltage, bus 4", "line L14", "line L12", "line L23"}


def test_an_early_verdict_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinowatt.grid.hosting.CHUNK", 60)
    early = 0
    for mw in (1.0, 12.0, 20.0, 40.0, 80.0):
        for risk in (0.02, 0.3, 0.7):
            whole, quick = (evaluate(case(), Solver(case().circuit), FIELD, plan(mw), r) for r in (None, risk))
            assert (whole.risk <= risk) == (quick.risk <= risk)
            early += quick.seen < whole.seen
    assert early >= 8


def test_flows_without_a_solution_count_as_violations() -> None:
    tally = evaluate(case(), Solver(case().circuit), FIELD, plan(2000.0))
    assert len(tally.unsolved)
    seen = np.zeros((40, 12), bool)
    seen[tuple(tally.unsolved.T)] = True
    assert (tally.violated_S >= seen.sum(1)).all()
    assert np.isnan(tally.worst_ST[seen]).all()


def test_which_limits_count() -> None:
    from dataclasses import replace

    whole = evaluate(case(), Solver(case().circuit), FIELD, plan(45.0)).violated_S.sum()
    parts = [
        evaluate(replace(case(), limits=k), Solver(case().circuit), FIELD, plan(45.0)).violated_S.sum() for k in ("thermal", "voltage")
    ]
    assert max(parts) <= whole <= sum(parts)


def test_curtailment_leaves_no_violation_and_storage_makes_none() -> None:
    solver = Solver(case().circuit)
    cut = curtail(case(), solver, FIELD, plan(45.0))
    assert cut.violated > 0
    assert cut.left == 0
    assert 0 < cut.energy_MWh < 0.5 * cut.available_MWh
    p, q = case().rest(slice(None))
    given_STN = case().available(FIELD, plan(45.0), slice(None))
    assert (cut.cut_STN_MW <= given_STN + 1e-5).all()
    assert (cut.cut_STN_MW >= 0).all()
    after = solver.solve((p + given_STN - cut.cut_STN_MW).reshape(480, -1), q.reshape(480, -1))
    assert not violated_of(case(), after).any()
    kept = store(case(), solver, FIELD, plan(45.0), cut)
    assert kept.violations == 0
    assert kept.power_N_MW.sum() >= kept.p95_MW > 0
    assert kept.energy_N_MWh.max() >= kept.power_N_MW.max() * 0.9  # an hour at full power, less what charging loses
    assert 0 < kept.returned_MWh <= kept.taken_MWh * 0.92**2 + 1e-6


def test_what_no_plant_can_mend_is_counted() -> None:
    from dataclasses import replace

    heavy = replace(case(), rest_YN_MW=case().rest_YN_MW * 6)
    cut = curtail(heavy, Solver(heavy.circuit), FIELD, plan(0.5))
    assert cut.violated > 0
    assert cut.left == cut.violated


def test_placements() -> None:
    here = np.array([0.0, 0.5, 0.5, 0.0, 0.0, 0.0])
    shares = placements(here, np.array([1, 2, 3, 4, 5]), 20, [0])
    assert np.allclose(shares.sum(1), 1.0)
    assert np.array_equal(shares[0], here)
    assert not shares[:, 0].any()
    assert len(np.unique(shares[1:].argmax(1))) > 2


def test_other_draws_of_weather_move_the_answer() -> None:
    rng = np.random.default_rng(0)
    risks = np.linspace(0.0, 0.2, 9)
    steps = np.clip(rng.normal(0, 3, (60, 1)) + 100 * risks, 0, 100).round().astype(int)  # by scenario and growth
    none = np.zeros(0, int)
    tallies = [Tally(60, 60, 100, steps[:, i], none, none, none, none, none, none, 0, none, none, none, 0.0, none, none) for i in range(9)]
    found = search(9, 0.1, tallies.__getitem__)
    growths = tuple(1.0 + i for i in range(9))
    same = resampled_last(found, growths, 0.1, np.arange(60)[None])
    assert same.tolist() == [growths[found.last]]
    drawn = resampled_last(found, growths, 0.1, rng.integers(0, 60, (200, 60)))
    assert abs(drawn.mean() - growths[found.last]) < 1.0
    assert set(drawn) <= {0.0, *growths}


@pytest.mark.parametrize(
    ("text", "want"), [("1:2:0.5", (1.0, 1.5, 2.0)), ("3", (3.0,)), ("1:3", (1.0, 2.0, 3.0)), ("1:1.25:0.1", (1.0, 1.1, 1.2))]
)
def test_axes(text: str, want: tuple[float, ...]) -> None:
    assert axis_of(text, "--pv-growth") == want


@pytest.mark.parametrize("text", ["-2:3:1", "0", "5:1:1", "1:5:0", "1:5:-1", "a:b", "1:2:3:4", "nan", "1:inf:1", "1:1e9:1e-3", ""])
def test_growths_that_are_none(text: str) -> None:
    with pytest.raises(GridError, match="--pv-growth"):
        axis_of(text, "--pv-growth")
