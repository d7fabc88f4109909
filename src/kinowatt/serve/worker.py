"""A worker: takes jobs from the queue and makes them. The only place of the server that knows torch.

    python -m kinowatt.serve.worker --database URL --data DIR --model spark

A worker may be killed at any moment. What it has not written is made again by the next one; what it has written is either whole or not
there; and what it writes after its claim has ended changes nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kinowatt.clip import Clip
from kinowatt.energy.bill import LOAD, EnergyBill
from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.meter import Meter
from kinowatt.energy.predict import Work
from kinowatt.engine import cost
from kinowatt.engine import load as engines
from kinowatt.engine import state as states
from kinowatt.engine.bridge import Bridge, bridge
from kinowatt.engine.engine import Progress, State, Take
from kinowatt.engine.load import AnyEngine
from kinowatt.engine.ways import Ways
from kinowatt.errors import DeviceError, KinowattError
from kinowatt.media.provenance import write_labelled
from kinowatt.serve import logs
from kinowatt.serve.catalogue import Catalogue
from kinowatt.serve.claims import LEASE_S, Claim, Claims, Lost
from kinowatt.serve.database import Database
from kinowatt.serve.footage import Footage
from kinowatt.serve.jobs import CANCELLED
from kinowatt.serve.orders import BRIDGES, SOFT, Order
from kinowatt.serve.pictures import spritesheet, thumbnail
from kinowatt.serve.reasons import DiskFull, reason
from kinowatt.serve.store import LATENTS, ROLLING, SPRITESHEET, THUMBNAIL, VIDEO, Store
from kinowatt.serve.tables import CANCEL, PAUSE
from kinowatt.shot import Budget, Shot

IDLE_S = 0.2  # between two looks at an empty queue
SAVE_EVERY_S = 1.0  # between two savings of a take's state (a few ms each); the last step is always saved
TELL_EVERY_S = 0.3  # between two writings of a job's progress; what it is asked to do is read at every step
LOOK_EVERY_S = 0.7  # between two previews
NICE = 10  # gives way to the web process on the same machine, which needs little and must be quick
LEAST_FREE_BYTES = 64 * 2**20
log = logging.getLogger("kinowatt.worker")


class Stopped(Exception):
    """The job was to be cancelled, paused, or would cost more than it may."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Settings:
    """What a worker needs to know. `parent` is a process without which it ends.

    `vram` to `lora`: the ways (see engine/ways.py) in which the default model is run; others are run as they are.
    """

    database: str
    data: Path
    model: str = "spark"
    device: str = "auto"
    runtime: str = "auto"
    vram: str | None = None
    weights: str | None = None
    step_cache: float | None = None
    window: str | None = None
    lora: list[str] | None = None
    keep_s: float | None = None
    name: str = ""
    parent: int | None = None


