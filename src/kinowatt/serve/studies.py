"""Grid studies as their users see them: add, look, list, cancel, delete. What their worker does to them is in study_claims.py."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import and_, func, select, update

from kinowatt.errors import GridError
from kinowatt.grid.fields import moment_of
from kinowatt.grid.hosting import axis_of
from kinowatt.grid.network import SIMBENCH
from kinowatt.serve.body import BadRequest
from kinowatt.serve.files import Files
from kinowatt.serve.intake import QuotaExceeded
from kinowatt.serve.jobs import CANCELLED, GRACE_S, Conflict, Jobs, NotFound, Page, page
from kinowatt.serve.schema import Id, Upload
from kinowatt.serve.store import new_id
from kinowatt.serve.study_inputs import WORLD, Inputs
from kinowatt.serve.tables import CANCEL, COMPLETED, FAILED, IN_PROGRESS, QUEUED, Key, Study

MAX_WAITING = 50  # studies of one owner in the queue
MAX_GROWTHS, MAX_OTHERS = 100, 10
MODEL, MODEL_H = "model", 3.0  # weather that skies makes (see grid/scenarios.py), and the hours that it was trained for
REPORT, FILM, SUMMARY, ARCHIVE, MAP = "report.html", "weather.mp4", "summary.json", "study.zip", "map.json"
# What a study leaves, as grid/report.py names it; study.zip holds all of it.
FILES = {
    REPORT: "text/html; charset=utf-8", FILM: "video/mp4", SUMMARY: "application/json", "curves.csv": "text/csv",
    "placements.csv": "text/csv", "elements.csv": "text/csv", "relief.csv": "text/csv", "reinforcement.csv": "text/csv",
    "unsolved.csv": "text/csv", "intensity.csv": "text/csv", "pypsa.nc": "application/x-netcdf", MAP: "application/json",
    ARCHIVE: "application/zip",
}  # fmt: skip
ASKED = ("placements", "scenarios", "horizon_h", "risk", "limits", "storage", "place", "seed")  # as in a study's settings
# What runs one after the other, and how much of the whole each is, by experience.
SHARES = {
    "growth by growth": 30, "placements": 30, "reinforcement": 8, "curtailment": 12, "curtailment and storage": 12,
    "check with pandapower": 5, "report": 15,
}  # fmt: skip


def _growth_text(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class FileRef(BaseModel):
    """An uploaded file by its id."""

    file_id: Id


Growth = Annotated[str, BeforeValidator(_growth_text), Field(max_length=40, description="FROM:TO:STEP, factors of what is installed")]


class CreateStudy(BaseModel):
    """POST /v1/studies. The fields are those of `kinowatt grid study`."""

    model_config = ConfigDict(extra="ignore")

    network: Annotated[str, Field(max_length=200)] | FileRef
    weather: Annotated[str, Field(max_length=200)] | FileRef = WORLD
    at: Annotated[str, Field(max_length=40, description="UTC; given, the model skies goes on from this weather at that time")] = ""
    coordinates: FileRef | None = None
    pv_growth: Growth = "1:7:0.5"
    wind_growth: Growth = "1"
    placements: Annotated[int, Field(ge=1, le=500)] = 10
    scenarios: Annotated[int, Field(ge=1, le=5000)] = 100
    horizon_h: Annotated[float, Field(gt=0.0, le=240.0)] = 24.0
    risk: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    limits: Literal["all", "thermal", "voltage"] = "all"
    storage: bool = False
    place: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class CreateStudyFile(BaseModel):
    """POST /v1/studies/files."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    file: Upload


