"""Request bodies: JSON or forms, with the bracketed keys that the official clients send, as one nested dict."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from kinowatt.errors import InputError
from kinowatt.serve.references import MAX_BYTES

MAX_BODY = MAX_BYTES + 2**20  # a form: one file of the largest kind, and its fields
MAX_JSON = 32 * 2**20  # held in memory as a whole
MAX_FIELDS = 500
MAX_DEPTH = 6
HINTS = {
    "size": "not understood; write width x height in pixels, for example 128x128",
    "seconds": "not understood; write a number of seconds, for example 4",
}
Scope = MutableMapping[str, Any]
Model = TypeVar("Model", bound=BaseModel)


class BadRequest(InputError):
    """A field that cannot be taken; `param` names it."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code


class TooLarge(InputError):
    """A body beyond the limit."""


async def body(request: Request) -> AsyncIterator[dict[str, Any]]:
    """The body as a dependency of handlers; its uploads are closed after the answer."""
    try:
        yield await read(request)
    finally:
        await request.close()


async def read(request: Request) -> dict[str, Any]:
    """The body as a nested dict; uploads stay UploadFile. BadRequest if it is neither JSON nor a form."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        try:
            form = await request.form(max_files=16, max_fields=MAX_FIELDS, max_part_size=MAX_JSON)
        except HTTPException as error:
            raise BadRequest(f"the form cannot be read: {error.detail}") from error
        return nest(form.multi_items())
    if int(request.headers.get("content-length") or 0) > MAX_JSON:
        raise TooLarge(f"a JSON body holds at most {MAX_JSON // 2**20} MiB; send files as multipart/form-data")
    raw = await request.body()
    try:
        data = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not valid JSON; send JSON, or multipart/form-data") from error
    if not isinstance(data, dict):
        raise BadRequest("the body must be a JSON object")
    return data


def nest(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Form fields to a nested dict: `a[b]` is a member, `a[]` adds to a list, `a[][b]` a member of the list's last object."""
    out: dict[str, Any] = {}
    for key, value in items:
        match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]*\])*)", key)
        inner = re.findall(r"\[([^\[\]]*)\]", match[2]) if match else []
        if match is None or len(inner) >= MAX_DEPTH:
            raise BadRequest(f"the field name {key[:80]!r} is not understood", param=key[:80])
        path = [match[1], *(part or "[]" for part in inner)]
        _put(out, path, value, key)
    return out


def _put(target: Any, path: list[str], value: Any, key: str) -> None:
    part, rest = path[0], path[1:]
    if part == "[]" or part.isdecimal():
        if not isinstance(target, list):
            raise BadRequest(f"the field {key[:80]!r} is a list and not a list at once", param=key[:80])
        if not rest:
            target.append(value)
            return
        # A member that the last object has already begins a new object.
        last = target[-1] if target else None
        full = last is None or (part == "[]" and isinstance(last, dict) and rest[0] in last and len(rest) == 1)
        if full or (part.isdecimal() and int(part) >= len(target)):
            target.append([] if rest[0] == "[]" else {})
        _put(target[-1], rest, value, key)
        return
    if not isinstance(target, dict):
        raise BadRequest(f"the field {key[:80]!r} is an object and not an object at once", param=key[:80])
    if not rest:
        target[part] = value
        return
    inner = target.setdefault(part, [] if rest[0] == "[]" or rest[0].isdecimal() else {})
    if not isinstance(inner, (dict, list)):
        raise BadRequest(f"the field {key[:80]!r} is an object and not an object at once", param=key[:80])
    _put(inner, rest, value, key)


def check(model: type[Model], data: dict[str, Any]) -> Model:
    """The body as its model. BadRequest with the first fault in one sentence."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        places = [str(p) for p in first["loc"] if isinstance(p, int) or not re.search(r"[\[(]|^[A-Z]", str(p))]
        param = ".".join(places) or None
        said = HINTS.get(param or "", "") if first["type"] == "string_pattern_mismatch" else ""
        said = said or first["msg"].removeprefix("Value error, ")
        said = said[0].lower() + said[1:]
        raise BadRequest(f"{param or 'the request'}: {said}", param=param, code="invalid_value") from error


class BodyLimit:
    """ASGI middleware: a body beyond the limit ends in 413 while it arrives, however it is announced."""

    def __init__(self, app: Callable[..., Awaitable[None]], limit: int = MAX_BODY) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        """Count the body's bytes as they come."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.limit:
            await _refuse(send, self.limit)
            return
        taken, answered = 0, False

        async def counted() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limit:
                raise TooLarge(f"a request holds at most {self.limit // 2**20} MiB")
            return message

        async def noted(message: Any) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except TooLarge:
            if answered:
                raise
            await _refuse(send, self.limit)


async def _refuse(send: Callable[[Any], Awaitable[None]], limit: int) -> None:
    error = {
        "message": f"a request holds at most {limit // 2**20} MiB",
        "type": "invalid_request_error",
        "param": None,
        "code": "too_large",
    }
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
