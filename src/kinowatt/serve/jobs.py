"""The queue as its users see it: add, look, list, cancel, pause, resume, move, delete. What workers do to it is in claims.py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kinowatt.errors import InputError
from kinowatt.serve.database import Database
from kinowatt.serve.orders import Order
from kinowatt.serve.store import Store
from kinowatt.serve.tables import CANCEL, COMPLETED, FAILED, IN_PROGRESS, PAUSE, QUEUED, Study, Video
from kinowatt.serve.webhooks import announce

CANCELLED = "cancelled"
GRACE_S = 10.0  # between the end of a video and the removal of its files: an answer that has begun is finished


class NotFound(InputError):
    """There is no such thing, or it is another key's: the answer is the same."""


class Conflict(InputError):
    """It cannot be done in the present state."""


@dataclass(frozen=True)
class Page:
    """One page of a list, and whether there is more behind it."""

    rows: Sequence[Any]
    has_more: bool


def page(session: Session, table: Any, query: Select[Any], *, after: str | None, limit: int, descending: bool) -> Page:
    """Rows of `query` behind the row with id `after`, in the order of their making."""
    if after is not None:
        number = session.scalar(select(table.number).where(table.id == after))
        if number is None:
            raise NotFound(f"there is no {after!r} to list after")
        query = query.where(table.number < number if descending else table.number > number)
    rows = session.scalars(query.order_by(table.number.desc() if descending else table.number.asc()).limit(limit + 1)).all()
    return Page(rows[:limit], len(rows) > limit)


