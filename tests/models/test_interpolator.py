"""The interpolator: frames between two pictures, of any size, by motion that it learns to find."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from kinowatt.models import interpolator
from kinowatt.models.interpolator import Flow, Interpolator, InterpolatorConfig, looked_up

SHARES = torch.tensor([0.25, 0.5, 0.75])
TINY = InterpolatorConfig((8, 8, 8))


def balls(count: int, generator: torch.Generator, side: int = 32) -> torch.Tensor:
    """Pictures (N, 5, 3, H, W) of a light ball that goes to the right over a striped ground, 4 to 12 pixels in all."""
    goes = 4.0 + 8.0 * torch.rand(count, generator=generator)
    y = torch.arange(side) + 0.5
    ground = -0.5 + 0.2 * torch.sin(y)[:, None].expand(side, side)
    x0 = 6.0 + 8.0 * torch.rand(count, 1, generator=generator) + goes[:, None] * torch.arange(5) / 4
    away = torch.hypot(y - x0[..., None, None], y[:, None] - side / 2)
    ball = torch.sigmoid(5.0 - away)
    return (ground * (1 - ball) + 0.8 * ball)[:, :, None].expand(-1, -1, 3, -1, -1)


@pytest.mark.parametrize("size", [(32, 32), (48, 80), (36, 52)])
def test_it_begins_as_a_fade_at_any_size(size: tuple[int, int]) -> None:
    before, after = torch.randn(2, 2, 3, *size)
    net = Interpolator(TINY)
    flows = net(before, after, SHARES)
    assert [f.before_NTHW.shape[2] for f in flows][:1] == [size[0]]
    assert flows[0].away_NTE2HW.shape == (2, 3, 2, 2, *size)
    for share, made in zip(SHARES, flows[0].mixed(before, after).unbind(1), strict=True):
        assert torch.allclose(made, torch.lerp(before, after, share), atol=1e-4)


def test_pictures_are_looked_up_where_they_are() -> None:
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    away = torch.zeros(1, 2, 3, 4)
    assert torch.allclose(looked_up(picture, away), picture, atol=1e-5)
    away[:, 0] = 1.0
    assert torch.allclose(looked_up(picture, away)[0, 0, :, :3], picture[0, 0, :, 1:], atol=1e-5)
    away[:, 0], away[:, 1] = 0.0, -1.0
    assert torch.allclose(looked_up(picture, away)[0, 0, 1:], picture[0, 0, :2], atol=1e-5)
    flow = Flow(torch.zeros(1, 1, 2, 2, 3, 4), torch.full((1, 1, 3, 4), 0.25))
    assert torch.allclose(flow.mixed(picture, 2 * picture)[0, 0], 1.75 * picture[0], atol=1e-5)


def test_it_learns_where_things_go(one_thread: None) -> None:
    """In a minute's miniature: what moves is not seen double."""
    torch.manual_seed(0)
    net, generator = Interpolator(InterpolatorConfig((16, 16))), torch.Generator().manual_seed(1)
    step = torch.optim.AdamW(net.parameters(), 3e-3)
    for _ in range(150):
        true = balls(8, generator)
        flows = net(true[:, 0], true[:, -1], SHARES)
        loss = (flows[0].mixed(true[:, 0], true[:, -1]) - true[:, 1:-1]).abs().mean()
        step.zero_grad()
        loss.backward()
        step.step()
    true = balls(16, generator)
    flow = net.eval().between(true[:, 0], true[:, -1], SHARES)
    made = flow.mixed(true[:, 0], true[:, -1])
    faded = torch.stack([torch.lerp(true[:, 0], true[:, -1], share) for share in SHARES.tolist()], 1)
    assert (made - true[:, 1:-1]).square().mean() < 0.25 * (faded - true[:, 1:-1]).square().mean()


def test_a_file_is_read_and_another_is_not() -> None:
    net = Interpolator(TINY)
    config = {"interpolator": {"widths": [8, 8, 8]}}
    again = interpolator.load({k: v.half() for k, v in net.state_dict().items()}, config)
    assert dataclasses.asdict(again.config) == {"widths": (8, 8, 8)}
    with pytest.raises(KeyError):
        interpolator.load({}, {})
    with pytest.raises(RuntimeError):
        interpolator.load({}, config)
