"""The models of the Wan team that kinowatt knows by name: where they are, and how their authors use them. No torch here."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinowatt.errors import MissingDependency, WeightsError
from kinowatt.models import hub
from kinowatt.models.spec import ModelSpec

PIPELINES = ("WanPipeline", "WanImageToVideoPipeline")


@dataclass(frozen=True)
class WanSpec(ModelSpec):
    """A model of the Wan team, or one of the same kind. `folder` is empty where it is known by name: `find` says where it is.

    `repository`: on the Hugging Face Hub. `shift`: as its authors use it, which is not always what its scheduler_config.json says.
    """

    repository: str = ""
    shift: float = 5.0


_480P, _720P, _704P = ((832, 480), (480, 832)), ((1280, 720), (720, 1280)), ((1280, 704), (704, 1280))
# A single frame is part of every text-to-video training of Wan; an edit of a whole clip has the same level in all its frames.
_TEXT, _IMAGE = frozenset({"text", "image", "soft"}), frozenset({"start"})


def _spec(
    name: str,
    repository: str,
    modes: frozenset[str],
    sizes: tuple[tuple[int, int], ...],
    steps: int,
    shift: float,
    guidance: float,
    guidance_low: float | None = None,
    frames: int = 81,
    fps: float = 16.0,
    grid: int = 16,
) -> WanSpec:
    return WanSpec(
        name=name,
        folder=Path(),
        sha256={},
        licence="Apache-2.0",
        trained_on="images and videos collected by the Wan team, which are not published (arXiv 2503.20314)",
        trained_modes=modes,
        trained_sizes=sizes,
        trained_frames=frames,
        fps=fps,
        size=sizes[0],
        seconds=frames / fps,
        steps=steps,
        guidance=guidance,
        grid=grid,
        most_pixels=max(width * height for width, height in sizes),
        repository=f"Wan-AI/{repository}-Diffusers",
        shift=shift,
        guidance_low=guidance_low,
        reads_sentences=True,
        needs_image=modes == _IMAGE,
        solver="unipc",
        least_level=1e-3,
    )


# Steps, shift, guidance: generate.py, wan/configs and the README of github.com/Wan-Video/Wan2.1 and Wan2.2.
WAN = {
    spec.name: spec
    for spec in (
        _spec("wan2.1-t2v-1.3b", "Wan2.1-T2V-1.3B", _TEXT, _480P, 50, 8.0, 6.0),
        _spec("wan2.1-t2v-14b", "Wan2.1-T2V-14B", _TEXT, _720P + _480P, 50, 5.0, 5.0),
        _spec("wan2.1-i2v-14b-480p", "Wan2.1-I2V-14B-480P", _IMAGE, _480P, 40, 3.0, 5.0),
        _spec("wan2.1-i2v-14b-720p", "Wan2.1-I2V-14B-720P", _IMAGE, _720P, 40, 5.0, 5.0),
        _spec("wan2.2-ti2v-5b", "Wan2.2-TI2V-5B", _TEXT | _IMAGE, _704P, 50, 5.0, 5.0, frames=121, fps=24.0, grid=32),
        _spec("wan2.2-t2v-a14b", "Wan2.2-T2V-A14B", _TEXT, _720P + _480P, 40, 12.0, 4.0, 3.0),
        _spec("wan2.2-i2v-a14b", "Wan2.2-I2V-A14B", _IMAGE, _720P + _480P, 40, 5.0, 3.5, 3.5),
    )
}


def of_folder(folder: Path) -> WanSpec:
    """Of a folder in diffusers' layout: the known model that it holds, or one of its kind with the folder's name. WeightsError."""
    index, network, codec = (read_json(folder / name) for name in ("model_index.json", "transformer/config.json", "vae/config.json"))
    if index.get("_class_name") not in PIPELINES:
        raise WeightsError(f"{folder} holds a {index.get('_class_name')}, which is no Wan model; {' and '.join(PIPELINES)} are")
    try:
        size = int(network["num_layers"]), int(network["num_attention_heads"]), int(network["in_channels"])
        image = size[2] != int(network.get("out_channels") or size[2])
        experts, per_frame = (index.get("transformer_2") or [None])[0] is not None, bool(index.get("expand_timesteps"))
        side = 2 ** (len(codec["dim_mult"]) - 1) * int(codec.get("patch_size") or 1) * int(network["patch_size"][1])
        scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
        shift = float(scheduler.get("flow_shift") or scheduler.get("shift") or 1.0)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"the configs in {folder} describe no Wan model ({error!r}); download the folder again") from error
    kind = "wan2.2-i2v-a14b" if image and experts else "wan2.1-i2v-14b-480p" if image else "wan2.2-t2v-a14b" if experts else None
    base = WAN[kind or ("wan2.2-ti2v-5b" if per_frame else "wan2.1-t2v-14b" if size[1] > 12 else "wan2.1-t2v-1.3b")]
    if image and not experts and "720" in folder.name:
        base = WAN["wan2.1-i2v-14b-720p"]
    known = size == _SIZES.get(base.name) and side == base.grid
    own = replace(base, name=base.name if known else folder.name or str(folder), folder=folder, grid=side)
    if known:
        return own
    return replace(own, shift=shift, licence="see the model's own", trained_on="unknown to kinowatt", trained_sizes=())


# Layers, heads, input channels: config.json of each repository.
_SIZES = {
    "wan2.1-t2v-1.3b": (30, 12, 16),
    "wan2.1-t2v-14b": (40, 40, 16),
    "wan2.1-i2v-14b-480p": (40, 40, 36),
    "wan2.1-i2v-14b-720p": (40, 40, 36),
    "wan2.2-ti2v-5b": (30, 24, 48),
    "wan2.2-t2v-a14b": (40, 40, 16),
    "wan2.2-i2v-a14b": (40, 40, 36),
}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file. WeightsError if there is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing; download the folder again") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise WeightsError(f"{path} is not readable JSON ({said}); download it again") from error


def find(name: str, download: bool = False, progress: hub.Progress | None = None) -> Path:
    """The folder of a known name, where it has been downloaded to, or `name` itself; with `download`, it is fetched if it is not here.

    WeightsError; OutputError and more as `hub.fetch`.
    """
    if name not in WAN:
        return Path(name)
    repository = WAN[name].repository
    if (folder := hub.local(repository)) is not None:
        return folder
    if download:
        return hub.fetch(repository, progress)
    raise WeightsError(f"{name} is not on this machine; download it with: hf download {repository}")


def is_here(name: str) -> bool:
    """Whether a known model has been downloaded, whole."""
    try:
        return hub.local(WAN[name].repository) is not None
    except MissingDependency:
        return False
