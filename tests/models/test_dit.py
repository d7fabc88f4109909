"""The DiT equals diffusers' WanTransformer3DModel with the same random weights."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch

from kinowatt.models.dit import DITS, DiTConfig, VideoDiT
from kinowatt.models.layers import STAND_INS, attend, log_shares, merged, products


def wan(
    channels: int, heads: int, head_dim: int, layers: int = 2, image_dim: int | None = None, image_tokens: int | None = None
) -> tuple[Any, VideoDiT]:
    """diffusers' model and ours with the same weights, none of them zero. With an image, 20 channels more come in."""
    diffusers = pytest.importorskip("diffusers", reason="parity needs kinowatt[diffusers]")
    torch.manual_seed(0)
    in_channels = channels + (20 if image_dim else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's deprecations are not ours to mend
        theirs = diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=heads,
            attention_head_dim=head_dim,
            in_channels=in_channels,
            out_channels=channels,
            text_dim=24,
            freq_dim=32,
            ffn_dim=96,
            num_layers=layers,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            image_dim=image_dim,
            added_kv_proj_dim=heads * head_dim if image_dim else None,
            pos_embed_seq_len=image_tokens,
        ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    config = DiTConfig(
        heads,
        head_dim,
        96,
        layers,
        24,
        in_channels=in_channels,
        out_channels=channels,
        freq_dim=32,
        image_dim=image_dim,
        image_tokens=image_tokens,
    )
    ours = VideoDiT(config).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def padded(*lengths: int) -> torch.Tensor:
    """Texts (B, 512, 24) of some lengths with zeros after them, as Wan has them."""
    text = torch.zeros(len(lengths), 512, 24)
    for row, length in zip(text, lengths, strict=True):
        row[:length] = torch.randn(length, 24)
    return text


@pytest.mark.parametrize(("heads", "head_dim"), [(2, 48), (2, 64), (1, 128)])
@pytest.mark.parametrize("size", [(3, 6, 10), (1, 2, 14), (5, 10, 2)])
@torch.inference_mode()
def test_wan_2_1_text_to_video(heads: int, head_dim: int, size: tuple[int, int, int]) -> None:
    theirs, ours = wan(16, heads, head_dim)
    x, text, level = torch.randn(2, 16, *size), torch.randn(2, 7, 24), torch.tensor([0.83, 0.21])
    want = theirs(x, level * 1000, text, return_dict=False)[0]
    got = ours(x, level[:, None].expand(2, size[0]), text)
    assert (got - want).abs().max() <= 1e-4


@torch.inference_mode()
def test_wan_2_2_ti2v_with_a_time_per_frame() -> None:
    theirs, ours = wan(48, 2, 64)
    frames, height, width = 4, 6, 10
    x, text = torch.randn(2, 48, frames, height, width), torch.randn(2, 7, 24)
    level = torch.rand(2, frames)
    level[:, 0] = 0
    per_token = (level * 1000).repeat_interleave(height * width // 4, dim=1)
    want = theirs(x, per_token, text, return_dict=False)[0]
    assert (ours(x, level, text) - want).abs().max() <= 1e-4


@pytest.mark.parametrize("size", [(3, 6, 10), (1, 2, 14), (5, 10, 2)])
@pytest.mark.parametrize("last_frame", [False, True])
@torch.inference_mode()
def test_wan_2_1_image_to_video(size: tuple[int, int, int], last_frame: bool) -> None:
    theirs, ours = wan(16, 2, 64, image_dim=20, image_tokens=14 if last_frame else None)
    x, text, level = torch.randn(2, 36, *size), padded(9, 70), torch.tensor([0.83, 0.21])
    image = torch.randn(4, 7, 20) if last_frame else torch.randn(2, 7, 20)
    want = theirs(x, level * 1000, text, image, return_dict=False)[0]
    contexts = ours.contexts(text, image.view(2, -1, 20))
    assert (ours(x, level[:, None].expand(2, size[0]), contexts) - want).abs().max() <= 1e-4
    blind = ours(x, level[:, None].expand(2, size[0]), ours.contexts(text))
    assert (blind - want).abs().max() > 1e-2, "the image must count"


@torch.inference_mode()
def test_one_image_for_a_batch_of_prompts() -> None:
    theirs, ours = wan(16, 2, 64, image_dim=20)
    x, text, level = torch.randn(2, 36, 2, 4, 4), padded(9, 70), torch.tensor([0.5, 0.5])
    image = torch.randn(1, 7, 20)
    want = theirs(x, level * 1000, text, image.expand(2, -1, -1), return_dict=False)[0]
    assert (ours(x, level[:, None].expand(2, 2), ours.contexts(text, image)) - want).abs().max() <= 1e-4


@pytest.mark.parametrize("lengths", [(9, 70), (1, 1), (512, 3), (500, 505), (0, 5), (511, 509)])
@torch.inference_mode()
def test_zeros_after_a_text_are_merged_exactly(lengths: tuple[int, int]) -> None:
    theirs, ours = wan(16, 2, 64)
    x, text, level = torch.randn(2, 16, 3, 6, 10), padded(*lengths), torch.tensor([0.83, 0.21])
    want = theirs(x, level * 1000, text, return_dict=False)[0]
    contexts = ours.contexts(text)
    assert (ours(x, level[:, None].expand(2, 3), contexts) - want).abs().max() <= 1e-4
    assert (ours(x, level[:, None].expand(2, 3), text) - want).abs().max() <= 1e-4
    assert contexts[0].k.shape[1] <= min(max(lengths) + 12, 512)
    # Without the bias the zeros would weigh too little, with a mask nothing: neither is what Wan was trained with.
    if max(lengths) < 100:
        plain = ours(x, level[:, None].expand(2, 3), text[:, : contexts[0].k.shape[1]])
        assert (plain - want).abs().max() > 1e-3


def test_stand_ins_weigh_as_much_as_what_they_stand_for() -> None:
    for count in range(513):
        shares = log_shares(count)
        assert len(shares) == STAND_INS
        in_bfloat16 = torch.tensor(shares, dtype=torch.bfloat16).double()
        assert in_bfloat16.exp().sum().item() == pytest.approx(count, rel=3e-6)
        assert in_bfloat16.logsumexp(0).exp().item() == pytest.approx(count, rel=3e-6)
    one = torch.tensor(math.log(400), dtype=torch.bfloat16).double().exp().item()
    assert abs(one / 400 - 1) > 1e-3, "one stand-in would do after all"


def test_a_text_without_zeros_is_left_alone() -> None:
    text = torch.randn(2, 20, 8)
    assert merged(text)[0] is text
    assert merged(text)[1] is None
    inside = torch.randn(1, 40, 8)
    inside[:, 3] = 0  # a row of zeros that is not at the end
    inside[:, 10:] = 0
    shorter, bias = merged(inside)
    assert bias is not None
    assert shorter.shape[1] == bias.shape[1] == 16
    assert not bias[0, :10].any()


@pytest.mark.parametrize("biased", [False, True])
def test_plain_products_are_the_same_attention(biased: bool) -> None:
    q, k, v = (torch.randn(2, 4, length, 8, requires_grad=True) for length in (300, 70, 70))
    bias = torch.randn(2, 1, 1, 70) if biased else None
    made = []
    for how in (products, torch.nn.functional.scaled_dot_product_attention):
        mixed = how(q, k, v, bias)  # type: ignore[operator]
        made.append((mixed, *torch.autograd.grad(mixed.square().sum(), (q, k, v))))
    for mine, fused in zip(*made, strict=True):
        torch.testing.assert_close(mine, fused, rtol=1e-4, atol=1e-5)


def test_what_learns_in_bfloat16_on_a_cpu_takes_plain_products(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr("kinowatt.models.layers.products", lambda q, k, v, bias: called.append(1) or q)
    x = torch.randn(1, 4, 2, 8, requires_grad=True)
    attend(x, x, x)
    with torch.autocast("cpu", torch.bfloat16):
        attend(x.detach(), x, x)
        assert not called
        attend(x, x, x)
    attend(x.bfloat16(), x, x)
    assert len(called) == 2


@torch.inference_mode()
def test_contexts_serve_many_steps() -> None:
    _, ours = wan(16, 2, 64)
    text = padded(9, 70)
    contexts = ours.contexts(text)
    for level in (0.9, 0.1):
        x, levels = torch.randn(2, 16, 2, 4, 4), torch.full((2, 2), level)
        assert (ours(x, levels, contexts) - ours(x, levels, text)).abs().max() <= 1e-4


@torch.inference_mode()
def test_any_patch_and_a_zero_start() -> None:
    model = VideoDiT(DiTConfig(2, 24, 64, 1, 8, in_channels=4, out_channels=4, patch=(1, 1, 1), freq_dim=16))
    x = torch.randn(1, 4, 2, 3, 5)
    assert not model(x, torch.rand(1, 2), torch.randn(1, 3, 8)).any(), "an untrained model predicts nothing"
    assert model(x, torch.rand(1, 2), torch.randn(1, 3, 8)).shape == x.shape


def test_presets_have_the_size_they_claim() -> None:
    millions = {name: sum(p.numel() for p in VideoDiT(c).parameters()) / 1e6 for name, c in DITS.items()}
    assert 5 < millions["xs"] < 7
    assert 28 < millions["s"] < 33
    assert 48 < millions["m"] < 56
