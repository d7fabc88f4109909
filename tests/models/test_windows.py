"""Windowed attention computes what its definition says, and no more."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import flex_attention

from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.layers import Places, attend
from kinowatt.models.savings import share_of_work
from kinowatt.models.windows import Blocks, Size, by_tiles, set_windows, spans, tiles, windowed

GRIDS = [((5, 7, 6), (3, 4, 5)), ((9, 4, 4), (3, 8, 8)), ((1, 11, 3), (2, 5, 1)), ((7, 6, 10), (1, 6, 4)), ((13, 1, 1), (6, 1, 1))]


def qkv(size: Size, batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    length = size[0] * size[1] * size[2]
    return [torch.randn(batch, length, 2, 16, generator=generator) for _ in range(3)]


def places(size: Size) -> Places:
    return Places(size, torch.empty(0), torch.empty(0))


def allowed(size: Size, window: Size) -> torch.Tensor:
    """Which keys each query sees (L, L), token by token from the definition."""
    numbers = torch.arange(size[0] * size[1] * size[2]).view(size)
    out = torch.zeros(numbers.numel(), numbers.numel(), dtype=torch.bool)
    for tile in tiles(size, window):
        queries = numbers[tuple(slice(s.begin, s.end) for s in tile)].flatten()
        keys = numbers[tuple(slice(s.keys, s.keys + w) for s, w in zip(tile, window, strict=True))].flatten()
        out[queries[:, None], keys[None]] = True
    return out


def masked(size: Size, window: Size) -> torch.Tensor:
    q, k, v = (t.transpose(1, 2) for t in qkv(size))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed(size, window)).transpose(1, 2)


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 60), st.integers(1, 70))
def test_spans_cover_each_token_once_and_reach_to_both_sides(count: int, window: int) -> None:
    found = spans(count, window)
    assert [i for s in found for i in range(s.begin, s.end)] == list(range(count))
    window = min(window, count)
    reach = window // 3
    for s in found:
        assert s.keys >= 0
        assert s.keys + window <= count
        for i in range(s.begin, s.end):
            assert s.keys <= max(i - reach, 0)
            assert min(i + reach, count - 1) < s.keys + window


@pytest.mark.parametrize(("size", "window"), GRIDS)
def test_tiles_equal_masked_attention(size: Size, window: Size) -> None:
    got = by_tiles(*qkv(size), size, window)
    assert (got - masked(size, window)).abs().max() <= 1e-5
    assert (got - attend(*qkv(size))).abs().max() > 1e-2  # something is left out


@pytest.mark.parametrize(("size", "window"), [*GRIDS, ((6, 9, 16), (3, 3, 6))])
def test_blocks_equal_masked_attention(size: Size, window: Size) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not compiled
        got = Blocks(size, window, torch.device("cpu"))(*qkv(size), flex_attention)
    assert (got - masked(size, window)).abs().max() <= 1e-5


def test_blocks_leave_out_most_of_what_the_window_does() -> None:
    size, window = (12, 16, 16), (6, 8, 8)
    mask = Blocks(size, window, torch.device("cpu")).mask
    computed = (mask.kv_num_blocks.sum() + mask.full_kv_num_blocks.sum()) / (3072 / 128) ** 2
    assert share_of_work(size, window) == 0.125
    assert computed < 0.5


@pytest.mark.parametrize("window", [(5, 7, 6), (50, 7, 60)])
def test_a_window_over_everything_is_exact(window: Size) -> None:
    size = (5, 7, 6)
    assert torch.equal(windowed(window)(*qkv(size), places(size)), attend(*qkv(size)))


def test_work_is_the_share_that_is_said() -> None:
    for size, window in GRIDS:
        scores = allowed(size, window)
        assert scores.float().mean().item() == pytest.approx(share_of_work(size, window))
        assert scores.diagonal().all()  # every token sees itself


def test_windows_of_a_network_are_set_and_taken_away() -> None:
    torch.manual_seed(0)
    dit = VideoDiT(DiTConfig(heads=2, head_dim=16, ffn_dim=32, layers=2, text_dim=8, in_channels=4, out_channels=4)).eval()
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    x, level, text = torch.randn(1, 4, 5, 6, 10), torch.rand(1, 5), torch.randn(1, 7, 8)
    with torch.no_grad():
        exact = dit(x, level, text)
        set_windows(dit, (5, 3, 5))
        assert torch.equal(dit(x, level, text), exact)
        set_windows(dit, (3, 3, 3))
        changed = dit(x, level, text)
        set_windows(dit, None)
        assert torch.equal(dit(x, level, text), exact)
    assert (changed - exact).abs().max() > 1e-4
    dit.blocks[0].attn1.attend = lambda q, k, v, places: q  # type: ignore[union-attr, assignment]
    with pytest.raises(AssertionError):
        set_windows(dit, (3, 3, 3))
