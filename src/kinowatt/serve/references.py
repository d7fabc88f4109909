"""References from outside: fetched, bounded and looked at before anything of them is decoded.

Limits are on bytes while they arrive, then on the pixels and seconds that the file's header claims. Addresses are resolved first, and
the connection goes to the address that was checked: a name that resolves differently a moment later gains nothing.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import av
import httpx
from PIL import Image

from kinowatt.errors import MediaError, PromptError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000  # of one frame; a 4K frame has 8.3 million
MAX_SECONDS = 180.0
MAX_REDIRECTS = 3
TIMEOUT_S = 20.0
_IMAGES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_CONTAINERS = {"mov": "video/mp4", "mp4": "video/mp4", "matroska": "video/x-matroska", "webm": "video/webm", "avi": "video/x-msvideo"}


@dataclass(frozen=True)
class Looked:
    """What a file's header says. Sizes in pixels."""

    media_type: str
    width: int
    height: int
    seconds: float  # 0 for an image

    @property
    def is_image(self) -> bool:
        """Whether it is a picture rather than footage."""
        return self.media_type.startswith("image/")


def look(path: Path, name: str = "the reference") -> Looked:
    """Check a file by its header alone. MediaError if it is neither an image nor a video, or too large to take."""
    looked = _as_image(path, name) or _as_video(path, name)
    if looked.width * looked.height > MAX_PIXELS:
        raise MediaError(f"{name} has {looked.width}x{looked.height} pixels; at most {MAX_PIXELS // 1_000_000} million are taken")
    if looked.seconds > MAX_SECONDS:
        raise MediaError(f"{name} lasts {looked.seconds:.0f} s; at most {MAX_SECONDS:.0f} s are taken, so cut it first")
    return looked


def _as_image(path: Path, name: str) -> Looked | None:
    try:
        with Image.open(path, formats=tuple(_IMAGES)) as picture:  # reads the header only
            return Looked(_IMAGES[str(picture.format)], picture.width, picture.height, 0.0)
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name} has too many pixels; at most {MAX_PIXELS // 1_000_000} million are taken") from error
    except (OSError, ValueError, SyntaxError):
        return None  # Pillow's ways of saying that it is no image; it may be a video


def _as_video(path: Path, name: str) -> Looked:
    wanted = f"{name} is neither an image (PNG, JPEG, WebP) nor a video (MP4, MOV, WebM, MKV) that can be read"
    try:
        with av.open(str(path), options={"probesize": "1000000", "analyzeduration": "1000000"}) as file:
            kind = next((t for key, t in _CONTAINERS.items() if key in file.format.name.split(",")), None)
            if kind is None or not file.streams.video:
                raise MediaError(wanted)
            stream = file.streams.video[0]
            times = [float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0]
            times += [file.duration / 1e6 if file.duration else 0.0]
            return Looked(kind, stream.codec_context.width, stream.codec_context.height, max(times))
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        raise MediaError(wanted) from error


def from_data_url(url: str, to: Path) -> None:
    """Write the bytes of a data URL. MediaError if it holds none, or too many."""
    match = re.match(r"data:([\w.+/-]*)((?:;[\w.+=-]+)*?)(;base64)?,", url[:300])
    if match is None:
        raise MediaError("the data URL is not understood; write data:image/png;base64,…")
    body = url[match.end() :]
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise MediaError(f"the data URL holds more than {MAX_BYTES // 2**20} MiB")
    try:
        content = base64.b64decode(re.sub(r"\s+", "", body), validate=True) if match[3] else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise MediaError("the data URL is not valid base64") from error
    to.write_bytes(content)


def fetch(url: str, to: Path, *, allow_private: bool = False) -> None:
    """Fetch an http(s) URL into a file. MediaError if it may not be fetched, does not answer, or is too large."""
    for _ in range(MAX_REDIRECTS + 1):
        redirect = _fetch_once(url, to, allow_private)
        if redirect is None:
            return
        url = urljoin(url, redirect)
    raise MediaError(f"the URL redirects more than {MAX_REDIRECTS} times")


def _fetch_once(url: str, to: Path, allow_private: bool) -> str | None:
    """One request: None when the file is written, or where the answer points."""
    host, address, port = resolve(url, allow_private=allow_private)
    parts = urlsplit(url)
    pinned = httpx.URL(url).copy_with(host=address, port=port)
    name = f"[{host}]" if ":" in host else host
    headers = {"Host": name if parts.port is None else f"{name}:{parts.port}", "User-Agent": "kinowatt", "Accept": "image/*, video/*"}
    try:
        with (
            httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            if answer.is_redirect:
                return str(answer.headers.get("location", ""))
            if answer.status_code != 200:
                raise MediaError(f"the URL answers {answer.status_code}; it must give the file itself")
            total = 0
            with to.open("wb") as file:
                for chunk in answer.iter_raw(2**16):
                    total += len(chunk)
                    if total > MAX_BYTES:
                        raise MediaError(f"the URL gives more than {MAX_BYTES // 2**20} MiB")
                    file.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise MediaError(f"the URL could not be fetched: {error or type(error).__name__}") from error
    return None


def resolve(url: str, *, allow_private: bool = False) -> tuple[str, str, int]:
    """Host, the address to connect to, and port of an http(s) URL. MediaError if an address of it is not public."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise MediaError("the URL is not valid") from error
    if parts.scheme not in ("http", "https") or not host:
        raise MediaError("the URL must begin with http://, https:// or data:")
    try:
        found = {str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise MediaError(f"the host {host[:100]!r} is not known") from error
    addresses = [ipaddress.ip_address(a.split("%")[0]) for a in sorted(found)]
    if not allow_private and not all(_is_public(a) for a in addresses):
        raise MediaError("the URL points to a private or local address, which this server does not fetch")
    return host, str(addresses[0]), port


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def clean_filename(name: str | None) -> str:
    """A name to show, never a path: no folders, no control characters."""
    last = (name or "upload").replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in last if c.isprintable() and c not in '"<>|:*?').strip(". ")
    return kept[:200] or "upload"


def check_name(name: str) -> str:
    """A character's name: 1 to 80 characters that can stand in a prompt."""
    if not 1 <= len(name.strip()) <= 80:
        raise PromptError("a character's name has 1 to 80 characters")
    return name.strip()
