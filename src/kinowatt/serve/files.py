"""Files in the store and their rows: uploads, references of requests, characters."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from kinowatt.errors import MediaError
from kinowatt.serve import references
from kinowatt.serve.database import Database
from kinowatt.serve.jobs import NotFound, Page, page
from kinowatt.serve.references import Looked
from kinowatt.serve.store import Store, new_id
from kinowatt.serve.tables import Character, File


class Files:
    """What clients have given us. What is not the owner's is NotFound."""

    def __init__(self, database: Database, store: Store, *, allow_private_urls: bool = False) -> None:
        self.database, self.store, self.allow_private_urls = database, store, allow_private_urls
        self._going: set[str] = set()

    def upload(self, owner: str, upload: Any, purpose: str, *, internal: bool = False, name: str = "the file") -> tuple[File, Looked]:
        """Keep an UploadFile. MediaError if it is too large, or neither an image nor a video."""
        part = self.store.incoming()
        try:
            with part.open("wb") as out:
                shutil.copyfileobj(_Bounded(upload.file, name), out, 2**20)
            return self._keep(owner, part, references.clean_filename(upload.filename), purpose, internal, name)
        finally:
            part.unlink(missing_ok=True)

    def from_url(self, owner: str, url: str, name: str) -> tuple[File, Looked]:
        """Keep what an http(s) or data URL gives. MediaError if it may not be fetched or is not fit."""
        part = self.store.incoming()
        try:
            if url[:5].lower() == "data:":
                references.from_data_url(url, part)
            else:
                references.fetch(url, part, allow_private=self.allow_private_urls)
            return self._keep(owner, part, "reference", "reference", True, name)
        finally:
            part.unlink(missing_ok=True)

    def _keep(self, owner: str, part: Path, filename: str, purpose: str, internal: bool, name: str) -> tuple[File, Looked]:
        looked = references.look(part, name)
        with part.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        row = File(
            id=new_id("file"),
            owner=owner,
            created_at=time.time(),
            filename=filename,
            bytes=part.stat().st_size,
            purpose=purpose,
            media_type=looked.media_type,
            sha256=sha256,
            internal=internal,
            deleted=False,
        )
        part.replace(self.store.file(row.id))
        with self.database.write() as session:
            session.add(row)
        return row, looked

    def get(self, owner: str, id: str) -> File:
        """One file."""
        with self.database.read() as session:
            row = session.scalar(select(File).where(File.id == id, File.owner == owner, File.deleted.is_(False)))
        if row is None:
            raise NotFound(f"there is no file {id[:80]!r}")
        return row

    def looked(self, owner: str, id: str) -> tuple[File, Looked]:
        """A file and what its header says."""
        row = self.get(owner, id)
        return row, references.look(self.store.file(row.id), row.filename)

    def pages(self, owner: str, *, after: str | None, limit: int, descending: bool, purpose: str | None) -> Page:
        """A page of uploaded files."""
        query = select(File).where(File.owner == owner, File.deleted.is_(False), File.internal.is_(False))
        if purpose is not None:
            query = query.where(File.purpose == purpose)
        with self.database.read() as session:
            return page(session, File, query, after=after, limit=limit, descending=descending)

    def delete(self, owner: str, id: str) -> None:
        """Forget a file; the sweep removes its bytes."""
        with self.database.write() as session:
            row = session.scalar(select(File).where(File.id == id, File.owner == owner, File.deleted.is_(False)))
            if row is None:
                raise NotFound(f"there is no file {id[:80]!r}")
            row.deleted = True

    def sweep(self) -> None:
        """Remove the bytes of deleted files, one round later than they were first seen to be deleted: someone may be reading them."""
        names = {path.name for path in (self.store.data / "files").iterdir()}
        with self.database.read() as session:
            deleted = {id for id in session.scalars(select(File.id).where(File.deleted.is_(True))) if id in names}
        for id in deleted & self._going:
            self.store.file(id).unlink(missing_ok=True)
        self._going = deleted

    def forget(self, ids: Iterable[str]) -> None:
        """Remove references that belonged to a request which is gone; uploaded files stay."""
        with self.database.write() as session:
            rows = session.scalars(select(File).where(File.id.in_(list(ids)), File.internal.is_(True))).all()
            for row in rows:
                row.deleted = True
        for row in rows:
            self.store.file(row.id).unlink(missing_ok=True)

    def add_character(self, owner: str, name: str, upload: Any) -> Character:
        """Keep a reference clip under a name. MediaError if the clip is not fit."""
        name = references.check_name(name)
        file, _ = self.upload(owner, upload, "character", name="the character's clip")
        row = Character(id=new_id("char"), owner=owner, created_at=time.time(), name=name, file=file.id)
        with self.database.write() as session:
            session.add(row)
        return row

    def character(self, owner: str, id: str) -> Character:
        """One character."""
        with self.database.read() as session:
            row = session.scalar(select(Character).where(Character.id == id, Character.owner == owner))
        if row is None:
            raise NotFound(f"there is no character {id[:80]!r}")
        return row

    def characters_in(self, owner: str, prompt: str) -> list[Character]:
        """The characters whose names stand in a prompt, the newest of each name."""
        with self.database.read() as session:
            rows = session.scalars(select(Character).where(Character.owner == owner).order_by(Character.number)).all()
        found = {row.name.lower(): row for row in rows if row.name.lower() in prompt.lower()}
        return list(found.values())


class _Bounded:
    """A file that refuses to give more than the limit."""

    def __init__(self, file: Any, name: str) -> None:
        self.file, self.name, self.taken = file, name, 0

    def read(self, size: int = -1, /) -> bytes:
        """As a file's."""
        chunk: bytes = self.file.read(size)
        self.taken += len(chunk)
        if self.taken > references.MAX_BYTES:
            raise MediaError(f"{self.name} has more than {references.MAX_BYTES // 2**20} MiB")
        return chunk
