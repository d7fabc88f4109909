"""Arithmetic of our own models against torch's counter, and where a model runs as its ledger tells."""

from __future__ import annotations

import json
import math
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kinowatt.energy import carbon
from kinowatt.energy.anatomy import KNOWN
from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.predict import LEAST_HISTORY, Past, Work
from kinowatt.energy.processors import gpu
from kinowatt.engine import cost
from kinowatt.engine.cost import Place
from kinowatt.engine.plan import fill
from kinowatt.errors import WeightsError
from kinowatt.models import model as models
from kinowatt.models.specs import SPARK, ModelSpec, find
from kinowatt.shot import Shot


@pytest.fixture(scope="module")
def spark() -> models.Model:
    return models.load(SPARK, torch.device("cpu"))


def counted(run: Any) -> int:
    """Floating-point operations of a call, by torch's counter: matrices and convolutions, with two per multiply-add.

    Attention as plain products of matrices: the counter does not know the fused one of CPUs.
    """
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def test_parameters_are_those_of_the_file(spark: models.Model) -> None:
    anatomy = cost.of(SPARK)
    ends = spark.dit.ends
    assert ends is not None
    finer = {p for part in (ends.conv_in, ends.before, ends.after, ends.conv_out) for p in part.parameters()}
    assert anatomy.parameters == sum(p.numel() * (4 if p in finer else 1) for p in spark.dit.parameters()), "what one token meets"
    assert (anatomy.width, anatomy.layers) == (spark.dit.config.width, spark.dit.config.layers)
    assert anatomy.stride == tuple(spark.codec.stride)
    assert anatomy.patch == spark.dit.config.patch
    assert (anatomy.frames, anatomy.size, anatomy.steps, anatomy.passes) == (33, SPARK.size, SPARK.steps, 1 if SPARK.one_pass else 2)


