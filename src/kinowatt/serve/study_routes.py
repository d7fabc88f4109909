"""The verbs of grid studies: what can be picked, start, look, watch, cancel, delete, and the files that a study leaves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from kinowatt.serve import body as bodies
from kinowatt.serve.answers import Deleted, FileAnswer, JobError, answers
from kinowatt.serve.routes import EVENTS_EVERY_S, HEARTBEAT_S, After, Body, Limit, Me, Order, TheOffice, serve_file, takes
from kinowatt.serve.schema import POLL_AFTER_MS, file_json, list_json
from kinowatt.serve.studies import FILES, MAP, REPORT, SUMMARY, CreateStudy, CreateStudyFile, Studies
from kinowatt.serve.tables import COMPLETED, FAILED, Study

router = APIRouter(prefix="/v1/studies")
# A report holds names out of a user's network: they are escaped, and even if one was not, nothing in it could run or reach anything.
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; frame-ancestors 'none'"


def studies(request: Request) -> Studies:
    """The studies of this app."""
    found: Studies = request.app.state.studies
    return found


TheStudies = Annotated[Studies, Depends(studies)]


class StudyFile(BaseModel):
    """A file that a study has left."""

    name: str
    bytes: int


class StudyAnswer(BaseModel):
    """A grid study. Times in seconds since 1970; growths are factors of what is installed."""

    id: str
    object: Literal["study"]
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    started_at: int | None
    completed_at: int | None
    expires_at: int | None
    error: JobError | None
    network: str
    weather: str
    at: str | None
    coordinates: str | None
    pv_growth: list[float]
    wind_growth: list[float]
    placements: int
    scenarios: int
    horizon_h: float
    risk: float
    limits: str
    storage: bool
    place: bool
    seed: int
    phase: str
    done: int
    of: int
    maps: int | None
    notes: list[str]
    energy: dict[str, Any] | None
    files: list[StudyFile]


class StudyPage(BaseModel):
    """A page of studies; go on with `after=last_id` while `has_more`."""

    object: Literal["list"]
    data: list[StudyAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


def answer(at: Studies, row: Study) -> JSONResponse:
    """A study, with the header that tells clients when to ask again."""
    return JSONResponse(at.to_json(row), headers={"openai-poll-after-ms": str(POLL_AFTER_MS)})


@router.post("", openapi_extra=takes(CreateStudy), responses=answers(StudyAnswer))
async def create(given: Body, me: Me, at: TheOffice, all_: TheStudies) -> Response:
    """Start a grid study; studies are computed one after the other."""
    body = bodies.check(CreateStudy, given)
    return answer(all_, await at.slowly(all_.create, me.owner, me.key, body))


@router.get("", responses=answers(StudyPage))
def page(me: Me, all_: TheStudies, after: After = None, limit: Limit = 20, order: Order = "desc") -> dict[str, Any]:
    """A page of studies."""
    found = all_.pages(me.owner, after=after, limit=limit, descending=order == "desc")
    return list_json([all_.to_json(row) for row in found.rows], found.has_more)


@router.get("/options")
async def options(me: Me, at: TheOffice, all_: TheStudies) -> dict[str, Any]:
    """Networks and weather that can be picked, and what may be uploaded; or why no study can be made here."""
    return await at.slowly(all_.inputs.options)


@router.post("/files", openapi_extra=takes(CreateStudyFile), responses=answers(FileAnswer))
async def upload(given: Body, me: Me, at: TheOffice, all_: TheStudies) -> dict[str, Any]:
    """Keep a network, weather or coordinates of buses, to be named by its id; it is one of /v1/files from then on."""
    body = bodies.check(CreateStudyFile, given)
    return file_json(await at.slowly(all_.inputs.upload, me.owner, body.file))


@router.get("/events", include_in_schema=False)
def all_events(request: Request, me: Me, at: TheOffice, all_: TheStudies) -> StreamingResponse:
    """Server-sent events of every study that is open or ends from now on."""
    return _stream(request, at, all_, me.owner, None)


@router.get("/{id}", responses=answers(StudyAnswer))
def retrieve(id: str, me: Me, all_: TheStudies) -> Response:
    """One study. A failed one is an answer like any other: status 200, with its error inside."""
    return answer(all_, all_.get(me.owner, id))


@router.delete("/{id}", responses=answers(Deleted))
def delete(id: str, me: Me, all_: TheStudies) -> dict[str, Any]:
    """Forget a study; a running one stops."""
    all_.delete(me.owner, id)
    return {"id": id, "object": "study.deleted", "deleted": True}


@router.post("/{id}/cancel", responses=answers(StudyAnswer))
def cancel(id: str, me: Me, all_: TheStudies) -> Response:
    """Stop a study; it ends as failed, with the code cancelled."""
    return answer(all_, all_.cancel(me.owner, id))


@router.get("/{id}/events", include_in_schema=False)
def events(id: str, request: Request, me: Me, at: TheOffice, all_: TheStudies) -> StreamingResponse:
    """Server-sent progress of one study; ends with it."""
    all_.get(me.owner, id)
    return _stream(request, at, all_, me.owner, id)


@router.get("/{id}/map")
def drawn_map(id: str, request: Request, me: Me, all_: TheStudies) -> Response:
    """Lines, transformers and buses, and the share of steps in which each is outside of its limits, for what is computed so far."""
    return serve_file(request, all_.file(me.owner, id, MAP), FILES[MAP], f"{id}-{MAP}")


@router.get("/{id}/summary")
def summary(id: str, request: Request, me: Me, all_: TheStudies) -> Response:
    """What the study found: summary.json."""
    return serve_file(request, all_.file(me.owner, id, SUMMARY), FILES[SUMMARY], f"{id}-{SUMMARY}")


@router.get("/{id}/files/{name}")
def file(id: str, name: str, request: Request, me: Me, all_: TheStudies) -> Response:
    """One of the files that the study's `files` names: the report, the film, tables, PyPSA's network, or study.zip with all of them."""
    answered = serve_file(request, all_.file(me.owner, id, name), FILES.get(name, ""), f"{id}-{name}")
    if name == REPORT:
        answered.headers["Content-Security-Policy"] = REPORT_POLICY
    return answered


def _stream(request: Request, at: Any, all_: Studies, owner: str, id: str | None) -> StreamingResponse:
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(_events(request, at, all_, owner, id), media_type="text/event-stream", headers=headers)


async def _events(request: Request, at: Any, all_: Studies, owner: str, id: str | None) -> AsyncIterator[str]:
    """Changes of one study until it ends, or of all for as long as the client listens."""
    seen: dict[str, str] = {}
    since, spoken = time.time(), time.monotonic()
    while not await request.is_disconnected() and not at.closing:
        rows = [all_.get(owner, id)] if id and not seen else await run_in_threadpool(all_.changed, owner, since)
        for row in rows:
            if id not in (None, row.id):
                continue
            if row.deleted:
                if seen.pop(row.id, None) is not None:
                    yield f"event: deleted\ndata: {json.dumps({'id': row.id})}\n\n"
                if id is not None:
                    return
                continue
            said = json.dumps(all_.to_json(row), ensure_ascii=False)
            if seen.get(row.id) != said:
                seen[row.id], spoken = said, time.monotonic()
                yield f"event: study\ndata: {said}\n\n"
            if id is not None and row.status in (COMPLETED, FAILED):
                return
        if time.monotonic() - spoken > HEARTBEAT_S:
            spoken = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(EVENTS_EVERY_S)
