"""The database: SQLite in the data folder, or any URL that SQLAlchemy knows; brought up to date when it is opened."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, Executable, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from kinowatt.errors import InputError, MissingDependency

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_S = 30.0  # how long a writer waits for another one
WAIT_S = 0.002  # between two tries
MOST_PAGES = 20_000  # of SQLite's log before a writer has to tidy up itself; the server does it before that


class Database:
    """Sessions that read, and sessions that write.

    On SQLite a writing session takes the write lock at its start, so that no two can have read the same state.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # SQLite has one writer at a time and lets the others sleep and try again; threads of one process wait in line instead.
        self._turn = threading.Lock() if url.startswith("sqlite") else contextlib.nullcontext()
        try:
            self.engine = _engine(url)
            self._writing = self.engine.execution_options(kind="write")
            self._single = self.engine.execution_options(kind="single")
            with self.engine.connect():
                pass
        except (ArgumentError, NoSuchModuleError) as error:
            raise InputError(f"{url!r} is no database; use sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME") from error
        except ModuleNotFoundError as error:
            raise MissingDependency(f"the driver of {url.split(':')[0]} is not installed; pip install 'kinowatt[postgres]'") from error
        except OperationalError as error:
            raise InputError(f"the database {self.engine.url!r} does not answer: {str(error.orig).splitlines()[0]}") from error

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed at the end, and rolled back if anything is raised."""
        with self._turn, Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def one(self, statement: Executable) -> int:
        """Run one writing statement for itself; returns how many rows it changed.

        On SQLite the lock is held within that statement only: a worker that gives way to others in the middle of a longer transaction
        would make all of them wait for it.
        """
        with self._turn, self._single.connect() as connection:
            count = int(_patiently(lambda: connection.execute(statement)).rowcount)
            connection.commit()
            return count

    def tidy(self) -> None:
        """Move SQLite's log into its file; nobody waits for it, as a writer that did it in passing would let the others wait."""
        if self.engine.dialect.name == "sqlite":
            with self._single.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def migrate(self) -> None:
        """Bring the tables up to date. Safe to call from several processes: the later ones find nothing to do."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._writing.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(5012026)")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def sqlite_url(data: Path) -> str:
    """The database of a data folder."""
    return f"sqlite:///{data.absolute() / 'kinowatt.db'}"


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=20, max_overflow=40)
    # One connection per thread of the web process; waiting for one would be waiting for nothing.
    engine = create_engine(url, connect_args={"timeout": 0.0, "check_same_thread": False}, pool_size=64, max_overflow=-1)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guess
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"wal_autocheckpoint={MOST_PAGES}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        kind = connection.get_execution_options().get("kind")
        if kind == "single":
            return
        if kind is None:
            connection.exec_driver_sql("BEGIN")
            return
        _patiently(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))

    return engine


def _patiently(run: Callable[[], Any]) -> Any:
    """Wait for SQLite's lock in small steps: its own waiting sleeps up to 100 ms at a time, and mostly the lock is free after one."""
    end = time.monotonic() + BUSY_S
    while True:
        try:
            return run()
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > end:
                raise
            time.sleep(WAIT_S)
