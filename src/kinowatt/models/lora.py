"""LoRA files on a video DiT: fused into its weights, or attached beside them and taken off again.

A LoRA (Hu et al. 2021, arXiv 2106.09685) adds scale * alpha / rank * up(down(x)) to what a layer gives. Three ways of naming are read:
of diffusers and PEFT (transformer.blocks.0.attn1.to_q.lora_A.weight), of kohya (lora_unet_blocks_0_self_attn_q.lora_down.weight) and of
the original Wan, as ComfyUI has it (diffusion_model.blocks.0.self_attn.q.lora_A.weight). The last may also hold differences of whole
weights (.diff) and biases (.diff_b). Format: lora_conversion_utils.py of diffusers 0.42, which passes over most .diff; here they count.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.models.dit import VideoDiT
from kinowatt.models.layers import RMSNorm
from kinowatt.models.lora_file import Lora

Layer = nn.Linear | nn.Conv3d | RMSNorm | nn.LayerNorm  # what a file may change; each is linear in its weight and bias
_PREFIXES = ("base_model.model.", "model.", "transformer.", "diffusion_model.")
_KEY = re.compile(r"(?P<layer>.+?)\.(?P<part>alpha|diff|diff_b|(lora_|lora\.)(?P<side>A|B|down|up)(\.[^.]+)?\.(?P<what>weight|bias))")
_SIDES = {("A", "weight"): "down", ("down", "weight"): "down", ("B", "weight"): "up", ("up", "weight"): "up"}
_SIDES |= {("B", "bias"): "bias", ("up", "bias"): "bias"}
# Ours, which are diffusers', to those of the Wan team's code; replaced one after the other.
_ORIGINAL = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "proj_out": "head.head",
    ".attn1.": ".self_attn.",
    ".attn2.": ".cross_attn.",
    ".to_out.0": ".o",
    ".to_": ".",
    ".add_k_proj": ".k_img",
    ".add_v_proj": ".v_img",
    ".norm_added_k": ".norm_k_img",
    ".ffn.net.0.proj": ".ffn.0",
    ".ffn.net.2": ".ffn.2",
    ".norm2": ".norm3",
}


def attach(dit: VideoDiT, files: Sequence[Lora], low: VideoDiT | None = None) -> None:
    """Let layers add what LoRA files say, beside their weights, which may be quantised before or after. It replaces what was attached.

    `low`: the second of two experts. What was computed with the network before (`contexts`) no longer holds. WeightsError if a file is
    damaged, or of another network; all are read before any layer is touched.
    """
    for network, changes in _planned(dit, files, low):
        detach(network)
        for layer, change in changes:
            layer.lora = Added(layer, change)
            layer.lora.handle = layer.register_forward_hook(_add)


def detach(dit: VideoDiT) -> None:
    """Take off what `attach` has put on: the network is as it was, bit by bit."""
    for layer in list(dit.modules()):
        if isinstance(added := getattr(layer, "lora", None), Added):
            assert added.handle is not None
            added.handle.remove()
            del layer.lora


@torch.no_grad()
def fuse(dit: VideoDiT, files: Sequence[Lora], low: VideoDiT | None = None) -> None:
    """Add LoRA files to the weights for good, in float32 and then rounded to their type. Not for quantised ones. Errors as `attach`."""
    for _, changes in _planned(dit, files, low):
        for layer, change in changes:
            for parameter, added in ((layer.weight, change.weight(layer.weight)), (getattr(layer, "bias", None), change.bias())):
                if added is not None:
                    assert parameter is not None
                    assert type(parameter.data) is torch.Tensor, "fuse before quantising"
                    parameter.copy_(parameter.float() + added.to(parameter.device))


@dataclass(eq=False)
class Change:
    """What files add to one layer, each with its factor: pairs (down, up), whole weights, biases; in the types of the files."""

    pairs: list[tuple[float, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    weights: list[tuple[float, torch.Tensor]] = field(default_factory=list)
    biases: list[tuple[float, torch.Tensor]] = field(default_factory=list)

    def weight(self, like: torch.Tensor) -> torch.Tensor | None:
        """The sum for a weight, in float32 and on its device; None: nothing."""
        rows = [f * w.to(like.device, torch.float32) for f, w in self.weights]
        for factor, down, up in self.pairs:
            product = factor * up.to(like.device, torch.float32).flatten(1) @ down.to(like.device, torch.float32).flatten(1)
            rows.append(product.view(like.shape))
        return sum(rows[1:], rows[0]) if rows else None

    def bias(self) -> torch.Tensor | None:
        """The sum for a bias, in float32; None: nothing."""
        rows = [f * b.float() for f, b in self.biases]
        return sum(rows[1:], rows[0]) if rows else None


class Added(nn.Module):
    """A Change beside a layer. Its tensors are buffers that move with the layer but are not among its state."""

    down: torch.Tensor | None
    up: torch.Tensor | None
    weight: torch.Tensor | None
    bias: torch.Tensor | None

    def __init__(self, layer: Layer, change: Change) -> None:
        super().__init__()
        device, dtype = layer.weight.device, layer.weight.dtype
        ups = [f * up.to(device, torch.float32) for f, _, up in change.pairs]
        tensors = {
            "down": torch.cat([down.to(device, dtype) for _, down, _ in change.pairs]) if ups else None,
            "up": torch.cat(ups, 1) if ups else None,  # the pairs of all files in one product
            "weight": Change(weights=change.weights).weight(layer.weight),
            "bias": change.bias(),
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, None if tensor is None else tensor.to(device, dtype), persistent=False)
        self.handle: torch.utils.hooks.RemovableHandle | None = None


def _add(layer: nn.Module, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
    """A forward hook: the layer's output and what is attached."""
    added, x = layer.lora, inputs[0]
    assert isinstance(added, Added)
    if added.down is not None and added.up is not None:
        out = out + _through(layer, _through(layer, x, added.down), added.up, step=isinstance(layer, nn.Conv3d))
    if added.weight is not None:
        out = out + _through(layer, x, added.weight).to(out.dtype)
    if added.bias is not None:
        out = out + (added.bias[:, None, None, None] if isinstance(layer, nn.Conv3d) else added.bias).to(out.dtype)
    return out


