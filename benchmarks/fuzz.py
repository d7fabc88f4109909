"""schemathesis over the server's own OpenAPI document: generated requests, good and bad; no answer may be a 5xx.

    python benchmarks/fuzz.py [--cases 10000] [--seed 1]

The two streams of events are left out: they do not end. The server has no worker, so that what is accepted waits.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from kinowatt.serve.app import create_app
from kinowatt.serve.catalogue import Catalogue
from kinowatt.serve.database import Database, sqlite_url
from kinowatt.serve.office import Office
from kinowatt.serve.store import Store

STREAMS = ("/v1/videos/events", "/v1/videos/{id}/events")


def operations(data: Path) -> int:
    """How many method and path pairs the document has, without the streams."""
    app = create_app(Office(Database(sqlite_url(data)), Store(data), Catalogue.of("spark")))
    return sum(len(item) for path, item in app.openapi()["paths"].items() if path not in STREAMS)


def run(cases: int, seed: int, url: str, count: int) -> tuple[int, int, str]:
    """Send at least `cases` requests: (requests sent, exit code, report)."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", "--seed", str(seed)]
    command += [
        "--checks",
        "not_a_server_error",
        "--phases",
        "coverage,fuzzing,stateful",
        "--max-examples",
        str(-(-cases // count)),
        "--workers",
        "2",
    ]
    for path in STREAMS:
        command += ["--exclude-path", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tempfile.gettempdir())  # it leaves a cache
    found = re.findall(r"(\d[\d,]*) generated", done.stdout)
    return int(found[-1].replace(",", "")) if found else 0, done.returncode, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="of a running server; default: one of our own")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "count").mkdir()
        count = operations(Path(folder) / "count")
        port = 8765
        command = [sys.executable, "-m", "kinowatt", "serve", "--port", str(port), "--data", folder, "--workers", "0"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            url = given.url or f"http://127.0.0.1:{port}"
            with httpx.Client(transport=httpx.HTTPTransport(retries=30)) as client:
                client.get(f"{url}/healthz", timeout=30.0)
            sent, code, report = run(given.cases, given.seed, url, count)
            told = httpx.get(f"{url}/metrics").text
        finally:
            process.terminate()
            process.wait(30)
    answers: dict[str, int] = {}
    for status, n in re.findall(r'kinowatt_request_seconds_count\{.*status="(\d+)"\} ([\d.]+)', told):
        answers[status] = answers.get(status, 0) + int(float(n))
    print(report[-3000:])
    print(json.dumps({"operations": count, "cases": sent, "answers": dict(sorted(answers.items())), "exit": code}))
    sys.exit(code)


if __name__ == "__main__":
    main()
