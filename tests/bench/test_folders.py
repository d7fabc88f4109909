"""Folders of random weights are what diffusers and kinowatt read, and behave as trained networks do as far as it counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kinowatt.bench.folders import PRESETS, write
from kinowatt.errors import OutputError
from kinowatt.models import specs, wan, weights
from kinowatt.models.umt5 import UMT5
from kinowatt.models.wan_vae import WanCodec

pytest.importorskip("diffusers", reason="bench compares with diffusers")

pytestmark = pytest.mark.usefixtures("quietly")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "smoke"
    write(PRESETS["smoke"], path)
    return path


def test_a_folder_is_read_here(folder: Path) -> None:
    preset, spec = PRESETS["smoke"], specs.find(str(folder))
    assert (spec.solver, getattr(spec, "shift", None)) == ("unipc", preset.shift)
    codec, dit = WanCodec.from_folder(folder), wan.load_transformer(folder / "transformer", torch.float32)[0]
    text = UMT5.from_folder(folder, torch.float32)
    assert text.width == dit.config.text_dim == 32
    assert 100 < len(text.features("a red ball rolls. " * 7).features_LD) < 130, "one token for each letter"
    torch.manual_seed(0)
    with torch.inference_mode():
        velocity = dit(torch.randn(1, 16, 2, 8, 8), torch.full((1, 2), 0.5), torch.randn(1, 9, 32))
        frames = codec.decode(torch.randn(1, 16, 3, 8, 8))
    assert 0.8 < velocity.std() < 1.25, "as that of noise minus latents"
    assert 0.1 < frames.std() < 0.6, "neither grey nor all clipped"


def test_a_seed_means_the_same_weights(folder: Path, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    write(PRESETS["smoke"], tmp_path / "again")
    assert torch.equal(state, torch.random.get_rng_state())
    names = [p.relative_to(folder) for p in sorted(folder.rglob("*.safetensors"))]
    assert len(names) == 3
    assert all(weights.sha256(folder / name) == weights.sha256(tmp_path / "again" / name) for name in names)
    write(PRESETS["smoke"], tmp_path / "again", seed=1)
    assert weights.sha256(folder / names[1]) != weights.sha256(tmp_path / "again" / names[1])
    assert [p.name for p in tmp_path.iterdir()] == ["again"], "nothing is left beside it"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        write(PRESETS["smoke"], tmp_path / "taken" / "smoke")
