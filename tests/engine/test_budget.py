"""Budgets: the best that fits is chosen, the pace keeps to it, and what cannot fit is refused with what would."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.meter import Meter
from kinowatt.energy.predict import Prediction
from kinowatt.engine import budget
from kinowatt.engine.budget import Pace, fitted
from kinowatt.engine.engine import Engine
from kinowatt.engine.load import load
from kinowatt.engine.plan import Plan
from kinowatt.engine.ways import Ways
from kinowatt.errors import BudgetError, ShotError, WeightsError
from kinowatt.models.specs import SPARK
from kinowatt.shot import Budget, Shot


@pytest.fixture
def spec(tmp_path: Path) -> object:
    """spark, with a frontier that a test can count on: 20 steps at 1.0, 10 at 0.8, 4 at 0.5, and a small one."""
    rows = [
        {"steps": steps, "guidance": 3.0, "cache": 1, "size": size, "quality": quality, "joules_J": float(steps), "seconds": 1.0}
        for steps, size, quality in ((20, (128, 128), 1.0), (10, (128, 128), 0.8), (4, (128, 128), 0.5), (4, (64, 64), 0.2))
    ]
    (tmp_path / budget.FRONTIER).write_text(json.dumps({"choices": rows}))
    return replace(SPARK, folder=tmp_path, sha256={}, size=(128, 128), steps=20, guidance=3.0)


def by_steps(plan: Plan) -> Prediction:
    """A watt-hour per step at 128x128, a tenth of it for decoding."""
    wh = (plan.shot.steps or 0) * plan.width * plan.height / 128**2 * plan.frames / 33
    return Prediction(wh, wh * 0.9, wh * 1.1, 1.0, "a test", rest_Wh=wh / 10)


def test_the_best_that_fits_is_taken(spec: object) -> None:
    for wh, steps, size in ((30.0, 20, (128, 128)), (19.0, 10, (128, 128)), (5.0, 4, (128, 128)), (2.0, 4, (64, 64))):
        found = fitted(Shot("a ball"), spec, wh * 3600, by_steps)  # type: ignore[arg-type]
        assert (found.shot.steps, found.shot.size) == (steps, size)
        assert bool(found.notes) == (steps != 20)


def test_without_a_frontier_fewer_steps_and_then_fewer_pixels_are_taken(tmp_path: Path) -> None:
    bare = replace(SPARK, folder=tmp_path, steps=12)
    assert fitted(Shot("a ball"), bare, 1e6, by_steps).shot.size is None
    for wh, steps, size in ((50.0, 12, None), (40.0, 8, None), (15.0, 12, (128, 128)), (4.5, 4, (128, 128))):
        found = fitted(Shot("a ball"), bare, wh * 3600, by_steps)
        assert (found.shot.steps, found.shot.size) == (steps, size), wh
    assert fitted(Shot("a ball", size=(256, 256)), bare, 20.0 * 3600, by_steps).shot.steps == 4


def test_what_the_shot_says_itself_stays(spec: object) -> None:
    found = fitted(Shot("a ball", size=(96, 96)), spec, 5.0 * 3600, by_steps)  # type: ignore[arg-type]
    assert found.shot.size == (96, 96)
    assert fitted(Shot("a ball", steps=4), spec, 1e6, by_steps).shot.steps == 4  # type: ignore[arg-type]
    assert fitted(Shot("a ball", steps=17), spec, 1e6, by_steps).shot.steps == 17  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="17 steps"):
        fitted(Shot("a ball", steps=17), spec, 3600.0, by_steps)  # type: ignore[arg-type]


def test_a_refusal_says_what_would_work(spec: object) -> None:
    with pytest.raises(BudgetError, match=r"too small.*take at least 1\.00 Wh.*0\.5 s would fit, or a budget of 1\.05 Wh"):
        fitted(Shot("a ball", seconds=2.0), spec, 0.4 * 3600, by_steps)  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="for loading the model"):
        fitted(Shot("a ball"), spec, 3600.0, by_steps, load_J=lambda plan: 7200.0)  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="not known yet"):
        fitted(Shot("a ball"), spec, 3600.0, lambda plan: None)  # type: ignore[arg-type]


def test_a_damaged_frontier_is_said(tmp_path: Path) -> None:
    (tmp_path / budget.FRONTIER).write_text('{"choices": [{"steps": 3}]}')
    with pytest.raises(WeightsError, match="kinowatt tune"):
        budget.frontier(tmp_path)
    assert budget.frontier(tmp_path / "nowhere") == ()


@pytest.mark.parametrize("wh", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_budget_that_buys_nothing_is_refused(wh: float) -> None:
    with pytest.raises(ShotError, match="buys nothing"):
        Budget(wh)
    with pytest.raises(ShotError, match="CO2e buys nothing"):
        Budget(gCO2e=wh)


def test_carbon_becomes_joules_where_the_electricity_is_from() -> None:
    assert Budget(gCO2e=100.0).joules(500.0, pue=2.0) == pytest.approx(0.1 * 3.6e6)
    assert Budget(1.0, 100.0).joules(500.0) == 3600.0, "the tighter one counts"
    assert Budget().joules(500.0) is None


def pace(spent: list[float], **given: float) -> Pace:
    return Pace(**({"budget_J": 100.0, "rest_J": 10.0, "step_J": 4.0, "most_steps": 20} | given), spent_J=lambda: spent[0])  # type: ignore[arg-type]


def test_the_pace_slows_when_steps_cost_more() -> None:
    spent = [0.0]
    for cold, rest in ((False, 10), (True, 20)):  # a first guess that was wrong is thought to be as wrong in the rest
        spent[0] = 0.0
        kept = pace(spent, cold=cold)
        assert kept.left(0) == 20
        spent[0] = 40.0  # five steps at twice the price
        assert kept.left(5) == (100 - 40 - rest) // 8


def test_the_pace_quickens_when_steps_cost_less_but_not_beyond_what_helps() -> None:
    spent = [0.0]
    kept = pace(spent, step_J=10.0)
    assert kept.left(0) == 9
    spent[0] = 10.0
    assert kept.left(5) == 15


def test_the_pace_stops_before_the_budget_is_broken() -> None:
    spent = [0.0]
    kept = pace(spent)
    kept.left(0)
    spent[0] = 97.0
    with pytest.raises(BudgetError, match="stopped at"):
        kept.left(5)


def test_without_a_counter_there_is_nothing_to_keep_to() -> None:
    assert Pace(100.0, 10.0, 4.0, 20, lambda: None).left(3) == 17


@pytest.fixture
def camera(small_model: Path) -> Engine:
    return load(str(small_model), "cpu", Ways("torch"))


def teach(camera: Engine, steps: int) -> float:
    """Make a clip and put it into the ledger; returns its joules."""
    from kinowatt.engine import cost

    shot = Shot("a red ball", size=(64, 64), seconds=0.5, seed=1, steps=steps)
    take = camera.generate(shot)
    spec, place = camera.model.spec, camera.place
    work = cost.work(camera.plan(take.shot), camera.anatomy)
    Ledger().add(Run("generate", spec.name, place.device, place.runtime, take.bill.to_json(), work))
    joules = take.bill.energy.total_J
    assert joules is not None
    return joules


def test_a_take_ends_within_its_budget(camera: Engine) -> None:
    dearest = [teach(camera, steps) for steps in (1, 2, 10, 20, 20)][-1]
    budget_Wh = dearest * 0.4 / 3600  # of twenty steps; twelve are the default
    shot = Shot("a red ball", size=(64, 64), seconds=0.5, seed=1, budget=Budget(budget_Wh))
    meter = Meter()
    try:
        take = camera.generate(shot, meter=meter)
    except BudgetError:  # the machine was slowed down from outside; then it stops in time
        assert (meter.bill.total_Wh or 0.0) <= budget_Wh * 1.05
        return
    assert take.bill.total_Wh is not None
    assert take.bill.total_Wh <= budget_Wh * 1.05
    assert take.shot.steps is not None
    assert take.shot.steps < 12
    assert any(re.search(r"for the budget of .*steps|to keep to the budget", w) for w in take.warnings)


def test_too_small_a_budget_is_refused_before_a_joule(camera: Engine) -> None:
    for steps in (1, 4, 8):
        teach(camera, steps)
    calls = []
    camera.runtime.denoiser = lambda *given: calls.append(given)  # type: ignore[method-assign,assignment]
    with pytest.raises(BudgetError, match="too small"):
        camera.generate(Shot("a red ball", size=(64, 64), seconds=0.5, budget=Budget(1e-7)))
    assert not calls
