"""Several processes that make one thing (torchrun): what each of them meters, and the bill of all of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import replace

from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.devices import HOST_W_VARIABLE
from kinowatt.energy.embodied import KG_VARIABLE
from kinowatt.errors import ShotError


def several() -> bool:
    """Whether this process was started as one of several (torchrun's WORLD_SIZE)."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def speaks() -> bool:
    """Whether this process is alone or the first of several: the one that prints and writes."""
    return int(os.environ.get("RANK", "0")) == 0


def take_own() -> None:
    """Let this process see and meter what is its own: the GPU of its number. To be called before CUDA is used and a Meter is made.

    Counters of the whole host (RAPL) are shared by all that meter it (see shares.py), CPU time and memory are each process's own;
    what is told once per machine, its stated power and its making, is left to the first process there. ShotError without a GPU for each.
    """
    local = int(os.environ["LOCAL_RANK"])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else None
    if gpus is not None and local >= len(gpus):
        raise ShotError(f"there are {len(gpus)} GPUs in CUDA_VISIBLE_DEVICES; start as many processes: --nproc-per-node {len(gpus)}")
    if visible != "":
        os.environ["CUDA_VISIBLE_DEVICES"] = str(local) if gpus is None else gpus[local]
    if local:
        os.environ.pop(HOST_W_VARIABLE, None)
        if os.environ.get(KG_VARIABLE):
            os.environ[KG_VARIABLE] = "0"


def joint(bills: Sequence[EnergyBill]) -> EnergyBill:
    """The bill of all processes, the first one's own first: joules add up, time does not, for they worked side by side.

    The making of the hardware is told only where the machine's is stated as one: each process would count the processor that they share.
    """
    first, whole = bills[0], functools.reduce(EnergyBill.__add__, bills)
    if len(bills) == 1:
        return first
    phases = {name: replace(energy, wall_s=first.phases.get(name, Energy()).wall_s) for name, energy in whole.phases.items()}
    energy = replace(whole.energy, wall_s=first.energy.wall_s)
    return replace(whole, energy=energy, phases=phases, embodied_gCO2e=whole.embodied_gCO2e if os.environ.get(KG_VARIABLE) else None)
