"""200 clients at once while a job renders: how long create and retrieve take.

    python benchmarks/load.py [--clients 200] [--seconds 30] [--model spark]

Each client creates a job, then asks for it once a second, as the official clients' poll does. The server's one worker renders all the
while. Clients and server share the machine: what the clients cost is in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

BODY = {"prompt": "a red ball bounces on sand at dusk", "seconds": "2"}


class Line:
    """One keep-alive connection, with as little client around it as can be: the server is to be measured."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, object], float]:
        """Status, JSON and seconds of one request."""
        content = json.dumps(body).encode() if body else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        begin = time.perf_counter()
        self.writer.write(head.encode() + content)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
        answer = await self.reader.readexactly(length)
        took = time.perf_counter() - begin
        return int(lines[0].split()[1]), json.loads(answer), took


async def client(port: int, until: float, times: dict[str, list[float]]) -> None:
    """Create, then poll; begin anew when the job is done."""
    await asyncio.sleep(random.random())
    line = Line(port)
    await line.open()
    while time.monotonic() < until:
        status, video, took = await line.ask("POST", "/v1/videos", BODY)
        assert status == 200, video
        times["create"].append(took)
        for _ in range(random.randint(5, 15)):
            await asyncio.sleep(1.0)
            if time.monotonic() >= until:
                break
            status, video, took = await line.ask("GET", f"/v1/videos/{video['id']}")
            assert status == 200, video
            times["retrieve"].append(took)
    line.writer.close()


async def storm(port: int, clients: int, seconds: float) -> dict[str, list[float]]:
    """All clients together."""
    times: dict[str, list[float]] = {"create": [], "retrieve": []}
    until = time.monotonic() + seconds
    await asyncio.gather(*(client(port, until, times) for _ in range(clients)))
    return times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--model", default="spark")
    given = parser.parse_args()
    random.seed(0)
    port = 8766
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "kinowatt", "serve", "--port", str(port), "--data", folder, "--model", given.model]
        with (Path(folder) / "log.jsonl").open("wb") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=30), base_url=f"http://127.0.0.1:{port}", timeout=60.0) as first:
                first.get("/healthz")
                id = first.post("/v1/videos", json=BODY).json()["id"]  # warm: weights loaded, networks converted
                while first.get(f"/v1/videos/{id}").json()["status"] != "completed":
                    time.sleep(0.3)
                done_before = _completed(first)
                times = asyncio.run(storm(port, given.clients, given.seconds))
                rendered = _completed(first) - done_before
        finally:
            process.terminate()
            process.wait(30)
    print(
        f"{given.clients} clients, {given.seconds:g} s, {rendered} clips rendered meanwhile, {len(_cores())} cores shared with the clients"
    )
    print(f"{'':10} {'requests':>9} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for name, took in times.items():
        p50, p95, p99 = (1000 * float(q) for q in np.quantile(took, (0.5, 0.95, 0.99)))
        print(f"{name:10} {len(took):9d} {p50:8.1f} {p95:8.1f} {p99:8.1f} {1000 * max(took):8.1f}")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _completed(client: httpx.Client) -> int:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith('kinowatt_videos{status="completed"}'):
            return int(float(line.split()[-1]))
    return 0


def _cores() -> set[int]:
    import os

    return os.sched_getaffinity(0)


if __name__ == "__main__":
    main()
