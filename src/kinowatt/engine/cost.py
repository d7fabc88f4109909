"""What a plan asks of a network, in arithmetic: the bridge between models, plans and the energy predictor. No torch here."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinowatt.energy.anatomy import KNOWN, Anatomy
from kinowatt.energy.calibration import Calibration, prequential, published
from kinowatt.energy.devices import gpus
from kinowatt.energy.ledger import RECENT, Ledger, past_of
from kinowatt.energy.predict import LEAST_HISTORY, Past, Prediction, Work, cpu_efficiency, gpu_efficiency, warm
from kinowatt.energy.processors import Gpu, cpu_name, gpu
from kinowatt.engine.plan import Plan
from kinowatt.engine.stages import Stage
from kinowatt.errors import InputError, WeightsError
from kinowatt.models import specs
from kinowatt.models.foreign import ForeignSpec
from kinowatt.models.specs import MODELS, ModelSpec
from kinowatt.models.wan_specs import WanSpec


@dataclass(frozen=True)
class Place:
    """Where a model runs: the device's name, the runtime's, and whether it is a GPU."""

    device: str
    runtime: str
    is_gpu: bool


GPU_RUNTIME = "torch bfloat16"  # on an accelerator; CPUs run others (engine/runtime.py)


FINER = 2  # rows and columns of the ends of a network, per token (models/ends.py, which needs torch)
FINE_PARTS = tuple(f"dit.ends.{part}." for part in ("conv_in", "before", "after", "conv_out"))
DECODED_LARGER = ("fine", "conv_out")  # parts of spark's decoder that see a picture of twice the rows and columns


def find(name: str) -> Anatomy:
    """The anatomy of a model that runs here, of one known on paper, or of a folder of weights. WeightsError if there is none."""
    if name in KNOWN:
        return KNOWN[name]
    if name in MODELS or Path(name).is_dir():
        return known(specs.find(name))
    raise WeightsError(f"no model named {name!r}; known are {', '.join({**MODELS, **KNOWN})}, or name a folder of weights")


def known(spec: ModelSpec) -> Anatomy:
    """As `of`. WeightsError where the files do not tell."""
    found = of(spec)
    if found is None:
        raise WeightsError(f"the files of {spec.name} do not tell its sizes, so nothing can be predicted of it")
    return found


def of(spec: ModelSpec) -> Anatomy | None:
    """Of a known model, or read from the headers of a model's files; None where they do not tell. WeightsError."""
    if isinstance(spec, ForeignSpec):
        return _of_foreign(spec)
    if isinstance(spec, WanSpec):
        published = next((a for name, a in KNOWN.items() if spec.name.startswith(name)), None)
        return _of_wan(spec) if published is None else replace(published, name=spec.name)
    shapes, config = header(spec.folder / "denoiser.safetensors")
    codec_shapes, _ = header(spec.folder / "codec.safetensors")
    try:
        dit = config["dit"]
        parameters = sum(math.prod(shape) * _places(name) for name, shape in shapes.items() if name.startswith("dit."))
        patch = (int(dit["patch"][0]), int(dit["patch"][1]), int(dit["patch"][2]))
        side = spec.grid // patch[1]
        decode = _decode_FLOP(codec_shapes, side)
        between = spec.folder / "interpolator.safetensors"
        if between.name in spec.sha256 or between.is_file():
            decode += _between_FLOP(header(between)[0])
        frames = round(spec.seconds * spec.fps / 4) * 4 + 1
        return Anatomy(
            spec.name,
            float(parameters),
            dit["heads"] * dit["head_dim"],
            dit["layers"],
            patch,
            (4, side, side),
            spec.fps,
            spec.size,
            frames,
            spec.steps,
            1 if spec.strength(spec.guidance) == 1.0 else 2,
            "its own files",
            decode,
        )
    except (KeyError, TypeError, IndexError) as error:
        raise WeightsError(f"the files in {spec.folder} are not a kinowatt model ({error}); retrain or restore them") from error