def _through(layer: nn.Module, x: torch.Tensor, weight: torch.Tensor, step: bool = False) -> torch.Tensor:
    """x through a layer of this kind with another weight and no bias; with `step`, a convolution of one pixel."""
    if isinstance(layer, nn.Conv3d):
        return F.conv3d(x, weight, stride=1 if step else layer.stride)
    if isinstance(layer, RMSNorm):
        return F.rms_norm(x.float(), (x.shape[-1],), weight.float(), layer.eps)
    if isinstance(layer, nn.LayerNorm):
        return F.layer_norm(x, layer.normalized_shape, weight, None, layer.eps)
    return F.linear(x, weight)


def _planned(dit: VideoDiT, files: Sequence[Lora], low: VideoDiT | None) -> list[tuple[VideoDiT, list[tuple[Layer, Change]]]]:
    """Networks, and what is added to their layers. WeightsError."""
    plans = []
    for lora in files:
        if lora.expert is not None and low is None:
            raise WeightsError(f"{lora.path} is for the {lora.expert} expert, and this model has but one network; leave out @{lora.expert}")
    for expert, network in (("high", dit), ("low", low)):
        if network is not None:
            layers: dict[str, Layer] = {name: module for name, module in network.named_modules() if isinstance(module, Layer)}
            changes: dict[str, Change] = {}
            for lora in files:
                if lora.expert in (None, expert):
                    _read(lora, layers, changes)
            plans.append((network, [(layers[name], change) for name, change in changes.items()]))
    return plans


def _spellings(layers: Sequence[str]) -> dict[str, str]:
    """Every name that a file may give to a layer, without its prefix, and ours."""
    names: dict[str, str] = {}
    for ours in layers:
        original = ours
        for part, theirs in _ORIGINAL.items():
            original = original.replace(part, theirs)
        for name in (ours, original):
            names |= {name: ours, "lora_unet_" + name.replace(".", "_"): ours}
    return names


