"""docs/gallery.md: what the shipped spark makes, chosen by nobody, beside its exam and what it has cost.

python runs/gallery.py runs/exams/20261129-spark-fifth.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kwh import RUNS, spent_J

PAGE = Path("docs/gallery.md")
HEAD = """# What spark makes

Ten prompts with seeds 0 to 9, one take each, nothing chosen (`python benchmarks/ten_prompts.py`):

![Ten prompts, not chosen](ten-prompts.jpg)

What its director told, and what was drawn from it, seeds 0 to 3, nothing chosen (`python benchmarks/blockings.py`):

![What was told, and what was drawn](blocking.jpg)

What comes of five given frames, beside what truly came, of the exam's first scene of each event, nothing chosen
(`python benchmarks/going_on.py`):

![Given frames go on](going-on.jpg)
"""


def cell(figure: dict[str, Any] | None) -> str:
    """A figure with the interval that holds 95 of 100 resamplings, where there is one."""
    if figure is None or figure.get("value") is None:
        return ""
    said = f"{figure['value']:.3g}"
    ends = [figure.get(end) for end in ("low", "high")]
    return said if None in ends else f"{said} ({ends[0]:.3g} to {ends[1]:.3g})"


def main() -> None:
    """Write the page from an exam's report and the receipts."""
    report = json.loads(Path(sys.argv[1]).read_text())
    receipts = [json.loads(path.read_text()) for path in sorted(Path("runs/receipts").glob("*.json"))]
    wh = sum(spent_J(r) or 0.0 for r in receipts if r["run"] in RUNS) / 3600
    right = ", ".join(f"{100 * v:.0f} % ({k})" for k, v in report["judges"]["accuracy"].items())
    rows = [
        f"Trained for **{wh:.1f} Wh** in all (`python runs/kwh.py`). {report['amount']}: {report['date']}, {report['device']}, "
        f"{report['runtime']}, judges that are right in {right}. How to read it: [exam.md](exam.md). PhyWorld is a model of its own.",
        "",
        "| | | model | through the codec | ceiling | floor | bar |",
        "|---|---|---|---|---|---|---|",
    ]
    for section in report["sections"]:
        for i, figure in enumerate(section["figures"]):
            bar = f"{figure['bar']['value']:g}" + (", met" if figure["met"] else ", missed") if figure.get("bar") else ""
            cells = [cell(figure.get(k)) for k in ("made", "coded", "truth", "floor")]
            name = f"{figure['name']}, {figure['unit']}".rstrip(", ")
            rows.append("| " + " | ".join([section["title"] if i == 0 else "", name, *cells, bar]) + " |")
    rows += [f"\n{s['title']}: {word}" for s in report["sections"] for word in s["words"] if word.startswith("Not measured anew")]
    for former in sorted(path for path in Path(sys.argv[1]).parent.glob("*.json") if path != Path(sys.argv[1])):
        its = json.loads(former.read_text())
        rows += ["", f"{its['amount']} of the weights before, {its['weights_sha256'][-64:][:8]}: [{former.name}](../{former})."]
    PAGE.write_text(HEAD + "\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
