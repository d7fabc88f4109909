"""The text encoder: order counts, padding does not, and unknown words still leave a trace."""

from __future__ import annotations

import pytest
import torch

from kinowatt.models.text import TextConfig, TextEncoder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(TextConfig(("color=red", "color=blue", "shape=ball"), width=32, heads=2, tokens=8)).eval()


def test_empty_prompt_is_all_zero(encoder: TextEncoder) -> None:
    assert not encoder.encode([()]).any()


def test_rows_past_the_end_are_zero_and_a_neighbour_in_the_batch_changes_nothing(encoder: TextEncoder) -> None:
    short = ("color=red", "shape=ball")
    alone = encoder.encode([short])
    beside = encoder.encode([short, ("color=blue",) * 8])
    assert alone.shape == (1, 8, 32)
    assert not alone[0, 2:].any()
    assert torch.allclose(alone[0], beside[0], atol=1e-6)


def test_order_counts(encoder: TextEncoder) -> None:
    a, b = encoder.encode([("color=red", "shape=ball", "color=blue"), ("color=blue", "shape=ball", "color=red")])
    assert (a - b).abs().max() > 1e-2


def test_unknown_words_are_hashed_steadily(encoder: TextEncoder) -> None:
    ids = encoder.ids([("~flumph",), ("~flumph",), ("~yak",)])
    assert ids[0, 0] == ids[1, 0] >= 4
    assert ids.max() < 4 + encoder.config.buckets


def test_long_prompts_are_cut(encoder: TextEncoder) -> None:
    assert encoder.encode([("color=red",) * 1000]).shape == (1, 8, 32)
