"""Models that run through diffusers: what their folder says of them. No torch here, and diffusers' classes are read, not imported.

A folder in diffusers' layout names its pipeline in model_index.json. How that pipeline is called stands in its source, which is parsed;
sizes, lengths and grids come from there and from the config.json of its transformer and its codec.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinowatt.errors import MissingDependency, WeightsError
from kinowatt.models.spec import ModelSpec

INDEX = "model_index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")  # weights that may run code when they are opened
NO_MODEL = re.compile("Tokenizer|Processor|FeatureExtractor|Scheduler|Guidance")  # components without weights
LENGTHS = ("num_frames", "frames")  # what pipelines call the number of frames
LARGEST = 4096 * 4096  # nothing is known of the largest picture: what does not fit into memory is said when it does not

# One set of weights for two pipelines: the examples in diffusers' own documentation load both from the same repository.
WITH_IMAGE = {
    "LTXPipeline": "LTXImageToVideoPipeline",
    "LTX2Pipeline": "LTX2ImageToVideoPipeline",
    "SanaVideoPipeline": "SanaImageToVideoPipeline",
}
FROM_IMAGE = re.compile("Image(To|2)Video|(?<!T)I2V|Video(To|2)World")  # in the name of a class: makes nothing without an image
# Frame rates and lengths where diffusers' examples say nothing, or not what the models' authors say.
HUNYUAN = {"fps": 24.0}  # Kong et al. 2024, arXiv 2412.03603, and the card of HunyuanVideo 1.5
AUTHORS: dict[str, dict[str, float]] = {
    "HunyuanVideoPipeline": HUNYUAN,
    "HunyuanVideoImageToVideoPipeline": HUNYUAN,
    "HunyuanVideo15Pipeline": HUNYUAN,
    "HunyuanVideo15ImageToVideoPipeline": HUNYUAN,
    "MochiPipeline": {"fps": 30, "frames": 163},  # the card of Mochi 1
}
COG15 = {"fps": 16.0, "frames": 81.0}  # its cards; diffusers has one class for CogVideoX 1.0 and 1.5
UNSAID = {"fps": 16, "width": 832, "height": 480, "frames": 81}  # taken where nobody says; the spec's weakness says so


@dataclass(frozen=True)
class ForeignSpec(ModelSpec):
    """A model that runs through diffusers.

    `pipeline`: its class there; `with_image`: the class for shots that begin with an image, empty if there is none.
    `stride` (frames, height, width per latent) and `patch` (latents per token) as in `energy.anatomy.Anatomy`; `parameters`, `width` and
    `layers` of the transformer are 0 where its config does not tell them. Layers whose attention is linear in the tokens are not counted.
    """

    pipeline: str = ""
    with_image: str = ""
    stride: tuple[int, int, int] = (4, 8, 8)
    patch: tuple[int, int, int] = (1, 1, 1)
    parameters: float = 0.0
    width: int = 0
    layers: int = 0
    passes: int = 2  # network passes per step as usually run


@dataclass(frozen=True, eq=False)
class Call:
    """How a pipeline is called: parameter → default (None where it is computed), those without one, and the source of class and module."""

    defaults: Mapping[str, Any]
    required: frozenset[str]
    source: str
    module: str


def pipeline_of(folder: Path) -> str:
    """The class of diffusers that a folder is made for. WeightsError if it does not say."""
    name = _json(folder / INDEX).get("_class_name")
    if not isinstance(name, str):
        raise WeightsError(f"{folder / INDEX} names no pipeline of diffusers; kinowatt runs no code of a model's own")
    return name


def read(folder: Path) -> ForeignSpec:
    """The spec of a folder in diffusers' layout, from its small files and the headers of its weights.

    WeightsError if it is damaged, has pickled weights or code of its own, or is not called as text-to-video and image-to-video pipelines
    are; MissingDependency without diffusers.
    """
    pipeline = pipeline_of(folder)
    call = _usual(pipeline, folder)
    files = weight_files(folder)
    denoiser = next((name for name in ("transformer", "unet") if name in files), None)
    if denoiser is None or "vae" not in files:
        raise WeightsError(f"{folder} names no {'codec' if denoiser else 'transformer'} in {INDEX}; download the folder again")
    config, codec = _json(folder / denoiser / "config.json"), _json(folder / "vae" / "config.json")
    stride, patch = _stride(codec, folder), _patch(config)
    # This codec decodes latents in pairs, and a first frame alone only where one is left over: 8k+1 frames have an odd number of latents.
    rule = stride[0] * (2 if codec.get("_class_name") == "AutoencoderKLCogVideoX" else 1)
    guider = _json(folder / "guider" / "guider_config.json") if (folder / "guider" / "guider_config.json").is_file() else {}
    facts = _Facts(pipeline, call, config, stride)
    fps, frames = facts.number("fps"), round(facts.number("frames"))
    size = facts.size()
    guidance = float(call.defaults.get("guidance_scale") or guider.get("guidance_scale") or 1.0)
    width, layers = _attention(config)
    return ForeignSpec(
        name=_name(folder),
        folder=folder,
        sha256={},
        licence="see the model's own licence",
        trained_on="unknown to kinowatt",
        trained_modes=_modes(pipeline, call),
        trained_sizes=(size, size[::-1]) if size[0] != size[1] else (size,),
        trained_frames=frames,
        fps=fps,
        size=size,
        # plan.frames_of gives frames in multiples of the stride plus 1
        seconds=frames / fps,
        steps=int(call.defaults["num_inference_steps"]),
        guidance=guidance,
        grid=math.lcm(stride[1] * patch[1], *(int(n) for n in re.findall(r"(?:height|width) % (\d+)", call.source))),
        most_pixels=LARGEST,
        weakness=facts.weakness(),
        reads_sentences=True,
        needs_image=_needs_image(pipeline, call),
        frame_stride=rule,
        pipeline=pipeline,
        with_image=pipeline if "image" in call.defaults else WITH_IMAGE.get(pipeline, ""),
        stride=stride,
        patch=patch,
        parameters=_parameters(files[denoiser]) if width else 0.0,
        width=width,
        layers=layers,
        # The pipelines with a `true_cfg_scale` put guidance into the network, which then runs once.
        passes=1 if guidance == 1.0 or "true_cfg_scale" in call.defaults else 2,
    )


def weight_files(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Component → the safetensors files that it is loaded from. WeightsError if one is missing or pickled."""
    found = {}
    for name, (library, kind) in components(folder).items():
        place = folder / name
        if NO_MODEL.search(kind) or not (place / "config.json").is_file():
            continue
        stem = "model" if library == "transformers" else "diffusion_pytorch_model"
        index = place / f"{stem}.safetensors.index.json"
        try:
            names = sorted({str(n) for n in _json(index)["weight_map"].values()}) if index.is_file() else [f"{stem}.safetensors"]
        except (KeyError, AttributeError) as error:
            raise WeightsError(f"{index} lists no files; download it again") from error
        if not names or any(Path(n).name != n for n in names):
            raise WeightsError(f"{index} does not list files beside it; download it again")
        files = tuple(place / n for n in names)
        absent = next((f for f in files if not f.is_file()), None)
        if absent is not None and any(f.suffix in PICKLES for f in place.iterdir()):
            raise WeightsError(
                f"the weights in {place} are pickles, which may run code when opened; take a folder with safetensors instead"
            )
        if absent is not None:
            raise WeightsError(f"{absent} is missing; download the folder again")
        found[name] = files
    return found