class Studies:
    """The studies in the database and their folders. Every call names the owner; what is not his is NotFound."""

    def __init__(self, jobs: Jobs, files: Files, weather: Sequence[Path] = ()) -> None:
        self.jobs, self.files = jobs, files
        self.database, self.store = jobs.database, jobs.store
        self.inputs = Inputs(self.database, self.store, weather)
        self.home = self.store.data / "studies"
        self.home.mkdir(exist_ok=True)

    def folder(self, id: str) -> Path:
        """Where a study lies. Only ids that stand in the database come here."""
        return self.home / id

    def create(self, owner: str, key: Key | None, body: CreateStudy) -> Study:
        """Put a study into the queue. BadRequest, GridError or QuotaExceeded."""
        self.inputs.check()
        left = self._check_means(owner, key)
        growths = {kind: _axis(getattr(body, f"{kind}_growth"), f"{kind}_growth") for kind in ("pv", "wind")}
        if min(len(axis) for axis in growths.values()) > MAX_OTHERS:
            raise BadRequest(
                f"one of both growths is searched and the other gone through; give that at most {MAX_OTHERS} steps", "wind_growth"
            )
        id = new_id("study")
        folder = self.folder(id)
        folder.mkdir()
        try:
            settings = {
                "network": self._network(owner, folder, body),
                **self._weather(owner, folder, body),
                "coordinates": self._file(owner, folder, body.coordinates, "coordinates") if body.coordinates else "",
                **{f"{kind}_growth": list(axis) for kind, axis in growths.items()},
                **{name: getattr(body, name) for name in ASKED},
            }
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        row = Study(id=id, owner=owner, status=QUEUED, created_at=time.time(), settings=settings, facts={"notes": [], **left})
        with self.database.write() as session:
            session.add(row)
        return row

    def _network(self, owner: str, folder: Path, body: CreateStudy) -> str:
        if isinstance(body.network, FileRef):
            return self._file(owner, folder, body.network, "network")
        code = body.network.removeprefix(SIMBENCH)
        if not body.network.startswith(SIMBENCH) or code not in self.inputs.codes():
            raise BadRequest(
                f"there is no network {body.network[:80]!r} here; GET /v1/studies/options lists those of SimBench, others are uploaded",
                "network",
            )
        return body.network

    def _weather(self, owner: str, folder: Path, body: CreateStudy) -> dict[str, str]:
        if isinstance(body.weather, FileRef):
            held = self._file(owner, folder, body.weather, "weather")
        elif body.weather != WORLD:
            held = self.inputs.place_weather(folder, body.weather)
        elif body.at:
            raise BadRequest("at belongs to measured weather, which skies goes on from; choose some, or leave at out", "at")
        else:
            held = WORLD
        if not body.at:
            return {"weather": held, "history": "", "at": ""}
        moment_of(body.at)
        if body.horizon_h > MODEL_H:
            raise BadRequest(f"skies goes on for at most {MODEL_H:g} h; ask for a shorter horizon_h, or leave at out", "horizon_h")
        return {"weather": MODEL, "history": held, "at": body.at}

    def _file(self, owner: str, folder: Path, ref: FileRef, purpose: str) -> str:
        try:
            return self.inputs.place(folder, self.files.get(owner, ref.file_id), purpose)
        except NotFound as error:
            raise BadRequest(str(error), purpose) from error
        except FileNotFoundError as error:
            raise BadRequest(f"the bytes of {ref.file_id} are gone; upload the file again", purpose) from error

    def _check_means(self, owner: str, key: Key | None) -> dict[str, float]:
        """Refuse before a joule is spent; else what the key has left of its day, which the worker heeds."""
        with self.database.read() as session:
            mine = select(func.count()).where(Study.owner == owner, Study.status == QUEUED, Study.deleted.is_(False))
            if int(session.scalar(mine) or 0) >= MAX_WAITING:
                raise QuotaExceeded(f"{MAX_WAITING} studies are waiting; try again later", code="queue_full")
        if key is None or (key.wh_per_day is None and key.gco2e_per_day is None):
            return {}
        left: dict[str, float] = {}
        for limit, spent, unit in zip((key.wh_per_day, key.gco2e_per_day), self.jobs.spent_today(owner), ("Wh", "g CO2e"), strict=True):
            if limit is not None and spent >= limit:
                said = f"the key {key.name} may use {limit:g} {unit} a day and has used {spent:.3g} {unit}; the day ends at midnight UTC"
                raise QuotaExceeded(said, code="insufficient_quota")
            if limit is not None:
                left["left_Wh" if unit == "Wh" else "left_gCO2e"] = limit - spent
        return left

    def get(self, owner: str, id: str) -> Study:
        """One study."""
        with self.database.read() as session:
            return _mine(session, owner, id)

    def pages(self, owner: str, *, after: str | None, limit: int, descending: bool) -> Page:
        """A page of an owner's studies."""
        with self.database.read() as session:
            query = select(Study).where(Study.owner == owner, Study.deleted.is_(False))
            return page(session, Study, query, after=after, limit=limit, descending=descending)

    def changed(self, owner: str, since: float) -> Sequence[Study]:
        """What is open, and what ended after `since`, also if it was deleted."""
        with self.database.read() as session:
            open_ = and_(Study.status.in_((QUEUED, IN_PROGRESS)), Study.deleted.is_(False))
            return session.scalars(
                select(Study).where(Study.owner == owner, open_ | (Study.completed_at >= since)).order_by(Study.number)
            ).all()

    def cancel(self, owner: str, id: str) -> Study:
        """A waiting study ends at once, a running one within a second. Conflict if it has ended."""
        with self.database.write() as session:
            row = _mine(session, owner, id, lock=True)
            if row.status == IN_PROGRESS:
                row.control = CANCEL
            elif row.status == QUEUED:
                end(row, CANCELLED, "the study was cancelled")
            else:
                raise Conflict(f"the study is {row.status}; only a queued or running one can be cancelled")
            return row

    def delete(self, owner: str, id: str) -> None:
        """Forget a study. A running one stops; the sweep removes its folder, a little later."""
        with self.database.write() as session:
            row = _mine(session, owner, id, lock=True)
            row.deleted, row.completed_at = True, time.time()
            if row.status == IN_PROGRESS:
                row.control = CANCEL
            elif row.status == QUEUED:
                row.status, row.error_code, row.error_message = FAILED, CANCELLED, "the study was deleted"

    def waits(self) -> bool:
        """Whether any study waits for a worker."""
        with self.database.read() as session:
            return session.scalar(select(Study.id).where(Study.status == QUEUED, Study.deleted.is_(False)).limit(1)) is not None

    def sweep(self) -> None:
        """Forget what has expired, and remove the folders of what was deleted."""
        now = time.time()
        with self.database.write() as session:
            session.execute(update(Study).where(Study.expires_at < now, Study.deleted.is_(False)).values(deleted=True))
            left = and_(Study.deleted.is_(True), Study.status != IN_PROGRESS, Study.swept.is_(False), Study.completed_at < now - GRACE_S)
            gone = session.scalars(select(Study.id).where(left)).all()
        for id in gone:
            shutil.rmtree(self.folder(id), ignore_errors=True)
        with self.database.write() as session:
            session.execute(update(Study).where(Study.id.in_(gone)).values(swept=True))

    def file(self, owner: str, id: str, name: str) -> Path:
        """One of the files that a study leaves. NotFound while it is not there."""
        row = self.get(owner, id)
        path = self.folder(id) / name
        if name not in FILES or not path.is_file() or (row.status != COMPLETED and name != MAP):
            raise NotFound(f"the study {id} is {row.status}; it has no {name[:80]} at the moment")
        return path

    def to_json(self, row: Study) -> dict[str, Any]:
        """A study as the API shows it."""
        s = row.settings
        there = [(name, self.folder(row.id) / name) for name in FILES] if row.status == COMPLETED else []
        ended = row.status in (COMPLETED, FAILED)
        return {
            "id": row.id,
            "object": "study",
            "status": row.status,
            "progress": progress(row),
            "created_at": int(row.created_at),
            "started_at": None if row.started_at is None else int(row.started_at),
            "completed_at": int(row.completed_at) if ended and row.completed_at is not None else None,
            "expires_at": None if row.expires_at is None else int(row.expires_at),
            "error": {"code": row.error_code, "message": row.error_message} if row.error_code else None,
            "pv_growth": s["pv_growth"],
            "wind_growth": s["wind_growth"],
            **{name: s[name] for name in ASKED},
            "network": s["network"].removeprefix("inputs/"),
            "weather": (s.get("history") or s["weather"]).removeprefix("inputs/"),
            "at": s.get("at") or None,
            "coordinates": s["coordinates"].removeprefix("inputs/") or None,
            "phase": row.phase,
            "done": row.done,
            "of": row.of,
            "maps": row.maps,
            "notes": (row.facts or {}).get("notes", []),
            "energy": row.energy,
            "files": [{"name": name, "bytes": path.stat().st_size} for name, path in there if path.is_file()],
        }


