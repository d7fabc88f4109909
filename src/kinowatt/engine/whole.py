"""One clip in one go: all its latent frames take their steps together, and are decoded when they are clean."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kinowatt.engine import conditioning, noise, sample, solvers, tiles
from kinowatt.engine.between import Between
from kinowatt.engine.canvas import off_canvas, picture
from kinowatt.engine.plan import Plan
from kinowatt.engine.runtime import Runtime
from kinowatt.engine.standing import Dice
from kinowatt.engine.state import State, Told
from kinowatt.engine.step_cache import StepCache
from kinowatt.errors import DeviceError, ShotError
from kinowatt.models.model import Model
from kinowatt.models.protocols import Conditioning
from kinowatt.models.wan_model import WanModel
from kinowatt.shot import Anchor


@dataclass(frozen=True, eq=False)
class Whole:
    """What it takes to make one plan in one go."""

    plan: Plan
    model: Model | WanModel
    runtime: Runtime
    device: torch.device
    step_caches: Sequence[StepCache]
    dice: Dice
    between: Between | None = None  # how frames between latents are drawn; None: as the codec does

    def denoise(
        self,
        text: torch.Tensor,
        known: conditioning.Known,
        steering: tuple[torch.Tensor, torch.Tensor] | None,
        tell: Told,
        resume: State | None,
        pace: Callable[[int], int] | None,
    ) -> tuple[torch.Tensor, int, list[str]]:
        """Clean latents (1, C, F, H, W), the steps that were taken, and notes.

        `text` (2, L, D): of the prompt, and against it; `steering`: channels (1, C, F, H, W) of either. `pace(done)`: steps still to be
        taken. ShotError if `resume` is of another shot.
        """
        shot = self.plan.shot
        assert shot.cache
        rows = self._schedule(known.ceiling_1F.shape[1]) if resume is None else torch.from_numpy(resume.schedule_SF)
        tell(resume.done if resume else 0, len(rows) - 1, None, None)
        solver, notes = self._solver(rows, known.ceiling_1F, resume)
        inside = known.ceiling_1F.shape[1] - known.outside

        def replan(done: int, schedule_SF: torch.Tensor) -> torch.Tensor:
            nonlocal rows
            if pace is not None and (left := pace(done)) != len(schedule_SF) - 1 - done:
                schedule_SF = noise.replanned(schedule_SF, done, left, shift=self.model.shift)
                for cached in self.step_caches:
                    cached.replan(schedule_SF)
            rows = schedule_SF
            return rows

        def step(done: int, of: int, x: torch.Tensor, clean: torch.Tensor) -> None:
            look = functools.partial(self._look, clean[:, :, :inside])
            memory = {name: tensor.numpy() for name, tensor in solver.memory().items()}
            tell(done, of, State(done, x.cpu().numpy(), rows.cpu().numpy(), self._means(), memory), look)

        for cached in self.step_caches:
            cached.begin(rows)
        if self.step_caches and resume is not None:
            notes.append("the take went on with an empty step cache, so it differs a little from one that was not broken off")
        latents, ceiling = known.latents_1CFHW.to(self.device), known.ceiling_1F.to(self.device)
        cond = Conditioning(text[:1], text[1:], latents, ceiling, *(steering or ()))
        latents = sample.denoise(
            self.runtime.denoiser,
            cond,
            self._start(cond, resume),
            rows,
            guidance=self._guidance(),
            cache=shot.cache,
            guided_below=self.model.spec.guided_below,
            solver=solver,
            on_step=step,
            replan=replan,
            done=resume.done if resume else 0,
        )[:, :, :inside]
        if len(rows) - 1 != shot.steps:
            notes.append(f"{len(rows) - 1} steps were taken instead of {shot.steps}, to keep to the budget")
        return latents, len(rows) - 1, notes

    def _schedule(self, frames: int) -> torch.Tensor:
        """Steps per latent frame, from the level at which the clip begins."""
        least, begins = self.model.spec.least_level, self.plan.begins
        assert self.plan.shot.steps
        return noise.schedule(self.plan.shot.steps, frames, shift=self.model.shift, least=least, begins=begins)

    def _means(self) -> dict[str, Any]:
        """With what the latents were made, for the state that is saved."""
        shot = self.plan.shot
        # Two strengths are those of the model; one that is named would count for both of its networks.
        guidance = shot.guidance if self.plan.guidance_low is None else None
        return {"steps": shot.steps, "guidance": guidance, "cache": shot.cache, "size": shot.size}

    def _solver(self, rows_SF: torch.Tensor, ceiling_1F: torch.Tensor, resume: State | None) -> tuple[solvers.Solver, list[str]]:
        """The model's own, where the frames' levels allow it; else Euler's, and a note."""
        wanted = self.model.spec.solver
        if wanted == "unipc" and not solvers.steps_alike(rows_SF, ceiling_1F):
            return solvers.Euler(), ["steps were taken by Euler's method: the frames have levels of their own"]
        solver = sample.solver_of(wanted)
        if resume is not None:
            solver.remember({name: torch.from_numpy(array) for name, array in resume.memory.items()}, torch.empty(0, device=self.device))
        return solver, []

    def _guidance(self) -> sample.Guidance:
        """One strength, or that of the network that works at a level."""
        high, low = self.plan.strength, self.plan.guidance_low
        if low is None or not isinstance(self.model, WanModel):
            return high
        experts = self.model.experts
        return lambda level: experts.guidance(level, high, low)

    def decode(self, latents_1CFHW: torch.Tensor, anchors: Sequence[Anchor], tell: Callable[[int], None]) -> tuple[np.ndarray, list[str]]:
        """Latents to frames of the wanted size, with given pixels put back, and notes.

        In ever smaller tiles where memory does not suffice for all at once. A clip that goes on from latents is decoded with all that
        came before it.
        """
        skip = 0
        for anchor in anchors:
            if anchor.latents_CFHW is not None:
                past = torch.from_numpy(anchor.latents_CFHW)[None].to(latents_1CFHW)
                given = (anchor.clip.frames - 1) // self.model.codec.stride[0] + 1
                skip = (past.shape[2] - given) * self.model.codec.stride[0]
                latents_1CFHW = torch.cat([past, latents_1CFHW[:, :, given:]], 2)
        notes: list[str] = []
        for tile in (None, *tiles.smaller(latents_1CFHW.shape[3:])):
            stream = self.runtime.decode_stream(latents_1CFHW) if tile is None else tiles.decode(self.runtime.codec, latents_1CFHW, tile)
            if self.between is not None:
                stream = self.between.along(stream, -skip)
            try:
                frames_TCHW = self._pictures(stream, skip, tell)
            except (torch.OutOfMemoryError, MemoryError):
                last = tile
            else:
                given_at = conditioning.placed(anchors, self.plan.frames, self.model.spec.fps)
                if self.model.spec.hands_over:
                    conditioning.hand_over(frames_TCHW, given_at)
                conditioning.paste_back(frames_TCHW, given_at)
                return frames_TCHW, notes
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            notes = [
                "memory did not suffice for decoding all of the picture at once: tiles of it were decoded, which may show at their seams"
            ]
        raise DeviceError(f"decoding fails even in tiles of {last}; free some memory")

    def _pictures(self, stream: Iterator[torch.Tensor], skip: int, tell: Callable[[int], None]) -> np.ndarray:
        """Frames of the wanted size from decoded ones, of which the first `skip` are not wanted."""
        out = np.empty((self.plan.frames, 3, self.plan.height, self.plan.width), np.uint8)
        done = -skip
        with torch.inference_mode():
            for signal in stream:
                new = conditioning.to_frames(signal)[max(-done, 0) :]
                done += signal.shape[2]
                if len(new):
                    out[done - len(new) : done] = picture(new, self.plan)
                tell(max(done, 0))
        return out

    def _start(self, cond: Conditioning, resume: State | None) -> torch.Tensor:
        """Noise of the shot's seed, or the latents of a saved state. ShotError if the state is of another shot."""
        shape = cond.known_BCFHW.shape
        if resume is None:
            return self.dice(shape, self.plan.shot.seed).to(self.device)
        if resume.latents_1CFHW.shape != shape or resume.done > len(resume.schedule_SF) - 1:
            raise ShotError("the saved state belongs to another shot; begin anew")
        return torch.from_numpy(resume.latents_1CFHW).to(self.device)

    def _look(self, clean_1CFHW: torch.Tensor) -> np.ndarray:
        """The middle of the clip as one frame (3, H, W), decoded alone, at the size that the network computes."""
        middle = clean_1CFHW.shape[2] // 2
        with torch.inference_mode():
            signal = self.runtime.codec.decode(clean_1CFHW[:, :, middle : middle + 1])
        return off_canvas(conditioning.to_frames(signal), self.plan)[0]
