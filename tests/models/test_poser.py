"""A poser draws poses that are axes, keeps those that are known, and hears tracks, words and cameras."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kinowatt import language
from kinowatt.models import poser
from kinowatt.models.blocking import LOOKS, MOST, POSE, TRACK, Blocking, looks
from kinowatt.models.director import FRAMES
from kinowatt.models.poser import Poser, PoserConfig, Stage


def made() -> Poser:
    torch.manual_seed(0)
    net = Poser(PoserConfig(width=32, heads=2, layers=1, text_width=16), language.VOCABULARY)
    torch.nn.init.normal_(net.outward.weight, std=0.3)
    for block in net.blocks:
        torch.nn.init.normal_(block.modulation.weight, std=0.3)  # zero at the start
    return net.eval()


def stand() -> Blocking:
    tracks, rows = torch.zeros(1, MOST, FRAMES, TRACK), torch.zeros(1, MOST, LOOKS)
    tracks[..., 2] = tracks[..., 4] = 0.2
    for k, what in enumerate((("cube", "red", "matte", False), ("cone", "blue", "metal", False), ("ball", "pink", "matte", False))):
        rows[0, k] = torch.tensor(looks(*what))
        tracks[0, k, :, 0] = torch.linspace(-0.5, 0.5, FRAMES) + 0.3 * k
    return Blocking(tracks, rows)


def told(net: Poser, words: str = "a red cube rolls", blocking: Blocking | None = None, far: float = 0.0) -> Stage:
    return net.stage(net.text.ids([language.read(words).tokens]), torch.full((1, FRAMES, TRACK), far), blocking or stand())


def test_poses_are_axes_at_right_angles_and_zeros_where_they_are_not_to_be_seen() -> None:
    net = made()
    noise, none = torch.randn(1, MOST, FRAMES, POSE), torch.zeros(1, MOST, FRAMES, dtype=torch.bool)
    drawn = net.draw(told(net), noise, torch.zeros_like(noise), none)
    z, x = drawn[0].split(3, -1)
    assert torch.allclose(z[:2].norm(dim=-1), torch.ones(2, FRAMES), atol=1e-5)
    assert torch.allclose(x[0].norm(dim=-1), torch.ones(FRAMES), atol=1e-5)
    assert torch.allclose((z[0] * x[0]).sum(-1), torch.zeros(FRAMES), atol=1e-5)
    assert not x[1].any(), "a cone is round"
    assert not drawn[0, 2:].any(), "nor a plain ball, nor what is no thing"


def test_what_is_known_stays_and_the_rest_follows_from_all_that_is_told() -> None:
    net = made()
    noise = torch.randn(1, MOST, FRAMES, POSE)
    known_BKF = torch.zeros(1, MOST, FRAMES, dtype=torch.bool)
    known_BKF[:, :, :2] = True
    axes = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 0.0]).expand(1, MOST, FRAMES, -1)
    drawn = net.draw(told(net), noise, axes, known_BKF)
    assert torch.allclose(drawn[0, 0, :2], axes[0, 0, :2])
    other = stand()
    other.tracks_BKFT[0, 0, :, 1] += 0.3
    for stage, known in ((told(net, "a blue cone falls"), axes), (told(net, blocking=other), axes), (told(net, far=1.0), axes)):
        assert float((net.draw(stage, noise, known, known_BKF) - drawn)[0, 0, 2:].abs().max()) > 1e-4
    assert torch.equal(net.draw(told(net), noise, axes, known_BKF), drawn)


def test_no_words_are_words_too_and_another_file_holds_no_poser(tmp_path: Path) -> None:
    net = made()
    noise, none = torch.randn(1, MOST, FRAMES, POSE), torch.zeros(1, MOST, FRAMES, dtype=torch.bool)
    assert bool(net.draw(told(net, ""), noise, torch.zeros_like(noise), none).isfinite().all())
    with pytest.raises(KeyError):
        poser.load({}, {})
