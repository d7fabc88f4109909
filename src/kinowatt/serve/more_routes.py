"""The verbs beside videos: files, models, the lexicon, health and metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import kinowatt
from kinowatt import language
from kinowatt.serve import body as bodies
from kinowatt.serve.answers import Deleted, FileAnswer, FilePage, ModelAnswer, ModelList, answers
from kinowatt.serve.jobs import NotFound
from kinowatt.serve.routes import After, Body, Limit, Me, Order, TheOffice, serve_file, takes
from kinowatt.serve.schema import CreateFile, file_json, list_json
from kinowatt.shot import MAX_PROMPT_CHARS

router = APIRouter()


@router.post("/v1/files", openapi_extra=takes(CreateFile), responses=answers(FileAnswer))
async def upload(given: Body, me: Me, at: TheOffice) -> dict[str, Any]:
    """Keep an image or a clip, to be named by its id."""
    body = bodies.check(CreateFile, given)
    row, _ = await at.slowly(at.files.upload, me.owner, body.file, body.purpose)
    return file_json(row)


@router.get("/v1/files", responses=answers(FilePage))
def files(
    me: Me,
    at: TheOffice,
    after: After = None,
    limit: Limit = 100,
    order: Order = "desc",
    purpose: Annotated[str | None, Query(max_length=40)] = None,
) -> dict[str, Any]:
    """A page of files."""
    found = at.files.pages(me.owner, after=after, limit=limit, descending=order == "desc", purpose=purpose)
    return list_json([file_json(f) for f in found.rows], found.has_more)


@router.get("/v1/files/{id}", responses=answers(FileAnswer))
def get_file(id: str, me: Me, at: TheOffice) -> dict[str, Any]:
    """One file."""
    return file_json(at.files.get(me.owner, id))


@router.delete("/v1/files/{id}", responses=answers(Deleted))
def delete_file(id: str, me: Me, at: TheOffice) -> dict[str, Any]:
    """Forget a file."""
    at.files.delete(me.owner, id)
    return {"id": id, "object": "file", "deleted": True}


@router.get("/v1/files/{id}/content")
def file_content(id: str, request: Request, me: Me, at: TheOffice) -> Response:
    """The bytes of a file."""
    row = at.files.get(me.owner, id)
    path = at.store.file(row.id)
    if not path.exists():
        raise NotFound(f"the bytes of {id} are gone")
    return serve_file(request, path, row.media_type, row.filename)


@router.get("/v1/models", responses=answers(ModelList))
def models(me: Me, at: TheOffice) -> dict[str, Any]:
    """The models served here, and what each can do."""
    return {"object": "list", "data": at.catalogue.to_json()}


@router.get("/v1/models/{id}", responses=answers(ModelAnswer))
def model(id: str, me: Me, at: TheOffice) -> dict[str, Any]:
    """One model."""
    for row in at.catalogue.to_json():
        if row["id"] == id:
            return row
    raise NotFound(f"there is no model {id[:80]!r} here; GET /v1/models lists those that are")


@router.get("/v1/lexicon")
def lexicon(me: Me, text: Annotated[str, Query(max_length=MAX_PROMPT_CHARS)] = "") -> dict[str, Any]:
    """How a text would be read: which words are understood, as what, and where they stand."""
    reading = language.read(text)
    return {"understood": reading.understood, "not_understood": reading.not_understood, "spans": language.spans(text)}


@router.get("/healthz")
def health(at: TheOffice) -> dict[str, Any]:
    """Whether the server answers, and how long the queue is."""
    counts = at.jobs.counts()
    workers = at.supervisor.alive() if at.supervisor else 0
    queue = {status: counts[status] for status in ("queued", "in_progress")}
    return {"status": "ok", "queue": queue, "workers": workers, "version": kinowatt.__version__}


@router.get("/metrics")
def metrics(at: TheOffice) -> Response:
    """For Prometheus."""
    return Response(generate_latest(at.metrics), media_type=CONTENT_TYPE_LATEST)
