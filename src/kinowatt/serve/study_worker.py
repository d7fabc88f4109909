"""The process of one grid study: takes it from the queue, computes it in its folder, and ends.

    python -m kinowatt.serve.study_worker --database URL --data DIR

It may be killed at any moment: every task of a study is kept on disk, and the next process goes on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import re
import select
import shutil
import signal
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from kinowatt import __version__
from kinowatt.energy.bill import EnergyBill
from kinowatt.energy.meter import Meter
from kinowatt.errors import BudgetError, KinowattError
from kinowatt.grid import report, study
from kinowatt.grid.fields import needs
from kinowatt.grid.network import Network
from kinowatt.grid.scenarios import Scenarios
from kinowatt.places import whole
from kinowatt.serve import logs, study_claims
from kinowatt.serve.claims import Lost
from kinowatt.serve.database import Database
from kinowatt.serve.jobs import CANCELLED
from kinowatt.serve.reasons import DiskFull, reason
from kinowatt.serve.studies import ARCHIVE, FILES, MAP
from kinowatt.serve.study_claims import StudyClaim
from kinowatt.serve.study_map import StudyMap
from kinowatt.serve.tables import CANCEL

LOOK_EVERY_S = 0.5  # at what the study is asked to do, and at whether the server still lives
HOLD_EVERY_S = 4.0
TELL_EVERY_S = 0.3
NICE = 10  # gives way to the web process
LEAST_FREE_BYTES = 256 * 2**20
log = logging.getLogger("kinowatt.study")


class Making:
    """One claim, from its settings to its end, in the study's folder."""

    def __init__(self, claim: StudyClaim, folder: Path, workers: int = 1, ended: threading.Event | None = None) -> None:
        self.claim, self.folder, self.workers = claim, folder.absolute(), workers
        self.ended = ended or threading.Event()  # set before the claim ends, so that nobody takes that for a loss
        self.before = EnergyBill.from_json(claim.row.energy) if claim.row.energy else None  # of attempts that were broken off
        self.notes: list[str] = []
        self.map: StudyMap | None = None
        self.meter = Meter()
        self._told, self._told_at = "", 0.0

    def run(self) -> None:
        """Make it, and see that whatever happens is written down. Lost if the claim ends."""
        row = self.claim.row
        log.info("study begins", extra={"job": row.id, "attempt": row.attempts})
        begin = time.monotonic()
        try:
            with _inside(self.folder):
                self._make()
            log.info("study completed", extra={"job": row.id, "seconds": round(time.monotonic() - begin, 1)})
        except Lost:
            raise
        except Exception as error:  # whatever it was: this study fails with it, and the queue goes on
            code, message = _reason(error)
            log.error("study failed", extra={"job": row.id, "code": code}, exc_info=error if code.endswith("_error") else None)
            self._finish(code, message)

    def _finish(self, code: str | None = None, message: str | None = None) -> None:
        self.ended.set()
        self.claim.finish(code, message, **self._spent())

    def _make(self) -> None:
        if shutil.disk_usage(self.folder).free < LEAST_FREE_BYTES:
            raise DiskFull
        _forget_other_versions(self.folder)
        s = self.claim.row.settings
        settings = study.Settings(**{**s, "pv_growth": tuple(s["pv_growth"]), "wind_growth": tuple(s["wind_growth"])})
        with self.meter:
            with self.meter.phase("study"):
                made = study.run(Path(), settings, self.workers, False, True, self._say, self._step, self._ready)
            with self.meter.phase("report"):
                report.write_report(Path(), made, self._bill(), self._step)
                _archive()
        self._finish()

    def _ready(self, network: Network, scenarios: Scenarios, work: study.Work) -> None:
        """The network and its weather are read: there is a map, still without colours."""
        self.map = StudyMap(Path(MAP), Path("work"), network, scenarios, work)
        self.claim.write(maps=self.map.update())

    def _say(self, line: str) -> None:
        self.notes.append(line)
        facts = {**(self.claim.row.facts or {}), "notes": list(self.notes)}
        self.claim.write(facts=facts)

    def _step(self, what: str, done: int, of: int) -> None:
        """After each task: report, draw, and stop if the key has no more to spend."""
        now = time.monotonic()
        if done < of and what == self._told and now - self._told_at < TELL_EVERY_S:
            return
        self._told, self._told_at = what, now
        maps = {"maps": self.map.update()} if self.map is not None else {}
        fresh = {"attempts": 0} if done else {}
        self.claim.write(phase=what, done=done, of=of, **maps, **fresh, **self._spent())
        self._check_means()

    def _check_means(self) -> None:
        left, bill = self.claim.row.facts or {}, self._bill()
        for spent, limit, unit in (
            (bill.total_Wh, left.get("left_Wh"), "Wh"),
            (bill.carbon_gCO2e, left.get("left_gCO2e"), "g CO2e"),
        ):
            if limit is not None and spent is not None and spent > limit:
                raise BudgetError(
                    f"the study has used {spent:.3g} {unit}, and its key had {limit:.3g} {unit} left; ask for fewer scenarios"
                )

    def _bill(self) -> EnergyBill:
        now = self.meter.so_far()
        return now if self.before is None else self.before + now

    def _spent(self) -> dict[str, object]:
        bill = self._bill()
        return {"energy": bill.to_json(), "energy_Wh": bill.total_Wh, "carbon_gCO2e": bill.carbon_gCO2e}


