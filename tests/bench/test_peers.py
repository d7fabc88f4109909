"""The comparison with diffusers: contestants in processes of their own, their measures, ratios and table."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kinowatt.bench import peers
from kinowatt.bench.folders import PRESETS
from kinowatt.bench.peers import CPU, CUDA, Row, denoise_FLOP, ratio, table
from kinowatt.cli.bench import bench_app
from kinowatt.errors import DeviceError, ShotError

pytest.importorskip("diffusers", reason="bench compares with diffusers")


def row(name: str, denoise_s: list[float], decode_s: list[float], kind: str = "ours", tuned: bool = False) -> Row:
    n = len(denoise_s)
    made = Row(name, kind, tuned, 1.0, 2e12, 3.0, "what ran")
    made.denoise_s, made.decode_s = denoise_s, decode_s
    made.joules_J, made.peak_MiB, made.psnr_dB, made.latents_dB = [5.0] * n, [100.0] * n, [40.0] * n, [50.0] * n
    return made


def test_whole_pipelines_are_equal_and_each_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    words = ["peers", "--preset", "smoke", "--rounds", "1", "--only", "kinowatt, float32", "--json"]
    ran = CliRunner().invoke(bench_app, [*words, "--work", str(tmp_path / "work"), "-o", str(tmp_path / "peers.md")])
    assert ran.exit_code == 0, ran.output
    theirs, ours = json.loads(ran.stdout)
    assert (theirs["name"], ours["name"]) == ("diffusers", "kinowatt, float32")
    assert theirs["psnr_dB"] == [math.inf]
    assert ours["psnr_dB"][0] >= 50, "text, noise, levels, guidance, UniPC and codec are the same"
    assert ours["latents_dB"][0] >= 80
    assert ours["runs"].startswith("kinowatt torch float32")
    for made in (theirs, ours):
        assert made["denoise_s"][0] > 0 < made["decode_s"][0]
        assert made["joules_J"][0] > 0
        assert 100 < made["peak_MiB"][0] < 10_000
        assert made["peak_FLOPs"] > 1e9
    text = (tmp_path / "peers.md").read_text(encoding="utf-8")
    assert text.startswith("# kinowatt beside diffusers\n\n## smoke")
    assert "| kinowatt, float32 |" in text


def test_a_contestant_that_fails_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / "model_index.json").write_text('{"_class_name": "WanPipeline"}', encoding="utf-8")
    with pytest.raises(DeviceError, match="diffusers failed: ") as error:
        peers.compare("smoke", work=tmp_path)
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ShotError, match="'huge' is unknown; use smoke, tiny"):
        peers.compare("huge", work=tmp_path)
    with pytest.raises(ShotError, match="no contestant named 'sora'; there are diffusers; "):
        peers.compare("smoke", only=["sora"], work=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    base, ours = row("diffusers", [9.0, 18.0, 9.0], [1.0, 2.0, 1.0], "theirs"), row("kinowatt", [4.0, 4.5, 1.0], [1.0, 0.5, 1.0])
    assert ratio(ours, base) == 4.0, "2, 4 and 5: a round in which all is slow says as much as any"
    assert ratio(base, base) == 1.0


def test_the_table_has_a_row_for_each() -> None:
    rows = [row("diffusers", [9.0], [1.0], "theirs"), row("tuned", [4.0], [1.0], "theirs", tuned=True), row("kinowatt", [2.0], [0.5])]
    lines = table(rows, "tiny", "cpu", 10).splitlines()
    ours = next(line for line in lines if line.startswith("| kinowatt")).split(" | ")
    assert ours[1:4] == ["2.50", "2.00", "0.50"]
    assert ours[8:11] == ["4.00", "2.00", "4.50"], "against diffusers as it is, tuned, and denoising alone"
    assert ours[4] == "5 (modelled)"
    share = denoise_FLOP(PRESETS["tiny"], 10) / 2.0 / 2e12
    assert ours[11] == f"{share:.0%} |"


def test_operations_are_those_that_were_counted() -> None:
    """283 TFLOP per pass, counted for the design; two passes a step."""
    found = denoise_FLOP(PRESETS["wan2.1-1.3b-480p"], 50) / 100
    assert math.isclose(found, 283e12, rel_tol=0.02)


def test_each_device_has_a_first_contestant_as_users_run_it_and_one_tuned() -> None:
    for contestants in (CPU, CUDA):
        assert contestants[0].kind == "theirs"
        assert not contestants[0].options["compiled"]
        assert [c.tuned for c in contestants].count(True) == 1
        assert len({c.name for c in contestants}) == len(contestants)
