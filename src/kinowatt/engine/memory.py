"""Where a take's weights and numbers go on a device of limited memory: a plan, made before anything is loaded. No torch here.

Sizes come from the headers of a model's files, or from what is published of it; what arithmetic holds beside its weights was counted
(tests/engine/test_memory.py counts it again) for two bytes per number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinowatt.energy.anatomy import Anatomy
from kinowatt.engine import cost
from kinowatt.engine.plan import Plan, fill
from kinowatt.engine.ways import Ways
from kinowatt.errors import ShotError
from kinowatt.models.savings import BYTES_PER_WEIGHT
from kinowatt.models.spec import ModelSpec
from kinowatt.models.wan_specs import WanSpec

RESERVED_B = 0.6e9  # what CUDA and its libraries hold themselves
TOKEN_B = 40  # per token and unit of width, for one clip of a batch
CACHE_B = 4  # more where steps are cached
PIXEL_B = {8: 15_500, 16: 13_500}  # per pixel of the canvas while decoding, by the codec's pixels per latent (2.1, 2.2)
UMT5_B, CODEC_B, CLIP_B = 11.4e9, {8: 0.26e9, 16: 1.42e9}, 1.3e9  # of the files of the Wan team, in bfloat16
TILES = (1.0, 0.5, 0.25, 0.125)  # of the canvas's longer side
SMALLEST_TILE = 16  # latents; smaller ones would see too little


@dataclass(frozen=True)
class Sizes:
    """Bytes of a model's parts: one network, how many there are of them, its blocks; text encoder, codec, image encoder."""

    network_B: float
    networks: int
    blocks: int
    text_B: float
    codec_B: float
    image_B: float


@dataclass(frozen=True)
class Layout:
    """How a take is laid out. `resident` of the network's blocks stay on the device, the others come one by one.

    `text_on_cpu`: the text encoder works in the CPU's memory. `swap`: of two networks one waits there. `split`: the two passes of guidance
    come one after the other. `tile`: (rows, columns) of latents that are decoded at once; None: all.
    """

    device_B: float
    text_on_cpu: bool = False
    swap: bool = False
    resident: int | None = None
    split: bool = False
    tile: tuple[int, int] | None = None
    weights: str | None = None
    denoise_B: float = 0.0
    decode_B: float = 0.0

    def lines(self, sizes: Sizes) -> list[str]:
        """The plan in words."""
        resident = "whole" if self.resident is None else f"{self.resident} of {sizes.blocks} blocks on the device, the others streamed"
        size = sizes.network_B / 1e9
        parts = [
            f"network ({size:.1f} GB{f', {self.weights}' if self.weights else ''}): {resident}"
            + (", one of two at a time" if self.swap else ""),
            f"text encoder ({sizes.text_B / 1e9:.1f} GB): on the {'CPU' if self.text_on_cpu else 'device'}",
        ]
        if self.split:
            parts.append("guidance: two passes, one after the other")
        parts.append("decoding: " + ("whole" if self.tile is None else f"tiles of {self.tile[1]}x{self.tile[0]} latents"))
        most = max(self.denoise_B, self.decode_B)
        return [f"memory: {(most + RESERVED_B) / 1e9:.1f} of {self.device_B / 1e9:.1f} GB at most", *(f"  {part}" for part in parts)]


def sizes_of(spec: ModelSpec) -> Sizes:
    """Of a Wan model, from its files, or from what is known of it where they are not here. WeightsError for damaged ones."""
    assert isinstance(spec, WanSpec)
    anatomy, side = cost.known(spec), spec.grid // 2
    twice = spec.guidance_low is not None
    if spec.folder == Path():
        clip = CLIP_B if spec.needs_image and not twice else 0.0
        return Sizes(2.0 * anatomy.parameters, 1 + twice, anatomy.layers, UMT5_B, CODEC_B[side], clip)
    parts = {
        name: 2.0 * _parameters(spec.folder / name) for name in ("transformer", "transformer_2", "text_encoder", "vae", "image_encoder")
    }
    networks = 2 if parts["transformer_2"] else 1
    return Sizes(parts["transformer"], networks, anatomy.layers, parts["text_encoder"], parts["vae"], parts["image_encoder"])


def _parameters(folder: Path) -> float:
    return float(sum(math.prod(shape) for path in sorted(folder.glob("*.safetensors")) for shape in cost.header(path)[0].values()))