@pytest.mark.parametrize(("frames", "side"), [(33, 128), (65, 160)])
def test_a_pass_is_what_torch_counts(spark: models.Model, frames: int, side: int) -> None:
    """Left out on our side: attention to the text, and that time and text embedders see fewer tokens than the clip has."""
    anatomy, config = cost.of(SPARK), spark.text.config
    latents = (frames - 1) // 4 + 1
    inputs = (
        torch.zeros(1, spark.dit.config.in_channels, latents, side // 16, side // 16),
        torch.zeros(1, latents),
        torch.zeros(1, config.tokens, config.width),
    )
    tokens = anatomy.tokens(frames, side, side)
    assert tokens == latents * (side // 16) ** 2
    assert anatomy.pass_FLOP(tokens) == pytest.approx(counted(lambda: spark.dit(*inputs)), rel=0.25)


def test_attention_is_what_torch_counts(spark: models.Model) -> None:
    """Twice the tokens: what grows by more than twice is attention, with little else in it."""
    anatomy, text = cost.of(SPARK), torch.zeros(1, 4, spark.text.config.width)
    inputs = [torch.zeros(1, spark.dit.config.in_channels, f, 16, 16) for f in (8, 16)]
    flop = [counted(lambda x=x: spark.dit(x, torch.zeros(1, x.shape[2]), text)) for x in inputs]
    ours = [anatomy.pass_FLOP(f * 256) for f in (8, 16)]
    assert ours[1] - 2 * ours[0] == pytest.approx(flop[1] - 2 * flop[0], rel=0.05)


@pytest.mark.parametrize("which", ["spark", "small"])
def test_decoding_is_what_torch_counts(spark: models.Model, small_model: Path, which: str) -> None:
    spec = SPARK if which == "spark" else find(str(small_model))
    model = spark if which == "spark" else models.load(spec, torch.device("cpu"))
    anatomy, latents = cost.of(spec), torch.zeros(1, 48, 9, 8, 8)
    decoded = counted(lambda: [*model.codec.decode_stream(latents)]) / (36 * 128 * 128)  # 36 frames are computed, 33 are shown
    assert model.interpolator is not None
    before, after = torch.zeros(2, 8, 3, 128, 128)
    between = counted(lambda: model.interpolator(before, after, torch.tensor([0.25, 0.5, 0.75]))) / (32 * 128 * 128)
    assert anatomy.decode_FLOP == pytest.approx(decoded + between, rel=0.01)


ONE_PASS, TWO_PASSES = (replace(SPARK, guidance=5.0, one_pass=strength) for strength in (5.0, None))


def test_a_plan_has_the_passes_that_guidance_and_cache_leave() -> None:
    anatomy = cost.of(SPARK)
    one = anatomy.pass_FLOP(anatomy.tokens(33, *SPARK.size))

    def passes(spec: ModelSpec = TWO_PASSES, **given: Any) -> float:
        of = replace(anatomy, passes=1 if spec.one_pass else 2)
        return cost.work(fill(Shot("a ball", steps=10, **given), spec), of).denoise_FLOP / one

    assert passes() == 20
    assert passes(guidance=1.0) == 10
    assert passes(ONE_PASS) == 10
    assert passes(ONE_PASS, guidance=3.0) == passes(ONE_PASS, negative="fog") == 20
    assert passes(cache=2) == 15
    assert passes(cache=3) == 14
    assert passes(cache=100) == 11
    assert cost.work(fill(Shot("a ball", steps=10), SPARK), anatomy).steps == 10


def test_a_plan_costs_what_its_canvas_costs() -> None:
    anatomy = cost.of(SPARK)
    odd, full = (cost.work(fill(Shot("a ball", size=size), SPARK), anatomy) for size in ((66, 34), (80, 48)))
    assert odd == full, "the network computes whole patches"
    big, most = (cost.work(fill(Shot("a ball", size=size), SPARK), anatomy) for size in ((1920, 1920), SPARK.size))
    assert big == most, "larger pictures are enlarged"
    on_paper = cost.work_on_paper(anatomy, (80, 48), 33, SPARK.steps, anatomy.passes)
    assert on_paper == full


def test_every_model_is_found(small_model: Path, tmp_path: Path) -> None:
    assert cost.find("spark") == cost.of(SPARK)
    assert cost.find("hunyuanvideo-13b") is KNOWN["hunyuanvideo-13b"]
    assert cost.find(str(small_model)).name == "tiny"
    with pytest.raises(WeightsError, match=r"sora-9.*known are spark, .*wan2.1-t2v-14b") as told:
        cost.find("sora-9")
    assert "\n" not in str(told.value)
    with pytest.raises(WeightsError):
        cost.find(str(tmp_path))


@pytest.mark.parametrize("harm", ["cut", "words", "missing", "long", "no config", "other shapes"])
def test_damaged_weights_are_one_sentence(small_model: Path, tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder)
    path = folder / "denoiser.safetensors"
    whole = path.read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + size])
    if harm == "missing":
        path.unlink()
    elif harm == "no config":
        header["__metadata__"] = {}
    elif harm == "other shapes":
        header["__metadata__"]["config"] = json.dumps({"dit": {"patch": [1]}})
    if harm in ("no config", "other shapes"):
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text)
    elif harm != "missing":
        path.write_bytes({"cut": whole[:1000], "words": b"hello", "long": struct.pack("<Q", 2**62) + whole}[harm])
    spec = replace(SPARK, folder=folder)
    with pytest.raises(WeightsError) as told:
        cost.of(spec)
    assert "\n" not in str(told.value)


def add(ledger: Ledger, device: str, runtime: str, gpu_J: float | None = None, model: str = "spark", count: int = 1) -> None:
    bill = EnergyBill(Energy(9.0, gpu_J=gpu_J, cpu_modelled_J=50.0), carbon.intensity("FR"))
    for _ in range(count):
        ledger.add(
            Run("generate", model, device, runtime, bill.to_json(), Work(1e12, 1e10, 20), frames=33, width=128, height=128, steps=20)
        )