class Worker:
    """One worker with its engine. `run` returns when `stop` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database)
        self.store = Store(settings.data)
        self.catalogue = Catalogue.of(settings.model)
        name = settings.name or f"{socket.gethostname()}-{os.getpid()}"
        self.claims = Claims(self.database, name, settings.keep_s)
        self.stop = threading.Event()
        self._engine: tuple[str, AnyEngine] | None = None

    def run(self) -> None:
        """Make jobs until stopped."""
        self._load(self.catalogue.default)
        log.info("worker ready", extra={"worker": self.claims.worker, "runtime": self._load(self.catalogue.default).runtime.name})
        while not self.stop.is_set():
            claim = self.claims.take()
            if claim is None:
                self.stop.wait(IDLE_S)
                continue
            Job(self, claim).run()

    def _load(self, model: str) -> AnyEngine:
        if self._engine is None or self._engine[0] != model:
            self._engine = None  # the old one's memory first
            s = self.settings
            chosen = (s.vram, s.weights, s.step_cache, s.window, s.lora) if model == self.catalogue.default else ()
            self._engine = model, engines.load(self.catalogue.where[model], s.device, Ways.of(s.runtime, *chosen), tell=log.info)
        return self._engine[1]

    def engine(self, model: str) -> AnyEngine:
        """The engine of a model; the last one used is kept. KinowattError if it cannot be loaded."""
        if model not in self.catalogue.where:
            raise KinowattError(f"the model {model!r} is no longer served here")
        return self._load(model)

    def forget_engine(self) -> None:
        """Give its memory back, after the device has run out of it."""
        self._engine = None


class Job:
    """One claim, from its order to its end."""

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self.worker, self.claim = worker, claim
        self.order = Order.from_json(claim.video.order)
        self.footage = Footage(worker.database, worker.store, self.order)
        self.folder = worker.store.video(claim.id)
        self.before = EnergyBill.from_json(claim.video.energy) if claim.video.energy else None  # of attempts that were broken off
        self.control = ""
        self.lost = False
        self._weights = ""
        self._saved_at = self._looked_at = time.monotonic()
        self._told_at = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        """Make it, and see that whatever happens is written down."""
        log.info("job begins", extra={"job": self.claim.id, "attempt": self.claim.video.attempts, "mode": self.order.mode})
        holder = threading.Thread(target=self._hold, daemon=True)
        holder.start()
        begin = time.monotonic()
        try:
            self._make()
            log.info("job completed", extra={"job": self.claim.id, "seconds": round(time.monotonic() - begin, 3)})
        except Lost:
            log.warning("claim lost", extra={"job": self.claim.id})
        except Stopped as stopped:
            self._stopped(stopped)
        except Exception as error:  # whatever it was: this job fails with it, and the queue goes on
            self._failed(error)
        finally:
            self._ended.set()
            holder.join()

    def _hold(self) -> None:
        """Renew the lease while a step takes long, and hear what is asked in the meantime."""
        while not self._ended.wait(LEASE_S / 8):
            try:
                self.control = self.worker.claims.hold(self.claim)
            except Lost:
                self.lost = True
                return
            except Exception as error:  # the database may be away for a moment; the lease is longer than that
                log.warning("lease not renewed", extra={"job": self.claim.id, "error": str(error)[:200]})

    def _stopped(self, stopped: Stopped) -> None:
        with suppress(Lost):
            if stopped.why == PAUSE:
                self.worker.claims.put_back(self.claim)
            elif stopped.why == CANCEL:
                self.worker.claims.fail(self.claim, CANCELLED, "the job was cancelled")
                self.worker.store.forget_video(self.claim.id)
            else:
                self.worker.claims.fail(self.claim, "budget_exceeded", stopped.why)
        log.info("job stopped", extra={"job": self.claim.id, "why": stopped.why})

    def _failed(self, error: Exception) -> None:
        code, message = reason(error)
        log.error(
            "job failed", extra={"job": self.claim.id, "code": code}, exc_info=error if code in ("server_error", "storage_error") else None
        )
        if isinstance(error, (DeviceError, MemoryError)):
            self.worker.forget_engine()
        (self.folder / "state.safetensors").unlink(missing_ok=True)
        shutil.rmtree(self.folder / ROLLING, ignore_errors=True)
        with suppress(Lost):
            self.worker.claims.fail(self.claim, code, message)

    def _make(self) -> None:
        if self.worker.store.free_bytes() < LEAST_FREE_BYTES:
            raise DiskFull
        self.folder.mkdir(parents=True, exist_ok=True)
        meter = Meter()
        with meter:
            with meter.phase(LOAD):
                engine = self.worker.engine(self.order.model)
            self._weights = engine.model.sha256
            with meter.phase("read"):
                anchors = [self.footage.clip(p.source) for p in self.order.anchors]
                sources = [self.footage.clip(s) for s in self.order.sources]
            shot, plan = self._shot(engine, anchors, sources)
            take = engine.generate(self._left(shot), self._step, meter, self._state(engine), self.folder / ROLLING)
            clip = plan.join(take.clip) if plan else take.clip
            parts = plan.parts(take.clip, [self.footage.file(s) for s in self.order.sources]) if plan else [clip]
            output = self.folder / self.claim.token
            output.mkdir()
            with meter.phase("write"):
                self._step(Progress("write", 1, 1, meter.so_far()))
                thumbnail(output / THUMBNAIL, clip)
                spritesheet(output / SPRITESHEET, clip)
                self.footage.save_latents(output / LATENTS, take)
                facts = {"weights_sha256": take.weights_sha256, "runtime": take.runtime, "warnings": self._warnings(take)}
                new = plan.new_frames(take.clip) if plan else None
                write_labelled(output / VIDEO, parts, take.shot, lambda: self._bill(meter.so_far()).to_json(), facts, new)
        work = None if engine.anatomy is None else cost.work(engine.plan(take.shot), engine.anatomy)
        self._remember(engine, take, clip, meter.bill, work)
        self._finish(take, clip, self._bill(meter.bill), output, work)

    def _left(self, shot: Shot) -> Shot:
        """The shot with what earlier attempts have left of its budget."""
        spent = self.before
        if spent is None or shot.budget == Budget():
            return replace(shot, model=self.order.model)
        wh, grams = shot.budget.Wh, shot.budget.gCO2e
        left_Wh = None if wh is None else max(wh - (spent.total_Wh or 0.0), wh / 100)
        left_gCO2e = None if grams is None else max(grams - (spent.carbon_gCO2e or 0.0), grams / 100)
        return replace(shot, model=self.order.model, budget=Budget(left_Wh, left_gCO2e))

    def _remember(self, engine: AnyEngine, take: Take, clip: Clip, bill: EnergyBill, work: Work | None) -> None:
        """Put this attempt into the machine's ledger, which predictions learn from; a ledger that fails costs no video."""
        run = Run(
            "serve",
            engine.model.spec.name,
            engine.place.device,
            engine.place.runtime,
            bill.to_json(),
            work if self.before is None else None,
            key=self.claim.video.owner,
            frames=clip.frames,
            width=clip.width,
            height=clip.height,
            fps=clip.fps or 0.0,
            steps=take.shot.steps or 0,
        )
        try:
            Ledger().add(run)
        except (KinowattError, OSError) as error:
            log.warning("not in the ledger", extra={"job": self.claim.id, "error": str(error)[:200]})

    def _shot(self, engine: AnyEngine, anchors: list[Clip], sources: list[Clip]) -> tuple[Shot, Bridge | None]:
        """The shot, and where it leans on given clips how both are joined."""
        way = next((w for w in BRIDGES if w == self.order.mode), None)
        if way is None:
            return self.order.shot(anchors, sources if self.order.mode in SOFT else ()), None
        latents = self.footage.latents(engine.model.sha256) if way == "forward" else None
        plan = bridge(self.order.shot(anchors), sources, way, engine.model.spec, latents)
        return plan.shot, plan

    def _warnings(self, take: Take) -> list[str]:
        said = list(take.warnings)
        if self.order.mode == "forward" and not any(a.latents_CFHW is not None for a in take.shot.anchors):
            said.append("no latents of this clip's end are kept, or other weights made them: it goes on from its pixels, encoded anew")
        return said

    def _bill(self, now: EnergyBill) -> EnergyBill:
        """With what earlier attempts have used: a job's bill is what it cost, not what it would have."""
        return now if self.before is None else self.before + now

    def _state(self, engine: AnyEngine) -> State | None:
        """Where the last attempt stopped. A damaged state, or one of other weights, is no state."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return None
        try:
            return states.load(path, engine.model.sha256)
        except KinowattError as error:
            log.warning("state not read", extra={"job": self.claim.id, "error": str(error)[:200]})
            path.unlink()
            return None

    def _step(self, progress: Progress) -> None:
        """After each step: report, save, show; and stop if that is asked for."""
        now = time.monotonic()
        last = progress.done == progress.of
        asked = self.control
        save = progress.state is not None and (last or now - self._saved_at >= SAVE_EVERY_S)
        if asked == PAUSE and progress.state is not None:
            save = True
        if save and progress.state is not None:
            self._saved_at = now
            states.save(self.folder / "state.safetensors", progress.state, self._weights)
        if progress.look is not None and not last and now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            thumbnail(self.folder / "preview.webp", Clip(progress.look()[None], fps=16.0))
        bill = self._bill(progress.bill)
        if self.lost:
            raise Lost(self.claim.id)
        claims = self.worker.claims
        if save or last or now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            asked = claims.step(self.claim, progress.phase, progress.done, progress.of, bill.to_json(), saved=save)
        else:
            asked = claims.asked(self.claim)
        if asked == CANCEL or (asked == PAUSE and (save or progress.state is None)):
            raise Stopped(asked)
        self.control = asked  # a pause waits for the next step, which is saved

    def _finish(self, take: Take, clip: Clip, bill: EnergyBill, output: Path, work: Work | None) -> None:
        facts = {
            **(self.claim.video.facts or {}),
            **({"work": asdict(work)} if self.before is None and work is not None else {}),  # a bill of several attempts teaches nothing
            "model": self.order.model,
            "weights_sha256": take.weights_sha256,
            "runtime": take.runtime,
            "frames": clip.frames,
            "warnings": self._warnings(take),
            "understood": list(take.understood),
            "not_understood": list(take.not_understood),
        }
        self.worker.claims.finish(
            self.claim, output.name, bill.to_json(), facts, size=f"{clip.width}x{clip.height}", done=take.shot.steps, of=take.shot.steps
        )
        for name in ("state.safetensors", "preview.webp"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / ROLLING, ignore_errors=True)


def main() -> None:
    """Run one worker until its parent dies or it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="spark")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runtime", default="auto")
    for name in ("--vram", "--weights", "--window"):
        parser.add_argument(name)
    parser.add_argument("--step-cache", type=float)
    parser.add_argument("--lora", action="append")
    parser.add_argument("--keep-s", type=float)
    parser.add_argument("--name", default="")
    parser.add_argument("--parent", type=int)
    given = parser.parse_args()
    logs.start()
    os.nice(NICE)
    settings = Settings(**vars(given))
    try:
        worker = Worker(settings)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to the server, which then tells us
        if settings.parent is not None:
            threading.Thread(target=_die_with, args=(settings.parent,), daemon=True).start()
        worker.run()
    except KinowattError as error:
        log.error(str(error))
        sys.exit(error.exit_code)


def _die_with(parent: int) -> None:
    """A worker without its server would hold memory that nobody asked for."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(3)


if __name__ == "__main__":
    main()