def _of_wan(spec: WanSpec) -> Anatomy:
    """Of a folder in diffusers' layout. A step of two networks is one pass of either, so the first is counted."""
    folder = spec.folder / "transformer"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shapes = {name: shape for path in folder.glob("*.safetensors") for name, shape in header(path)[0].items()}
        patch = (int(config["patch_size"][0]), int(config["patch_size"][1]), int(config["patch_size"][2]))
        side = spec.grid // patch[1]
        return Anatomy(
            spec.name,
            float(sum(math.prod(shape) for shape in shapes.values())),
            config["num_attention_heads"] * config["attention_head_dim"],
            config["num_layers"],
            patch,
            (4, side, side),
            spec.fps,
            spec.size,
            spec.trained_frames,
            spec.steps,
            1 if spec.guidance == 1.0 else 2,
            "its own files",
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise WeightsError(f"the transformer in {spec.folder} is not readable ({error!r}); download the folder again") from error


def _of_foreign(spec: ForeignSpec) -> Anatomy | None:
    """Sizes of the transformer, from its config and the headers of its weights; None where the config does not tell them."""
    if not spec.width:
        return None
    return Anatomy(
        spec.name,
        spec.parameters,
        spec.width,
        spec.layers,
        spec.patch,
        spec.stride,
        spec.fps,
        spec.size,
        spec.trained_frames,
        spec.steps,
        spec.passes,
        "its own files",
    )


def _places(name: str) -> int:
    """How many times a token meets a weight: those of the ends' finer picture once for each of its places there."""
    return FINER**2 if name.startswith(FINE_PARTS) else 1


def _decode_FLOP(shapes: dict[str, list[int]], side: int) -> float:
    """Per pixel and frame: every weight of the decoder is used once per position of its stage, for each latent frame."""
    total = 0.0
    for name, shape in shapes.items():
        if name.startswith("decoder.") and len(shape) == 4:
            rows = 8 if name.split(".")[1] in DECODED_LARGER else 4  # per latent
            total += 2.0 * math.prod(shape) * (rows / side) ** 2
    return total / 4.0


def _between_FLOP(shapes: dict[str, list[int]]) -> float:
    """Per pixel and frame: an interpolator sees two pictures of every four frames at levels of 4, 8, 16 … pixels, and draws three."""
    total = 0.0
    for name, shape in shapes.items():
        if len(shape) == 4:
            part, *rest = name.split(".")
            level = 0 if part == "enter" else int(rest[0]) + (part == "down")
            total += 2.0 * math.prod(shape) * (3 if part == "steps" else 2) / (4 << level) ** 2
    return total / 4.0


def header(path: Path) -> tuple[dict[str, list[int]], dict[str, Any]]:
    """Shapes and config of a safetensors file, without its tensors."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        config = json.loads(header.pop("__metadata__", {}).get("config", "{}"))
        return {name: row["shape"] for name, row in header.items()}, config
    except (OSError, ValueError, struct.error, MemoryError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}); restore or retrain it") from error


def work(plan: Plan, anatomy: Anatomy) -> Work:
    """The arithmetic of a plan: what the denoiser and the decoder have to do."""
    assert plan.shot.steps is not None
    assert plan.shot.cache is not None
    tokens = anatomy.tokens(plan.frames, plan.canvas_width, plan.canvas_height)
    steps, every = plan.shot.steps, plan.shot.cache
    single = plan.strength == 1.0 or (anatomy.passes == 1 and not plan.one_pass)
    passes = steps if single else steps + math.ceil(steps / every)
    pixels = plan.frames * plan.canvas_width * plan.canvas_height
    whole = Work(passes * anatomy.pass_FLOP(tokens), (anatomy.decode_FLOP or 0.0) * pixels, steps)
    if plan.roll is not None:  # a part with frames of two scenes is computed under both texts
        seen = anatomy.tokens((plan.roll.window - 1) * anatomy.stride[0] + 1, plan.canvas_width, plan.canvas_height)
        steps = plan.roll.total + plan.roll.steps * sum(plan.roll.splits(at) for at, _ in plan.scenes)
        whole = replace(whole, denoise_FLOP=passes // plan.roll.steps * steps * anatomy.pass_FLOP(seen), steps=plan.roll.total)
    for stage in plan.stages:
        whole = _with_stage(whole, stage, plan.frames, anatomy)
    return whole


def _with_stage(before: Work, stage: Stage, frames: int, anatomy: Anatomy) -> Work:
    """And one enlargement: every tile encoded, denoised, and decoded before and after.

    A call of the network costs as a step does, however small it is.
    """
    latent_frames, height, width = stage.tile
    tokens = anatomy.tokens((latent_frames - 1) * anatomy.stride[0] + 1, width, height)
    calls = stage.steps * stage.tiles
    flop = calls * (1 if stage.guidance == 1.0 else 2) * anatomy.pass_FLOP(tokens)
    pixels = frames * width * height * len(stage.rows) * len(stage.columns)
    coding = pixels * 2.0 * (anatomy.decode_FLOP or 0.0)
    return Work(before.denoise_FLOP + flop, before.decode_FLOP + coding, before.steps + calls)


def work_on_paper(anatomy: Anatomy, size: tuple[int, int], frames: int, steps: int, passes: int) -> Work:
    """The arithmetic of a clip of a model that need not be here."""
    flop = steps * passes * anatomy.pass_FLOP(anatomy.tokens(frames, *size))
    return Work(flop, (anatomy.decode_FLOP or 0.0) * frames * size[0] * size[1], steps)


def predicted(amount: Work, anatomy: Anatomy, place: Place, past: Sequence[Past]) -> Prediction | None:
    """Energy and time of that much work there; None on a GPU of which nothing is known and that has no history yet."""
    try:
        device = gpu_efficiency(place.device, anatomy.width) if place.is_gpu else cpu_efficiency(place.runtime)
    except InputError:
        if len(past) < LEAST_HISTORY:
            return None
        device = cpu_efficiency(place.runtime)  # not used: history is enough
    return warm(amount, device, past)


def here(ledger: Ledger, model: str) -> tuple[Place, list[Past]]:
    """Where a model ran last on this machine, with what was learned there; else where a first run would take place."""
    last = ledger.last(model)
    if last is not None:
        place = Place(last.device, last.runtime, not last.device.endswith(" threads"))  # as engine.device_name names a CPU
        return place, ledger.past(model, place.device, place.runtime)
    return guess(), []


@dataclass(frozen=True)
class Outlook:
    """What is known of a model on this machine before anything is loaded. `load_J`: what loading costs, None if that is not known."""

    anatomy: Anatomy | None
    place: Place
    past: Sequence[Past]
    load_J: float | None

    def predict(self, plan: Plan) -> Prediction | None:
        """Energy and time of a plan, without loading; None where nothing is known."""
        if self.anatomy is None:
            return None
        return predicted(work(plan, self.anatomy), self.anatomy, self.place, self.past)


def outlook(ledger: Ledger, spec: ModelSpec) -> Outlook:
    """From the ledger and the model's files, without torch."""
    place, past = here(ledger, spec.name)
    return Outlook(of(spec), place, past, ledger.load_J(spec.name, place.device, place.runtime))


def past_on(ledger: Ledger, model: str, card: Gpu) -> list[Past]:
    """What was learned of a model on such a GPU of this machine, in joules of the GPU alone; empty where it ran last elsewhere."""
    last = ledger.last(model)
    if last is None or gpu(last.device) != card:
        return []
    return ledger.past(model, last.device, last.runtime, gpu_only=True)


def guess() -> Place:
    """Where a first run would take place on this machine."""
    found = gpus()
    if found:
        return Place(getattr(found[0], "gpu", "GPU"), GPU_RUNTIME, True)
    return Place(cpu_name() or "CPU", "openvino", False)


def calibrate(ledger: Ledger, model: str) -> Calibration:
    """All published clips, and the model's own runs on this machine in the order in which they were made."""
    anatomy = find(model)
    place, _ = here(ledger, anatomy.name)
    past = []
    for run in ledger.runs(model=anatomy.name):
        if (run.device, run.runtime) == (place.device, place.runtime) and (clip := past_of(run.work, run.bill)) is not None:
            past.append((f"{run.model} {run.width}x{run.height}x{run.frames}, {run.steps} steps", clip))
    own = prequential(past[-RECENT:], lambda work, before: predicted(work, anatomy, place, before))
    return Calibration(published(), own, f"{place.device}, {place.runtime}")
