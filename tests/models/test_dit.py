"""The DiT equals diffusers' WanTransformer3DModel with the same random weights."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from kinowatt.models.dit import DITS, DiTConfig, VideoDiT


def wan(channels: int, heads: int, head_dim: int, layers: int = 2) -> tuple[Any, VideoDiT]:
    """diffusers' model and ours with the same weights, none of them zero."""
    diffusers = pytest.importorskip("diffusers", reason="parity needs kinowatt[diffusers]")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's deprecations are not ours to mend
        theirs = diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=heads,
            attention_head_dim=head_dim,
            in_channels=channels,
            out_channels=channels,
            text_dim=24,
            freq_dim=32,
            ffn_dim=96,
            num_layers=layers,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
        ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    config = DiTConfig(heads, head_dim, 96, layers, 24, in_channels=channels, out_channels=channels, freq_dim=32)
    ours = VideoDiT(config).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


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


@torch.inference_mode()
def test_any_patch_and_a_zero_start() -> None:
    model = VideoDiT(DiTConfig(2, 24, 64, 1, 8, in_channels=4, out_channels=4, patch=(1, 1, 1), freq_dim=16))
    x = torch.randn(1, 4, 2, 3, 5)
    assert not model(x, torch.rand(1, 2), torch.randn(1, 3, 8)).any(), "an untrained model predicts nothing"
    assert model(x, torch.rand(1, 2), torch.randn(1, 3, 8)).shape == x.shape


def test_presets_have_the_size_they_claim() -> None:
    millions = {name: sum(p.numel() for p in VideoDiT(c).parameters()) / 1e6 for name, c in DITS.items()}
    assert 4 < millions["xs"] < 8
    assert 28 < millions["s"] < 33
    assert 48 < millions["m"] < 56
