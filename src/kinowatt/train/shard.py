"""Training by several processes: weights in shards (FSDP2), to each process its rows of a batch, and checkpoints that all write.

    torchrun --nproc-per-node 8 -m kinowatt train spark --recipe gpu

Every step is that of one process with the same batch: all draw the same clips, levels and noise, and each computes its rows.
FSDP: Zhao et al. 2023, arXiv 2304.11277. Legend: protocols.py.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from kinowatt.engine.parallel import World
from kinowatt.errors import OutputError, WeightsError
from kinowatt.models import weights
from kinowatt.models.dit import VideoDiT
from kinowatt.models.protocols import Denoiser
from kinowatt.models.text import TextEncoder
from kinowatt.train import checkpoint
from kinowatt.train.checkpoint import State


def shard(module: nn.Module, world: World) -> None:
    """Divide the parameters of a module among the processes: those of every block of a video DiT, of a text encoder, and the rest.

    A process gathers a block only while it computes it. To be called before the optimiser is made; `module` is used by its forward.
    """
    # That a block returns a view would matter to changes in place; nothing here is changed so.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    mesh = DeviceMesh.from_group(world.everyone, world.device.type)
    for part in module.modules():
        if isinstance(part, VideoDiT):
            for block in part.blocks:
                fully_shard(block, mesh=mesh)
        elif isinstance(part, TextEncoder):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh, reshard_after_forward=True)  # also the rest, or an examination would end with it unsharded


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A sharded tensor in full, in every process; another one as it is. To be called by all."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class Rows:
    """A denoiser of which each process computes its rows of the batch; all get the velocity of all, and the loss is that of the batch."""

    def __init__(self, denoise: Denoiser, world: World) -> None:
        self._denoise, self._world = denoise, world

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity of the shape of x; gradients flow into this process's rows only."""
        size, rank, batch = self._world.size, self._world.rank, len(x_BCFHW)
        each = -(-batch // size)
        rows = torch.arange(rank * each, (rank + 1) * each).clamp(max=batch - 1).to(x_BCFHW.device)
        own = self._denoise(x_BCFHW[rows], level_BF[rows], text_BLD[rows]).contiguous()
        if own.requires_grad:
            own.register_hook(lambda gradient: gradient * size)  # FSDP takes the mean of all processes; here it is to be the sum
        parts = [torch.empty_like(own) for _ in range(size)]
        dist.all_gather(parts, own.detach(), group=self._world.everyone)
        parts[rank] = own
        return torch.cat(parts)[:batch]


class Checkpoints:
    """Where a run keeps its state: one safetensors file, or, of several processes, a folder of shards; each can go on from either."""

    def __init__(self, folder: Path, name: str, world: World | None) -> None:
        self.file, self.shards, self._world = folder / f"{name}.checkpoint.safetensors", folder / f"{name}.checkpoint", world

    def save(self, state: State) -> None:
        """Write the state; a crash leaves the one before. OutputError if it cannot be written."""
        if self._world is None:
            checkpoint.save(self.file, state)
            return
        number = self._world.agreed(max([0, *self._numbers()]) + 1)
        aside, path = self.shards / f".{number}", self.shards / str(number)
        if self._world.rank == 0:
            shutil.rmtree(aside, ignore_errors=True)
        try:
            save(checkpoint.tensors_of(state) | {"progress": json.dumps(state.progress)}, checkpoint_id=aside)
        except (OSError, CheckpointException) as error:
            raise OutputError(f"cannot write the checkpoint {aside}: {error}") from error
        if self._world.rank == 0:
            aside.replace(path)
            for old in self._numbers():
                if old != number:
                    shutil.rmtree(self.shards / str(old), ignore_errors=True)
        dist.barrier()

    def restore(self, state: State) -> None:
        """Fill the state from the newest checkpoint, if there is one. WeightsError if it is damaged or of another recipe."""
        newest = [self.shards / str(max(found))] if (found := self._numbers()) else []
        if self.file.exists():
            newest.append(self.file)
        if not newest:
            return
        path = max(newest, key=lambda p: p.stat().st_mtime)
        if path.is_dir():
            _restore_shards(path, state)
        else:
            _restore_file(path, state)

    def _numbers(self) -> list[int]:
        """Of the whole checkpoints in the folder."""
        return [int(p.name) for p in self.shards.iterdir() if p.name.isdecimal()] if self.shards.is_dir() else []


def _restore_shards(path: Path, state: State) -> None:
    try:
        sizes = FileSystemReader(path).read_metadata().state_dict_metadata
        tensors = _blank(state, sizes.keys() - {"progress"}, path)
        for name, tensor in tensors.items():
            if tuple(getattr(sizes[name], "size", ())) != tuple(tensor.shape):
                raise WeightsError(f"{path} belongs to another recipe; start without --resume ({name} has another shape)")
        read: dict[str, torch.Tensor | str] = {**tensors, "progress": ""}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # one process goes on from many: on purpose
            load(read, checkpoint_id=path)
    except (OSError, EOFError, UnpicklingError, CheckpointException) as error:
        raise WeightsError(f"the checkpoint {path} is damaged ({error}); delete it, or start without --resume") from error
    checkpoint.fill(state, tensors, json.loads(str(read["progress"])), path)


def _restore_file(path: Path, state: State) -> None:
    """Of one process's checkpoint each process takes its shards."""
    tensors, config = weights.load(path)
    for name, like in _blank(state, tensors, path).items():
        if isinstance(like, DTensor):
            tensors[name] = distribute_tensor(tensors[name], like.device_mesh, like.placements, src_data_rank=None)
    checkpoint.fill(state, tensors, config["progress"], path)


def _blank(state: State, names: Iterable[str], path: Path) -> dict[str, torch.Tensor]:
    """Room for tensors of a checkpoint: the state's own, and for the optimiser, which holds none before its first step, new ones."""
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    room = checkpoint.tensors_of(state)
    known = set(room)
    for name in set(names) - known:
        kind, index, slot = (*name.split("."), "", "")[:3]
        if kind != "optimizer" or int(index) >= len(parameters):
            raise WeightsError(f"{path} belongs to another recipe; start without --resume ({name} is not in it)")
        room[name] = torch.zeros(()) if slot == "step" else torch.zeros_like(parameters[int(index)], requires_grad=False)
    if absent := known - set(names):
        raise WeightsError(f"{path} belongs to another recipe; start without --resume ({min(absent)} is missing)")
    return room