def layout(plan: Plan, spec: ModelSpec, device_B: float, ways: Ways | None = None) -> tuple[Layout, Sizes]:
    """The quickest layout that fits: all resident, then less and less. ShotError, with what would work, if none does.

    `ways`: what the user has chosen. Rounding is never chosen here: all that is chosen is exact but tiles.
    """
    sizes, anatomy, ways = sizes_of(spec), cost.known(spec), ways or Ways()
    if ways.weights is not None:
        sizes = replace(sizes, network_B=sizes.network_B / 2.0 * BYTES_PER_WEIGHT[ways.weights])
    found = _layout(plan, spec, anatomy, sizes, device_B, ways)
    if found is None:
        raise ShotError(_refusal(plan, spec, anatomy, sizes, device_B, ways))
    return found, sizes


def _layout(plan: Plan, spec: ModelSpec, anatomy: Anatomy, sizes: Sizes, device_B: float, ways: Ways) -> Layout | None:
    room_B, side = device_B - RESERVED_B, spec.grid // anatomy.patch[1]
    decode = _decoding(plan, side, room_B - sizes.codec_B)
    if decode is None:
        return None
    tile, decode_B = decode
    at = Layout(device_B, tile=tile, weights=ways.weights, decode_B=decode_B + sizes.codec_B)
    width_B = TOKEN_B + (CACHE_B if ways.step_cache else 0)
    one_B = width_B * anatomy.width * anatomy.tokens(plan.frames, plan.canvas_width, plan.canvas_height)
    passes = 1 if plan.strength == 1.0 else 2
    for split, swap in ((False, False), (False, True), (True, True)) if sizes.networks > 1 else ((False, False), (True, False)):
        busy_B = one_B * (1 if split else passes)
        networks_B = sizes.network_B * (1 if swap else sizes.networks)
        if busy_B + networks_B + sizes.codec_B <= room_B:
            all_B = busy_B + networks_B + sizes.codec_B
            there = all_B + sizes.text_B <= room_B
            all_B += sizes.text_B if there else 0.0
            return replace(at, split=split and passes > 1, swap=swap, denoise_B=all_B, text_on_cpu=not there)
    block_B = sizes.network_B / sizes.blocks
    busy_B = one_B  # streaming costs time for every pass, so there is little to lose by splitting them
    spare = math.floor((room_B - busy_B - sizes.codec_B) / block_B) - 2
    if spare < 0:
        return None
    resident = min(spare // sizes.networks, sizes.blocks)  # of each network
    held_B = busy_B + sizes.codec_B + (resident * sizes.networks + 2) * block_B
    return replace(at, split=passes > 1, resident=resident, denoise_B=held_B, text_on_cpu=True)


def _decoding(plan: Plan, side: int, room_B: float) -> tuple[tuple[int, int] | None, float] | None:
    """The largest tiles that can be decoded: (rows, columns) or None for all, and bytes; None if not even the smallest can."""
    rows, columns = plan.canvas_height // side, plan.canvas_width // side
    for share in TILES:
        edge = max(math.ceil(max(rows, columns) * share), SMALLEST_TILE)
        tile = min(rows, edge), min(columns, edge)
        needed_B = PIXEL_B[side] * float(tile[0] * tile[1] * side**2)
        if needed_B <= room_B:
            return (None if tile == (rows, columns) else tile), needed_B
    return None


def _refusal(plan: Plan, spec: ModelSpec, anatomy: Anatomy, sizes: Sizes, device_B: float, ways: Ways) -> str:
    """Why nothing fits, and what would: a smaller picture, a shorter clip, or more memory."""

    def fits(change: Callable[[Plan], dict[str, Any]], device_B: float = device_B) -> bool:
        try:
            smaller = fill(replace(plan.shot, **change(plan)), spec)
        except ShotError:
            return False
        return _layout(smaller, spec, anatomy, sizes, device_B, ways) is not None

    said = (
        f"{plan.frames} frames of {plan.canvas_width}x{plan.canvas_height} with {spec.name} do not fit into {device_B / 1e9:.1f} GB, "
        "even with streamed blocks, single passes and the smallest tiles"
    )
    for share in (0.75, 0.5, 0.25):
        width, height = (max(round(s * share / spec.grid), 1) * spec.grid for s in (plan.width, plan.height))
        if fits(lambda plan, size=(width, height): {"size": size}):  # type: ignore[misc]
            return f"{said}; {width}x{height} would"
    for seconds in (2.0, 1.0, 0.5):
        if seconds < plan.frames / spec.fps and not plan.shot.anchors and fits(lambda plan, s=seconds: {"seconds": s}):  # type: ignore[misc]
            return f"{said}; {seconds:g} s would"
    more = next((gb for gb in (4, 6, 8, 10, 12, 16, 24, 32, 48, 80, 141) if gb * 1e9 > device_B and fits(lambda p: {}, gb * 1e9)), None)
    return f"{said}; {f'{more} GB would' if more else 'ask for less'}"


def dump(found: Layout) -> str:
    """As JSON, for --json."""
    return json.dumps(vars(found))