def components(folder: Path) -> dict[str, tuple[str, str]]:
    """Component → its library and class, of those that the folder has. WeightsError if one is of neither diffusers nor transformers."""
    found = {}
    for name, entry in _json(folder / INDEX).items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2 or entry[0] is None:
            continue
        library, kind = str(entry[0]), str(entry[1])
        # A pipeline's own folder in diffusers may stand for the library; a file of that name beside the weights would be run instead.
        if library not in ("diffusers", "transformers") and not (
            (_diffusers() / "pipelines" / library).is_dir() and library.isidentifier()
        ):
            raise WeightsError(
                f"{folder} needs {library}.{kind}; kinowatt runs classes of diffusers and transformers only, no code of a model's own"
            )
        if (folder / name / f"{library}.py").exists():
            raise WeightsError(f"{folder / name} holds code of its own, {library}.py, which kinowatt does not run; remove the file")
        found[name] = (library, kind)
    return found


class _Facts:
    """What pipeline, configs and authors say of the usual clip, and what nobody says."""

    def __init__(self, pipeline: str, call: Call, config: Mapping[str, Any], stride: tuple[int, int, int]) -> None:
        self.pipeline, self.call, self.config, self.stride = pipeline, call, config, stride
        self.unsaid: list[str] = []

    def number(self, name: str) -> float:
        """The frame rate ("fps"), number of "frames", "width" or "height"."""
        found = self._authors().get(name) or (self._fps() if name == "fps" else self._default(name))
        if found is None:
            self.unsaid.append(f"{name} {UNSAID[name]}")
        return float(found or UNSAID[name])

    def size(self) -> tuple[int, int]:
        """Width and height."""
        area = self.config.get("target_size")
        if area and self._default("width") is None:  # HunyuanVideo 1.5: as many pixels as a square of that side, 16 to 9
            grid = self.stride[1]
            return round(area * 4 / 3 / grid) * grid, round(area * 3 / 4 / grid) * grid
        return round(self.number("width")), round(self.number("height"))

    def weakness(self) -> str:
        """A sentence if something had to be assumed."""
        return f"neither diffusers nor its files say how this model is used: {', '.join(self.unsaid)} are a guess" if self.unsaid else ""

    def _authors(self) -> Mapping[str, float]:
        if self.pipeline.startswith("CogVideoX") and self.config.get("patch_size_t"):
            return COG15
        return AUTHORS.get(self.pipeline, {})

    def _fps(self) -> float | None:
        said = self.call.defaults.get("frame_rate") or self.call.defaults.get("fps")
        if said is None:
            example = re.search(r"export_to_video\([^)]*fps=(\d+)", self.call.module)
            said = example and example[1]
        return float(said) if said else None

    def _default(self, name: str) -> float | None:
        """Of the signature, or what stands after `name = name or` in the source: numbers and fields of configs, multiplied."""
        for parameter in LENGTHS if name == "frames" else (name,):
            if self.call.defaults.get(parameter):
                return float(self.call.defaults[parameter])
            if computed := re.search(rf"\b{parameter} = {parameter} or ([^\n]+)", self.call.source):
                factors = [self._factor(text.strip()) for text in computed[1].split("*")]
                return math.prod(f for f in factors if f is not None) if None not in factors else None
            if constant := re.search(rf"^ +{parameter} = (\d+)$", self.call.source, re.MULTILINE):
                return float(constant[1])
        return None

    def _factor(self, text: str) -> float | None:
        if field := re.fullmatch(r"self\.(?:transformer|unet)\.config\.(\w+)", text):
            value = self.config.get(field[1])
            return float(value) if isinstance(value, int | float) else None
        if "scale_factor" in text:
            return float(self.stride[0] if "temporal" in text else self.stride[1])
        constant = re.search(rf"{re.escape(text)} = (\d+)\b", self.call.source)  # self.default_height, set in __init__
        return float(constant[1]) if constant else None


