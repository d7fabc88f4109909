"""What a study has spent: its folder remembers it over all runs, killed ones among them."""

from __future__ import annotations

import json
import time
from pathlib import Path

from kinowatt.energy.bill import EnergyBill
from kinowatt.errors import OutputError
from kinowatt.media.image import aside


class Spent:
    """Each run keeps a file of its own in the study's work/ as it goes, so that little is lost when it is killed."""

    def __init__(self, folder: Path) -> None:
        self.kept = folder / "work"
        self.own = f"energy-{time.time_ns()}.json"

    def keep(self, spent: EnergyBill) -> EnergyBill:
        """Remember what this run has spent so far; the bill of all runs. Nothing is written before the folder is a study's. OutputError."""
        path = self.kept / self.own
        try:
            if self.kept.is_dir():
                part = aside(path)
                part.write_text(json.dumps(spent.to_json(), indent=1), encoding="utf-8")
                part.replace(path)
            for path in sorted(self.kept.glob("energy-*.json")):
                if path.name != self.own:
                    spent = EnergyBill.from_json(json.loads(path.read_text(encoding="utf-8"))) + spent
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path} cannot be used ({type(error).__name__}); remove it, and go on with --resume") from error
        return spent
