"""Budgets: the best take that fits, chosen on a measured frontier; then a pace that keeps to it. No torch here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from kinowatt.energy.bill import in_grams, in_Wh
from kinowatt.energy.predict import Prediction
from kinowatt.engine.plan import Plan, fill
from kinowatt.errors import BudgetError, WeightsError
from kinowatt.models.specs import ModelSpec
from kinowatt.shot import Shot

FRONTIER = "frontier.json"  # beside the weights
OVER = 1.05  # a bill may end this much above its budget: what is left of a step and of decoding is not known to the joule
STEPS = (50, 40, 30, 24, 20, 16, 12, 8, 6, 4)  # tried for models without a measured frontier


@dataclass(frozen=True)
class Choice:
    """One way to run a model, as `kinowatt tune` has measured it. `quality` lies between 0 (noise) and 1 (the world itself)."""

    steps: int
    guidance: float
    cache: int
    size: tuple[int, int]
    quality: float | None
    joules_J: float | None = None
    seconds: float | None = None
    best: bool = False  # nothing cheaper is as good


def frontier(folder: Path) -> tuple[Choice, ...]:
    """What was measured of a model, dearest first; empty where nothing was. WeightsError if the file is damaged."""
    path = folder / FRONTIER
    if not path.exists():
        return ()
    try:
        rows = json.loads(path.read_text())["choices"]
        known = {f.name for f in fields(Choice)}
        found = [Choice(**{**{k: v for k, v in row.items() if k in known}, "size": tuple(row["size"])}) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is no frontier ({error}); measure it anew with kinowatt tune") from error
    return tuple(sorted(found, key=lambda c: -(c.joules_J or 0.0)))


def measured(spec: ModelSpec) -> tuple[Choice, ...]:
    """What was measured of the weights that the spec names; of others' it says nothing. WeightsError if the file is damaged."""
    rows = frontier(spec.folder)
    if not rows or not spec.sha256:
        return rows
    of: str | None = json.loads((spec.folder / FRONTIER).read_text()).get("weights_sha256")
    return rows if of == spec.weights_sha256 else ()


@dataclass(frozen=True)
class Fitted:
    """A shot that fits its budget, and what was decided for it."""

    shot: Shot
    prediction: Prediction
    notes: tuple[str, ...] = ()


def fitted(
    shot: Shot,
    spec: ModelSpec,
    budget_J: float,
    predict: Callable[[Plan], Prediction | None],
    load_J: Callable[[Plan], float] = lambda plan: 0.0,
) -> Fitted:
    """The best choice that is predicted to end within the budget; what the shot says itself is not changed.

    `load_J` of a plan: joules that are spent, or will be, before the work begins. BudgetError, with what would work, if nothing fits.
    """
    tried: list[tuple[Shot, Prediction, float | None, float]] = []
    for candidate, quality in _candidates(shot, spec):
        plan = fill(candidate, spec)
        prediction = predict(plan)
        if prediction is None:
            raise BudgetError("what a clip costs on this device is not known yet; make three without a budget, then it is")
        tried.append((candidate, prediction, quality, load_J(plan)))
    fits = [row for row in tried if row[1].Wh * 3600 + row[3] <= budget_J]
    if not fits:
        least = min(tried, key=lambda row: row[1].Wh * 3600 + row[3])
        raise BudgetError(_refusal(least[0], least[1], budget_J, load_J, predict, spec))
    chosen, prediction, quality, _ = max(fits, key=lambda row: (row[2], -row[1].Wh) if row[2] is not None else (0.0, row[1].Wh))
    plan, default = fill(chosen, spec), fill(shot, spec)
    notes = []
    if _means(plan) != _means(default):
        w, h = plan.width, plan.height
        kept = f", guidance kept for {plan.shot.cache} steps" if (plan.shot.cache or 1) > 1 else ""
        why = f"quality {quality:.2f} on the measured frontier" if quality is not None else "nothing of the kind was measured"
        notes.append(
            f"for the budget of {in_Wh(budget_J / 3600)}: {plan.shot.steps} steps at {w}x{h}, guidance {plan.shot.guidance:g}{kept} ({why})"
        )
    return Fitted(chosen, prediction, tuple(notes))


def _amount(shot: Shot, budget_J: float) -> str:
    """A budget in the words in which it was given."""
    grams = shot.budget.gCO2e
    return in_Wh(budget_J / 3600) + (f" ({in_grams(grams)} here and now)" if grams is not None else "")


def _means(plan: Plan) -> tuple[object, ...]:
    return plan.shot.steps, plan.shot.guidance, plan.shot.cache, plan.width, plan.height


