"""Decoding a picture in parts, where the memory for all of it is not there. Legend: protocols.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from kinowatt.models.protocols import Codec

OVERLAP = 0.25  # of a tile's side: where two tiles fade into each other


SMALLEST = 4  # latents of a tile's side


def smaller(size: Sequence[int]) -> list[tuple[int, int]]:
    """Sides of ever smaller tiles (rows, columns) for latents of a size: half, a quarter and so on of the longer side."""
    found, edge = [], max(size) // 2
    while edge >= SMALLEST:
        found.append((min(size[0], edge), min(size[1], edge)))
        edge //= 2
    return found


def spans(length: int, tile: int) -> list[tuple[int, int]]:
    """Begin and end of equal tiles that cover `length` and overlap by about OVERLAP; one if it fits."""
    if tile >= length:
        return [(0, length)]
    step = max(round(tile * (1.0 - OVERLAP)), 1)
    count = -(-(length - tile) // step) + 1
    return [(round(i * (length - tile) / (count - 1)), round(i * (length - tile) / (count - 1)) + tile) for i in range(count)]


def decode(codec: Codec, latents_1CFHW: torch.Tensor, tile: tuple[int, int]) -> Iterator[torch.Tensor]:
    """The frames of `codec.decode_stream` from tiles of (rows, columns) latents, each decoded over all of time.

    Codecs look far, so the result is close to that of one piece and not equal to it (LOG.md). The picture is put together in the CPU's
    memory: float32, as large as the clip. Frames come after the last tile, as many at a time as a latent holds.
    """
    time, rows, columns = codec.stride
    count, height, width = latents_1CFHW.shape[2:]
    frames = time * (count - 1) + 1
    out = torch.zeros(1, 3, frames, height * rows, width * columns)
    weight = torch.zeros(height * rows, width * columns)
    for top, bottom in spans(height, tile[0]):
        for left, right in spans(width, tile[1]):
            mask = _ramp(top, bottom, height, rows)[:, None] * _ramp(left, right, width, columns)[None]
            place = (slice(top * rows, bottom * rows), slice(left * columns, right * columns))
            weight[place] += mask
            end = 0
            for part in codec.decode_stream(latents_1CFHW[..., top:bottom, left:right].contiguous()):
                begin, end = end, end + part.shape[2]
                out[:, :, begin:end, *place].addcmul_(part.float().cpu(), mask)
    for part in out.split(time, 2):
        yield part.div_(weight)


def _ramp(begin: int, end: int, length: int, stride: int) -> torch.Tensor:
    """Weights of a tile's pixels along one side: they fall towards its neighbours and never reach 0."""
    size = (end - begin) * stride
    slope = max(round(size * OVERLAP), 1)
    place = torch.arange(size, dtype=torch.float32) + 0.5
    up = torch.ones(size) if begin == 0 else (place / slope).clamp(max=1.0)
    down = torch.ones(size) if end == length else ((size - place) / slope).clamp(max=1.0)
    return up * down
