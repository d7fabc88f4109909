"""What the server remembers: keys, videos (the jobs), grid studies, files, characters, webhooks and their deliveries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

QUEUED, IN_PROGRESS, COMPLETED, FAILED = "queued", "in_progress", "completed", "failed"
CANCEL, PAUSE = "cancel", "pause"  # what a worker is asked to do at its next step

# SQLite counts rows only in INTEGER columns.
_Number = BigInteger().with_variant(Integer, "sqlite")


class Table(DeclarativeBase):
    """Base of the tables. Times are seconds since 1970, energies watt-hours, carbon grams of CO2 equivalent."""


class Key(Table):
    """A key and what it may spend. Only its hash is kept."""

    __tablename__ = "keys"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[float] = mapped_column(Float)
    wh_per_day: Mapped[float | None] = mapped_column(Float)
    gco2e_per_day: Mapped[float | None] = mapped_column(Float)
    rpm: Mapped[int | None] = mapped_column(Integer)
    revoked: Mapped[bool] = mapped_column(Boolean, default=False)


class Video(Table):
    """One job, and the clip that it becomes.

    `claim` is the token of the worker's claim: every write of a worker names it, so that a worker that was given up for dead
    changes nothing when it comes back. `energy` adds up over all attempts.
    """

    __tablename__ = "videos"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key", name="one_job_per_idempotency_key"),
        Index("queue", "status", "paused", "priority", "position"),
        Index("of_owner", "owner", "deleted", "number"),
    )

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    owner: Mapped[str] = mapped_column(String(80))
    status: Mapped[str] = mapped_column(String(16), default=QUEUED)
    created_at: Mapped[float] = mapped_column(Float)
    started_at: Mapped[float | None] = mapped_column(Float)
    completed_at: Mapped[float | None] = mapped_column(Float)
    expires_at: Mapped[float | None] = mapped_column(Float)

    model: Mapped[str] = mapped_column(String(200))  # as the client named it
    prompt: Mapped[str] = mapped_column(Text)
    size: Mapped[str] = mapped_column(String(16))
    seconds: Mapped[float] = mapped_column(Float)
    order: Mapped[dict[str, Any]] = mapped_column(JSON)  # see orders.py
    remixed_from: Mapped[str | None] = mapped_column(String(64))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_sha256: Mapped[str | None] = mapped_column(String(64))

    priority: Mapped[int] = mapped_column(Integer, default=0)
    position: Mapped[float] = mapped_column(Float, default=0.0)
    paused: Mapped[bool] = mapped_column(Boolean, default=False)
    not_before: Mapped[float | None] = mapped_column(Float)  # it waits for greener electricity until then
    deadline: Mapped[float | None] = mapped_column(Float)
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    swept: Mapped[bool] = mapped_column(Boolean, default=False)  # its files are gone too
    control: Mapped[str] = mapped_column(String(16), default="")

    claim: Mapped[str | None] = mapped_column(String(32))
    worker: Mapped[str | None] = mapped_column(String(120))
    lease_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # since the last step that was saved
    phase: Mapped[str] = mapped_column(String(16), default="")
    done: Mapped[int] = mapped_column(Integer, default=0)
    of: Mapped[int] = mapped_column(Integer, default=0)

    output: Mapped[str | None] = mapped_column(String(64))  # folder of the finished files, under the video's own
    energy: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    energy_Wh: Mapped[float | None] = mapped_column(Float)
    carbon_gCO2e: Mapped[float | None] = mapped_column(Float)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # warnings, understood, not_understood, weights, runtime
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)


class Study(Table):
    """One grid study. `claim` and `energy` are what they are for a video."""

    __tablename__ = "studies"
    __table_args__ = (Index("studies_queue", "status", "number"), Index("studies_of_owner", "owner", "deleted", "number"))

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    owner: Mapped[str] = mapped_column(String(80))
    status: Mapped[str] = mapped_column(String(16), default=QUEUED)
    created_at: Mapped[float] = mapped_column(Float)
    started_at: Mapped[float | None] = mapped_column(Float)
    completed_at: Mapped[float | None] = mapped_column(Float)
    expires_at: Mapped[float | None] = mapped_column(Float)

    settings: Mapped[dict[str, Any]] = mapped_column(JSON)  # of grid/study.py; its files by their names in the study's folder
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    swept: Mapped[bool] = mapped_column(Boolean, default=False)
    control: Mapped[str] = mapped_column(String(16), default="")

    claim: Mapped[str | None] = mapped_column(String(32))
    worker: Mapped[str | None] = mapped_column(String(120))
    lease_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # since the last task that was kept
    phase: Mapped[str] = mapped_column(String(40), default="")
    done: Mapped[int] = mapped_column(Integer, default=0)
    of: Mapped[int] = mapped_column(Integer, default=0)
    maps: Mapped[int | None] = mapped_column(Integer)  # growths that the map has so far, of all weathers; empty: there is no map yet

    energy: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    energy_Wh: Mapped[float | None] = mapped_column(Float)
    carbon_gCO2e: Mapped[float | None] = mapped_column(Float)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # what it said on its way, and what its key may still spend
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)


class File(Table):
    """An uploaded file or a stored reference. `internal` ones belong to a request and are not listed."""

    __tablename__ = "files"

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    owner: Mapped[str] = mapped_column(String(80), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    filename: Mapped[str] = mapped_column(String(255))
    bytes: Mapped[int] = mapped_column(BigInteger)
    purpose: Mapped[str] = mapped_column(String(40))
    media_type: Mapped[str] = mapped_column(String(80))
    sha256: Mapped[str] = mapped_column(String(64))
    internal: Mapped[bool] = mapped_column(Boolean, default=False)
    deleted: Mapped[bool] = mapped_column(Boolean, default=False)


class Character(Table):
    """A named reference clip: seen by the model, outside of time, when its name stands in a prompt."""

    __tablename__ = "characters"

    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    owner: Mapped[str] = mapped_column(String(80), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    name: Mapped[str] = mapped_column(String(80))
    file: Mapped[str] = mapped_column(String(64))


class Webhook(Table):
    """A place that is told of finished videos. `owner` empty: of everyone's."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(80), index=True)
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(120))


class Delivery(Table):
    """One event for one webhook, kept until it was taken or given up."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    webhook: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float)
    next_at: Mapped[float | None] = mapped_column(Float, index=True)  # empty: taken or given up
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    answer: Mapped[str] = mapped_column(String(200), default="")
