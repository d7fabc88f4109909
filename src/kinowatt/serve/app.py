"""The web process: the app with its routes, errors as sentences, and the studio. It never imports torch."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import kinowatt
from kinowatt.errors import InputError, KinowattError
from kinowatt.serve import metrics, more_routes, routes, study_routes
from kinowatt.serve.auth import TooMany, Unauthorized
from kinowatt.serve.body import BodyLimit, TooLarge
from kinowatt.serve.intake import QuotaExceeded
from kinowatt.serve.jobs import Conflict, NotFound
from kinowatt.serve.office import Office
from kinowatt.serve.studies import Studies
from kinowatt.serve.supervisor import Supervisor

STUDIO = Path(__file__).with_name("studio")
STATUS: dict[type[KinowattError], int] = {Unauthorized: 401, NotFound: 404, Conflict: 409, TooLarge: 413, TooMany: 429, QuotaExceeded: 429}
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
THREADS = 6  # for what only asks the database; references are taken in by others, see office.py
log = logging.getLogger("kinowatt.web")


def create_app(office: Office, supervisor: Supervisor | None = None, studies: Studies | None = None) -> FastAPI:
    """The app of an office; with a supervisor, workers live as long as it does. Without `studies`, the host has no weather."""

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        # More threads would only wait for each other: what they do is short, and Python runs one at a time.
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        # All that is imported stays for good; to look through it for garbage again and again takes 100 ms, in which nothing is answered.
        gc.collect()
        gc.freeze()
        if supervisor is not None:
            supervisor.start()
        yield
        office.closing = True
        gc.unfreeze()
        if supervisor is not None:
            supervisor.stop()

    app = FastAPI(title="kinowatt", version=kinowatt.__version__, lifespan=alive, docs_url=None, redoc_url=None)
    office.supervisor = supervisor
    office.metrics, histogram = metrics.registry(office.database)
    app.state.office, app.state.studies = office, studies or Studies(office.jobs, office.files)
    app.include_router(routes.router)
    app.include_router(more_routes.router)
    app.include_router(study_routes.router)
    app.mount("/studio", StaticFiles(directory=STUDIO, check_dir=False), name="studio")

    @app.get("/", include_in_schema=False)
    def studio() -> FileResponse:
        return FileResponse(STUDIO / "index.html")

    _errors(app)
    app.add_middleware(SafeHeaders)
    app.add_middleware(BodyLimit)
    app.add_middleware(metrics.Latency, histogram=histogram)
    return app


class SafeHeaders:
    """ASGI middleware: what browsers may do with our answers."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Add the headers to every answer."""

        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                there = {name.lower() for name, _ in given}  # a report of a study has a stricter policy of its own
                message["headers"] = [*given, *(row for row in HEADERS if row[0] not in there)]
            await send(message)

        await self.app(scope, receive, marked)


def _error(
    status: int, message: str, param: str | None = None, code: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    kinds = {401: "authentication_error", 404: "invalid_request_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status, headers)


def _errors(app: FastAPI) -> None:
    """Every fault in the API's own form."""

    @app.exception_handler(KinowattError)
    async def ours(request: Request, error: KinowattError) -> JSONResponse:
        status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 400 if isinstance(error, InputError) else 500)
        headers = {"Retry-After": str(int(error.wait_s) + 1)} if isinstance(error, TooMany) else None
        code = getattr(error, "code", None) or {401: "invalid_api_key", 404: "not_found", 409: "conflict", 429: "rate_limit_exceeded"}.get(
            status
        )
        return _error(status, str(error), getattr(error, "param", None), code, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first: dict[str, Any] = error.errors()[0]
        param = str(first["loc"][-1])
        said = str(first["msg"])
        return _error(400, f"{param}: {said[0].lower()}{said[1:]}", param, "invalid_value")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        said = {404: f"there is nothing at {request.url.path[:200]}", 405: f"{request.method} is not possible at {request.url.path[:200]}"}
        return _error(error.status_code, said.get(error.status_code, str(error.detail)), headers=dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", extra={"path": request.url.path}, exc_info=error)
        return _error(500, "a fault of the server's; its log says more")
