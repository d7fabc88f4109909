"""A minute and more: a window of latent frames rolls over the clip. What is clean is decoded and written, noise enters at the far end.

The frames that enter become clean together; those before them are shown a little noisy, so that the network trusts their faults less:
diffusion forcing (Chen et al. 2024, arXiv 2407.01392, its stabilised roll-outs). Anchors enter with their ceilings, so every mode works
here as it does in one go, but the model sees an anchor only when the window has come to it. Memory does not grow with the clip: what left
the window lies in two files beside the take.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from kinowatt.engine import conditioning
from kinowatt.engine.backdrop import Backdrop, colours
from kinowatt.engine.between import Between
from kinowatt.engine.camera_path import rows_of
from kinowatt.engine.canvas import picture
from kinowatt.engine.noise import noise_levels, shifted, unshifted, up
from kinowatt.engine.plan import Plan, Roll
from kinowatt.engine.sample import Guided, solver_of
from kinowatt.engine.shown import Shown
from kinowatt.engine.solvers import Solver, Velocity
from kinowatt.engine.standing import Dice
from kinowatt.engine.state import Growing, State, Told
from kinowatt.engine.step_cache import StepCache
from kinowatt.errors import OutputError, ShotError
from kinowatt.models.blocking import Blocking
from kinowatt.models.model import Model
from kinowatt.models.protocols import Conditioning, Denoiser, Memory
from kinowatt.models.steering import RAY_CHANNELS, ray_maps, steering_pair
from kinowatt.models.vae import VideoCodec
from kinowatt.shot import Anchor, CameraKey

HISTORY = 0.1  # the level of noise at which the network is shown what it has made before (LOG.md)
SPARE_BYTES = 64 * 2**20  # left free beside the frames
Piece = tuple[torch.Tensor, float]  # of an anchor: one latent frame (1, C, 1, H, W) and its ceiling
Noise = Callable[[int, int], torch.Tensor]  # of a part's window (1, C, W, H, W), by its number and its first frame


class Scenes:
    """Velocity where each latent frame is drawn under the text of its time.

    A text is computed for the whole window, and the frames of its scene take their velocity from it. So a change of text costs passes
    only while frames of two scenes are in the making, and falls at its frame; the window's middle text would come some frames late.
    """

    def __init__(self, begins: Sequence[int], velocities: Sequence[Velocity]) -> None:
        assert begins[0] == 0
        self.begins, self.velocities = begins, velocities

    def at(self, frame: int) -> int:
        """Which scene a latent frame belongs to."""
        return sum(begin <= frame for begin in self.begins) - 1

    def velocity(self, begin: int, moves_F: Sequence[bool]) -> Velocity:
        """For a window that begins at a latent frame, of which some move."""
        scenes = [self.at(begin + k) for k in range(len(moves_F))]
        present = sorted({scene for scene, moves in zip(scenes, moves_F, strict=True) if moves})
        if len(present) == 1:
            return self.velocities[present[0]]

        def mixed(x: torch.Tensor, level_BF: torch.Tensor, step: int) -> torch.Tensor:
            own = torch.tensor(scenes, device=x.device)[None, None, :, None, None]
            total = torch.zeros_like(x)
            for scene in present:
                total = torch.where(own == scene, self.velocities[scene](x, level_BF, step), total)
            return total

        return mixed


class Rolling:
    """The window and its latents `x` (1, C, W, H, W) from step to step; `begin` is the clip's frame at which it stands. `under(begin)` is
    what lies under the noise of a window (1, C, W, H, W), which then `begins` at a lower level than 1."""

    history = HISTORY

    def __init__(
        self, roll: Roll, known: Mapping[int, Piece], noise: Noise, shift: float, x: torch.Tensor | None = None, done: int = 0,
        under: Callable[[int], torch.Tensor] | None = None, begins: float = 1.0,
    ) -> None:  # fmt: skip
        self.roll, self.known, self.noise, self.shift, self.done = roll, known, noise, shift, done
        self.under, self.begins, self.begin = under, begins, roll.begin(done)
        self.drawn = self._draw()
        self.x = torch.cat([self._entering(f) for f in self._frames], 2) if x is None else x

    @property
    def _frames(self) -> range:
        return range(self.begin, self.begin + self.roll.window)

    def _draw(self) -> torch.Tensor:
        """The noise of this part's window: of what moves, and of its history."""
        return self.noise(self.done // self.roll.steps, self.begin)

    def _entering(self, frame: int) -> torch.Tensor:
        at = frame - self.begin
        noise = self.drawn[:, :, at : at + 1]
        if frame not in self.known:
            return noise if self.under is None else torch.lerp(self.under(self.begin)[:, :, at : at + 1].to(noise), noise, self.begins)
        latent, ceiling = self.known[frame]
        return torch.lerp(latent, noise.to(latent), ceiling)

    def levels(self, left: float) -> torch.Tensor:
        """(1, W) of the frames of the window, where a share of the way to clean is left for those that move."""
        part = self.roll.part(self.done)
        ceiling = [self.known[f][1] if f in self.known else 1.0 for f in self._frames]
        first = float(unshifted(torch.tensor(self.begins, dtype=torch.float64), self.shift))
        plain = torch.tensor([left * first if f in part else 0.0 for f in self._frames], dtype=torch.float64)
        return noise_levels(shifted(plain, self.shift), torch.tensor(ceiling, dtype=torch.float64))[None].to(self.x)

    def shown(self, velocity: Velocity) -> Velocity:
        """The same velocity of a window whose history is a little noisy, never more so than what moves; what is given stays as it is."""
        history = range(self.begin, self.roll.part(self.done).start)
        mine = [f in history and self.known.get(f, (None, 1.0))[1] > 0.0 for f in self._frames]
        noise = self.drawn.to(self.x)
        own = torch.tensor(mine, device=self.x.device)

        def noisy(x_BCFHW: torch.Tensor, level_BF: torch.Tensor, step: int) -> torch.Tensor:
            level_BF = torch.where(own, level_BF.amax(1, keepdim=True).clamp_max(self.history), level_BF)
            x_BCFHW = torch.where(own[:, None, None], torch.lerp(x_BCFHW, noise, up(level_BF)), x_BCFHW)
            return velocity(x_BCFHW, level_BF, step)

        return noisy

    def step(self, solver: Solver, scenes: Scenes) -> list[torch.Tensor]:
        """One step of all frames that move; returns those that have become clean by it, each (1, C, 1, H, W)."""
        taken = self.done % self.roll.steps
        level, after = (self.levels(1.0 - k / self.roll.steps) for k in (taken, taken + 1))
        moves = (level != after)[0].tolist()
        if any(moves):  # else nothing moves: spend no joules
            velocity = self.shown(scenes.velocity(self.begin, moves))
            self.x = solver.step(velocity, self.x, level, after, self.done)
        self.done += 1
        clean = [self.frame(f) for f in range(self.roll.clean(self.done - 1), self.roll.clean(self.done))]
        if self.done % self.roll.steps == 0 and self.done < self.roll.total:
            entered, self.begin = self.begin + self.roll.window, self.roll.begin(self.done)
            self.drawn = self._draw()
            new = [self._entering(f).to(self.x) for f in range(entered, self.begin + self.roll.window)]
            self.x = torch.cat([self.x[:, :, len(new) :], *new], 2)
        return clean

    def frame(self, number: int) -> torch.Tensor:
        """One latent frame (1, C, 1, H, W) of the clip that stands in the window."""
        return self.x[:, :, number - self.begin : number - self.begin + 1].clone()


class Decoder:
    """Latents in, frames out, part by part: `VideoCodec.decode_stream` for latents that are still to come."""

    def __init__(self, codec: VideoCodec) -> None:
        self.codec, self.memory = codec, Memory()

    @torch.inference_mode()
    def __call__(self, latents_1CFHW: torch.Tensor, first: bool) -> torch.Tensor:
        """Frames (1, 3, T, H, W) in [-1, 1] of the latents that follow; `first`: they begin a clip, so their first one holds one frame."""
        frames = self.codec.decoder(self.codec.raw(latents_1CFHW), self.memory)[:, :, self.codec.stride[0] - 1 if first else 0 :]
        return frames.float().clamp(-1.0, 1.0)

    def keep(self) -> dict[str, np.ndarray]:
        """What it remembers, by the names of the layers."""
        names = {module: name for name, module in self.codec.named_modules()}
        return {names[module]: tensor.cpu().numpy().copy() for module, tensor in self.memory.items()}

    def remember(self, kept: Mapping[str, np.ndarray], device: torch.device) -> None:
        """Go on from what it remembered."""
        self.memory = {self.codec.get_submodule(name): torch.from_numpy(array).to(device) for name, array in kept.items()}


@dataclass(eq=False)
class Rollout:
    """One clip through a rolling window: from its plan to its frames on disk."""

    plan: Plan
    model: Model
    denoiser: Denoiser
    device: torch.device
    folder: Path  # for what left the window
    decoding: Callable[[], AbstractContextManager[None]]  # a phase of the meter
    dice: Dice
    step_caches: Sequence[StepCache] = ()
    between: Between | None = None  # how frames between latents are drawn; None: as the codec does
    behind: Backdrop | Shown | None = None  # what stands there, where the network is shown one
    past: Anchor | None = None  # where the clip goes on from latents
    pieces: dict[int, Piece] = field(default_factory=dict)  # of what is known
    beside: torch.Tensor | None = None  # latents outside of time
    kept: dict[str, np.ndarray] = field(default_factory=dict)  # of the decoder
    waiting: list[torch.Tensor] = field(default_factory=list)  # latent frames that are clean and not yet decoded
    decoded: int = 0  # latent frames
    last: torch.Tensor | None = None  # the last latent's frame (1, 3, H, W), from which the next ones go on
    newest: np.ndarray | None = None  # frame (3, H, W)
    newest_seen: tuple[int, tuple[torch.Tensor, torch.Tensor]] | None = None  # of backdrops, with the frame where its window begins

    def __post_init__(self) -> None:
        assert self.plan.roll is not None
        self.roll, self.decoder, self.codec = self.plan.roll, Decoder(self.model.codec), self.model.codec

    def run(
        self,
        text_NLD: torch.Tensor,
        anchors: Sequence[Anchor],
        path: Sequence[CameraKey],
        tell: Told,
        resume: State | None,
        pace: Callable[[int], object] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames (T, 3, H, W) uint8 and latents (1, C, F, H, W) float32, as they lie in the files of `folder`.

        `text_NLD`: of the prompt, of each scene, and against them; `anchors` are fitted to the clip. `pace(done)` may raise to end it.
        ShotError if `resume` is of another shot, WeightsError if its files are gone; OutputError if they cannot be written.
        """
        fps = self.model.spec.fps
        self.past = next((a for a in anchors if a.latents_CFHW is not None), None)
        rolling = self._begin(resume)
        guided = [self._guided(text, text_NLD[-1:]) for text in text_NLD[:-1, None]]
        scenes = Scenes([0, *(at for at, _ in self.plan.scenes)], guided)
        steer = rows_of(path, self.plan.frames, fps) if path else None
        blocking = self.dice.blocking
        solver = solver_of("euler" if self.model.spec.solver == "unipc" else self.model.spec.solver)
        for cached in self.step_caches:
            cached.begin(torch.tensor([[1.0], [0.0], [0.0]]))  # no step is the last for all frames
        means = {"steps": self.roll.steps, "guidance": self.plan.shot.guidance, "cache": 1, "size": self.plan.shot.size}
        tell(rolling.done, self.roll.total, None, None)
        latents, frames = self._files(rolling.done)
        with latents, frames, torch.inference_mode():
            while rolling.done < self.roll.total:
                if pace is not None:
                    pace(rolling.done)
                begin = rolling.begin
                if steer is not None or blocking is not None or self.behind is not None:
                    told, untold = self._steering(steer, blocking, begin)
                    for each in guided:
                        each.cond = replace(each.cond, steering_BCFHW=told, steering_null_BCFHW=untold)
                for latent in rolling.step(solver, scenes):
                    latents.add(latent[0].transpose(0, 1).cpu().numpy())
                    self.waiting.append(latent)
                self._decode(self.roll.clean(rolling.done), frames)
                for cached in self.step_caches if rolling.begin != begin else ():
                    cached.forget()
                tell(rolling.done, self.roll.total, self._state(rolling, means), None if self.newest is None else self.newest.copy)
        made, given = frames.array(), conditioning.placed(anchors, self.plan.frames, fps)
        if self.model.spec.hands_over:
            conditioning.hand_over(made, given)
        conditioning.paste_back(made, given)
        return made, latents.array().transpose(1, 0, 2, 3)[None]

    def give(self, known: conditioning.Known) -> None:
        """Take what is known over, frame by frame; not the zeros between, which a long clip has many of."""
        latents, ceilings = known.latents_1CFHW.to(self.device), known.ceiling_1F[0].tolist()
        inside = len(ceilings) - known.outside
        if any(ceilings[inside:]):
            raise ShotError("what a rolling window is shown from outside of time is kept as it is; leave out its strength")
        self.beside = latents[:, :, inside:].clone() if known.outside else None
        self.pieces = {f: (latents[:, :, f : f + 1].clone(), ceilings[f]) for f in range(inside) if ceilings[f] < 1.0}

    def _guided(self, text_1LD: torch.Tensor, null_1LD: torch.Tensor) -> Guided:
        nothing = torch.empty(0, device=self.device)
        cond, below = Conditioning(text_1LD, null_1LD, nothing, nothing), self.model.spec.guided_below
        return Guided(self._network, cond, self.plan.strength, below=below)

    def _network(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """The denoiser, which sees what stands outside of time behind the window."""
        for cached in self.step_caches if self.plan.scenes else ():
            cached.forget()  # the last pass may have been of another text
        if self.beside is None:
            return self.denoiser(x_BCFHW, level_BF, text_BLD)
        batch, count = len(x_BCFHW), self.beside.shape[2]
        more = x_BCFHW.shape[1] - self.beside.shape[1]  # channels of steering, which hold nothing there
        beside = torch.nn.functional.pad(self.beside, (0, 0) * 3 + (0, more)).expand(batch, -1, -1, -1, -1)
        level = torch.cat([level_BF, level_BF.new_zeros(batch, count)], 1)
        return self.denoiser(torch.cat([x_BCFHW, beside], 2), level, text_BLD)[:, :, :-count]

    def _steering(self, steer: tuple[np.ndarray, float] | None, blocking: Blocking | None, begin: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Channels of the camera's path for the window, relative to where it begins, as in training, of what stands there, and of
        what is behind; and those without what stands there, from which guidance moves away."""
        stride, window = self.codec.stride[0], self.roll.window
        rays = torch.zeros(1, RAY_CHANNELS, window, *self._size)
        if steer is not None:
            rows = torch.from_numpy(steer[0][stride * begin :][: self._frames_of(window)])
            rays = ray_maps(rows, steer[1], *self._size, stride)[None]
        painted = None if blocking is None else blocking.of(begin, window).channels(*self._size)
        return steering_pair(rays, painted, None if self.behind is None else self._seen(begin), self.device)

    def _seen(self, begin: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The backdrop of the window that begins at a latent frame: painted once for all steps of its part."""
        assert self.behind is not None
        if self.newest_seen is None or self.newest_seen[0] != begin:
            self.newest_seen = begin, self.behind.of(begin, self.roll.window, *self._size)
        return self.newest_seen[1]

    def _begin(self, resume: State | None) -> Rolling:
        shape = 1, self.codec.channels, self.roll.window, *self._size

        def noise(part: int, begin: int) -> torch.Tensor:
            return self.dice(shape, self.plan.shot.seed, begin, part).to(self.device)

        begins = self.plan.begins
        under = (lambda begin: colours(self._seen(begin))) if begins < 1.0 else None
        if resume is None:
            self._warm_up()
            return Rolling(self.roll, self.pieces, noise, self.model.shift, under=under, begins=begins)
        same = resume.latents_1CFHW.shape == shape and "parts" in resume.memory
        if not same or resume.memory["parts"].tolist() != self._told or resume.done > self.roll.total:
            raise ShotError("the saved state belongs to another shot; begin anew")
        self.kept = {name.removeprefix("decoder."): array for name, array in resume.memory.items() if name.startswith("decoder.")}
        if "last" in resume.memory:
            self.last = torch.from_numpy(resume.memory["last"]).to(self.device)
        self.decoder.remember(self.kept, self.device)
        self.decoded = self._decoded_at(resume.done)
        x = torch.from_numpy(resume.latents_1CFHW).to(self.device)
        rolling = Rolling(self.roll, self.pieces, noise, self.model.shift, x, resume.done, under, begins)
        self.waiting = [rolling.frame(f) for f in range(self.decoded, self.roll.clean(resume.done))]
        return rolling

    @property
    def _size(self) -> tuple[int, int]:
        """Rows and columns of a latent frame."""
        return self.plan.canvas_height // self.codec.stride[1], self.plan.canvas_width // self.codec.stride[2]

    @property
    def _told(self) -> list[int]:
        return [self.roll.frames, self.roll.window, self.roll.stride, self.roll.steps]

    def _warm_up(self) -> None:
        """Show the decoder what came before the clip, where that is known as latents."""
        if self.past is None or self.past.latents_CFHW is None:
            return
        before = torch.from_numpy(self.past.latents_CFHW)[None, :, : -self._given].to(self.device)
        for i, part in enumerate(before.split(2, 2)):
            self.decoder(part, first=i == 0)
        self.kept = self.decoder.keep()

    @property
    def _given(self) -> int:
        """Latent frames at the start that go on from latents."""
        return 0 if self.past is None else conditioning.latent_frames(self.past.clip.frames, self.codec.stride[0])

    def _chunk_is_full(self, clean: int, decoded: int) -> bool:
        return clean - decoded >= self.roll.stride or clean == self.roll.frames

    def _decoded_at(self, done: int) -> int:
        """Latent frames that are decoded after so many steps."""
        decoded = 0
        for step in range(1, done + 1):
            if self._chunk_is_full(self.roll.clean(step), decoded):
                decoded = self.roll.clean(step)
        return decoded

    def _frames_of(self, latent_frames: int) -> int:
        return max(self.codec.stride[0] * (latent_frames - 1) + 1, 0)

    def _files(self, done: int) -> tuple[Growing, Growing]:
        """Of latents, one at a time, and of frames; cut to what there was after so many steps."""
        shape = (self.codec.channels, *self._size)
        needed = self.plan.frames * 3 * self.plan.height * self.plan.width + self.roll.frames * 4 * int(np.prod(shape))
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if not done and free < needed + SPARE_BYTES:
            said = f"the frames of this clip take {needed / 2**20:.0f} MiB until they are compressed"
            raise OutputError(f"{said}, and {free / 2**20:.0f} MiB are free at {self.folder}; free some, or ask for less")
        latents = Growing(self.folder / "latents", shape, np.float32, self.roll.clean(done))
        size = (3, self.plan.height, self.plan.width)
        return latents, Growing(self.folder / "frames", size, np.uint8, self._frames_of(self._decoded_at(done)))

    def _decode(self, clean: int, out: Growing) -> None:
        """Decode what is clean, when there is enough of it, and put its frames to the file."""
        if not self._chunk_is_full(clean, self.decoded):
            return
        latents = torch.cat(self.waiting, 2)
        if self.past is not None and self.past.latents_CFHW is not None and self.decoded < self._given:
            own = torch.from_numpy(self.past.latents_CFHW)[None, :, -self._given :][:, :, self.decoded : clean].to(latents)
            latents = torch.cat([own, latents[:, :, own.shape[2] :]], 2)
        with self.decoding():
            signal = self.decoder(latents, first=not self.decoded and self.past is None)
            if not self.decoded and self.past is not None:
                signal = signal[:, :, self.codec.stride[0] - 1 :]  # as of a first latent frame, though it has a past
            if self.between is not None:
                begins = self._frames_of(self.decoded)
                signal, self.last = self.between.drawn(signal, begins, self.last)
            frames = picture(conditioning.to_frames(signal), self.plan)
            out.add(frames)
            self.newest, self.kept = frames[-1], self.decoder.keep()
        self.decoded, self.waiting = clean, []

    def _state(self, rolling: Rolling, means: Mapping[str, object]) -> State:
        memory = {f"decoder.{name}": array for name, array in self.kept.items()}
        if self.last is not None:
            memory["last"] = self.last.cpu().numpy()
        levels = rolling.levels(1.0 - rolling.done % self.roll.steps / self.roll.steps).cpu().numpy()
        return State(rolling.done, rolling.x.cpu().numpy(), levels, means, memory | {"parts": np.array(self._told)})
