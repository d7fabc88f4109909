"""Latents of a block come twice, as rendered and mirrored, with truth that fits; captions never repeat; spark's loss sees all of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kinowatt import language
from kinowatt.errors import WeightsError
from kinowatt.models import falls, vae, weights
from kinowatt.models.blocking import COLORS, MOST, POSE, TRACK, Blocking, looks
from kinowatt.models.dit import DITS
from kinowatt.models.painter import BACKDROP_CHANNELS, Painter, PainterConfig
from kinowatt.models.steering import ray_maps
from kinowatt.models.text import TextConfig, TextEncoder
from kinowatt.train import painter as train_painter
from kinowatt.train import spark
from kinowatt.train.data import HELD_OUT, Block, Bucket, bucket_of
from kinowatt.train.latents import LatentStore, close_look, in_color, latent_block, mirrored_cameras, repainted
from kinowatt.train.painter import PainterTask
from kinowatt.train.recipes import RECIPES
from kinowatt.train.spark import Spark
from kinowatt.worlds.toybox import camera, physics, scene
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.scene import Subject
from kinowatt.worlds.toybox.seen import Seen

BUCKET = Bucket(32, 32, 1, frames=9)


def block() -> Block:
    """Two clips of the bucket as they are rendered: half of the size, every fourth frame."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 3, 3, 16, 16), dtype=np.uint8)
    ids = np.zeros((2, 3, 16, 16), np.uint8)
    ids[0, 1, 2:8, 8:16] = 1
    u = np.linspace(0, 1, 9)[:, None]
    rows = camera._rows(np.hstack([u, -3 + 0 * u, 1 + 0 * u]), np.hstack([0 * u, 0 * u, 0.4 + 0 * u]), np.full(9, 3.0))[::4]
    seen = Seen((Thing("ball", "red", "matte", 0.3),), "roll", "left", None, {"move": "pan-left", "time": "noon"})
    motion = physics.simulate(scene.sample(3, event="roll", subjects=(Subject("ball", "red", "matte", 0.3),)), 9, 16.0).every(4)
    focus = np.array([3.0, 3.0], np.float32)
    lights = np.array([[0.6, 0.0, 0.8], [0.0, 0.8, 0.6]], np.float32)
    snow = np.array([falls.numbers("snowfall", 7.0, (0.02, 0.0)), falls.numbers("clear", 8.0, (0.02, 0.0))], np.float32)
    return Block(frames, ids, (seen, dataclasses.replace(seen, things=())), np.stack([rows, rows]), focus, (motion, motion), lights, snow)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LatentStore:
    from kinowatt.train import latents

    monkeypatch.setattr(latents, "render_block", lambda *_: block())
    torch.manual_seed(0)
    path = latent_block(tmp_path, 0, BUCKET)
    assert latent_block(tmp_path, 0, BUCKET) == path, "what is there is not made again"
    return LatentStore([path], TextEncoder(TextConfig(language.VOCABULARY, width=64)))


def test_mirrored_clips_have_mirrored_words(store: LatentStore) -> None:
    assert store.clips == 4
    (shelf,) = store._shelves.values()
    assert [s.heading for s in shelf.seen] == ["left", "left", "right", "right"]
    assert shelf.seen[2].fields["move"] == "pan-right"
    assert shelf.latents.shape == (4, 48, 3, 2, 2)
    assert shelf.looks.shape == (4, 48, 1, 2, 2)
    assert shelf.tracks.shape == (4, MOST, 3, TRACK)
    assert torch.allclose(shelf.tracks[2, :, :, 0], -shelf.tracks[0, :, :, 0])
    assert shelf.things[:, :, 0].sum(1).tolist() == [1, 1, 1, 1]
    assert torch.allclose(shelf.ways[2, :, 3], -shelf.ways[0, :, 3])
    assert shelf.poses.shape == (4, MOST, 3, POSE)
    assert shelf.lights.tolist() == [pytest.approx(v) for v in ([0.6, 0, 0.8], [0, 0.8, 0.6], [-0.6, 0, 0.8], [0, 0.8, 0.6])]
    drawn = store.draw(3, torch.Generator().manual_seed(0), window=2).blocking
    assert drawn.poses_BKFP is not None
    assert drawn.poses_BKFP.shape == (3, MOST, 2, POSE)


def test_what_falls_goes_by_the_scenes_clock_also_where_it_is_mirrored(store: LatentStore) -> None:
    (shelf,) = store._shelves.values()
    assert shelf.falls[:, falls.CLOCK].tolist() == [7.0, 8.0, 7.0, 8.0]
    assert shelf.falls[:, falls.CLOCK + 3].tolist() == [1.0, 1.0, -1.0, -1.0]
    told = store.draw(16, torch.Generator().manual_seed(0), window=2).views.falls_BFN
    assert told is not None
    snow = told[told[:, 0, 1] > 0][..., falls.CLOCK]
    assert set(snow[:, 0].tolist()) == {7.0, 7.25}, "from where in the clip the window begins"
    assert torch.equal(snow[:, 1], snow[:, 0] + 0.25)


