"""Plans of memory hold what was counted, streamed blocks and tiles give what the whole gives, and a failed decoding loses nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import memory, tiles
from kinowatt.engine.load import load
from kinowatt.engine.memory import PIXEL_B, TOKEN_B, layout
from kinowatt.engine.offload import BlockStream
from kinowatt.engine.plan import fill
from kinowatt.engine.ways import Ways, bytes_of
from kinowatt.errors import DeviceError, ShotError
from kinowatt.media.likeness import psnr_dB
from kinowatt.models import specs
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.wan_vae import WanCodec, WanCodecConfig
from kinowatt.shot import Anchor, Shot
from peak import peak_on_paper

WIDE = {"heads": 12, "head_dim": 128, "ffn_dim": 8960}  # of Wan 2.1 T2V 1.3B
CODECS = {
    8: WanCodecConfig((0.0,) * 16, (1.0,) * 16),
    16: WanCodecConfig(
        (0.0,) * 48,
        (1.0,) * 48,
        base_dim=160,
        decoder_base_dim=256,
        z_dim=48,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
    ),
}


def in_bfloat16(make: Callable[[], Any]) -> Any:
    torch.set_default_dtype(torch.bfloat16)
    try:
        return make()
    finally:
        torch.set_default_dtype(torch.float32)


def plan_of(name: str, **more: Any) -> Any:
    spec = specs.find(name)
    anchors = (Anchor(Clip(np.zeros((1, 3, 480, 832), np.uint8), fps=16.0)),) if spec.needs_image else ()
    return fill(Shot("a cat", model=name, anchors=anchors, **more), spec), spec


@pytest.mark.parametrize("shape", [{}, {"heads": 40, "ffn_dim": 13824}], ids=["1.3B", "14B"])
def test_a_pass_holds_no_more_than_is_planned(shape: dict[str, int]) -> None:
    frames, rows, columns = 21, 60, 104
    config = DiTConfig(**(WIDE | shape), layers=2, text_dim=4096, in_channels=16, out_channels=16)  # type: ignore[arg-type]

    def make() -> Callable[[], Any]:
        dit = in_bfloat16(lambda: VideoDiT(config))
        x, level = torch.zeros(1, 16, frames, rows, columns), torch.ones(1, frames)
        text = torch.ones(1, 64, 4096)
        return lambda: dit(x, level, text)

    counted = peak_on_paper(make) / (frames * rows * columns / 4 * config.width)
    assert 0.7 * TOKEN_B <= counted <= TOKEN_B


@pytest.mark.parametrize("side", [8, 16])
def test_decoding_holds_no_more_than_is_planned_however_long_the_clip(side: int) -> None:
    rows, columns = 320 // side, 320 // side

    def make(latents: int) -> Callable[[], Any]:
        codec = in_bfloat16(lambda: WanCodec(CODECS[side]))
        x = torch.zeros(1, CODECS[side].z_dim, latents, rows, columns)
        return lambda: [None for _ in codec.decode_stream(x)]

    short, long = (peak_on_paper(lambda n=n: make(n)) / 320**2 for n in (6, 21))  # type: ignore[misc]
    assert 0.7 * PIXEL_B[side] <= short <= PIXEL_B[side]
    assert long <= 1.01 * short, "81 frames hold what 21 hold: one chunk and its past"


def test_a_plan_takes_less_and_less_until_it_fits() -> None:
    plan, spec = plan_of("wan2.1-t2v-1.3b")
    found = {gb: layout(plan, spec, gb * 1e9)[0] for gb in (4, 8, 24)}
    assert found[24].resident is None
    assert not found[24].text_on_cpu
    assert found[8].text_on_cpu
    assert found[4].resident is not None
    assert found[4].split
    assert found[4].tile is not None
    for gb, at in found.items():
        assert max(at.denoise_B, at.decode_B) + memory.RESERVED_B <= gb * 1e9
    both, spec = plan_of("wan2.2-t2v-a14b", size=(832, 480))
    assert layout(both, spec, 80e9)[0].swap is False
    assert layout(both, spec, 48e9)[0].swap
    streamed, sizes = layout(both, spec, 16e9)
    assert streamed.resident is not None
    assert any("blocks on the device, the others streamed" in line for line in streamed.lines(sizes))
    assert layout(both, spec, 48e9, Ways(weights="int8"))[1].network_B == pytest.approx(sizes.network_B / 2)


def test_a_plan_that_cannot_work_says_what_would() -> None:
    plan, spec = plan_of("wan2.1-t2v-14b")
    with pytest.raises(ShotError, match=r"do not fit into 4\.0 GB, .*; (\d+)x(\d+) would$") as error:
        layout(plan, spec, 4e9)
    width, height = map(int, re.findall(r"(\d+)x(\d+) would", str(error.value))[0])
    smaller, _ = plan_of("wan2.1-t2v-14b", size=(width, height))
    layout(smaller, spec, 4e9)
    for text in ("8", "GB", "-1GB", "0GB", "8 apples"):
        with pytest.raises(ShotError, match="no amount of memory"):
            bytes_of(text)
    assert (bytes_of("8GB"), bytes_of("2 GiB"), bytes_of("1.5gb")) == (8e9, 2 * 2**30, 1.5e9)
    with pytest.raises(ShotError, match="would run on the CPU"):
        load("wan2.1-t2v-1.3b", "cpu", Ways(memory_B=8e9))


@pytest.mark.parametrize("resident", [0, 2, 5])
def test_streamed_blocks_change_nothing_and_are_two_at_most(resident: int) -> None:
    torch.manual_seed(0)
    config = DiTConfig(heads=2, head_dim=16, ffn_dim=48, layers=5, text_dim=8, in_channels=4, out_channels=4)
    dit = VideoDiT(config).eval().requires_grad_(False)
    for parameter in dit.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    x, level, text = torch.randn(1, 4, 2, 4, 4), torch.ones(1, 2), torch.randn(1, 8, 8)
    want = dit(x, level, text)
    stream = BlockStream(dit, torch.device("cpu"), resident)
    most: list[int] = []
    for block in dit.blocks:
        block.register_forward_hook(lambda *_: most.append(stream.visiting))
    assert torch.equal(dit(x, level, text), want)
    assert torch.equal(dit(x, level, text), want)
    assert max(most) <= 2
    assert stream.visiting <= 1, "the first block of the next pass may be on its way"


def test_tiles_cover_all_and_fade_into_each_other() -> None:
    for length, tile in ((17, 8), (16, 8), (9, 8), (8, 8), (104, 52), (33, 12)):
        spans = tiles.spans(length, tile)
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(b - a == min(tile, length) for a, b in spans)
        assert all(b[0] < a[1] for a, b in itertools.pairwise(spans))


def test_a_picture_decoded_in_tiles_is_close_to_that_of_one_piece() -> None:
    """With spark's codec, which is trained: random weights would say nothing of seams."""
    engine = load("spark", "cpu", Ways("torch"))
    x, y = np.meshgrid(np.linspace(0, 6, 160), np.linspace(0, 5, 128))
    frames = np.stack([np.stack([np.sin(x + t / 3), np.cos(y - t / 4), np.sin(x * y / 9)]) * 100 + 128 for t in range(5)]).astype(np.uint8)
    with torch.inference_mode():
        latents = engine.model.codec.encode(torch.from_numpy(frames).permute(1, 0, 2, 3)[None] / 127.5 - 1)
        whole, tiled = engine.model.codec.decode(latents), torch.cat(list(tiles.decode(engine.model.codec, latents, (6, 6))), 2)
        same = torch.cat(list(tiles.decode(engine.model.codec, latents, (99, 99))), 2)
    assert torch.allclose(same, whole, atol=1e-5)
    as_frames = [((t[0].permute(1, 0, 2, 3) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy() for t in (whole, tiled)]
    assert psnr_dB(*as_frames) >= 35


class Hungry:
    """A codec that runs out of memory beyond so many latents at once."""

    def __init__(self, codec: Any, most: int) -> None:
        self.codec, self.most, self.stride, self.channels = codec, most, codec.stride, codec.channels

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return self.codec.encode(frames)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.codec.decode(latents)

    def decode_stream(self, latents: torch.Tensor, chunk: int = 2) -> Any:
        for i, part in enumerate(self.codec.decode_stream(latents, chunk)):
            if i == 1 and latents.shape[3] * latents.shape[4] > self.most:
                raise torch.OutOfMemoryError("tried to allocate too much")
            yield part


def test_decoding_falls_back_to_smaller_tiles(small_model: Path) -> None:
    engine = load(str(small_model), "cpu", Ways("torch"))
    shot = Shot("a red ball", size=(160, 160), seconds=0.5, steps=1, seed=1, guidance=1.0)
    whole = engine.generate(shot)
    for most, fits in ((25, True), (24, False)):
        engine.runtime.codec = Hungry(engine.model.codec, most)  # type: ignore[assignment]
        if fits:
            take = engine.generate(shot)
            assert any("tiles" in note for note in take.warnings)
            # Random weights look far: how near tiles come is measured above.
            assert psnr_dB(take.clip.frames_TCHW, whole.clip.frames_TCHW) > 8
        else:
            with pytest.raises(DeviceError, match="even in tiles"):
                engine.generate(shot)
