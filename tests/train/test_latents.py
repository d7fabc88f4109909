"""Latents of a block come twice, as rendered and mirrored, with truth that fits; captions never repeat; spark's loss sees all of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt import language
from kinowatt.errors import WeightsError
from kinowatt.models.dit import DITS
from kinowatt.models.steering import ray_maps
from kinowatt.models.text import TextConfig, TextEncoder
from kinowatt.models.vae import CODECS, VideoCodec
from kinowatt.train.data import HELD_OUT, STILLS, Block, Bucket, bucket_of
from kinowatt.train.latents import LatentStore, close_look, latent_block, mirrored_cameras
from kinowatt.train.spark import Spark
from kinowatt.worlds.toybox import camera
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.seen import Seen

BUCKET = Bucket(32, 32, 1, frames=9)


def block() -> Block:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 9, 3, 32, 32), dtype=np.uint8)
    ids = np.zeros((2, 9, 32, 32), np.uint8)
    ids[0, 3, 4:10, 20:28] = 1
    u = np.linspace(0, 1, 9)[:, None]
    rows = camera._rows(np.hstack([u, -3 + 0 * u, 1 + 0 * u]), np.hstack([0 * u, 0 * u, 0.4 + 0 * u]), np.full(9, 3.0))
    seen = Seen((Thing("ball", "red", "matte", 0.3),), "roll", "left", None, {"move": "pan-left", "time": "noon"})
    return Block(frames, ids, (seen, dataclasses.replace(seen, things=())), np.stack([rows, rows]), np.array([3.0, 3.0], np.float32))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LatentStore:
    from kinowatt.train import latents

    monkeypatch.setattr(latents, "raw_block", lambda *_: block())
    torch.manual_seed(0)
    codec = VideoCodec(CODECS["light"]).eval()
    path = latent_block(None, tmp_path, codec, 0, BUCKET)
    assert latent_block(None, tmp_path, codec, 0, BUCKET) == path, "what is there is not made again"
    return LatentStore([path], TextEncoder(TextConfig(language.VOCABULARY, width=64)))


def test_mirrored_clips_have_mirrored_words(store: LatentStore) -> None:
    assert store.clips == 4
    (shelf,) = store._shelves.values()
    assert [s.heading for s in shelf.seen] == ["left", "left", "right", "right"]
    assert shelf.seen[2].fields["move"] == "pan-right"
    assert shelf.latents.shape == (4, 48, 3, 2, 2)
    assert shelf.looks.shape == (4, 48, 1, 2, 2)


def test_every_draw_has_other_words(store: LatentStore) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat([store.draw(32, generator).rows_BL for _ in range(4)])
    assert len(rows.unique(dim=0)) > 30
    again = store.draw(32, torch.Generator().manual_seed(7))
    assert torch.equal(again.rows_BL, store.draw(32, torch.Generator().manual_seed(7)).rows_BL)
    assert again.rays_BCFHW.shape == (32, 7, 3, 2, 2)


def test_stills_are_drawn_apart_from_clips(store: LatentStore) -> None:
    (shelf,) = store._shelves.values()
    store._shelves[1, 2, 2] = dataclasses.replace(shelf, latents=shelf.latents[:, :, :1], cameras=shelf.cameras[:, :1])
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        assert store.draw(3, generator).clean_BCFHW.shape == (3, 48, 3, 2, 2)
        assert store.draw_stills(5, generator).clean_BCFHW.shape == (5, 48, 1, 2, 2)


def test_blocks_of_stills_have_one_frame() -> None:
    buckets = (Bucket(32, 32, 1, frames=9), Bucket(48, 32, 1, frames=17))
    assert {bucket_of(b, buckets).frames for b in range(20)} == {9, 17}
    assert {(k.width, k.frames) for k in (bucket_of(STILLS + b, buckets) for b in range(20))} == {(32, 1), (48, 1)}
    assert bucket_of(HELD_OUT, buckets).frames > 1


def test_a_mirrored_camera_sees_the_mirrored_picture() -> None:
    rows = block().cameras_NT44
    one, other = (ray_maps(torch.from_numpy(r[0]), 3.0, 4, 6) for r in (rows, mirrored_cameras(rows)))
    assert torch.allclose(other[0], -one[0].flip(-1), atol=1e-5)
    assert torch.allclose(other[1:3], one[1:3].flip(-1), atol=1e-5)
    assert torch.allclose(other[3], -one[3], atol=1e-5)
    assert torch.allclose(other[4:6], one[4:6], atol=1e-5)


def test_a_close_look_is_at_the_thing() -> None:
    made = block()
    made.frames_NTCHW[0, 3] = 0
    made.frames_NTCHW[0, 3, :, 4:10, 20:28] = 255
    look = close_look(made, 0)
    assert look.shape == (1, 3, 32, 32)
    assert look.mean() > 80, "the thing fills the picture"
    assert close_look(made, 1).shape == (1, 3, 32, 32)


@torch.no_grad()
def test_weights_of_a_smaller_lexicon_and_of_no_steering_go_on() -> None:
    torch.manual_seed(0)
    sizes = dataclasses.replace(DITS["xs"], layers=1, heads=1, text_dim=64)
    old = Spark(dataclasses.replace(sizes, in_channels=48), TextConfig(language.VOCABULARY[:50], width=64, layers=1))
    new = Spark(sizes, TextConfig(language.VOCABULARY, width=64, layers=1))
    new.start(old.state_dict(), {"text": old.text.config.to_json()})
    x, level = torch.randn(1, 48, 2, 4, 4), torch.rand(1, 2)
    known = [language.VOCABULARY[3], language.VOCABULARY[20], "~unheard"]
    before = old(x, level, old.text.ids([known]))
    after = new(torch.cat([x, torch.zeros(1, 8, 2, 4, 4)], 1), level, new.text.ids([known]))
    assert torch.allclose(before, after, atol=1e-5)
    wider = Spark(dataclasses.replace(sizes, heads=2), TextConfig(language.VOCABULARY, width=64))
    with pytest.raises(WeightsError, match="do not fit"):
        wider.start(old.state_dict(), {"text": {"vocabulary": []}})


@torch.no_grad()
def test_weights_of_a_network_with_larger_tokens_go_on() -> None:
    torch.manual_seed(0)
    sizes = dataclasses.replace(DITS["xs"], layers=1, heads=1, text_dim=64)
    text = TextConfig(language.VOCABULARY, width=64, layers=1)
    old, new = Spark(dataclasses.replace(sizes, patch=(1, 2, 2)), text), Spark(sizes, text)
    torch.nn.init.normal_(old.dit.proj_out.weight)
    old.dit.patch_embedding.weight.copy_(old.dit.patch_embedding.weight[..., :1, :1])  # all latents of a token weigh alike
    new.start(old.state_dict(), {"text": text.to_json()})
    noise = torch.randn(64, sizes.in_channels, 1, 4, 4)
    before, after = (float((n.dit.patch_embedding(noise) - n.dit.patch_embedding.bias[:, None, None, None]).std()) for n in (old, new))
    assert after == pytest.approx(before, rel=0.05), "noise comes in as strong as before"
    hidden = torch.randn(3, sizes.width)
    cells = old.dit.proj_out(hidden).view(3, 4, 48)
    assert torch.allclose(new.dit.proj_out(hidden), cells.mean(1), atol=1e-5), "every latent is its token's average one"
