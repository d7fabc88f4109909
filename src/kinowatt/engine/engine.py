"""How one Shot is shot: text, anchors, steps, pixels, bill."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.energy.bill import LOAD, EnergyBill
from kinowatt.energy.ledger import Ledger
from kinowatt.energy.meter import Meter
from kinowatt.energy.predict import Prediction
from kinowatt.energy.processors import cpu_name
from kinowatt.engine import conditioning, cost, noise, sample, solvers, tiles
from kinowatt.engine.budget import Pace, fitted, frontier, most_steps
from kinowatt.engine.canvas import off_canvas, on_canvas, picture
from kinowatt.engine.plan import Plan, fill
from kinowatt.engine.runtime import Runtime
from kinowatt.engine.state import State as State
from kinowatt.engine.step_cache import StepCache, step_caches
from kinowatt.engine.wan_runtime import WanRuntime
from kinowatt.engine.ways import Ways
from kinowatt.errors import DeviceError, ShotError
from kinowatt.media.image import fit
from kinowatt.models import savings
from kinowatt.models.model import Model
from kinowatt.models.protocols import Conditioning
from kinowatt.models.wan_model import WanModel
from kinowatt.shot import OUTSIDE, Anchor, Shot, still


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a take is: phase, steps done, and the bill so far; while denoising also its state and a look at it."""

    phase: str
    done: int
    of: int
    bill: EnergyBill
    state: State | None = None
    look: Callable[[], np.ndarray] | None = None  # one frame (3, H, W) uint8 of what it will become


@dataclass(frozen=True, eq=False)
class Take:
    """One finished clip with everything that made it."""

    clip: Clip
    bill: EnergyBill
    shot: Shot
    weights_sha256: str
    runtime: str  # what ran the network, for example "torch float32" or "openvino bfloat16"
    warnings: tuple[str, ...] = ()
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    latents_1CFHW: np.ndarray | None = None  # what was decoded, float32


Told = Callable[[int], None]


