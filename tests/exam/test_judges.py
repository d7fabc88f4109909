"""The judges say what stands in front of them, and refuse a world that they did not learn."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.errors import WeightsError
from kinowatt.exam import adherence, judges, learn, pictures
from kinowatt.exam.eye import PARTS, WHOLE, Sight
from kinowatt.exam.judges import Judges
from kinowatt.exam.pictures import COLOURS, FIELDS, KINDS, LOOKS, SIDE
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.seen import Seen

Box = tuple[str, str, int, int, float]  # kind, colour, row, column of the middle, share of the frame


def sight(looks: list[list[Box]]) -> Sight:
    """What the Eye would say if it were sure."""
    masks, kinds, colours, sizes, centres = (torch.zeros(1).expand(len(looks), n, 64, 64).clone() for n in PARTS.values())
    centres -= 9.0
    sizes -= 9.0
    for t, boxes in enumerate(looks):
        for kind, colour, row, column, area in boxes:
            at = np.s_[t, :, row, column]
            kinds[at][KINDS.index(kind)] = 9.0
            colours[at][1 + COLOURS.index(colour) if colour else 0] = 9.0
            sizes[at] = torch.tensor([area, area**0.5]).log()
            centres[at] = 9.0
    return Sight(masks, kinds, colours, sizes, centres, {name: torch.zeros(len(looks), len(FIELDS[name])) for name in WHOLE})


def test_things_are_followed_named_and_measured() -> None:
    moving: list[list[Box]] = [[("ball", "red", 30, 10 + 6 * t, 0.01), ("cone", "blue", 40, 50, 0.04)] for t in range(8)]
    found = judges.things(sight(moving))
    assert [(t.kind, t.color, round(t.height, 3)) for t in found] == [("cone", "blue", 0.2), ("ball", "red", 0.1)], "the largest first"
    assert judges.things(sight([[]] * 8)) == ()
    small = [[(kind, colour, row, column, 0.0015) for kind, colour, row, column, _ in look] for look in moving]
    assert judges.things(sight(small)) == (), "what fills less than the captions ask for is not seen"
    assert len(judges.things(sight(moving[:1] + [[]] * 7))) == 0, "nor what is there in one look of eight"
    assert len(judges.things(sight(moving[:2] + [[]] * 6))) == 2


def test_two_of_one_colour_are_two_and_one_that_comes_again_is_one() -> None:
    pair: list[list[Box]] = [[("ball", "red", 30, 10, 0.01), ("ball", "red", 30, 40, 0.01)]] * 8
    assert [(t.kind, t.color) for t in judges.things(sight(pair))] == [("ball", "red")] * 2
    lost: list[list[Box]] = [[("ball", "red", 30, 10, 0.01)]] * 3 + [[]] * 2 + [[("ball", "red", 30, 14, 0.01)]] * 3
    assert len(judges.things(sight(lost))) == 1
    twice: list[list[Box]] = [[("ball", "red", 30, 10, 0.04), ("ball", "red", 32, 14, 0.04)]] * 8
    assert len(judges.things(sight(twice))) == 1, "two middles within one thing"
    changed: list[list[Box]] = [[("ball", "red", 30, 10, 0.01)]] * 4 + [[("cone", "blue", 30, 10, 0.01)]] * 4
    assert len(judges.things(sight(changed))) == 2, "another colour and kind are another thing"


def test_things_without_a_colour_are_told_by_their_kind() -> None:
    found = judges.things(sight([[("turbine", "", 30, 10, 0.01), ("turbine", "", 30, 40, 0.01)]] * 4))
    assert [(t.kind, t.color) for t in found] == [("turbine", None)] * 2


def test_judges_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    made, path = Judges(), tmp_path / "judges.safetensors"
    made.save(path, {"scenes": 3})
    again = judges.load(path)
    assert path.stat().st_size < 2e6
    assert again.facts == {"scenes": 3}
    clip = Clip(np.random.default_rng(0).integers(0, 256, (33, 3, 64, 64), dtype=np.uint8), fps=16.0)
    verdict = again.judge(clip)
    assert set(verdict.fields) == {*WHOLE, "move", "mood"}
    assert verdict.causes["brightness"] == pytest.approx(0.5, abs=0.02)
    assert pictures.watched(clip).shape == (LOOKS, 3, SIDE, SIDE)
    monkeypatch.setattr(judges, "TABLES", judges.TABLES | {"kinds": (*KINDS, "teapot")})
    with pytest.raises(WeightsError, match="other things in it"):
        judges.load.__wrapped__(path)
    with pytest.raises(WeightsError, match=r"kinowatt\.exam\.learn"):
        judges.load.__wrapped__(tmp_path / "none")


def test_the_eye_learns(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coloured squares at random places: which colour, where, and how large."""
    torch.manual_seed(0)
    monkeypatch.setattr(learn, "PICTURES", 8)
    rng = np.random.default_rng(0)
    frames, ids = np.zeros((6, 2, 3, 32, 32), np.uint8), np.zeros((6, 2, 32, 32), np.uint8)
    for i, t in np.ndindex(6, 2):
        row, column = rng.integers(0, 20, 2)
        frames[i, t, i % 3, row : row + 12, column : column + 12] = 255
        ids[i, t, row : row + 12, column : column + 12] = 1
    things = tuple((Thing("cube", COLOURS[i % 3]),) for i in range(6))
    fields = tuple(
        {"mood": "none", "ground": FIELDS["ground"][0], "time": FIELDS["time"][0], "weather": FIELDS["weather"][0]} for _ in range(6)
    )
    seen = tuple(Seen(own, None, None, None, {"ground": FIELDS["ground"][0]}) for own in things)
    lessons = learn.Lessons([pictures.Pictures(frames, ids, things, fields, seen)])
    eye = Judges().eye
    optimiser = torch.optim.AdamW(eye.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        told = lessons.draw(rng)
        loss = learn.eye_loss(eye(told.signal), told, lessons.rarity)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.4 * losses[0]
    told = lessons.draw(rng)
    with torch.inference_mode():
        said = eye.eval()(told.signal)
    assert (said.masks.argmax(1) == told.masks).float().mean() > 0.9
    top = told.centres > 0.99
    assert (said.colours.argmax(1) == told.colours)[top].float().mean() > 0.8
    assert (said.sizes - told.sizes)[:, 0][top].abs().mean() < 0.5


def test_a_middle_is_where_a_thing_is() -> None:
    ids = np.zeros((1, 40, 40), np.uint8)
    ids[0, 2:9, 4:11], ids[0, 29, 29] = 1, 2  # the second is too small to be seen
    hills, owners, sizes = learn.centres(ids)
    assert np.argwhere(hills[0] == 1.0).tolist() == [[5, 7]]
    assert hills[0, 29, 29] < 0.01
    assert owners[0, 5, 7] == 1
    assert np.exp(sizes[0, :, 5, 7]) == pytest.approx([49 / 1600, 7 / 40])


def test_every_thing_counts_as_one_and_rare_kinds_for_more() -> None:
    ids = np.zeros((1, 30, 30), np.uint8)
    ids[0, 2:9, 4:11], ids[0, 20:23, 20:23], ids[0, 29, 29] = 1, 2, 3
    shares = learn.shares(ids)[0]
    assert [shares[ids[0] == k].sum() for k in range(4)] == pytest.approx([0.0, 1.0, 1.0, 1 / learn.LEAST_AREA])
    things = [0] * 90 + [1] * 10
    weights = learn.rarity(things)
    assert weights[1] == pytest.approx(3.0 * weights[0], rel=1e-5)
    assert np.mean(weights[things]) == pytest.approx(1.0, rel=1e-5)


def test_what_nobody_asked_for_counts_against_a_clip() -> None:
    seen = Seen((Thing("ball", "red"), Thing("cone", "blue")), None, None, None, {"ground": "sand"})
    found = (judges.Found("ball", "red", 0.2), judges.Found("cube", "green", 0.4))
    verdict = judges.Verdict(found, {"ground": "snow"}, 0.0, {})
    assert verdict.height == 0.4
    assert adherence.colour(seen, verdict) == [0.0, 0.0, 1.0], "blue is missing, green was not asked for, red is there"
    assert adherence.shape(seen, verdict) == [1.0, 0.0]
    assert adherence.number(seen, verdict) == [1.0]
    assert adherence.ALL["ground"](seen, verdict) == [0.0]
    assert adherence.ALL["weather"](seen, verdict) is None, "what is not asked for is not judged"
    pair = Seen((Thing("ball", "red"), Thing("ball", "red")), None, None, None, {})
    assert adherence.shape(pair, verdict) == [1.0, 0.0], "one thing does not answer for two"


@pytest.mark.parametrize("further", [True, False])
def test_an_eye_learns_further_only_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, further: bool) -> None:
    begun: list[tuple[dict[str, torch.Tensor], float]] = []

    def fit(name: str, module: torch.nn.Module, loss: object, steps: int, lr: float, *_: object) -> None:
        assert (name, steps) == ("eye", 3)
        begun.append(({k: v.clone() for k, v in module.state_dict().items()}, lr))

    seen = (Seen((Thing("cube", "red"),), None, None, None, {}),)
    nothing = pictures.Pictures(
        np.zeros((1, 1, 3, 8, 8), np.uint8), np.zeros((1, 1, 8, 8), np.uint8), ((Thing("cube", "red"),),), ({},), seen
    )
    monkeypatch.setattr(learn, "pictures", lambda *_: nothing)
    monkeypatch.setattr(learn, "measured", lambda *_: {"accuracy": {}, "confusion": []})
    monkeypatch.setattr(learn, "fit", fit)
    monkeypatch.setattr(learn, "FILE", tmp_path / "judges.safetensors")
    shipped, load = judges.load(), judges.load
    monkeypatch.setattr(judges, "load", lambda: copy.deepcopy(shipped))  # what is loaded once is everybody's
    made = learn.learn(1, 1, {"eye": 3}, tmp_path, 1, lambda _: None, further)
    ((weights, lr),) = begun
    same = all(torch.equal(weights[k], v) for k, v in shipped.eye.state_dict().items())
    assert same is further
    assert lr == learn.EYE_LR * (learn.FURTHER if further else 1.0)
    assert made.facts["steps"] == 3 + (shipped.facts["steps"] if further else 0)
    assert load(tmp_path / "judges.safetensors").facts["steps"] == made.facts["steps"]
