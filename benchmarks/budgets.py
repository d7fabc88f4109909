"""Random budgets for random clips: does the bill end within each?

    python benchmarks/budgets.py [--budgets 20] [--seed 0] [--teach 12]

First some clips are made without a budget, so that this machine has a history. Then each budget is drawn between half of what the
cheapest and twice what the dearest choice for its clip is predicted to cost. A refusal before the first joule is right if nothing fits.
"""

from __future__ import annotations

import argparse
import random

from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.meter import Meter
from kinowatt.engine import cost
from kinowatt.engine import load as engines
from kinowatt.engine.engine import Engine
from kinowatt.errors import BudgetError
from kinowatt.shot import Budget, Shot

SECONDS = (0.25, 0.5, 1.0, 2.0)
SIZES = (None, (128, 128), (96, 96), (160, 96))


def teach(engine: Engine, clips: int, dice: random.Random, ledger: Ledger) -> None:
    """A history."""
    for i in range(clips):
        size = dice.choice(SIZES)
        shot = Shot("a red ball bounces on sand", size=size, seconds=dice.choice(SECONDS), seed=i, steps=dice.choice((4, 8, 12, 20, 30)))
        take = engine.generate(shot)
        work, place = cost.work(engine.plan(take.shot), engine.anatomy), engine.place
        ledger.add(Run("generate", engine.model.spec.name, place.device, place.runtime, take.bill.to_json(), work))


def main() -> None:
    """Print every budget with its bill, and how many were exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budgets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teach", type=int, default=12)
    parser.add_argument("--model", default="spark")
    given = parser.parse_args()
    dice, engine, ledger = random.Random(given.seed), engines.load(given.model), Ledger()
    teach(engine, given.teach, dice, ledger)
    past = ledger.past(engine.model.spec.name, engine.place.device, engine.place.runtime)
    print(f"history: {len(past)} clips")
    over, refused, made, used = 0, 0, 0, []
    for i in range(given.budgets):
        free = Shot("a blue cube on grass at noon", size=dice.choice(SIZES), seconds=dice.choice(SECONDS), seed=i)
        dear = engine.predict(engine.plan(free))
        assert dear is not None
        budget_Wh = dear.Wh * dice.uniform(0.1, 2.0)
        shot = Shot(free.prompt, size=free.size, seconds=free.seconds, seed=i, budget=Budget(budget_Wh))
        meter = Meter()
        what = f"{free.size or 'own size'} {free.seconds} s, default {dear.Wh * 1000:.3f} mWh, budget {budget_Wh * 1000:.3f} mWh"
        try:
            take = engine.generate(shot, meter=meter)
        except BudgetError as error:
            bill = meter.bill.total_Wh or 0.0
            late = "denoise" in meter.bill.phases
            refused += not late
            over += bill > budget_Wh * 1.05
            print(f"{what}: {'stopped' if late else 'refused'} after {bill * 1000:.3f} mWh ({str(error)[:90]})")
            continue
        bill = take.bill.total_Wh or 0.0
        made += 1
        over += bill > budget_Wh * 1.05
        used.append(bill / budget_Wh)
        print(f"{what}: bill {bill * 1000:.3f} mWh = {bill / budget_Wh:.1%}, {take.shot.steps} steps{said(take.warnings)}")
    print(f"{given.budgets} budgets: {made} made, {refused} refused beforehand, {over} exceeded by more than 5 %")
    if used:
        print(f"bills were {min(used):.1%} to {max(used):.1%} of their budgets")


def said(warnings: tuple[str, ...]) -> str:
    """What the pace decided."""
    return "".join(f"; {w}" for w in warnings if "instead of" in w)


if __name__ == "__main__":
    main()
