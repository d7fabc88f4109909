"""Clips longer than the model has seen, through the worker: what a window has left behind outlives the worker that made it."""

from __future__ import annotations

import numpy as np
import pytest

from kinowatt.engine.engine import Engine, Progress, Take
from kinowatt.serve import worker as workers
from kinowatt.serve.claims import recover
from kinowatt.serve.store import ROLLING, THUMBNAIL, VIDEO
from kinowatt.serve.worker import Job
from serving import Shop


class Killed(BaseException):
    """What kill -9 is to a process."""


def test_a_killed_long_clip_goes_on_where_it_was(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SAVE_EVERY_S", 0.0)
    whole = shop.create(seconds="4", seed=5)["id"]
    takes: list[np.ndarray] = []
    generate = Engine.generate

    def kept(self: Engine, *given: object, **named: object) -> Take:
        take = generate(self, *given, **named)  # type: ignore[arg-type]
        takes.append(np.array(take.clip.frames_TCHW))
        return take

    monkeypatch.setattr(Engine, "generate", kept)
    assert shop.work() == 1
    broken = shop.create(seconds="4", seed=5)["id"]
    worker, step = shop.worker(), Job._step

    def dying(job: Job, progress: Progress) -> None:
        if progress.done == 5:  # what lies in the files is more than the state counts on
            raise Killed
        step(job, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Job, "_step", dying)
        claim = worker.claims.take()
        assert claim
        with pytest.raises(Killed):
            Job(worker, claim).run()
    folder = shop.office.store.video(str(broken))
    assert (folder / ROLLING / "frames").exists()
    assert recover(shop.office.database, "by-hand") == 1
    assert shop.work() == 1
    assert shop.video(broken)["status"] == "completed"
    assert float(str(shop.video(broken)["seconds"])) == 4.0
    np.testing.assert_array_equal(*takes)
    assert sorted(p.name for p in folder.iterdir() if p.is_file()) == []
    assert not (folder / ROLLING).exists()
    for id in (whole, broken):
        outputs = {p.name for p in shop.office.store.video(str(id)).rglob("*")}
        assert {VIDEO, THUMBNAIL} <= outputs
