"""Wan 2.1 and 2.2 from folders in diffusers' layout: configs, shards, experts, image channels, noise levels.

The network itself is dit.VideoDiT, the codec wan_vae.WanCodec, the text encoder umt5.UMT5. Format: classes WanTransformer3DModel,
WanPipeline and WanImageToVideoPipeline of diffusers 0.42. Legend: protocols.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinowatt.errors import MissingDependency, OutputError, WeightsError
from kinowatt.models import weights
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.layers import Context
from kinowatt.models.protocols import Codec
from kinowatt.models.quiet import quiet
from kinowatt.models.wan_specs import PIPELINES, read_json

WEIGHTS = "diffusion_pytorch_model.safetensors"
UNUSED = ("norm_added_q.weight",)  # in some folders of Wan 2.1 I2V; no network ever used it
LAYOUT = "name a folder of Wan 2.1 or 2.2 in diffusers' layout"
MOST_LAYERS = 1000  # Wan has 30 or 40; a config that asks for millions would keep us busy for hours


@dataclass(frozen=True)
class WanFolder:
    """What the JSON files of a folder say.

    `boundary`: the noise level at and above which the first expert works, None where there is but one network.
    `per_frame`: the network was trained with a noise level per latent frame (TI2V). `shift`: of the noise levels.
    `sees_image`: CLIP features of the image are attended to (Wan 2.1 I2V).
    """

    path: Path
    pipeline: str
    dit: DiTConfig
    boundary: float | None
    per_frame: bool
    shift: float
    sees_image: bool

    @property
    def image_channels(self) -> int:
        """Channels that the network takes beside the noise: mask and latents of the given frames; 0 for text-to-video and TI2V."""
        return self.dit.in_channels - self.dit.out_channels


def read_folder(path: Path) -> WanFolder:
    """Of a folder with model_index.json. WeightsError if it is not there, not readable, or another model's."""
    if not (path / "model_index.json").is_file():
        raise WeightsError(f"no Wan model at {path}: it has no model_index.json; {LAYOUT}")
    index = read_json(path / "model_index.json")
    if index.get("_class_name") not in PIPELINES:
        raise WeightsError(f"{path} holds a {index.get('_class_name')}, which kinowatt cannot run; it runs {' and '.join(PIPELINES)}")
    boundary = index.get("boundary_ratio")
    if (index.get("transformer_2") or [None])[0] is None:
        boundary = None
    dit = dit_config(path / "transformer")
    return WanFolder(
        path,
        str(index["_class_name"]),
        dit,
        None if boundary is None else float(boundary),
        bool(index.get("expand_timesteps")),
        _shift(path / "scheduler" / "scheduler_config.json"),
        dit.image_dim is not None,
    )


def _shift(path: Path) -> float:
    """Of the flow's noise levels, from a scheduler's config."""
    values = read_json(path)
    kind, shift = values.get("_class_name"), values.get("flow_shift", values.get("shift"))
    flow = kind == "FlowMatchEulerDiscreteScheduler" or values.get("prediction_type") == "flow_prediction"
    if not flow or not isinstance(shift, int | float) or shift <= 0 or values.get("use_dynamic_shifting"):
        raise WeightsError(f"{path} describes no flow with a fixed shift ({kind}); download the folder again")
    return float(shift)


def dit_config(folder: Path) -> DiTConfig:
    """Of the config.json of a transformer, beside its weights. WeightsError if it is missing or another network's."""
    path = folder / "config.json"
    values = read_json(path)
    try:
        config = DiTConfig(
            heads=int(values["num_attention_heads"]),
            head_dim=int(values["attention_head_dim"]),
            ffn_dim=int(values["ffn_dim"]),
            layers=int(values["num_layers"]),
            text_dim=int(values["text_dim"]),
            in_channels=int(values["in_channels"]),
            out_channels=int(values.get("out_channels") or values["in_channels"]),
            patch=(int(values["patch_size"][0]), int(values["patch_size"][1]), int(values["patch_size"][2])),
            freq_dim=int(values["freq_dim"]),
            eps=float(values["eps"]),
            image_dim=values.get("image_dim"),
            image_tokens=values.get("pos_embed_seq_len"),
        )
        if not 0 < config.layers <= MOST_LAYERS:
            raise ValueError(f"num_layers is {config.layers}")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} describes no Wan transformer ({error!r}); download the folder again") from error
    asked: dict[str, Any] = {"_class_name": "WanTransformer3DModel", "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads"}
    if config.image_dim is not None and not _attends_to_image(folder):
        # Some folders of Wan 2.2 have a config.json that claims the attention to an image of 2.1; the weights know better.
        config = replace(config, image_dim=None, image_tokens=None)
    elif config.image_dim is not None:
        asked["added_kv_proj_dim"] = config.width
    for key, value in asked.items():
        if values.get(key) != value:
            raise WeightsError(f"{path} describes another network than Wan's: {key} is {values.get(key)!r}, expected {value!r}")
    return config


