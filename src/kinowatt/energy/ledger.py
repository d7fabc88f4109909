"""The ledger: every run of this user on this machine, with its bill; what predictions learn from and reports are made of."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

from kinowatt.energy.bill import LOAD, Energy, EnergyBill, add
from kinowatt.energy.predict import Past, Work
from kinowatt.errors import InputError, OutputError
from kinowatt.places import home

By = Literal["model", "day", "key", "verb"]
COLUMNS: dict[By, str] = {"model": "model", "day": "strftime('%Y-%m-%d', at, 'unixepoch', 'localtime')", "key": "key", "verb": "verb"}
RECENT = 200  # clips that a prediction looks back at: machines and their load change


@dataclass(frozen=True)
class Run:
    """One row: what ran where, what it had to do, and its bill. `at` in seconds since 1970; `key` is empty without a server."""

    verb: str
    model: str
    device: str
    runtime: str
    bill: Mapping[str, Any]
    work: Work | None = None  # None for a training
    predicted_Wh: float | None = None
    key: str = ""
    out: str = ""
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    steps: int = 0
    at: float = field(default_factory=time.time)
    number: int = 0  # of the row, once it is written

    @property
    def energy_bill(self) -> EnergyBill:
        """The bill as a bill."""
        return EnergyBill.from_json(self.bill)


@dataclass(frozen=True)
class Line:
    """One line of a report; None where nothing of it was measured or modelled. `unknown` runs are in no sum."""

    name: str
    runs: int
    unknown: int
    video_s: float
    wall_s: float
    total_Wh: float | None
    carbon_gCO2e: float | None
    embodied_gCO2e: float | None


class Ledger:
    """An SQLite file in the user's home folder; several processes may write to it."""

    def __init__(self, path: Path | None = None) -> None:
        try:
            if path is None:
                home().mkdir(parents=True, exist_ok=True)
            self.path = path or home() / "ledger.sqlite"
        except OSError as error:
            raise OutputError(f"the ledger has no home ({error}); set KINOWATT_HOME to a folder that can be written") from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=10.0)) as file, file:
                file.execute("PRAGMA journal_mode=WAL")
                file.execute(
                    "CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, verb TEXT NOT NULL, "
                    "model TEXT NOT NULL, device TEXT NOT NULL, runtime TEXT NOT NULL, key TEXT NOT NULL, run TEXT NOT NULL)"
                )
                file.execute("CREATE INDEX IF NOT EXISTS runs_of ON runs (model, device, runtime, at)")
                yield file
        except sqlite3.Error as error:
            raise OutputError(f"the ledger {self.path} cannot be used ({error}); set KINOWATT_HOME to another folder") from error

    def add(self, run: Run) -> int:
        """Write a run down; returns its number. OutputError if that fails."""
        rest = {k: v for k, v in asdict(run).items() if k not in ("at", "verb", "model", "device", "runtime", "key", "number")}
        with self._open() as file:
            row = (run.at, run.verb, run.model, run.device, run.runtime, run.key, json.dumps(rest, ensure_ascii=False))
            written = file.execute("INSERT INTO runs (at, verb, model, device, runtime, key, run) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            return int(written.lastrowid or 0)

    def runs(self, since: float = 0.0, model: str | None = None, key: str | None = None) -> list[Run]:
        """All runs since a time, oldest first."""
        query, values = "at >= ?", [since, *(v for v in (model, key) if v is not None)]
        query += " AND model = ?" if model is not None else ""
        query += " AND key = ?" if key is not None else ""
        with self._open() as file:
            return [_run(row) for row in file.execute(f"SELECT * FROM runs WHERE {query} ORDER BY at, number", values)]

    def past(self, model: str, device: str, runtime: str, limit: int = RECENT, *, gpu_only: bool = False) -> list[Past]:
        """Finished clips like the one to come, newest first: see `lessons`."""
        query = "SELECT * FROM runs WHERE model = ? AND device = ? AND runtime = ? ORDER BY at DESC, number DESC LIMIT ?"
        with self._open() as file:
            runs = [_run(row) for row in file.execute(query, (model, device, runtime, limit))]
        return lessons([(run.work, run.bill) for run in runs], gpu_only=gpu_only)

    def load_J(self, model: str, device: str, runtime: str, limit: int = 20) -> float | None:
        """What loading has cost runs that began with it (those of the command line), by their median; None if there is none."""
        query = "SELECT * FROM runs WHERE model = ? AND device = ? AND runtime = ? AND verb NOT IN ('serve', 'train') "
        with self._open() as file:
            rows = file.execute(query + "ORDER BY at DESC, number DESC LIMIT ?", (model, device, runtime, limit)).fetchall()
        loads = [load.total_J for row in rows if (load := _run(row).energy_bill.phases.get(LOAD)) is not None]
        known = [joules for joules in loads if joules is not None]
        return median(known) if known else None

    def last(self, model: str) -> Run | None:
        """The newest run of a model, which tells where it runs on this machine."""
        with self._open() as file:
            row = file.execute(
                "SELECT * FROM runs WHERE model = ? AND verb != 'train' ORDER BY at DESC, number DESC LIMIT 1", (model,)
            ).fetchone()
        return None if row is None else _run(row)

    def spent_since(self, since: float, key: str = "") -> tuple[float, float]:
        """Watt-hours and grams of CO2e of a key's runs since a time, as far as they are known."""
        bills = [run.bill for run in self.runs(since, key=key)]
        return sum(b["total_Wh"] or 0.0 for b in bills), sum(b["carbon_gCO2e"] or 0.0 for b in bills)

    def report(self, by: By, since: float = 0.0) -> list[Line]:
        """Sums by model, day, key or verb; days in local time."""
        if by not in COLUMNS:
            raise InputError(f"a report by {by!r} is not made; by {', '.join(COLUMNS)}")
        with self._open() as file:
            rows = file.execute(f"SELECT {COLUMNS[by]}, runs.* FROM runs WHERE at >= ? ORDER BY 1, at", (since,)).fetchall()
        groups: dict[str, list[Run]] = {}
        for name, *row in rows:
            groups.setdefault(str(name) or "–", []).append(_run(row))
        return [_line(name, runs) for name, runs in groups.items()]


def midnight() -> float:
    """When this day began, in local time, as seconds since 1970."""
    return datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def lessons(rows: Sequence[tuple[Work | None, Mapping[str, Any]]], *, gpu_only: bool = False) -> list[Past]:
    """What finished clips teach: their arithmetic, joules (all, or the GPUs') and seconds, without loading, in the order given.

    A bill that misses what others have (a counter that was lost on the way) teaches nothing: a part of a sum is a wrong number.
    """
    least = min((len(bill["not_measured"]) for _, bill in rows), default=0)
    whole = [row for row in rows if len(row[1]["not_measured"]) == least]
    return [past for work, bill in whole if (past := past_of(work, bill, gpu_only=gpu_only))]


def past_of(work: Work | None, bill: Mapping[str, Any], *, gpu_only: bool = False) -> Past | None:
    """What a bill, or the GPUs' part of it, teaches of the work that it paid; None where either is unknown."""
    if work is None or work.FLOP <= 0:
        return None
    whole = EnergyBill.from_json(bill)
    load, joules = whole.phases.get(LOAD, Energy()), whole.work_J
    if gpu_only:
        joules = None if whole.energy.gpu_J is None else whole.energy.gpu_J - (load.gpu_J or 0.0)
    if joules is None or joules <= 0:
        return None
    return Past(work, joules, max(whole.energy.wall_s - load.wall_s, 1e-3))


def _run(row: Sequence[Any]) -> Run:
    number, at, verb, model, device, runtime, key, rest = row
    named = {"verb": verb, "model": model, "device": device, "runtime": runtime, "key": key, "at": at, "number": number}
    known = {f.name for f in fields(Run)} - named.keys()
    try:
        data = json.loads(rest)
        data["work"] = Work(**data["work"]) if data.get("work") else None
        return Run(**named, **{k: v for k, v in data.items() if k in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise OutputError(f"row {number} of the ledger is damaged ({error}); delete it, or set KINOWATT_HOME to another folder") from error


def _line(name: str, runs: Sequence[Run]) -> Line:
    total, grams, embodied, unknown = None, None, None, 0
    for run in runs:
        bill = run.bill
        unknown += bill["total_Wh"] is None
        total, grams, embodied = (
            add(total, bill["total_Wh"]),
            add(grams, bill["carbon_gCO2e"]),
            add(embodied, bill["embodied_gCO2e"]),
        )
    video_s = sum(r.frames / r.fps for r in runs if r.fps)
    return Line(name, len(runs), unknown, video_s, sum(r.bill["wall_s"] for r in runs), total, grams, embodied)
