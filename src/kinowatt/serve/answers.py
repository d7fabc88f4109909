"""What answers look like, for the OpenAPI document at /openapi.json: the official keys, all always there, and ours behind them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """One sentence: what is wrong, and what would work."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """Every answer that is not a success."""

    error: ErrorDetail


class JobError(BaseModel):
    """Why a video failed."""

    code: str
    message: str


class VideoAnswer(BaseModel):
    """A video. Times in seconds since 1970."""

    id: str
    object: Literal["video"]
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: JobError | None
    mode: str
    paused: bool
    priority: int
    position: float
    phase: str
    done: int
    of: int
    seed: int
    steps: int | None
    guidance: float | None
    negative_prompt: str
    camera: dict[str, Any]
    light: str | None
    mood: str | None
    cache: int | None
    budget_wh: float | None
    budget_gco2e: float | None
    deadline: int | None
    not_before: int | None
    strength: float | None
    anchors: list[dict[str, Any]]
    sources: list[str]
    energy: dict[str, Any] | None
    predicted: dict[str, Any] | None
    warnings: list[str]
    understood: list[str]
    not_understood: list[str]


class VideoPage(BaseModel):
    """A page of videos; go on with `after=last_id` while `has_more`."""

    object: Literal["list"]
    data: list[VideoAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileAnswer(BaseModel):
    """A file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: str


class FilePage(BaseModel):
    """A page of files."""

    object: Literal["list"]
    data: list[FileAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


class CharacterAnswer(BaseModel):
    """A character."""

    id: str
    object: Literal["character"]
    created_at: int
    name: str


class ModelAnswer(BaseModel):
    """A model and what it can do."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """All models of this server."""

    object: Literal["list"]
    data: list[ModelAnswer]


class Deleted(BaseModel):
    """What was forgotten."""

    id: str
    object: str
    deleted: bool


def answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: a success of this form, and errors of ours."""
    return {200: {"model": model}, "4XX": {"model": Error}}
