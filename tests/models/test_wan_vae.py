"""Wan's codecs: equal to diffusers' with the same weights, streamed as whole, within one chunk's memory, from and to its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from kinowatt.errors import WeightsError
from kinowatt.models.wan_vae import WEIGHTS, WanCodec, WanCodecConfig
from peak import peak_bytes

diffusers = pytest.importorskip("diffusers")

KINDS = ("2.1", "2.2")
ENTRIES_2_2: dict[str, Any] = {"is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16}
PUBLISHED = {
    "2.1": {"base_dim": 96, "z_dim": 16},
    "2.2": {"base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, **ENTRIES_2_2},
}
MOVES = [(kind, frames, 48, 32) for kind in KINDS for frames in (1, 5, 9, 17)] + [("2.1", 9, 24, 40), ("2.1", 5, 8, 56), ("2.2", 5, 16, 48)]


def small(kind: str) -> dict[str, Any]:
    z = 4
    entries = {"base_dim": 8, "z_dim": z, "latents_mean": [0.3, -0.7, 0.0, 1.2], "latents_std": [0.5, 1.0, 2.0, 1.4]}
    return entries | (ENTRIES_2_2 | {"decoder_base_dim": 12} if kind == "2.2" else {})


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    """Both codecs of diffusers, random, with every gain and bias off its neutral start and signals of about one throughout."""
    torch.manual_seed(0)
    made = {}
    for kind in KINDS:
        made[kind] = diffusers.AutoencoderKLWan(**small(kind)).eval().requires_grad_(False)
        for parameter in made[kind].parameters():
            if parameter.ndim > 1 and min(parameter.shape[:2]) > 1:
                torch.nn.init.kaiming_normal_(parameter, nonlinearity="linear")
            else:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def folders(theirs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {kind: tmp_path_factory.mktemp("wan") for kind in KINDS}
    for kind, folder in made.items():
        theirs[kind].save_pretrained(folder / "vae")
    return made


@pytest.fixture(scope="module")
def ours(folders: dict[str, Path]) -> dict[str, WanCodec]:
    return {kind: WanCodec.from_folder(folder, torch.float32) for kind, folder in folders.items()}


def clip(frames: int, height: int, width: int, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, frames, height, width, generator=torch.Generator().manual_seed(frames)) * 2 - 1


def latents(codec: WanCodec, frames: int, height: int, width: int) -> torch.Tensor:
    time, rows, columns = codec.stride
    size = (1, codec.channels, (frames - 1) // time + 1, height // rows, width // columns)
    return torch.randn(size, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize(("kind", "frames", "height", "width"), MOVES)
def test_encode_and_decode_equal_diffusers(
    theirs: dict[str, Any], ours: dict[str, WanCodec], kind: str, frames: int, height: int, width: int
) -> None:
    codec = ours[kind]
    mean, spread = (torch.tensor(small(kind)[f"latents_{name}"]).view(1, -1, 1, 1, 1) for name in ("mean", "std"))
    signal = clip(frames, height, width, batch=2)
    expected = (theirs[kind].encode(signal).latent_dist.mode() - mean) / spread
    made = codec.encode(signal)
    assert made.shape == expected.shape
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, expected, atol=5e-5, rtol=0)
    z = latents(codec, frames, height, width)
    expected = theirs[kind].decode(z * spread + mean).sample
    assert 0.2 < expected.abs().mean() < 0.7, "not all black, not all clamped: the comparison means something"
    made = codec.decode(z)
    assert made.shape == expected.shape == (1, 3, frames, height, width)
    torch.testing.assert_close(made, expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_variance_equals_diffusers(theirs: dict[str, Any], ours: dict[str, WanCodec], kind: str) -> None:
    expected = theirs[kind].encode(clip(5, 32, 32)).latent_dist.logvar
    torch.testing.assert_close(ours[kind].moments(clip(5, 32, 32))[1], expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_equal_the_whole(ours: dict[str, WanCodec], kind: str, chunk: int) -> None:
    codec, signal = ours[kind], clip(21, 32, 48)
    whole = (codec.moments(signal)[0] - codec.latent_mean) / codec.latent_std
    torch.testing.assert_close(torch.cat(list(codec.encode_stream(signal, chunk)), 2), whole, atol=1e-5, rtol=0)
    whole = codec.decode_raw(whole * codec.latent_std + codec.latent_mean).clamp(-1, 1)
    parts = list(codec.decode_stream(codec.encode(signal), chunk))
    assert [part.shape[2] for part in parts][:2] == [4 * chunk - 3, 4 * chunk]
    torch.testing.assert_close(torch.cat(parts, 2), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_future_changes_nothing_before_it(ours: dict[str, WanCodec], kind: str) -> None:
    codec, signal = ours[kind], clip(17, 32, 32)
    other = signal.clone()
    other[:, :, 9:] = 0.0
    same, changed = codec.moments(signal)[0], codec.moments(other)[0]
    torch.testing.assert_close(same[:, :, :3], changed[:, :, :3], atol=1e-6, rtol=0)
    assert not torch.allclose(same[:, :, 3], changed[:, :, 3], atol=0.01)
    z = latents(codec, 17, 32, 32)
    other = z.clone()
    other[:, :, 3:] = 0.0
    same, changed = codec.decode_raw(z), codec.decode_raw(other)
    torch.testing.assert_close(same[:, :, :9], changed[:, :, :9], atol=1e-6, rtol=0)
    assert not torch.allclose(same[:, :, 9], changed[:, :, 9], atol=0.01)


def test_stride_and_channels_follow_the_config(ours: dict[str, WanCodec]) -> None:
    assert (ours["2.1"].stride, ours["2.1"].channels) == ((4, 8, 8), 4)
    assert (ours["2.2"].stride, ours["2.2"].channels) == ((4, 16, 16), 4)


@pytest.mark.parametrize(("frames", "height", "width"), [(4, 32, 32), (0, 32, 32), (5, 24, 32), (5, 32, 40)])
def test_a_clip_that_does_not_fit_is_refused(ours: dict[str, WanCodec], frames: int, height: int, width: int) -> None:
    with pytest.raises(ValueError, match="do not fit; frames must be 4k\\+1 and sides multiples of 16"):
        ours["2.2"].encode(clip(frames, height, width))


@pytest.mark.parametrize("kind", KINDS)
def test_published_sizes_have_diffusers_names_and_shapes(kind: str) -> None:
    zeros = [0.0] * PUBLISHED[kind]["z_dim"]
    with torch.device("meta"):
        expected = diffusers.AutoencoderKLWan(**PUBLISHED[kind], latents_mean=zeros, latents_std=zeros)
        entries = {"_class_name": "AutoencoderKLWan", **expected.config}
        made = WanCodec(WanCodecConfig.from_json(entries | {"clip_output": False}))  # an entry of the published 2.2 that nothing reads
    shapes = {name: tensor.shape for name, tensor in expected.state_dict().items()}
    assert {name: tensor.shape for name, tensor in made.state_dict().items()} == shapes
    assert made.stride == ((4, 8, 8) if kind == "2.1" else (4, 16, 16))


@pytest.mark.parametrize("kind", KINDS)
def test_ours_loads_in_diffusers(ours: dict[str, WanCodec], kind: str) -> None:
    fresh = diffusers.AutoencoderKLWan(**small(kind)).eval().requires_grad_(False)
    fresh.load_state_dict(ours[kind].state_dict())
    signal = clip(5, 32, 32)
    torch.testing.assert_close(fresh.encode(signal).latent_dist.mode(), ours[kind].moments(signal)[0], atol=5e-5, rtol=0)


def test_sharded_files_load(theirs: dict[str, Any], ours: dict[str, WanCodec], tmp_path: Path) -> None:
    theirs["2.2"].save_pretrained(tmp_path / "vae", max_shard_size="200KB")
    assert len(list((tmp_path / "vae").glob("*.safetensors"))) > 2
    made, expected = WanCodec.from_folder(tmp_path).state_dict(), ours["2.2"].state_dict()
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[name], expected[name]) for name in made)
    lost = sorted((tmp_path / "vae").glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(WeightsError, match=f"lacks {lost.name}"):
        WanCodec.from_folder(tmp_path)
    (tmp_path / "vae" / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {"a": "../other.safetensors"}}))
    with pytest.raises(WeightsError, match="outside its folder"):
        WanCodec.from_folder(tmp_path)
    (tmp_path / "vae" / f"{WEIGHTS}.index.json").write_text("[]")
    with pytest.raises(WeightsError, match="not a readable index"):
        WanCodec.from_folder(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_stays_near(folders: dict[str, Path], ours: dict[str, WanCodec], kind: str) -> None:
    codec = WanCodec.from_folder(folders[kind], torch.bfloat16)
    assert codec.decoder.conv_in.weight.dtype == torch.bfloat16
    assert codec.latent_mean.dtype == torch.float32
    signal = clip(9, 32, 32)
    for made, expected in (
        (codec.encode(signal), ours[kind].encode(signal)),
        (codec.decode(latents(codec, 9, 32, 32)), ours[kind].decode(latents(codec, 9, 32, 32))),
    ):
        assert made.dtype == torch.float32
        assert (made - expected).norm() < 0.05 * expected.norm()


def _config(folder: Path, **changes: Any) -> None:
    path = folder / "vae" / "config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value != "absent"}))


DAMAGE: dict[str, tuple[Any, str]] = {
    "no folder": (lambda at: shutil.rmtree(at / "vae"), "has no config.json"),
    "no JSON": (lambda at: (at / "vae" / "config.json").write_text("{"), "describes no Wan codec"),
    "a list": (lambda at: (at / "vae" / "config.json").write_text("[1]"), "describes no Wan codec"),
    "another codec": (lambda at: _config(at, _class_name="AutoencoderKL"), "'AutoencoderKL', not 'AutoencoderKLWan'"),
    "another latent": (lambda at: _config(at, z_dim=5), "need 5 values each"),
    "no statistics": (lambda at: _config(at, latents_mean="absent"), "latents_mean"),
    "attention within": (lambda at: _config(at, attn_scales=[0.5]), "attn_scales is not empty"),
    "another patch": (lambda at: _config(at, patch_size=2), "must be 12"),
    "fewer stages": (lambda at: _config(at, temperal_downsample=[True]), "one value less than dim_mult"),
    "words for numbers": (lambda at: _config(at, base_dim="wide"), "describes no Wan codec"),
    "another width": (lambda at: _config(at, base_dim=16), "decoder.conv_in.bias is \\(32,\\), expected \\(64,\\)"),
    "more blocks": (lambda at: _config(at, num_res_blocks=3), "is missing"),
    "fewer blocks": (lambda at: _config(at, num_res_blocks=1), "expected"),
    "no weights": (lambda at: (at / "vae" / WEIGHTS).unlink(), f"lacks {WEIGHTS}"),
    "cut weights": (lambda at: (at / "vae" / WEIGHTS).write_bytes((at / "vae" / WEIGHTS).read_bytes()[:-9]), "not a readable safetensors"),
    "empty weights": (lambda at: (at / "vae" / WEIGHTS).write_bytes(b""), "not a readable safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_folder_that_cannot_work_is_refused_in_one_sentence(folders: dict[str, Path], tmp_path: Path, damage: str) -> None:
    shutil.copytree(folders["2.1"], tmp_path / "wan")
    act, words = DAMAGE[damage]
    act(tmp_path / "wan")
    with pytest.raises(WeightsError, match=words) as caught:
        WanCodec.from_folder(tmp_path / "wan")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_clip(ours: dict[str, WanCodec], kind: str) -> None:
    codec = ours[kind]
    short, long = latents(codec, 21, 32, 32), latents(codec, 81, 32, 32)  # 21: the first chunk, and two with a past
    few = peak_bytes(lambda: [None for _ in codec.decode_stream(short)])
    bound = few + long.nbytes  # views of what was given count too
    assert peak_bytes(lambda: [None for _ in codec.decode_stream(long)]) <= bound
    assert peak_bytes(lambda: codec.decode(long)) <= bound + 3 * 81 * 32 * 32 * 4, "one chunk and the output"
    assert peak_bytes(lambda: codec.decode_raw(long)) > 4 * bound, "the count can fail"
    short, long = clip(21, 32, 32), clip(81, 32, 32)
    few = peak_bytes(lambda: [None for _ in codec.encode_stream(short)])
    assert peak_bytes(lambda: codec.encode(long)) <= few + long.nbytes
    assert peak_bytes(lambda: codec.moments(long)) > 3 * few
