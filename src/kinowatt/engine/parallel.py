"""One take by several processes, each with a GPU of its own: guidance in two halves, and the tokens of a pass in parts.

    torchrun --nproc-per-node 4 -m kinowatt generate "a red ball bounces" --model wan2.1-t2v-14b

Every process does the same with the same seed and so holds the same latents; only the networks' work is divided, and process 0 alone
speaks, decodes and writes. Tokens in parts are DeepSpeed-Ulysses (Jacobs et al. 2023, arXiv 2309.14509): between two all-to-alls a
process attends with all tokens of some heads. Legend: B batch, C channels, F latent frames, P tokens of a latent frame, L tokens, D width.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from einops import rearrange

from kinowatt.energy.processes import joint, several
from kinowatt.errors import DeviceError, ShotError
from kinowatt.models import layers
from kinowatt.models.dit import Flow, VideoDiT
from kinowatt.models.layers import Attend, Places
from kinowatt.models.protocols import Denoiser

if TYPE_CHECKING:
    from kinowatt.engine.engine import Engine, Progress

T = TypeVar("T")
Prefer = Literal["guidance", "ulysses"]
# How long one process waits for the others before it gives up: loading and rendering differ by minutes. torchrun ends all as one ends.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True, eq=False)
class World:
    """This process among the others: its number, how many there are, and its device."""

    rank: int
    size: int
    device: torch.device
    # Held nowhere else: a group that outlives `leave` aborts the process at its end.
    _groups: dict[int, tuple[dist.ProcessGroup, dist.ProcessGroup]] = field(default_factory=dict)

    @property
    def everyone(self) -> dist.ProcessGroup:
        """The group of all, for tensors on the device."""
        return self.groups(self.size)[0]

    def agreed(self, value: T) -> T:
        """What process 0 gives here. To be called by all."""
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gathered(self, value: T) -> list[T]:
        """What each process gives here, in their order. To be called by all."""
        boxes: list[T] = [value] * self.size
        dist.all_gather_object(boxes, value)
        return boxes

    def unanimous(self, yes: bool) -> bool:
        """Whether all say yes here. To be called by all."""
        return all(self.gathered(yes))

    def groups(self, ulysses: int) -> tuple[dist.ProcessGroup, dist.ProcessGroup]:
        """Of `ulysses` processes that share tokens, and of those that hold the same part of them. To be called by all alike."""
        if ulysses not in self._groups:
            beside = [list(range(first, first + ulysses)) for first in range(0, self.size, ulysses)]
            across = [list(ranks) for ranks in zip(*beside, strict=True)]
            self._groups[ulysses] = self._mine(beside), self._mine(across)
        return self._groups[ulysses]

    def _mine(self, rows: list[list[int]]) -> dist.ProcessGroup:
        """Of groups, which all processes have to make together, the one of this process."""
        backend = "nccl" if self.device.type == "cuda" else "gloo"
        made = [dist.new_group(ranks, timeout=PATIENCE, backend=backend) for ranks in rows]
        return next(group for ranks, group in zip(rows, made, strict=True) if self.rank in ranks)

    def leave(self) -> None:
        """Leave the others; done at the end of the process where it was not before."""
        self._groups.clear()
        if dist.is_initialized():
            dist.destroy_process_group()

    def in_step(self, tell: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """Progress for all: process 0 is told, with the bill of all; what it raises there (a cancel) ends the others by a DeviceError."""

        def told(progress: Progress) -> None:
            bills, failed = self.gathered(progress.bill), None
            if self.rank == 0:
                try:
                    tell(replace(progress, bill=joint(bills)))
                except Exception as error:
                    failed = error
            why = self.agreed(None if failed is None else str(failed) or type(failed).__name__)
            if failed is not None:
                raise failed
            if why is not None:
                raise DeviceError(f"process 0 stopped: {why}")

        return told

    def once(self, stream: Callable[[torch.Tensor], Iterator[torch.Tensor]]) -> Callable[[torch.Tensor], Iterator[torch.Tensor]]:
        """A decoder that works in process 0 alone and gives its frames to all."""

        def shared(latents_BCFHW: torch.Tensor) -> Iterator[torch.Tensor]:
            pieces = stream(latents_BCFHW) if self.rank == 0 else iter(())
            while True:
                piece = next(pieces, None)
                kind = self.agreed(None if piece is None else (piece.shape, piece.dtype))
                if kind is None:
                    return
                piece = torch.empty(kind[0], dtype=kind[1], device=self.device) if piece is None else piece.contiguous()
                dist.broadcast(piece, 0, group=self.everyone)
                yield piece

        return shared


def start(device: str = "auto") -> World | None:
    """Join the other processes by torchrun's environment; None where this process is alone. ShotError without a GPU for each.

    A device is a process's own (see energy.processes.take_own). With "auto" it is a GPU if every process has one.
    """
    if not several():
        return None
    dist.init_process_group("gloo", timeout=PATIENCE)  # numbers and words go over the CPU, tensors by groups of their own
    rank, size = dist.get_rank(), dist.get_world_size()
    found: list[bool] = [False] * size
    dist.all_gather_object(found, device != "cpu" and torch.cuda.is_available())
    if any(found) and not all(found):
        raise ShotError(f"{size} processes were started and only {sum(found)} have a GPU; start one process for each GPU")
    where = torch.device("cuda", torch.cuda.current_device()) if all(found) else torch.device("cpu")
    world = World(rank, size, where)
    atexit.register(world.leave)
    return world


def least(value: float) -> float:
    """The smallest of all processes' values; the value itself where this process is alone."""
    if not dist.is_initialized():
        return value
    found = [0.0] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return min(found)


