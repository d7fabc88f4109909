"""Larger sizes by the model itself: its own clip, enlarged, is an anchor of strength < 1 that the network may redraw, tile by tile.

No mode of its own: anchors are compiled by `conditioning.build` and steps taken by `sample.denoise`, as everywhere. What is new are
networks that work in tiles (tiles.py). What they change is added to the enlarged clip, less all that the small clip could show already
(Irani & Peleg 1991, CVGIP 53(3), project back in this way): neither the codec's loss nor a drift of colours goes from stage to stage.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from kinowatt.clip import Clip
from kinowatt.engine import conditioning, noise, sample, tiles
from kinowatt.engine.canvas import off_canvas, on_canvas, resized
from kinowatt.engine.plan import Plan
from kinowatt.engine.runtime import Runtime
from kinowatt.engine.stages import Stage
from kinowatt.engine.standing import Dice
from kinowatt.engine.state import State
from kinowatt.errors import ShotError
from kinowatt.media.image import fit
from kinowatt.models.protocols import Codec, Conditioning
from kinowatt.shot import OUTSIDE, START, Anchor

SAVED = ("stage", "source", "latents")  # of a state that was saved while enlarging: its memory holds these
# (steps done, of, state, a look at the clip)
Told = Callable[[int, int, State, Callable[[], np.ndarray]], None]


class TiledCodec:
    """A codec that works in tiles; its frames come from the runtime's decoder."""

    def __init__(self, runtime: Runtime, stage: Stage) -> None:
        codec = runtime.codec
        self.channels, self.stride, self.memoryless = codec.channels, codec.stride, codec.memoryless
        self._inner, self._runtime = codec, runtime
        _, height, width = stage.tile
        self._tile = height // codec.stride[1], width // codec.stride[2]

    def encode(self, frames_BCTHW: torch.Tensor) -> torch.Tensor:
        """Frames to latents."""
        return tiles.encode(self._inner, frames_BCTHW, self._tile)

    def decode(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        """Latents to frames."""
        return torch.cat(list(self.decode_stream(latents_BCFHW)), 2)

    def decode_stream(self, latents_BCFHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        """The frames, some at a time."""
        return tiles.decode(_Decoder(self._inner, self._runtime), latents_BCFHW, self._tile)


class _Decoder:
    """A runtime's decoder in the place of a codec's own."""

    def __init__(self, codec: Codec, runtime: Runtime) -> None:
        self.channels, self.stride, self.memoryless = codec.channels, codec.stride, codec.memoryless
        self.encode, self.decode = codec.encode, codec.decode
        self._runtime = runtime

    def decode_stream(self, latents_BCFHW: torch.Tensor, chunk: int = 2) -> Iterator[torch.Tensor]:
        """As many frames at a time as the runtime likes."""
        return self._runtime.decode_stream(latents_BCFHW)


def shapes(plan: Plan, codec: Codec) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Batch sizes and latents (1, C, F, H, W) of the tiles that a runtime should prepare for."""
    found = []
    for stage in plan.stages:
        frames, height, width = stage.tile
        shape = (1, codec.channels, frames, height // codec.stride[1], width // codec.stride[2])
        found.append(((1,) if stage.guidance == 1.0 else (2,), shape))
    return list(dict.fromkeys(found))


@dataclass(frozen=True, eq=False)
class Refiner:
    """All that a clip needs to be taken through the stages of its plan."""

    runtime: Runtime
    device: torch.device
    plan: Plan
    shift: float
    fps: float
    text_2LD: torch.Tensor  # of the prompt, and against it
    anchors: Sequence[Anchor]  # of the plan, fitted to its size
    means: Mapping[str, object]  # for the state that is saved
    dice: Dice

    def enlarge(self, frames_TCHW: np.ndarray, latents_1CFHW: np.ndarray, tell: Told, resume: State | None = None) -> np.ndarray:
        """The small clip at the plan's size, or what `left` gave, if `resume` is a state that was saved while enlarging.

        `latents_1CFHW` are those of the small clip: a saved state holds them. ShotError if that state is of another shot.
        """
        if resume is not None and not is_within(resume):
            resume = None
        first = 0 if resume is None else int(resume.memory["stage"])
        if first >= len(self.plan.stages) or len(frames_TCHW) != self.plan.frames:
            raise ShotError("the saved state belongs to another shot; begin anew")
        for number in range(first, len(self.plan.stages)):
            frames_TCHW = self._stage(number, frames_TCHW, latents_1CFHW, tell, resume)
            resume = None
        return frames_TCHW

    def _stage(self, number: int, source_TCHW: np.ndarray, small: np.ndarray, tell: Told, resume: State | None) -> np.ndarray:
        stage, codec = self.plan.stages[number], TiledCodec(self.runtime, self.plan.stages[number])
        large_TCHW = resized(source_TCHW, stage.width, stage.height)
        hard = self._hard(stage, len(large_TCHW))
        conditioning.paste_back(large_TCHW, conditioning.placed(hard, len(large_TCHW), self.fps))
        soft = Anchor(Clip(large_TCHW, fps=self.fps), START, stage.strength)
        placed = [replace(a, clip=on_canvas(a.clip, stage)) for a in (soft, *hard)]
        known = conditioning.build(placed, codec, len(large_TCHW), stage.canvas_height, stage.canvas_width, self.fps)
        begin = torch.full_like(known.ceiling_1F, 1.0 - stage.strength)
        rows = noise.replanned(begin, 0, stage.steps, shift=self.shift)
        memory = {"stage": np.array(number), "source": source_TCHW, "latents": small}
        before, of = sum(s.steps for s in self.plan.stages[:number]), sum(s.steps for s in self.plan.stages)

        def step(done: int, _: int, x: torch.Tensor, clean: torch.Tensor) -> None:
            state = State(done, x.cpu().numpy(), rows.numpy(), self.means, memory)
            tell(before + done, of, state, functools.partial(self._look, clean, stage, codec))

        axes = (stage.times, self._in_latents(stage.rows, 1), self._in_latents(stage.columns, 2))
        cond = Conditioning(self.text_2LD[:1], self.text_2LD[1:], known.latents_1CFHW.to(self.device), known.ceiling_1F.to(self.device))
        latents = sample.denoise(
            tiles.Tiled(self.runtime.denoiser, axes),
            cond,
            self._start(cond, number, resume),
            rows,
            guidance=stage.guidance,
            on_step=step,
            done=resume.done if resume else 0,
        )
        # Only what the network has drawn: the codec's own loss is the same in both, and stays out.
        drawn, coded = (self._pictures(codec, x, stage) for x in (latents, known.latents_1CFHW.to(self.device)))
        made = faithful(large_TCHW, drawn, coded, source_TCHW.shape[2:])
        conditioning.paste_back(made, conditioning.placed(hard, len(made), self.fps))
        return made

    @staticmethod
    def _pictures(codec: TiledCodec, latents_1CFHW: torch.Tensor, stage: Stage) -> np.ndarray:
        """Decoded frames (T, C, H, W) in [-1, 1]: rounded to grey values, their difference would be little but that."""
        parts = [part[0].to(torch.float16).cpu().numpy() for part in codec.decode_stream(latents_1CFHW)]
        return off_canvas(np.concatenate(parts, 1).transpose(1, 0, 2, 3), stage)

    def _hard(self, stage: Stage, frames: int) -> list[Anchor]:
        """The anchors whose pixels are given, at the size of the stage, which may show more of them than the small clip could."""
        kept = [a for a in self.anchors if a.strength == 1.0 and a.at != OUTSIDE]
        return [replace(a, clip=fit(a.clip, stage.width, stage.height)[0], latents_CFHW=None) for a in kept]

    def _in_latents(self, spans: tiles.Spans, axis: int) -> tiles.Spans:
        side = self.runtime.codec.stride[axis]
        return tuple((begin // side, end // side) for begin, end in spans)

    def _start(self, cond: Conditioning, number: int, resume: State | None) -> torch.Tensor:
        if resume is None:
            return self.dice(cond.known_BCFHW.shape, self.plan.shot.seed + 1 + number).to(self.device)
        if resume.latents_1CFHW.shape != cond.known_BCFHW.shape:
            raise ShotError("the saved state belongs to another shot; begin anew")
        return torch.from_numpy(resume.latents_1CFHW).to(self.device)

    def _look(self, clean_1CFHW: torch.Tensor, stage: Stage, codec: TiledCodec) -> np.ndarray:
        """The middle of the clip as one frame (3, H, W)."""
        middle = clean_1CFHW.shape[2] // 2
        with torch.inference_mode():
            return off_canvas(conditioning.to_frames(codec.decode(clean_1CFHW[:, :, middle : middle + 1])), stage)[0]


def is_within(state: State) -> bool:
    """Whether a state was saved while enlarging."""
    return all(name in state.memory for name in SAVED)


def left(state: State) -> tuple[np.ndarray, list[str], np.ndarray, int]:
    """Of a state that was saved while enlarging: the clip that its stage enlarges, notes (none), small latents, and steps taken."""
    return state.memory["source"], [], state.memory["latents"], int(state.means["steps"])


def faithful(large_TCHW: np.ndarray, drawn_TCHW: np.ndarray, coded_TCHW: np.ndarray, small: Sequence[int]) -> np.ndarray:
    """An enlarged clip with the details that were drawn into it: the change from `coded` (it through the codec) to `drawn`.

    Of that change, what shows at the `small` size (rows, columns) is left out. `large` uint8, the others in [-1, 1].
    """
    out = np.empty_like(large_TCHW)
    for i, frames in enumerate(zip(large_TCHW, drawn_TCHW, coded_TCHW, strict=True)):
        large, drawn, coded = (torch.from_numpy(np.ascontiguousarray(f)).float()[None] for f in frames)
        change = (drawn - coded) * 127.5
        for _ in range(2):  # one pass leaves a little, for shrinking and enlarging are no exact inverses
            coarse = F.interpolate(change, tuple(small), mode="bicubic", antialias=True)
            change = change - F.interpolate(coarse, change.shape[2:], mode="bicubic", antialias=True)
        out[i] = (large + change).round().clamp(0, 255)[0].to(torch.uint8).numpy()
    return out
