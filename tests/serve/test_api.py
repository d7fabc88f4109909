"""The wire: forms and JSON, errors as sentences, content with Range and ETag, events, keys and their limits, webhooks."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from sqlalchemy import update

from kinowatt.serve import auth, webhooks
from kinowatt.serve.body import BadRequest, nest
from kinowatt.serve.intake import _controls
from kinowatt.serve.orders import Order
from kinowatt.serve.schema import CreateVideo
from kinowatt.serve.tables import Delivery, Video
from kinowatt.shot import CameraKey
from serving import FAST, Server, Shop

FORM = {k: str(v) for k, v in FAST.items()}


def test_brackets() -> None:
    items = [("prompt", "x"), ("input_reference[image_url]", "u"), ("video[id]", "v"), ("characters[][id]", "a"), ("characters[][id]", "b")]
    nested = {"prompt": "x", "input_reference": {"image_url": "u"}, "video": {"id": "v"}, "characters": [{"id": "a"}, {"id": "b"}]}
    assert nest(items) == nested
    anchors = [("anchors[0][at]", "start"), ("anchors[0][file_id]", "f"), ("anchors[1][at]", "end"), ("anchors[1][file_id]", "g")]
    assert nest(anchors) == {"anchors": [{"at": "start", "file_id": "f"}, {"at": "end", "file_id": "g"}]}
    for bad in (
        [("", "x")],
        [("a[", "x")],
        [("[]", "x")],
        [("a", "x"), ("a[b]", "y")],
        [("a[b]", "x"), ("a[]", "y")],
        [("a" + "[b]" * 9, "x")],
    ):
        with pytest.raises(BadRequest):
            nest(bad)


def test_every_way_to_give_a_reference(shop: Shop, photo: Path) -> None:
    url = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
    body = {"prompt": "a red ball", **FAST}
    ways: list[dict[str, Any]] = [
        {"json": {**body, "input_reference": {"image_url": url}}},
        {"data": {**body, **FORM, "input_reference[image_url]": url}, "files": {"x": b""}},
        {"data": {**body, **FORM, "input_reference": json.dumps({"image_url": url})}},
        {"data": {**body, **FORM}, "files": {"input_reference": photo.read_bytes()}},
    ]
    for way in ways:
        answer = shop.client.post("/v1/videos", **way)
        assert answer.status_code == 200, answer.text
        assert any("was cut" in w for w in answer.json()["warnings"])
    file = shop.client.post("/v1/files", data={"purpose": "vision"}, files={"file": photo.read_bytes()}).json()
    both = {"image_url": url, "file_id": file["id"]}
    refused = shop.client.post("/v1/videos", json={**body, "input_reference": both})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input_reference")
    # The default size follows the reference's aspect.
    free = shop.client.post("/v1/videos", json={"prompt": "x ball", "input_reference": {"file_id": file["id"]}}).json()
    assert free["size"] == "320x192"
    assert free["seconds"] == "4"


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({}, "prompt", "required"),
        ({"prompt": ""}, "prompt", "at least 1"),
        ({"prompt": "   "}, None, "empty"),
        ({"prompt": "x" * 32001}, "prompt", "at most 32000"),
        ({"prompt": "x", "seconds": "601"}, "seconds", "at most 600"),
        ({"prompt": "x", "seconds": "0"}, "seconds", "more than 0"),
        ({"prompt": "x", "seconds": "soon"}, "seconds", "a number of seconds"),
        ({"prompt": "x", "size": "big"}, "size", "width x height"),
        ({"prompt": "x", "size": "9000x9000"}, None, "too large"),
        ({"prompt": "x", "model": "veo"}, None, "not served here"),
        ({"prompt": "x", "camera": {"move": "sideways"}}, None, "camera move 'sideways' is unknown"),
        ({"prompt": "x", "mood": "grumpy"}, None, "use one of lonely"),
        ({"prompt": "x", "seed": -1}, "seed", "greater than or equal"),
        ({"prompt": "x", "anchors": [{"file_id": "file_00000000", "at": "middle"}]}, "anchors.0.at", "'start'"),
        ({"prompt": "x", "anchors": [{"file_id": "file_00000000"}]}, None, "there is no file"),
        ({"prompt": "\ud800"}, None, "unicode"),
    ],
)
def test_bad_requests_get_one_clear_sentence(shop: Shop, body: dict[str, Any], param: str | None, said: str) -> None:
    answer = shop.client.post("/v1/videos", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert said in error["message"], error
    assert param is None or error["param"] == param
    assert shop.client.get("/v1/videos").json()["data"] == []


def test_a_storyboard_and_a_camera_path_reach_the_shot(shop: Shop) -> None:
    body: dict[str, Any] = {
        "prompt": "a red ball at noon",
        "seconds": "4",
        "storyboard": [{"at_s": 2, "prompt": "a red ball at night"}],
        "enlarge": "lanczos",
        "camera": {"path": [{"at_s": at, "position": [at, -4, 1], "look_at": [0, 0, 0.3]} for at in (0, 2)]},
    }
    order = Order("spark", body["prompt"], **_controls(CreateVideo.model_validate(body)))
    shot = Order.from_json(json.loads(json.dumps(order.to_json()))).shot([])
    assert shot.storyboard == ((2.0, "a red ball at night"),)
    assert shot.enlarge == "lanczos"
    assert shot.camera.path[1] == CameraKey(2.0, (2.0, -4.0, 1.0), (0.0, 0.0, 0.3))
    answer = shop.client.post("/v1/videos", json=body)
    assert answer.status_code == 200, answer.text


def test_other_faults_have_the_same_form(shop: Shop) -> None:
    for method, path, status in [
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/videos", 405),
        ("GET", "/v1/videos/video_00%00", 404),
        ("GET", "/v1/videos/..%2f..%2fetc%2fpasswd/content", 404),
        ("GET", "/v1/videos?limit=0", 400),
        ("GET", "/v1/videos?after=video_nope", 404),
        ("GET", "/v1/videos?order=up", 400),
        ("GET", "/studio/../app.py", 404),
    ]:
        answer = shop.client.request(method, path)
        assert answer.status_code == status, path
        if path.startswith("/v1"):
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    for content in (b"[1]", b"{", b"\xff\xfe", b'{"prompt": 1e999}', b"[" * 100_000):
        answer = shop.client.post("/v1/videos", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 400, content[:20]


def test_a_body_beyond_the_limit_is_refused_however_it_comes(server: Server) -> None:
    def endless() -> Any:
        for _ in range(80):
            yield b"x" * 2**20

    answer = server.post("/v1/files", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code in (400, 413)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n{}")
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_idempotency_key(shop: Shop, photo: Path) -> None:
    def send(prompt: str, key: str) -> httpx.Response:
        with photo.open("rb") as file:
            form = {"data": {"prompt": prompt, **FORM}, "files": {"input_reference": file}}
            return shop.client.post("/v1/videos", headers={"Idempotency-Key": key}, **form)  # type: ignore[arg-type]

    first, again, other = send("a ball", "k1"), send("a ball", "k1"), send("a cube", "k1")
    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 409
    assert len(shop.client.get("/v1/videos").json()["data"]) == 1
    assert len(list((shop.office.store.data / "files").iterdir())) == 1, "what was sent twice is kept once"
    assert send("a ball", "k2").json()["id"] != first.json()["id"]


def test_content(shop: Shop) -> None:
    id = shop.create()["id"]
    early = shop.client.get(f"/v1/videos/{id}/content")
    assert early.status_code == 404
    assert "is queued" in early.json()["error"]["message"]
    shop.work()
    whole = shop.client.get(f"/v1/videos/{id}/content", headers={"Accept": "application/binary"})
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    part = shop.client.get(f"/v1/videos/{id}/content", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole.content)}"
    assert shop.client.get(f"/v1/videos/{id}/content", headers={"Range": "bytes=99999999-"}).status_code == 416
    known = shop.client.get(f"/v1/videos/{id}/content", headers={"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert shop.client.get(f"/v1/videos/{id}/content?variant=gif").status_code == 400
    types = {v: shop.client.get(f"/v1/videos/{id}/content?variant={v}").headers["content-type"] for v in ("thumbnail", "spritesheet")}
    assert types == {"thumbnail": "image/webp", "spritesheet": "image/jpeg"}


def test_events(server: Server) -> None:
    id = server.post("/v1/videos", json={"prompt": "a red ball", "size": "128x128", "seconds": "2", "steps": 300}).json()["id"]
    seen: list[dict[str, Any]] = []
    with httpx.stream("GET", f"{server.url}/v1/videos/{id}/events", timeout=60.0) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
    assert seen[-1]["status"] == "completed"
    steps = [v["progress"] for v in seen]
    assert steps == sorted(steps)
    assert any(0 < v["progress"] < 100 for v in seen)
    looks = [v["preview"] for v in seen if "preview" in v]
    assert looks
    assert base64.b64decode(looks[0].split(",")[1])[8:12] == b"WEBP"


def test_keys(shop: Shop) -> None:
    mine, other = auth.create(shop.office.database, "mine"), auth.create(shop.office.database, "other", wh_per_day=0.5, rpm=6)
    assert shop.client.get("/v1/videos").status_code == 401
    me, them = ({"Authorization": f"Bearer {key}"} for key in (mine, other))
    assert shop.client.get("/v1/videos", headers={"Authorization": "Bearer kw-wrong"}).json()["error"]["code"] == "invalid_api_key"
    made = shop.client.post("/v1/videos", json={"prompt": "a ball", **FAST}, headers=me).json()
    for path in (f"/v1/videos/{made['id']}", f"/v1/videos/{made['id']}/content", f"/v1/videos/{made['id']}/events"):
        assert shop.client.get(path, headers=them).status_code == 404
    assert shop.client.get("/v1/videos", headers=them).json()["data"] == []
    assert shop.client.get(f"/v1/videos/{made['id']}", headers=me).status_code == 200
    statuses = [shop.client.get("/v1/videos", headers=them) for _ in range(4)]
    assert [a.status_code for a in statuses] == [200, 200, 429, 429]
    assert int(statuses[-1].headers["retry-after"]) <= 11
    assert mine.encode() not in (shop.office.store.data / "kinowatt.db").read_bytes()
    auth.revoke(shop.office.database, "mine")
    shop.office.door._known.clear()
    assert shop.client.get("/v1/videos", headers=me).status_code == 401


def test_the_energy_of_a_day(shop: Shop) -> None:
    key = auth.create(shop.office.database, "small", wh_per_day=1e-7)
    me = {"Authorization": f"Bearer {key}"}
    first = shop.client.post("/v1/videos", json={"prompt": "a ball", **FAST}, headers=me)
    assert first.status_code == 200
    shop.work()
    refused = shop.client.post("/v1/videos", json={"prompt": "a ball", **FAST}, headers=me)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert "midnight UTC" in refused.json()["error"]["message"]


class _Taker(BaseHTTPRequestHandler):
    """Takes events, and is out of order at first."""

    taken: list[tuple[dict[str, str], bytes]] = []
    busy = 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if type(self).busy:
            type(self).busy -= 1
            self.send_response(503)
        else:
            self.taken.append((dict(self.headers), body))
            self.send_response(200)
        self.end_headers()

    def log_message(self, *given: object) -> None:
        return


def test_webhooks_verify_with_the_official_client(shop: Shop) -> None:
    taker = HTTPServer(("127.0.0.1", 0), _Taker)
    threading.Thread(target=taker.serve_forever, daemon=True).start()
    secret = webhooks.add(shop.office.database, f"http://127.0.0.1:{taker.server_port}/", None).secret
    done, failed = shop.create()["id"], shop.create()["id"]
    shop.client.post(f"/v1/videos/{failed}/cancel")
    shop.work()
    assert webhooks.deliver(shop.office.database) == 1  # the other was refused
    assert webhooks.deliver(shop.office.database) == 0  # and is not yet due
    with shop.office.database.write() as session:
        for delivery in session.query(Delivery):
            delivery.next_at = delivery.next_at and 0.0
    assert webhooks.deliver(shop.office.database) == 1
    assert webhooks.deliver(shop.office.database) == 0
    client = openai.OpenAI(api_key="unused", webhook_secret=secret)
    events = {e.type: e for e in (client.webhooks.unwrap(body, headers) for headers, body in _Taker.taken)}
    assert set(events) == {"video.completed", "video.failed"}
    assert events["video.completed"].data.id == done  # type: ignore[union-attr]
    assert events["video.failed"].data.id == failed  # type: ignore[union-attr]
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(_Taker.taken[0][1] + b" ", _Taker.taken[0][0])
    taker.shutdown()
    taker.server_close()
    client.close()


def test_lexicon_and_health_and_metrics(shop: Shop) -> None:
    text = "A Red ball, 孤獨 flumph"
    read = shop.client.get("/v1/lexicon", params={"text": text}).json()
    assert [text[a:b] for a, b, _ in read["spans"]] == ["Red", "ball", "孤獨", "flumph"]
    assert [t for *_, t in read["spans"]] == ["color=red", "kind=ball", "mood=lonely", None]
    assert read["not_understood"] == ["flumph"]
    shop.create()
    shop.work()
    assert shop.client.get("/healthz").json()["queue"] == {"queued": 0, "in_progress": 0}
    told = shop.client.get("/metrics").text
    assert 'kinowatt_videos{status="completed"} 1.0' in told
    assert 'kinowatt_request_seconds_count{method="POST",route="/v1/videos",status="200"} 1.0' in told
    watt_hours = float(next(line.split()[1] for line in told.splitlines() if line.startswith("kinowatt_energy_watt_hours_total")))
    assert watt_hours > 0
    page = shop.client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_bytes_of_deleted_files_go_a_round_later(shop: Shop, photo: Path) -> None:
    id = shop.client.post("/v1/files", data={"purpose": "vision"}, files={"file": photo.read_bytes()}).json()["id"]
    assert shop.client.delete(f"/v1/files/{id}").json()["deleted"]
    assert shop.client.get(f"/v1/files/{id}").status_code == 404
    path = shop.office.store.file(id)
    shop.office.files.sweep()
    assert path.exists()
    shop.office.files.sweep()
    assert not path.exists()


def hourly(path: Path, begin_s: float, values: list[int]) -> str:
    """A CSV of carbon intensities, hour by hour."""
    rows = [f"{time.strftime('%Y-%m-%dT%H:00:00Z', time.gmtime(begin_s + 3600 * i))},{value}" for i, value in enumerate(values)]
    path.write_text("\n".join(["datetime,gCO2e_per_kWh", *rows]) + "\n")
    return str(path)


def test_a_deadline_finds_the_greenest_hour(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hour = time.time() // 3600 * 3600
    monkeypatch.setenv("KINOWATT_INTENSITY_CSV", hourly(tmp_path / "grid.csv", hour, [500, 400, 90, 300, 50, 600]))
    video = shop.create(deadline=hour + 4 * 3600)
    assert hour + 2 * 3600 <= video["not_before"] < hour + 3 * 3600  # type: ignore[operator]
    assert any("greenest" in w and "90 g" in w for w in video["warnings"])  # type: ignore[union-attr]
    assert shop.work() == 0
    late = shop.client.post("/v1/videos", json={"prompt": "a ball", **FAST, "deadline": time.time() - 5})
    assert late.status_code == 400
    assert late.json()["error"]["param"] in ("deadline", None)
    shop.create()
    assert shop.work() == 1
    done = next(v for v in shop.client.get("/v1/videos").json()["data"] if v["status"] == "completed")
    assert done["energy"]["intensity_gCO2e_per_kWh"] == 500
    assert "grid.csv" in done["energy"]["intensity_source"]


def test_without_hours_a_deadline_changes_nothing_and_says_so(shop: Shop) -> None:
    video = shop.create(deadline=time.time() + 9e4)
    assert video["not_before"] is None
    assert any("annual mean" in w for w in video["warnings"])  # type: ignore[union-attr]
    assert shop.work() == 1


def test_the_carbon_of_a_day(shop: Shop) -> None:
    key = auth.create(shop.office.database, "green", gco2e_per_day=1e-9)
    me = {"Authorization": f"Bearer {key}"}
    assert shop.client.post("/v1/videos", json={"prompt": "a ball", **FAST}, headers=me).status_code == 200
    shop.work()
    refused = shop.client.post("/v1/videos", json={"prompt": "a ball", **FAST}, headers=me)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert "g CO2e a day" in refused.json()["error"]["message"]


def test_a_job_waits_until_its_hour(shop: Shop) -> None:
    """A job that waits for greener electricity is not taken before then, and holds nobody up."""
    later, now = shop.create()["id"], shop.create()["id"]
    with shop.office.database.write() as session:
        session.execute(update(Video).where(Video.id == later).values(not_before=time.time() + 3600))
    assert shop.work() == 1
    assert shop.video(now)["status"] == "completed"
    assert shop.video(later)["status"] == "queued"
    with shop.office.database.write() as session:
        session.execute(update(Video).where(Video.id == later).values(not_before=time.time() - 1))
    assert shop.work() == 1
    assert shop.video(later)["status"] == "completed"