def ways(size: int, heads: int, guided: bool, prefer: Prefer = "guidance") -> tuple[int, int]:
    """How `size` processes divide a pass: (1 or 2 halves of the guidance, parts of the tokens). ShotError if they cannot.

    The halves of the guidance come first, for they exchange nothing but their result; parts of the tokens must divide the heads.
    """
    halves = 2 if guided and prefer == "guidance" and size % 2 == 0 else 1
    if heads % (size // halves):
        two = guided and prefer == "guidance"
        fit = [str(n) for n in range(1, 2 * heads + 1) if heads % (n // 2 if two and n % 2 == 0 else n) == 0]
        without = "" if guided else " without guidance"
        raise ShotError(f"{heads} heads cannot be divided among {size} processes{without}; start {', '.join(fit[:-1])} or {fit[-1]}")
    return halves, size // halves


class Parallel:
    """A denoiser whose work the processes divide: each calls it with the same, and each gets the whole.

    `dits`: the networks that it uses. A batch of two halves (with guidance: with text, and without) goes half to one group of
    processes, half to another. What the blocks' self-attention did before (`Attention.attend`) is done on all tokens of some heads.
    """

    def __init__(self, denoise: Denoiser, dits: Sequence[VideoDiT], world: World, prefer: Prefer = "guidance") -> None:
        self._denoise, self._world, self._prefer = denoise, world, prefer
        self._heads = dits[0].config.heads
        self._tokens = [Ulysses(dit, world) for dit in dits]

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity of the shape of x. ShotError if the heads cannot be divided so."""
        halves, parts = ways(self._world.size, self._heads, len(x_BCFHW) % 2 == 0, self._prefer)
        for tokens in self._tokens:
            tokens.share(parts)
        if halves == 1:
            return self._denoise(x_BCFHW, level_BF, text_BLD)
        half = self._world.rank // parts
        velocity = self._denoise(*(t.chunk(2)[half] for t in (x_BCFHW, level_BF, text_BLD))).contiguous()
        both = [torch.empty_like(velocity) for _ in range(2)]
        dist.all_gather(both, velocity, group=self._world.groups(parts)[1])
        return torch.cat(both)


class Ulysses:
    """The tokens of each latent frame in as many parts as processes share them (a `dit.Spread`); parts of unlike size are padded."""

    def __init__(self, dit: VideoDiT, world: World) -> None:
        self._dit, self._world, self._parts = dit, world, 1
        assert dit.spread is None
        dit.spread = self
        for block in dit.blocks:
            attention = block.attn1
            assert isinstance(attention, layers.Attention)
            attention.attend = functools.partial(self._attend, attention.attend or _all)

    def share(self, parts: int) -> None:
        """From now on in so many parts."""
        self._parts = parts

    def part(self, flow: Flow) -> Flow:
        """What this process computes."""
        places = flow.places
        if self._parts == 1:
            return flow
        cos, sin = (self._own(table[None], places.size[0])[0] for table in (places.cos, places.sin))
        return replace(flow, x_BLD=self._own(flow.x_BLD, places.size[0]), places=Places(places.size, cos, sin))

    def whole(self, x_BLD: torch.Tensor, flow: Flow) -> torch.Tensor:
        """All tokens from the parts of all."""
        if self._parts == 1:
            return x_BLD
        parts = [torch.empty_like(x_BLD) for _ in range(self._parts)]
        dist.all_gather(parts, x_BLD.contiguous(), group=self._world.groups(self._parts)[0])
        frames, rows, columns = flow.places.size
        return torch.cat([part.unflatten(1, (frames, -1)) for part in parts], 2)[:, :, : rows * columns].flatten(1, 2)

    def _own(self, x_BLD: torch.Tensor, frames: int) -> torch.Tensor:
        return self._split(x_BLD, frames)[:, :, self._world.rank % self._parts].flatten(1, 2)

    def _split(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """Tokens (B, L, ...) as (B, F, parts, P, ...), the last part filled up with zeros."""
        x = x.unflatten(1, (frames, -1))
        fill = [0, 0] * (x.ndim - 3) + [0, -x.shape[2] % self._parts]
        return F.pad(x, fill).unflatten(2, (self._parts, -1))

    def _attend(self, attend: Attend, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, places: Places) -> torch.Tensor:
        """Self-attention (B, L, heads, head_dim) of the own tokens to those of all."""
        if self._parts == 1:
            return attend(q, k, v, places)
        frames, rows, columns = places.size
        own = torch.stack([q, k.to(q.dtype), v.to(q.dtype)])
        sent = rearrange(own, "s b (f p) (n h) d -> n s b f p h d", n=self._parts, f=frames)
        heads = rearrange(self._exchanged(sent), "n s b f p h d -> s b f (n p) h d")
        q, k, v = heads[:, :, :, : rows * columns].flatten(2, 3)  # what filled up a part is not attended to
        mixed = attend(q, k, v, self._dit.places(places.size, q.device))
        sent = rearrange(self._split(mixed, frames), "b f n p h d -> n b f p h d")
        return rearrange(self._exchanged(sent), "n b f p h d -> b (f p) (n h) d")

    def _exchanged(self, sent: torch.Tensor) -> torch.Tensor:
        """Row n goes to process n, and in row n is what came from it."""
        sent = sent.contiguous()
        got = torch.empty_like(sent)
        dist.all_to_all_single(got, sent, group=self._world.groups(self._parts)[0])
        return got


def _all(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, places: Places) -> torch.Tensor:
    """Attention to all tokens, wherever they stand."""
    return layers.attend(q, k, v)


def spread(engine: Engine, world: World, prefer: Prefer = "guidance") -> None:
    """Let the processes divide the work of an engine. ShotError where its networks do not run in torch as they are."""
    runtime = engine.runtime
    if "openvino" in runtime.name or "compiled" in runtime.name:
        raise ShotError("OpenVINO's and compiled networks work in one process; add --runtime torch, or start without torchrun")
    for cached in engine.step_caches:
        cached.agree = world.unanimous
    # Of the runtime only these two change: what belongs to a take stays with it.
    runtime.denoiser = Parallel(runtime.denoiser, engine.model.networks, world, prefer)  # type: ignore[method-assign]
    runtime.decode_stream = world.once(runtime.decode_stream)  # type: ignore[method-assign, assignment]
    runtime.name += f", {world.size} processes"
    engine.place = replace(engine.place, runtime=runtime.name)