def progress(row: Study) -> int:
    """Percent."""
    if row.status == COMPLETED:
        return 100
    before = 0
    for name, share in SHARES.items():
        if name == row.phase:
            return min(int(before + share * (row.done / row.of if row.of else 0.0)), 99)
        before += share if name != "curtailment" else 0
    return 0


def end(row: Study, code: str | None, message: str | None, *, keep_s: float | None = None) -> None:
    """A study's end: completed without a code, else failed."""
    row.status = COMPLETED if code is None else FAILED
    row.error_code, row.error_message = code, message
    row.completed_at, row.claim, row.worker, row.lease_until, row.control = time.time(), None, None, None, ""
    if keep_s is not None:
        row.expires_at = row.completed_at + keep_s


def _mine(session: Any, owner: str, id: str, *, lock: bool = False) -> Study:
    query = select(Study).where(Study.id == id, Study.owner == owner, Study.deleted.is_(False))
    row: Study | None = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound(f"there is no study {id[:80]!r}")
    return row


def _axis(text: str, name: str) -> tuple[float, ...]:
    try:
        axis = axis_of(text, name)
    except GridError as error:
        raise BadRequest(str(error), name, "invalid_value") from error
    if len(axis) > MAX_GROWTHS:
        raise BadRequest(f"{name} has {len(axis)} steps; at most {MAX_GROWTHS} are computed, so take larger ones", name)
    return axis
