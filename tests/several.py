"""Several processes for tests, joined as torchrun joins them: a function of a test file runs in each, by its name."""

from __future__ import annotations

import importlib.util
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def run(count: int, file: str, name: str, *given: Any, timeout_s: float = 60.0) -> list[Any]:
    """What the function `name` in `file` returns for `given` in each process, by their numbers. AssertionError if one fails."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        joined = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port.getsockname()[1]), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
        port.close()
        (Path(folder) / "given").write_bytes(pickle.dumps(given))
        words = [sys.executable, __file__, file, name, folder]
        children = [
            subprocess.Popen(words, env={**os.environ, **joined, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE)
            for rank in range(count)
        ]
        try:
            said = [child.communicate(timeout=timeout_s)[1].decode() for child in children]
        finally:
            for child in children:
                child.kill()
        assert all(child.returncode == 0 for child in children), "\n".join(said)
        return [pickle.loads((Path(folder) / str(rank)).read_bytes()) for rank in range(count)]


def _child(file: str, name: str, folder: str) -> None:
    spec = importlib.util.spec_from_file_location("case", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["case"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = getattr(module, name)(*pickle.loads((Path(folder) / "given").read_bytes()))
    (Path(folder) / os.environ["RANK"]).write_bytes(pickle.dumps(result))


if __name__ == "__main__":
    _child(*sys.argv[1:])
