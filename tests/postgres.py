"""A real PostgreSQL for tests: its own cluster in a temporary folder, on a Unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Cluster:
    """A PostgreSQL that runs."""

    def __init__(self, bin: Path, folder: Path) -> None:
        self.bin, self.folder, self._count = bin, folder, 0

    def run(self, name: str, *options: str) -> None:
        # PostgreSQL refuses to run as root.
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        command = [*as_user, str(self.bin / name), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd="/")
        assert done.returncode == 0, done.stderr + done.stdout

    def new_database(self) -> str:
        """A fresh database; its URL."""
        self._count += 1
        name = f"test{self._count}"
        self.run("createdb", "-h", str(self.folder), "-U", "postgres", name)
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"


@contextmanager
def running() -> Iterator[Cluster]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed; make system-packages installs it")
    folder = Path(tempfile.mkdtemp(prefix="kinowatt-pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    cluster = Cluster(found[-1].parent, folder)
    data = str(folder / "data")
    try:
        cluster.run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
        cluster.run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield cluster
        finally:
            cluster.run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
