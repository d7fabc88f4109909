"""The queue, on SQLite and on a real PostgreSQL: order, claims that fence, cancel, pause, move, and recovery of what dead workers held."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import update

from kinowatt.serve.claims import MAX_ATTEMPTS, Claims, Lost, recover
from kinowatt.serve.database import Database, sqlite_url
from kinowatt.serve.jobs import Conflict, Jobs, NotFound
from kinowatt.serve.orders import Order
from kinowatt.serve.store import Store, new_id
from kinowatt.serve.tables import CANCEL, PAUSE, Table, Video
from postgres import Cluster

ME = "me"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path)
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        url = cluster.new_database()
    database = Database(url)
    database.migrate()
    yield database
    database.engine.dispose()


@pytest.fixture
def jobs(database: Database, tmp_path: Path) -> Jobs:
    return Jobs(database, Store(tmp_path))


def job(jobs: Jobs, owner: str = ME, **fields: object) -> str:
    now = time.time()
    video = {"id": new_id("video"), "owner": owner, "created_at": now, "position": now, "model": "spark", "prompt": "a ball"}
    video |= {"size": "64x64", "seconds": 1.0, "order": Order("spark", "a ball").to_json()}
    return jobs.add(Video(**{**video, **fields})).id


def test_the_migrations_make_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Table.metadata)
    assert differences == []
    database.migrate()  # a second time finds nothing to do


def test_first_in_first_out_unless_more_urgent(jobs: Jobs) -> None:
    first, second = job(jobs), job(jobs)
    urgent = job(jobs, priority=5)
    claims = Claims(jobs.database, "w")
    taken = [claims.take() for _ in range(4)]
    assert [c and c.id for c in taken] == [urgent, first, second, None]
    assert jobs.get(ME, first).status == "in_progress"


def test_many_workers_never_share_a_job(jobs: Jobs) -> None:
    wanted = {job(jobs) for _ in range(40)}
    taken: list[str] = []

    def work(name: str) -> None:
        claims = Claims(jobs.database, name)
        while (claim := claims.take()) is not None:
            taken.append(claim.id)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(wanted)


def test_a_worker_given_up_for_dead_changes_nothing(jobs: Jobs) -> None:
    id = job(jobs)
    slow, quick = Claims(jobs.database, "slow"), Claims(jobs.database, "quick")
    old = slow.take()
    assert old is not None
    assert recover(jobs.database, "slow") == 1
    new = quick.take()
    assert new is not None
    for late in (
        lambda: slow.hold(old),
        lambda: slow.step(old, "denoise", 1, 2, None),
        lambda: slow.finish(old, "x", {"total_Wh": 1.0, "carbon_gCO2e": 2.0}, {}),
        lambda: slow.fail(old, "x", "y"),
        lambda: slow.put_back(old),
    ):
        with pytest.raises(Lost):
            late()
    quick.finish(new, "out", {"total_Wh": 0.5, "carbon_gCO2e": 2.0}, {})
    video = jobs.get(ME, id)
    assert (video.status, video.output, video.energy_Wh, video.claim) == ("completed", "out", 0.5, None)


def test_leases_end(jobs: Jobs) -> None:
    id = job(jobs)
    claims = Claims(jobs.database, "w")
    claim = claims.take()
    assert claim is not None
    assert recover(jobs.database) == 0
    with jobs.database.write() as session:
        session.execute(update(Video).where(Video.id == id).values(lease_until=time.time() - 1))
    assert recover(jobs.database) == 1
    assert jobs.get(ME, id).status == "queued"


def test_what_kills_every_worker_is_given_up(jobs: Jobs) -> None:
    id = job(jobs)
    claims = Claims(jobs.database, "w")
    for _ in range(MAX_ATTEMPTS - 1):
        assert claims.take()
        recover(jobs.database, "w")
    claim = claims.take()
    assert claim
    claims.step(claim, "denoise", 1, 9, {"total_Wh": 0.1, "carbon_gCO2e": 2.0}, saved=True)  # it gets further: the count begins anew
    recover(jobs.database, "w")
    for _ in range(MAX_ATTEMPTS):
        assert jobs.get(ME, id).status == "queued"
        assert claims.take()
        recover(jobs.database, "w")
    video = jobs.get(ME, id)
    assert (video.status, video.error_code) == ("failed", "worker_lost")


def test_a_servers_death_is_not_the_jobs_fault(jobs: Jobs) -> None:
    id = job(jobs)
    claims = Claims(jobs.database, "w")
    for _ in range(MAX_ATTEMPTS + 2):
        assert claims.take()
        recover(jobs.database, "w", blame=False)
    assert jobs.get(ME, id).attempts == 0


def test_cancel_and_delete(jobs: Jobs) -> None:
    waiting, running, gone = job(jobs), job(jobs, priority=2), job(jobs, priority=1)
    claims = Claims(jobs.database, "w")
    first, second = claims.take(), claims.take()
    assert first
    assert second
    assert (first.id, second.id) == (running, gone)
    cancelled = jobs.cancel(ME, waiting)
    assert (cancelled.status, cancelled.error_code) == ("failed", "cancelled")
    jobs.cancel(ME, running)
    assert claims.step(first, "denoise", 1, 2, None) == CANCEL
    jobs.delete(ME, gone)
    assert claims.step(second, "denoise", 1, 2, None) == CANCEL
    with pytest.raises(NotFound):
        jobs.get(ME, gone)
    with pytest.raises(Conflict, match="only a queued or running"):
        jobs.cancel(ME, waiting)
    recover(jobs.database, "w")  # the worker dies before it hears of it
    assert jobs.get(ME, running).error_code == "cancelled"
    assert claims.take() is None


def test_pause_and_resume(jobs: Jobs) -> None:
    id = job(jobs)
    claims = Claims(jobs.database, "w")
    jobs.pause(ME, id)
    assert claims.take() is None
    jobs.resume(ME, id)
    claim = claims.take()
    assert claim
    jobs.pause(ME, id)
    assert claims.hold(claim) == PAUSE
    claims.put_back(claim)
    video = jobs.get(ME, id)
    assert (video.status, video.paused) == ("queued", True)
    assert claims.take() is None
    jobs.resume(ME, id)
    assert claims.take()


def test_move(jobs: Jobs) -> None:
    a, b, c, d = (job(jobs) for _ in range(4))
    jobs.move(ME, d, before=a)
    jobs.move(ME, b, before=None)
    jobs.move(ME, c, before=a)
    claims = Claims(jobs.database, "w")
    taken = [claims.take() for _ in range(4)]
    assert [t and t.id for t in taken] == [d, c, a, b]
    with pytest.raises(Conflict, match="only a queued one"):
        jobs.move(ME, a, before=None)


def test_idempotency(jobs: Jobs) -> None:
    once = job(jobs, idempotency_key="k", request_sha256="1")
    assert job(jobs, idempotency_key="k", request_sha256="1") == once
    assert job(jobs, owner="other", idempotency_key="k", request_sha256="1") != once
    with pytest.raises(Conflict, match="another request"):
        job(jobs, idempotency_key="k", request_sha256="2")
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(job(jobs, idempotency_key="z", request_sha256="3"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_the_sweep_takes_what_has_expired(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    id, kept = job(jobs), job(jobs)
    claims = Claims(jobs.database, "w", keep_s=0.0)
    claim = claims.take()
    assert claim
    folder = jobs.store.video(id)
    folder.mkdir()
    claims.finish(claim, "out", {"total_Wh": 0.1, "carbon_gCO2e": 2.0}, {})
    assert jobs.sweep() == []
    assert folder.exists(), "someone may be reading it still"
    monkeypatch.setattr("kinowatt.serve.jobs.GRACE_S", -1.0)
    assert jobs.sweep() == [set()]
    assert not folder.exists()
    with pytest.raises(NotFound):
        jobs.get(ME, id)
    assert jobs.get(ME, kept).status == "queued"
    assert jobs.sweep() == []
    assert jobs.spent_today(ME) == pytest.approx((0.1, 2.0))