def test_files_of_before_are_to_be_made_anew(store: LatentStore, tmp_path: Path) -> None:
    (path,) = tmp_path.glob("latents-*")
    tensors, config = weights.load(path)
    weights.save(path, {k: v for k, v in tensors.items() if k != "poses"}, config)
    with pytest.raises(WeightsError, match=r"was made by an older kinowatt; delete .*, and training makes all of it anew"):
        LatentStore([path], None)


def test_every_draw_has_other_words(store: LatentStore) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat([store.draw(32, generator).rows_BL for _ in range(4)])
    assert len(rows.unique(dim=0)) > 30
    again = store.draw(32, torch.Generator().manual_seed(7))
    assert torch.equal(again.rows_BL, store.draw(32, torch.Generator().manual_seed(7)).rows_BL)
    assert again.rays_BCFHW.shape == (32, 7, 3, 2, 2)


def test_parts_of_clips_are_drawn_from_anywhere(store: LatentStore) -> None:
    (shelf,) = store._shelves.values()
    generator, found = torch.Generator().manual_seed(0), set()
    for window, count in ((None, 3), (9, 3), (2, 2), (1, 1)):
        for _ in range(8):
            drawn = store.draw(5, generator, window=window)
            assert drawn.clean_BCFHW.shape == (5, 48, count, 2, 2)
            assert drawn.rays_BCFHW.shape == (5, 7, count, 2, 2)
            parts = [(k, c[:, k : k + count]) for c in shelf.latents for k in range(4 - count)]
            for clip in drawn.clean_BCFHW:
                found |= {(count, k) for k, part in parts if torch.equal(part, clip)}
    assert found == {(3, 0), (2, 0), (2, 1), (1, 0), (1, 1), (1, 2)}


def test_what_a_director_tells_begins_where_its_window_does(store: LatentStore) -> None:
    told = store.told(16, torch.Generator().manual_seed(0), 2)
    assert told.blocking.tracks_BKFT.shape == (16, MOST, 2, TRACK)
    assert not told.ways_BFT[:, 0, [0, 1, 3]].any()
    assert told.ways_BFT[:, 1, 1].abs().min() > 0.05, "the camera goes sideways"
    assert torch.equal(told.aspect_B, torch.ones(16))
    held = store.told(4, torch.Generator().manual_seed(0), 9)
    assert torch.equal(held.blocking.tracks_BKFT[:, :, 3:], held.blocking.tracks_BKFT[:, :, 2:3].expand(-1, -1, 6, -1))


def test_blocks_have_a_bucket_by_lot() -> None:
    buckets = (Bucket(32, 32, 1, frames=9), Bucket(48, 32, 1, frames=17))
    assert {bucket_of(b, buckets).frames for b in range(20)} == {9, 17}
    assert bucket_of(HELD_OUT, buckets) == bucket_of(HELD_OUT, buckets)


def test_a_mirrored_camera_sees_the_mirrored_picture() -> None:
    rows = block().cameras_NT44
    one, other = (ray_maps(torch.from_numpy(r[0]), 3.0, 4, 6, stride=1) for r in (rows, mirrored_cameras(rows)))
    assert torch.allclose(other[0], -one[0].flip(-1), atol=1e-5)
    assert torch.allclose(other[1:3], one[1:3].flip(-1), atol=1e-5)
    assert torch.allclose(other[3], -one[3], atol=1e-5)
    assert torch.allclose(other[4:6], one[4:6], atol=1e-5)


def test_a_close_look_is_at_the_thing() -> None:
    made = block()
    made.frames_NTCHW[0, 1] = 0
    made.frames_NTCHW[0, 1, :, 2:8, 8:16] = 255
    look = close_look(made, 0)
    assert look.shape == (1, 3, 16, 16)
    assert look.mean() > 80, "the thing fills the picture"
    assert close_look(made, 1).shape == (1, 3, 16, 16)


@torch.no_grad()
def test_weights_of_a_smaller_lexicon_and_of_no_steering_go_on() -> None:
    torch.manual_seed(0)
    sizes = dataclasses.replace(DITS["xs"], layers=1, heads=1, text_dim=64)
    old = Spark(dataclasses.replace(sizes, in_channels=48, blocking=0), TextConfig(language.VOCABULARY[:50], width=64, layers=1))
    new = Spark(sizes, TextConfig(language.VOCABULARY, width=64, layers=1))
    new.start(old.state_dict(), {"text": old.text.config.to_json(), "dit": {"layers": 1}})
    x, level = torch.randn(1, 48, 2, 4, 4), torch.rand(1, 2)
    known = [language.VOCABULARY[3], language.VOCABULARY[20], "~unheard"]
    before = old(x, level, old.text.ids([known]))
    after = new(torch.cat([x, torch.zeros(1, sizes.in_channels - 48, 2, 4, 4)], 1), level, new.text.ids([known]))
    assert torch.allclose(before, after, atol=1e-5)
    wider = Spark(dataclasses.replace(sizes, heads=2), TextConfig(language.VOCABULARY, width=64))
    with pytest.raises(WeightsError, match="do not fit"):
        wider.start(old.state_dict(), {"text": {"vocabulary": []}, "dit": {"layers": 1}})


