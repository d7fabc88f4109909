"""The models of the Wan team that kinowatt knows by name: where they are, and how their authors use them. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kinowatt.errors import MissingDependency, WeightsError
from kinowatt.models.specs import ModelSpec


@dataclass(frozen=True)
class WanSpec(ModelSpec):
    """A model of the Wan team. `folder` is empty until `find` fills it in.

    `repository`: on the Hugging Face Hub. `shift`: as its authors use it, which is not always what its scheduler_config.json says.
    `guidance_low`: of the second expert, None where there is none.
    """

    repository: str = ""
    shift: float = 5.0
    guidance_low: float | None = None


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


def find(name: str) -> Path:
    """The folder of a known name, where it has been downloaded to, or `name` itself. Nothing is downloaded. WeightsError."""
    if name not in WAN:
        return Path(name)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependency(
            f"to find {name} here, huggingface_hub is needed; pip install 'kinowatt[wan]', or name its folder"
        ) from error
    try:
        return Path(snapshot_download(WAN[name].repository, local_files_only=True))
    except OSError as error:
        raise WeightsError(f"{name} is not on this machine; download it with: hf download {WAN[name].repository}") from error
