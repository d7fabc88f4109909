"""The Videos API's verbs, and kinowatt's own beside them. Handlers only translate: requests to intake and jobs, rows to JSON."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from kinowatt.energy.label import Figures, png_bytes, svg
from kinowatt.media.provenance import read_label, verify
from kinowatt.serve import body as bodies
from kinowatt.serve.answers import CharacterAnswer, Deleted, VideoAnswer, VideoPage, answers
from kinowatt.serve.jobs import NotFound
from kinowatt.serve.office import Caller, Office, caller, office
from kinowatt.serve.schema import (
    POLL_AFTER_MS,
    CreateCharacter,
    CreateVideo,
    EditVideo,
    ExtendVideo,
    MoveVideo,
    RemixVideo,
    character_json,
    list_json,
    video_json,
)
from kinowatt.serve.store import SPRITESHEET, THUMBNAIL, VIDEO
from kinowatt.serve.tables import COMPLETED, FAILED, Video

router = APIRouter(prefix="/v1")
TheOffice = Annotated[Office, Depends(office)]
Me = Annotated[Caller, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(bodies.body)]
IdempotencyKey = Annotated[str | None, Header(max_length=255)]
After = Annotated[str | None, Query(max_length=80)]
Limit = Annotated[int, Query(ge=1, le=100)]
Order = Annotated[Literal["asc", "desc"], Query()]
EVENTS_EVERY_S = 0.3
HEARTBEAT_S = 10.0
VARIANTS = {
    "video": (VIDEO, "video/mp4"),
    "thumbnail": (THUMBNAIL, "image/webp"),
    "spritesheet": (SPRITESHEET, "image/jpeg"),
    "preview": ("preview.webp", "image/webp"),
}


def takes(model: type[BaseModel], *, form: bool = True) -> dict[str, Any]:
    """The OpenAPI description of a body that may come as JSON or as a form."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema = _inlined(schema, schema.pop("$defs", {}))
    kinds = ["application/json", *(["multipart/form-data"] if form else [])]
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}


