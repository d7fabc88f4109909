"""The verbs of energy as their users type them: figures, files, and one sentence where something cannot be."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kinowatt.energy import carbon
from kinowatt.energy.anatomy import KNOWN
from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.predict import Work
from kinowatt.engine import cost
from kinowatt.models.specs import SPARK

Ran = Any  # exit code, out, err (conftest.py)
Verb = Callable[..., Ran]
WAN = ("energy", "predict", "--model", "wan2.1-t2v-14b", "--size", "832x480", "--frames", 81, "--steps", 50)
PLAN = ("energy", "plan", "--model", "wan2.1-t2v-14b", "--size", "1280x720", "--seconds", 60, "--clips-per-user", 2, "--gpu", "H100")
CLIP = ("--size", "64x64", "--seconds", "0.5", "--steps", "2", "--seed", "1", "--runtime", "torch")


def told(ran: Ran) -> Any:
    assert ran.code == 0, ran.err
    return json.loads(ran.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def one_sentence(ran: Ran, *words: str) -> None:
    assert ran.code == 2, ran.err
    assert ran.out == ""
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert "fault of ours" not in lines[0]
    for word in words:
        assert word in lines[0]


def add(model: str = "spark", verb: str = "generate", joules: float | None = 90.0, at: float | None = None, **more: Any) -> None:
    bill = EnergyBill(Energy(4.0, cpu_modelled_J=joules), carbon.intensity("FR"), {}, {}, {"cpu_modelled_J": "CPU time"})
    facts: dict[str, Any] = {"frames": 32, "width": 128, "height": 128, "fps": 16.0, "steps": 20, "at": at or time.time()} | more
    work = None if verb == "train" else Work(1e12, 1e10, 20)
    Ledger().add(Run(verb, model, "a chip, 2 threads", "torch float32", bill.to_json(), work, **facts))


def test_predict_as_in_the_readme(kinowatt: Verb) -> None:
    found = told(kinowatt(*WAN, "--gpu", "H100", "--json"))
    assert found["tokens"] == 32_760
    assert found["FLOP"] == 50 * 2 * (2 * 14.29e9 * 32_760 + 4 * 32_760**2 * 5120 * 40)
    assert found["gpu_Wh"] == pytest.approx(80.35, rel=0.25)
    assert found["seconds"] == pytest.approx(467, rel=0.25)
    assert found["p10_Wh"] < found["gpu_Wh"] < found["p90_Wh"]
    assert (found["gpu"], found["gpus"], found["passes"]) == ("H100", 1, 2)
    said = kinowatt(*WAN, "--gpu", "NVIDIA H100 80GB HBM3")
    assert f"{found['gpu_Wh']:.2f} Wh of GPU energy" in said.out
    assert "published clips on H100" in said.out


def test_predict_for_eight_gpus(kinowatt: Verb) -> None:
    found = told(kinowatt(*WAN, "--gpu", "H100", "--gpus", 8, "--json"))
    assert found["gpu_Wh"] == pytest.approx(107, rel=0.25)
    assert found["seconds"] == pytest.approx(72, rel=0.25)


@pytest.mark.parametrize("model", ["spark", *KNOWN])
def test_predict_knows_every_model_without_its_weights(kinowatt: Verb, model: str) -> None:
    found = told(kinowatt("energy", "predict", "--model", model, "--json"))
    assert 0 < found["p10_Wh"] < found["gpu_Wh"] < found["p90_Wh"]
    assert found["seconds"] > 0
    if model in KNOWN:
        anatomy = KNOWN[model]
        assert (found["frames"], found["steps"], found["size"]) == (anatomy.frames, anatomy.steps, "{}x{}".format(*anatomy.size))


def test_predict_without_guidance_is_half(kinowatt: Verb) -> None:
    both, one = (told(kinowatt(*WAN, "--json", *more))["gpu_Wh"] for more in ((), ("--no-guidance",)))
    assert one == pytest.approx(both / 2, rel=1e-4)


def test_predict_learns_from_this_machines_gpu_whatever_its_name(kinowatt: Verb) -> None:
    spark = cost.find("spark")
    work = cost.work_on_paper(spark, spark.size, spark.frames, spark.steps, spark.passes)
    bill = EnergyBill(Energy(2.0, gpu_J=360.0, cpu_modelled_J=40.0), carbon.intensity("FR"))
    for _ in range(3):
        Ledger().add(Run("generate", "spark", "NVIDIA H100 80GB HBM3", "torch bfloat16", bill.to_json(), work))
    found = told(kinowatt("energy", "predict", "--gpu", "h100", "--json"))
    assert found["gpu_Wh"] == pytest.approx(0.1, rel=0.02), "the GPU's joules, not the processor's"
    assert "3 finished clips" in found["how"]
    assert "published" in told(kinowatt("energy", "predict", "--gpu", "B200", "--json"))["how"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpu", "abacus"), "abacus"),
        (("--gpu", ""), "GPU"),
        (("--model", "sora-9"), "sora-9"),
        (("--model", ""), "no model named"),
        (("--size", "12"), "width x height"),
        (("--size", "0x0"), "0x0"),
        (("--size", "8x480"), "16 to 16384"),
        (("--size", "99999x480"), "16 to 16384"),
        (("--size", "9" * 5000 + "x480"), "width x height"),
        (("--size", "-832x480"), "width x height"),
    ],
)
def test_predict_says_what_it_does_not_know(kinowatt: Verb, words: tuple[str, ...], said: str) -> None:
    one_sentence(kinowatt("energy", "predict", *words), said)


@pytest.mark.parametrize("words", [("--frames", "0"), ("--steps", "0"), ("--steps", "many"), ("--gpus", "0"), ("--gpus", "9999")])
def test_predict_refuses_numbers_out_of_range(kinowatt: Verb, words: tuple[str, ...]) -> None:
    ran = kinowatt("energy", "predict", *words)
    assert ran.code == 2
    assert ran.out == ""
    assert words[0] in ran.err


def test_calibration_draws_and_tells(kinowatt: Verb, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    fresh = kinowatt("energy", "calibration", "-o", tmp_path / "none.png", "--json")
    assert told(fresh)["own_median_error"] is None
    for _ in range(6):
        add()
    ran = kinowatt("energy", "calibration", "-o", tmp_path / "c.png")
    assert ran.code == 0, ran.err
    assert "wan2.1-t2v-14b 832x480x81, H100" in ran.out
    assert "median error 0.0%" in ran.out
    found = told(kinowatt("energy", "calibration", "-o", tmp_path / "c.png", "--json"))
    assert len(found["published"]) == 10
    assert all(abs(row["error"]) < 0.25 for row in found["published"])
    assert len(found["own"]) == 6
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.format == "PNG"
    one_sentence(kinowatt("energy", "calibration", "-o", tmp_path / "no" / "c.png"), "does not exist")
    one_sentence(kinowatt("energy", "calibration", "--model", "sora-9", "-o", tmp_path / "c.png"), "sora-9")


def test_report_adds_up_what_was_made(kinowatt: Verb) -> None:
    assert "nothing was made yet" in kinowatt("energy", "report").out
    assert told(kinowatt("energy", "report", "--json")) == []
    add(joules=3600.0, key="a")
    add(joules=3600.0, at=time.time() - 5 * 86400)
    add("blind", "extend", joules=None)
    rows = {row["name"]: row for row in told(kinowatt("energy", "report", "--json"))}
    assert rows["spark"]["total_Wh"] == pytest.approx(2.0)
    assert rows["spark"]["video_s"] == 4.0
    assert (rows["blind"]["total_Wh"], rows["blind"]["unknown"]) == (None, 1)
    said = kinowatt("energy", "report").out
    assert re.search(r"spark +2 .* 2\.00 Wh", said)
    assert re.search(r"blind +1 .*not known", said)
    assert "they are in no sum" in said
    by = {word: [row["name"] for row in told(kinowatt("energy", "report", "--by", word, "--json"))] for word in ("verb", "key", "day")}
    assert by["verb"] == ["extend", "generate"]
    assert by["key"] == ["–", "a"]
    assert len(by["day"]) == 2
    recent = told(kinowatt("energy", "report", "--days", 2, "--json"))
    assert {row["name"]: row["runs"] for row in recent} == {"blind": 1, "spark": 1}
    one_sentence(kinowatt("energy", "report", "--by", "colour"), "colour", "model, day, key, verb")


def test_report_exports(kinowatt: Verb, tmp_path: Path) -> None:
    add(joules=3600.0)
    add("blind", joules=None)
    add(joules=3600.0, at=time.time() - 5 * 86400)
    sheet, folder = tmp_path / "emissions.csv", tmp_path / "reports"
    ran = kinowatt("energy", "report", "--days", 2, "--codecarbon", sheet, "--boamps", folder)
    assert ran.code == 0, ran.err
    with sheet.open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["energy_consumed"] for row in rows] == ["0.001", ""]
    assert "modelled: cpu_energy" in rows[0]["codecarbon_version"]
    (report,) = folder.iterdir()
    measures = json.loads(report.read_text(encoding="utf-8"))["measures"]
    assert [m["measurementMethod"] for m in measures] == ["kinowatt, modelled: CPU time"]
    one_sentence(kinowatt("energy", "report", "--codecarbon", tmp_path / "no" / "e.csv"), "does not exist")
    one_sentence(kinowatt("energy", "report", "--boamps", sheet), "cannot be made")


def test_a_damaged_ledger_is_one_sentence(kinowatt: Verb, own_home: Path) -> None:
    (own_home / "ledger.sqlite").write_bytes(b"no database at all " * 100)
    one_sentence(kinowatt("energy", "report"), "ledger", "KINOWATT_HOME")


def test_claims_are_eleven_and_can_be_assumed_otherwise(kinowatt: Verb) -> None:
    found = told(kinowatt("energy", "claims", "--json"))
    assert len({row["key"] for row in found}) == 11
    (one,) = told(kinowatt("energy", "claims", "gpt3-training", "--json"))
    assert one["key"] == "gpt3-training"
    alone, batched = (
        told(kinowatt("energy", "claims", "chatgpt-inference", "--json", *more))[0]["figures"] for more in ((), ("--set", "batch=64"))
    )
    energy = [next(f["ours"] for f in figures if "kWh" in f["unit"] or "Wh" in f["unit"]) for figures in (alone, batched)]
    assert energy[1] < energy[0] / 10
    assert "1,287" in kinowatt("energy", "claims").out
    one_sentence(kinowatt("energy", "claims", "moon"), "moon")
    one_sentence(kinowatt("energy", "claims", "chatgpt-inference", "--set", "batch=many"), "batch")
    one_sentence(kinowatt("energy", "claims", "chatgpt-inference", "--set", "moons=3"), "moons")
    one_sentence(kinowatt("energy", "claims", "--set", "batch"), "batch")


def test_plan_of_a_service(kinowatt: Verb) -> None:
    found = told(kinowatt(*PLAN, "--users", "1e6", "--zone", "US", "--json"))
    figures = found["figures"]
    assert figures["clips per day"]["value"] == 2e6
    five_s = told(kinowatt(*WAN[:4], "--size", "1280x720", "--frames", 81, "--steps", 50, "--json"))
    assert figures["GPU energy per clip, Wh"]["value"] == pytest.approx(12 * five_s["gpu_Wh"], rel=1e-4)
    assert figures["MWh per day"]["value"] > 2 * figures["GPU energy per clip, Wh"]["value"]
    grams = carbon.intensity("US").gCO2e_per_kWh
    assert figures["t CO2e per year"]["value"] == pytest.approx(figures["MWh per year"]["value"] * grams / 1000)
    assert {"model", "clip", "utilisation", "building", "electricity"} <= {a["name"] for a in found["assumptions"]}
    ten = told(kinowatt(*PLAN, "--users", "1e7", "--zone", "US", "--json"))["figures"]
    assert ten["GPUs"]["value"] == pytest.approx(10 * figures["GPUs"]["value"])
    said = kinowatt(*PLAN, "--users", "1e6", "--zone", "US").out
    assert "1,000,000 users" in said
    assert "It rests on:" in said


def test_plan_of_a_training(kinowatt: Verb) -> None:
    found = told(kinowatt("energy", "plan", "--train-flops", "3.14e23", "--gpu", "V100", "--gpus", 1024, "--zone", "US", "--json"))
    assert 500 < found["figures"]["MWh"]["value"] < 3000, "of the order that was published for such a training"
    assert found["figures"]["days on 1024 GPUs"]["value"] == pytest.approx(found["figures"]["GPU hours"]["value"] / 24 / 1024)
    tokens = told(kinowatt("energy", "plan", "--parameters", "175e9", "--tokens", "300e9", "--json"))
    assert tokens["figures"]["FLOP"]["value"] == pytest.approx(3.15e23)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--users"),
        (("--parameters", "1e9"), "--tokens"),
        (("--users", "0"), "users of 0"),
        (("--users", "nan"), "users"),
        (("--users", "1", "--size", "0x0"), "0x0"),
        (("--users", "1", "--seconds", "1e308"), "seconds|clip"),
        (("--users", "1", "--utilisation", "2"), "utilisation of 2"),
        (("--users", "1", "--pue", "0.5"), "PUE of 0.5"),
        (("--users", "1", "--zone", "Atlantis"), "Atlantis"),
        (("--users", "1", "--gpu", "abacus"), "abacus"),
        (("--users", "1", "--model", "sora-9"), "sora-9"),
    ],
)
def test_plans_that_cannot_be_made(kinowatt: Verb, words: tuple[str, ...], said: str) -> None:
    ran = kinowatt("energy", "plan", *words)
    one_sentence(ran)
    assert re.search(said, ran.err)


def test_shift_simulates_a_week(kinowatt: Verb, tmp_path: Path) -> None:
    ran = kinowatt("energy", "shift", "--jobs", 20, "--seed", 3)
    assert ran.code == 0, ran.err
    assert "%" in ran.out
    assert kinowatt("energy", "shift", "--jobs", 20, "--seed", 3).out == ran.out
    one_sentence(kinowatt("energy", "shift", "--trace", tmp_path / "none.csv"), "none.csv")
    (tmp_path / "words.csv").write_text("once upon a time\n")
    one_sentence(kinowatt("energy", "shift", "--trace", tmp_path / "words.csv"), "words.csv")


@pytest.fixture(scope="module")
def dry() -> Any:
    """A dry run in a process of its own, which tells afterwards whether torch was imported."""
    code = "import sys\nfrom kinowatt import cli\ntry:\n cli.main()\nfinally:\n print('torch' in sys.modules, file=sys.stderr)"

    def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"KINOWATT_HOME": str(home)}
        return subprocess.run([sys.executable, "-c", code, *words], check=False, capture_output=True, text=True, env=env, timeout=120)

    return run


def test_a_dry_run_loads_nothing(dry: Any, own_home: Path, tmp_path: Path) -> None:
    ran = dry(own_home, "generate", "a red ball", "--dry-run", "--json", "-o", str(tmp_path / "a.mp4"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.strip().splitlines()[-1] == "False", "no torch, no weights"
    found = json.loads(ran.stdout)
    assert (found["size"], found["frames"], found["steps"]) == ("256x256", 33, SPARK.steps)
    assert 0 < found["predicted"]["p10_Wh"] < found["predicted"]["Wh"] < found["predicted"]["p90_Wh"]
    assert [*tmp_path.iterdir()] == []


def test_a_dry_run_never_calls_for_a_model(kinowatt: Verb, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*words: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("kinowatt.models.model.load", never)
    monkeypatch.setattr("kinowatt.engine.load.load", never)
    ran = kinowatt("generate", "a red ball", "--dry-run", "--model", small_model, *CLIP[:-2], "-o", tmp_path / "a.mp4")
    assert ran.code == 0, ran.err
    assert "9 frames, 64x64, 2 steps" in ran.out
    assert "without loading" in ran.out
    assert [*tmp_path.iterdir()] == []
    assert Ledger().runs() == [], "nothing was made"


def test_a_dry_run_learns_from_the_ledger_and_keeps_to_a_budget(kinowatt: Verb) -> None:
    for _ in range(4):
        add(joules=90.0)
    ask = ("generate", "a red ball", "--dry-run", "--json", "--steps", 20)
    found = told(kinowatt(*ask))
    assert found["device"] == "a chip, 2 threads"
    assert found["predicted"]["clips"] == 4
    free = told(kinowatt("generate", "a red ball", "--dry-run", "--json"))
    tight = told(kinowatt("generate", "a red ball", "--dry-run", "--json", "--budget-wh", free["predicted"]["Wh"] / 2))
    assert tight["predicted"]["Wh"] <= free["predicted"]["Wh"] / 2
    assert tight["steps"] < free["steps"] or tight["size"] != free["size"]
    assert any("for the budget of" in w for w in tight["warnings"])
    one_sentence(kinowatt(*ask, "--budget-wh", "1e-9"), "too small")


@pytest.mark.parametrize("budget", [("--budget-wh", "-1"), ("--budget-wh", "0"), ("--budget-wh", "nan"), ("--budget-gco2e", "-1")])
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_a_budget_that_buys_nothing_is_refused(kinowatt: Verb, tmp_path: Path, budget: tuple[str, ...], dry_run: tuple[str, ...]) -> None:
    one_sentence(kinowatt("generate", "a red ball", "-o", tmp_path / "a.mp4", *budget, *dry_run), "buys nothing")
    assert [*tmp_path.iterdir()] == []


@pytest.fixture
def clip(kinowatt: Verb, small_model: Path, tmp_path: Path) -> Path:
    """A small clip that was really made."""
    path = tmp_path / "clip.mp4"
    ran = kinowatt("generate", "a red ball", "-o", path, "--model", small_model, *CLIP)
    assert ran.code == 0, ran.err
    return path


def test_a_clip_is_in_the_ledger_with_the_bill_of_its_label(kinowatt: Verb, clip: Path) -> None:
    (run,) = Ledger().runs()
    assert (run.verb, run.model, run.runtime) == ("generate", "tiny", "torch float32")
    assert (run.width, run.height, run.frames, run.steps, run.out) == (64, 64, 9, 2, str(clip.resolve()))
    assert run.work is not None
    assert run.work.FLOP > 0
    label = told(kinowatt("label", clip, "--json"))["energy"]
    assert run.bill["total_Wh"] >= label["total_Wh"] > 0
    assert run.bill["total_Wh"] == pytest.approx(label["total_Wh"], rel=0.2), "what signing costs comes after the label"
    (row,) = told(kinowatt("energy", "report", "--json"))
    assert row["total_Wh"] == pytest.approx(run.bill["total_Wh"])
    assert row["name"] == "tiny"


def test_the_label_of_a_clip(kinowatt: Verb, clip: Path, tmp_path: Path) -> None:
    svg, png = tmp_path / "label.svg", tmp_path / "label.png"
    ran = kinowatt("label", clip, "--svg", svg, "--png", png, "--classes")
    assert ran.code == 0, ran.err
    assert "a red ball" in ran.out
    assert re.search(r"\d Wh|mWh", ran.out)
    assert "J per megapixel-frame" in ran.out
    assert [line.split()[0] for line in ran.out.splitlines() if "J per megapixel-frame, without loading" in line] == [*"ABCDEFG"]
    assert svg.read_text(encoding="utf-8").lstrip().startswith(("<svg", "<?xml"))
    with Image.open(png) as picture:
        assert min(picture.size) > 100
    found = told(kinowatt("label", clip, "--json"))
    assert found["verdict"]["intact"] is True
    assert found["figures"]
    assert found["shot"]["seed"] == 1


def test_a_changed_byte_is_told(kinowatt: Verb, clip: Path) -> None:
    whole = bytearray(clip.read_bytes())
    at = whole.index(b"mdat") + 2000
    whole[at] ^= 0xFF
    clip.write_bytes(whole)
    ran = kinowatt("label", clip)
    assert ran.code == 1
    assert "a red ball" in ran.out
    found = kinowatt("label", clip, "--json")
    assert found.code == 1
    assert json.loads(found.out)["verdict"]["intact"] is False


def test_labels_that_cannot_be_read_or_drawn(kinowatt: Verb, clip: Path, tmp_path: Path) -> None:
    one_sentence(kinowatt("label", tmp_path / "none.mp4"), "none.mp4")
    (tmp_path / "words.mp4").write_bytes(b"once upon a time " * 50)
    one_sentence(kinowatt("label", tmp_path / "words.mp4"), "words.mp4")
    one_sentence(kinowatt("label", clip, "--svg", tmp_path / "no" / "a.svg"), "does not exist")
    one_sentence(kinowatt("label", clip, "--png", tmp_path), "is a folder")


def test_a_budget_that_nothing_fits_is_refused_before_loading(
    kinowatt: Callable[..., Ran], small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("generate", "a red ball", "--model", small_model, "--runtime", "torch", "--size", "64x64", "--seconds", "0.5")
    for steps in (1, 2, 3):
        assert kinowatt(*words, "--steps", steps, "-o", tmp_path / "a.mp4").code == 0

    def load(*given: object) -> None:
        raise AssertionError("a joule was spent")

    monkeypatch.setattr("kinowatt.engine.load.load", load)
    for budget in (("--budget-wh", "1e-7"), ("--budget-gco2e", "1e-8")):
        ran = kinowatt(*words, *budget, "-o", tmp_path / "b.mp4")
        assert ran.code == 2
        assert "too small" in ran.err
        assert "for loading the model" in ran.err
    assert not (tmp_path / "b.mp4").exists()
