"""The models that kinowatt knows, and what each was trained on. Whatever a model was not trained on runs with a warning, never silently.

No torch here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kinowatt.errors import WeightsError
from kinowatt.models import foreign, header, wan_specs
from kinowatt.models.spec import ModelSpec as ModelSpec
from kinowatt.models.wan_specs import WAN

SPARK = ModelSpec(
    name="spark",
    folder=Path(__file__).parent / "spark",
    sha256={
        "codec.safetensors": "a6d69c9cfb32f847914209a776703ea9160e54736e1159dc0536d6b6361d3885",
        "denoiser.safetensors": "c2b32c692e672d1e27e22492f9dbbfff01eadcdafbeb727c72aff356044751db",
        "director.safetensors": "cfc6648bf9df0eb36adc6ca7c4a052799f2684ceb675612325cec907a78055a0",
        "observer.safetensors": "00fb90268eb05c841162b97e627164fe3046ff74b6ae4ec7beb4ccf205f306d4",
    },
    licence="Apache-2.0",
    trained_on="the toybox, kinowatt's simulated world (captions in English and Chinese)",
    trained_modes=frozenset({"text", "image", "start", "end", "both", "keys", "soft", "lagged", "reference", "path"}),
    trained_sizes=((128, 128), (160, 96), (96, 160)),
    trained_frames=33,
    fps=16.0,
    size=(128, 128),
    seconds=2.0,
    steps=12,
    guidance=3.0,
    guided_below=0.98,
    standing=0.9,
    grid=16,
    most_pixels=160 * 160,
    hands_over=True,
    # Held out: codec 28.66 dB (20.9 over subjects); velocity loss .131 with captions and blockings, .170 with captions alone, .188 with
    # neither, with noise that stands in the world (docs/decisions/0013 to 0015); not distilled yet. 234 Wh in all receipts, of which 156
    # are of these weights. frontier.json and enlarging.json are of earlier ones.
    weakness="this spark was trained for nine hours on a CPU: things are there and move, cameras follow in every second clip, shapes are "
    "soft; what it draws is softer than footage that is given",
)

# Of weights that guide themselves, and of others: with 8 steps the clips of two passes are 32 dB from those of 12 (LOG.md).
ONE_PASS_STEPS, TWO_PASS_STEPS = 8, 12
MODELS: dict[str, ModelSpec] = {"spark": SPARK, **WAN}


def find(name: str) -> ModelSpec:
    """The spec of a known model, or of a folder: one that `kinowatt train` wrote, or one in diffusers' layout. No tensor is loaded.

    WeightsError if there is no such model, or its file cannot be read.
    """
    if name in MODELS:
        return MODELS[name]
    folder = Path(name)
    if (folder / "denoiser.safetensors").is_file():
        own = replace(SPARK, name=folder.name or name, folder=folder, sha256={}, licence="your own", trained_on="unknown to kinowatt")
        # What is said of spark's weights is not said of theirs, and what theirs have learnt stands in their file.
        learnt = header.config(folder / "denoiser.safetensors")
        one_pass, standing = learnt.get("one_pass"), learnt.get("standing", 0.0)
        return replace(own, weakness="", one_pass=one_pass, standing=standing, steps=ONE_PASS_STEPS if one_pass else TWO_PASS_STEPS)
    if (folder / "model_index.json").is_file():
        return wan_specs.of_folder(folder) if foreign.pipeline_of(folder) in wan_specs.PIPELINES else foreign.read(folder)
    raise WeightsError(
        f"no model named {name!r}; known are {', '.join(MODELS)}, or name a folder that holds codec.safetensors and denoiser.safetensors, "
        "or one in diffusers' layout with model_index.json"
    )


def here() -> dict[str, ModelSpec]:
    """The known models whose files are on this machine."""
    return {name: spec for name, spec in MODELS.items() if name not in WAN or wan_specs.is_here(name)}
