"""What a grid study may be made of: SimBench's networks, weather that the host offers, and files that users upload.

pandapower, SimBench and weather files are opened by other processes only; here names are listed, and uploads are looked at as text.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kinowatt.errors import GridError, InputError, MissingDependency
from kinowatt.grid.network import SIMBENCH
from kinowatt.serve.database import Database
from kinowatt.serve.references import clean_filename
from kinowatt.serve.store import Store, new_id
from kinowatt.serve.tables import File

WORLD = "world"
PURPOSES = {"network": (".json", ".m"), "weather": (".nc", ".h5", ".hdf5"), "coordinates": (".csv",)}
NEEDED = ("pandapower", "power_grid_model", "pvlib", "windpowerlib", "pypsa", "matplotlib", "simbench", "xarray")
CODES_S = 120.0  # for a process that imports SimBench; mostly three
log = logging.getLogger("kinowatt.web")
# pandapower's JSON names Python classes. Others than these belong to no network, and their modules are not to be imported.
_MODULES = ("pandapower", "pandas", "numpy", "builtins", "networkx", "shapely", "geopandas")
_NAMED = re.compile(r'_module\\*"\s*:\s*\\*"([^"\\]*)')


class Inputs:
    """Networks and weather of one server. `weather` are files (NetCDF, HDF5, Zarr) of its host, or folders of them."""

    def __init__(self, database: Database, store: Store, weather: Sequence[Path] = ()) -> None:
        self.database, self.store = database, store
        self.weather = _offered(weather)
        self._codes: tuple[str, ...] = ()
        self._asking, self._failed = threading.Lock(), False

    def missing(self) -> str | None:
        """Why no study can be made here, in one sentence; None if it can."""
        absent = next((name for name in NEEDED if find_spec(name) is None), None)
        return absent and f"grid studies need {absent}, which is not installed on this server; its host adds it with kinowatt[grid]"

    def check(self) -> None:
        """MissingDependency where the extra is not installed."""
        said = self.missing()
        if said is not None:
            raise MissingDependency(said)

    def codes(self) -> tuple[str, ...]:
        """SimBench's networks. They are asked for once, in another process: this one must stay light. MissingDependency."""
        self.check()
        with self._asking:
            if not self._codes:
                ran = subprocess.run(
                    [sys.executable, "-m", "kinowatt.serve.study_worker", "--codes"], capture_output=True, timeout=CODES_S, check=False
                )
                if ran.returncode != 0:
                    raise MissingDependency(
                        "SimBench's networks cannot be listed on this server; its host should install kinowatt[grid] anew"
                    )
                self._codes = tuple(json.loads(ran.stdout))
            return self._codes

    def _learn(self) -> None:
        try:
            self.codes()
        except (MissingDependency, OSError, subprocess.TimeoutExpired) as error:
            self._failed = True
            log.error("SimBench cannot be asked", extra={"error": str(error)[:200]})

    def options(self) -> dict[str, Any]:
        """What can be picked; SimBench's networks are `ready` some seconds after they were first asked for: nobody waits for them."""
        said = self.missing()
        if said is None and not self._codes and not self._asking.locked():
            threading.Thread(target=self._learn, daemon=True).start()
        codes = () if said else self._codes
        return {
            "object": "study.options",
            "available": said is None,
            "why": said,
            "ready": said is not None or bool(codes) or self._failed,
            "networks": [{"id": SIMBENCH + code, "name": code} for code in codes],
            "weathers": [{"id": name} for name in (WORLD, *self.weather)],
            "uploads": {purpose: list(ends) for purpose, ends in PURPOSES.items()},
        }

    def upload(self, owner: str, upload: Any) -> File:
        """Keep a network, weather, or coordinates; its ending says which. GridError with a sentence if it is none."""
        filename = clean_filename(upload.filename)
        end = Path(filename).suffix.lower()
        purpose = next((name for name, ends in PURPOSES.items() if end in ends), None)
        if purpose is None:
            raise GridError(
                f"{filename} is nothing for a grid study; upload a network (.json, .m), weather (.nc, .h5) or coordinates (.csv)"
            )
        part = self.store.incoming()
        try:
            with part.open("wb") as out:
                shutil.copyfileobj(upload.file, out, 2**20)  # bounded by the server's limit on bodies
            _look(part, filename, end)
            with part.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            row = File(
                id=new_id("file"), owner=owner, created_at=time.time(), filename=filename, bytes=part.stat().st_size, purpose=purpose,
                media_type="application/octet-stream", sha256=sha256, internal=False, deleted=False,
            )  # fmt: skip
            part.replace(self.store.file(row.id))
        finally:
            part.unlink(missing_ok=True)
        with self.database.write() as session:
            session.add(row)
        return row

    def place(self, folder: Path, file: File, purpose: str) -> str:
        """Put an uploaded file into a study's folder, under its own name, and give its path in there. GridError for one of another kind."""
        if file.purpose != purpose:
            raise GridError(f"{file.filename} is no {purpose}; upload a file that ends in {' or '.join(PURPOSES[purpose])}")
        to = folder / "inputs" / file.filename
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self.store.file(file.id), to)
        except OSError:  # a file system without hard links
            shutil.copy2(self.store.file(file.id), to)
        return str(to.relative_to(folder))

    def place_weather(self, folder: Path, name: str) -> str:
        """The host's weather into a study's folder, as a link: it may be large. GridError if it is not offered."""
        if name not in self.weather:
            raise GridError(f"there is no weather {name[:80]!r} here; choose {', '.join((WORLD, *self.weather))}, or upload a file")
        to = folder / "inputs" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.symlink_to(self.weather[name])
        return str(to.relative_to(folder))


def _offered(paths: Sequence[Path]) -> dict[str, Path]:
    ends = (*PURPOSES["weather"], ".zarr")
    found: dict[str, Path] = {}
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() and path.suffix != ".zarr" else [path]
        held = [p.absolute() for p in inside if p.suffix in ends and p.exists()]
        if not held:
            raise InputError(f"there is no weather at {path}; give a NetCDF (.nc), HDF5 (.h5) or Zarr (.zarr) file, or a folder of them")
        found |= {p.name: p for p in held}
    return found


def _look(path: Path, name: str, end: str) -> None:
    """Whether a file is what its ending says, as far as its text or first bytes tell. GridError."""
    if end in PURPOSES["weather"]:
        with path.open("rb") as file:
            if file.read(8) != b"\x89HDF\r\n\x1a\n":
                raise GridError(f"{name} is no NetCDF-4 or HDF5 file; write the weather anew, for example with xarray's to_netcdf")
        return
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise GridError(f"{name} is no text in UTF-8; write it anew") from None
    if end == ".csv":
        if not {"bus", "lat", "lon"} <= set(text.split("\n", 1)[0].strip().split(",")):
            raise GridError(f"{name} holds no coordinates; give a CSV with the header bus,lat,lon and degrees below it")
    elif end == ".m":
        if "mpc" not in text:
            raise GridError(f"{name} is no MATPOWER case; it defines mpc.bus and mpc.branch")
    else:
        _look_at_json(text, name)


def _look_at_json(text: str, name: str) -> None:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict) or held.get("_class") != "pandapowerNet":
        raise GridError(f"{name} is no network of pandapower; write it with pandapower.to_json")
    foreign = next((m for m in _NAMED.findall(text) if m.split(".")[0] not in _MODULES), None)
    if foreign is not None:
        raise GridError(f"{name} holds objects of {foreign[:60]!r}, which this server does not load; keep only pandapower's own tables")
