"""A picture in overlapping tiles: decoded or encoded where the memory for all of it is not there, denoised where the network is smaller.

Legend: protocols.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from kinowatt.engine.stages import spans as spans
from kinowatt.models.protocols import Codec

SMALLEST = 4  # latents of a tile's side

Spans = Sequence[tuple[int, int]]
Place = tuple[slice, slice, slice]  # of a tile in latents (.., F, H, W)


def smaller(size: Sequence[int]) -> list[tuple[int, int]]:
    """Sides of ever smaller tiles (rows, columns) for latents of a size: half, a quarter and so on of the longer side."""
    found, edge = [], max(size) // 2
    while edge >= SMALLEST:
        found.append((min(size[0], edge), min(size[1], edge)))
        edge //= 2
    return found


def blended(shape: Sequence[int], axes: tuple[Spans, Spans, Spans], part: Callable[[Place], torch.Tensor]) -> torch.Tensor:
    """Latents of a shape (.., F, H, W) from tiles over those three axes: their mean, weighted by how far they reach beyond a place.

    `part` makes the tile at a place. The weights are tents, so a tile fades out before it ends and no border can be seen.
    """
    out, weight = torch.zeros(*shape), torch.zeros(*shape[-3:])
    tents = [_tent(begin_end[0][1] - begin_end[0][0]) for begin_end in axes]
    mask = tents[0][:, None, None] * tents[1][:, None] * tents[2]
    for t in axes[0]:
        for h in axes[1]:
            for w in axes[2]:
                place = (slice(*t), slice(*h), slice(*w))
                made = part(place)
                out, weight, mask = (x.to(made.device) for x in (out, weight, mask))
                out[(..., *place)] += made.float() * mask
                weight[place] += mask
    return out / weight


def _tent(size: int) -> torch.Tensor:
    place = torch.arange(size, dtype=torch.float32) + 0.5
    return torch.minimum(place, size - place)


class Tiled:
    """A denoiser for latents larger than its network has learnt: it works tile by tile, and the velocities are blended at every step.

    MultiDiffusion (Bar-Tal et al. 2023, arXiv 2302.08113): since all tiles go on from the same blended latents, they agree on what they
    draw. Tiles are spans of latent frames, rows and columns.
    """

    def __init__(self, denoiser: Callable[..., torch.Tensor], axes: tuple[Spans, Spans, Spans]) -> None:
        self.denoiser, self.axes = denoiser, axes

    def __call__(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity of the shape of x."""

        def part(place: Place) -> torch.Tensor:
            return self.denoiser(x_BCFHW[(..., *place)].contiguous(), level_BF[:, place[0]].contiguous(), text_BLD)

        return blended(x_BCFHW.shape, self.axes, part)


def encode(codec: Codec, signal_1CTHW: torch.Tensor, tile: tuple[int, int]) -> torch.Tensor:
    """Latents as of `codec.encode`, from tiles of (rows, columns) latents, each encoded over all of time."""
    time, rows, columns = codec.stride
    count, height, width = (signal_1CTHW.shape[2] - 1) // time + 1, signal_1CTHW.shape[3] // rows, signal_1CTHW.shape[4] // columns

    def part(place: Place) -> torch.Tensor:
        _, h, w = place
        return codec.encode(signal_1CTHW[..., h.start * rows : h.stop * rows, w.start * columns : w.stop * columns])

    axes = ([(0, count)], spans(height, tile[0]), spans(width, tile[1]))
    return blended((1, codec.channels, count, height, width), axes, part)


def decode(codec: Codec, latents_1CFHW: torch.Tensor, tile: tuple[int, int]) -> Iterator[torch.Tensor]:
    """The frames of `codec.decode_stream` from tiles of (rows, columns) latents, each decoded over all of time.

    Codecs look far, so the result is close to that of one piece and not equal to it (LOG.md). The picture is put together in the CPU's
    memory in float16 (exact to a sixteenth of a grey value), one band of tiles after the other, and nothing else is kept of all frames.
    They come after the last tile, as many at a time as a latent holds.
    """
    time, rows, columns = codec.stride
    count, height, width = latents_1CFHW.shape[2:]
    across, down = spans(width, tile[1]), spans(height, tile[0])
    if len(across) == len(down) == 1:
        yield from codec.decode_stream(latents_1CFHW)
        return
    frames = time * (count - 1) + 1
    out_CTHW = torch.empty(3, frames, height * rows, width * columns, dtype=torch.float16)
    below = 0
    for top, bottom in down:
        band_CTHW = torch.empty(3, frames, (bottom - top) * rows, width * columns, dtype=torch.float16)
        beyond = 0
        for left, right in across:
            end = 0
            for part in codec.decode_stream(latents_1CFHW[..., top:bottom, left:right].contiguous()):
                begin, end = end, end + part.shape[2]
                _fade(band_CTHW[:, begin:end, :, left * columns : right * columns], part[0].cpu(), beyond - left * columns, 3)
            beyond = right * columns
        for begin in range(0, frames, time):
            target = out_CTHW[:, begin : begin + time, top * rows : bottom * rows]
            _fade(target, band_CTHW[:, begin : begin + time], below - top * rows, 2)
        below = bottom * rows
    for part in out_CTHW.split(time, 1):
        yield part[None].float()


def _fade(target_CTHW: torch.Tensor, new_CTHW: torch.Tensor, overlap: int, axis: int) -> None:
    """Put new pixels into a place, in which the first `overlap` rows or columns (by axis) hold those of the tile before."""
    before = target_CTHW.narrow(axis, 0, max(overlap, 0)).float()
    target_CTHW.copy_(new_CTHW)
    if overlap > 0:
        # At its own border a tile knows least, so each keeps out of the last quarter of the other.
        place = (torch.arange(overlap, dtype=torch.float32) + 0.5) / overlap
        ramp = ((place - 0.25) * 2.0).clamp(0.0, 1.0)
        ramp = ramp * ramp * (3.0 - 2.0 * ramp)  # without a corner at either end
        shape = [1, 1, 1, 1]
        shape[axis] = overlap
        faded = torch.lerp(before, new_CTHW.narrow(axis, 0, overlap).float(), ramp.view(shape))
        target_CTHW.narrow(axis, 0, overlap).copy_(faded)
