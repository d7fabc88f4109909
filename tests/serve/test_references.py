"""Hostile references: a 4xx with a sentence each, and no memory spent on them."""

from __future__ import annotations

import base64
import io
import resource
import socket
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kinowatt.errors import MediaError
from kinowatt.serve import references
from serving import FAST, Shop


def huge_png(side: int = 50_000) -> bytes:
    """A PNG whose header claims side x side pixels; all its rows are one short, well compressed lie."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def long_mp4(footage: Path, hours: float = 10.0) -> bytes:
    """A real clip whose headers claim to last ten hours."""
    data = bytearray(footage.read_bytes())
    for name, scale_at in ((b"mvhd", 16), (b"mdhd", 16)):
        at = data.find(name)
        scale = struct.unpack_from(">I", data, at + scale_at)[0]
        struct.pack_into(">I", data, at + scale_at + 4, min(int(hours * 3600 * scale), 2**32 - 1))
    at = data.find(b"tkhd")
    movie_scale = struct.unpack_from(">I", data, data.find(b"mvhd") + 16)[0]
    struct.pack_into(">I", data, at + 24, int(hours * 3600 * movie_scale))
    at = data.find(b"elst")
    if at > 0:
        struct.pack_into(">I", data, at + 12, int(hours * 3600 * movie_scale))
    at = data.find(b"stts")  # the frames' own durations
    media_scale = struct.unpack_from(">I", data, data.find(b"mdhd") + 16)[0]
    count = struct.unpack_from(">I", data, at + 12)[0]
    struct.pack_into(">I", data, at + 16, int(hours * 3600 * media_scale / count))
    return bytes(data)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("video.mp4", b"not a video")
    return file.getvalue()


def peak_MiB() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("name", ["huge.png", "long.mp4", "zip.mp4", "empty.png", "text.jpg", "playlist.m3u8", "concat.txt"])
def test_hostile_files(shop: Shop, name: str, footage: Path) -> None:
    content = {
        "huge.png": huge_png(),
        "long.mp4": long_mp4(footage),
        "zip.mp4": zipped(),
        "empty.png": b"",
        "text.jpg": b"GIF89a<script>alert(1)</script>",
        "playlist.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.txt": b"ffconcat version 1.0\nfile /etc/passwd\n",
    }[name]
    before = peak_MiB()
    for send in (
        lambda: shop.client.post("/v1/videos", data={"prompt": "x"}, files={"input_reference": (name, content)}),
        lambda: shop.client.post("/v1/files", data={"purpose": "vision"}, files={"file": (name, content)}),
        lambda: shop.client.post("/v1/videos/edits", data={"prompt": "x"}, files={"video": (name, content)}),
    ):
        answer = send()
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].count(".") <= 1
    assert peak_MiB() - before < 32, "its header is enough to refuse it"
    kept = [p for folder in ("files", "incoming") for p in (shop.office.store.data / folder).iterdir()]
    assert kept == [], "nothing of it is kept"


def test_names_are_never_paths(shop: Shop, photo: Path) -> None:
    for name in ("../../etc/passwd", "..\\..\\x.png", "/etc/shadow", "a\0b.png", "", "....", "<script>.png"):
        answer = shop.client.post("/v1/files", data={"purpose": "vision"}, files={"file": (name, photo.read_bytes())})
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 200:
            shown = answer.json()["filename"]
            assert not set(shown) & set('/\\<>\0"')
            assert shop.client.get(f"/v1/files/{answer.json()['id']}/content").content == photo.read_bytes()
    outside = list(shop.office.store.data.parent.rglob("passwd*"))
    assert outside == []


class _Web(BaseHTTPRequestHandler):
    """A web server that plays tricks."""

    photo = b""

    def do_GET(self) -> None:
        if self.path.startswith("/to-loopback"):
            self.send_response(302)
            self.send_header("location", "http://127.0.0.1:1/secret.png")
            self.end_headers()
        elif self.path.startswith("/around"):
            self.send_response(302)
            self.send_header("location", "/around")
            self.end_headers()
        elif self.path.startswith("/endless"):
            self.send_response(200)
            self.end_headers()
            with_room = 2 * references.MAX_BYTES
            try:
                for _ in range(with_room // 2**20):
                    self.wfile.write(b"\0" * 2**20)
            except OSError:
                return
        else:
            self.send_response(200)
            self.send_header("content-length", str(len(self.photo)))
            self.end_headers()
            self.wfile.write(self.photo)

    def log_message(self, *given: object) -> None:
        return


@pytest.fixture
def web(photo: Path) -> Iterator[str]:
    _Web.photo = photo.read_bytes()
    served = HTTPServer(("127.0.0.1", 0), _Web)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


def ask(shop: Shop, url: str) -> tuple[int, str]:
    answer = shop.client.post("/v1/videos", json={"prompt": "a ball", **FAST, "input_reference": {"image_url": url}})
    return answer.status_code, answer.json().get("error", {}).get("message", "")


def test_addresses_that_are_not_fetched(shop: Shop, web: str) -> None:
    port = web.split(":")[1]
    for host in (
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "[fd00::1]",
    ):
        status, said = ask(shop, f"http://{host}:{port}/photo.png")
        assert status == 400, host
        assert "private or local address" in said or "is not known" in said, (host, said)
    for url in ("ftp://example.com/x", "file:///etc/passwd", "http://", "http://[::1", "javascript:1", "http://user@:80/x"):
        assert ask(shop, url)[0] == 400, url


def test_a_redirect_to_loopback_is_not_followed(shop: Shop, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public host (here: a name that resolves to the test's server, taken for public) that points inside."""
    port = int(web.split(":")[1])
    found = socket.getaddrinfo
    public = references._is_public

    def resolve(host: str, *given: object, **more: object) -> object:
        return found("127.0.0.1" if host == "evil.example" else host, *given, **more)  # type: ignore[arg-type]

    seen: list[str] = []

    def taken_for_public(address: object) -> bool:
        seen.append(str(address))
        return len(seen) == 1 or public(address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(references, "_is_public", taken_for_public)
    status, said = ask(shop, f"http://evil.example:{port}/to-loopback")
    assert (status, len(seen)) == (400, 2)
    assert "private or local address" in said


def test_what_the_web_gives_is_bounded(web: str, tmp_path: Path, photo: Path) -> None:
    before = peak_MiB()
    references.fetch(f"http://{web}/photo.png", tmp_path / "x", allow_private=True)
    assert (tmp_path / "x").read_bytes() == photo.read_bytes()
    with pytest.raises(MediaError, match="more than 64 MiB"):
        references.fetch(f"http://{web}/endless", tmp_path / "x", allow_private=True)
    with pytest.raises(MediaError, match="redirects more than"):
        references.fetch(f"http://{web}/around", tmp_path / "x", allow_private=True)
    with pytest.raises(MediaError, match="could not be fetched"):
        references.fetch("http://127.0.0.1:1/x", tmp_path / "x", allow_private=True)
    assert peak_MiB() - before < 32


def test_data_urls(tmp_path: Path) -> None:
    to = tmp_path / "x"
    references.from_data_url("data:image/png;base64," + base64.b64encode(b"hi").decode(), to)
    assert to.read_bytes() == b"hi"
    references.from_data_url("data:text/plain,hi%20there", to)
    assert to.read_bytes() == b"hi there"
    for bad in ("data:", "data:image/png;base64,###", "data:image/png;base64,abc", "data" * 1000):
        with pytest.raises(MediaError):
            references.from_data_url(bad, to)
