"""A few of the 100 kills of benchmarks/kills.py, so that every commit has been through some; and servers that start and refuse to."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from kills import Trial
from kinowatt.serve import auth
from kinowatt.serve.database import Database, sqlite_url
from postgres import Cluster
from serving import FAST, Server, start_server, stop_server


def test_kill_9_of_worker_and_server(small_model: Path, tmp_path: Path) -> None:
    result = Trial(str(small_model), tmp_path, seed=3, steps=60).run(kills=4, clients=2)
    assert sum(result.kills.values()) == 4
    assert len(result.sent) >= 2
    assert (result.lost, result.doubled, result.stuck, result.failed) == ([], [], [], [])


def test_the_worker_stops_within_one_step_and_goes_on(server: Server) -> None:
    long = server.post("/v1/videos", json={"prompt": "a ball", "size": "128x128", "seconds": "2", "steps": 1000}).json()["id"]
    while server.get(f"/v1/videos/{long}").json()["done"] < 3:
        time.sleep(0.05)
    begin = time.monotonic()
    server.post(f"/v1/videos/{long}/cancel")
    stopped = server.wait(long)
    assert time.monotonic() - begin < 5.0  # a thousand steps take far longer; test_worker.py counts them one by one
    assert stopped["error"]["code"] == "cancelled"  # type: ignore[index]
    assert stopped["done"] < 900  # type: ignore[operator]
    following = server.post("/v1/videos", json={"prompt": "a ball", **FAST}).json()["id"]
    assert server.wait(following)["status"] == "completed"


def test_a_server_ends_its_worker_and_leaves_the_job_to_the_next(small_model: Path, tmp_path: Path) -> None:
    first = start_server(small_model, tmp_path)
    id = first.post("/v1/videos", json={"prompt": "a ball", "size": "64x64", "seconds": "0.5", "steps": 300}).json()["id"]
    first.wait(id, until=("in_progress",))
    assert len(_workers_of(tmp_path)) == 1
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    end = time.monotonic() + 10
    while time.monotonic() < end and _workers_of(tmp_path):
        time.sleep(0.1)
    assert not _workers_of(tmp_path), "a worker without its server ends"
    second = start_server(small_model, tmp_path)
    try:
        assert second.wait(id, 240)["status"] == "completed"
    finally:
        stop_server(second)


def _workers_of(data: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "kinowatt.serve.worker" in words and str(data) in words:
            found.append(path.parent.name)
    return found


def test_no_listening_to_the_world_without_keys(small_model: Path, tmp_path: Path, kinowatt: object) -> None:
    ran = kinowatt("serve", "--host", "0.0.0.0", "--port", 0, "--data", tmp_path, "--model", small_model)  # type: ignore[operator]
    assert ran.code == 2
    assert "kinowatt keys create" in ran.err
    database = Database(sqlite_url(tmp_path))
    key = auth.create(database, "me")
    database.engine.dispose()
    running = start_server(small_model, tmp_path, "--host", "0.0.0.0", "--workers", "0")
    try:
        assert running.get("/v1/videos").status_code == 401
        assert running.get("/v1/videos", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    finally:
        stop_server(running)


def test_keys_and_webhooks_on_the_command_line(tmp_path: Path, kinowatt: object) -> None:
    run = kinowatt
    made = run("keys", "create", "ada", "--wh-per-day", 50, "--rpm", 60, "--data", tmp_path)  # type: ignore[operator]
    assert made.out.startswith("kw-")
    assert run("keys", "list", "--data", tmp_path).out == "ada\t50 Wh a day, 60 requests a minute\n"  # type: ignore[operator]
    again = run("keys", "create", "ada", "--data", tmp_path)  # type: ignore[operator]
    assert (again.code, "already" in again.err) == (2, True)
    assert run("keys", "revoke", "ada", "--data", tmp_path).code == 0  # type: ignore[operator]
    assert "revoked" in run("keys", "list", "--data", tmp_path).out  # type: ignore[operator]
    assert run("webhooks", "add", "https://example.com/", "--data", tmp_path).out.startswith("whsec_")  # type: ignore[operator]
    assert run("webhooks", "add", "example.com", "--data", tmp_path).code == 2  # type: ignore[operator]
    assert run("serve", "--database", "nonsense", "--data", tmp_path).code == 2  # type: ignore[operator]


@pytest.mark.skipif(os.environ.get("KINOWATT_NO_RAY") == "1", reason="KINOWATT_NO_RAY is set")
def test_ray_actors_make_the_videos(small_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    running = start_server(small_model, tmp_path, "--ray", "local")
    try:
        assert _workers_of(tmp_path) == [], "no worker process beside the actors"
        ids = [running.post("/v1/videos", json={"prompt": "a ball", **FAST}).json()["id"] for _ in range(3)]
        assert [running.wait(id, 120)["status"] for id in ids] == ["completed"] * 3
    finally:
        stop_server(running)
    with pytest.raises(httpx.TransportError):
        running.get("/healthz")


def test_two_workers_on_postgresql(small_model: Path, tmp_path: Path, postgres: Cluster) -> None:
    running = start_server(small_model, tmp_path, "--workers", "2", "--database", postgres.new_database())
    try:
        ids = [running.post("/v1/videos", json={"prompt": "a ball", **FAST, "steps": 30}).json()["id"] for _ in range(6)]
        assert [running.wait(id, 120)["status"] for id in ids] == ["completed"] * 6
        begun = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines() if "job begins" in line]
        assert sorted(line["job"] for line in begun) == sorted(ids), "each was made once, and the log names it"
        assert not (tmp_path / "kinowatt.db").exists()
    finally:
        stop_server(running)
