"""The queue as workers see it: claim a job, hold it, report steps, end it, give it back.

A claim is a token. Every write names it, so a worker that was taken for dead, and whose job another one has, can change nothing: it is
told `Lost` and lets go. A lease that is not renewed ends the claim.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select, update

from kinowatt.serve.database import Database
from kinowatt.serve.jobs import CANCELLED, end
from kinowatt.serve.tables import CANCEL, IN_PROGRESS, PAUSE, QUEUED, Video

LEASE_S = 20.0
MAX_ATTEMPTS = 8  # without a new step that was saved


class Lost(Exception):
    """The claim has ended: the job is another worker's now, or nobody's."""


@dataclass(frozen=True)
class Claim:
    """A job in the hands of one worker."""

    token: str
    video: Video

    @property
    def id(self) -> str:
        """The video's id."""
        return self.video.id


class Claims:
    """One worker's side of the queue."""

    def __init__(self, database: Database, worker: str, keep_s: float | None = None) -> None:
        self.database, self.worker, self.keep_s = database, worker, keep_s

    def take(self) -> Claim | None:
        """Claim the first waiting job: highest priority, then position. None if there is none."""
        due = or_(Video.not_before.is_(None), Video.not_before <= time.time())
        waiting = select(Video.id).where(Video.status == QUEUED, Video.paused.is_(False), Video.deleted.is_(False), due)
        with self.database.read() as session:
            if session.scalar(waiting.limit(1)) is None:  # an idle worker takes no write lock
                return None
        first = select(Video).where(Video.status == QUEUED, Video.paused.is_(False), Video.deleted.is_(False), due)
        first = first.order_by(Video.priority.desc(), Video.position, Video.number).limit(1).with_for_update(skip_locked=True)
        with self.database.write() as session:
            video = session.scalar(first)
            if video is None:
                return None
            now = time.time()
            video.status, video.claim, video.worker, video.control = IN_PROGRESS, secrets.token_hex(16), self.worker, ""
            video.lease_until, video.attempts = now + LEASE_S, video.attempts + 1
            video.started_at = video.started_at or now
            return Claim(video.claim, video)

    def hold(self, claim: Claim) -> str:
        """Renew the lease; returns what the worker is asked to do. Lost if the claim has ended."""
        self._write(claim, lease_until=time.time() + LEASE_S)
        return self.asked(claim)

    def asked(self, claim: Claim) -> str:
        """What the worker is asked to do; only reads. Lost if the claim has ended."""
        with self.database.read() as session:
            control = session.scalar(select(Video.control).where(Video.id == claim.id, Video.claim == claim.token))
        if control is None:
            raise Lost(claim.id)
        return control

    def step(self, claim: Claim, phase: str, done: int, of: int, energy: dict[str, Any] | None, *, saved: bool = False) -> str:
        """Write down where the job is and what it has cost; returns what the worker is asked to do."""
        total, carbon = (None, None) if energy is None else (energy["total_Wh"], energy["carbon_gCO2e"])
        fresh = {"attempts": 0} if saved else {}
        until = time.time() + LEASE_S
        self._write(claim, phase=phase, done=done, of=of, energy=energy, energy_Wh=total, carbon_gCO2e=carbon, lease_until=until, **fresh)
        return self.asked(claim)

    def _write(self, claim: Claim, **values: Any) -> None:
        query = update(Video).where(Video.id == claim.id, Video.claim == claim.token).values(**values)
        if self.database.one(query) != 1:
            raise Lost(claim.id)

    def finish(self, claim: Claim, output: str, energy: dict[str, Any], facts: dict[str, Any], **values: Any) -> None:
        """The job is done and its files lie in `output`. Lost, and nothing changed, if the claim has ended."""
        with self.database.write() as session:
            video = _held(session, claim)
            video.output, video.energy, video.facts = output, energy, facts
            video.energy_Wh, video.carbon_gCO2e = energy["total_Wh"], energy["carbon_gCO2e"]
            for name, value in values.items():
                setattr(video, name, value)
            end(session, video, None, None, keep_s=self.keep_s)

    def fail(self, claim: Claim, code: str, message: str) -> None:
        """The job has failed, for a reason that the user can read."""
        with self.database.write() as session:
            end(session, _held(session, claim), code, message, keep_s=self.keep_s)

    def put_back(self, claim: Claim) -> None:
        """Back into the queue, where it stood; paused if that was asked for."""
        with self.database.write() as session:
            _requeue(_held(session, claim))


def _held(session: Any, claim: Claim) -> Video:
    video: Video | None = session.scalar(select(Video).where(Video.id == claim.id, Video.claim == claim.token).with_for_update())
    if video is None:
        raise Lost(claim.id)
    return video


def _requeue(video: Video) -> None:
    video.status, video.claim, video.worker, video.lease_until = QUEUED, None, None, None
    if video.control == PAUSE:
        video.paused = True
    video.control = ""


def recover(database: Database, worker: str | None = None, *, blame: bool = True) -> int:
    """Jobs whose lease has run out, or that a dead worker held, go back into the queue; returns how many.

    What was to be cancelled is; what has killed its worker too often without getting further is given up. Without `blame` the attempt
    does not count: the whole server had died, and that was not the job's doing.
    """
    lost = Video.lease_until < time.time() if worker is None else Video.worker == worker
    query = select(Video).where(Video.status == IN_PROGRESS, lost).with_for_update(skip_locked=True)
    with database.read() as session:
        if session.scalar(select(Video.id).where(Video.status == IN_PROGRESS, lost).limit(1)) is None:
            return 0
    with database.write() as session:
        videos = session.scalars(query).all()
        for video in videos:
            if video.deleted or video.control == CANCEL:
                end(session, video, CANCELLED, "the job was cancelled")
            elif blame and video.attempts >= MAX_ATTEMPTS:
                end(session, video, "worker_lost", f"the worker died {MAX_ATTEMPTS} times at this job without getting further")
            else:
                video.attempts -= not blame
                _requeue(video)
    return len(videos)
