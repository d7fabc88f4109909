"""The observer: what it finds in maps, what it joins over frames into things, and that training teaches it to find."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinowatt.models import observer, vae
from kinowatt.models.blocking import COLORS, KINDS, LOOKS, MATERIALS, MOST, TRACK, Blocking, looks, paint
from kinowatt.models.director import plain
from kinowatt.models.observer import MAPS, Found, Observer, ObserverConfig, joined, looked_at, named, places
from kinowatt.train.observer import middles

RED, BLUE = looks("ball", "red", "matte", False), looks("cube", "blue", "glossy", True)


def seen(*things: tuple[float, float, list[float]]) -> Found:
    tracks = torch.tensor([[x, y, 0.2, 0.0, 0.2, 0.0] for x, y, _ in things]).view(-1, TRACK)
    said = torch.tensor([row[1:] for _, _, row in things]).view(-1, LOOKS - 1)
    return Found(tracks, said * 0.8 + 0.1, torch.ones(len(things)))


def test_a_thing_is_joined_as_it_moves() -> None:
    frames = [seen((-0.3, 0.0, RED), (0.3, 0.1, BLUE)), seen((0.2, 0.1, BLUE), (-0.1, 0.0, RED)), seen((0.1, 0.0, RED), (0.1, 0.1, BLUE))]
    blocking, known = joined(frames)
    assert blocking.tracks_BKFT.shape == (1, MOST, 3, TRACK)
    assert known.sum(1).tolist() == [3, 3, *[0] * (MOST - 2)]
    red = next(k for k in range(2) if blocking.looks_BKL[0, k, 1 + COLORS.index("red")])
    assert blocking.tracks_BKFT[0, red, :, 0].tolist() == pytest.approx([-0.3, -0.1, 0.1])
    assert blocking.looks_BKL[0, red].tolist() == RED
    assert blocking.looks_BKL[0, 1 - red].tolist() == BLUE
    assert not blocking.looks_BKL[0, 2:].any()


def test_what_bounces_is_still_the_same_thing() -> None:
    _, known = joined([seen((0.0, y, RED)) for y in (0.4, 0.1, -0.2, 0.1, 0.3)])
    assert known.sum(1).tolist() == [5, *[0] * (MOST - 1)]


def test_frames_that_are_not_given_and_things_that_hide_are_not_known() -> None:
    blocking, known = joined([seen((0.0, 0.0, RED)), None, seen(), seen((0.1, 0.0, RED))])
    assert known[0].tolist() == [True, False, False, True]
    assert blocking.tracks_BKFT[0, 0, 1, 0] == 0.0
    assert not known[1:].any()
    far = joined([seen((-0.9, 0.0, RED)), seen((0.9, 0.0, RED))])[1]
    assert far.sum(1).tolist()[:3] == [1, 1, 0], "nothing goes so far in a quarter of a second"
    assert not joined([None, None])[0].looks_BKL.any()


def test_words_decide_where_a_look_is_in_doubt() -> None:
    doubtful = seen((0.0, 0.0, RED))
    c = {name: k for k, name in enumerate(COLORS)}
    doubtful.looks_KL[0, [c["red"], c["pink"]]] = torch.tensor([0.5, 0.4])

    def colour(*words: str) -> str:
        return COLORS[int(joined([doubtful], words)[0].looks_BKL[0, 0, 1 : 1 + len(COLORS)].argmax())]

    assert colour() == colour("color=red") == colour("kind=ball") == "red"
    assert colour("color=pink", "time=noon") == "pink"
    assert colour("color=pink", "color=red") == "red"
    assert named(("kind=cube",))[len(COLORS) :][: len(KINDS)].tolist() == pytest.approx([0.2, 1.0, *[0.2] * (len(KINDS) - 2)])
    assert len(named(())) == LOOKS - 1 == len(COLORS) + len(KINDS) + len(MATERIALS) + 1


def test_a_peak_of_the_maps_is_a_thing() -> None:
    net = Observer(ObserverConfig((8, 8, 8)))
    maps = torch.full((1, MAPS, 16, 24), -5.0)
    maps[0, 1 : 1 + TRACK] = 0.0
    for row, column in ((4, 6), (10, 20), (10, 21)):
        maps[0, 0, row, column] = 2.0 + 0.1 * row
    maps[0, 0, 10, 21] -= 0.5  # beside another peak, it is none
    maps[0, 1, 4, 6] = 0.5  # half a pixel to the right
    maps[0, 1 + TRACK + COLORS.index("green"), 4, 6] = 5.0
    found = net._found(maps, 16.0)
    assert len(found.sure_K) == 2
    assert found.sure_K[0] > found.sure_K[1]
    x, y = (6.5 + 0.5) * 2 / 24 * 1.5 - 1.5, 1 - 4.5 * 2 / 16
    assert found.tracks_KT[1, :2].tolist() == pytest.approx([x, y], abs=1e-5)
    assert COLORS[int(found.looks_KL[1, : len(COLORS)].argmax())] == "green"


def test_large_pictures_are_seen_as_small_ones_are() -> None:
    torch.manual_seed(0)
    net = Observer(ObserverConfig((8, 8, 8))).eval()
    nn.init.constant_(net.leave[-1].bias[:1], 0.0)  # type: ignore[index]
    small = torch.randn(1, 2, 3, 32, 40)
    large = small.repeat_interleave(2, 3).repeat_interleave(2, 4)
    one, other = (net.find(vae.fold(picture.transpose(1, 2)))[0] for picture in (small, large))
    assert len(one[0].sure_K) > 0
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.tracks_KT, b.tracks_KT)
        torch.testing.assert_close(a.sure_K, b.sure_K)


def test_a_frame_whose_half_is_no_whole_number_of_squares_is_bordered() -> None:
    picture = torch.randn(1, 1, 3, 60, 64)
    seen, rows = looked_at(vae.fold(picture.transpose(1, 2)))
    assert (seen.shape[3:], rows) == ((32, 32), 30.0)
    torch.testing.assert_close(seen[..., 1:-1, :], F.avg_pool2d(picture[0], 2)[None])
    x, y = places(32, 32, rows)
    assert (y[1, 0].item(), y[-2, 0].item()) == pytest.approx((29 / 30, -29 / 30))
    assert (x[0, 0].item(), x[0, -1].item()) == pytest.approx((-31 / 30, 31 / 30))


def test_middles_are_where_things_are_seen() -> None:
    tracks = torch.zeros(1, MOST, 1, TRACK)
    tracks[0, 0, 0] = torch.tensor([-0.48, 0.27, 0.3, 0.0, 0.3, 0.0])
    tracks[0, 1, 0] = torch.tensor([-0.5, 0.25, 0.1, 0.0, 0.1, 1.0])  # behind it
    tracks[0, 2, 0] = torch.tensor([1.4, 0.0, 0.3, 0.0, 0.3, 0.0])  # out of the picture
    rows = torch.tensor([RED, BLUE, BLUE, *[[0.0] * LOOKS] * (MOST - 3)])[None]
    near, found = middles(Blocking(tracks, rows), 32, 32, 32.0)
    assert found[0, :, 0, 0].tolist() == [True, *[False] * (MOST - 1)]
    assert (near[0, 0] == 1.0).nonzero().tolist() == [[11, 8]]
    assert near[0, 3:].max() == 0.0


def test_it_learns_to_find(one_thread: None) -> None:
    """Coloured ellipses, as a blocking paints them, in a minute's miniature."""
    torch.manual_seed(0)
    net = Observer(ObserverConfig((16, 16, 16)))
    generator = torch.Generator().manual_seed(1)

    def pictures(count: int) -> tuple[torch.Tensor, Blocking]:
        tracks = torch.zeros(count, MOST, 1, TRACK)
        tracks[:, 0, 0, :2] = torch.rand(count, 2, generator=generator) - 0.5
        tracks[:, 0, 0, 2:5] = torch.tensor([0.3, 0.0, 0.3])
        rows = torch.zeros(count, MOST, LOOKS)
        pick = torch.rand(count, generator=generator) < 0.5
        rows[:, 0] = torch.where(pick[:, None], torch.tensor(RED), torch.tensor(BLUE))
        painted = paint(Blocking(tracks, rows), 16, 16)
        colours = torch.stack([painted[:, 1 + COLORS.index("red")], painted[:, 0], painted[:, 1 + COLORS.index("blue")]], 1)
        return vae.fold(colours), Blocking(tracks, rows)

    net.mean_T.copy_(plain(torch.tensor([[0.0, 0.0, 0.3, 0.0, 0.3, 0.0]]))[0])
    from kinowatt.train.observer import ObserverTask

    task = object.__new__(ObserverTask)
    task.model, task.device = net, torch.device("cpu")
    step = torch.optim.AdamW(net.parameters(), 3e-3)
    for _ in range(120):
        loss = task._loss(*pictures(16))
        step.zero_grad()
        loss.backward()
        step.step()
    latents, true = pictures(32)
    right, off = 0, 0.0
    for b, (one,) in enumerate(net.eval().find(latents)):
        if len(one.sure_K):
            off += float((one.tracks_KT[0, :2] - true.tracks_BKFT[b, 0, 0, :2]).norm()) / 32
            right += int(one.looks_KL[0, : len(COLORS)].argmax() == true.looks_BKL[b, 0, 1 : 1 + len(COLORS)].argmax())
    assert right >= 29
    assert off < 0.08, "less than a pixel"


def test_a_file_is_read_and_another_is_not() -> None:
    net = Observer(ObserverConfig((8, 8, 8)))
    config = {"observer": {"widths": [8, 8, 8]}}
    again = observer.load({k: v.half() for k, v in net.state_dict().items()}, config)
    assert dataclasses.asdict(again.config) == {"widths": (8, 8, 8)}
    with pytest.raises(KeyError):
        observer.load({}, {})
    with pytest.raises(RuntimeError):
        observer.load({}, config)
