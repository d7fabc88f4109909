"""What the server's tests share."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinowatt.clip import Clip
from kinowatt.media.video import write_video
from kinowatt.serve.database import sqlite_url
from postgres import Cluster, running
from serving import Server, Shop, open_shop, start_server, stop_server


@pytest.fixture(scope="session")
def server(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker, shared by the tests that only use it as clients."""
    running = start_server(small_model, tmp_path_factory.mktemp("server"))
    yield running
    stop_server(running)


@pytest.fixture
def shop(small_model: Path, tmp_path: Path) -> Iterator[Shop]:
    yield from open_shop(small_model, tmp_path, sqlite_url(tmp_path))


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph, wider than high."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of footage made elsewhere."""
    path = tmp_path_factory.mktemp("footage") / "clip.mp4"
    frames = np.random.default_rng(1).integers(0, 255, (9, 3, 64, 64), dtype=np.uint8)
    write_video(path, Clip(frames, fps=16.0), {})
    return path


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Where the npm client is installed; `make setup-dev` does that."""
    folder = Path(sys.prefix) / "npm" / "node_modules"
    if shutil.which("node") is None or not (folder / "openai").is_dir():
        pytest.skip("node or the npm package openai is not installed; make setup-dev installs them")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL of our own, for the session."""
    with running() as cluster:
        yield cluster
