"""What a request handler works with: the queue, the files, the door; and who is calling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request
from prometheus_client import CollectorRegistry

from kinowatt.serve.auth import EVERYONE, Doorman
from kinowatt.serve.catalogue import Catalogue
from kinowatt.serve.database import Database
from kinowatt.serve.files import Files
from kinowatt.serve.intake import Intake
from kinowatt.serve.jobs import Jobs
from kinowatt.serve.store import Store
from kinowatt.serve.supervisor import Supervisor
from kinowatt.serve.tables import Key

SLOW_THREADS = 8
Done = TypeVar("Done")


@dataclass(frozen=True)
class Caller:
    """Who asks: the owner of what is made, and the key if there is one."""

    owner: str
    key: Key | None


class Office:
    """The parts of a running server."""

    def __init__(self, database: Database, store: Store, catalogue: Catalogue, *, allow_private_urls: bool = False) -> None:
        self.database, self.store, self.catalogue = database, store, catalogue
        self.jobs = Jobs(database, store)
        self.files = Files(database, store, allow_private_urls=allow_private_urls)
        self.intake = Intake(self.jobs, self.files, catalogue)
        self.door = Doorman(database)
        self.closing = False
        # Those who write wait for each other, or for a URL; those who only read must not wait behind them.
        self._slow = anyio.CapacityLimiter(SLOW_THREADS)
        self.supervisor: Supervisor | None = None
        self.metrics = CollectorRegistry()

    async def slowly(self, run: Callable[..., Done], *given: Any) -> Done:
        """Run something that may take its time in a thread of its own kind."""
        return await anyio.to_thread.run_sync(run, *given, limiter=self._slow)


def office(request: Request) -> Office:
    """The office of this app."""
    found: Office = request.app.state.office
    return found


def caller(request: Request) -> Caller:
    """Who asks. Unauthorized or TooMany if he may not."""
    key = office(request).door.enter(request.headers.get("authorization"))
    return Caller(EVERYONE if key is None else key.name, key)
