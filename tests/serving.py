"""Servers for tests: one that really runs, with its worker; and one in this process, whose worker is stepped by hand."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.testclient import TestClient

from kinowatt.serve.app import create_app
from kinowatt.serve.catalogue import Catalogue
from kinowatt.serve.database import Database
from kinowatt.serve.office import Office
from kinowatt.serve.store import Store
from kinowatt.serve.worker import Job, Settings, Worker

FAST = {"size": "64x64", "seconds": "0.5", "steps": 2, "guidance": 5.0}  # one pass a step: what the tests ask for where it does not matter


@dataclass
class Server:
    """A server that runs."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, **given: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30.0, **given)  # type: ignore[arg-type]

    def post(self, path: str, **given: object) -> httpx.Response:
        return httpx.post(self.url + path, timeout=30.0, **given)  # type: ignore[arg-type]

    def wait(self, id: str, timeout_s: float = 60.0, until: tuple[str, ...] = ("completed", "failed")) -> dict[str, object]:
        """The video, when it has one of these states."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            video: dict[str, object] = self.get(f"/v1/videos/{id}").json()
            if video["status"] in until:
                return video
            time.sleep(0.05)
        raise AssertionError(f"{id} is {video['status']} after {timeout_s} s")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start_server(model: Path, data: Path, *options: str, port: int | None = None) -> Server:
    """A `kinowatt serve` that answers."""
    port = port or free_port()
    command = [sys.executable, "-m", "kinowatt", "serve", "--port", str(port), "--data", str(data), "--model", str(model)]
    data.mkdir(parents=True, exist_ok=True)
    with (data / "log.jsonl").open("ab") as log:
        process = subprocess.Popen([*command, "--runtime", "torch", *options], stderr=log, env={**os.environ, "OMP_NUM_THREADS": "2"})
    server = Server(f"http://127.0.0.1:{port}", data, process)
    end = time.monotonic() + 60
    while True:
        try:
            if server.get("/healthz").status_code == 200:
                return server
        except httpx.TransportError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError((data / "log.jsonl").read_text()) from error
            time.sleep(0.1)


def stop_server(server: Server) -> None:
    server.process.terminate()
    try:
        server.process.wait(20)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise


@dataclass
class Shop:
    """A server in this process without a worker, and a worker that makes one job when told to."""

    office: Office
    client: TestClient
    worker: Callable[[], Worker]

    def create(self, **fields: object) -> dict[str, object]:
        answer = self.client.post("/v1/videos", json={"prompt": "a red ball", **FAST, **fields})
        assert answer.status_code == 200, answer.text
        made: dict[str, object] = answer.json()
        return made

    def work(self) -> int:
        """Make all waiting jobs; returns how many."""
        worker, made = self.worker(), 0
        while (claim := worker.claims.take()) is not None:
            Job(worker, claim).run()
            made += 1
        return made

    def video(self, id: object) -> dict[str, object]:
        answer = self.client.get(f"/v1/videos/{id}")
        assert answer.status_code == 200, answer.text
        got: dict[str, object] = answer.json()
        return got


def open_shop(model: Path, data: Path, url: str) -> Iterator[Shop]:
    database = Database(url)
    database.migrate()
    office = Office(database, Store(data), Catalogue.of(str(model)))
    workers: list[Worker] = []

    def worker() -> Worker:
        if not workers:
            workers.append(Worker(Settings(url, data, str(model), "cpu", "torch", name="by-hand")))
        return workers[0]

    with TestClient(create_app(office), raise_server_exceptions=False) as client:
        yield Shop(office, client, worker)
    database.engine.dispose()
    for made in workers:
        made.database.engine.dispose()
