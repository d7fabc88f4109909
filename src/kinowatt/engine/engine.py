"""How one Shot is shot: text, anchors, steps, pixels, bill."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.energy.bill import LOAD, EnergyBill
from kinowatt.energy.ledger import Ledger
from kinowatt.energy.meter import Meter
from kinowatt.energy.predict import Prediction
from kinowatt.energy.processors import cpu_name
from kinowatt.engine import conditioning, cost, enlarge, standing
from kinowatt.engine.backdrop import Backdrop, backdrop, under
from kinowatt.engine.between import Between
from kinowatt.engine.budget import Pace, fitted, measured, most_steps
from kinowatt.engine.camera_path import rays_of
from kinowatt.engine.canvas import on_canvas
from kinowatt.engine.directed import direct
from kinowatt.engine.plan import Plan, fill, from_words
from kinowatt.engine.rollout import Rollout
from kinowatt.engine.runtime import Runtime
from kinowatt.engine.shown import Shown, shown
from kinowatt.engine.state import State as State
from kinowatt.engine.step_cache import StepCache, step_caches
from kinowatt.engine.wan_runtime import WanRuntime
from kinowatt.engine.ways import Ways
from kinowatt.engine.whole import Whole
from kinowatt.errors import DeviceError, ShotError, WeightsError
from kinowatt.media.image import fit
from kinowatt.models import painter, savings
from kinowatt.models.blocking import Blocking
from kinowatt.models.model import Model
from kinowatt.models.steering import RAY_CHANNELS, steering_pair
from kinowatt.models.wan_model import WanModel
from kinowatt.shot import OUTSIDE, Anchor, CameraKey, Shot, still


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
        self,
        shot: Shot,
        on_step: Callable[[Progress], None] | None = None,
        meter: Meter | None = None,
        resume: State | None = None,
        aside: Path | None = None,
    ) -> Take:
        """Make one take, or finish one from its saved state. ShotError if it cannot be made; DeviceError if the device fails.

        `aside`: a folder for what a rolling window has left behind; the take's frames lie there until the caller deletes it, and a saved
        state goes on only where it is the same. None: a temporary one.
        """
        meter = meter or Meter()
        try:
            with meter:
                shot, pace, said = self._budgeted(shot, meter, resume)
                plan = self.plan(shot)
                self.runtime.one_pass = plan.one_pass
                tell = on_step or (lambda progress: None)
                if resume is not None and enlarge.is_within(resume):
                    frames_TCHW, notes, latents, steps = enlarge.left(resume)
                else:
                    frames_TCHW, notes, latents, steps = self._shoot(plan.small, meter, tell, resume, pace, aside)
                if plan.stages:
                    frames_TCHW = self.refined(plan, frames_TCHW, latents, steps, meter, tell, resume)
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
                tiled = enlarge.shapes(plan, self.model.codec)
                return spent_J + sum(prepare_J(*each) for each in {(shape, text, batches), *((s, text, b) for b, s in tiled)})

            fit = fitted(shot, self.model.spec, budget_J, self._predictor(), load_J)
            wanted, prediction, said = fit.shot, fit.prediction, fit.notes
        else:
            known = self.predict(self.plan(wanted))
            if known is None:
                return wanted, None, ()
            prediction, said = known, ()
        plan = self.plan(wanted)
        assert plan.shot.steps is not None
        default = self.plan(replace(shot, steps=None)).shot.steps
        assert default
        most = most_steps(shot, measured(self.model.spec), default)
        small = self.predict(plan.small) or prediction  # what enlarging costs comes after the steps, whatever their number
        steps = plan.roll.total if plan.roll else plan.shot.steps
        step_J = (small.Wh - small.rest_Wh) * 3600 / steps
        rest_J = prediction.Wh * 3600 - step_J * steps
        pace = Pace(budget_J, rest_J, step_J, max(most, plan.shot.steps), lambda: meter.so_far().energy.total_J, not prediction.clips)
        return wanted, pace, said

    def _shapes(self, plan: Plan) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Batch sizes, latents (1, C, F, H, W) and text (L, D) of a plan, for the runtime to prepare for."""
        codec, outside = self.model.codec, sum(a.at == OUTSIDE for a in plan.shot.anchors)
        frames = outside + (plan.roll.window if plan.roll else (plan.frames - 1) // codec.stride[0] + 1)
        sides = (plan.canvas_height // codec.stride[1], plan.canvas_width // codec.stride[2])
        batches = (1,) if plan.strength == 1.0 else (2,) if plan.shot.cache == 1 else (2, 1)
        return batches, (1, codec.channels, frames, *sides), self.model.text_shape

    def _shoot(
        self,
        plan: Plan,
        meter: Meter,
        tell: Callable[[Progress], None],
        resume: State | None,
        pace: Pace | None,
        aside: Path | None,
    ) -> tuple[np.ndarray, list[str], np.ndarray, int]:
        """Frames, notes, latents and steps taken of a plan."""
        with meter.phase(LOAD):
            batches, shape, text_shape = self._shapes(plan)
            self.runtime.prepare(shape, text_shape, batches)
        with meter.phase("text"), torch.inference_mode():
            text = self.model.text.encode([plan.tokens, *(tokens for _, tokens in plan.scenes), plan.negative]).to(self.device)
        with meter.phase("encode"):
            anchors, notes = self._fit(plan)
            known, more = self._known(anchors, plan)
            notes += more

        def told(done: int, of: int, state: State | None, look: Callable[[], np.ndarray] | None) -> None:
            tell(Progress("denoise", done, of, meter.so_far(), state, look))

        with meter.phase("text"):
            blocking = self.blocking(plan, known)
        dice = replace(standing.dice(plan, self._path(plan), self.model.spec), blocking=blocking)
        behind = self._backdrop(plan, blocking, known)
        if behind is None and plan.begins < 1.0:
            raise WeightsError(f"{self.model.spec.name} begins from backdrops, and has no painter of them; restore {painter.FILE}")
        between = self._between(plan, blocking)
        if plan.roll is not None:
            assert isinstance(self.model, Model)
            with tempfile.TemporaryDirectory(prefix="kinowatt-") as folder, meter.phase("denoise"):
                decoding = functools.partial(meter.phase, "decode")
                own, network = aside or Path(folder), self.runtime.denoiser
                rollout = Rollout(plan, self.model, network, self.device, own, decoding, dice, self.step_caches, between, behind)
                rollout.give(known)
                del known  # as long as the clip
                limit = None if pace is None else pace.left
                frames_TCHW, past = rollout.run(text, anchors, self._path(plan), told, resume, limit)
            return frames_TCHW, notes + self._losses(plan, plan.roll.window), past, plan.roll.steps
        whole = Whole(plan, self.model, self.runtime, self.device, self.step_caches, dice, between)
        seen = None if behind is None else behind.of(0, known.ceiling_1F.shape[1] - known.outside, *known.latents_1CFHW.shape[3:])
        steering = self._steering(plan, known, blocking, seen)
        if seen is not None and plan.begins < 1.0:
            known = under(known, seen, plan.begins)
        with meter.phase("denoise"):
            latents, steps, more = whole.denoise(text, known, steering, told, resume, None if pace is None else pace.left)
        notes += [*more, *self._losses(plan, known.ceiling_1F.shape[1])]
        with meter.phase("decode"):

            def decoded(done: int) -> None:
                tell(Progress("decode", done, plan.frames, meter.so_far()))

            frames_TCHW, more = whole.decode(latents, anchors, decoded)
        return frames_TCHW, notes + more, latents.cpu().numpy(), steps

    def refined(
        self,
        plan: Plan,
        frames_TCHW: np.ndarray,
        latents: np.ndarray,
        steps: int,
        meter: Meter,
        tell: Callable[[Progress], None],
        resume: State | None,
    ) -> np.ndarray:
        """The small clip at the size asked for, drawn by the model itself."""
        with meter.phase(LOAD):
            for batches, shape in enlarge.shapes(plan, self.model.codec):
                self.runtime.prepare(shape, self.model.text_shape, batches)

        def told(done: int, of: int, state: State, look: Callable[[], np.ndarray]) -> None:
            tell(Progress("enlarge", done, of, meter.so_far(), state, look))

        with meter.phase("enlarge"):
            with torch.inference_mode():
                text = self.model.text.encode([plan.tokens, plan.negative]).to(self.device)
            anchors, _ = self._fit(plan)
            means = {"steps": steps, "guidance": plan.shot.guidance, "cache": plan.shot.cache, "size": plan.shot.size}
            spec, dice = self.model.spec, standing.dice(plan, plan.shot.camera.path, self.model.spec)
            refiner = enlarge.Refiner(self.runtime, self.device, plan, self.model.shift, spec.fps, text, anchors, means, dice)
            return refiner.enlarge(frames_TCHW, latents, told, resume)

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

    def _path(self, plan: Plan) -> tuple[CameraKey, ...]:
        """The key frames of the camera. ShotError for a model that follows none."""
        if plan.shot.camera.path and "path" not in self.model.spec.trained_modes:
            raise ShotError(f"{self.model.spec.name} does not follow a camera path; name a move instead, for example --camera orbit-left")
        return plan.shot.camera.path

    def blocking(self, plan: Plan, known: conditioning.Known | None = None) -> Blocking | None:
        """What the model's director tells of a clip; None where it has none, or nothing to tell. `known`: of its anchors, if any."""
        model = self.model
        if not isinstance(model, Model) or model.director is None or not model.dit.config.blocking:
            return None
        return direct(plan, self._path(plan), model.director, model.poser, model.observer, known or self._known([], plan)[0], model.spec)

    def decoded(self, latents_1CFHW: torch.Tensor) -> Iterator[torch.Tensor]:
        """The frames of latents of which nothing is told, part by part."""
        stream, model = self.runtime.decode_stream(latents_1CFHW), self.model
        if not isinstance(model, Model):
            return stream
        return Between(torch.eye(4)[None], 0.0, None, model.codec.stride[0], model.interpolator).along(stream)

    def _between(self, plan: Plan, blocking: Blocking | None) -> Between | None:
        """How frames between latents are drawn; None for other models than ours, whose codecs draw them themselves."""
        model = self.model
        if not isinstance(model, Model):
            return None
        rows_T44, focus_m = standing.way(plan, self._path(plan), model.spec)
        things = None if blocking is None else blocking.things()
        return Between(torch.from_numpy(rows_T44), focus_m, things, model.codec.stride[0], model.interpolator)

    def _backdrop(self, plan: Plan, blocking: Blocking | None, known: conditioning.Known) -> Backdrop | Shown | None:
        """Of words, or of footage that is given. None for edits, whose footage is to be redrawn, and for networks that are shown none."""
        model = self.model
        if not isinstance(model, Model) or model.painter is None or not model.dit.config.sees_backdrop:
            return None
        if from_words(plan.shot):
            return backdrop(plan, self._path(plan), model.painter, blocking, model.spec)
        return shown(plan, self._path(plan), model.painter, blocking, known, model.spec)

    def _steering(
        self, plan: Plan, known: conditioning.Known, blocking: Blocking | None, seen: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The channels of a camera path, of a blocking and of what is behind it, and those without the blocking: guidance moves away from
        the same place with nothing in it. None with none of them. ShotError for a model that follows no path."""
        path, codec = self._path(plan), self.model.codec
        if not path and blocking is None and seen is None:
            return None
        frames, height, width = known.latents_1CFHW.shape[2:]
        rays = torch.zeros(1, RAY_CHANNELS, frames, height, width)
        if path:
            rays = rays_of(path, plan.frames, self.model.spec.fps, (height, width), codec.stride[0], known.outside)
        painted = None if blocking is None else blocking.channels(height, width)
        return steering_pair(rays, painted, seen, self.device)

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