def _reason(error: Exception) -> tuple[str, str]:
    """The code and sentence that a failed study shows; options of the command line become fields of the API."""
    code, message = reason(error)
    if code == "storage_error":
        message = "the server could not write the study; its log says why"
    if code == "out_of_memory" and not str(error):
        message = "the server ran out of memory; ask for fewer scenarios, or a smaller network"
    message = re.sub(r"--([a-z][a-z-]*)", lambda found: found[1].replace("-", "_"), message)
    return code, message.replace("inputs/", "")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Paths of a study are within its folder, so that none of the server's stands in what it writes."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _forget_other_versions(folder: Path) -> None:
    """What another kinowatt has computed is computed anew."""
    setup = folder / "work" / "setup.json"
    try:
        same = not setup.is_file() or json.loads(setup.read_text(encoding="utf-8")).get("version") == __version__
    except ValueError:
        same = False
    if not same:
        shutil.rmtree(folder / "work")


def _archive() -> None:
    """All files of the study in one."""
    with whole(Path(ARCHIVE)) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
        for name in FILES:
            if name != ARCHIVE and Path(name).is_file():
                out.write(name)


def watch(claim: StudyClaim, parent: int | None, ended: threading.Event, told: socket.socket) -> None:
    """In a thread of its own: hold the lease, and end this process, with all that it has started, when that is asked for.

    Nothing waits for a step of the computation, which may take long. `told` can be read once the process is told to stop.
    """
    held, going = time.monotonic(), True
    while going:
        stop = select.select([told], [], [], LOOK_EVERY_S)[0]
        orphan = parent is not None and os.getppid() != parent
        try:
            if stop or orphan:
                going = False
                claim.put_back()
            elif claim.asked() == CANCEL:
                going = False
                claim.finish(CANCELLED, "the study was cancelled")
            elif time.monotonic() - held > HOLD_EVERY_S:
                held = time.monotonic()
                claim.write()
        except Lost:
            going = False
        except Exception as error:  # the database may be away for a moment; the lease is longer than that
            log.warning("the queue does not answer", extra={"job": claim.row.id, "error": str(error)[:200]})
    if not ended.is_set():
        log.info("study stopped", extra={"job": claim.row.id})
        os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Make one study, or list SimBench's networks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--codes", action="store_true")
    parser.add_argument("--database", default="")
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--keep-s", type=float)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--name", default="")
    parser.add_argument("--parent", type=int)
    given = parser.parse_args()
    if given.codes:
        whole_networks = (c for c in needs("simbench").collect_all_simbench_codes() if "complete_data" not in c)
        print(json.dumps(sorted(whole_networks)))
        return
    logs.start()
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to the server, which then tells us
    # The watch hears of it through a socket, whatever the computation is at. A mask would not do: threads of numpy are older than this.
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        claim = study_claims.take(Database(given.database), given.name, given.keep_s)
        if claim is not None:
            ended = threading.Event()
            making = Making(claim, given.data / "studies" / claim.row.id, given.workers, ended)
            threading.Thread(target=watch, args=(claim, given.parent, ended, told), daemon=True).start()
            with contextlib.suppress(Lost):
                making.run()
    except KinowattError as error:
        log.error(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
