"""The kilowatt-hours behind spark: the joules of every run in the receipts, each counted once, against the budget of one.

python runs/kwh.py [runs/receipts]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

BUDGET_Wh = 1000.0
RUNS = ("codec", "decoder", "interpolator", "painter", "director", "poser", "observer", "spark", "retouch", "distil")
STARTED = "the weights that it started from"  # counted in their own receipts


def spent_J(receipt: dict[str, object]) -> float | None:
    """The joules of a receipt's own runs; None if one was not measured."""
    parts = [row["J"] for row in receipt["runs"] if row.get("what") != STARTED]  # type: ignore[attr-defined]
    return None if None in parts else sum(parts)


def main() -> None:
    """Print one line per receipt, and the sum."""
    total, unknown = 0.0, 0
    for path in sorted(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/receipts").glob("*.json")):
        receipt = json.loads(path.read_text())
        if receipt["run"] not in RUNS:
            continue
        joules = spent_J(receipt)
        total, unknown = total + (joules or 0.0), unknown + (joules is None)
        said = "not measured" if joules is None else f"{joules / 3600:.2f} Wh"
        print(f"{path.stem:32} {said:>14}  {receipt['held_out']}")
    print(f"in all {total / 3600:.1f} Wh of {BUDGET_Wh:.0f}" + (f", and {unknown} runs that were not measured" if unknown else ""))


if __name__ == "__main__":
    main()