def _attends_to_image(folder: Path) -> bool:
    """Whether the weights of a transformer have keys for an image."""
    for path in shards(folder):
        with weights.opened(path) as file:
            if any("add_k_proj" in name for name in file.keys()):  # noqa: SIM118 - not a dict
                return True
    return False


def dit_json(config: DiTConfig) -> dict[str, Any]:
    """The config.json of a transformer, as diffusers reads it."""
    return {
        "_class_name": "WanTransformer3DModel",
        "_diffusers_version": "0.36.0",
        "patch_size": list(config.patch),
        "num_attention_heads": config.heads,
        "attention_head_dim": config.head_dim,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "text_dim": config.text_dim,
        "freq_dim": config.freq_dim,
        "ffn_dim": config.ffn_dim,
        "num_layers": config.layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": config.eps,
        "image_dim": config.image_dim,
        "added_kv_proj_dim": None if config.image_dim is None else config.width,
        "rope_max_seq_len": 1024,
        "pos_embed_seq_len": config.image_tokens,
    }


def shards(folder: Path) -> list[Path]:
    """The weight files of a transformer, in the order of their names. WeightsError if one is missing."""
    return weights.shards(folder, WEIGHTS)


def kept_in_float32(name: str) -> bool:
    """Whether a parameter keeps float32 whatever the type of the others: norms, tables and all that the noise level passes."""
    parts = name.split(".")
    return any(part.startswith("norm") or part in ("time_embedder", "time_proj", "scale_shift_table") for part in parts)


def load_transformer(
    folder: Path, dtype: torch.dtype = torch.bfloat16, device: torch.device | str = "cpu"
) -> tuple[VideoDiT, dict[str, str]]:
    """The network in a folder with config.json and shards, and the SHA-256 of each of its files.

    Tensors go one by one to their type and device, so there is never a second copy. WeightsError if files are missing, damaged, foreign.
    """
    config = dit_config(folder)
    try:
        with torch.device("meta"):  # no time and no memory for random weights
            dit = VideoDiT(config)
    except (RuntimeError, TypeError, ZeroDivisionError) as error:
        raise WeightsError(f"{folder / 'config.json'} describes another network than Wan's ({error}); download it again") from error
    expected = {name: tuple(parameter.shape) for name, parameter in dit.named_parameters()}
    files = weights.checked(folder, WEIGHTS, expected, unused=UNUSED)
    tensors: dict[str, torch.Tensor] = {}
    with ThreadPoolExecutor(2) as pool:
        digests = [pool.submit(weights.sha256, path) for path in files]  # beside the loading: both want the same pages of the disk
        for path in files:
            _read(path, tensors, dtype, device)
        try:
            found = {path.name: digest.result() for path, digest in zip(files, digests, strict=True)}
        except OSError as error:
            raise WeightsError(f"the weights in {folder} are damaged ({error}); download them again") from error
    dit.load_state_dict(tensors, assign=True)
    return dit.eval().requires_grad_(False), found


def _read(path: Path, tensors: dict[str, torch.Tensor], dtype: torch.dtype, device: torch.device | str) -> None:
    with weights.opened(path) as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            if not name.endswith(UNUSED):
                # Copied even where the type is right: one tensor that lives in the file would keep all its pages mapped.
                kind = torch.float32 if kept_in_float32(name) else dtype
                tensors[name] = file.get_tensor(name).to(device, kind, copy=True)


