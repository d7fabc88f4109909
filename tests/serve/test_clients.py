"""The official clients, Python and npm, run one script against the server; only the URL is ours."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import openai
import pytest
from PIL import Image

from serving import FAST, Server

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled")  # said by the client; its API lives on here
EXTRA = {"steps": FAST["steps"], "guidance": FAST["guidance"]}


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=60.0)


def make(client: openai.OpenAI, prompt: str = "a red ball at dusk", **fields: object) -> openai.types.Video:
    return client.videos.create_and_poll(prompt=prompt, size="64x64", seconds="0.5", extra_body=EXTRA, **fields)  # type: ignore[arg-type, call-overload]


def test_create_answers_at_once_with_every_key(client: openai.OpenAI) -> None:
    video = client.videos.create(prompt="a red ball", model="sora-2", seconds="0.5", size="64x64", extra_body=EXTRA)  # type: ignore[arg-type]
    assert video.object == "video"
    assert video.status == "queued"
    assert (video.progress, video.size, video.seconds, video.model) == (0, "64x64", "0.5", "sora-2")
    assert set(openai.types.Video.model_fields) <= set(video.model_dump())
    done = client.videos.poll(video.id)
    assert (done.status, done.progress) == ("completed", 100)
    assert done.completed_at is not None
    assert done.completed_at >= done.created_at
    assert done.model_extra is not None
    assert done.model_extra["energy"]["wall_s"] > 0
    client.videos.delete(video.id)


def test_all_variants(client: openai.OpenAI) -> None:
    video = make(client)
    mp4 = client.videos.download_content(video.id).read()
    assert mp4[4:8] == b"ftyp"
    thumbnail = Image.open(io.BytesIO(client.videos.download_content(video.id, variant="thumbnail").read()))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (64, 64))
    sheet = Image.open(io.BytesIO(client.videos.download_content(video.id, variant="spritesheet").read()))
    assert (sheet.format, sheet.size) == ("JPEG", (3 * 64, 3 * 64))  # nine frames
    client.videos.delete(video.id)


def test_list_over_pages(client: openai.OpenAI) -> None:
    ids = [client.videos.create(prompt=f"a red ball {i}", seconds="0.5", size="64x64", extra_body=EXTRA).id for i in range(5)]  # type: ignore[arg-type]
    newest = [v.id for v in client.videos.list(limit=2)]
    assert newest[:5] == ids[::-1]
    assert len(newest) == len(set(newest))
    oldest = [v.id for v in client.videos.list(limit=2, order="asc")]
    assert oldest == newest[::-1]
    page = client.videos.list(limit=2)
    assert page.has_more
    for id in ids:
        deleted = client.videos.delete(id)
        assert (deleted.id, deleted.object, deleted.deleted) == (id, "video.deleted", True)
    assert not set(ids) & {v.id for v in client.videos.list(limit=100)}


def test_remix_edit_extend(client: openai.OpenAI, server: Server) -> None:
    parent = make(client)
    remixed = client.videos.poll(client.videos.remix(parent.id, prompt="a blue ball", extra_body=EXTRA).id)
    assert (remixed.status, remixed.remixed_from_video_id, remixed.size) == ("completed", parent.id, "64x64")
    # The client's documented dict form fails inside the client, so people write the body themselves.
    edited = server.post("/v1/videos/edits", json={"prompt": "at night", "video": {"id": parent.id}, **EXTRA}).json()
    assert client.videos.poll(edited["id"]).status == "completed"
    told = client.videos.edit(prompt="at night", video=client.videos.download_content(parent.id).read(), extra_body=EXTRA)
    assert client.videos.poll(told.id).status == "completed"
    body = {"prompt": "it rolls on", "seconds": "0.5", "video": {"id": parent.id}, **EXTRA}
    longer = client.videos.poll(server.post("/v1/videos/extensions", json=body).json()["id"])
    assert (longer.status, longer.seconds) == ("completed", "1")
    again = client.videos.extend(
        prompt="on",
        seconds="0.5",
        video=client.videos.download_content(longer.id).read(),
        extra_body=EXTRA,  # type: ignore[arg-type]
    )
    assert float(client.videos.poll(again.id).seconds) == pytest.approx(17 / 16 + 0.5, abs=0.01)


def test_references(client: openai.OpenAI, server: Server, photo: Path) -> None:
    with photo.open("rb") as file:
        by_file = make(client, input_reference=file)
    assert by_file.status == "completed"
    assert any("was cut" in w for w in by_file.model_extra["warnings"])  # type: ignore[index]
    with photo.open("rb") as file:
        kept = client.files.create(file=file, purpose="vision")
    assert next(f.id for f in client.files.list(limit=1)) == kept.id
    assert client.files.content(kept.id).read() == photo.read_bytes()
    bodies: list[dict[str, object]] = [{"input_reference": {"file_id": kept.id}}, {"anchors": [{"file_id": kept.id, "at": "end"}]}]
    for extra in bodies:
        made = server.post("/v1/videos", json={"prompt": "a red ball", **FAST, **extra}).json()
        assert client.videos.poll(made["id"]).status == "completed"
    assert client.files.delete(kept.id).deleted


def test_characters(client: openai.OpenAI, footage: Path) -> None:
    with footage.open("rb") as file:
        mossy = client.videos.create_character(name="Mossy", video=file)
    assert client.videos.get_character(mossy.id).name == "Mossy"
    seen = make(client, prompt="Mossy stands on the grass")
    assert seen.status == "completed"
    (anchor,) = seen.model_extra["anchors"]  # type: ignore[index]
    assert (anchor["at"], anchor["strength"]) == ("outside", 1.0)


def test_models(client: openai.OpenAI) -> None:
    assert "spark" in [m.id for m in client.models.list()]
    assert client.models.retrieve("spark").owned_by == "kinowatt"


def test_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.videos.retrieve("video_0000000000000000")
    assert missing.value.body["type"] == "invalid_request_error"  # type: ignore[index]
    with pytest.raises(openai.BadRequestError, match="at most 60"):
        client.videos.create(prompt="a ball", seconds="601")  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="odd side"):
        client.videos.create(prompt="a ball", size="65x64")  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="not served here"):
        client.videos.create(prompt="a ball", model="veo-9")


def test_a_failed_video_is_an_answer(client: openai.OpenAI, server: Server, photo: Path) -> None:
    with photo.open("rb") as file:
        kept = client.files.create(file=file, purpose="vision")
    (server.data / "files" / kept.id).write_bytes(photo.read_bytes()[:2000])  # damaged on the way to the worker
    made = server.post("/v1/videos", json={"prompt": "a red ball", **FAST, "input_reference": {"file_id": kept.id}}).json()
    failed = client.videos.poll(made["id"])
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "invalid_reference"
    assert failed.error.message.startswith("a reference of this job is damaged")
    assert str(server.data) not in failed.error.message
    assert make(client).status == "completed", "the queue goes on"


def test_the_npm_client(server: Server, node_modules: Path, photo: Path, footage: Path, tmp_path: Path) -> None:
    script = tmp_path / "client.mjs"
    script.write_text(Path(__file__).with_name("client.mjs").read_text())
    (tmp_path / "node_modules").symlink_to(node_modules)
    env = {**os.environ, "BASE_URL": server.url + "/v1", "PHOTO": str(photo), "FOOTAGE": str(footage)}
    ran = subprocess.run(["node", str(script)], env=env, capture_output=True, text=True, timeout=180, check=False)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    said = json.loads(ran.stdout.splitlines()[-1])
    steps = "create create_and_poll retrieve variants list remix edit extend references characters delete errors"
    assert said["steps"] == steps.split()
