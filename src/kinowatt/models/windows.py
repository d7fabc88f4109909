"""Self-attention in windows: a token attends to a box of tokens around it instead of the whole clip. A loss by choice.

In the manner of sliding tile attention (Zhang et al. 2025, arXiv 2502.04507): the tokens of a tile share one box of keys, so no score
is computed in vain. The box always has the size of the window; at the borders of the clip it lies inside.
Legend: B batch, L tokens, H heads, D head_dim.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from kinowatt.models.dit import VideoDiT
from kinowatt.models.layers import Places, attend

Size = tuple[int, int, int]  # frames, rows, columns of tokens
BLOCK = 128  # tokens that flex_attention computes or leaves out together


class Span(NamedTuple):
    """Tokens [begin, end) of one axis, whose keys begin at `keys`."""

    begin: int
    end: int
    keys: int


def spans(count: int, window: int) -> list[Span]:
    """An axis of `count` tokens in tiles. A token's window reaches a third of its size to each side, or to the border."""
    if window >= count:
        return [Span(0, count, 0)]
    reach = max(window // 3, min(1, window - 1))
    tile = max(1, window - 2 * reach)
    out: list[Span] = []
    for begin in range(0, count, tile):
        keys, end = min(max(begin - reach, 0), count - window), min(begin + tile, count)
        if out and out[-1].keys == keys:  # at a border, neighbours have the same keys
            out[-1] = Span(out[-1].begin, end, keys)
        else:
            out.append(Span(begin, end, keys))
    return out


def tiles(size: Size, window: Size) -> list[tuple[Span, Span, Span]]:
    """All tiles of a grid."""
    return list(itertools.product(spans(size[0], window[0]), spans(size[1], window[1]), spans(size[2], window[2])))


class Windowed:
    """An `Attend` (see layers.py): queries attend within windows of `size` tokens. One that covers the grid is exact attention."""

    def __init__(self, size: Size) -> None:
        assert min(size) >= 1
        self.size = size
        self._blocks: dict[tuple[Size, torch.device], Blocks] = {}

    def __call__(self, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor, v_BLHD: torch.Tensor, places: Places) -> torch.Tensor:
        """Same shape as q, all tokens of the grid of `places`."""
        assert q_BLHD.shape[1] == k_BLHD.shape[1] == places.size[0] * places.size[1] * places.size[2]
        if all(w >= n for w, n in zip(self.size, places.size, strict=True)):
            return attend(q_BLHD, k_BLHD, v_BLHD)
        if not q_BLHD.is_cuda:
            return by_tiles(q_BLHD, k_BLHD, v_BLHD, places.size, self.size)
        key = places.size, q_BLHD.device
        if key not in self._blocks:
            self._blocks[key] = Blocks(places.size, self.size, q_BLHD.device)
        return self._blocks[key](q_BLHD, k_BLHD, v_BLHD, _compiled())


def windowed(size: Size) -> Windowed:
    """Self-attention in windows of (frames, rows, columns) tokens."""
    return Windowed(size)


def set_windows(dit: VideoDiT, size: Size | None) -> None:
    """Let all blocks of a network attend in windows; None: to the whole clip again."""
    attention = None if size is None else windowed(size)  # one for all blocks: they share its masks
    for block in dit.blocks:
        present = block.attn1.attend  # type: ignore[union-attr]
        assert present is None or isinstance(present, Windowed), "self-attention is done in another way already"
        block.attn1.attend = attention  # type: ignore[union-attr]


def by_tiles(q_BLHD: torch.Tensor, k_BLHD: torch.Tensor, v_BLHD: torch.Tensor, size: Size, window: Size) -> torch.Tensor:
    """Tile after tile, each against its own keys: on a CPU, where a tile is work enough for one call."""
    q, k, v = (t.unflatten(1, size) for t in (q_BLHD, k_BLHD, v_BLHD))
    out = torch.empty_like(q)
    for tile in tiles(size, window):
        mine = (slice(None), *(slice(s.begin, s.end) for s in tile))
        theirs = (slice(None), *(slice(s.keys, s.keys + min(w, n)) for s, w, n in zip(tile, window, size, strict=True)))
        part = q[mine]
        out[mine] = attend(part.flatten(1, 3), k[theirs].flatten(1, 3), v[theirs].flatten(1, 3)).view(part.shape)
    return out.flatten(1, 3)


class Blocks:
    """The same through flex_attention, for one grid on one device: tokens in the order of tiles, and which blocks of scores to compute."""

    def __init__(self, size: Size, window: Size, device: torch.device) -> None:
        all_tiles = tiles(size, window)
        number = torch.arange(size[0] * size[1] * size[2]).view(size)
        parts = [number[tuple(slice(s.begin, s.end) for s in tile)].flatten() for tile in all_tiles]
        self.order = torch.cat(parts).to(device)
        self.back = self.order.argsort()
        at = torch.stack(torch.unravel_index(self.order, size)).int()  # (3, L): where each token stands
        first = torch.tensor([[s.keys for s in tile] for tile in all_tiles], dtype=torch.int32, device=device)
        keys = first.repeat_interleave(torch.tensor([len(p) for p in parts], device=device), 0).T.contiguous()  # (3, L)
        self.mask = _block_mask(at, keys, window)

    def __call__(self, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor, v_BLHD: torch.Tensor, flex: Callable[..., Any]) -> torch.Tensor:
        """Attention by `flex`, flex_attention or its compiled form."""
        q, k, v = (t[:, self.order].transpose(1, 2).to(q_BLHD.dtype) for t in (q_BLHD, k_BLHD, v_BLHD))
        return flex(q, k, v, block_mask=self.mask).transpose(1, 2)[:, self.back]


def _block_mask(at_3L: torch.Tensor, keys_3L: torch.Tensor, window: Size) -> BlockMask:
    """Of tokens that stand `at` and whose keys begin at `keys`. Made a row of blocks at a time: all scores at once would be L * L bytes."""
    at, keys, length = at_3L.unbind(), keys_3L.unbind(), at_3L.shape[1]

    def inside(b: Any, h: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        near = [(at[i][k] >= keys[i][q]) & (at[i][k] < keys[i][q] + window[i]) for i in range(3)]
        return near[0] & near[1] & near[2]

    every = torch.arange(length, device=at_3L.device)
    some, full = [], []
    for q in every.split(BLOCK):
        scores = inside(None, None, q[:, None], every[None])
        by_block = torch.nn.functional.pad(scores, (0, -length % BLOCK)).unflatten(1, (-1, BLOCK))
        whole = by_block.all(2).all(0) & (len(q) == BLOCK)
        full.append(whole)
        some.append(by_block.any(2).any(0) & ~whole)
    (counts, indices), (full_counts, full_indices) = _listed(torch.stack(some)), _listed(torch.stack(full))
    return BlockMask.from_kv_blocks(counts, indices, full_counts, full_indices, BLOCK, inside, seq_lengths=(length, length))


def _listed(blocks_QK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many blocks each row has, and which: those first, as BlockMask wants it (1, 1, Q) and (1, 1, Q, K)."""
    which = blocks_QK.int().argsort(dim=1, descending=True, stable=True)
    return blocks_QK.sum(1).int()[None, None], which.int()[None, None].contiguous()


@functools.cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=False)