class Jobs:
    """The queue in the database. Every call names the owner; what is not his is NotFound."""

    def __init__(self, database: Database, store: Store) -> None:
        self.database, self.store = database, store

    def add(self, video: Video) -> Video:
        """Put a job at the end of the queue, or find the one that the same idempotency key has made. Conflict if that one differs."""
        try:
            with self.database.write() as session:
                before = self._same_request(session, video)
                if before is not None:
                    return before
                session.add(video)
                return video
        except IntegrityError:  # the same key at the same moment, in another process
            with self.database.read() as session:
                before = self._same_request(session, video)
            assert before is not None
            return before

    @staticmethod
    def _same_request(session: Session, video: Video) -> Video | None:
        if video.idempotency_key is None:
            return None
        query = select(Video).where(Video.owner == video.owner, Video.idempotency_key == video.idempotency_key)
        before = session.scalar(query)
        if before is not None and before.request_sha256 != video.request_sha256:
            raise Conflict("this Idempotency-Key was used for another request; use a new one for a new video")
        return before

    def get(self, owner: str, id: str) -> Video:
        """One video."""
        with self.database.read() as session:
            return _mine(session, owner, id)

    def pages(self, owner: str, *, after: str | None, limit: int, descending: bool) -> Page:
        """A page of an owner's videos."""
        with self.database.read() as session:
            query = select(Video).where(Video.owner == owner, Video.deleted.is_(False))
            return page(session, Video, query, after=after, limit=limit, descending=descending)

    def changed(self, owner: str, since: float) -> Sequence[Video]:
        """What is open, and what ended after `since`, also if it was deleted."""
        with self.database.read() as session:
            open_ = and_(Video.status.in_((QUEUED, IN_PROGRESS)), Video.deleted.is_(False))
            ended = Video.completed_at >= since
            return session.scalars(select(Video).where(Video.owner == owner, open_ | ended).order_by(Video.number)).all()

    def cancel(self, owner: str, id: str) -> Video:
        """A waiting job ends at once, a running one at its next step. Conflict if it has ended."""
        with self.database.write() as session:
            video = _mine(session, owner, id, lock=True)
            if video.status == IN_PROGRESS:
                video.control = CANCEL
            elif video.status == QUEUED:
                end(session, video, CANCELLED, "the job was cancelled")
            else:
                raise Conflict(f"the video is {video.status}; only a queued or running one can be cancelled")
            return video

    def delete(self, owner: str, id: str) -> None:
        """Forget a video. A running one stops at its next step; the sweep removes the files, a little later."""
        with self.database.write() as session:
            video = _mine(session, owner, id, lock=True)
            video.deleted, video.completed_at = True, time.time()
            if video.status == IN_PROGRESS:
                video.control = CANCEL
            elif video.status == QUEUED:
                video.status, video.error_code, video.error_message = FAILED, CANCELLED, "the video was deleted"

    def pause(self, owner: str, id: str) -> Video:
        """Hold a job back; a running one keeps the steps it has done."""
        with self.database.write() as session:
            video = _mine(session, owner, id, lock=True)
            if video.status not in (QUEUED, IN_PROGRESS):
                raise Conflict(f"the video is {video.status}; only a queued or running one can be paused")
            video.paused = True
            if video.status == IN_PROGRESS and video.control != CANCEL:
                video.control = PAUSE
            return video

    def resume(self, owner: str, id: str) -> Video:
        """Let a paused job go on."""
        with self.database.write() as session:
            video = _mine(session, owner, id, lock=True)
            if video.status not in (QUEUED, IN_PROGRESS):
                raise Conflict(f"the video is {video.status}; there is nothing to go on with")
            video.paused = False
            if video.control == PAUSE:
                video.control = ""
            return video

    def move(self, owner: str, id: str, before: str | None) -> Video:
        """Put a waiting job before another of the same priority, or to the end."""
        with self.database.write() as session:
            video = _mine(session, owner, id, lock=True)
            if video.status != QUEUED:
                raise Conflict(f"the video is {video.status}; only a queued one can be moved")
            waiting = select(Video.position).where(Video.status == QUEUED, Video.deleted.is_(False), Video.id != id)
            if before is None:
                last = session.scalar(waiting.order_by(Video.position.desc()).limit(1))
                video.position = video.position if last is None else max(last + 1.0, time.time())
                return video
            other = _mine(session, owner, before, lock=True)
            if other.status != QUEUED or other.id == id:
                raise Conflict("a job can only be moved before another one that waits")
            previous = session.scalar(waiting.where(Video.position < other.position).order_by(Video.position.desc()).limit(1))
            video.position = (other.position + (other.position - 2.0 if previous is None else previous)) / 2
            video.priority = other.priority
            return video

    def spent_today(self, owner: str) -> tuple[float, float]:
        """Watt-hours and grams of CO2e of the owner's jobs and grid studies since midnight UTC."""
        midnight, spent = time.time() // 86400 * 86400, [0.0, 0.0]
        with self.database.read() as session:
            for row in (Video, Study):
                sums = select(func.sum(row.energy_Wh), func.sum(row.carbon_gCO2e)).where(row.owner == owner, row.created_at >= midnight)
                spent = [total + float(more or 0.0) for total, more in zip(spent, session.execute(sums).one(), strict=True)]
        return spent[0], spent[1]

    def waiting(self) -> int:
        """How many jobs wait, all owners."""
        with self.database.read() as session:
            return int(session.scalar(select(func.count()).where(Video.status == QUEUED, Video.deleted.is_(False))) or 0)

    def counts(self) -> dict[str, int]:
        """Videos by status, all owners."""
        with self.database.read() as session:
            rows = session.execute(select(Video.status, func.count()).where(Video.deleted.is_(False)).group_by(Video.status)).all()
            return {QUEUED: 0, IN_PROGRESS: 0, COMPLETED: 0, FAILED: 0, **{str(status): int(n) for status, n in rows}}

    def sweep(self) -> list[set[str]]:
        """Forget what has expired or was deleted; returns the files that each such video had used."""
        now = time.time()
        with self.database.write() as session:
            for video in session.scalars(select(Video).where(Video.expires_at < now, Video.deleted.is_(False))):
                video.deleted = True
            left = and_(Video.deleted.is_(True), Video.status != IN_PROGRESS, Video.swept.is_(False))
            gone = session.execute(select(Video.id, Video.order).where(left, Video.completed_at < now - GRACE_S)).all()
        for id, _ in gone:
            self.store.forget_video(id)
        with self.database.write() as session:
            session.execute(update(Video).where(Video.id.in_([id for id, _ in gone])).values(swept=True))
        self.store.sweep_incoming()
        return [Order.from_json(order).files for _, order in gone]


def _mine(session: Session, owner: str, id: str, *, lock: bool = False) -> Video:
    query = select(Video).where(Video.id == id, Video.owner == owner, Video.deleted.is_(False))
    video = session.scalar(query.with_for_update() if lock else query)
    if video is None:
        raise NotFound(f"there is no video {id[:80]!r}")
    return video


def end(session: Session, video: Video, code: str | None, message: str | None, *, keep_s: float | None = None) -> None:
    """A job's end: completed without a code, else failed. Tells the webhooks in the same transaction."""
    now = time.time()
    video.status = COMPLETED if code is None else FAILED
    video.error_code, video.error_message = code, message
    video.completed_at, video.claim, video.worker, video.lease_until, video.control = now, None, None, None, ""
    video.paused, video.phase = False, ""
    if keep_s is not None:
        video.expires_at = now + keep_s
    if not video.deleted:
        announce(session, video)
