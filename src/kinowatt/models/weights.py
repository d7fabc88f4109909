"""Weights on disk: safetensors, written whole or not at all, known by their SHA-256, and checked by their headers before they are read.

Our own files have their configuration in the header; a folder in diffusers' layout has one file or shards with an index. Pickles run
what is in them when they are opened, so they never are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kinowatt.errors import OutputError, WeightsError
from kinowatt.models import header

PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
FLOATS = ("F64", "F32", "F16", "BF16")


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
    with opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    return tensors, header.config(path)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file whose names and shapes can be read without its tensors. WeightsError if it is absent, damaged or a pickle."""
    if path.suffix.lower() in PICKLES:
        raise WeightsError(f"{path} is a pickle, which kinowatt never opens; use a .safetensors file")
    if not path.is_file():
        raise WeightsError(f"there is no file {path}; name a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        if _is_pickle(path):
            raise WeightsError(f"{path} is a pickle by another name, which kinowatt never opens; use a real .safetensors file") from error
        raise header.unreadable(path, error) from error


def _is_pickle(path: Path) -> bool:
    """By its first bytes: those of pickle's protocols 2 to 5, or of the zip archive that torch puts one into."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))


@contextlib.contextmanager
def read_elsewhere(what: str) -> Iterator[None]:
    """Turn what another library raises while it reads a model, which may be any error, into one WeightsError. Not want of memory."""
    try:
        yield
    except (WeightsError, ImportError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{what} cannot be read ({said}); download it again") from error


def shards(folder: Path, name: str) -> list[Path]:
    """The files of weights in diffusers' layout, in the order of their names: `name`, or those of its index. WeightsError if one lacks."""
    index = _index(folder, name)
    names = {name} if index is None else set(index.values())
    for absent in sorted(n for n in names if not (folder / n).is_file()):
        pickles = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in PICKLES)
        beside = f" and holds {pickles[0]}, a pickle, which kinowatt never opens" if pickles else ""
        raise WeightsError(f"{folder} lacks {absent}{beside}; download the folder again")
    return [folder / n for n in sorted(names)]


def _index(folder: Path, name: str) -> dict[str, str] | None:
    """Tensor to file, of weights that are in shards; None where they are in one file."""
    path = folder / f"{name}.index.json"
    if (folder / name).is_file() or not path.is_file():
        return None
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if not all(isinstance(file, str) for file in rows.values()):
            raise TypeError("a file without a name")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is not a readable index of weights ({error!r}); download it again") from error
    strange = sorted(file for file in rows.values() if Path(file).name != file)
    if strange or not rows:
        what = f"{strange[0]!r} is outside its folder" if strange else "it names no file"
        raise WeightsError(f"{path} is no index of weights: {what}; download it again")
    return dict(rows)


def checked(
    folder: Path, name: str, expected: Mapping[str, tuple[int, ...]], *, unused: tuple[str, ...] = (), whole: bool = True
) -> list[Path]:
    """The `shards` of weights, whose headers hold the expected tensors by name and shape, each once and in floating point.

    Nothing but headers is read. Tensors with an `unused` ending may be there; with `whole` false, others may be missing. WeightsError.
    """
    files, found = shards(folder, name), dict[str, Row]()
    for row in (row for path in files for row in headers(path) if not row.name.endswith(unused)):
        if row.name in found:
            raise WeightsError(f"{row.path} holds {row.name}, and so does {found[row.name].path.name}; download the folder again")
        found[row.name] = row
    absent = expected.keys() - found.keys() if whole else set[str]()
    first = min([*absent, *(key for key, row in found.items() if expected.get(key) != row.shape)], default=None)
    if first is not None and first in absent:
        home = folder / (_index(folder, name) or {}).get(first, name)
        said = f"the weights lack {len(absent)} of {len(expected)} tensors, {first} is missing"
        raise WeightsError(f"{home} is not all that its config.json says: {said}; download the folder again")
    if first is not None:
        said = f"{first} is {found[first].shape}, expected {expected.get(first, 'nothing of that name')}"
        raise WeightsError(f"{found[first].path} holds another network than its config.json says: {said}; download the folder again")
    return files


@dataclass(frozen=True)
class Row:
    """What a header says of one tensor."""

    path: Path
    name: str
    shape: tuple[int, ...]


def headers(path: Path, any_type: tuple[str, ...] = ()) -> list[Row]:
    """The tensors of a safetensors file by name, none of them read. WeightsError as `opened`, and if one is not in floating point.

    The type of those with an ending in `any_type` does not matter.
    """
    rows = []
    with opened(path) as file:
        for name in sorted(file.keys()):
            part = file.get_slice(name)
            if part.get_dtype() not in FLOATS and not name.endswith(any_type):
                raise WeightsError(
                    f"{path} cannot be used: {name} has the type {part.get_dtype()}, expected one of {', '.join(FLOATS)}; "
                    "use weights that are not quantised"
                )
            rows.append(Row(path, name, tuple(part.get_shape())))
    return rows
