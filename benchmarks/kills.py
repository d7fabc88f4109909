"""kill -9 of worker or server at random moments under load: no job may be lost, doubled or stuck.

    python benchmarks/kills.py [--kills 100] [--seed 0] [--model spark]

Clients send jobs with an Idempotency-Key and, as real ones do, send again when the connection breaks. A dead server is started again on
the same port and data. At the end every job sent must be there once, completed, with a clip that can be decoded.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from kinowatt.media.video import read_video

JOB = {"prompt": "a red ball bounces on sand at dusk", "size": "64x64", "seconds": "0.5", "guidance": 1.0}


@dataclass
class Result:
    """What was sent, and what came of it."""

    kills: dict[str, int] = field(default_factory=lambda: {"worker": 0, "server": 0})
    sent: dict[str, str] = field(default_factory=dict)  # idempotency key → id
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Trial:
    """One server that is killed again and again, and the clients that do not notice."""

    def __init__(self, model: str, data: Path, seed: int, steps: int) -> None:
        self.model, self.data, self.steps = model, data, steps
        self.random = random.Random(seed)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.over = threading.Event()
        self.result = Result()

    def start(self) -> None:
        command = [sys.executable, "-m", "kinowatt", "serve", "--port", str(self.port), "--data", str(self.data), "--model", self.model]
        with (self.data / "log.jsonl").open("ab") as log:
            self.process = subprocess.Popen([*command, "--runtime", "torch"], stderr=log, env={**os.environ, "OMP_NUM_THREADS": "2"})

    def wait_ready(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.ask("GET", "/healthz") is not None:
                return
            time.sleep(0.05)
        raise AssertionError((self.data / "log.jsonl").read_text()[-2000:])

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """The answer's JSON, or None if there was none."""
        try:
            answer = httpx.request(method, self.url + path, timeout=10.0, **given)
        except httpx.TransportError:
            return None
        assert answer.status_code < 500, answer.text
        return answer.json() if answer.status_code == 200 else None

    def load(self, client: int) -> None:
        """A client that keeps a job in the queue."""
        number = 0
        while not self.over.is_set():
            key, number = f"{client}-{number}", number + 1
            made = None
            while made is None:  # also when it is over: what was begun is sent to the end
                made = self.ask("POST", "/v1/videos", json={**JOB, "seed": number, "steps": self.steps}, headers={"Idempotency-Key": key})
                if made is None:
                    time.sleep(0.1)
            self.result.sent[key] = made["id"]
            while not self.over.is_set():
                video = self.ask("GET", f"/v1/videos/{made['id']}")
                if video is not None and video["status"] in ("completed", "failed"):
                    break
                time.sleep(0.1)

    def worker_pids(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = []
        for task in children.parent.parent.iterdir():
            pids += [int(p) for p in (task / "children").read_text().split()]
        return pids

    def kill(self) -> None:
        """One of the two, at a random moment; most moments lie in the middle of a job."""
        assert self.process is not None
        time.sleep(self.random.uniform(0.0, 8.0))
        workers = self.worker_pids()
        if workers and self.random.random() < 0.5:
            os.kill(self.random.choice(workers), signal.SIGKILL)
            self.result.kills["worker"] += 1
            return
        self.process.kill()
        self.process.wait()
        self.result.kills["server"] += 1
        self.start()

    def run(self, kills: int, clients: int) -> Result:
        begin = time.monotonic()
        self.start()
        self.wait_ready()
        threads = [threading.Thread(target=self.load, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(kills):
                self.kill()
        finally:
            self.over.set()
        self.wait_ready()
        for thread in threads:
            thread.join()
        self.judge()
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)
        self.result.seconds = time.monotonic() - begin
        return self.result

    def judge(self) -> None:
        """Every job that was sent, once, with a whole clip."""
        result, end = self.result, time.monotonic() + 240
        while time.monotonic() < end:
            queue = self.ask("GET", "/healthz")["queue"]
            if queue == {"queued": 0, "in_progress": 0}:
                break
            time.sleep(0.3)
        rows: list[dict[str, Any]] = []
        more = True
        while more:
            page = self.ask("GET", "/v1/videos", params={"limit": 100, **({"after": rows[-1]["id"]} if rows else {})})
            rows, more = rows + page["data"], page["has_more"]
        known = {row["id"]: row for row in rows}
        result.lost = [id for id in result.sent.values() if id not in known]
        result.doubled = [id for id in known if id not in result.sent.values()]
        result.doubled += [id for id in set(result.sent.values()) if list(result.sent.values()).count(id) > 1]
        result.stuck = [id for id, row in known.items() if row["status"] in ("queued", "in_progress")]
        result.failed = [f"{id}: {row['error']}" for id, row in known.items() if row["status"] == "failed"]
        for id, row in known.items():
            if row["status"] == "completed":
                clips = list((self.data / "videos" / id).glob("*/video.mp4"))
                assert clips, f"{id} has no clip"
                assert read_video(clips[0]).frames == 9
                assert row["energy"]["wall_s"] > 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="spark")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = Trial(given.model, Path(folder), given.seed, given.steps).run(given.kills, given.clients)
        resumed = sum('"attempt": 1,' not in line for line in (Path(folder) / "log.jsonl").read_text().splitlines() if "job begins" in line)
    told = {"kills": result.kills, "jobs": len(result.sent), "attempts_that_took_over": resumed}
    told |= {k: len(getattr(result, k)) for k in ("lost", "doubled", "stuck", "failed")}
    print(json.dumps({**told, "seconds": round(result.seconds)}))
    for line in (*result.lost, *result.doubled, *result.stuck, *result.failed):
        print(line)


if __name__ == "__main__":
    main()
