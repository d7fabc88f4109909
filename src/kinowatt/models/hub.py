"""Models from the Hugging Face Hub: fetched with progress, taken up again where it broke off, and checked against the repository's hashes.

Safetensors, configs and tokenizers are fetched, never a pickle. Files lie where `hf download` puts them, so either finds what the other
fetched. No torch here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kinowatt import places
from kinowatt.errors import InputError, KinowattError, MissingDependency, OutputError, WeightsError

ENDINGS = (".safetensors", ".json", ".model", ".txt")
AT_ONCE = 2  # files; a run that is killed keeps whole files only, so it should have few under way (a shard has up to 10 GB)
Progress = Callable[[int, int], None]  # bytes that are here, bytes of all


def local(repository: str, revision: str | None = None) -> Path | None:
    """The folder of a repository that is on this machine and lacks nothing; None if it is not. The network is not asked."""
    try:
        return Path(_library().snapshot_download(repository, revision=revision, allow_patterns=_patterns(), local_files_only=True))
    except OSError:  # LocalEntryNotFoundError, IncompleteSnapshotError
        return None


def fetch(repository: str, progress: Progress | None = None, revision: str | None = None) -> Path:
    """The folder of a repository, of which all that was missing has been fetched and every file checked once against its hash.

    Without `progress`, the library draws its own bars on a terminal. WeightsError if the repository cannot be had or a file is not what
    it should be (that file is deleted, and comes anew the next time); OutputError if the disk is full; MissingDependency.
    """
    library = _library()
    try:
        api = library.HfApi()
        info = api.model_info(repository, revision=revision, files_metadata=True)
        files = [file for file in info.siblings if file.rfilename.endswith(ENDINGS)]
        if not any(file.rfilename.endswith(".safetensors") for file in files):
            raise WeightsError(f"{repository} holds no .safetensors files, and kinowatt opens no others; choose another repository")
        absent = [f for f in files if not isinstance(library.try_to_load_from_cache(repository, f.rfilename, revision=info.sha), str)]
        _has_room(repository, sum(file.size or 0 for file in absent))
        total = sum(file.size or 0 for file in files)
        bar = None if progress is None else _bar(library, progress, total - sum(file.size or 0 for file in absent), total)
        where = api.snapshot_download(repository, revision=revision, allow_patterns=_patterns(), max_workers=AT_ONCE, tqdm_class=bar)
    except Exception as error:  # those of an HTTP library too, and which one depends on the version
        raise _sentence(repository, error) from error
    folder = Path(where)
    if folder.name != info.sha:
        raise WeightsError(f"{repository} was changed while it was fetched; fetch it again")
    _check(repository, folder, files)
    return folder


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingDependency(
            "models are found by name with huggingface_hub; pip install 'kinowatt[wan]', or name the model's folder"
        ) from error
    return huggingface_hub


def _patterns() -> list[str]:
    return [f"*{ending}" for ending in ENDINGS]


def _has_room(repository: str, needed_bytes: int) -> None:
    """OutputError unless the disk of the Hub's cache has room. Better before 30 GB than after 29."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    free_bytes = shutil.disk_usage(next(path for path in (cache, *cache.absolute().parents) if path.exists())).free
    if free_bytes < needed_bytes:
        raise OutputError(
            f"{repository} needs {needed_bytes / 1e9:.1f} GB more and the disk of {cache} has {free_bytes / 1e9:.1f} GB free; "
            "make room there, or name another disk in HF_HUB_CACHE"
        )


def _bar(library: Any, progress: Progress, here_bytes: int, total_bytes: int) -> Any:
    """A class of bars that draws nothing and tells `progress` instead. The library updates it under no lock, from AT_ONCE threads."""
    import threading

    lock, done = threading.Lock(), [here_bytes]

    class Bar(library.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self.counts = options.get("name") == "huggingface_hub.snapshot_download"  # bytes on the disk; others count files or transfers
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            if self.counts:
                with lock:
                    done[0] += int(n or 0)
                    progress(done[0], total_bytes)

    progress(here_bytes, total_bytes)
    return Bar


def _sentence(repository: str, error: Exception) -> KinowattError:
    """What went wrong, and what would work."""
    from huggingface_hub import errors

    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    said = f"{type(root).__name__}: {root}".splitlines()[0]
    if isinstance(error, KinowattError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return WeightsError(f"{repository} is given only to those who accept its terms; do so on huggingface.co, then run hf auth login")
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return WeightsError(f"there is no repository {repository} that this account may read; check the name, or run hf auth login")
    if isinstance(error, errors.RevisionNotFoundError):
        return WeightsError(f"{repository} has no such revision; leave it out for the newest one")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"the disk became full while {repository} was fetched; make room, then fetch it again to go on")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{error.filename or 'the cache'} cannot be written ({error.strerror}); name another folder in HF_HUB_CACHE")
    return WeightsError(
        f"{repository} cannot be fetched ({said}); fetch it again to go on, or on a machine with a network run "
        f"hf download {repository} and name its folder here"
    )


def _check(repository: str, folder: Path, files: Sequence[Any]) -> None:
    """WeightsError unless files are what the repository says: by SHA-256, and the small ones by the hash that git gives them."""
    known = _remembered()
    for file in files:
        path = (folder / file.rfilename).resolve()
        stat = path.stat()
        wanted = file.lfs.sha256 if file.lfs is not None else file.blob_id
        seen = [stat.st_size, stat.st_mtime_ns, wanted]
        if known.get(str(path)) == seen:
            continue
        found = _hash(path, "sha256" if file.lfs is not None else "sha1")
        if found != wanted:
            _delete(folder / file.rfilename)
            raise WeightsError(
                f"{file.rfilename} of {repository} came damaged (hash {found[:12]}, expected {str(wanted)[:12]}) and was deleted; "
                "fetch it again"
            )
        known[str(path)] = seen
    # Where nothing can be kept, files are checked again the next time.
    with contextlib.suppress(OSError, InputError), places.whole(places.cache() / "hub.json") as part:
        part.write_text(json.dumps(known), encoding="utf-8")


def _hash(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        if kind == "sha256":
            return hashlib.file_digest(file, kind).hexdigest()
        content = file.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()  # as git hash-object does


def _remembered() -> dict[str, Any]:
    """Path to size, time of change and hash, of files that were found right."""
    try:
        return dict(json.loads((places.cache() / "hub.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _delete(path: Path) -> None:
    """A file and all the links that lead to it: were one left, the library would take the file for fetched."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink()
        path = target
    path.unlink(missing_ok=True)
