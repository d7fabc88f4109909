"""The judges say what stands in front of them, and refuse a world that they did not learn."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.errors import WeightsError
from kinowatt.exam import adherence, judges, learn, pictures
from kinowatt.exam.eye import WHOLE, Sight
from kinowatt.exam.judges import Judges
from kinowatt.exam.pictures import COLOURS, FIELDS, KINDS, LOOKS, SIDE
from kinowatt.worlds.toybox.physics import Thing
from kinowatt.worlds.toybox.seen import Seen


def sight(things: list[tuple[str, str, slice, slice]], looks: int = 4) -> Sight:
    """What the Eye would say if it were sure: things as boxes of a kind and a colour."""
    kinds, colours = torch.zeros(looks, len(KINDS) + 1, 48, 48), torch.zeros(looks, len(COLOURS) + 1, 48, 48)
    kinds[:, 0] = 1.0
    centres = torch.full((looks, 48, 48), -9.0)
    for kind, colour, rows, columns in things:
        kinds[:, 1 + KINDS.index(kind), rows, columns] = 9.0
        colours[:, 1 + COLOURS.index(colour) if colour else 0, rows, columns] = 9.0
        centres[:, (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2] = 9.0
    return Sight(kinds, colours, centres, {name: torch.zeros(looks, len(FIELDS[name])) for name in WHOLE})


def things(seen: Sight, refused: tuple[tuple[int, int], ...] = ()) -> tuple[tuple[judges.Found, ...], int]:
    """With a Namer that says what the Eye says, but refuses middles at these rows and columns."""
    at = judges.middles(seen)
    named = torch.stack([seen.kinds[t, :, y, x] for t, y, x in at.tolist()] or [torch.zeros(len(KINDS) + 1)])[: len(at)].softmax(1)
    for i, (_, y, x) in enumerate(at.tolist()):
        if (y, x) in refused:
            named[i] = torch.eye(len(KINDS) + 1)[0]
    return judges.things(seen, at, named)


def test_things_are_counted_named_and_measured() -> None:
    seen = sight([("ball", "red", slice(0, 12), slice(0, 10)), ("cone", "blue", slice(20, 44), slice(20, 30))])
    found, count = things(seen)
    assert {(t.kind, t.color, t.height) for t in found} == {("ball", "red", 0.25), ("cone", "blue", 0.5)}
    assert count == 2
    assert things(sight([])) == ((), 0)
    found, count = things(seen, refused=((6, 5),))
    assert [(t.kind, t.color) for t in found] == [("cone", "blue")], "where the Namer says that nothing is, nothing is"
    assert count == 1
    gone = sight([("ball", "red", slice(0, 12), slice(0, 10))], looks=8)
    gone.centres[1:] = -9.0  # seen in one look of eight
    assert things(gone)[0] == ()


def test_things_without_a_colour_are_known_by_their_kind() -> None:
    found, count = things(sight([("turbine", "", slice(2, 40), slice(2, 8)), ("turbine", "", slice(2, 40), slice(20, 26))]))
    assert [(t.kind, t.color) for t in found] == [("turbine", None)]
    assert count == 2


def test_judges_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    made, path = Judges(), tmp_path / "judges.safetensors"
    made.save(path, {"scenes": 3})
    again = judges.load(path)
    assert path.stat().st_size < 1.6e6
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


def test_the_eye_learns(one_thread: None) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    eye, x = Judges().eye, torch.zeros(4, 3, 32, 32)
    kinds, colours = torch.zeros(4, 16, 16, dtype=torch.long), torch.full((4, 16, 16), learn.IGNORED)
    ids = np.zeros((4, 16, 16), np.uint8)
    for i, (row, column) in enumerate(rng.integers(0, 10, (4, 2))):
        x[i, i % 3, 2 * row : 2 * row + 12, 2 * column : 2 * column + 12] = 1.0
        kinds[i, row : row + 6, column : column + 6], colours[i, row : row + 6, column : column + 6] = 1, 1 + i % 3
        ids[i, row : row + 6, column : column + 6] = 1
    shares, hills = (torch.from_numpy(of(ids)) for of in (learn.shares, learn.centres))
    told = learn.Told(x, kinds, colours, shares, hills, torch.zeros(4, len(WHOLE), dtype=torch.long))
    optimiser = torch.optim.AdamW(eye.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = learn.eye_loss(eye(x), told, torch.ones(len(KINDS)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert (eye(x).kinds.argmax(1) == kinds).float().mean() > 0.95


def test_a_centre_is_where_a_thing_is() -> None:
    ids = np.zeros((1, 30, 30), np.uint8)
    ids[0, 2:9, 4:11], ids[0, 29, 29] = 1, 2  # the second is too small to be seen
    hills = learn.centres(ids)
    assert np.argwhere(hills[0] == 1.0).tolist() == [[5, 7]]
    assert hills[0, 29, 29] < 0.01


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
    boxes = [("ball", "red", slice(0, 12), slice(0, 10)), ("cube", "green", slice(20, 44), slice(20, 30))]
    found, count = things(sight(boxes))
    verdict = judges.Verdict(found, count, {"ground": "snow"}, 0.0, 0.0, {})
    assert adherence.colour(seen, verdict) == [0.0, 0.0, 1.0], "blue is missing, green was not asked for, red is there"
    assert adherence.shape(seen, verdict) == [1.0, 0.0]
    assert adherence.number(seen, verdict) == [1.0]
    assert adherence.ALL["ground"](seen, verdict) == [0.0]
    assert adherence.ALL["weather"](seen, verdict) is None, "what is not asked for is not judged"
