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
        "codec.safetensors": "cd33baedf626e374dd56b99baf6b9aaa937197e1b350d3ac541b0357ece9466d",
        "denoiser.safetensors": "5f9f1bd7a5b3496c3fd315df81694ba1895be27be1804e0b13c20ca6732cfc9a",
        "director.safetensors": "db9e790699ef530d15641b10fefa80d49f83309e0ea38d03935297ea9639eac9",
        "interpolator.safetensors": "e964c7b20db99306dd5078e2e1bfbe6fc654c28d60f3ce5d62b9c1af8f459e94",
        "observer.safetensors": "00fb90268eb05c841162b97e627164fe3046ff74b6ae4ec7beb4ccf205f306d4",
        "painter.safetensors": "f6ff19cab21e73580a0e7c26690607e9225bb1b6fe0d9b69551489b95576a602",
        "poser.safetensors": "6176ccdfc72ab9f8ec76cc8041c18fbc2df5abeb21133cc56194462c4d09cc40",
    },
    licence="Apache-2.0",
    trained_on="the toybox, kinowatt's simulated world (captions in English and Chinese)",
    trained_modes=frozenset({"text", "image", "start", "end", "both", "keys", "soft", "lagged", "reference", "path"}),
    trained_sizes=((256, 256), (320, 192), (192, 320), (128, 128)),
    trained_frames=33,
    fps=16.0,
    size=(256, 256),
    seconds=2.0,
    steps=9,
    steps_from_noise=12,
    begins=0.9,
    guidance=2.0,
    guided_below=0.98,
    standing=0.9,
    grid=16,
    most_pixels=256 * 256,
    hands_over=True,
    # Held out at 256 px: pictures that latents hold 39.0 dB (32.2 over subjects), frames between 27.4 (faded 25.3); backdrops .22 off of a
    # variance of .99. The noise stands in the world, and clips from words begin from backdrops (docs/decisions/0013 to 0027); not distilled
    # yet. 472 Wh in all receipts, of which 313 are of these weights.
    weakness="this spark was trained for eighteen hours on a CPU: things are there, throw shadows and move, cameras follow in seven clips "
    "of ten, a quarter of the shapes is wrong, blades are soft and rain is faint; things from footage that is given move on without "
    "turning, and what it draws is softer than that footage",
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
        one_pass, standing, begins = learnt.get("one_pass"), learnt.get("standing", 0.0), learnt.get("begins", 1.0)
        steps = ONE_PASS_STEPS if one_pass else TWO_PASS_STEPS
        own = replace(own, weakness="", one_pass=one_pass, standing=standing, begins=begins, steps_from_noise=steps)
        return replace(own, steps=steps if begins == 1.0 else SPARK.steps)
    if (folder / "model_index.json").is_file():
        return wan_specs.of_folder(folder) if foreign.pipeline_of(folder) in wan_specs.PIPELINES else foreign.read(folder)
    raise WeightsError(
        f"no model named {name!r}; known are {', '.join(MODELS)}, or name a folder that holds codec.safetensors and denoiser.safetensors, "
        "or one in diffusers' layout with model_index.json"
    )


def here() -> dict[str, ModelSpec]:
    """The known models whose files are on this machine."""
    return {name: spec for name, spec in MODELS.items() if name not in WAN or wan_specs.is_here(name)}
