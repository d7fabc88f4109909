"""The Videos API's JSON: what requests hold, checked by pydantic, and what a video looks like in answers."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from starlette.datastructures import UploadFile

from kinowatt.serve.orders import Order
from kinowatt.serve.tables import COMPLETED, FAILED, IN_PROGRESS, Character, File, Video
from kinowatt.shot import MAX_PROMPT_CHARS, MAX_SCENES, MAX_SECONDS

DEFAULT_SECONDS = "4"  # as the API
POLL_AFTER_MS = 500


def _json_text(value: Any) -> Any:
    """Objects and lists may come as JSON text in a form field."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value  # the field's own check says what is wrong
    return value


def _upload(value: Any) -> Any:
    if not isinstance(value, UploadFile):
        raise ValueError("must be an uploaded file")
    return value


def _seconds_text(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Upload = Annotated[Any, BeforeValidator(_upload), WithJsonSchema({"type": "string", "format": "binary"})]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
Id = Annotated[str, Field(min_length=1, max_length=80)]
Seconds = Annotated[
    str, BeforeValidator(_seconds_text), Field(pattern=r"^\d{1,4}(\.\d{1,6})?$", description=f"more than 0, at most {MAX_SECONDS:g}")
]
Size = Annotated[str, Field(pattern=r"^\d{1,5}x\d{1,5}$", description="width x height in pixels")]
Strength = Annotated[float, Field(gt=0.0, le=1.0, description="1 keeps the footage, less lets it be redrawn")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)


class ReferenceIn(_Part):
    """A reference by URL (http, https or data) or by the id of an uploaded file: exactly one of them."""

    image_url: Annotated[str, Field(max_length=90_000_000)] | None = None
    file_id: Id | None = None

    @model_validator(mode="after")
    def _one(self) -> ReferenceIn:
        if (self.image_url is None) == (self.file_id is None):
            raise ValueError("needs image_url or file_id, and exactly one of them")
        return self


class VideoRef(_Part):
    """A video by its id."""

    id: Id


class CameraKeyIn(_Part):
    """A key frame of a camera path."""

    at_s: float
    position: tuple[float, float, float]
    look_at: tuple[float, float, float]
    focal_mm: float = 35.0


class CameraIn(_Part):
    """Explicit camera controls; they override the prompt's words."""

    move: Annotated[str, Field(max_length=80)] | None = None
    lens_mm: float | None = None
    shot: Annotated[str, Field(max_length=80)] | None = None
    angle: Annotated[str, Field(max_length=80)] | None = None
    path: Annotated[list[CameraKeyIn], Field(max_length=1000)] | None = None


class AnchorIn(_Part):
    """Footage placed in time: at "start", at "end", or at a second."""

    image_url: Annotated[str, Field(max_length=90_000_000)] | None = None
    file_id: Id | None = None
    video_id: Id | None = None
    at: Literal["start", "end", "outside"] | Annotated[float, Field(ge=0.0, le=MAX_SECONDS)] = "start"
    strength: Strength = 1.0

    @model_validator(mode="after")
    def _one(self) -> AnchorIn:
        if sum(v is not None for v in (self.image_url, self.file_id, self.video_id)) != 1:
            raise ValueError("needs image_url, file_id or video_id, and exactly one of them")
        return self


class SceneIn(_Part):
    """A scene of a storyboard: what is to be seen from a second on."""

    at_s: float
    prompt: Prompt


class _Controls(_Part):
    """What kinowatt takes beyond the Videos API."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0.0, le=50.0)] | None = None
    negative_prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)] = ""
    camera: Annotated[CameraIn, BeforeValidator(_json_text)] | None = None
    light: Annotated[str, Field(max_length=80)] | None = None
    mood: Annotated[str, Field(max_length=80)] | None = None
    storyboard: Annotated[list[SceneIn], BeforeValidator(_json_text), Field(max_length=MAX_SCENES)] = []
    enlarge: Annotated[str, Field(max_length=20, description="how sizes beyond the model's are reached: refine or lanczos")] | None = None
    cache: Annotated[int, Field(ge=1, le=100, description="compute the guidance term at every so manieth step")] | None = None
    budget_wh: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    budget_gco2e: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    deadline: Annotated[float, Field(ge=0.0, le=1e11, description="seconds since 1970; greenest hours before it")] | None = None
    priority: Annotated[int, Field(ge=-10, le=10)] = 0


class CreateVideo(_Controls):
    """POST /v1/videos."""

    prompt: Prompt
    model: Annotated[str, Field(max_length=200)] | None = None
    seconds: Seconds = DEFAULT_SECONDS
    size: Size | None = None
    input_reference: Annotated[Upload | ReferenceIn, BeforeValidator(_json_text)] | None = None
    characters: Annotated[list[VideoRef], BeforeValidator(_json_text), Field(max_length=8)] = []
    anchors: Annotated[list[AnchorIn], BeforeValidator(_json_text), Field(max_length=32)] = []


class RemixVideo(_Controls):
    """POST /v1/videos/{id}/remix."""

    prompt: Prompt
    strength: Strength | None = None


class EditVideo(_Controls):
    """POST /v1/videos/edits."""

    prompt: Prompt
    video: Annotated[Upload | VideoRef, BeforeValidator(_json_text)]
    model: Annotated[str, Field(max_length=200)] | None = None
    strength: Strength | None = None


class ExtendVideo(_Controls):
    """POST /v1/videos/extensions."""

    prompt: Prompt
    video: Annotated[Upload | VideoRef, BeforeValidator(_json_text)]
    seconds: Seconds = DEFAULT_SECONDS
    model: Annotated[str, Field(max_length=200)] | None = None
    direction: Literal["forward", "backward", "loop", "connect"] = "forward"
    to: Annotated[Upload | VideoRef, BeforeValidator(_json_text)] | None = None

    @model_validator(mode="after")
    def _both(self) -> ExtendVideo:
        if (self.direction == "connect") != (self.to is not None):
            raise ValueError('direction "connect" needs `to`, the clip that it leads to, and the other directions do not')
        return self


class CreateCharacter(_Part):
    """POST /v1/videos/characters."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    video: Upload


class CreateFile(_Part):
    """POST /v1/files."""

    file: Upload
    purpose: Annotated[str, Field(min_length=1, max_length=40)]


class MoveVideo(_Part):
    """POST /v1/videos/{id}/move."""

    before: Id | None = None


def seconds_text(seconds: float) -> str:
    """As the API writes durations: "4", "2.5"."""
    return f"{round(seconds, 3):g}"


def progress(video: Video) -> int:
    """Percent: steps count to 90, decoding to 99."""
    if video.status == COMPLETED:
        return 100
    if video.status not in (IN_PROGRESS, FAILED) and not video.done:
        return 0
    share = video.done / video.of if video.of else 0.0
    return int(90 + 9 * share) if video.phase in ("decode", "write") else int(90 * share)


def video_json(video: Video) -> dict[str, Any]:
    """A video as the API shows it, with kinowatt's own fields behind the official ones."""
    order, facts = Order.from_json(video.order), video.facts or {}
    error = {"code": video.error_code, "message": video.error_message} if video.error_code else None
    return {
        "id": video.id,
        "object": "video",
        "model": video.model,
        "status": video.status,
        "progress": progress(video),
        "created_at": int(video.created_at),
        "completed_at": _whole(video.completed_at) if video.status == COMPLETED else None,
        "expires_at": _whole(video.expires_at),
        "prompt": video.prompt,
        "size": video.size,
        "seconds": seconds_text(video.seconds),
        "remixed_from_video_id": video.remixed_from,
        "error": error,
        "mode": order.mode,
        "paused": video.paused,
        "priority": video.priority,
        "position": video.position,
        "phase": video.phase,
        "done": video.done,
        "of": video.of,
        "seed": order.seed,
        "steps": order.steps,
        "guidance": order.guidance,
        "negative_prompt": order.negative,
        "camera": order.camera,
        "light": order.light,
        "mood": order.mood,
        "cache": order.cache,
        "budget_wh": order.budget_Wh,
        "budget_gco2e": order.budget_gCO2e,
        "deadline": _whole(video.deadline),
        "not_before": _whole(video.not_before),
        "strength": order.strength,
        "anchors": [{f"{a.source.kind}_id": a.source.id, "at": a.at, "strength": a.strength} for a in order.anchors],
        "sources": [s.id for s in order.sources if s.kind == "video"],
        "energy": video.energy,
        "predicted": facts.get("predicted"),
        "warnings": facts.get("warnings", []),
        "understood": facts.get("understood", []),
        "not_understood": facts.get("not_understood", []),
    }


def _whole(at: float | None) -> int | None:
    return None if at is None else int(at)


def list_json(rows: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """A page; the cursors are what clients go on from."""
    ends = {"first_id": rows[0]["id"] if rows else None, "last_id": rows[-1]["id"] if rows else None}
    return {"object": "list", "data": rows, **ends, "has_more": has_more}


def file_json(file: File) -> dict[str, Any]:
    """A file as the API shows it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": None,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def character_json(character: Character) -> dict[str, Any]:
    """A character as the API shows it."""
    return {"id": character.id, "object": "character", "created_at": int(character.created_at), "name": character.name}
