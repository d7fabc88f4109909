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
        "codec.safetensors": "fa89b3111e9a00a8baea24e1036146dabcee30bc715f61817da3ad772b95c45d",
        "denoiser.safetensors": "da718ec8139e8ffa9d445d12628f009320b77e957a7cbf18d37d792f492ae2ea",
    },
    licence="Apache-2.0",
    trained_on="the toybox, kinowatt's simulated world (captions in English and Chinese)",
    trained_modes=frozenset({"text", "image", "start", "end", "both", "keys", "soft", "lagged", "reference", "path"}),
    trained_sizes=((128, 128), (160, 96), (96, 160)),
    trained_frames=33,
    fps=16.0,
    size=(128, 128),
    seconds=2.0,
    steps=8,
    guidance=5.0,
    one_pass=5.0,
    grid=16,
    most_pixels=160 * 160,
    hands_over=True,
    # Held out: codec 28.53 dB (22.2 over subjects); the fourth weights (velocity loss .2542 with captions, .2627 without) made to guide
    # themselves, .366 of guidance still missing (docs/decisions/0011). 77.8 Wh in all receipts. frontier.json is of the first weights.
    weakness="this spark was trained for five hours on a CPU: light, ground, colours and sizes follow words, shapes and cameras hardly",
)

TWO_PASS_STEPS = 12  # of weights that do not guide themselves: with 8 their clips are 32 dB from those of 12 (LOG.md)
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
        one_pass = header.config(folder / "denoiser.safetensors").get("one_pass")
        return replace(own, weakness="", one_pass=one_pass, steps=SPARK.steps if one_pass else TWO_PASS_STEPS)
    if (folder / "model_index.json").is_file():
        return wan_specs.of_folder(folder) if foreign.pipeline_of(folder) in wan_specs.PIPELINES else foreign.read(folder)
    raise WeightsError(
        f"no model named {name!r}; known are {', '.join(MODELS)}, or name a folder that holds codec.safetensors and denoiser.safetensors, "
        "or one in diffusers' layout with model_index.json"
    )


def here() -> dict[str, ModelSpec]:
    """The known models whose files are on this machine."""
    return {name: spec for name, spec in MODELS.items() if name not in WAN or wan_specs.is_here(name)}
