"""Damaged, foreign and hostile folders of Wan: one sentence that names the file and the tensor, no pickle opened, no memory spent."""

from __future__ import annotations

import json
import pickle
import resource
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinowatt.errors import WeightsError
from kinowatt.models import lora, wan, wan_specs
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.lora_file import Lora
from kinowatt.models.umt5 import UMT5
from kinowatt.models.wan_vae import WanCodec, WanCodecConfig

transformers = pytest.importorskip("transformers", reason="text and image encoder need kinowatt[wan]")
pytest.importorskip("ftfy", reason="the text encoder needs kinowatt[wan]")

CONFIG = DiTConfig(heads=1, head_dim=16, ffn_dim=16, layers=2, text_dim=16, in_channels=4, out_channels=4, freq_dim=8)
CODEC = WanCodecConfig((0.0,) * 4, (1.0,) * 4, base_dim=2, z_dim=4, dim_mult=(1, 1, 1, 1), num_res_blocks=1)
WEIGHTS = {
    "transformer": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "image_encoder": "model.safetensors",
    "lora": "x.safetensors",
}
PARTS = list(WEIGHTS)
IN_FOLDERS = PARTS[:-1]

pytestmark = pytest.mark.usefixtures("quietly", "one_thread")


def _write_json(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def _write_encoders(folder: Path) -> None:
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2, "feed_forward_proj": "gated-gelu"}
    transformers.UMT5EncoderModel(transformers.UMT5Config(vocab_size=110, **sizes)).save_pretrained(folder / "text_encoder")
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), ("a", -3.0)]
    transformers.T5Tokenizer(vocab=vocab).save_pretrained(folder / "tokenizer")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 1, "image_size": 28, "patch_size": 14}
    transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**sizes)).save_pretrained(folder / "image_encoder")
    processor = transformers.models.clip.image_processing_pil_clip.CLIPImageProcessorPil
    processor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(folder / "image_processor")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model of 300 kB in diffusers' layout, and a LoRA."""
    folder = tmp_path_factory.mktemp("wan")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wan.save_transformer(VideoDiT(CONFIG), folder / "transformer")
        _write_encoders(folder)
    codec = WanCodec(CODEC)
    entries = {"_class_name": "AutoencoderKLWan", "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4, "base_dim": 2, "z_dim": 4}
    _write_json(folder / "vae" / "config.json", entries | {"dim_mult": [1, 1, 1, 1], "num_res_blocks": 1})
    save_file({k: v.contiguous() for k, v in codec.state_dict().items()}, folder / "vae" / WEIGHTS["vae"])
    index = {"_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"], "transformer_2": [None, None]}
    _write_json(folder / "model_index.json", index)
    _write_json(folder / "scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
    (folder / "lora").mkdir()
    pair = {"blocks.0.attn1.to_q.lora_A.weight": torch.randn(2, 16), "blocks.0.attn1.to_q.lora_B.weight": torch.randn(16, 2)}
    save_file(pair, folder / "lora" / WEIGHTS["lora"])
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "wan")


def read(folder: Path, part: str) -> None:
    """One part of a folder."""
    if part == "transformer":
        wan_specs.of_folder(folder)
        wan.Experts.from_folder(wan.read_folder(folder), torch.float32)
    elif part == "vae":
        WanCodec.from_folder(folder)
    elif part == "text_encoder":
        UMT5.from_folder(folder, torch.float32)
    elif part == "image_encoder":
        from PIL import Image

        wan.ImageEncoder.from_folder(folder).features([Image.new("RGB", (40, 30))])
    else:
        lora.fuse(VideoDiT(CONFIG).requires_grad_(False), [Lora(folder / "lora" / WEIGHTS["lora"])])


def refused(folder: Path, part: str, *named: str) -> str:
    """The sentence, which names what it should."""
    with pytest.raises(WeightsError) as error:
        read(folder, part)
    said = str(error.value)
    assert "\n" not in said
    assert len(said) < 600
    for name in named:
        assert name in said
    return said


@pytest.mark.parametrize("part", PARTS)
def test_the_whole_folder_can_be_read(folder: Path, part: str) -> None:
    read(folder, part)


def _header(length: int, header: bytes, data: bytes = b"") -> bytes:
    return length.to_bytes(8, "little") + header + data


def _lying(shape: list[int], end: int) -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return _header(len(header), header, bytes(64))


CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "eight bytes": bytes(8),
    "text": b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n",
    "a web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "noise": bytes(range(256)) * 40,
    "a header of 2^63 bytes": _header(1 << 63, b"{}"),
    "a header of 90 MB that is not there": _header(90_000_000, b"{}"),
    "a header that is no JSON": _header(16, b"{'a': undefined}"),
    "a header of nested lists": _header(100_000, b"[" * 100_000),
    "a tensor of 2^60 bytes": _lying([1 << 30, 1 << 28], 1 << 60),
    "a tensor larger than its bytes": _lying([1 << 20, 1 << 20], 64),
    "a shape that overflows": _lying([1 << 62, 1 << 62], 64),
    "a negative shape": _lying([-1, 16], 64),
}


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Whatever asks for 512 MiB more than there is now fails. (A reader that believed a lying header would.)"""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    if pages is None:
        pytest.skip("the system does not say how much memory this process has")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (512 << 20), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_safetensors_file_is_refused_at_no_cost(folder: Path, part: str, content: str, little_memory: None) -> None:
    file = folder / part / WEIGHTS[part]
    file.write_bytes(CONTENTS[content])
    refused(folder, part, str(file), "cannot be read")


def test_the_limit_of_memory_can_fail(little_memory: None) -> None:
    with pytest.raises((MemoryError, RuntimeError)):
        torch.zeros(1 << 28)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_named(folder: Path, part: str, left: float) -> None:
    file = folder / part / WEIGHTS[part]
    content = file.read_bytes()
    file.write_bytes(content[: int(left * len(content))])
    refused(folder, part, str(file), "cannot be read")


def _changed(file: Path, change: Callable[[dict[str, torch.Tensor], str], Any]) -> str:
    """Change one tensor, the second by name; its name."""
    tensors = load_file(file)
    key = sorted(tensors)[1]
    change(tensors, key)
    save_file(tensors, file, {"format": "pt"})
    return key


TENSORS: dict[str, Callable[[dict[str, torch.Tensor], str], Any]] = {
    "a tensor is missing": lambda t, key: t.pop(key),
    "another shape": lambda t, key: t.update({key: torch.ones(3, 5)}),
    "no shape at all": lambda t, key: t.update({key: torch.tensor(1.0)}),
    "empty": lambda t, key: t.update({key: torch.ones(0)}),
    "integers": lambda t, key: t.update({key: t[key].to(torch.int32)}),
    "booleans": lambda t, key: t.update({key: t[key] > 0}),
    "8 bits": lambda t, key: t.update({key: t[key].to(torch.float8_e4m3fn)}),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("change", TENSORS)
def test_a_wrong_tensor_is_named_with_its_file(folder: Path, part: str, change: str) -> None:
    file = folder / part / WEIGHTS[part]
    key = _changed(file, TENSORS[change])
    if part == "lora" and change == "a tensor is missing":
        key = sorted(load_file(file))[0]  # the half that is left names the other
    refused(folder, part, str(file if part != "image_encoder" else file.parent), key)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "lora"])
def test_a_tensor_too_many_is_named_with_its_file(folder: Path, part: str) -> None:
    file = folder / part / WEIGHTS[part]
    _changed(file, lambda t, key: t.update({"blocks.9.attn1.to_q.lora_A.weight": torch.ones(2, 16)}))
    refused(folder, part, str(file), "blocks.9.attn1.to_q.lora_A.weight")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("part", IN_FOLDERS)
@pytest.mark.parametrize("form", ["beside an absent file", "zip by another name", "pickle by another name", "in an index"])
def test_pickles_are_never_opened(folder: Path, tmp_path: Path, part: str, form: str) -> None:
    mark, file = tmp_path / "mark", folder / part / WEIGHTS[part]
    bomb = file.with_name(
        {"transformer": "diffusion_pytorch_model.bin", "vae": "diffusion_pytorch_model.pt"}.get(part, "pytorch_model.bin")
    )
    torch.save({"a": Bomb(mark)}, bomb)
    if form == "beside an absent file":
        file.unlink()
    elif form == "zip by another name":
        assert zipfile.is_zipfile(bomb)
        bomb.replace(file)
    elif form == "pickle by another name":
        bomb.unlink()
        file.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        file.unlink()
        _write_json(file.with_name(f"{file.name}.index.json"), {"metadata": {}, "weight_map": {"a": bomb.name}})
    refused(folder, part, bomb.name if bomb.exists() else str(file), "pickle, which kinowatt never opens" if bomb.exists() else "pickle")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "the mark can be made"


def test_a_lora_that_is_a_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    file = folder / "lora" / WEIGHTS["lora"]
    torch.save({"a": Bomb(tmp_path / "mark")}, file)
    refused(folder, "lora", str(file), "is a pickle by another name")
    assert not (tmp_path / "mark").exists()
    with pytest.raises(WeightsError, match=r"x\.pt is no \.safetensors file"):
        Lora(file.rename(file.with_suffix(".pt")))


def _index(rows: Any) -> Callable[[Path], Any]:
    def write(file: Path) -> None:
        file.rename(file.with_name("part.safetensors"))
        _write_json(file.with_name(f"{file.name}.index.json"), rows)

    return write


def _loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("other.safetensors"))
    file.with_name("other.safetensors").symlink_to(file)


def _deep(file: Path) -> None:
    _index({})(file)
    file.with_name(f"{file.name}.index.json").write_text("[" * 100_000, encoding="utf-8")


def _twice(file: Path) -> None:
    shutil.copy(file, file.with_name("part2.safetensors"))
    _index({"weight_map": {"a": "part.safetensors", "b": "part2.safetensors"}})(file)


PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a loop of links": (_loop, "lacks {name}"),
    "a link to nowhere": (lambda f: (f.unlink(), f.symlink_to("nowhere")), "lacks {name}"),
    "a folder for a file": (lambda f: (f.unlink(), f.mkdir()), "lacks {name}"),
    "no file": (lambda f: f.unlink(), "lacks {name}"),
    "an index of another folder": (_index({"weight_map": {"a": "../vae/part.safetensors"}}), "outside its folder"),
    "an index of the root": (_index({"weight_map": {"a": "/etc/passwd"}}), "outside its folder"),
    "an index of the folder above": (_index({"weight_map": {"a": ".."}}), "lacks .."),
    "an index of nothing": (_index({"weight_map": {}}), "names no file"),
    "an index of numbers": (_index({"weight_map": {"a": 1}}), "not a readable index"),
    "an index without files": (_index({}), "not a readable index"),
    "an index that is a list": (_index([1]), "not a readable index"),
    "an index that is too deep": (_deep, "not a readable index"),
    "a shard that is absent": (_index({"weight_map": {"a": "part.safetensors", "b": "part2.safetensors"}}), "lacks part2.safetensors"),
}


@pytest.mark.parametrize("part", IN_FOLDERS)
@pytest.mark.parametrize("place", PLACES)
def test_a_file_in_the_wrong_place_is_named(folder: Path, part: str, place: str) -> None:
    file = folder / part / WEIGHTS[part]
    act, said = PLACES[place]
    act(file)
    refused(folder, part, str(file.parent), said.format(name=file.name))


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_tensor_that_is_there_twice_is_named(folder: Path, part: str) -> None:
    file = folder / part / WEIGHTS[part]
    key = sorted(load_file(file))[0]
    _twice(file)
    refused(folder, part, "part2.safetensors", "part.safetensors", key)


def test_a_missing_tensor_of_shards_is_named_with_the_file_that_should_have_it(folder: Path) -> None:
    file = folder / "transformer" / WEIGHTS["transformer"]
    wan.save_transformer(VideoDiT(CONFIG), file.parent / "new", shard_bytes=8000)
    file.unlink()
    for path in (file.parent / "new").iterdir():
        path.replace(file.parent / path.name)
    shards = wan.shards(file.parent)
    assert len(shards) > 3
    read(folder, "transformer")
    key = _changed(shards[1], TENSORS["a tensor is missing"])
    refused(folder, "transformer", str(shards[1]), f"{key} is missing")


JSONS = {  # and the part that needs it
    "model_index.json": "transformer",
    "scheduler/scheduler_config.json": "transformer",
    "transformer/config.json": "transformer",
    "vae/config.json": "vae",
    "text_encoder/config.json": "text_encoder",
    "image_encoder/config.json": "image_encoder",
    "image_processor/preprocessor_config.json": "image_encoder",
}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b"[" * 100_000])
@pytest.mark.parametrize("name", JSONS)
def test_a_config_that_cannot_be_read_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    refused(folder, JSONS[name], name if "text" not in name else f"the text encoder in {folder}")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000])
def test_a_tokenizer_that_cannot_be_read_is_refused(folder: Path, content: bytes) -> None:
    (folder / "tokenizer/tokenizer.json").write_bytes(content)
    refused(folder, "text_encoder", f"the text encoder in {folder} cannot be read")


@pytest.mark.parametrize("name", [name for name in JSONS if "processor" not in name])
@pytest.mark.parametrize("content", [{}, {"_class_name": 7}, {"num_layers": "many", "dim_mult": 3, "d_model": [], "hidden_size": -1}])
def test_a_config_of_something_else_is_refused(folder: Path, name: str, content: dict[str, Any]) -> None:
    _write_json(folder / name, content)
    refused(folder, JSONS[name], str(folder))


def test_a_config_of_too_many_layers_is_refused_at_once(folder: Path) -> None:
    config = folder / "transformer/config.json"
    _write_json(config, json.loads(config.read_text()) | {"num_layers": 10**9})
    refused(folder, "transformer", str(config), "1000000000")


def test_nothing_is_half_loaded_when_the_second_expert_is_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder / "transformer", folder / "transformer_2")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"transformer_2": ["diffusers", "WanTransformer3DModel"], "boundary_ratio": 0.9}
    _write_json(folder / "model_index.json", index)
    read(folder, "transformer")
    file = folder / "transformer_2" / WEIGHTS["transformer"]
    key = _changed(file, TENSORS["another shape"])
    refused(folder, "transformer", str(file), key)
