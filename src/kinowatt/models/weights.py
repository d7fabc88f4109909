"""Weights on disk: safetensors with their configuration in the header, written whole or not at all, known by their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kinowatt.errors import OutputError, WeightsError


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(path: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-ready config; a crash leaves the old file or none."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, aside, metadata={"config": json.dumps(config)})
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write weights to {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def load(path: Path, expect_sha256: str | None = None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and config of a file; WeightsError if it is missing, damaged or not the expected one."""
    if not path.is_file():
        raise WeightsError(f"no weights at {path}; train them (kinowatt train) or name another folder with --model")
    if expect_sha256 is not None and (found := sha256(path)) != expect_sha256:
        raise WeightsError(
            f"{path} is damaged or changed (sha256 {found[:12]}, expected {expect_sha256[:12]}); restore the file from the repository"
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return tensors, json.loads((file.metadata() or {}).get("config", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}); restore or retrain it") from error