def _usual(pipeline: str, folder: Path) -> Call:
    """The call of a pipeline that makes a video of a prompt and maybe an image. WeightsError if it is another kind of pipeline."""
    call = call_of(pipeline)
    if call is None:
        raise WeightsError(f"{folder} is made for {pipeline}, which the diffusers here does not have; try pip install -U diffusers")
    lacking = [] if "prompt" in call.defaults else ["prompt"]
    if not call.defaults.get("num_inference_steps"):
        lacking.append("num_inference_steps")
    if not any(name in call.defaults for name in LENGTHS):
        lacking.append("num_frames")
    if lacking or call.required - {"prompt", "image"}:
        odd = f"has no {lacking[0]}" if lacking else f"needs {min(call.required - {'prompt', 'image'})}"
        raise WeightsError(f"{pipeline} {odd}; kinowatt runs those that make a video of a prompt, or of a prompt and a first image")
    return call


@functools.cache
def call_of(pipeline: str) -> Call | None:
    """How a pipeline of the diffusers that is installed is called; None if it has none of that name."""
    for path in sorted((_diffusers() / "pipelines").rglob("pipeline_*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(rf"^class {re.escape(pipeline)}\(", text, re.MULTILINE):
            continue
        node = next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == pipeline)
        method = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__call__"), None)
        if method is None:
            return None
        positional = [*method.args.posonlyargs, *method.args.args][1:]
        given: list[ast.expr | None] = [None] * (len(positional) - len(method.args.defaults)) + list(method.args.defaults)
        rows = [*zip(positional, given, strict=True), *zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True)]
        source = "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])
        return Call({a.arg: _literal(d) for a, d in rows}, frozenset(a.arg for a, d in rows if d is None), source, text)
    return None


def _literal(default: ast.expr | None) -> Any:
    try:
        return None if default is None else ast.literal_eval(default)
    except ValueError:  # an expression
        return None


def _diffusers() -> Path:
    """Where diffusers is installed. MissingDependency."""
    found = importlib.util.find_spec("diffusers")
    if found is None or found.origin is None:
        raise MissingDependency("this model runs through diffusers, which is not installed; pip install 'kinowatt[diffusers]'")
    return Path(found.origin).parent


def _needs_image(pipeline: str, call: Call) -> bool:
    return "image" in call.defaults and ("image" in call.required or FROM_IMAGE.search(pipeline) is not None)


def _modes(pipeline: str, call: Call) -> frozenset[str]:
    """In the words of `ModelSpec.trained_modes`."""
    with_image = "image" in call.defaults or pipeline in WITH_IMAGE
    return frozenset({"start"} if with_image else set()) | ({"text"} if not _needs_image(pipeline, call) else set())


def _stride(codec: Mapping[str, Any], folder: Path) -> tuple[int, int, int]:
    """Frames, rows and columns per latent. Newer configs tell them; of older ones they are computed as diffusers' codecs do."""
    try:
        blocks = 2 ** (len(codec.get("block_out_channels") or codec.get("encoder_block_out_channels") or ()) - 1)
        time, side = 1, blocks
        if codec.get("spatio_temporal_scaling"):  # LTX
            twice = 2 ** sum(codec["spatio_temporal_scaling"])
            time, side = codec.get("patch_size_t", 1) * twice, codec.get("patch_size", 1) * twice
        elif codec.get("spatial_expansions"):  # Mochi
            time, side = math.prod(codec["temporal_expansions"]), math.prod(codec["spatial_expansions"])
        elif codec.get("_class_name") == "AutoencoderKLMagvit":  # EasyAnimate
            time = blocks // 2
        time = codec.get("temporal_compression_ratio") or codec.get("scale_factor_temporal") or time
        side = codec.get("spatial_compression_ratio") or codec.get("scale_factor_spatial") or side
        if not (int(time) >= 1 and int(side) >= 1):
            raise ValueError("no stride")
        return int(time), int(side), int(side)
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsError(
            f"kinowatt cannot tell the stride of the codec {codec.get('_class_name')} in {folder}; use another model"
        ) from error


def _patch(config: Mapping[str, Any]) -> tuple[int, int, int]:
    size = config.get("patch_size") or 1
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-2]), int(size[-1])
    return int(config.get("patch_size_t") or 1), int(size), int(size)


def _attention(config: Mapping[str, Any]) -> tuple[int, int]:
    """Width of attention, and the layers in which every token attends to every other; width 0 where the config does not say."""
    try:
        width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
        layers = int(config["num_layers"]) + int(config.get("num_single_layers") or 0)
    except (KeyError, TypeError, ValueError):
        return 0, 0
    if config.get("quantization_config"):  # packed weights cannot be counted
        return 0, 0
    return width, 0 if "Sana" in str(config.get("_class_name")) else layers


def _parameters(files: tuple[Path, ...]) -> float:
    """Counted in the headers."""
    from safetensors import SafetensorError, safe_open

    total = 0
    for path in files:
        try:
            with safe_open(path, framework="np") as file:
                total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path} is not a readable safetensors file ({error}); download it again") from error
    return float(total)


def _name(folder: Path) -> str:
    """Of a folder, or of the repository that a snapshot in the Hugging Face cache belongs to."""
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.resolve().name


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing; download the folder again") from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not readable JSON ({error}); download it again") from error
    raise WeightsError(f"{path} is not a JSON object; download it again")
