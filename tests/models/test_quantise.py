"""Weights in 8 bits are near, smaller in memory, and only where they should be; and what is said of all savings."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import pytest
import torch

from kinowatt.errors import MissingDependency, ShotError
from kinowatt.models import savings
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.quantise import large_layers, quantise
from kinowatt.models.savings import BYTES_PER_WEIGHT, Measured, of_step_cache, of_weights, of_window, share_of_work, window_of
from kinowatt.models.specs import SPARK
from kinowatt.models.wan import kept_in_float32

CONFIG = DiTConfig(heads=4, head_dim=32, ffn_dim=512, layers=2, text_dim=24, in_channels=4, out_channels=4, freq_dim=32)
SHA = SPARK.weights_sha256


def network(dtype: torch.dtype = torch.float32) -> VideoDiT:
    torch.manual_seed(0)
    dit = VideoDiT(CONFIG).eval().requires_grad_(False)
    for parameter in dit.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    for name, parameter in dit.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if kept_in_float32(name) else dtype)
    return dit


def run(dit: VideoDiT) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x, level = torch.randn(2, 4, 3, 4, 6, generator=generator), torch.rand(2, 3, generator=generator)
    with torch.inference_mode():
        return dit(x, level, dit.contexts(torch.randn(2, 9, 24, generator=generator))).float()


def stored_bytes(module: torch.nn.Module) -> int:
    """What its tensors take when they are written: no attribute of a class is asked, which might only claim it."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return file.tell()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_near_and_really_smaller(kind: str, dtype: torch.dtype) -> None:
    pytest.importorskip("torchao")
    exact, short = network(dtype), quantise(network(dtype), kind)
    layers = large_layers(exact)
    assert len(layers) == 2 * 10
    weights = sum(m.weight.numel() for n, m in exact.named_modules() if n in layers)  # type: ignore[union-attr, operator, misc]
    scales = sum(m.weight.shape[0] * 4 for n, m in exact.named_modules() if n in layers)  # type: ignore[union-attr, index, operator, misc]
    saved = stored_bytes(exact) - stored_bytes(short)
    expected = weights * (dtype.itemsize - BYTES_PER_WEIGHT[kind]) - scales
    assert saved == pytest.approx(expected, rel=0.05)
    got, want = run(short), run(exact)
    error = float((got - want).norm() / want.norm())
    assert 1e-4 < error < (0.02 if kind == "int8" else 0.06)


def test_only_large_layers_change() -> None:
    pytest.importorskip("torchao")
    exact, short = network(), quantise(network(), "int8")
    assert not any(name.endswith(("proj_out", "time_proj")) or "embed" in name for name in large_layers(exact))
    layers = large_layers(exact)
    for (name, a), (_, b) in zip(exact.named_parameters(), short.named_parameters(), strict=True):
        if name.removesuffix(".weight") not in layers:
            assert torch.equal(a, b), name


def test_each_output_has_a_scale_of_its_own() -> None:
    pytest.importorskip("torchao")
    dit = network()
    weight = dit.blocks[0].ffn.net[2].weight  # type: ignore[union-attr, index]
    weight[0] *= 1000.0  # type: ignore[index, operator]
    before = weight.detach().clone()  # type: ignore[operator, union-attr]
    after = quantise(dit, "int8").blocks[0].ffn.net[2].weight.dequantize()  # type: ignore[union-attr, index, operator]
    error = (after - before).abs().amax(1) / before.abs().amax(1)
    assert error.max() <= 0.5 / 127 * 1.01


def test_odd_widths_stay_as_they_are() -> None:
    pytest.importorskip("torchao")
    config = DiTConfig(heads=2, head_dim=12, ffn_dim=64, layers=1, text_dim=8, in_channels=4, out_channels=4)
    assert large_layers(VideoDiT(config)) == frozenset()
    torch.manual_seed(0)
    dit = VideoDiT(config).eval()
    assert quantise(dit, "fp8") is dit


def test_another_kind_is_refused() -> None:
    with pytest.raises(ShotError, match="int8 or fp8"):
        quantise(network(), "int3")


