"""The exam tells noise from the world, and the frontier keeps what nothing cheaper equals."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.energy.predict import Prediction
from kinowatt.engine.budget import FRONTIER, Choice, fitted, frontier
from kinowatt.engine.load import load
from kinowatt.engine.ways import Ways
from kinowatt.errors import OutputError
from kinowatt.exam import closeness
from kinowatt.exam.closeness import Closeness, Scale, Score
from kinowatt.exam.scenes import World
from kinowatt.models.specs import SPARK
from kinowatt.shot import Shot
from kinowatt.train import tune


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out scenes without a renderer: flat colours that drift, each its own."""

    def sample(world: World, number: int) -> SimpleNamespace:
        colour = np.random.default_rng(number).integers(0, 256, (1, 3, 1, 1))
        drift = np.arange(world.frames).reshape(-1, 1, 1, 1)
        frames = np.broadcast_to((colour + drift) % 256, (world.frames, 3, world.size[1], world.size[0])).astype(np.uint8)
        return SimpleNamespace(clip=Clip(frames, fps=world.fps), number=number)

    monkeypatch.setattr(World, "sample", sample)
    monkeypatch.setattr(closeness.scenes, "first", lambda n: list(range(n)))
    monkeypatch.setattr(closeness.scenes, "prompt", lambda sample, register: f"a red ball {sample.number}")


def test_the_exam_has_a_floor_and_a_ceiling(small_model: Path, tmp_path: Path, scenes: None) -> None:
    camera = load(str(small_model), "cpu", Ways("torch"))
    exam = Closeness(camera, 4, tmp_path, (64, 64))
    itself = exam.score(exam.truth_ND)
    assert itself.frechet == pytest.approx(0.0, abs=1e-6)
    assert itself.rank == 1.0
    shuffled = exam.score(exam.truth_ND[[1, 2, 3, 0]])
    assert shuffled.frechet == pytest.approx(0.0, abs=1e-6), "as a set they are the same"
    assert shuffled.rank < 1.0
    assert exam.scale.floor.frechet > itself.frechet


def test_quality_lies_between_floor_and_ceiling() -> None:
    scale = Scale(Score(2.0, 0.5), Score(0.0, 1.0))
    assert scale.quality(Score(2.0, 0.5)) == 0.0
    assert scale.quality(Score(0.0, 1.0)) == 1.0
    assert scale.quality(Score(1.0, 0.75)) == 0.5
    assert scale.quality(Score(9.0, 0.75)) == 0.25, "worse than noise counts as noise"


def test_the_frontier_keeps_what_nothing_cheaper_equals() -> None:
    rows = [(1.0, 0.2), (2.0, 0.5), (3.0, 0.4), (4.0, 0.9), (5.0, 0.9)]
    found = tune.best([Choice(4, 1.0, 1, (64, 64), q, j, 1.0) for j, q in rows])
    assert [c.best for c in found] == [True, True, False, True, False]


def test_tuning_writes_a_frontier_that_budgets_read(
    small_model: Path, tmp_path: Path, scenes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    tried = [Choice(1, 1.0, 1, (64, 64), None), Choice(2, 3.0, 2, (64, 64), None)]
    monkeypatch.setattr(tune, "choices", lambda size, grid: iter(tried))
    monkeypatch.setattr(tune, "FRAMES", 5)
    monkeypatch.setattr(tune, "ROUNDS", 2)
    monkeypatch.setenv("KINOWATT_CACHE", str(tmp_path))
    said: list[str] = []
    table = tune.tune(str(small_model), 4, "cpu", "torch", "FR", tmp_path, tmp_path / "f.png", said.append)
    assert len(said) == 2
    assert "on the frontier" in table[-1]
    read = frontier(tmp_path)
    assert {(c.steps, c.guidance, c.cache) for c in read} == {(1, 1.0, 1), (2, 3.0, 2)}
    assert all(c.joules_J and c.joules_J > 0 and c.quality is not None for c in read)
    facts = json.loads((tmp_path / FRONTIER).read_text())
    assert facts["scale"]["ceiling"]["frechet"] < facts["scale"]["floor"]["frechet"]
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError, match="--out"):
        tune.tune(str(small_model), 4, "cpu", "torch", None, tmp_path / "nowhere", tmp_path / "f.png", said.append)


def test_what_was_measured_of_other_weights_is_not_used(tmp_path: Path) -> None:
    row = asdict(Choice(4, 2.0, 1, (64, 64), 0.9, 1.0, 1.0))
    spec = replace(SPARK, folder=tmp_path)
    own = spec.weights_sha256

    def taken(of: str) -> tuple[int | None, tuple[int, int] | None]:
        (tmp_path / FRONTIER).write_text(json.dumps({"weights_sha256": of, "choices": [row]}))
        fit = fitted(Shot("a red ball"), spec, 1e6, lambda _: Prediction(0.1, 0.09, 0.11, 1.0, "a test", rest_Wh=0.01))
        return fit.shot.steps, fit.shot.size

    assert taken(own) == (4, (64, 64))
    assert taken("others") == (SPARK.steps, None)


def test_choices_cover_every_means() -> None:
    found = list(tune.choices((128, 128), 32))
    assert len({(c.steps, c.guidance, c.cache, c.size) for c in found}) == len(found)
    assert {c.size for c in found} == {(128, 128), (96, 96), (64, 64)}
    assert {c.cache for c in found} == {1, 2, 4}


def test_features_tell_a_blur_from_details() -> None:
    """The same values in another order: means and spreads agree, and only the change in space tells them apart."""
    fine = torch.tensor([-1.0, 1.0]).repeat(8).expand(2, 3, 16, 16)
    smooth = fine.sort(dim=-1).values
    ours, theirs = (closeness.feature(x).reshape(4, 2) for x in (fine, smooth))
    np.testing.assert_allclose(ours[:3], theirs[:3], atol=1e-6)
    assert (ours[3] > 5 * theirs[3]).all()