class Engine:
    """A loaded model on a device. `generate` makes one take; it may be called again and again."""

    def __init__(self, model: Model | WanModel, device: torch.device, runtime: Runtime, ways: Ways | None = None) -> None:
        self.model, self.device, self.runtime, self.ways = model, device, runtime, ways or Ways()
        self.step_caches: list[StepCache] = []
        if self.ways.step_cache is not None:
            self.step_caches = step_caches(model.networks, self.ways.step_cache)
            for cached in self.step_caches:
                runtime.stand_in(cached.dit, cached)
        self.anatomy = cost.known(model.spec)
        self.place = cost.Place(device_name(device), self.runtime.name, device.type == "cuda")
        assert model.spec.grid == model.grid

    def predict(self, plan: Plan) -> Prediction | None:
        """Energy and time of a plan here, without loading, from this machine's ledger; None where nothing is known yet."""
        return self._predictor()(plan)

    def _predictor(self) -> Callable[[Plan], Prediction | None]:
        """The same for many plans: the ledger is read once."""
        past = Ledger().past(self.model.spec.name, self.place.device, self.place.runtime)
        return lambda plan: cost.predicted(cost.work(plan, self.anatomy), self.anatomy, self.place, past)

    def plan(self, shot: Shot) -> Plan:
        """What `generate` would compute, without computing it."""
        return fill(shot, self.model.spec)

    def generate(
        self, shot: Shot, on_step: Callable[[Progress], None] | None = None, meter: Meter | None = None, resume: State | None = None
    ) -> Take:
        """Make one take, or finish one from its saved state. ShotError if it cannot be made; DeviceError if the device fails."""
        meter = meter or Meter()
        try:
            with meter:
                shot, pace, said = self._budgeted(shot, meter, resume)
                plan = self.plan(shot)
                frames_TCHW, notes, latents, steps = self._shoot(plan, meter, on_step or (lambda progress: None), resume, pace)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise DeviceError(f"{plan.width}x{plan.height} with {plan.frames} frames does not fit into memory; ask for less") from error
        read = plan.reading
        return Take(
            Clip(frames_TCHW, fps=self.model.spec.fps),
            meter.bill,
            replace(plan.shot, steps=steps),
            self.model.sha256,
            self.runtime.name,
            (*plan.warnings, *said, *notes),
            read.understood,
            read.not_understood,
            latents,
        )

    def _budgeted(self, shot: Shot, meter: Meter, resume: State | None) -> tuple[Shot, Pace | None, tuple[str, ...]]:
        """The shot with the means that fit its budget, and the pace that keeps to it. BudgetError if nothing fits."""
        budget_J = shot.budget.joules(meter.intensity.gCO2e_per_kWh, meter.pue)
        if resume is not None:
            means = dict(resume.means)
            wanted = replace(shot, **(means | {"size": tuple(means["size"])}))
        if budget_J is None:
            return (shot if resume is None else wanted), None, ()
        if resume is None:
            spent_J = meter.so_far().energy.total_J or 0.0

            prepare_J = functools.cache(self.runtime.prepare_J)  # many choices have the same shapes

            def load_J(plan: Plan) -> float:
                batches, shape, text = self._shapes(plan)
                return spent_J + prepare_J(shape, text, batches)

            fit = fitted(shot, self.model.spec, budget_J, self._predictor(), load_J)
            wanted, prediction, said = fit.shot, fit.prediction, fit.notes
        else:
            known = self.predict(self.plan(wanted))
            if known is None:
                return wanted, None, ()
            prediction, said = known, ()
        plan = self.plan(wanted)
        assert plan.shot.steps is not None
        rest_J, most = prediction.rest_Wh * 3600, most_steps(shot, frontier(self.model.spec.folder), self.model.spec.steps)
        step_J = (prediction.Wh * 3600 - rest_J) / plan.shot.steps
        pace = Pace(budget_J, rest_J, step_J, max(most, plan.shot.steps), lambda: meter.so_far().energy.total_J, not prediction.clips)
        return wanted, pace, said

    def _shapes(self, plan: Plan) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Batch sizes, latents (1, C, F, H, W) and text (L, D) of a plan, for the runtime to prepare for."""
        codec, outside = self.model.codec, sum(a.at == OUTSIDE for a in plan.shot.anchors)
        frames = (plan.frames - 1) // codec.stride[0] + 1 + outside
        sides = (plan.canvas_height // codec.stride[1], plan.canvas_width // codec.stride[2])
        batches = (1,) if plan.shot.guidance == 1.0 else (2,) if plan.shot.cache == 1 else (2, 1)
        return batches, (1, codec.channels, frames, *sides), self.model.text_shape

    def _shoot(
        self, plan: Plan, meter: Meter, tell: Callable[[Progress], None], resume: State | None, pace: Pace | None
    ) -> tuple[np.ndarray, list[str], np.ndarray, int]:
        shot = plan.shot
        assert shot.steps is not None
        assert shot.guidance is not None
        assert shot.cache is not None
        with meter.phase(LOAD):
            batches, shape, text_shape = self._shapes(plan)
            self.runtime.prepare(shape, text_shape, batches)
        with meter.phase("text"), torch.inference_mode():
            text = self.model.text.encode([plan.tokens, plan.negative]).to(self.device)
        with meter.phase("encode"):
            anchors, notes = self._fit(plan)
            known, more = self._known(anchors, plan)
            notes += more
        rows = noise.schedule(shot.steps, known.ceiling_1F.shape[1], shift=self.model.shift, least=self.model.spec.least_level)
        if resume is not None:
            rows = torch.from_numpy(resume.schedule_SF)
        tell(Progress("denoise", resume.done if resume else 0, len(rows) - 1, meter.so_far()))
        solver, more = self._solver(rows, known.ceiling_1F, resume)
        notes += more
        inside = known.ceiling_1F.shape[1] - known.outside
        # Two strengths are those of the model; one that is named would count for both of its networks.
        guidance = shot.guidance if plan.guidance_low is None else None
        means = {"steps": shot.steps, "guidance": guidance, "cache": shot.cache, "size": shot.size}

        def replan(done: int, schedule_SF: torch.Tensor) -> torch.Tensor:
            nonlocal rows
            if pace is not None and (left := pace.left(done)) != len(schedule_SF) - 1 - done:
                schedule_SF = noise.replanned(schedule_SF, done, left, shift=self.model.shift)
                for cached in self.step_caches:
                    cached.replan(schedule_SF)
            rows = schedule_SF
            return rows

        def step(done: int, of: int, x: torch.Tensor, clean: torch.Tensor) -> None:
            look = functools.partial(self._look, clean[:, :, :inside], plan)
            memory = {name: tensor.numpy() for name, tensor in solver.memory().items()}
            state = State(done, x.cpu().numpy(), rows.cpu().numpy(), means, memory)
            tell(Progress("denoise", done, of, meter.so_far(), state, look))

        for cached in self.step_caches:
            cached.begin(rows)
        if self.step_caches and resume is not None:
            notes.append("the take went on with an empty step cache, so it differs a little from one that was not broken off")
        with meter.phase("denoise"):
            ceiling = known.ceiling_1F.to(self.device)
            cond = Conditioning(text[:1], text[1:], known.latents_1CFHW.to(self.device), ceiling)
            latents = sample.denoise(
                self.runtime.denoiser,
                cond,
                self._start(cond, shot, resume),
                rows,
                guidance=self._guidance(plan),
                cache=shot.cache,
                solver=solver,
                on_step=step,
                replan=replan,
                done=resume.done if resume else 0,
            )[:, :, :inside]
        if len(rows) - 1 != shot.steps:
            notes.append(f"{len(rows) - 1} steps were taken instead of {shot.steps}, to keep to the budget")
        notes += self._losses(plan, known.ceiling_1F.shape[1])
        with meter.phase("decode"):

            def decoded(done: int) -> None:
                tell(Progress("decode", done, plan.frames, meter.so_far()))

            frames_TCHW, more = self._decode(latents, plan, anchors, decoded)
            notes += more
            conditioning.paste_back(frames_TCHW, conditioning.placed(anchors, plan.frames, self.model.spec.fps))
        return frames_TCHW, notes, latents.cpu().numpy(), len(rows) - 1

    def _solver(self, rows_SF: torch.Tensor, ceiling_1F: torch.Tensor, resume: State | None) -> tuple[solvers.Solver, list[str]]:
        """The model's own, where the frames' levels allow it; else Euler's, and a note."""
        wanted = self.model.spec.solver
        if wanted == "unipc" and not solvers.steps_alike(rows_SF, ceiling_1F):
            return solvers.Euler(), ["steps were taken by Euler's method: the frames have levels of their own"]
        solver = sample.solver_of(wanted)
        if resume is not None:
            solver.remember({name: torch.from_numpy(array) for name, array in resume.memory.items()}, torch.empty(0, device=self.device))
        return solver, []

    def _losses(self, plan: Plan, latent_frames: int) -> list[str]:
        """What the chosen ways have left out or rounded, and what that was measured to cost."""
        ways, name, weights = self.ways, self.model.spec.name, self.model.sha256
        said = []
        if self.step_caches:
            blocks, skipped = (sum(getattr(c, key) for c in self.step_caches) for key in ("blocks", "skipped"))
            assert ways.step_cache is not None
            said.append(savings.of_step_cache(ways.step_cache, skipped / max(blocks, 1), name, weights))
        if ways.weights is not None:
            said.append(savings.of_weights(ways.weights, name, weights))
        if ways.window is not None:
            grid = latent_frames, plan.canvas_height // self.model.grid, plan.canvas_width // self.model.grid
            said.append(savings.of_window(ways.window, grid, name, weights))
        return said

    def _guidance(self, plan: Plan) -> sample.Guidance:
        """One strength, or that of the network that works at a level."""
        high, low = plan.shot.guidance, plan.guidance_low
        assert high is not None
        if low is None or not isinstance(self.model, WanModel):
            return high
        experts = self.model.experts
        return lambda level: experts.guidance(level, high, low)

    def _decode(self, latents_1CFHW: torch.Tensor, plan: Plan, anchors: list[Anchor], tell: Told) -> tuple[np.ndarray, list[str]]:
        """Latents to frames of the wanted size, and notes; in ever smaller tiles where memory does not suffice for all at once.

        A clip that goes on from latents is decoded with all that came before it.
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
            try:
                return self._pictures(stream, skip, plan, tell), notes
            except (torch.OutOfMemoryError, MemoryError):
                last = tile
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            notes = [
                "memory did not suffice for decoding all of the picture at once: tiles of it were decoded, which may show at their seams"
            ]
        raise DeviceError(f"decoding fails even in tiles of {last}; free some memory")

    def _pictures(self, stream: Iterator[torch.Tensor], skip: int, plan: Plan, tell: Told) -> np.ndarray:
        """Frames of the wanted size from decoded ones, of which the first `skip` are not wanted."""
        out = np.empty((plan.frames, 3, plan.height, plan.width), np.uint8)
        done = -skip
        with torch.inference_mode():
            for signal in stream:
                new = conditioning.to_frames(signal)[max(-done, 0) :]
                done += signal.shape[2]
                if len(new):
                    out[done - len(new) : done] = picture(new, plan)
                tell(max(done, 0))
        return out

    def _start(self, cond: Conditioning, shot: Shot, resume: State | None) -> torch.Tensor:
        """Noise of the shot's seed, or the latents of a saved state. ShotError if the state is of another shot."""
        shape = cond.known_BCFHW.shape
        if resume is None:
            # Drawn on the CPU, so that a seed means the same picture on every device.
            return torch.randn(shape, generator=torch.Generator().manual_seed(shot.seed)).to(self.device)
        if resume.latents_1CFHW.shape != shape or resume.done > len(resume.schedule_SF) - 1:
            raise ShotError("the saved state belongs to another shot; begin anew")
        return torch.from_numpy(resume.latents_1CFHW).to(self.device)

    def _look(self, clean_1CFHW: torch.Tensor, plan: Plan) -> np.ndarray:
        """The middle of the clip as one frame (3, H, W), decoded alone, at the size that the network computes."""
        middle = clean_1CFHW.shape[2] // 2
        with torch.inference_mode():
            signal = self.runtime.codec.decode(clean_1CFHW[:, :, middle : middle + 1])
        return off_canvas(conditioning.to_frames(signal), plan)[0]

    def _fit(self, plan: Plan) -> tuple[list[Anchor], list[str]]:
        """The anchors at the size and rate of the clip, and what was cut off them."""
        fitted, notes = [], []
        for number, anchor in enumerate(plan.shot.anchors, 1):
            # A still has no rate: it holds one frame of any.
            fps = self.model.spec.fps if anchor.clip.frames > 1 else None
            clip, note = fit(anchor.clip, plan.width, plan.height, fps)
            if note:
                notes.append(f"anchor {number}: {note}")
            if clip.frames == 1 and anchor.strength < 1 and anchor.at != OUTSIDE:
                clip = still(clip, plan.frames)  # an edit of a photograph: it stands over the whole clip
            fitted.append(replace(anchor, clip=clip))
        return fitted, notes

    def _known(self, anchors: list[Anchor], plan: Plan) -> tuple[conditioning.Known, list[str]]:
        """Fitted anchors on the canvas, encoded, and notes."""
        placed = [replace(a, clip=on_canvas(fit(a.clip, plan.inner_width, plan.inner_height)[0], plan)) for a in anchors]
        size = (plan.canvas_height, plan.canvas_width)
        known = conditioning.build(placed, self.runtime.codec, plan.frames, *size, self.model.spec.fps)
        if isinstance(self.runtime, WanRuntime):
            return self.runtime.begin(known, placed, plan.frames, self.model.spec.fps)
        return known, []


def device_name(device: torch.device) -> str:
    """As bills and the ledger name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{cpu_name()}, {torch.get_num_threads()} threads"
