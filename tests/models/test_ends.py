"""Convolutions around the blocks: what they see, that a text is heard in the time, and that prepared texts change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.ends import Ends
from kinowatt.models.vae import fold, unfold

SMALL = replace(DITS["xs"], heads=1, head_dim=16, ffn_dim=32, layers=1, text_dim=16, ends=8)


@pytest.fixture
def network() -> VideoDiT:
    torch.manual_seed(0)
    made = VideoDiT(SMALL).eval().requires_grad_(False)
    for parameter in made.parameters():  # all that begins at nothing does something
        parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def inputs(frames: int = 3, height: int = 4, width: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    text = torch.randn(2, 9, 16)
    text[0, 4:] = 0.0
    return torch.randn(2, SMALL.in_channels, frames, height, width), torch.rand(2, frames), text


def test_a_picture_is_seen_across_the_borders_of_tokens() -> None:
    torch.manual_seed(0)
    ends = Ends(48, 8, 16).requires_grad_(False)
    torch.nn.init.normal_(ends.conv_out.weight)
    small = torch.randn(1, 3, 1, 16, 96)
    other = small.clone()
    other[..., 7, 7] += 1.0  # the last pixel of its token on both sides
    nothing, time = torch.zeros(1, 96, 16), torch.zeros(1, 1, 16)

    def drawn(picture: torch.Tensor) -> torch.Tensor:
        _, fine = ends.first(fold(picture), nothing, time)
        return unfold(ends.last(nothing, fine, time)[1])[0, 0]

    changed = (drawn(other) - drawn(small)).abs().amax(0) > 1e-6
    assert changed[7, 7]
    assert changed[8, 8], "a pixel of another token"
    assert not changed[7, 95], "far away"


def test_frames_beside_are_seen() -> None:
    torch.manual_seed(0)
    ends = Ends(48, 8, 16).requires_grad_(False)
    torch.nn.init.normal_(ends.before[0].time_conv.weight)
    x, time = torch.randn(1, 48, 4, 2, 2), torch.zeros(1, 4, 16)
    later = x.clone()
    later[:, :, 3] += 1.0
    (_, one), (_, other) = (ends.first(each, torch.zeros(1, 16, 16), time) for each in (x, later))
    assert [bool((one[:, f] != other[:, f]).any()) for f in range(4)] == [False, False, True, True]


def test_prepared_texts_change_nothing(network: VideoDiT) -> None:
    x, level, text = inputs()
    torch.testing.assert_close(network(x, level, network.contexts(text)), network(x, level, text), atol=1e-5, rtol=1e-5)


def test_a_text_is_heard_in_the_time(network: VideoDiT) -> None:
    x, level, text = inputs()
    for parameter in network.blocks[0].attn2.to_out.parameters():  # type: ignore[union-attr, operator]
        parameter.zero_()  # attention to the text says nothing
    assert (network(x, level, text)[0] - network(x, level, text.flip(0))[0]).abs().max() > 1e-4


def test_odd_grids_and_single_frames(network: VideoDiT) -> None:
    x, level, text = inputs(frames=1, height=5, width=3)
    assert network(x, level, text).shape == (2, 48, 1, 5, 3)