def test_without_torchao_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(MissingDependency, match="pip install"):
        quantise(network(), "int8")


def test_a_user_sees_nothing_of_torchao() -> None:
    pytest.importorskip("torchao")
    code = (
        "from kinowatt.models.dit import DITS, VideoDiT; from kinowatt.models.quantise import quantise; import logging;"
        "quantise(VideoDiT(DITS['xs']), 'int8'); logging.warning('still heard')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr.strip()) == ("", "WARNING:root:still heard")


def test_windows_are_read() -> None:
    assert window_of("3x8x12") == (3, 8, 12)
    for wrong in ("3x8", "0x8x8", "3x8x8x1", "axbxc", "-3x8x8", ""):
        with pytest.raises(ShotError, match="3x8x8"):
            window_of(wrong)
    assert share_of_work((21, 30, 52), (7, 30, 100)) == pytest.approx(1 / 3)


def test_the_table_is_well_formed() -> None:
    rows = savings.table()
    assert {row.kind for row in rows} <= {savings.STEP_CACHE, savings.WEIGHTS, savings.WINDOW}
    assert len({(row.model, row.weights_sha256, row.kind, row.setting) for row in rows}) == len(rows)
    for row in rows:
        assert row.clips >= 3
        assert row.psnr_dB is None or (math.isfinite(row.psnr_dB) and row.psnr_dB > 5)
        assert 0 <= row.blocks_skipped < 1
        assert -1 <= row.ssim <= 1
        assert 0 < row.joules_ratio < 10
        assert 0 < row.seconds_ratio < 10
        if row.kind == savings.WEIGHTS:
            assert row.setting in BYTES_PER_WEIGHT
        elif row.kind == savings.WINDOW:
            window_of(row.setting)
        else:
            assert float(row.setting) > 0
            assert (row.blocks_skipped == 0) == (row.psnr_dB is None)
    old = {row.weights_sha256 for row in rows if row.model == "spark"} - {SHA}
    assert not old, "spark has changed; run benchmarks/savings.py again, or leave the table empty until it is"


ROWS = (
    Measured("spark", "ab", savings.STEP_CACHE, "0.1", 6, "torch float32", 31.24, 0.934, 0.7, 0.71, 0.41),
    Measured("spark", "ab", savings.STEP_CACHE, "0.2", 6, "torch float32", 25.0, 0.8, 0.5, 0.5, 0.6),
    Measured("spark", "ab", savings.WEIGHTS, "int8", 6, "torch float32", 40.0, 0.99, 1.0, 1.0, 0.0),
    Measured("spark", "ab", savings.WINDOW, "3x8x8", 6, "torch float32", None, 1.0, 1.0, 1.0, 0.0),
)


def test_takes_say_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savings, "table", lambda: ROWS)
    assert of_step_cache(0.1, 0.413, "spark", "ab") == (
        "step cache 0.1: 41% of blocks were not computed; on spark at its defaults this was measured at 31.2 dB PSNR, .93 SSIM "
        "against exact, for 0.71 of the joules of denoising (mean of 6 clips, torch float32)"
    )
    assert "on spark at its defaults 0.2, the nearest above, was measured at 25.0 dB" in of_step_cache(0.15, 0.5, "spark", "ab")
    assert "not measured on spark" in of_step_cache(0.3, 0.7, "spark", "ab")
    assert "not measured on another" in of_step_cache(0.1, 0.4, "another", "cd")
    assert "nothing was lost" in of_step_cache(0.1, 0.0, "spark", "ab")
    assert "40.0 dB" in of_weights("int8", "spark", "ab")
    assert "not measured on spark" in of_weights("fp8", "spark", "ab")
    assert "33% of the clip; on spark at its defaults this was measured at no loss" in of_window((3, 8, 8), (9, 4, 4), "spark", "ab")
    assert "nothing was lost" in of_window((9, 4, 4), (9, 4, 4), "spark", "ab")
    assert "not measured on spark" in of_window((5, 8, 8), (9, 4, 4), "spark", "ab")
