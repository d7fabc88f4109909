"""What several processes make together is what one process makes: guidance in halves, tokens in parts, and both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import several
from kinowatt.energy.devices import CpuModel
from kinowatt.energy.meter import Meter
from kinowatt.engine import noise, parallel, sample
from kinowatt.engine.engine import Progress
from kinowatt.engine.parallel import World
from kinowatt.errors import DeviceError, ShotError
from kinowatt.media.image import read_image
from kinowatt.media.provenance import read_label
from kinowatt.models import layers
from kinowatt.models.dit import DiTConfig, VideoDiT
from kinowatt.models.layers import Places
from kinowatt.models.protocols import Conditioning, Denoiser
from kinowatt.models.wan import Experts, WanDenoiser

SIZE = (3, 6, 10)  # latents; 3 x 15 tokens, which no number of processes but 3 and 5 divides


def network(seed: int, **more: Any) -> VideoDiT:
    """A small DiT with nothing in it zero."""
    torch.manual_seed(seed)
    dit = VideoDiT(DiTConfig(**({"heads": 4, "head_dim": 12, "ffn_dim": 40, "layers": 2, "text_dim": 10, "freq_dim": 16} | more)))
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return dit.eval().requires_grad_(False)


def own_frame(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, places: Places) -> torch.Tensor:
    """Another self-attention: every latent frame by itself."""
    assert len(places.cos) == q.shape[1]
    frames = places.size[0]
    q, k, v = (t.unflatten(1, (frames, -1)).flatten(0, 1) for t in (q, k, v))
    return layers.attend(q, k, v).unflatten(0, (-1, frames)).flatten(1, 2)


def plain() -> tuple[Denoiser, list[VideoDiT]]:
    dit = network(0, in_channels=5, out_channels=5)
    return dit, [dit]


def windowed() -> tuple[Denoiser, list[VideoDiT]]:
    dit = network(0, in_channels=5, out_channels=5)
    dit.blocks[0].attn1.attend = own_frame  # type: ignore[union-attr, assignment]
    return dit, [dit]


def image_to_video() -> tuple[Denoiser, list[VideoDiT]]:
    """Two experts of Wan 2.1's kind: mask and image beside the noise, image tokens beside the text."""
    high, low = (network(seed, in_channels=5 + 9, out_channels=5, image_dim=7) for seed in (1, 2))
    channels, image = torch.randn(1, 9, *SIZE), torch.randn(1, 11, 7)
    return WanDenoiser(Experts(high, low, 0.6), channels, image), [high, low]


CASES: dict[str, Callable[[], tuple[Denoiser, list[VideoDiT]]]] = {"plain": plain, "windowed": windowed, "i2v": image_to_video}


def denoised(denoiser: Denoiser) -> torch.Tensor:
    """A whole denoising: guidance, at every second step only, and a given first frame."""
    draw = torch.Generator().manual_seed(3)
    text = torch.randn(2, 24, 10, generator=draw)
    text[0, 5:], text[1, 2:] = 0.0, 0.0
    known, ceiling = torch.randn(1, 5, *SIZE, generator=draw), torch.tensor([[0.0, 1.0, 0.7]])
    cond = Conditioning(text[:1], text[1:], known, ceiling)
    start = torch.randn(1, 5, *SIZE, generator=draw)
    return sample.denoise(denoiser, cond, start, noise.schedule(4, SIZE[0], shift=2.0), guidance=3.0, cache=2)


Made = dict[tuple[str, str], tuple[torch.Tensor, set[tuple[int, int]]]]


def in_parallel(ways: list[parallel.Prefer]) -> tuple[Made, str, list[float]]:
    """In one of the processes: latents per way and case, with the batches and tokens that its blocks saw; and how a cancel ended."""
    world = parallel.start("cpu")
    assert world is not None
    made: Made = {}
    for prefer in ways:
        for name, case in CASES.items():
            denoiser, dits = case()
            seen: set[tuple[int, int]] = set()
            for dit in dits:
                dit.blocks[0].register_forward_pre_hook(lambda block, given, seen=seen: seen.add(tuple(given[0].shape[:2])))
            made[prefer, name] = denoised(parallel.Parallel(denoiser, dits, world, prefer)), seen
    assert world.unanimous(True)
    assert not world.unanimous(world.rank == 0)
    ended, told = cancelled(world)
    world.leave()
    return made, ended, told


