"""What each of several processes meters, and the bill of all."""

from __future__ import annotations

import os

import pytest

from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.carbon import intensity
from kinowatt.energy.processes import joint, several, speaks, take_own
from kinowatt.errors import ShotError


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)


def join(monkeypatch: pytest.MonkeyPatch, local: int, **more: str) -> None:
    for name, value in {"WORLD_SIZE": "4", "RANK": str(local), "LOCAL_RANK": str(local), **more}.items():
        monkeypatch.setenv(name, value)


def test_a_process_alone_speaks() -> None:
    assert not several()
    assert speaks()


def test_each_takes_its_gpu_and_the_first_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"KINOWATT_HOST_W": "100", "KINOWATT_EMBODIED_KG": "900"}
    join(monkeypatch, 0, CUDA_VISIBLE_DEVICES="4,6", **whole)
    take_own()
    assert several()
    assert speaks()
    assert {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", *whole)} == {"CUDA_VISIBLE_DEVICES": "4", **whole}
    join(monkeypatch, 1, CUDA_VISIBLE_DEVICES="4,6", **whole)
    take_own()
    assert not speaks()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    assert "KINOWATT_HOST_W" not in os.environ
    assert os.environ["KINOWATT_EMBODIED_KG"] == "0"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    take_own()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    join(monkeypatch, 2, CUDA_VISIBLE_DEVICES="4,6")
    with pytest.raises(ShotError, match="2 GPUs in CUDA_VISIBLE_DEVICES; start as many processes: --nproc-per-node 2"):
        take_own()


def test_joules_add_up_and_time_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def bill(gpu_J: float | None, wall_s: float, host_J: float | None) -> EnergyBill:
        energy = Energy(wall_s, gpu_J=gpu_J, host_modelled_J=host_J)
        return EnergyBill(energy, intensity("FR"), {"denoise": energy}, embodied_gCO2e=2.0)

    both = joint([bill(10.0, 4.0, 7.0), bill(30.0, 5.0, None)])
    assert both.energy == both.phases["denoise"] == Energy(4.0, gpu_J=40.0, host_modelled_J=7.0)
    assert both.embodied_gCO2e is None
    monkeypatch.setenv("KINOWATT_EMBODIED_KG", "900")
    assert joint([bill(10.0, 4.0, 7.0), bill(30.0, 5.0, None)]).embodied_gCO2e == 4.0
    alone = bill(10.0, 4.0, None)
    assert joint([alone]) is alone
