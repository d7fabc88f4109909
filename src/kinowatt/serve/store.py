"""The data folder: uploaded files, and per video its state while it is made and its outputs when it is done.

files/ID                      an uploaded file or stored reference
videos/ID/state.safetensors   latents between two steps, so that a killed job goes on
videos/ID/rolling/            frames and latents of a long clip, as far as they are made
videos/ID/preview.webp        a look at what it will become
videos/ID/CLAIM/              the outputs of the worker that finished it
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from pathlib import Path

from kinowatt.errors import OutputError

ROLLING = "rolling"  # what the window of a long clip has left behind
VIDEO, THUMBNAIL, SPRITESHEET, LATENTS = "video.mp4", "thumbnail.webp", "spritesheet.jpg", "latents.safetensors"
_ID = re.compile(r"[a-z]+_[0-9a-f]{8,64}")


def new_id(kind: str) -> str:
    """A name that nobody guesses, for example video_3f…"""
    return f"{kind}_{secrets.token_hex(16)}"


class Store:
    """Paths in the data folder. Ids are checked here, so that no name from outside ever becomes a path."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        try:
            for name in ("files", "videos", "incoming"):
                (self.data / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the data folder {data} cannot be made: {error.strerror}; choose another with --data") from error

    def file(self, id: str) -> Path:
        """Where the bytes of a file lie."""
        return self.data / "files" / _checked(id)

    def video(self, id: str) -> Path:
        """The folder of a video."""
        return self.data / "videos" / _checked(id)

    def incoming(self) -> Path:
        """A new path for bytes that are on their way in."""
        return self.data / "incoming" / secrets.token_hex(16)

    def forget_video(self, id: str) -> None:
        """Remove all that is kept of a video."""
        shutil.rmtree(self.video(id), ignore_errors=True)

    def sweep_incoming(self, older_than_s: float = 3600.0) -> None:
        """Remove what uploads that broke off have left."""
        for path in (self.data / "incoming").iterdir():
            if time.time() - path.stat().st_mtime > older_than_s:
                path.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Space left where the data lies."""
        return shutil.disk_usage(self.data).free


def _checked(id: str) -> str:
    if not _ID.fullmatch(id):
        raise ValueError(f"{id!r} is no id of ours")
    return id
