"""Folders of Wan are read, written and refused as they should be, and a whole denoising equals that of diffusers' pipelines."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kinowatt.engine import noise, sample
from kinowatt.errors import OutputError, WeightsError
from kinowatt.models import wan, wan_specs
from kinowatt.models.dit import VideoDiT
from kinowatt.models.protocols import Conditioning
from kinowatt.models.wan import Experts, WanDenoiser

diffusers = pytest.importorskip("diffusers", reason="parity needs kinowatt[diffusers]")

IMAGE = {"in_channels": 36, "image_dim": 20, "added_kv_proj_dim": 32, "pos_embed_seq_len": None}

pytestmark = pytest.mark.usefixtures("quietly", "one_thread")


def transformer(seed: int = 0, **changes: Any) -> Any:
    """A small random WanTransformer3DModel, nothing in it zero."""
    torch.manual_seed(seed)
    sizes = {"num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 16, "out_channels": 16, "text_dim": 24}
    sizes |= {"freq_dim": 32, "ffn_dim": 48, "num_layers": 2}
    model = diffusers.WanTransformer3DModel(**(sizes | changes)).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def codec(channels: int = 16) -> Any:
    """A small random AutoencoderKLWan."""
    torch.manual_seed(1)
    return diffusers.AutoencoderKLWan(
        base_dim=4,
        z_dim=channels,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=torch.randn(channels).tolist(),
        latents_std=(0.5 + torch.rand(channels)).tolist(),
    ).eval()


class TheirCodec:
    """diffusers' codec as a Codec."""

    channels, stride, memoryless = 16, (4, 8, 8), False

    def __init__(self, vae: Any) -> None:
        self.vae = vae

    def encode(self, frames_BCTHW: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (self.vae.config.latents_mean, self.vae.config.latents_std))
        with torch.no_grad():
            return (self.vae.encode(frames_BCTHW).latent_dist.mode() - mean) / std


