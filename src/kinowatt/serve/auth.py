"""Keys: who may ask, how often, and for how much energy a day. Only hashes of keys are kept."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from kinowatt.errors import InputError
from kinowatt.serve.database import Database
from kinowatt.serve.tables import Key

EVERYONE = ""  # the owner of all that is made on a server without keys
PREFIX = "kw-"
CACHE_S = 5.0  # how long a revoked key may still work


class Unauthorized(InputError):
    """No key, or one that is not known."""


class TooMany(InputError):
    """The key has asked too often."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def create(
    database: Database, name: str, wh_per_day: float | None = None, rpm: int | None = None, gco2e_per_day: float | None = None
) -> str:
    """A new key, shown once. InputError if the name is taken or a limit makes no sense."""
    if not 1 <= len(name.strip()) <= 80:
        raise InputError("a key's name has 1 to 80 characters")
    if any(limit is not None and not limit > 0 for limit in (wh_per_day, rpm, gco2e_per_day)):
        raise InputError("the limits of a key are greater than zero; leave them out for none")
    key = PREFIX + secrets.token_urlsafe(32)
    limits = {"wh_per_day": wh_per_day, "gco2e_per_day": gco2e_per_day, "rpm": rpm}
    row = Key(name=name.strip(), sha256=_hash(key), created_at=time.time(), revoked=False, **limits)
    try:
        with database.write() as session:
            session.add(row)
    except IntegrityError as error:
        raise InputError(f"there is a key named {name!r} already; choose another name") from error
    return key


def revoke(database: Database, name: str) -> None:
    """End a key; its videos stay. InputError if there is none of that name."""
    with database.write() as session:
        key = session.get(Key, name)
        if key is None:
            raise InputError(f"there is no key named {name!r}")
        key.revoked = True


def keys(database: Database) -> list[Key]:
    """All keys, in the order of their making."""
    with database.read() as session:
        return list(session.scalars(select(Key).order_by(Key.created_at)))


def _hash(key: str) -> str:
    # Keys are random and long, so a slow hash would add nothing.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Doorman:
    """Lets requests in: finds the key, and counts its requests per minute."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Key | None]] = {}
        self._counts: dict[str, tuple[float, float]] = {}  # name → time, tokens left
        self._any: tuple[float, bool] = (0.0, False)

    def needs_key(self) -> bool:
        """Whether any key exists: then every request needs one."""
        checked, found = self._any
        if time.monotonic() - checked > CACHE_S or not checked:
            found = bool(keys(self.database))
            self._any = (time.monotonic(), found)
        return found

    def enter(self, header: str | None) -> Key | None:
        """The key of a request, None where none is needed. Unauthorized or TooMany otherwise."""
        if not self.needs_key():
            return None
        token = (header or "").removeprefix("Bearer ").strip()
        key = self._find(_hash(token)) if token else None
        if key is None:
            raise Unauthorized("this server needs a key: send Authorization: Bearer kw-…; its host makes one with kinowatt keys create")
        self._count(key)
        return key

    def _find(self, sha256: str) -> Key | None:
        now = time.monotonic()
        with self._lock:
            at, key = self._known.get(sha256, (-CACHE_S, None))
            if now - at < CACHE_S:
                return key
        with self.database.read() as session:
            key = session.scalar(select(Key).where(Key.sha256 == sha256, Key.revoked.is_(False)))
        with self._lock:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[sha256] = (now, key)
        return key

    def _count(self, key: Key) -> None:
        """A bucket that holds a minute's requests and fills evenly."""
        if key.rpm is None:
            return
        now = time.monotonic()
        with self._lock:
            at, left = self._counts.get(key.name, (now, float(key.rpm)))
            left = min(left + (now - at) * key.rpm / 60.0, float(key.rpm))
            if left < 1.0:
                raise TooMany(f"this key may ask {key.rpm} times a minute; wait a moment", (1.0 - left) * 60.0 / key.rpm)
            self._counts[key.name] = (now, left - 1.0)