@torch.no_grad()
def test_weights_of_fewer_blocks_go_on_in_a_deeper_network() -> None:
    torch.manual_seed(0)
    sizes = dataclasses.replace(DITS["xs"], layers=2, heads=1, text_dim=64)
    text = TextConfig(language.VOCABULARY, width=64, layers=1)
    old, new = Spark(sizes, text), Spark(dataclasses.replace(sizes, layers=4), text)
    for network in (old, new):  # gates and output are zero at the start, which would hide all the rest
        torch.nn.init.normal_(network.dit.condition_embedder.time_proj.weight, std=0.1)
        torch.nn.init.normal_(network.dit.proj_out.weight, std=0.1)
    new.start(old.state_dict(), {"text": text.to_json(), "dit": {"layers": 2}})
    x, level, ids = torch.randn(1, sizes.in_channels, 2, 4, 4), torch.rand(1, 2), old.text.ids([language.VOCABULARY[:3]])
    assert torch.allclose(new(x, level, ids), old(x, level, ids), atol=1e-5)
    assert torch.equal(new.dit.blocks[2].attn1.to_q.weight, old.dit.blocks[1].attn1.to_q.weight)
    torch.nn.init.normal_(new.dit.blocks[1].ffn.net[2].weight)
    assert not torch.allclose(new(x, level, ids), old(x, level, ids), atol=1e-2)


def test_a_painter_that_was_told_less_goes_on(store: LatentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_painter, "stores", lambda *_: (store, store))
    task = PainterTask(RECIPES["tiny"], tmp_path, torch.device("cpu"), 0.0)
    torch.nn.init.normal_(task.model.things.outward.weight)
    less = {k: v[:, :-2] if k == "things.layers.0.weight" else v for k, v in task.model.state_dict().items()}
    task.model.load_state_dict(less | {"things.layers.0.weight": F.pad(less["things.layers.0.weight"], (0, 2))})
    with torch.no_grad():
        before, _ = task.loss(0)
    weights.save(tmp_path / "painter.safetensors", less, {"vocabulary": list(language.VOCABULARY), "total_J": 7.0})
    new = PainterTask(RECIPES["tiny"], tmp_path, torch.device("cpu"), 0.0)
    assert new.start(tmp_path) == 7.0
    with torch.no_grad():
        after, _ = new.loss(0)
    torch.testing.assert_close(after, before)
    weights.save(tmp_path / "painter.safetensors", less, {"vocabulary": ["ball"], "total_J": 7.0})
    with pytest.raises(WeightsError, match="its words are others"):
        new.start(tmp_path)
    more = less | {"things.layers.0.weight": F.pad(less["things.layers.0.weight"], (0, 3))}
    weights.save(tmp_path / "painter.safetensors", more, {"vocabulary": list(language.VOCABULARY), "total_J": 7.0})
    with pytest.raises(WeightsError, match="it is told more"):
        new.start(tmp_path)


def test_pictures_are_single_frames_with_what_stands_in_them(store: LatentStore) -> None:
    latents, blocking = store.pictures(16, torch.Generator().manual_seed(0))
    assert latents.shape == (16, 48, 1, 2, 2)
    assert blocking.tracks_BKFT.shape == (16, MOST, 1, TRACK)
    shelf = next(iter(store._shelves.values()))
    for picture, tracks in zip(latents[:, :, 0], blocking.tracks_BKFT[:, :, 0], strict=True):
        clip, frame = ((shelf.latents == picture[None, :, None]).all(1).all(-1).all(-1)).nonzero()[0].tolist()
        assert torch.equal(shelf.tracks[clip, :, frame], tracks)


def test_things_of_one_colour_are_told_as_such() -> None:
    pair = Seen((Thing("ball", "red"), Thing("ball", "blue"), Thing("turbine", None)), None, None, None, {})
    painted = repainted(pair, "green")
    assert painted is not None
    assert [thing.color for thing in painted.things] == ["green", "green", None]
    assert repainted(Seen(pair.things[1:], None, None, None, {}), "green") is None, "one thing is of one colour anyway"
    kept = Seen((Thing("cone", "red"), Thing("ball", "blue")), None, None, None, {})
    assert repainted(kept, "purple") is None, "no training sees a purple cone"
    assert repainted(kept, "green") is not None
    rows = torch.tensor([looks(t.kind, t.color, t.material, striped=False) for t in pair.things])
    wanted = torch.tensor([looks(t.kind, t.color, t.material, striped=False) for t in painted.things])
    assert torch.equal(in_color(rows, COLORS.index("green")), wanted)


