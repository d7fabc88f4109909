"""What several tests share: a small untrained model on disk, and the command line run in this process."""

from __future__ import annotations

import dataclasses
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from kinowatt import cli, language
from kinowatt.models import weights
from kinowatt.models.director import Director, DirectorConfig
from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.interpolator import Interpolator, InterpolatorConfig
from kinowatt.models.observer import Observer, ObserverConfig
from kinowatt.models.painter import Painter, PainterConfig
from kinowatt.models.poser import Poser, PoserConfig
from kinowatt.models.text import TextConfig, TextEncoder
from kinowatt.models.vae import CodecConfig, VideoCodec


def pytest_configure() -> None:
    """Workers share the cores: each has its part of them, and so have the processes that its tests start."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)


class Ran(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def quietly() -> Iterator[None]:
    """Deprecations that other libraries tell of among themselves are not ours to mend; our own warnings stay errors elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For networks so small, more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger and a certificate of this test alone; and nothing of the developer's choice of electricity."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KINOWATT_HOME", str(folder))
    for name in ("ZONE", "PUE", "INTENSITY_CSV", "ELECTRICITY_MAPS_TOKEN", "EMBODIED_KG", "LIFETIME_YEARS", "CPU_W_PER_CORE", "HOST_W"):
        monkeypatch.delenv(f"KINOWATT_{name}", raising=False)
    return folder


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of spark's networks at random: everything works, nothing looks like anything."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    sizes = CodecConfig(width=8, blocks=1)
    codec = VideoCodec(sizes)
    for parameter in codec.decoder.parameters():
        if parameter.ndim > 1:  # the default start is so small that all latents would look alike
            torch.nn.init.kaiming_normal_(parameter)
    weights.save(folder / "codec.safetensors", dict(codec.state_dict()), {"codec": dataclasses.asdict(sizes)})
    levels = InterpolatorConfig(widths=(8, 8))
    interpolator = Interpolator(levels)
    for step in interpolator.steps:  # zero at the start, as if nothing moved
        torch.nn.init.normal_(step.conv_out.weight, std=0.1)
    weights.save(folder / "interpolator.safetensors", dict(interpolator.state_dict()), {"interpolator": dataclasses.asdict(levels)})
    paints = PainterConfig(width=16, layers=1, thing_width=16, thing_layers=1, text_width=16)
    painter = Painter(paints, language.VOCABULARY)
    for network in (painter.place, painter.things, painter.shadows):  # zero at the start, as if all were of one colour
        torch.nn.init.normal_(network.outward.weight)
    painted = {"painter": dataclasses.asdict(paints), "vocabulary": list(language.VOCABULARY)}
    weights.save(folder / "painter.safetensors", dict(painter.state_dict()), painted)
    dit = dataclasses.replace(DITS["xs"], layers=2)
    text = TextConfig(language.VOCABULARY, width=dit.text_dim)
    network = VideoDiT(dit)
    for linear in (network.proj_out, network.condition_embedder.time_proj):  # zero at the start, which would hide all the rest
        torch.nn.init.normal_(linear.weight, std=0.05)
    tensors = {f"dit.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"text.{k}": v for k, v in TextEncoder(text).state_dict().items()}
    config = {"dit": dataclasses.asdict(dit), "text": text.to_json(), "shift": 2.0, "standing": 0.9}
    weights.save(folder / "denoiser.safetensors", tensors, config)
    directs = DirectorConfig(width=32, heads=2, layers=1, text_width=16)
    director = Director(directs, language.VOCABULARY)
    torch.nn.init.normal_(director.outward.weight, std=0.5)
    told = {"director": dataclasses.asdict(directs), "vocabulary": list(language.VOCABULARY)}
    weights.save(folder / "director.safetensors", dict(director.state_dict()), told)
    turns = PoserConfig(width=32, heads=2, layers=1, text_width=16)
    poser = Poser(turns, language.VOCABULARY)
    torch.nn.init.normal_(poser.outward.weight, std=0.5)
    turned = {"poser": dataclasses.asdict(turns), "vocabulary": list(language.VOCABULARY)}
    weights.save(folder / "poser.safetensors", dict(poser.state_dict()), turned)
    looks = ObserverConfig(widths=(8, 8, 8))
    observer = Observer(looks)
    torch.nn.init.zeros_(observer.leave[-1].bias)  # it finds something in any picture
    weights.save(folder / "observer.safetensors", dict(observer.state_dict()), {"observer": dataclasses.asdict(looks)})
    return folder


@pytest.fixture
def kinowatt(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a verb of the command line as its users do."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["kinowatt", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capfd.readouterr()
        return Ran(int(left.value.code or 0), said.out, said.err)

    return run
