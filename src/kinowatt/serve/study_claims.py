"""The queue of grid studies as their worker sees it; claims and leases are as those of videos in claims.py."""

from __future__ import annotations

import re
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from kinowatt.serve.claims import LEASE_S, Lost
from kinowatt.serve.database import Database
from kinowatt.serve.jobs import CANCELLED
from kinowatt.serve.studies import end
from kinowatt.serve.tables import CANCEL, IN_PROGRESS, QUEUED, Study

MAX_ATTEMPTS = 3  # without a task that was kept


@dataclass(frozen=True)
class StudyClaim:
    """A study in the hands of one worker."""

    database: Database
    token: str
    row: Study
    keep_s: float | None = None

    def write(self, **values: Any) -> None:
        """Change what is told of the study, and renew the lease. Lost if the claim has ended."""
        mine = update(Study).where(Study.id == self.row.id, Study.claim == self.token)
        if self.database.one(mine.values(lease_until=time.time() + LEASE_S, **values)) != 1:
            raise Lost(self.row.id)

    def asked(self) -> str:
        """What the worker is asked to do; only reads. Lost if the claim has ended."""
        with self.database.read() as session:
            control = session.scalar(select(Study.control).where(Study.id == self.row.id, Study.claim == self.token))
        if control is None:
            raise Lost(self.row.id)
        return control

    def finish(self, code: str | None = None, message: str | None = None, **values: Any) -> None:
        """The study has ended: completed without a code. Lost, and nothing changed, if the claim has."""
        with self.database.write() as session:
            row = self._held(session)
            for name, value in values.items():
                setattr(row, name, value)
            end(row, code, message, keep_s=self.keep_s)

    def put_back(self) -> None:
        """Back into the queue; what was computed is kept."""
        with self.database.write() as session:
            _requeue(self._held(session))

    def _held(self, session: Any) -> Study:
        query = select(Study).where(Study.id == self.row.id, Study.claim == self.token).with_for_update()
        row: Study | None = session.scalar(query)
        if row is None:
            raise Lost(self.row.id)
        return row


def take(database: Database, worker: str, keep_s: float | None = None) -> StudyClaim | None:
    """Claim the study that has waited longest. None if none waits."""
    first = select(Study).where(Study.status == QUEUED, Study.deleted.is_(False)).order_by(Study.number).limit(1)
    with database.write() as session:
        row = session.scalar(first.with_for_update(skip_locked=True))
        if row is None:
            return None
        now = time.time()
        row.status, row.claim, row.worker, row.control = IN_PROGRESS, secrets.token_hex(16), worker, ""
        row.lease_until, row.attempts, row.started_at = now + LEASE_S, row.attempts + 1, row.started_at or now
        return StudyClaim(database, row.claim, row, keep_s)


def recover(database: Database, worker: str | None = None, *, blame: bool = True) -> int:
    """Studies whose lease has run out, or that a dead worker held, go back into the queue; returns how many.

    What was to be cancelled is; what has ended its worker too often without getting further is given up.
    """
    lost = Study.lease_until < time.time() if worker is None else Study.worker == worker
    query = select(Study).where(Study.status == IN_PROGRESS, lost)
    with database.read() as session:
        if session.scalar(query.limit(1)) is None:
            return 0
    with database.write() as session:
        rows = session.scalars(query.with_for_update(skip_locked=True)).all()
        for row in rows:
            if row.deleted or row.control == CANCEL:
                end(row, CANCELLED, "the study was cancelled")
            elif blame and row.attempts >= MAX_ATTEMPTS:
                said = f"its process ended {MAX_ATTEMPTS} times without getting further; a smaller network or fewer scenarios may pass"
                end(row, "worker_lost", said)
            else:
                row.attempts -= not blame
                _requeue(row)
    return len(rows)


def recover_dead(database: Database) -> int:
    """Put back what workers of this machine hold whose server is gone."""
    with database.read() as session:
        names = session.scalars(select(Study.worker).where(Study.status == IN_PROGRESS, Study.worker.is_not(None))).all()
    back = 0
    for name in set(names):
        match = re.fullmatch(rf"{re.escape(socket.gethostname())}-(\d+)-study-[0-9a-f]+", name or "")
        if match and not Path(f"/proc/{match[1]}").exists():
            back += recover(database, name, blame=False)
    return back


def _requeue(row: Study) -> None:
    row.status, row.claim, row.worker, row.lease_until, row.control = QUEUED, None, None, None, ""
