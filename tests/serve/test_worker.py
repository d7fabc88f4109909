"""The worker: jobs broken off at any step end as if they had not been, and one job's bad luck is not the next one's."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from kinowatt.engine.engine import Engine, Progress
from kinowatt.errors import OutputError
from kinowatt.media.provenance import read_label
from kinowatt.media.video import read_video
from kinowatt.serve import worker as workers
from kinowatt.serve.claims import recover
from kinowatt.serve.store import LATENTS, VIDEO
from kinowatt.serve.tables import Video
from kinowatt.serve.worker import Job
from serving import FAST, Shop


class Killed(BaseException):
    """What kill -9 is to a process, this is to a job: nothing of it is caught."""


def row(shop: Shop, id: object) -> Video:
    with shop.office.database.read() as session:
        found = session.scalar(select(Video).where(Video.id == id))
    assert found is not None
    return found


def output(shop: Shop, id: object, name: str = VIDEO) -> Path:
    return shop.office.store.video(str(id)) / str(row(shop, id).output) / name


def break_off(shop: Shop, monkeypatch: pytest.MonkeyPatch, phase: str, done: int) -> None:
    """Work on the next job and die after a step."""
    worker, step = shop.worker(), Job._step

    def dying(job: Job, progress: Progress) -> None:
        step(job, progress)
        if (progress.phase, progress.done) == (phase, done):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Job, "_step", dying)
        claim = worker.claims.take()
        assert claim
        with pytest.raises(Killed):
            Job(worker, claim).run()
    assert recover(shop.office.database, "by-hand") == 1


@pytest.mark.parametrize(("phase", "done", "steps_again"), [("denoise", 1, 3), ("denoise", 4, 0), ("decode", 9, 0), ("write", 1, 0)])
def test_a_killed_job_goes_on_where_it_was(shop: Shop, monkeypatch: pytest.MonkeyPatch, phase: str, done: int, steps_again: int) -> None:
    monkeypatch.setattr(workers, "SAVE_EVERY_S", 0.0)
    whole, broken = shop.create(seed=5, steps=4)["id"], shop.create(seed=5, steps=4)["id"]
    worker = shop.worker()
    claim = worker.claims.take()
    assert claim
    Job(worker, claim).run()
    break_off(shop, monkeypatch, phase, done)
    spent = row(shop, broken).energy
    assert spent is not None
    steps: list[int] = []
    generate = Engine.generate

    def counted(self: Engine, shot: Any, on_step: Any, *given: Any) -> Any:
        def told(progress: Progress) -> None:
            steps.append(progress.done) if progress.state else None
            on_step(progress)

        return generate(self, shot, told, *given)

    monkeypatch.setattr(Engine, "generate", counted)
    assert shop.work() == 1
    assert len(steps) == steps_again, "no finished step is repeated"
    assert shop.video(broken)["status"] == "completed"
    same = (read_video(output(shop, id)).frames_TCHW for id in (whole, broken))
    np.testing.assert_array_equal(*same)
    bill = row(shop, broken).energy
    assert bill is not None
    assert bill["wall_s"] > spent["wall_s"], "the bill holds what the dead worker had used"
    left = sorted(p.name for p in shop.office.store.video(str(broken)).iterdir() if p.is_file())
    assert left == [], "no state is left behind"


def test_a_damaged_state_is_no_state(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SAVE_EVERY_S", 0.0)
    id = shop.create(steps=3)["id"]
    break_off(shop, monkeypatch, "denoise", 2)
    (shop.office.store.video(str(id)) / "state.safetensors").write_bytes(b"half")
    shop.work()
    assert shop.video(id)["status"] == "completed"


def test_cancel_stops_within_one_step(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id, following = shop.create(steps=6)["id"], shop.create()["id"]
    seen: list[int] = []
    step = Job._step

    def watched(job: Job, progress: Progress) -> None:
        if job.claim.id == id and progress.state is not None:
            seen.append(progress.done)
            if progress.done == 2:
                assert shop.client.post(f"/v1/videos/{id}/cancel").status_code == 200
        step(job, progress)

    monkeypatch.setattr(Job, "_step", watched)
    assert shop.work() == 2
    assert seen == [1, 2]
    video = shop.video(id)
    assert video["status"] == "failed"
    assert video["error"] == {"code": "cancelled", "message": "the job was cancelled"}
    assert not shop.office.store.video(str(id)).exists()
    assert shop.video(following)["status"] == "completed"


def test_delete_stops_and_leaves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id = shop.create(steps=6)["id"]
    step = Job._step

    def deleting(job: Job, progress: Progress) -> None:
        if progress.done == 2 and progress.state is not None:
            assert shop.client.delete(f"/v1/videos/{id}").json()["deleted"]
        assert progress.done <= 2
        step(job, progress)

    monkeypatch.setattr(Job, "_step", deleting)
    shop.work()
    assert shop.client.get(f"/v1/videos/{id}").status_code == 404
    assert not shop.office.store.video(str(id)).exists()


def test_pause_keeps_the_steps(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id = shop.create(steps=4)["id"]
    step, seen = Job._step, []

    def pausing(job: Job, progress: Progress) -> None:
        if progress.state is not None:
            seen.append(progress.done)
            if seen == [1]:
                shop.client.post(f"/v1/videos/{id}/pause")
        step(job, progress)

    monkeypatch.setattr(Job, "_step", pausing)
    assert shop.work() == 1
    video = shop.video(id)
    assert (video["status"], video["paused"], video["done"]) == ("queued", True, 2)
    assert shop.work() == 0
    shop.client.post(f"/v1/videos/{id}/resume")
    assert shop.work() == 1
    assert seen == [1, 2, 3, 4]
    assert shop.video(id)["status"] == "completed"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "storage_error"),
        (RuntimeError("a bug"), "server_error"),
    ],
)
def test_bad_luck_is_one_jobs_own(shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str) -> None:
    unlucky, lucky = shop.create()["id"], shop.create()["id"]
    write = workers.write_labelled

    def failing(path: Path, *given: Any) -> None:
        if str(unlucky) not in str(path):
            return write(path, *given)
        if isinstance(error, OSError):  # as the writers of media say it
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error
        raise error

    monkeypatch.setattr(workers, "write_labelled", failing)
    assert shop.work() == 2
    video = shop.video(unlucky)
    assert video["status"] == "failed"
    assert video["error"]["code"] == code  # type: ignore[index]
    assert str(shop.office.store.data) not in video["error"]["message"]  # type: ignore[index]
    assert video["energy"]["wall_s"] > 0, "what it cost is still said"  # type: ignore[index]
    assert shop.video(lucky)["status"] == "completed"


def test_a_full_disk_is_seen_before_the_work(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id = shop.create()["id"]
    monkeypatch.setattr(type(shop.office.store), "free_bytes", lambda self: 1000)
    shop.work()
    assert shop.video(id)["error"]["code"] == "disk_full"  # type: ignore[index]


def test_a_budget_stops_a_job(shop: Shop) -> None:
    id = shop.create(budget_wh=1e-9)["id"]
    shop.work()
    error = shop.video(id)["error"]
    assert error["code"] == "budget_exceeded"  # type: ignore[index]
    assert "too small" in error["message"]  # type: ignore[index]


def test_extension_goes_on_in_latent_space(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = shop.create(seed=1)["id"]
    shop.work()
    given: list[np.ndarray | None] = []
    generate = Engine.generate

    def watched(self: Engine, shot: Any, *rest: Any) -> Any:
        given.append(shot.anchors[0].latents_CFHW)
        return generate(self, shot, *rest)

    monkeypatch.setattr(Engine, "generate", watched)
    body = {"prompt": "on", "seconds": "0.5", "steps": 2, "video": {"id": parent}}
    longer = shop.client.post("/v1/videos/extensions", json=body).json()
    assert (longer["seconds"], longer["mode"], longer["sources"]) == ("1", "forward", [parent])
    assert longer["seed"] == 1, "from the parent's noise comes more of the same place"
    shop.work()
    assert given[0] is not None
    clip = read_video(output(shop, longer["id"]))
    assert clip.frames == 9 + 8
    from kinowatt.models import weights

    whole = weights.load(output(shop, longer["id"], LATENTS))[0]["latents"]
    np.testing.assert_array_equal(whole[:, :3], weights.load(output(shop, parent, LATENTS))[0]["latents"])
    assert whole.shape[1] == 5
    assert not any("encoded anew" in w for w in shop.video(longer["id"])["warnings"])  # type: ignore[union-attr, attr-defined]
    output(shop, parent, LATENTS).unlink()
    again = shop.client.post("/v1/videos/extensions", json=body).json()["id"]
    shop.work()
    assert any("encoded anew" in w for w in shop.video(again)["warnings"]), "what is not in latent space is said"  # type: ignore[attr-defined]
    old = read_video(output(shop, parent)).frames_TCHW
    np.testing.assert_array_equal(clip.frames_TCHW[:9], old)  # compressed once, however often it is extended


@pytest.mark.parametrize("direction", ["backward", "loop"])
def test_other_directions(shop: Shop, direction: str, footage: Path) -> None:
    parent = shop.create(seed=1)["id"]
    shop.work()
    body = {"prompt": "before", "seconds": "0.5", "steps": 2, "video": {"id": parent}, "direction": direction}
    made = shop.client.post("/v1/videos/extensions", json=body).json()
    shop.work()
    video = shop.video(made["id"])
    assert video["status"] == "completed", video["error"]
    clip, old = read_video(output(shop, made["id"])).frames_TCHW, read_video(output(shop, parent)).frames_TCHW
    kept = clip[-9:] if direction == "backward" else clip[:9]
    np.testing.assert_array_equal(kept, old)
    assert len(clip) > 9
    joined = {**body, "direction": "connect", "to": {"id": parent}}
    connected = shop.client.post("/v1/videos/extensions", json=joined).json()
    shop.work()
    assert shop.video(connected["id"])["status"] == "completed"
    assert shop.video(connected["id"])["seconds"] == "1.5"


def test_a_parent_that_is_gone_fails_its_child_alone(shop: Shop) -> None:
    parent = shop.create()["id"]
    shop.work()
    child = shop.client.post(f"/v1/videos/{parent}/remix", json={"prompt": "blue", "steps": 2}).json()["id"]
    shop.client.delete(f"/v1/videos/{parent}")
    shop.work()
    assert "was deleted" in shop.video(child)["error"]["message"]  # type: ignore[index]


def test_the_label_travels_with_the_clip(shop: Shop) -> None:
    id = shop.create(seed=9, light="dusk", mood="lonely", camera={"move": "orbit-left", "lens_mm": 85})["id"]
    shop.work()
    label = read_label(output(shop, id))
    told = shop.client.get(f"/v1/videos/{id}/label").json()
    assert {k: told[k] for k in label} == label
    assert told["figures"]["class"] in list("ABCDEFG")
    assert told["verdict"]["clean"]
    assert shop.client.get(f"/v1/videos/{id}/label?format=svg").text.startswith("<svg")
    assert shop.client.get(f"/v1/videos/{id}/label?format=png").content.startswith(b"\x89PNG")
    assert label["energy"]["total_Wh"] == pytest.approx(shop.video(id)["energy"]["total_Wh"], rel=0.15), "but for the writing itself"  # type: ignore[index]
    shot = label["shot"]
    assert (shot["seed"], shot["light"], shot["mood"], shot["camera"]) == (9, "dusk", "lonely", {"move": "orbit-left", "lens_mm": 85.0})
    assert label["energy"]["phases"]["denoise"]["wall_s"] > 0
    assert label["weights_sha256"] == row(shop, id).facts["weights_sha256"]


def test_prediction_learns_from_history(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.create()["predicted"]["clips"] == 0  # type: ignore[index]
    for steps in (12, 40):
        shop.create(steps=steps)
    shop.work()
    shop.office.intake._history.clear()
    plan = shop.client.post("/v1/videos/plan", json={"prompt": "a red ball", **FAST}).json()
    once = plan["predicted"]
    assert once["clips"] == 3
    assert once["seconds"] > 0
    assert once["p10_Wh"] <= once["Wh"] <= once["p90_Wh"]
    more = shop.client.post("/v1/videos/plan", json={"prompt": "a red ball", **FAST, "steps": 40}).json()["predicted"]
    assert more["Wh"] > once["Wh"]
    refused = shop.client.post("/v1/videos", json={"prompt": "a red ball", **FAST, "budget_wh": once["Wh"] / 1e3})
    assert refused.status_code == 400
    assert "too small" in refused.json()["error"]["message"]