def test_a_model_runs_where_it_ran_last() -> None:
    ledger = Ledger()
    assert cost.here(ledger, "spark") == (cost.guess(), [])
    add(ledger, "NVIDIA H100 80GB HBM3", "torch bfloat16", 400.0)
    add(ledger, "a chip, 2 threads", "torch float32", gpu_J=20.0)  # on a CPU, beside a GPU that idled
    place, past = cost.here(ledger, "spark")
    assert place == Place("a chip, 2 threads", "torch float32", is_gpu=False)
    assert [p.joules_J for p in past] == [70.0]
    add(ledger, "GRID A100X-40C", "torch bfloat16")  # a virtual GPU without a counter
    assert cost.here(ledger, "spark")[0].is_gpu


def test_a_first_run_on_a_cpu_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "gpus", list)
    assert cost.guess().runtime == "openvino"
    assert not cost.guess().is_gpu
    monkeypatch.setattr(cost, "gpus", lambda: [type("Found", (), {"gpu": "NVIDIA H200"})()])
    assert cost.guess() == Place("NVIDIA H200", "torch bfloat16", is_gpu=True)


def test_history_of_a_gpu_is_found_by_any_of_its_names() -> None:
    h100, ledger = gpu("H100"), Ledger()
    assert h100 is not None
    assert cost.past_on(ledger, "spark", h100) == []
    add(ledger, "NVIDIA H100 80GB HBM3", "torch bfloat16", 400.0, count=2)
    assert [p.joules_J for p in cost.past_on(ledger, "spark", h100)] == [400.0, 400.0], "of the GPU alone"
    a100 = gpu("A100")
    assert a100 is not None
    assert cost.past_on(ledger, "spark", a100) == []
    add(ledger, "a chip, 2 threads", "torch float32")
    assert cost.past_on(ledger, "spark", h100) == [], "it runs elsewhere now"


def test_an_unknown_gpu_is_predicted_from_history_alone() -> None:
    anatomy, place, work = cost.of(SPARK), Place("GRID A100X-40C", "torch bfloat16", is_gpu=True), Work(1e12, 1e10, 20)
    past = [Past(work, 90.0 + n, 3.0) for n in range(LEAST_HISTORY)]
    assert cost.predicted(work, anatomy, place, past[:-1]) is None
    found = cost.predicted(work, anatomy, place, past)
    assert found is not None
    assert found.Wh * 3600 == pytest.approx(91.0, rel=0.02)
    cpu = cost.predicted(work, anatomy, Place("a chip", "openvino bfloat16", is_gpu=False), [])
    assert cpu is not None
    assert math.log(cpu.p90_Wh / cpu.Wh) > 0.5, "a guess, and said to be one"


def test_calibration_takes_the_models_own_runs_here(small_model: Path) -> None:
    ledger = Ledger()
    add(ledger, "an old chip, 4 threads", "torch float32", model="tiny")
    add(ledger, "a chip, 2 threads", "torch float32", model="tiny", count=5)
    add(ledger, "a chip, 2 threads", "torch float32", model="other", count=3)
    found = cost.calibrate(ledger, str(small_model))
    assert len(found.own) == 5
    assert len(found.published) == 10
    assert found.place == "a chip, 2 threads, torch float32"
    assert found.own[0].name == "tiny 128x128x33, 20 steps"
    assert [abs(c.error) < 0.01 for c in found.own] == [False] * LEAST_HISTORY + [True, True]
    assert cost.calibrate(ledger, "wan2.1-t2v-14b").own == ()


def test_a_folder_is_known_by_its_name(small_model: Path) -> None:
    spec: ModelSpec = find(str(small_model))
    assert cost.of(spec).name == spec.name == "tiny"
    assert "torch" in sys.modules  # here; the command line plans without it (test_cli_energy.py)
