"""The whole recipe on a world of postage stamps: every network after the other, and a clip by what came of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kinowatt.engine import load
from kinowatt.engine.engine import Engine
from kinowatt.engine.plan import fill
from kinowatt.errors import InputError
from kinowatt.models import weights
from kinowatt.models.specs import ONE_PASS_STEPS, SPARK, TWO_PASS_STEPS, find
from kinowatt.shot import Shot
from kinowatt.train import tasks
from kinowatt.train.distil import GUIDANCE
from kinowatt.train.spark import BEGINS

pytest.importorskip("moderngl")
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(1200)  # a minute where a CPU has bfloat16
@pytest.mark.usefixtures("quietly")
def test_codec_interpolator_painter_director_poser_observer_spark_distil_then_a_clip(tmp_path: Path) -> None:
    folder, receipts = tmp_path / "spark", tmp_path / "receipts"
    joules = {}
    for what in ("codec", "interpolator", "painter", "director", "poser", "observer", "spark", "distil"):
        start = folder if what == "distil" else None
        receipt = tasks.run(what, "tiny", 0.05, False, "cpu", folder, tmp_path / "cache", receipts, None, start=start)
        assert receipt["steps"] > 0
        assert all(value == value for value in receipt["held_out"].values()), "not a number"
        joules[what] = receipt["total_J"]
        if what == "spark":
            found = find(str(folder))
            assert (found.one_pass, found.begins, found.steps, found.steps_from_noise) == (None, BEGINS, SPARK.steps, TWO_PASS_STEPS)
    assert joules["distil"] > joules["spark"], "the distilled weights cost what they began with, and more"
    further = tmp_path / "further"
    more = tasks.run("spark", "tiny", 0.02, False, "cpu", further, tmp_path / "cache", receipts, None, start=SPARK.folder)
    assert more["total_J"] > 100_000.0, "with what the shipped weights have cost"
    for name in ("codec", "interpolator", "painter", "director", "poser", "observer"):
        file = f"{name}.safetensors"
        assert (further / file).read_bytes() == (SPARK.folder / file).read_bytes()
    spec = find(str(folder))
    assert spec.one_pass == GUIDANCE == SPARK.guidance
    assert (spec.steps, spec.steps_from_noise) == (SPARK.steps, ONE_PASS_STEPS)
    shot = Shot("a red ball on grass", size=(64, 64), seconds=0.5, steps=2, seed=1)
    assert fill(shot, spec).strength == 1.0
    engine = load.load(str(folder), "cpu")
    assert isinstance(engine, Engine)
    made = engine.generate(shot).clip
    assert made.frames_TCHW.shape == (9, 3, 64, 64)
    said = subprocess.run([sys.executable, ROOT / "runs/kwh.py", receipts], capture_output=True, text=True, check=True).stdout
    assert [line.split("-")[1].split()[0] for line in said.splitlines()[:7]] == [
        "codec",
        "interpolator",
        "painter",
        "director",
        "poser",
        "observer",
        "spark",
    ]
    whole = (sum(joules.values()) - joules["spark"] + sum(row["J"] for row in more["runs"] if "what" not in row)) / 3600
    assert f"in all {whole:.1f} Wh of 1000" in said


def test_what_only_goes_on_needs_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="distil goes on from weights; name their folder"):
        tasks.run("distil", "tiny", 0.02, False, "cpu", tmp_path / "new", tmp_path, tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_weights_that_guide_themselves_are_not_distilled_again(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    tensors, config = weights.load(SPARK.folder / "denoiser.safetensors")
    theirs.mkdir()
    weights.save(theirs / "denoiser.safetensors", tensors, config | {"one_pass": 4.0})
    with pytest.raises(InputError, match="guide themselves in one pass already"):
        tasks.run("distil", "tiny", 0.02, False, "cpu", tmp_path / "new", tmp_path, tmp_path, None, start=theirs)
    assert list(tmp_path.iterdir()) == [theirs]


def test_a_denoiser_without_a_codec_is_told_where_to_get_one(tmp_path: Path) -> None:
    for start in (None, tmp_path / "nothing"):
        with pytest.raises(InputError, match=r"train it first .*, or name a model folder with --start"):
            tasks.run("spark", "tiny", 0.02, False, "cpu", tmp_path / "new", tmp_path, tmp_path, None, start=start)
    assert not list(tmp_path.iterdir())


def test_what_ships_is_run_as_its_file_says() -> None:
    assert SPARK.one_pass == find(str(SPARK.folder)).one_pass


@pytest.mark.parametrize("recipe", ["cpu", "gpu", "tiny"])
def test_the_script_knows_every_recipe(recipe: str) -> None:
    """One that it does not know ends it before anything is done."""
    script = (ROOT / "runs/spark.sh").read_text()
    assert f"  {recipe}) codec=" in script
    ended = subprocess.run(["sh", ROOT / "runs/spark.sh", "huge"], check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "not huge" in ended.stderr
