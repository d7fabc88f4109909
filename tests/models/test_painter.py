"""A painter paints every pixel from its ray and the words alone, and a backdrop is folded as latents are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from kinowatt import language
from kinowatt.errors import WeightsError
from kinowatt.models import painter, vae, weights
from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.painter import BACKDROP, BACKDROP_CHANNELS, Painter, PainterConfig
from kinowatt.worlds.toybox import camera


def made() -> Painter:
    torch.manual_seed(0)
    paints = Painter(PainterConfig(width=16, layers=2, text_width=32), language.VOCABULARY)
    torch.nn.init.normal_(paints.outward.weight)
    return paints.eval()


def cameras(move: str) -> tuple[torch.Tensor, torch.Tensor]:
    path = camera.named(move, "medium", 35.0, "eye", 33, 1.0)
    return torch.from_numpy(path.rows_T44[::4])[None], torch.tensor([path.distance_m])


@torch.no_grad()
def test_a_backdrop_is_folded_and_says_that_it_is_there() -> None:
    paints = made()
    rows, focus = cameras("orbit-left")
    ids = paints.text.ids([language.read("a ball on grass").tokens])
    backdrop = paints.paint(rows, focus, ids, 3, 4)
    assert backdrop.shape == (1, BACKDROP_CHANNELS, 9, 3, 4)
    colours, there = backdrop.split([vae.COLOURS * vae.SMALL**2, vae.SMALL**2], 1)
    assert bool((there == 1).all())
    assert BACKDROP_CHANNELS == BACKDROP * vae.SMALL**2
    pixels = painter.told(rows[:, 4:5], focus, 12, 16)[:, :, 0].flatten(2).transpose(1, 2)
    own = paints(pixels, ids).transpose(1, 2).unflatten(2, (12, 16))
    torch.testing.assert_close(vae.unfold(colours)[:, 4], own)


@torch.no_grad()
def test_words_and_cameras_change_what_is_painted_and_no_words_are_words_too() -> None:
    paints = made()
    (still, focus), (moved, _) = cameras("static"), cameras("pan-left")
    ids = paints.text.ids([language.read(words).tokens for words in ("a ball on grass", "a ball on snow", "")])
    grass, snow, nothing = (paints.paint(still, focus, row[None], 4, 4) for row in ids)
    assert float((grass - snow).abs().max()) > 0.05
    assert bool(nothing.isfinite().all())
    assert torch.equal(grass[:, :, 0], grass[:, :, 8])
    panned = paints.paint(moved, focus, ids[:1], 4, 4)
    assert float((panned[:, :, 0] - panned[:, :, 8]).abs().max()) > 0.05


def test_another_file_holds_no_painter(tmp_path: Path) -> None:
    weights.save(tmp_path / "painter.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="holds no painter; train one with kinowatt train painter"):
        painter.of(tmp_path / "painter.safetensors")


@torch.no_grad()
def test_what_is_behind_is_let_through_by_as_much_as_a_token_says() -> None:
    torch.manual_seed(0)
    dit = VideoDiT(dataclasses.replace(DITS["xs"], layers=1, heads=1)).eval()
    assert dit.behind is not None
    for p in dit.parameters():
        p.normal_(0, 0.05)
    dit.behind.weight.zero_()
    dit.behind.bias.zero_()
    x, level, text = torch.randn(1, dit.config.in_channels, 2, 4, 6), torch.rand(1, 2), torch.randn(1, 3, dit.config.text_dim)
    nothing = dit(x, level, text)
    dit.behind.bias.fill_(0.75)
    colours = x[:, -BACKDROP_CHANNELS:][:, : vae.COLOURS * vae.SMALL**2]
    torch.testing.assert_close(dit(x, level, text), nothing - 0.75 * colours)
    dit.behind.weight.normal_()
    through = (dit(x, level, text) - nothing) / colours
    torch.testing.assert_close(through, through[:, :1].expand_as(through), atol=1e-3, rtol=1e-3)
    assert float(through.std(dim=(2, 3, 4)).min()) > 0.05, "each token by another share"