def _candidates(shot: Shot, spec: ModelSpec) -> Iterator[tuple[Shot, float | None]]:
    """Every way to run the shot that leaves what it says itself as it is, with its quality."""
    known = [c for c in measured(spec) if c.quality is not None and _agrees(c, shot)]
    for choice in known:
        size = shot.size or (None if shot.anchors else choice.size)
        yield replace(shot, steps=choice.steps, guidance=choice.guidance, cache=choice.cache, size=size), choice.quality
    if not known:  # nothing was measured, or the shot asks for what was not: fewer steps and pixels are taken for worse
        most = fill(replace(shot, steps=None), spec).shot.steps
        assert most
        for size in (shot.size,) if shot.size or shot.anchors else (None, *_smaller(spec)):
            for steps in (shot.steps,) if shot.steps else (s for s in (most, *STEPS) if s <= most):
                yield replace(shot, steps=steps, size=size), None


def _smaller(spec: ModelSpec) -> list[tuple[int, int]]:
    """Trained sizes of the aspect of the model's own, but with fewer pixels."""
    width, height = spec.size
    return [size for size in spec.trained_sizes if size[0] * height == size[1] * width and size[0] < width]


def _agrees(choice: Choice, shot: Shot) -> bool:
    """Whether a measured choice has what the shot says itself."""
    return shot.steps in (None, choice.steps) and shot.guidance in (None, choice.guidance) and shot.cache in (None, choice.cache)


def _refusal(
    shot: Shot,
    prediction: Prediction,
    budget_J: float,
    load_J: Callable[[Plan], float],
    predict: Callable[[Plan], Prediction | None],
    spec: ModelSpec,
) -> str:
    """Why nothing fits, and what would."""
    plan = fill(shot, spec)
    load = load_J(plan)
    need = prediction.Wh + load / 3600
    loading = f", {in_Wh(load / 3600)} of it for loading the model" if load else ""
    said = (
        f"the budget of {in_Wh(budget_J / 3600)} is too small: {plan.frames / spec.fps:.2g} s at {plan.width}x{plan.height} take at least "
    )
    said += f"{in_Wh(need)} here ({plan.shot.steps} steps{loading})"
    if not shot.anchors:
        for seconds in (s for s in (30.0, 10.0, 4.0, 2.0, 1.0, 0.5, 0.25) if s < plan.frames / spec.fps):
            brief = fill(replace(shot, seconds=seconds), spec)
            shorter = predict(brief)
            if shorter is not None and shorter.Wh * 3600 + load_J(brief) <= budget_J:
                return f"{said}; {seconds:g} s would fit, or a budget of {in_Wh(need * 1.05)}"
    return f"{said}; a budget of {in_Wh(need * 1.05)} would do"


@dataclass
class Pace:
    """Keeps a take to its budget: after each step, how many more can be afforded.

    `spent_J()` is the bill so far; `rest_J` what comes after denoising, as predicted; `step_J` what a step is predicted to cost. Measured
    steps replace the prediction; where that was `cold`, they correct the rest by the same factor.
    """

    budget_J: float
    rest_J: float
    step_J: float
    most_steps: int
    spent_J: Callable[[], float | None]
    cold: bool = False
    begun_J: float | None = None
    first: int = 0

    def left(self, done: int) -> int:
        """Steps that are still to be taken after `done`. BudgetError if not even one fits into what is left."""
        spent = self.spent_J()
        if spent is None:  # nothing is measured: there is nothing to keep to
            return max(self.most_steps - done, 1)
        if self.begun_J is None:
            self.begun_J, self.first = spent, done
        taken = done - self.first
        step = (spent - self.begun_J) / taken if taken else self.step_J
        if taken == 1:  # one step says little
            step = math.sqrt(step * self.step_J)
        rest = self.rest_J * min(max(step / self.step_J, 0.5), 2.0) if self.cold and self.step_J > 0 else self.rest_J
        afford = (self.budget_J - spent - rest) / step if step > 0 else float(self.most_steps)
        if spent + step + rest > self.budget_J * OVER:
            raise BudgetError(
                f"stopped at {in_Wh(spent / 3600)} after {done} steps: one more and decoding would end at "
                f"{in_Wh((spent + step + rest) / 3600)}, over the budget of {in_Wh(self.budget_J / 3600)}"
            )
        return max(min(int(afford), self.most_steps - done), 1)


def most_steps(shot: Shot, choices: Sequence[Choice], default: int) -> int:
    """Steps beyond which nothing gets better: those of the shot itself, else of the best choice, else the model's own."""
    if shot.steps is not None:
        return shot.steps
    measured = [c for c in choices if c.quality is not None]
    return max(measured, key=lambda c: c.quality or 0.0).steps if measured else default