def save_transformer(dit: VideoDiT, folder: Path, dtype: torch.dtype | None = None, shard_bytes: int = 5_000_000_000) -> None:
    """Write config.json and shards as `save_pretrained` of diffusers does; in `dtype`, else as they are. OutputError if that fails."""
    state = {name: tensor if dtype is None else tensor.to(dtype) for name, tensor in dit.state_dict().items()}
    parts: list[dict[str, torch.Tensor]] = [{}]
    room = shard_bytes
    for name, tensor in state.items():
        if tensor.nbytes > room and parts[-1]:
            parts.append({})
            room = shard_bytes
        parts[-1][name] = tensor
        room -= tensor.nbytes
    stem, ending = WEIGHTS.split(".")
    names = [WEIGHTS] if len(parts) == 1 else [f"{stem}-{i:05}-of-{len(parts):05}.{ending}" for i in range(1, len(parts) + 1)]
    for name, part in zip(names, parts, strict=True):
        weights.save(folder / name, part, {})
    try:
        if len(parts) > 1:
            rows = {key: name for name, part in zip(names, parts, strict=True) for key in part}
            index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": rows}
            (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        (folder / "config.json").write_text(json.dumps(dit_json(dit.config), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write weights to {folder}: {error.strerror or error}") from error


class Experts(nn.Module):
    """The one or two networks of a Wan model. Of two, `high` works at noise levels from `boundary` up and `low` below it.

    With `swap`, only the one that works is on `device`; the other waits in the CPU's memory. A clip changes over once.
    """

    def __init__(self, high: VideoDiT, low: VideoDiT | None = None, boundary: float | None = None, *, swap: bool = False) -> None:
        super().__init__()
        assert (low is None) == (boundary is None)
        self.high, self.low, self.boundary, self.swap = high, low, boundary, swap
        self.device = high.proj_out.weight.device

    @classmethod
    def from_folder(
        cls, folder: WanFolder, dtype: torch.dtype = torch.bfloat16, device: torch.device | str = "cpu", *, swap: bool = False
    ) -> tuple[Experts, dict[str, str]]:
        """All networks of a folder, and the SHA-256 of their files by path in it. WeightsError as in `load_transformer`."""
        high, found = load_transformer(folder.path / "transformer", dtype, device)
        sha256 = {f"transformer/{name}": digest for name, digest in found.items()}
        if folder.boundary is None:
            return cls(high), sha256
        low, found = load_transformer(folder.path / "transformer_2", dtype, "cpu" if swap else device)
        return cls(high, low, folder.boundary, swap=swap), sha256 | {f"transformer_2/{name}": digest for name, digest in found.items()}

    def is_high(self, level: float) -> bool:
        """Whether the first expert works at a noise level."""
        return self.boundary is None or level >= self.boundary - 1e-6  # a level of float32 may be a little under what it stands for

    def guidance(self, level: float, high: float, low: float | None) -> float:
        """The guidance of the expert that works at a noise level; without one of its own, `low` has that of `high`."""
        return high if low is None or self.is_high(level) else low

    def at(self, level: float) -> VideoDiT:
        """The network for a noise level, on the device."""
        used, other = (self.high, self.low) if self.is_high(level) else (self.low, self.high)
        assert used is not None
        if self.swap and other is not None and used.proj_out.weight.device != self.device:
            other.to("cpu")
            used.to(self.device)
        return used


class WanDenoiser:
    """The experts as a `Denoiser` for one take: what belongs to its prompt and its images is computed once and kept.

    `channels_BCFHW`: see `image_channels`; `image_BLD`: see `ImageEncoder`; both for one clip or for each of a batch.
    `stand_ins`: what is called with (x, level, contexts) in the place of a network, where it is not called itself.
    """

    def __init__(
        self,
        experts: Experts,
        channels_BCFHW: torch.Tensor | None = None,
        image_BLD: torch.Tensor | None = None,
        stand_ins: Mapping[VideoDiT, Callable[..., torch.Tensor]] | None = None,
    ) -> None:
        self.experts, self._channels, self._image, self._stand_ins = experts, channels_BCFHW, image_BLD, stand_ins or {}
        self._kept: list[tuple[VideoDiT, torch.Tensor, list[Context]]] = []

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity in float32 and of the shape of x. The expert is that of the noisiest frame; the text may be padded with zeros."""
        network = self.experts.at(float(level_BF.max()))
        # The weights have the types that they should be used in.
        with torch.autocast(x_BCFHW.device.type, enabled=False):
            contexts = self._contexts(network, text_BLD)
            if self._channels is not None:
                x_BCFHW = torch.cat([x_BCFHW, _repeated(self._channels, len(x_BCFHW)).to(x_BCFHW)], 1)
            return self._stand_ins.get(network, network)(x_BCFHW, level_BF, contexts).float()

    def _contexts(self, network: VideoDiT, text_BLD: torch.Tensor) -> list[Context]:
        for known, text, contexts in self._kept:
            if known is network and (text is text_BLD or (text.shape == text_BLD.shape and torch.equal(text, text_BLD))):
                return contexts
        image = None if self._image is None else _repeated(self._image, len(text_BLD)).to(text_BLD)
        contexts = network.contexts(text_BLD, image)
        # With and without guidance there are two batches of texts; a change of experts makes all that was kept useless.
        latest = [row for row in self._kept if row[0] is network][-1:]
        self._kept = [*latest, (network, text_BLD, contexts)]
        return contexts


def _repeated(tensor: torch.Tensor, batch: int) -> torch.Tensor:
    return tensor.repeat(batch // len(tensor), *[1] * (tensor.ndim - 1))


def image_channels(codec: Codec, signal_BCTHW: torch.Tensor, given: Sequence[bool]) -> torch.Tensor:
    """What image-to-video networks take beside the noise (B, 4 + C, F, H, W): which frames are given, and the latents of those.

    `signal_BCTHW`: frames in [-1, 1], T = 4k + 1; `given`: whether each is known. The others become grey. Wan was trained with the
    first frame, or the first and the last, given.
    """
    known_T = torch.tensor(given, dtype=torch.float32, device=signal_BCTHW.device)
    latents = codec.encode(signal_BCTHW * known_T[:, None, None])
    # Latent 0 holds one frame, which counts as often as those of the others.
    stride = codec.stride[0]
    mask_SF = torch.cat([known_T[:1].expand(stride), known_T[1:]]).view(-1, stride).T
    mask = mask_SF[None, :, :, None, None].expand(len(latents), -1, -1, *latents.shape[3:])
    return torch.cat([mask.to(latents), latents], 1)


class ImageEncoder:
    """CLIP, as Wan 2.1 I2V attends to it, run by transformers. Legend: protocols.py."""

    def __init__(self, processor: Any, encoder: Any) -> None:
        self._processor, self._encoder = processor, encoder

    @classmethod
    def from_folder(cls, folder: Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> ImageEncoder:
        """Of image_encoder/ and image_processor/ in a diffusers folder. MissingDependency without transformers; WeightsError."""
        with quiet("transformers"):
            try:
                from transformers import CLIPVisionModel
                from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
            except ImportError as error:
                raise MissingDependency("Wan 2.1 image-to-video needs transformers 5; pip install 'kinowatt[wan]'") from error
            if not (folder / "image_encoder").is_dir():
                raise WeightsError(f"{folder} has no image encoder: image_encoder/ is missing; download the folder again")
            with weights.read_elsewhere(f"the image encoder in {folder}"):
                for name in ("image_encoder/config.json", "image_processor/preprocessor_config.json"):
                    read_json(folder / name)
                for path in weights.shards(folder / "image_encoder", "model.safetensors"):
                    weights.headers(path)  # what is wrong is said better here than by the other library
                processor = CLIPImageProcessorPil.from_pretrained(folder / "image_processor", local_files_only=True)
                read: Any = CLIPVisionModel.from_pretrained
                options = {"local_files_only": True, "use_safetensors": True, "ignore_mismatched_sizes": True}
                encoder, info = read(folder / "image_encoder", dtype=dtype, output_loading_info=True, **options)
        if lacking := sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}):
            where, said = folder / "image_encoder", f"{lacking[0]} is missing or has another shape"
            raise WeightsError(f"{where} holds another image encoder than its config.json says: {said}; download it again")
        return cls(processor, encoder.eval().requires_grad_(False).to(device))

    @torch.inference_mode()
    def features(self, images: Sequence[Any]) -> torch.Tensor:
        """(1, 257 per image, 1280) of one image or of a first and a last one (PIL): the last layer but one."""
        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"].to(self._encoder.device, self._encoder.dtype)
        return self._encoder(pixel_values=pixels, output_hidden_states=True).hidden_states[-2].flatten(0, 1)[None]