def _read(lora: Lora, layers: dict[str, Layer], changes: dict[str, Change]) -> None:
    """Add what one file says to the changes of the layers."""
    rows = _sorted(lora.path, _spellings(list(layers)))
    for ours, parts in rows.items():
        _check(layers[ours], parts)
    with weights.opened(lora.path) as file:
        alpha = _alpha(lora.path, file.metadata() or {})
        for ours, parts in rows.items():
            tensors = {part: file.get_tensor(row.name) for part, row in parts.items()}
            change, factor = changes.setdefault(ours, Change()), lora.scale
            if "down" in tensors:
                rank = len(tensors["down"])
                factor *= float(tensors["alpha"]) / rank if "alpha" in tensors else alpha(ours, rank)
                change.pairs.append((factor, tensors["down"], tensors["up"]))
            if "diff" in tensors:
                change.weights.append((lora.scale, tensors["diff"]))
            change.biases += [(f, tensors[part]) for part, f in (("bias", factor), ("diff_b", lora.scale)) if part in tensors]


def _sorted(path: Path, names: dict[str, str]) -> dict[str, dict[str, weights.Row]]:
    """The tensors of a file by layer and by part: down, up, bias, alpha, diff, diff_b. WeightsError if one has no place in the network."""
    rows: dict[str, dict[str, weights.Row]] = {}
    for row in weights.headers(path, any_type=(".alpha",)):
        match, ours, part = _KEY.fullmatch(row.name), None, None
        if match is not None:
            layer = match["layer"]
            for prefix in _PREFIXES:
                layer = layer.removeprefix(prefix)
            ours, part = names.get(layer), _SIDES.get((match["side"], match["what"])) if match["side"] else match["part"]
        if ours is None or part is None:
            raise WeightsError(f"{path} is no LoRA for this network, which has no place for {row.name}; use one that was made for it")
        if part in rows.setdefault(ours, {}):
            raise WeightsError(f"{path} holds {row.name} and {rows[ours][part].name}, which are the same; use another file")
        rows[ours][part] = row
    if not rows:
        raise WeightsError(f"{path} holds no LoRA: there is nothing in it; use another file")
    return rows


def _check(layer: Layer, parts: dict[str, weights.Row]) -> None:
    """WeightsError unless the parts for one layer have its shapes, and no part lacks another."""
    shape, bias = tuple(layer.weight.shape), getattr(layer, "bias", None)
    rank = parts["down"].shape[0] if "down" in parts and parts["down"].shape else 0
    wanted: dict[str, tuple[int, ...]] = {"diff": shape}
    if bias is not None:
        wanted["diff_b"] = tuple(bias.shape)
    if isinstance(layer, nn.Linear | nn.Conv3d):
        wanted |= {"down": (max(rank, 1), *shape[1:]), "up": (shape[0], max(rank, 1), *[1] * (len(shape) - 2)), "bias": shape[:1]}
    for part, row in parts.items():
        for partner in {"down": ["up"], "up": ["down"], "alpha": ["down"], "bias": ["down"]}.get(part, []):
            if partner not in parts:
                raise WeightsError(f"{row.path} is incomplete: {row.name} lacks its lora_{partner}; download it again")
        if part == "alpha":
            if math.prod(row.shape) != 1:
                raise WeightsError(f"{row.path} is damaged: {row.name} is {row.shape}, expected one number; download it again")
        elif row.shape != wanted.get(part):
            said = f"{row.name} is {row.shape}, expected {wanted.get(part, 'nothing there')}"
            raise WeightsError(f"{row.path} is a LoRA of another network: {said}; use one that was made for this one")


def _alpha(path: Path, metadata: dict[str, str]) -> Callable[[str, int], float]:
    """alpha / rank of a layer and its rank, for files that have no .alpha: from the header, as diffusers and PEFT write it, else 1."""
    try:
        if "lora_adapter_metadata" in metadata:
            told = {k.removeprefix("transformer."): v for k, v in json.loads(metadata["lora_adapter_metadata"]).items()}
            patterns = {str(k): float(v) for k, v in (told.get("alpha_pattern") or {}).items()}
        else:
            told, patterns = dict(metadata), {}
        default = None if told.get("lora_alpha") is None else float(told["lora_alpha"])
        compiled = [(re.compile(rf"(.*\.)?({pattern})"), value) for pattern, value in patterns.items()]
    except (ValueError, TypeError, AttributeError, RecursionError, re.error) as error:
        raise WeightsError(f"{path} has no readable lora_alpha in its header ({error}); download it again") from error

    def of(layer: str, rank: int) -> float:
        alpha = next((value for pattern, value in compiled if pattern.fullmatch(layer)), default)
        return 1.0 if alpha is None else alpha / (math.sqrt(rank) if told.get("use_rslora") is True else rank)

    return of
