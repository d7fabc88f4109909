"""Models are fetched from a Hub (a stand-in on this machine): what is needed, with progress, taken up again, and checked by hash."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kinowatt import places
from kinowatt.errors import MissingDependency, OutputError, WeightsError
from kinowatt.models import hub, wan_specs

huggingface_hub = pytest.importorskip("huggingface_hub", reason="names are fetched with kinowatt[wan]")

REPOSITORY = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "model_index.json": b'{"_class_name": "WanPipeline"}',
    "transformer/config.json": b"{}",
    "transformer/diffusion_pytorch_model.safetensors": bytes(range(256)) * 4000,
    "vae/diffusion_pytorch_model.safetensors": b"vae" * 9000,
    "tokenizer/spiece.model": b"pieces",
    "README.md": b"read me",
    "pytorch_model.bin": b"\x80\x04 a pickle",
}
WANTED = set(FILES) - {"README.md", "pytorch_model.bin"}
BIG = "transformer/diffusion_pytorch_model.safetensors"


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub:
    """As much of the Hub's API as its library asks for, with ways to fail."""

    def __init__(self) -> None:
        self.files, self.asked = dict(FILES), list[tuple[str, str, str | None]]()
        self.breaks: dict[str, int] = {}  # file to the number of times that its connection breaks half-way
        self.refused: dict[str, int] = {}  # file, or "" for the description, to a status
        self.false: dict[str, bytes] = {}  # what is sent in the place of a file

    def description(self) -> dict[str, Any]:
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": [self._row(n, "rfilename", "blobId", "sha256") for n in self.files]}

    def tree(self) -> list[dict[str, Any]]:
        return [{"type": "file", **self._row(name, "path", "oid", "oid")} for name in self.files]

    def _row(self, name: str, named: str, id_named: str, hash_named: str) -> dict[str, Any]:
        content = self.files[name]
        row: dict[str, Any] = {named: name, "size": len(content), id_named: blob(content)}
        if name.endswith((".safetensors", ".bin")):
            row["lfs"] = {"size": len(content), hash_named: hashlib.sha256(content).hexdigest(), "pointerSize": 130}
        return row

    def sent(self, method: str = "GET") -> list[str]:
        """The files whose content was asked for."""
        return [name for verb, name, _ in self.asked if verb == method and name in self.files]


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        name = path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/") if "/resolve/" in path else ""
        self.hub.asked.append((self.command, name or path, self.headers.get("Range")))
        if status := self.hub.refused.get(name):
            self._send(status, b"{}", body, {"X-Error-Code": "RepoNotFound"} if status == 404 else {})
        elif name in self.hub.files:
            self._file(name, body)
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            rows: Any = self.hub.tree() if "/tree/" in path else self.hub.description()
            self._send(200, json.dumps(rows).encode(), body, {"Content-Type": "application/json"})
        else:
            self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})

    def _file(self, name: str, body: bool) -> None:
        content = self.hub.files[name]
        lfs = name.endswith((".safetensors", ".bin"))
        etag = hashlib.sha256(content).hexdigest() if lfs else blob(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if lfs:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        sent, status = self.hub.false.get(name, content), 200
        if asked := self.headers.get("Range"):
            begin = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {begin}-{len(sent) - 1}/{len(sent)}"
            sent, status = sent[begin:], 206
        left = self.hub.breaks.get(name, 0)
        if body and left:
            self.hub.breaks[name] = left - 1
            self._send(status, sent, False, headers)
            self.wfile.write(sent[: len(sent) // 2])
            self.close_connection = True
            return
        self._send(status, sent, body, headers)

    def _send(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def ask_at(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens at 9, the port of "discard"."""
    constants, url = "huggingface_hub.constants", f"http://127.0.0.1:{port}"
    monkeypatch.setattr(f"{constants}.ENDPOINT", url)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a Hub that nobody answers for."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    ask_at(9, monkeypatch)
    monkeypatch.setattr("huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE", {})
    monkeypatch.setenv(places.CACHE_VARIABLE, str(tmp_path / "own"))
    return tmp_path


@pytest.fixture
def server(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThisTest", (Handler,), {"hub": made}))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    ask_at(http.server_port, monkeypatch)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    yield made
    http.shutdown()
    thread.join()
    http.server_close()


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_needed_is_fetched_and_no_pickle(server: Hub) -> None:
    told: list[tuple[int, int]] = []
    assert hub.local(REPOSITORY) is None
    folder = hub.fetch(REPOSITORY, lambda here, total: told.append((here, total)))
    assert files_in(folder) == {name: FILES[name] for name in WANTED}
    assert set(server.sent()) == set(server.sent("HEAD")) == WANTED, "a pickle is not even asked about"
    total = sum(len(FILES[name]) for name in WANTED)
    assert told[0] == (0, total)
    assert told[-1] == (total, total)
    assert told == sorted(told)
    assert hub.local(REPOSITORY) == folder
    assert wan_specs.find("wan2.2-ti2v-5b") == folder


def test_a_known_name_is_fetched_when_that_is_asked_for(server: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsError, match="hf download"):
        wan_specs.find("wan2.2-ti2v-5b")
    assert server.asked == []
    folder = wan_specs.find("wan2.2-ti2v-5b", download=True, progress=lambda here, total: None)
    assert set(files_in(folder)) == WANTED
    asked = len(server.asked)
    assert wan_specs.find("wan2.2-ti2v-5b", download=True) == folder
    assert len(server.asked) == asked, "what is complete is not asked for again"
    assert capfd.readouterr() == ("", ""), "where progress is told, no bar is drawn"


def test_a_connection_that_breaks_is_taken_up_at_the_byte(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what has come of a chunk is lost; it has 10 MB
    server.breaks[BIG] = 2
    told: list[int] = []
    folder = hub.fetch(REPOSITORY, lambda here, total: told.append(here))
    assert (folder / BIG).read_bytes() == FILES[BIG]
    half = len(FILES[BIG]) // 2
    ranges = [asked for verb, name, asked in server.asked if verb == "GET" and name == BIG]
    assert ranges == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]
    assert told[-1] == sum(len(FILES[name]) for name in WANTED)
    assert told == sorted(told), "no byte counts twice"


def test_a_run_that_failed_leaves_whole_files_and_the_next_fetches_the_rest(server: Hub) -> None:
    server.refused[BIG] = 403
    with pytest.raises(WeightsError, match=f"{REPOSITORY} cannot be fetched .*hf download {REPOSITORY}"):
        hub.fetch(REPOSITORY)
    assert hub.local(REPOSITORY) is None, "half a model is none"
    server.refused.clear()
    before = set(server.sent()) - {BIG}
    server.asked.clear()
    told: list[int] = []
    folder = hub.fetch(REPOSITORY, lambda here, total: told.append(here))
    assert files_in(folder) == {name: FILES[name] for name in WANTED}
    assert set(server.sent()) == WANTED - before
    assert told[0] == sum(len(FILES[name]) for name in before)


@pytest.mark.parametrize("name", [BIG, "transformer/config.json"])
def test_a_file_with_another_hash_is_refused_deleted_and_fetched_anew(server: Hub, name: str) -> None:
    server.false[name] = b"[" * len(FILES[name])
    with pytest.raises(WeightsError, match=f"{name} of {REPOSITORY} came damaged") as error:
        hub.fetch(REPOSITORY)
    assert "\n" not in str(error.value)
    assert hub.local(REPOSITORY) is None
    server.false.clear()
    server.asked.clear()
    assert (hub.fetch(REPOSITORY) / name).read_bytes() == FILES[name]
    assert server.sent() == [name], "only that one"


def test_a_file_is_hashed_once_and_again_when_it_changed(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    real = hub._hash
    monkeypatch.setattr(hub, "_hash", lambda path, kind: hashed.append(kind) or real(path, kind))
    folder = hub.fetch(REPOSITORY)
    assert len(hashed) == len(WANTED)
    hub.fetch(REPOSITORY)
    assert len(hashed) == len(WANTED)
    (folder / BIG).resolve().write_bytes(b"x" * len(FILES[BIG]))
    with pytest.raises(WeightsError, match="damaged"):
        hub.fetch(REPOSITORY)
    assert len(hashed) == len(WANTED) + 1


def test_without_room_nothing_is_fetched(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
        with pytest.raises(OutputError, match=r"needs 0\.0 GB more .* make room"):
            hub.fetch(REPOSITORY)
    assert server.sent() == []

    def full(*args: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(OutputError, match="disk became full while"):
        hub.fetch(REPOSITORY)


def test_a_cache_that_cannot_be_written_is_one_sentence(server: Hub, place: Path) -> None:
    (place / "cache").write_text("a file where the cache should be", encoding="utf-8")
    with pytest.raises((OutputError, WeightsError), match=REPOSITORY) as error:
        hub.fetch(REPOSITORY)
    assert "\n" not in str(error.value)


def test_a_machine_without_a_network_is_told_what_to_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=f"on a machine with a network run hf download {REPOSITORY} and name its folder") as error:
        hub.fetch(REPOSITORY)
    assert "\n" not in str(error.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="hf download"):
        hub.fetch(REPOSITORY)


def test_what_is_here_is_found_without_a_network(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub.fetch(REPOSITORY)
    ask_at(9, monkeypatch)
    assert wan_specs.find("wan2.2-ti2v-5b", download=True) == folder


def test_repositories_that_cannot_be_had_are_one_sentence(server: Hub) -> None:
    with pytest.raises(WeightsError, match="no repository Wan-AI/other"):
        hub.fetch("Wan-AI/other")
    with pytest.raises(WeightsError, match="no repository"):
        hub.fetch("not/a/repository")
    server.refused[""] = 500
    with pytest.raises(WeightsError, match="cannot be fetched") as error:
        hub.fetch(REPOSITORY)
    assert "\n" not in str(error.value)
    server.refused.clear()
    for name in (BIG, "vae/diffusion_pytorch_model.safetensors"):
        del server.files[name]
    with pytest.raises(WeightsError, match=r"holds no \.safetensors files"):
        hub.fetch(REPOSITORY)
    assert server.sent() == []


def test_without_the_library_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for ask in (hub.fetch, hub.local):
        with pytest.raises(MissingDependency, match=r"kinowatt\[wan\]"):
            ask(REPOSITORY)


def test_no_torch() -> None:
    code = "import sys, kinowatt.models.hub; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