def _inlined(schema: Any, defs: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
        return _inlined(defs[name], defs) if name else {k: _inlined(v, defs) for k, v in schema.items()}
    return [_inlined(v, defs) for v in schema] if isinstance(schema, list) else schema


def answer(video: Video) -> JSONResponse:
    """A video, with the header that tells official clients when to ask again."""
    return JSONResponse(video_json(video), headers={"openai-poll-after-ms": str(POLL_AFTER_MS)})


@router.post("/videos", openapi_extra=takes(CreateVideo), responses=answers(VideoAnswer))
async def create(given: Body, me: Me, at: TheOffice, idempotency_key: IdempotencyKey = None) -> Response:
    """Make a video."""
    body = bodies.check(CreateVideo, given)
    return answer(await at.slowly(at.intake.create, me.owner, me.key, body, idempotency_key))


@router.post("/videos/plan", openapi_extra=takes(CreateVideo))
async def plan(given: Body, me: Me, at: TheOffice) -> dict[str, Any]:
    """What a request would give and cost, without making it."""
    body = bodies.check(CreateVideo, given)
    return await at.slowly(at.intake.plan, me.owner, body)


@router.get("/videos", responses=answers(VideoPage))
def videos(me: Me, at: TheOffice, after: After = None, limit: Limit = 20, order: Order = "desc") -> dict[str, Any]:
    """A page of videos."""
    found = at.jobs.pages(me.owner, after=after, limit=limit, descending=order == "desc")
    return list_json([video_json(v) for v in found.rows], found.has_more)


@router.post("/videos/edits", openapi_extra=takes(EditVideo), responses=answers(VideoAnswer))
async def edit(given: Body, me: Me, at: TheOffice, idempotency_key: IdempotencyKey = None) -> Response:
    """Redraw a video after a sentence."""
    body = bodies.check(EditVideo, given)
    return answer(await at.slowly(at.intake.edit, me.owner, me.key, body, idempotency_key))


@router.post("/videos/extensions", openapi_extra=takes(ExtendVideo), responses=answers(VideoAnswer))
async def extend(given: Body, me: Me, at: TheOffice, idempotency_key: IdempotencyKey = None) -> Response:
    """Run a video on: forward, backward, into a loop, or to another one."""
    body = bodies.check(ExtendVideo, given)
    return answer(await at.slowly(at.intake.extend, me.owner, me.key, body, idempotency_key))


@router.post("/videos/characters", openapi_extra=takes(CreateCharacter), responses=answers(CharacterAnswer))
async def create_character(given: Body, me: Me, at: TheOffice) -> dict[str, Any]:
    """Keep a reference clip under a name."""
    body = bodies.check(CreateCharacter, given)
    return character_json(await at.slowly(at.files.add_character, me.owner, body.name, body.video))


@router.get("/videos/characters/{id}", responses=answers(CharacterAnswer))
def get_character(id: str, me: Me, at: TheOffice) -> dict[str, Any]:
    """One character."""
    return character_json(at.files.character(me.owner, id))


@router.get("/videos/events")
def all_events(request: Request, me: Me, at: TheOffice) -> StreamingResponse:
    """Server-sent events of every job that is open or ends from now on."""
    return StreamingResponse(_events(request, at, me.owner, None), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/videos/{id}", responses=answers(VideoAnswer))
def retrieve(id: str, me: Me, at: TheOffice) -> Response:
    """One video. A failed one is an answer like any other: status 200, with its error inside."""
    return answer(at.jobs.get(me.owner, id))


@router.delete("/videos/{id}", responses=answers(Deleted))
def delete(id: str, me: Me, at: TheOffice) -> dict[str, Any]:
    """Forget a video; a running one stops at its next step."""
    at.jobs.delete(me.owner, id)
    return {"id": id, "object": "video.deleted", "deleted": True}


@router.post("/videos/{id}/remix", openapi_extra=takes(RemixVideo), responses=answers(VideoAnswer))
async def remix(id: str, given: Body, me: Me, at: TheOffice, idempotency_key: IdempotencyKey = None) -> Response:
    """Redraw a video freely after a new sentence."""
    body = bodies.check(RemixVideo, given)
    return answer(await at.slowly(at.intake.remix, me.owner, me.key, id, body, idempotency_key))


@router.post("/videos/{id}/cancel", responses=answers(VideoAnswer))
def cancel(id: str, me: Me, at: TheOffice) -> Response:
    """Stop a job; it ends as failed, with the code cancelled."""
    return answer(at.jobs.cancel(me.owner, id))


@router.post("/videos/{id}/pause", responses=answers(VideoAnswer))
def pause(id: str, me: Me, at: TheOffice) -> Response:
    """Hold a job back; the steps it has done are kept."""
    return answer(at.jobs.pause(me.owner, id))


@router.post("/videos/{id}/resume", responses=answers(VideoAnswer))
def resume(id: str, me: Me, at: TheOffice) -> Response:
    """Let a paused job go on."""
    return answer(at.jobs.resume(me.owner, id))


@router.post("/videos/{id}/move", openapi_extra=takes(MoveVideo, form=False), responses=answers(VideoAnswer))
async def move(id: str, given: Body, me: Me, at: TheOffice) -> Response:
    """Put a waiting job before another one, or to the end."""
    body = bodies.check(MoveVideo, given)
    return answer(await at.slowly(at.jobs.move, me.owner, id, body.before))


@router.get("/videos/{id}/content")
def content(
    id: str,
    request: Request,
    me: Me,
    at: TheOffice,
    variant: Annotated[Literal["video", "thumbnail", "spritesheet", "preview"], Query()] = "video",
) -> Response:
    """The clip, or one of its small pictures. Range and ETag as for any file."""
    video = at.jobs.get(me.owner, id)
    name, media_type = VARIANTS[variant]
    folder = at.store.video(id)
    path = folder / name if variant == "preview" else folder / str(video.output) / name
    if (video.status != COMPLETED and variant != "preview") or not path.exists():
        raise NotFound(f"the video {id} is {video.status}; it has no {variant} at the moment")
    return serve_file(request, path, media_type, f"{id}{path.suffix}")


def serve_file(request: Request, path: Path, media_type: str, filename: str) -> Response:
    """A file with its ETag, not sent again to a client that has it."""
    stat = path.stat()
    tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in [t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return FileResponse(
        path, media_type=media_type, filename=filename, headers=headers, content_disposition_type="inline", stat_result=stat
    )


@router.get("/videos/{id}/label", responses={200: {"content": {"image/svg+xml": {}, "image/png": {}}}})
def label(id: str, me: Me, at: TheOffice, format: Annotated[Literal["json", "svg", "png"], Query()] = "json") -> Response:
    """The label that the clip carries: shot, weights, energy; with its class, and whether anything was changed. Or drawn."""
    video = at.jobs.get(me.owner, id)
    if video.status != COMPLETED:
        raise NotFound(f"the video {id} is {video.status}; its label is there when it is completed")
    path = at.store.video(id) / str(video.output) / VIDEO
    found, verdict = read_label(path), verify(path)
    figures = Figures.of(found, verdict.intact)
    if format == "svg":
        return Response(svg(figures), media_type="image/svg+xml")
    if format == "png":
        return Response(png_bytes(figures), media_type="image/png")
    return JSONResponse({**found, "figures": figures.to_json(), "verdict": {**verdict.to_json(), "sentences": verdict.sentences()}})


@router.get("/videos/{id}/events")
def events(id: str, request: Request, me: Me, at: TheOffice) -> StreamingResponse:
    """Server-sent progress of one video, with a small look at what it will become; ends with the job."""
    at.jobs.get(me.owner, id)
    return StreamingResponse(_events(request, at, me.owner, id), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _events(request: Request, at: Office, owner: str, id: str | None) -> AsyncIterator[str]:
    """Changes of one job until it ends, or of all jobs for as long as the client listens."""
    seen: dict[str, str] = {}
    looks: dict[str, int] = {}
    since, spoken = time.time(), time.monotonic()
    while not await request.is_disconnected() and not at.closing:
        rows = [at.jobs.get(owner, id)] if id and not seen else await run_in_threadpool(at.jobs.changed, owner, since)
        for video in rows:
            if id not in (None, video.id):
                continue
            if video.deleted:
                if seen.pop(video.id, None) is not None:
                    yield f"event: deleted\ndata: {json.dumps({'id': video.id})}\n\n"
                if id is not None:
                    return
                continue
            told = video_json(video)
            look = _look(at.store.video(video.id) / "preview.webp", looks, video.id)
            said = json.dumps(told, ensure_ascii=False)
            if seen.get(video.id) != said or look:
                seen[video.id], spoken = said, time.monotonic()
                yield f"event: video\ndata: {json.dumps({**told, 'preview': look} if look else told, ensure_ascii=False)}\n\n"
            if id is not None and video.status in (COMPLETED, FAILED):
                return
        if time.monotonic() - spoken > HEARTBEAT_S:
            spoken = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(EVENTS_EVERY_S)


def _look(path: Path, looks: dict[str, int], id: str) -> str | None:
    """The preview as a data URL, if it is a new one."""
    try:
        changed = path.stat().st_mtime_ns
        if looks.get(id) == changed:
            return None
        looks[id] = changed
        return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode()
    except FileNotFoundError:
        return None
