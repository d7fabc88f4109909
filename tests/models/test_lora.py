"""LoRA files of every naming do what they do in diffusers, fused and attached; foreign and damaged ones change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from kinowatt.errors import WeightsError
from kinowatt.models import lora, wan
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.lora_file import Lora, parse

CONFIG = DiTConfig(
    heads=2, head_dim=16, ffn_dim=48, layers=2, text_dim=24, in_channels=16, out_channels=16, freq_dim=32, image_dim=20, image_tokens=None
)
Tensors = dict[str, torch.Tensor]
Rows = list[tuple[str, int, int]]  # layer, outputs, inputs

pytestmark = pytest.mark.usefixtures("quietly", "one_thread")


def network(seed: int = 0, dtype: torch.dtype = torch.float32) -> VideoDiT:
    torch.manual_seed(seed)
    dit = VideoDiT(CONFIG).eval().requires_grad_(False)
    for name, parameter in dit.named_parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
        parameter.data = parameter if wan.kept_in_float32(name) else parameter.to(dtype)
    return dit


def clip(dit: VideoDiT) -> torch.Tensor:
    made = torch.Generator().manual_seed(3)
    x, text, image = (torch.randn(*shape, generator=made) for shape in ((1, 16, 2, 4, 4), (1, 5, 24), (1, 7, 20)))
    with torch.inference_mode():
        return dit(x, torch.full((1, 2), 0.7), dit.contexts(text, image)).float()


def linears() -> Rows:
    with torch.device("meta"):
        dit = VideoDiT(CONFIG)
    return [(name, m.out_features, m.in_features) for name, m in dit.named_modules() if isinstance(m, nn.Linear)]


def original(name: str) -> str:
    """Written out once more, so that a mistake in the table would be seen."""
    fixed = {
        "condition_embedder.time_embedder.linear_1": "time_embedding.0",
        "condition_embedder.time_embedder.linear_2": "time_embedding.2",
        "condition_embedder.text_embedder.linear_1": "text_embedding.0",
        "condition_embedder.text_embedder.linear_2": "text_embedding.2",
        "condition_embedder.time_proj": "time_projection.1",
        "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
        "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
        "proj_out": "head.head",
    }
    if name in fixed:
        return fixed[name]
    _, i, *rest = name.split(".")
    ends = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o", "add_k_proj": "k_img", "add_v_proj": "v_img"}
    if rest[0] == "ffn":
        return f"blocks.{i}.ffn.{0 if rest[-1] == 'proj' else 2}"
    return f"blocks.{i}.{ {'attn1': 'self_attn', 'attn2': 'cross_attn'}[rest[0]] }.{ends['.'.join(rest[1:])]}"


def pairs(rows: Rows, written: Callable[[str], tuple[str, str]], rank: Callable[[int], int] = lambda i: 4) -> Tensors:
    torch.manual_seed(7)
    made = {}
    for i, (name, outputs, inputs) in enumerate(rows):
        down, up = written(name)
        made[down], made[up] = torch.randn(rank(i), inputs) * 0.2, torch.randn(outputs, rank(i)) * 0.2
    return made


def peft_form(prefix: str = "transformer.", sides: str = "lora_A lora_B", end: str = ".weight", **more: Any) -> Tensors:
    down, up = sides.split()
    return pairs(linears(), lambda n: (f"{prefix}{n}.{down}{end}", f"{prefix}{n}.{up}{end}"), **more)


def original_form(sides: str = "lora_A lora_B", alphas: bool = False, biases: bool = False) -> Tensors:
    down, up = sides.split()
    stem = "diffusion_model."
    made = pairs(linears(), lambda n: (f"{stem}{original(n)}.{down}.weight", f"{stem}{original(n)}.{up}.weight"))
    for name, outputs, _ in linears():
        if alphas and name.startswith("blocks."):  # diffusers refuses those of the embedders
            made[f"{stem}{original(name)}.alpha"] = torch.tensor(2.0)
        if biases:
            made[f"{stem}{original(name)}.diff_b"] = torch.randn(outputs) * 0.2
    return made


def kohya_form() -> Tensors:
    rows = [row for row in linears() if row[0].startswith("blocks.")]
    stems = {name: "lora_unet_" + original(name).replace(".", "_") for name, *_ in rows}
    made = pairs(rows, lambda n: (f"{stems[n]}.lora_down.weight", f"{stems[n]}.lora_up.weight"))
    return made | {f"{stem}.alpha": torch.tensor(1.0 + i) for i, stem in enumerate(stems.values())}


ADAPTER = {"r": 4, "lora_alpha": 6, "alpha_pattern": {"attn1.to_q": 3.0, "proj_out": 1.0}, "target_modules": [n for n, *_ in linears()]}
HEADER = {"lora_adapter_metadata": json.dumps({f"transformer.{k}": v for k, v in ADAPTER.items()})}
ROOTED = {"lora_adapter_metadata": json.dumps({f"transformer.{k}": v for k, v in (ADAPTER | {"use_rslora": True}).items()})}
FORMS: dict[str, tuple[Callable[[], Tensors], dict[str, str] | None]] = {
    "diffusers": (peft_form, None),
    "diffusers, of several ranks": (lambda: peft_form(rank=lambda i: 2 + i % 3), None),
    "diffusers, alpha in the header": (peft_form, HEADER),
    "diffusers, rank-stabilised": (peft_form, ROOTED),
    "original": (original_form, None),
    "original, down and up, alpha": (lambda: original_form("lora_down lora_up", alphas=True), None),
    "original, biases": (lambda: original_form(biases=True), None),
    "kohya": (kohya_form, None),
}


def write(path: Path, tensors: Tensors, header: dict[str, str] | None = None) -> Path:
    save_file(tensors, path, {"format": "pt"} | (header or {}))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_fused_and_attached_equal_diffusers(tmp_path: Path, form: str) -> None:
    diffusers = pytest.importorskip("diffusers", reason="parity needs kinowatt[diffusers]")
    pytest.importorskip("peft", reason="diffusers reads LoRAs with peft")
    make, header = FORMS[form]
    file = write(tmp_path / "x.safetensors", make(), header)
    entries = {k: v for k, v in wan.dit_json(CONFIG).items() if k[0] != "_"}
    theirs = diffusers.WanTransformer3DModel(**entries).eval().requires_grad_(False)
    theirs.load_state_dict(network().state_dict())
    pipe = diffusers.WanPipeline(
        tokenizer=None, text_encoder=None, vae=None, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), transformer=theirs
    )
    pipe.load_lora_weights(str(tmp_path), weight_name=file.name)
    pipe.fuse_lora(lora_scale=0.7)
    pipe.unload_lora_weights()
    ours, before = network(), network().state_dict()
    lora.fuse(ours, [Lora(file, 0.7)])
    want = theirs.state_dict()
    assert want.keys() == ours.state_dict().keys()
    changed = 0
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, want[name], atol=1e-6, rtol=1e-6)
        changed += not torch.equal(tensor, before[name])
    assert changed >= (20 if form == "kohya" else 24), "nearly all linear layers, so the comparison means something"
    beside = network()
    lora.attach(beside, [Lora(file, 0.7)])
    torch.testing.assert_close(clip(beside), clip(ours), atol=1e-4, rtol=1e-4)
    assert (clip(beside) - clip(network())).abs().mean() > 0.02


@pytest.mark.parametrize("prefix", ["", "transformer.", "base_model.model.", "base_model.model.transformer.", "diffusion_model."])
@pytest.mark.parametrize(
    ("sides", "end"), [("lora_A lora_B", ".default.weight"), ("lora_down lora_up", ".weight"), ("lora.down lora.up", ".weight")]
)
def test_other_spellings_are_the_same(tmp_path: Path, prefix: str, sides: str, end: str) -> None:
    one, two = network(), network()
    lora.fuse(one, [Lora(write(tmp_path / "a.safetensors", peft_form()))])
    lora.fuse(two, [Lora(write(tmp_path / "b.safetensors", peft_form(prefix, sides, end)))])
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_plain_lora_alpha_in_the_header_counts(tmp_path: Path) -> None:
    rows = pairs([("proj_out", 64, 32)], lambda n: (f"{n}.lora_A.weight", f"{n}.lora_B.weight"))
    dit, before = network(), network().proj_out.weight
    lora.fuse(dit, [Lora(write(tmp_path / "a.safetensors", rows, {"lora_alpha": "8"}), 0.5)])
    torch.testing.assert_close(dit.proj_out.weight, before + 0.5 * 2.0 * rows["proj_out.lora_B.weight"] @ rows["proj_out.lora_A.weight"])


def differences() -> Tensors:
    """What lora_conversion_utils.py of diffusers passes over: whole differences, also of norms, and a convolution."""
    torch.manual_seed(9)
    stem = "diffusion_model."
    conv = f"{stem}patch_embedding"
    return {
        f"{stem}blocks.0.self_attn.q.diff": torch.randn(32, 32),
        f"{stem}blocks.0.self_attn.q.diff_b": torch.randn(32),
        f"{stem}blocks.1.self_attn.norm_q.diff": torch.randn(32),
        f"{stem}blocks.1.cross_attn.norm_k_img.diff": torch.randn(32),
        f"{stem}blocks.1.norm3.diff": torch.randn(32),
        f"{stem}blocks.1.norm3.diff_b": torch.randn(32),
        f"{stem}img_emb.proj.0.diff": torch.randn(20),
        f"{stem}img_emb.proj.4.diff_b": torch.randn(32),
        f"{conv}.lora_down.weight": torch.randn(3, 16, 1, 2, 2),
        f"{conv}.lora_up.weight": torch.randn(32, 3, 1, 1, 1),
        f"{conv}.diff_b": torch.randn(32),
        f"{conv}.alpha": torch.tensor(6),  # an integer, as some write it
    }


CHANGED = {
    "blocks.0.attn1.to_q.weight": "blocks.0.self_attn.q.diff",
    "blocks.0.attn1.to_q.bias": "blocks.0.self_attn.q.diff_b",
    "blocks.1.attn1.norm_q.weight": "blocks.1.self_attn.norm_q.diff",
    "blocks.1.attn2.norm_added_k.weight": "blocks.1.cross_attn.norm_k_img.diff",
    "blocks.1.norm2.weight": "blocks.1.norm3.diff",
    "blocks.1.norm2.bias": "blocks.1.norm3.diff_b",
    "condition_embedder.image_embedder.norm1.weight": "img_emb.proj.0.diff",
    "condition_embedder.image_embedder.norm2.bias": "img_emb.proj.4.diff_b",
    "patch_embedding.bias": "patch_embedding.diff_b",
}


def test_whole_differences_norms_and_convolutions(tmp_path: Path) -> None:
    tensors, dit, before = differences(), network(), network().state_dict()
    files = [Lora(write(tmp_path / "a.safetensors", tensors), 0.5)]
    lora.fuse(dit, files)
    want = {name: before[name] + 0.5 * tensors[f"diffusion_model.{key}"] for name, key in CHANGED.items()}
    down, up = (tensors[f"diffusion_model.patch_embedding.lora_{side}.weight"] for side in ("down", "up"))
    product = torch.einsum("or,rcthw->octhw", up[:, :, 0, 0, 0], down)
    want["patch_embedding.weight"] = before["patch_embedding.weight"] + 0.5 * 2.0 * product
    for name, tensor in dit.state_dict().items():
        torch.testing.assert_close(tensor, want.get(name, before[name]))
    beside = network()
    lora.attach(beside, files)
    torch.testing.assert_close(clip(beside), clip(dit), atol=1e-4, rtol=1e-4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "x.safetensors", original_form(alphas=True, biases=True))


def test_what_is_attached_comes_off_without_a_trace(file: Path) -> None:
    dit, before = network(), network().state_dict()
    plain = clip(dit)
    lora.attach(dit, [Lora(file)])
    assert not torch.allclose(clip(dit), plain, atol=1e-2)
    state = dit.state_dict()
    assert list(state) == list(before), "its names are those of before"
    assert all(torch.equal(state[name], before[name]) for name in before)
    assert {buffer.device.type for buffer in dit.to("meta").buffers()} == {"meta"}, "what is attached moves with the network"
    dit = network()
    lora.attach(dit, [Lora(file)])
    lora.detach(dit)
    assert torch.equal(clip(dit), plain)
    assert not list(dit.buffers())
    assert not any(isinstance(module, lora.Added) or module._forward_hooks for module in dit.modules())


def test_attaching_replaces_and_files_add_up(tmp_path: Path, file: Path) -> None:
    other = write(tmp_path / "y.safetensors", kohya_form())
    fused = network()
    for given in (Lora(file, 0.5), Lora(other, -0.25)):
        lora.fuse(fused, [given])
    dit = network()
    lora.attach(dit, [Lora(other)])
    lora.attach(dit, [Lora(file, 0.5), Lora(other, -0.25)])
    torch.testing.assert_close(clip(dit), clip(fused), atol=1e-4, rtol=1e-4)
    lora.attach(dit, [])
    assert torch.equal(clip(dit), clip(network()))


def test_fused_weights_are_summed_in_float32_and_keep_their_type(tmp_path: Path) -> None:
    rows = pairs([("proj_out", 64, 32)], lambda n: (f"{n}.lora_A.weight", f"{n}.lora_B.weight"))
    dit, before = network(dtype=torch.bfloat16), network(dtype=torch.bfloat16).proj_out.weight
    small = Lora(write(tmp_path / "a.safetensors", {k: v.bfloat16() for k, v in rows.items()}), 0.01)
    lora.fuse(dit, [small] * 8)
    up, down = (rows[f"proj_out.lora_{side}.weight"].bfloat16().float() for side in "BA")
    want = before.float() + 0.08 * up @ down
    assert ((dit.proj_out.weight.float() - want).abs() <= want.abs() * 2.0**-8).all(), "rounded once, not eight times"
    assert not list(dit.buffers())
    attached = network(dtype=torch.bfloat16)
    lora.attach(attached, [Lora(write(tmp_path / "b.safetensors", original_form()))])
    assert {buffer.dtype for buffer in attached.proj_out.buffers()} == {torch.bfloat16}
    assert clip(attached).isfinite().all()


@pytest.mark.parametrize("first", ["attach", "quantise"])
def test_quantised_layers_take_an_attached_lora(file: Path, first: str) -> None:
    quantization = pytest.importorskip("torchao.quantization", reason="weights in 8 bits need torchao")

    def quantise(dit: VideoDiT) -> None:
        quantization.quantize_(dit, quantization.Int8WeightOnlyConfig())

    base, dit = network(), network()
    quantise(base)
    steps = [lambda: lora.attach(dit, [Lora(file)]), lambda: quantise(dit)]
    for step in steps if first == "attach" else steps[::-1]:
        step()
    assert type(dit.blocks[0].ffn.net[2].weight.data) is not torch.Tensor
    fused = network()
    lora.fuse(fused, [Lora(file)])
    want, plain = clip(fused), clip(base)
    assert (clip(dit) - want).norm() < 0.1 * (want - plain).norm()
    lora.detach(dit)
    assert torch.equal(clip(dit), plain)
    with pytest.raises(AssertionError, match="before quantising"):
        lora.fuse(dit, [Lora(file)])


def test_each_expert_gets_its_own(tmp_path: Path, file: Path) -> None:
    other = write(tmp_path / "y.safetensors", kohya_form())
    for put in (lora.fuse, lora.attach):
        high, low, want_high, want_low = (network(i % 2) for i in range(4))
        put(high, [Lora(file, 0.5, "high"), Lora(other, 0.25, "low"), Lora(other, 0.125)], low)
        put(want_high, [Lora(file, 0.5), Lora(other, 0.125)])
        put(want_low, [Lora(other, 0.25), Lora(other, 0.125)])
        assert torch.equal(clip(high), clip(want_high))
        assert torch.equal(clip(low), clip(want_low))
    with pytest.raises(WeightsError, match="for the low expert, and this model has but one"):
        lora.attach(network(), [Lora(file, 1.0, "low")])


def _rewrite(path: Path, change: Callable[[Tensors], Any], header: dict[str, str] | None = None) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, header)


Q = "diffusion_model.blocks.0.self_attn.q"
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another network's key": (
        lambda p: _rewrite(p, lambda t: t.update({"diffusion_model.blocks.7.self_attn.q.diff_b": torch.ones(32)})),
        r"no place for diffusion_model\.blocks\.7",
    ),
    "a key of no LoRA": (
        lambda p: _rewrite(p, lambda t: t.update({f"{Q}.dora_scale": torch.ones(32, 1)})),
        r"no place for .*q\.dora_scale",
    ),
    "another text encoder": (lambda p: _rewrite(p, lambda t: t.update({"lora_te_x.alpha": torch.ones(1)})), r"no place for lora_te_x"),
    "another width": (
        lambda p: _rewrite(p, lambda t: t.update({f"{Q}.lora_A.weight": torch.ones(4, 64)})),
        r"q\.lora_A\.weight is \(4, 64\), expected \(4, 32\)",
    ),
    "two ranks": (
        lambda p: _rewrite(p, lambda t: t.update({f"{Q}.lora_B.weight": torch.ones(32, 5)})),
        r"q\.lora_B\.weight is \(32, 5\), expected \(32, 4\)",
    ),
    "no rank": (lambda p: _rewrite(p, lambda t: t.update({f"{Q}.lora_A.weight": torch.ones(0, 32)})), r"q\.lora_A\.weight is \(0, 32\)"),
    "a number for a matrix": (
        lambda p: _rewrite(p, lambda t: t.update({f"{Q}.lora_A.weight": torch.tensor(1.0)})),
        r"q\.lora_A\.weight is \(\)",
    ),
    "up without down": (lambda p: _rewrite(p, lambda t: t.pop(f"{Q}.lora_A.weight")), r"q\.\S+ lacks its lora_down"),
    "down without up": (lambda p: _rewrite(p, lambda t: t.pop(f"{Q}.lora_B.weight")), r"q\.lora_A\.weight lacks its lora_up"),
    "two alphas": (lambda p: _rewrite(p, lambda t: t.update({f"{Q}.alpha": torch.ones(2)})), r"q\.alpha is \(2,\), expected one number"),
    "a bias for a norm": (
        lambda p: _rewrite(p, lambda t: t.update({"diffusion_model.blocks.0.self_attn.norm_q.diff_b": torch.ones(32)})),
        r"norm_q\.diff_b is \(32,\), expected nothing",
    ),
    "twice the same": (
        lambda p: _rewrite(p, lambda t: t.update({"blocks.0.attn1.to_q.lora_A.weight": torch.ones(4, 32)})),
        r"blocks\.0\.attn1\.to_q\.lora_A\.weight",
    ),
    "integers": (
        lambda p: _rewrite(p, lambda t: t.update({f"{Q}.diff_b": torch.ones(32, dtype=torch.int8)})),
        r"q\.diff_b has the type I8",
    ),
    "nothing in it": (lambda p: _rewrite(p, lambda t: t.clear()), "holds no LoRA"),
    "a header that says nothing": (lambda p: _rewrite(p, lambda t: None, {"lora_adapter_metadata": "["}), "no readable lora_alpha"),
    "a header with another list": (lambda p: _rewrite(p, lambda t: None, {"lora_adapter_metadata": "[]"}), "no readable lora_alpha"),
    "no file": (lambda p: p.unlink(), "there is no file"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-9]), "cannot be read"),
    "text": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1"), "cannot be read"),
    "empty": (lambda p: p.write_bytes(b""), "cannot be read"),
    "a pickle": (lambda p: torch.save({}, p), "a pickle by another name"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_files_that_cannot_be_used_change_nothing(tmp_path: Path, file: Path, damage: str) -> None:
    act, said = DAMAGES[damage]
    good = write(tmp_path / "good.safetensors", kohya_form())
    act(file)
    dit, plain = network(), clip(network())
    low = network(1)
    for put in (lora.fuse, lora.attach):
        with pytest.raises(WeightsError, match=said) as error:
            put(dit, [Lora(good), Lora(file, 1.0, "low")], low)
        assert "\n" not in str(error.value)
        assert file.name in str(error.value)
        assert torch.equal(clip(dit), plain)
        assert torch.equal(clip(low), clip(network(1)))
        assert not list(dit.buffers())


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a.safetensors", Lora(Path("a.safetensors"))),
        ("dir/a.safetensors:0.8", Lora(Path("dir/a.safetensors"), 0.8)),
        ("a.safetensors:-1e-1@low", Lora(Path("a.safetensors"), -0.1, "low")),
        ("a.safetensors@HIGH", Lora(Path("a.safetensors"), 1.0, "high")),
        (r"C:\x\a.safetensors:.5", Lora(Path(r"C:\x\a.safetensors"), 0.5)),
        ("a:1@low.safetensors:2", Lora(Path("a:1@low.safetensors"), 2.0)),
    ],
)
def test_loras_are_written_in_one_word(text: str, want: Lora) -> None:
    assert parse(text) == want


@pytest.mark.parametrize(
    "text", ["", "a.pt", "a.ckpt:0.5", "a.bin@low", "a.safetensors:strong", "a.safetensors@both", "a.safetensors:1e999"]
)
def test_words_that_are_no_lora(text: str) -> None:
    with pytest.raises(WeightsError, match=r"FILE\[:scale\]\[@high\|@low\]|use a number") as error:
        parse(text)
    assert "\n" not in str(error.value)


def test_the_word_is_read_without_torch() -> None:
    code = "import sys, kinowatt.models.lora_file; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