def cancelled(world: World) -> tuple[str, list[float]]:
    """In one of the processes: how it ended as process 0 was told of the second step, and the CPU joules that it was told of."""
    told: list[float] = []
    with Meter([CpuModel()], zone="FR") as meter:

        def tell(progress: Progress) -> None:
            assert progress.bill.energy.cpu_modelled_J is not None
            told.append(progress.bill.energy.cpu_modelled_J)
            if progress.done == 2:
                raise KeyError("enough")

        try:
            tell_all = world.in_step(tell)
            for done in range(4):
                tell_all(Progress("denoise", done, 4, meter.so_far()))
        except (KeyError, DeviceError) as error:
            return repr(error), told
    return "not cancelled", told


# Half a batch of all 45 tokens, and half the tokens at steps of one pass; half the tokens of both; half of each, and quarters.
TWO = {"guidance": {(1, 45), (1, 24)}, "ulysses": {(2, 24), (1, 24)}}
FOUR = {"guidance": {(1, 24), (1, 12)}}


@pytest.mark.parametrize(("count", "ways"), [(2, TWO), (4, FOUR)])
def test_several_processes_make_what_one_makes_and_stop_as_one(count: int, ways: dict[str, set[tuple[int, int]]]) -> None:
    results = several.run(count, __file__, "in_parallel", list(ways))
    for name, case in CASES.items():
        alone = denoised(case()[0])
        for prefer, seen in ways.items():
            for rank in range(count):
                made, saw = results[rank][0][prefer, name]
                assert saw == seen, "the work is divided"
                assert (made - alone).abs().max() <= 1e-5, f"{name}, process {rank}"
                assert torch.equal(made, results[0][0][prefer, name][0]), "all hold the same latents"
    (_, first, told), *others = results
    assert first == "KeyError('enough')"
    assert len(told) == 3
    for _, ended, nothing in others:
        assert "DeviceError" in ended
        assert "process 0 stopped: 'enough'" in ended
        assert not nothing, "the others are silent"


def test_heads_say_how_many_processes_can_share_them() -> None:
    assert parallel.ways(2, 12, guided=True) == (2, 1)
    assert parallel.ways(4, 12, guided=True) == (2, 2)
    assert parallel.ways(8, 12, guided=True) == (2, 4)
    assert parallel.ways(3, 12, guided=True) == (1, 3)
    assert parallel.ways(4, 12, guided=True, prefer="ulysses") == (1, 4)
    assert parallel.ways(4, 12, guided=False) == (1, 4)
    with pytest.raises(ShotError, match="12 heads cannot be divided among 8 processes without guidance; start 1, 2, 3, 4, 6 or 12"):
        parallel.ways(8, 12, guided=False)
    with pytest.raises(ShotError, match="4 heads cannot be divided among 6 processes; start 1, 2, 4 or 8"):
        parallel.ways(6, 4, guided=True)


def test_torchrun_makes_the_picture_that_one_process_makes(small_model: Path, tmp_path: Path) -> None:
    words = ["-m", "kinowatt", "generate", "a red ball", "--model", str(small_model), "--runtime", "torch", "--size", "64x64"]
    words += ["--steps", "2", "--json", "--device", "cpu", "--guidance", "3"]
    pictures, bills = {}, {}
    # No seed with torchrun: each process would draw its own, and yet all make one picture. The other run is given that seed.
    for name, start in (("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]), ("one", [])):
        seed = ["--seed", str(bills["two"]["seed"])] if bills else []
        out = tmp_path / f"{name}.png"
        ran = subprocess.run([sys.executable, *start, *words, *seed, "-o", str(out)], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        (line,) = ran.stdout.splitlines()
        bills[name], pictures[name] = json.loads(line), read_image(out).frames_TCHW.astype(int)
    assert abs(pictures["two"] - pictures["one"]).max() <= 1
    assert pictures["one"].std() > 5
    assert bills["two"]["runtime"] == bills["one"]["runtime"] + ", 2 processes"
    in_all_J, in_label_J = (row["energy"]["cpu_modelled_J"] for row in (bills["two"], read_label(tmp_path / "two.png")))
    assert 0.8 * in_all_J < in_label_J <= in_all_J, "the label, written before the end, holds the joules of both"
