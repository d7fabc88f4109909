"""The text encoder equals what diffusers' WanPipeline makes of the same small random UMT5."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from kinowatt.errors import MissingDependency, WeightsError
from kinowatt.models.umt5 import LENGTH, UMT5, cleaned

PROMPTS = (
    "A  red ball\n rolls&amp;amp;bounces",
    "",
    "你好，世界 — a cat’s tail",
    "the camera dollies in on a “wind turbine” at dusk " * 40,
    "cafÃ© au lait",  # an encoding broken on its way, which ftfy mends
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """text_encoder/ and tokenizer/ as in a diffusers folder, of 40 kB."""
    transformers = pytest.importorskip("transformers", reason="the text encoder needs kinowatt[wan]")
    pytest.importorskip("ftfy", reason="the text encoder needs kinowatt[wan]")
    path = tmp_path_factory.mktemp("wan")
    torch.manual_seed(0)
    letters = sorted({c for prompt in PROMPTS for c in prompt if not c.isspace()} | {"é"})
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((c, -3.0) for c in letters)]
    config = transformers.UMT5Config(
        vocab_size=len(vocab) + 100, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers.T5Tokenizer(vocab=vocab).save_pretrained(path / "tokenizer")
        encoder = transformers.UMT5EncoderModel(config)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.3)
        encoder.save_pretrained(path / "text_encoder")
    return path


@pytest.fixture(scope="module")
def ours(folder: Path) -> UMT5:
    return UMT5.from_folder(folder, torch.float32)


def theirs(folder: Path, prompts: list[str]) -> torch.Tensor:
    diffusers = pytest.importorskip("diffusers", reason="parity needs kinowatt[diffusers]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        pipe = diffusers.WanPipeline(
            tokenizer=transformers.AutoTokenizer.from_pretrained(folder / "tokenizer"),
            text_encoder=transformers.UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval(),
            vae=None,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        )
    with torch.no_grad():
        return pipe._get_t5_prompt_embeds(prompts, max_sequence_length=512)


def test_features_are_those_of_diffusers(folder: Path, ours: UMT5) -> None:
    want = theirs(folder, list(PROMPTS))
    got = ours.encode(PROMPTS)
    assert got.shape == want.shape == (len(PROMPTS), LENGTH, ours.width)
    assert (got - want).abs().max() <= 1e-4
    lengths = [int(row.any(-1).sum()) for row in got]
    assert lengths[1] == 1, "an empty prompt is its end alone"
    assert lengths[3] == LENGTH, "a long prompt is cut"
    assert 5 < lengths[0] < 60
    assert not torch.equal(got[0, :5], got[2, :5])


def test_features_have_their_own_length_and_the_number_of_zeros(ours: UMT5) -> None:
    for prompt in PROMPTS:
        features = ours.features(prompt)
        assert len(features.features_LD) + features.zeros == LENGTH
        assert torch.equal(features.padded(), ours.encode([prompt])[0])
        assert features.features_LD.any(-1).all()


def test_a_prompt_is_encoded_once(ours: UMT5, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ours.features("a red ball")
    calls: list[str] = []
    real = ours._tokenizer
    monkeypatch.setattr(ours, "_tokenizer", lambda prompt, **kw: calls.append(prompt) or real(prompt, **kw))
    assert ours.features("a  red ball ") is first
    assert calls == []
    for i in range(8):
        ours.features(f"prompt {i}")
    assert ours.features("a red ball") is not first, "memory is bounded"
    assert len(calls) == 9


def test_prompts_are_cleaned_as_for_training() -> None:
    pytest.importorskip("ftfy", reason="the text encoder needs kinowatt[wan]")
    assert cleaned("  A&amp;amp;B\t\n C ") == "A&B C"
    assert cleaned("cafÃ©") == "café"
    assert cleaned("") == ""


def _damage_config(path: Path) -> None:
    (path / "text_encoder/config.json").write_text("{", encoding="utf-8")


def _damage_weights(path: Path) -> None:
    file = path / "text_encoder/model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _drop_tensor(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = path / "text_encoder/model.safetensors"
    tensors = load_file(file)
    del tensors["encoder.block.1.layer.0.SelfAttention.q.weight"]
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [(_damage_config, "cannot be read"), (_damage_weights, "cannot be read"), (_drop_tensor, "lacks 1 tensors")],
)
def test_damaged_folders_are_refused(folder: Path, tmp_path: Path, damage: Any, said: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    damage(copy)
    with pytest.raises(WeightsError, match=said):
        UMT5.from_folder(copy)
    with pytest.raises(WeightsError, match="lacks text_encoder"):
        UMT5.from_folder(tmp_path)


@pytest.mark.parametrize("named", ["shared.weight", "encoder.embed_tokens.weight"])
def test_the_shared_embedding_is_found_under_either_name(folder: Path, tmp_path: Path, ours: UMT5, named: str) -> None:
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "copy")
    tensors = load_file(copy / "text_encoder/model.safetensors")
    (embedding,) = {id(t): t for k, t in tensors.items() if k in ("shared.weight", "encoder.embed_tokens.weight")}.values()
    kept = {k: v for k, v in tensors.items() if k not in ("shared.weight", "encoder.embed_tokens.weight")} | {named: embedding}
    save_file(kept, copy / "text_encoder/model.safetensors", metadata={"format": "pt"})
    again = UMT5.from_folder(copy, torch.float32).encode(["a red ball"])
    assert torch.equal(again, ours.encode(["a red ball"]))


def test_without_the_libraries_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(MissingDependency, match=r"kinowatt\[wan\]"):
        cleaned("a")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependency, match=r"kinowatt\[wan\]"):
        UMT5.from_folder(folder)
