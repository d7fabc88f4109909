"""Compiled, and through OpenVINO in bfloat16 and int8: the same network as torch's, nearly, and kept for the next time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kinowatt.bench.folders import PRESETS, write
from kinowatt.engine.compiled import compile_blocks, compile_norms
from kinowatt.engine.engine import Engine
from kinowatt.engine.memory import Layout
from kinowatt.engine.openvino import cache_folder
from kinowatt.engine.runtime import choose_wan
from kinowatt.errors import ShotError
from kinowatt.media.likeness import psnr_dB
from kinowatt.models import specs, wan_model
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.wan_layers import ChannelNorm
from kinowatt.models.wan_model import WanModel
from kinowatt.shot import Shot

pytest.importorskip("diffusers", reason="folders are written by diffusers")
CPU = torch.device("cpu")
SHOT = Shot("a red ball", "grey", seconds=9 / 16, size=(48, 32), seed=3, steps=4, guidance=5.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "smoke"
    write(PRESETS["smoke"], path)
    return path


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quietly: None) -> None:
    monkeypatch.setenv("KINOWATT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")


def model(folder: Path, dtype: torch.dtype = torch.float32) -> WanModel:
    return wan_model.load(specs.find(str(folder)), dtype, wan_model.Devices(CPU, CPU, CPU))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exact(folder: Path) -> Engine:
    loaded = model(folder)
    return Engine(loaded, CPU, choose_wan("torch", loaded, CPU))


def likeness(folder: Path, exact: Engine, name: str, int8: bool = False) -> tuple[float, str]:
    loaded = model(folder)
    engine = Engine(loaded, CPU, choose_wan(name, loaded, CPU, int8=int8))
    take = engine.generate(SHOT)
    return psnr_dB(take.clip.frames_TCHW, exact.generate(SHOT).clip.frames_TCHW), take.runtime


def test_compiled_is_equal_and_leaves_its_code_in_the_cache_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    dit = VideoDiT(DiTConfig(heads=2, head_dim=16, ffn_dim=48, layers=2, text_dim=8, in_channels=4, out_channels=4, freq_dim=16)).eval()
    torch.nn.init.normal_(dit.proj_out.weight, std=0.1)
    torch.nn.init.normal_(dit.condition_embedder.time_proj.weight, std=0.1)
    norm, x = ChannelNorm(8, 3, silu=True), torch.randn(2, 4, 2, 4, 4)
    level, text, hidden = torch.rand(2, 2), torch.randn(2, 5, 8), torch.randn(1, 8, 2, 4, 4)
    with torch.inference_mode():
        want = dit(x, level, text), norm(hidden)
        compile_blocks(dit)
        compile_norms(norm)
        got = dit(x, level, text), norm(hidden)
        assert all((a - b).abs().max() < 1e-5 for a, b in zip(got, want, strict=True))
        counted = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert torch.equal(dit(x, level, text), got[0])
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == counted, "all blocks and all steps share one piece of code"
    assert any((tmp_path / "cache" / "inductor").rglob("*.cpp"))


def test_a_compiled_model_says_so(folder: Path) -> None:
    loaded = model(folder)
    assert choose_wan("compile", loaded, CPU).name == "torch float32, compiled"
    assert all(block._compiled_call_impl is not None for block in loaded.experts.high.blocks)


def kinds_before_products(kind: str, called: str) -> set[str]:
    """What stands before the matrix products of that name, at their first input, in the kept network of that kind."""
    import openvino

    (path,) = cache_folder().glob(f"{kind}-????????????????.xml")
    products = [op for op in openvino.Core().read_model(path).get_ops() if op.get_type_name() == "MatMul" and called in op.friendly_name]
    assert products
    return {op.input_value(0).get_node().get_type_name() for op in products}


def test_openvino_is_alike_and_int8_less_so_and_both_are_kept(folder: Path, exact: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    dB, name = likeness(folder, exact, "openvino")
    assert name in ("openvino bfloat16", "openvino float32")
    assert dB > 30
    rounded_dB, name = likeness(folder, exact, "openvino", int8=True)
    assert name == "openvino int8"
    assert rounded_dB > 20
    kept = {path.name: path.stat().st_mtime_ns for path in cache_folder().glob("*.xml")}
    assert sorted(name.rsplit("-", 1)[0] for name in kept) == ["wan", "wan-int8"]
    assert kinds_before_products("wan-int8", "aten::linear") == {"FakeQuantize"}
    assert "FakeQuantize" not in kinds_before_products("wan-int8", "aten::matmul"), "what turns positions is not rounded"
    monkeypatch.setattr("kinowatt.engine.openvino.converted", None)  # is not called again
    assert likeness(folder, exact, "openvino", int8=True)[0] == pytest.approx(rounded_dB, abs=0.5)
    assert {path.name: path.stat().st_mtime_ns for path in cache_folder().glob("*.xml")} == kept


def test_what_cannot_run_so_is_one_sentence(folder: Path) -> None:
    loaded = model(folder)
    with pytest.raises(ShotError, match="runtime 'tpu' is unknown"):
        choose_wan("tpu", loaded, CPU)
    with pytest.raises(ShotError, match="streamed cannot be compiled"):
        choose_wan("compile", loaded, CPU, Layout(8e9, resident=1))
    loaded.experts.high.config = replace(loaded.experts.high.config, image_dim=8)
    pytest.importorskip("openvino")
    with pytest.raises(ShotError, match="attends to an image"):
        choose_wan("openvino", loaded, CPU)