def test_where_things_stand_counts_more() -> None:
    tracks = torch.zeros(1, 1, 2, TRACK)
    tracks[..., :5] = torch.tensor([0.5, 0.5, 0.2, 0.0, 0.2])
    there = Blocking(tracks, torch.tensor([[looks("ball", "red", "matte", striped=False)]]))
    falls = torch.zeros(1, 48, 2, 4, 4)
    counts = vae.unfold(spark.weights_of(there, falls, 4.0, 1.0))
    assert counts.shape == (1, 2, 3, 16, 16)
    assert counts[0, 1, 2, 4, 12] == pytest.approx(4.0, abs=0.1), "up to the right"
    assert counts[0, 1, 2, 12, 4] == pytest.approx(1.0, abs=0.01)
    nothing = there.only(torch.zeros(1))
    assert torch.equal(spark.weights_of(nothing, falls, 4.0, 1.0), torch.ones(1, 48, 2, 4, 4))
    falls[0, 5, 1, 2, 3] = 0.5
    rained = spark.weights_of(nothing, falls, 4.0, 1.0)
    assert rained[0, 5, 1, 2, 3] == 1.0 + 0.5 * spark.OF_FALLS, "rain is faint, and counts"
    assert rained.sum() == rained.numel() + 0.5 * spark.OF_FALLS
    assert not spark.weights_of(nothing, falls, 4.0, 0.0).any(), "where things alone are asked for"


@torch.no_grad()
def test_clips_of_which_frames_are_given_see_them_as_their_place(store: LatentStore) -> None:
    torch.manual_seed(0)
    paints = Painter(PainterConfig(width=16, layers=2, thing_width=16, thing_layers=2, text_width=64), language.VOCABULARY).eval()
    draw = store.draw(3, torch.Generator().manual_seed(2))
    draw = dataclasses.replace(draw, told_B=torch.tensor([True, False, True]))
    nothing = dataclasses.replace(draw, blocking=draw.blocking.only(torch.zeros(3)))
    given = torch.tensor([True, False, False])
    for b in range(3):
        full, empty = spark.as_footage_shows(paints, nothing, nothing.blocking, b, given)
        assert full.shape == (BACKDROP_CHANNELS, 3, 2, 2)
        assert torch.equal(full, empty), "nothing stands there"
        torch.testing.assert_close(full[:48, 0], draw.clean_BCFHW[b, :, 0].float())
        full, empty = spark.as_footage_shows(paints, draw, draw.blocking, b, given)
        assert torch.equal(full, empty) == (b == 1), "where it is not told, it is not to be seen"


@pytest.mark.usefixtures("quietly")
def test_a_lesson_shows_what_a_take_is_shown(store: LatentStore) -> None:
    torch.manual_seed(0)
    paints = Painter(PainterConfig(width=16, layers=2, thing_width=16, thing_layers=2, text_width=64), language.VOCABULARY).eval()
    task = spark.SparkTask.__new__(spark.SparkTask)
    task.painter, task.device = paints, torch.device("cpu")
    draw = store.draw(64, torch.Generator().manual_seed(2))
    lesson = task._lesson(draw, torch.Generator().manual_seed(3))
    ceiling, _ = lesson.anchored
    there = lesson.backdrop_BCFHW[:, -1].flatten(1).amax(1) > 0
    edits = ((ceiling > 0) & (ceiling < 1)).all(1)
    assert int(edits.sum()) > 0
    assert not there[edits].any(), "edits have no backdrop"
    footage = (ceiling == 0).any(1) & there
    assert int(footage.sum()) > 5
    for b in footage.nonzero()[:, 0].tolist():
        at = int((ceiling[b] == 0).nonzero()[0])
        off = (lesson.empty_BCFHW[b, :48, at] - lesson.clean_BCFHW[b, :, at]).abs()
        assert float(off.median()) < 1e-3, "the place is the footage's"
    words = there & (ceiling == 1).all(1)
    painted = paints.paint(draw.views, draw.words_BL, 2, 2)
    dry = words & (draw.falls_BFN[:, 0, 1] == 0)
    torch.testing.assert_close(lesson.empty_BCFHW[dry], painted[dry])
    assert lesson.falls_BCFHW[draw.falls_BFN[:, 0, 1] == 0].abs().max() == 0
    at = lesson.noised(RECIPES["tiny"], torch.Generator().manual_seed(4))
    assert torch.equal(at.level_BF == 0, ceiling == 0)
