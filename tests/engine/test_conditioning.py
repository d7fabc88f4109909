"""Anchors to tensors, with a codec so simple that every latent can be read by eye."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.engine import conditioning
from kinowatt.errors import ShotError
from kinowatt.shot import END, OUTSIDE, START, Anchor, At

FPS = 16.0


class LastFrameCodec:
    """Latent k is the mean brightness of frame 4k, the last frame that it covers: causal, one channel, 16 x 16 pixels per latent."""

    channels = 1
    stride = (4, 16, 16)
    memoryless = False  # it is asked as if it had one

    def encode(self, frames_BCTHW: torch.Tensor) -> torch.Tensor:
        assert (frames_BCTHW.shape[2] - 1) % 4 == 0
        kept = frames_BCTHW[:, :, ::4].mean(1, keepdim=True)
        return torch.nn.functional.avg_pool3d(kept, (1, 16, 16))

    def decode(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def decode_stream(self, latents_BCFHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        raise NotImplementedError


def ramp(frames: int, first: int = 0) -> Clip:
    """Frame i has the grey value first + i everywhere."""
    grey = (first + np.arange(frames, dtype=np.uint8))[:, None, None, None]
    return Clip(np.broadcast_to(grey, (frames, 3, 32, 32)).copy(), fps=FPS)


def grey(latents: torch.Tensor) -> list[int]:
    """The grey value that each latent holds."""
    return [round(float(v + 1) * 127.5) for v in latents[0, 0, :, 0, 0]]


def place(clip: Clip, at: At, strength: float = 1.0, frames: int = 33) -> conditioning.Known:
    return conditioning.build([Anchor(clip, at, strength)], LastFrameCodec(), frames, 32, 32, FPS)


def test_no_anchor_leaves_all_free() -> None:
    known = conditioning.build([], LastFrameCodec(), 33, 32, 32, FPS)
    assert known.ceiling_1F.tolist() == [[1.0] * 9]
    assert known.latents_1CFHW.shape == (1, 1, 9, 2, 2)


def test_start_takes_whole_latents_only() -> None:
    known = place(ramp(11), START)
    assert known.ceiling_1F[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert grey(known.latents_1CFHW)[:3] == [0, 4, 8]
    assert [(s, a.clip.frames) for s, a in conditioning.placed([Anchor(ramp(11), START)], 33, FPS)] == [(0, 11)]


def test_image_at_the_end_fills_the_last_latent() -> None:
    known = place(ramp(1, first=200), END)
    assert known.ceiling_1F[0].tolist() == [1] * 8 + [0]
    assert grey(known.latents_1CFHW)[-1] == 200
    assert [(s, a.clip.frames) for s, a in conditioning.placed([Anchor(ramp(1), END)], 33, FPS)] == [(32, 1)]


def test_footage_at_the_end_is_aligned() -> None:
    known = place(ramp(9, first=100), END)
    assert known.ceiling_1F[0].tolist() == [1] * 7 + [0, 0]
    assert grey(known.latents_1CFHW)[-2:] == [104, 108]


def test_footage_in_the_middle() -> None:
    known = place(ramp(12, first=50), 0.625)  # frames 10..21: latents 4 (13..16) and 5 (17..20) are whole
    assert known.ceiling_1F[0].tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 1]
    assert grey(known.latents_1CFHW)[4:6] == [50 + 6, 50 + 10]


def test_a_codec_without_memory_takes_every_latent_whose_frame_is_given() -> None:
    codec = LastFrameCodec()
    codec.memoryless = True
    for clip, at, taken, first in ((ramp(9, first=100), END, [6, 7, 8], 100), (ramp(12, first=50), 0.625, [3, 4, 5], 52)):
        known = conditioning.build([Anchor(clip, at)], codec, 33, 32, 32, FPS)
        assert known.ceiling_1F[0].tolist() == [float(k not in taken) for k in range(9)]
        assert [grey(known.latents_1CFHW)[k] for k in taken] == [first, first + 4, first + 8]


def test_edit_covers_every_latent_it_touches() -> None:
    known = place(ramp(30), START, strength=0.6)
    assert known.ceiling_1F[0].tolist() == pytest.approx([0.4] * 9)
    assert grey(known.latents_1CFHW)[-1] == 29


def test_the_firmer_anchor_counts() -> None:
    anchors = [Anchor(ramp(33), START, 0.5), Anchor(ramp(1, first=90), START)]
    known = conditioning.build(anchors, LastFrameCodec(), 33, 32, 32, FPS)
    assert known.ceiling_1F[0].tolist() == [0.0] + [0.5] * 8
    assert grey(known.latents_1CFHW)[0] == 90


def test_an_anchor_longer_than_the_shot_is_cut_at_the_far_side() -> None:
    assert grey(place(ramp(40), START, frames=9).latents_1CFHW) == [0, 4, 8]
    assert grey(place(ramp(40), END, frames=9).latents_1CFHW) == [31, 35, 39]


def test_given_pixels_come_back_exactly() -> None:
    out = np.zeros((33, 3, 32, 32), np.uint8)
    given = [Anchor(ramp(5, first=30), END), Anchor(ramp(33, first=7), START, 0.5)]
    conditioning.paste_back(out, conditioning.placed(given, 33, FPS))
    assert np.array_equal(out[-5:], ramp(5, first=30).frames_TCHW)
    assert not out[:-5].any()


def test_a_reference_outside_of_time_is_seen_and_not_counted() -> None:
    known = conditioning.build([Anchor(ramp(1, first=9), START), Anchor(ramp(30, first=60), OUTSIDE)], LastFrameCodec(), 33, 32, 32, FPS)
    assert known.outside == 3
    assert known.ceiling_1F[0].tolist() == [0.0] + [1.0] * 8 + [0.0] * 3
    assert grey(known.latents_1CFHW)[9:] == [70, 74, 78]  # nine frames from its middle
    assert conditioning.placed([Anchor(ramp(1), OUTSIDE)], 33, FPS) == []


def test_time_goes_on_from_latents_where_they_are_known() -> None:
    own = torch.linspace(-1, 1, 9).reshape(1, 9, 1, 1).expand(1, 9, 2, 2).numpy()  # a clip of 33 frames; its last 9 are the anchor
    known = conditioning.build([Anchor(ramp(9), START, latents_CFHW=own)], LastFrameCodec(), 33, 32, 32, FPS)
    assert known.latents_1CFHW[0, 0, :3, 0, 0].tolist() == pytest.approx([-1.0, 0.75, 1.0])  # frame 0 encoded anew, then its own
    whole = conditioning.build([Anchor(ramp(33), START, latents_CFHW=own)], LastFrameCodec(), 65, 32, 32, FPS)
    np.testing.assert_allclose(whole.latents_1CFHW[0, 0, :9, 0, 0], np.linspace(-1, 1, 9), atol=1e-6)
    with pytest.raises(ShotError, match="another size"):
        conditioning.build([Anchor(ramp(9), START, latents_CFHW=own[:, :, :1])], LastFrameCodec(), 33, 32, 32, FPS)


def test_bad_places() -> None:
    with pytest.raises(ShotError, match="after the end"):
        place(ramp(1), 3.0)
    with pytest.raises(ShotError, match="fitted"):
        conditioning.build([Anchor(ramp(1))], LastFrameCodec(), 33, 64, 64, FPS)
    with pytest.raises(ShotError, match="33 would"):
        conditioning.build([], LastFrameCodec(), 34, 32, 32, FPS)


def test_pixels_survive_the_signal() -> None:
    frames = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, 1)
    assert np.array_equal(conditioning.to_frames(conditioning.to_signal(frames)), frames)


def test_what_the_codec_loses_of_given_pixels_fades_into_the_frames_beside_them() -> None:
    dice = np.random.default_rng(0)
    real = dice.integers(60, 200, (1, 3, 32, 32)).repeat(33, 0).astype(np.uint8)  # stands still, full of details
    coded = (real.astype(int) // 32 * 32 + 10).astype(np.uint8)
    given = conditioning.placed([Anchor(Clip(real[:9], fps=FPS), START), Anchor(Clip(real[:9], fps=FPS), END)], 33, FPS)
    made = coded.copy()
    conditioning.hand_over(made, given)

    def off(frame: int) -> float:
        return float(np.abs(made[frame].astype(int) - real[frame]).mean())

    np.testing.assert_array_equal(made[:9], coded[:9])  # that is what pasting is for
    assert off(9) < 1
    assert off(23) < 1
    assert all(off(t) <= off(t + 1) + 0.5 for t in range(9, 14)), "less and less with time"
    moved = coded.copy()
    moved[9:24] = 255 - coded[9:24]  # all is in another place: details of the past would be ghosts
    before = moved[12].astype(float)
    conditioning.hand_over(moved, given)
    assert np.abs((moved[12] - before) - (moved[12] - before).mean()).mean() < 3
    soft = coded.copy()
    conditioning.hand_over(soft, conditioning.placed([Anchor(Clip(real[:9], fps=FPS), START, 0.5)], 33, FPS))
    np.testing.assert_array_equal(soft, coded)
