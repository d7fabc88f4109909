"""The web process's hands: it starts workers and starts them again, takes back what dead ones held, sweeps, and delivers webhooks.

Grid studies have a process of their own each, one after the other.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from kinowatt.serve import study_claims
from kinowatt.serve.claims import recover
from kinowatt.serve.database import Database
from kinowatt.serve.files import Files
from kinowatt.serve.jobs import Jobs
from kinowatt.serve.studies import Studies
from kinowatt.serve.tables import IN_PROGRESS, Video
from kinowatt.serve.webhooks import deliver

RECOVER_EVERY_S = 2.0
SWEEP_EVERY_S = 60.0
TIDY_EVERY_S = 3.0
DELIVER_EVERY_S = 0.5
STUDY_EVERY_S = 0.5  # between two looks at whether a study waits
BACKOFF_S = (0.2, 1.0, 5.0, 15.0)  # before a worker that died at its start is started again
HEALTHY_S = 20.0  # a worker that lived so long begins anew without waiting
STOP_S = 10.0  # for a worker to put its job back
log = logging.getLogger("kinowatt.supervisor")


class Supervisor:
    """Threads that live as long as the server."""

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        files: Files,
        command: list[str],
        workers: int,
        studies: Studies | None = None,
        study_command: list[str] | None = None,
    ) -> None:
        self.database, self.jobs, self.files, self.studies = database, jobs, files, studies
        self.command, self.workers, self.study_command = command, workers, study_command
        self.study: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Begin. What the workers of a dead server on this machine held goes back at once; elsewhere, when its lease ends."""
        recover_dead(self.database)
        study_claims.recover_dead(self.database)
        tasks: list[tuple[Callable[[], object], float]] = [
            (lambda: (recover(self.database), study_claims.recover(self.database)), RECOVER_EVERY_S),
            (self._sweep, SWEEP_EVERY_S),
            (self.database.tidy, TIDY_EVERY_S),
            (lambda: deliver(self.database), DELIVER_EVERY_S),
        ]
        for task, every_s in tasks:
            self._spawn(self._repeat, task, every_s)
        for number in range(self.workers):
            self._spawn(self._keep_worker, number)
        if self.studies is not None and self.study_command is not None:
            self._spawn(self._keep_studying, self.studies, self.study_command)

    def stop(self) -> None:
        """End: workers are told, given time, then killed."""
        self._stop.set()
        all_of_them = [*self.processes.values(), *([self.study] if self.study is not None else [])]
        for process in all_of_them:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in all_of_them:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for thread in self._threads:
            thread.join(5.0)

    def alive(self) -> int:
        """Worker processes that run."""
        return sum(process.poll() is None for process in self.processes.values())

    def _spawn(self, target: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=target, args=given, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _repeat(self, task: Callable[[], object], every_s: float) -> None:
        while not self._stop.wait(every_s):
            try:
                task()
            except Exception:  # the next round may go well; a server that stops sweeping for one bad answer would not
                log.exception("a round failed")

    def _sweep(self) -> None:
        for order in self.jobs.sweep():
            self.files.forget(order)
        self.files.sweep()
        if self.studies is not None:
            self.studies.sweep()

    def _keep_worker(self, number: int) -> None:
        """Run a worker, and another one when it has died; its job goes back into the queue at once."""
        failures = 0
        while not self._stop.is_set():
            name = f"{socket.gethostname()}-{os.getpid()}-{number}-{time.monotonic_ns():x}"
            begin = time.monotonic()
            process = subprocess.Popen([*self.command, "--name", name, "--parent", str(os.getpid())])
            self.processes[number] = process
            code = process.wait()
            if self._stop.is_set():
                return
            back = recover(self.database, name)
            log.warning("worker ended", extra={"worker": name, "code": code, "jobs_put_back": back})
            # A killed one (a negative code) was not at fault; one that ends by itself so early will probably do so again.
            failures = 0 if code < 0 or time.monotonic() - begin > HEALTHY_S else failures + 1
            self._stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    def _keep_studying(self, studies: Studies, command: list[str]) -> None:
        """A process for the study that has waited longest, then for the next one."""
        failures = 0
        while not self._stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)] if failures else STUDY_EVERY_S):
            try:
                if not studies.waits():
                    continue
            except Exception:  # as in `_repeat`
                log.exception("a round failed")
                continue
            name = f"{socket.gethostname()}-{os.getpid()}-study-{time.monotonic_ns():x}"
            # A session of its own, so that all that it starts ends with it.
            self.study = subprocess.Popen([*command, "--name", name, "--parent", str(os.getpid())], start_new_session=True)
            code = self.study.wait()
            with suppress(ProcessLookupError):
                os.killpg(self.study.pid, signal.SIGKILL)
            if self._stop.is_set():
                return
            back = study_claims.recover(self.database, name)
            failures = failures + 1 if code > 0 else 0
            log.info("study process ended", extra={"worker": name, "code": code, "studies_put_back": back})


def recover_dead(database: Database) -> int:
    """Put back what workers of this machine hold whose server is gone; returns how many jobs."""
    with database.read() as session:
        names = session.scalars(select(Video.worker).where(Video.status == IN_PROGRESS, Video.worker.is_not(None)).distinct()).all()
    back = 0
    for name in names:
        match = re.fullmatch(rf"{re.escape(socket.gethostname())}-(\d+)-\d+-[0-9a-f]+", name or "")
        if match and (int(match[1]) == os.getpid() or not Path(f"/proc/{match[1]}").exists()):
            back += recover(database, name, blame=False)
    return back


def worker_command(**settings: object) -> list[str]:
    """How a worker process is started, with `worker.Settings` as options; None leaves one out, a list repeats it."""
    rows = [(name, row) for name, value in settings.items() for row in (value if isinstance(value, list) else [value])]
    given = [[f"--{name.replace('_', '-')}", str(value)] for name, value in rows if value is not None]
    return [sys.executable, "-m", "kinowatt.serve.worker", *(word for pair in given for word in pair)]


def study_command(database: str, data: Path, keep_s: float) -> list[str]:
    """How the process of a study is started. It has half of the cores: on two, one process with its solver's threads is the faster."""
    return [
        *(sys.executable, "-m", "kinowatt.serve.study_worker", "--database", database),
        *("--data", str(data), "--keep-s", str(keep_s), "--workers", str(max((os.cpu_count() or 1) // 2, 1))),
    ]