def write_index(path: Path, **more: Any) -> None:
    """model_index.json and scheduler_config.json beside a transformer."""
    index = {"_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"], "transformer_2": [None, None]} | more
    (path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(path / "scheduler")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As diffusers writes it, in shards."""
    transformer().save_pretrained(tmp_path / "transformer", max_shard_size="60KB")
    write_index(tmp_path)
    return tmp_path


def prompt(seed: int = 5, length: int = 9) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.nn.functional.pad(torch.randn(1, length, 24), (0, 0, 0, 512 - length))


def dB(got: torch.Tensor, want: torch.Tensor) -> float:
    """Peak signal-to-noise ratio over the range of what is wanted."""
    return float(10 * torch.log10((want.max() - want.min()) ** 2 / (got - want).square().mean().clamp_min(1e-20)))


def test_a_folder_of_diffusers_loads_here(folder: Path) -> None:
    assert len(wan.shards(folder / "transformer")) > 2
    read = wan.read_folder(folder)
    assert (read.boundary, read.per_frame, read.shift, read.sees_image, read.image_channels) == (None, False, 3.0, False, 0)
    ours, sha256 = wan.load_transformer(folder / "transformer", torch.float32)
    theirs = transformer()
    x, text = torch.randn(1, 16, 3, 4, 6), prompt()
    want = theirs(x, torch.tensor([700.0]), text, return_dict=False)[0]
    assert (ours(x, torch.full((1, 3), 0.7), text) - want).abs().max() <= 1e-4
    assert set(sha256) == {path.name for path in wan.shards(folder / "transformer")}
    assert not any(p.requires_grad for p in ours.parameters())


@pytest.mark.parametrize("shard_bytes", [10**9, 60_000])
@pytest.mark.parametrize("changes", [{}, IMAGE, IMAGE | {"pos_embed_seq_len": 14}, {"in_channels": 48, "out_channels": 48}])
def test_our_folder_loads_in_diffusers(tmp_path: Path, shard_bytes: int, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Mixed types make diffusers ask for one package more (accelerate); here all is float32.
    monkeypatch.setattr(diffusers.WanTransformer3DModel, "_keep_in_fp32_modules", None)
    theirs = transformer(**changes)
    theirs.save_pretrained(tmp_path / "theirs")
    ours, _ = wan.load_transformer(tmp_path / "theirs", torch.float32)
    wan.save_transformer(ours, tmp_path / "ours", shard_bytes=shard_bytes)
    assert (len(wan.shards(tmp_path / "ours")) == 1) == (shard_bytes == 10**9)
    again, info = diffusers.WanTransformer3DModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    before, after = theirs.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    told = [{k: list(v) if isinstance(v, tuple) else v for k, v in m.config.items() if k[0] != "_"} for m in (theirs, again)]
    assert told[0] == told[1]


def test_weights_come_in_the_given_type_and_sensitive_ones_in_float32(folder: Path) -> None:
    ours, _ = wan.load_transformer(folder / "transformer", torch.bfloat16)
    kinds = {name: parameter.dtype for name, parameter in ours.named_parameters()}
    for name in ("blocks.0.attn1.to_q.weight", "blocks.1.ffn.net.2.bias", "proj_out.weight", "patch_embedding.weight"):
        assert kinds[name] == torch.bfloat16
    for name in ("scale_shift_table", "blocks.0.scale_shift_table", "blocks.0.norm2.weight", "blocks.1.attn2.norm_k.weight"):
        assert kinds[name] == torch.float32
    assert kinds["condition_embedder.time_embedder.linear_1.weight"] == torch.float32
    assert kinds["condition_embedder.text_embedder.linear_1.weight"] == torch.bfloat16
    x, level, text = torch.randn(1, 16, 3, 4, 6), torch.full((1, 3), 0.7), prompt()
    want = wan.load_transformer(folder / "transformer", torch.float32)[0](x, level, text)
    denoise = WanDenoiser(Experts(ours))
    with torch.autocast("cpu", torch.bfloat16):
        got = denoise(x, level, text)
    assert got.dtype == torch.float32
    theirs = transformer()
    for name, parameter in theirs.named_parameters():
        if not any(part in name for part in theirs._keep_in_fp32_modules):
            parameter.data = parameter.data.bfloat16()
    other = theirs(x.bfloat16(), torch.tensor([700.0]), text.bfloat16(), return_dict=False)[0].float()
    assert dB(got, want) > 35
    assert dB(got, want) > dB(other, want) - 1, "no worse than diffusers in the same type"


def _edit(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(values), encoding="utf-8")


def _first(path: Path) -> Path:
    return wan.shards(path / "transformer")[0]


def _cut(path: Path) -> None:
    _first(path).write_bytes(_first(path).read_bytes()[:-50])


def _garbage(path: Path) -> None:
    _first(path).write_bytes(b"not safetensors at all, but long enough to try")


def _part(path: Path) -> None:
    """A shard that has lost a tensor."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(_first(path))
    tensors.pop(next(iter(tensors)))
    save_file(tensors, _first(path))


DAMAGES: list[tuple[Callable[[Path], Any], str]] = [
    (lambda p: (p / "model_index.json").unlink(), "no Wan model at"),
    (lambda p: (p / "model_index.json").write_text("[", encoding="utf-8"), "not readable JSON"),
    (lambda p: _edit(p / "model_index.json", _class_name="WanVACEPipeline"), "WanVACEPipeline, which kinowatt cannot run"),
    (lambda p: (p / "scheduler/scheduler_config.json").unlink(), "is missing"),
    (lambda p: _edit(p / "scheduler/scheduler_config.json", _class_name="DDIMScheduler"), "no flow with a fixed shift"),
    (lambda p: _edit(p / "scheduler/scheduler_config.json", use_dynamic_shifting=True), "no flow with a fixed shift"),
    (lambda p: (p / "transformer/config.json").unlink(), "is missing"),
    (lambda p: _edit(p / "transformer/config.json", num_layers="many"), "describes no Wan transformer"),
    (lambda p: _edit(p / "transformer/config.json", _class_name="FluxTransformer2DModel"), "another network"),
    (lambda p: _edit(p / "transformer/config.json", cross_attn_norm=False), "another network"),
    (lambda p: _edit(p / "transformer/config.json", out_channels=0, in_channels=-3), "another network"),
    (lambda p: _edit(p / "transformer/config.json", num_layers=3), "lack 27 of"),
    (lambda p: _edit(p / "transformer/config.json", num_layers=1), "holds another network"),
    (lambda p: _edit(p / "transformer/config.json", text_dim=32), "holds another network"),
    (lambda p: _first(p).unlink(), "lacks diffusion_pytorch_model-00001"),
    (_cut, "damaged"),
    (_garbage, "damaged"),
    (_part, "lack 1 of"),
    (lambda p: _edit(p / "transformer/diffusion_pytorch_model.safetensors.index.json", weight_map={"a": "../b"}), "no index"),
    (lambda p: _edit(p / "transformer/diffusion_pytorch_model.safetensors.index.json", weight_map={}), "no index"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_missing_damaged_and_foreign_files_are_one_sentence(folder: Path, damage: Callable[[Path], Any], said: str) -> None:
    def load() -> None:
        wan.read_folder(folder)
        wan.load_transformer(folder / "transformer")

    load()
    damage(folder)
    with pytest.raises(WeightsError, match=said) as error:
        load()
    assert "\n" not in str(error.value)


def test_a_place_that_cannot_be_written_is_one_sentence(folder: Path) -> None:
    ours, _ = wan.load_transformer(folder / "transformer")
    (folder / "taken").write_text("", encoding="utf-8")
    with pytest.raises(OutputError):
        wan.save_transformer(ours, folder / "taken")


def test_a_config_that_claims_an_image_which_the_weights_lack(folder: Path) -> None:
    _edit(folder / "transformer/config.json", image_dim=1280, added_kv_proj_dim=5120)
    assert not wan.read_folder(folder).sees_image
    assert wan.load_transformer(folder / "transformer")[0].config.image_dim is None


def euler_levels(steps: int, shift: float) -> torch.Tensor:
    """Noise levels (steps + 1,) of flow-match Euler in diffusers, which no model here is run with: it shifts its end of .001 twice."""
    end = noise.shifted(torch.tensor(1e-3, dtype=torch.float64), shift).item()
    even = torch.linspace(1.0, end, steps, dtype=torch.float64)
    return torch.cat([noise.shifted(even, shift), even.new_zeros(1)]).float()


def unipc_levels(steps: int, shift: float) -> torch.Tensor:
    """Those that Wan is run with."""
    return noise.schedule(steps, 1, shift=shift, least=next(iter(wan_specs.WAN.values())).least_level)[:, 0]


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 12.0])
@pytest.mark.parametrize("steps", [1, 4, 50])
def test_noise_levels_are_those_of_the_schedulers(shift: float, steps: int) -> None:
    euler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    euler.set_timesteps(steps)
    assert torch.allclose(euler_levels(steps, shift), euler.sigmas, atol=1e-6, rtol=0)
    unipc = diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    unipc.set_timesteps(steps)
    assert torch.allclose(unipc_levels(steps, shift), unipc.sigmas, atol=2e-6, rtol=0)


def ours_of(*models: Any, tmp_path: Path, boundary: float | None = None) -> Experts:
    """The same networks, through their files."""
    nets: list[VideoDiT] = []
    for i, model in enumerate(models):
        model.save_pretrained(tmp_path / str(i))
        nets.append(wan.load_transformer(tmp_path / str(i), torch.float32)[0])
    return Experts(*nets, boundary=boundary)


def denoised(denoiser: Any, levels: torch.Tensor, start: torch.Tensor, cond: Conditioning, guidance: float) -> torch.Tensor:
    rows = levels[:, None].expand(-1, start.shape[2])
    return sample.denoise(denoiser, cond, start, rows, guidance=guidance)


def free(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nothing known, every frame free."""
    return torch.zeros_like(like), torch.ones(1, like.shape[2])


@pytest.mark.parametrize("kind", ["euler", "unipc levels"])
def test_text_to_video_equals_the_pipeline(tmp_path: Path, kind: str) -> None:
    model, start = transformer(), torch.randn(1, 16, 3, 6, 10)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = diffusers.WanPipeline(tokenizer=None, text_encoder=None, vae=None, scheduler=scheduler, transformer=model)
    pipe.set_progress_bar_config(disable=True)
    text, null = prompt(5), prompt(6, 3)
    want = pipe(
        prompt_embeds=text,
        negative_prompt_embeds=null,
        height=48,
        width=80,
        num_frames=9,
        num_inference_steps=4,
        guidance_scale=5.0,
        latents=start,
        output_type="latent",
    ).frames
    denoiser = WanDenoiser(ours_of(model, tmp_path=tmp_path))
    levels = euler_levels(4, 3.0) if kind == "euler" else unipc_levels(4, 3.0)
    got = denoised(denoiser, levels, start, Conditioning(text, null, *free(start)), 5.0)
    if kind == "euler":
        assert dB(got, want) >= 80
    else:
        assert dB(got, want) < 60, "other noise levels make another clip"
    assert len(denoiser._kept) == 1, "keys of the text are computed once"


def test_image_to_video_with_a_level_per_frame_equals_the_pipeline(tmp_path: Path) -> None:
    """TI2V: the first frame is given and stays at level 0."""
    model, start, vae = transformer(), torch.randn(1, 16, 3, 6, 10), codec()
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0)
    pipe = diffusers.WanImageToVideoPipeline(
        tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, transformer=model, expand_timesteps=True
    )
    pipe.set_progress_bar_config(disable=True)
    image, text, null = torch.rand(1, 3, 48, 80), prompt(5), prompt(6, 3)
    want = pipe(
        image=image,
        prompt_embeds=text,
        negative_prompt_embeds=null,
        height=48,
        width=80,
        num_frames=9,
        num_inference_steps=4,
        guidance_scale=5.0,
        latents=start,
        output_type="latent",
    ).frames
    known, ceiling = free(start)
    known[:, :, :1] = TheirCodec(vae).encode(2 * image[:, :, None] - 1)
    ceiling[:, 0] = 0
    denoiser = WanDenoiser(ours_of(model, tmp_path=tmp_path))
    got = denoised(denoiser, euler_levels(4, 5.0), start, Conditioning(text, null, known, ceiling), 5.0)
    assert dB(got, want) >= 80
    assert torch.equal(got[:, :, 0], known[:, :, 0]), "what is given stays"


@pytest.mark.parametrize("last_frame", [False, True])
def test_wan_2_1_image_to_video_equals_the_pipeline(tmp_path: Path, last_frame: bool) -> None:
    model = transformer(**(IMAGE | ({"pos_embed_seq_len": 14} if last_frame else {})))
    start, vae = torch.randn(1, 16, 3, 6, 10), codec()
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = diffusers.WanImageToVideoPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, transformer=model)
    pipe.set_progress_bar_config(disable=True)
    first, last, text, null = torch.rand(1, 3, 48, 80), torch.rand(1, 3, 48, 80), prompt(5), prompt(6, 3)
    features = torch.randn(2 if last_frame else 1, 7, 20)
    # diffusers 0.42 asks for an image or its features, not both, but needs the image too.
    pipe.check_inputs = lambda *args, **more: None
    want = pipe(
        image=first,
        last_image=last if last_frame else None,
        image_embeds=features,
        prompt_embeds=text,
        negative_prompt_embeds=null,
        height=48,
        width=80,
        num_frames=9,
        num_inference_steps=4,
        guidance_scale=5.0,
        latents=start,
        output_type="latent",
    ).frames
    signal = torch.rand(1, 3, 9, 48, 80)  # what is not given must not count
    signal[:, :, 0], signal[:, :, -1] = 2 * first - 1, 2 * last - 1
    channels = wan.image_channels(TheirCodec(vae), signal, [True, *[False] * 7, last_frame])  # type: ignore[arg-type]
    denoiser = WanDenoiser(ours_of(model, tmp_path=tmp_path), channels, features.view(1, -1, 20))
    got = denoised(denoiser, euler_levels(4, 3.0), start, Conditioning(text, null, *free(start)), 5.0)
    assert dB(got, want) >= 80


class ByExpert(sample.Guided):
    """Guidance with a value for each expert, as an engine would use `Experts.guidance`."""

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, step: int) -> torch.Tensor:
        assert isinstance(self.denoiser, WanDenoiser)
        self.guidance = self.denoiser.experts.guidance(float(level_BF.max()), 4.0, 3.0)
        return super().__call__(x_BCFHW, level_BF, step)


@pytest.mark.parametrize("swap", [False, True])
def test_two_experts_equal_the_pipeline(tmp_path: Path, swap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    high, low, start = transformer(0), transformer(1), torch.randn(1, 16, 3, 6, 10)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = diffusers.WanPipeline(
        tokenizer=None, text_encoder=None, vae=None, scheduler=scheduler, transformer=high, transformer_2=low, boundary_ratio=0.875
    )
    pipe.set_progress_bar_config(disable=True)
    text, null = prompt(5), prompt(6, 3)
    want = pipe(
        prompt_embeds=text,
        negative_prompt_embeds=null,
        height=48,
        width=80,
        num_frames=9,
        num_inference_steps=6,
        guidance_scale=4.0,
        guidance_scale_2=3.0,
        latents=start,
        output_type="latent",
    ).frames
    high.save_pretrained(tmp_path / "transformer")
    low.save_pretrained(tmp_path / "transformer_2")
    write_index(tmp_path, transformer_2=["diffusers", "WanTransformer3DModel"], boundary_ratio=0.875)
    experts, sha256 = Experts.from_folder(wan.read_folder(tmp_path), torch.float32, swap=swap)
    assert {name.split("/")[0] for name in sha256} == {"transformer", "transformer_2"}
    levels = euler_levels(6, 3.0)
    assert [experts.is_high(level) for level in levels.tolist()].count(True) in (2, 3), "both work"
    monkeypatch.setattr(sample, "Guided", ByExpert)
    got = denoised(WanDenoiser(experts), levels, start, Conditioning(text, null, *free(start)), 4.0)
    assert dB(got, want) >= 80


def test_one_expert_works_everywhere_and_a_folder_without_boundary_has_one(folder: Path) -> None:
    write_index(folder, transformer_2=["diffusers", "WanTransformer3DModel"], boundary_ratio=None)
    experts, _ = Experts.from_folder(wan.read_folder(folder), torch.float32)
    assert experts.low is None
    assert experts.at(0.0) is experts.at(1.0) is experts.high
    assert experts.guidance(0.1, 5.0, 3.0) == 5.0


def test_the_waiting_expert_is_on_the_cpu() -> None:
    nets = []
    for device in ("meta", "cpu"):  # meta stands for an accelerator
        config = wan.DiTConfig(heads=1, head_dim=12, ffn_dim=8, layers=1, text_dim=8, in_channels=4, out_channels=4, freq_dim=8)
        nets.append(VideoDiT(config).to(device))
    experts = Experts(*nets, boundary=0.9, swap=True)
    moved: list[tuple[str, str]] = []
    for name, net in zip(("high", "low"), nets, strict=True):
        net.to = lambda device, name=name: moved.append((name, str(device)))  # type: ignore[method-assign, assignment, misc]
    assert experts.at(0.95) is experts.high
    assert moved == []
    assert experts.at(0.5) is experts.low
    assert moved == [("high", "cpu"), ("low", "meta")]


def test_features_of_images_are_those_of_diffusers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the image encoder needs kinowatt[wan]")
    from PIL import Image

    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    torch.manual_seed(0)
    encoder = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**sizes)).eval()
    encoder.save_pretrained(tmp_path / "image_encoder")
    small = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    processor = transformers.models.clip.image_processing_pil_clip.CLIPImageProcessorPil(**small)
    processor.save_pretrained(tmp_path / "image_processor")
    images = [Image.effect_noise((60, 40), 80).convert("RGB"), Image.effect_noise((40, 50), 80).convert("RGB")]
    pipe = SimpleNamespace(image_processor=processor, image_encoder=encoder, _execution_device="cpu")
    want = diffusers.WanImageToVideoPipeline.encode_image(pipe, images, "cpu").flatten(0, 1)[None]
    got = wan.ImageEncoder.from_folder(tmp_path).features(images)
    assert got.shape == (1, 2 * 5, 16)
    assert (got - want).abs().max() <= 1e-5
    shutil.rmtree(tmp_path / "image_encoder")
    with pytest.raises(WeightsError, match="image encoder"):
        wan.ImageEncoder.from_folder(tmp_path).features(images)


def test_known_names() -> None:
    for name, spec in wan_specs.WAN.items():
        assert spec.name == name
        assert spec.repository.startswith("Wan-AI/Wan2.")
        assert round(spec.seconds * spec.fps) % 4 == 1
        for width, height in spec.trained_sizes:
            assert width % spec.grid == height % spec.grid == 0
            assert width * height <= spec.most_pixels
        assert ("a14b" in name) == (spec.guidance_low is not None)
    assert wan_specs.find("/some/folder") == Path("/some/folder")


def test_a_known_name_that_is_not_here_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="names are found in the Hub's cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"hf download Wan-AI/Wan2\.2-TI2V-5B-Diffusers"):
        wan_specs.find("wan2.2-ti2v-5b")


def test_the_names_are_read_without_torch() -> None:
    code = "import sys, kinowatt.models.wan_specs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
