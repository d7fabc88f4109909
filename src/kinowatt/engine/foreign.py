"""Models that run through diffusers, behind the same Shot: their pipelines, with bills, progress, budgets and cancelling.

A pipeline of diffusers denoises by itself, so its latents are not ours between two steps: there is no `State`, and a take that was broken
off begins anew. What it tells is its progress bar, which every pipeline opens when text and image are encoded, moves after each step and
closes before it decodes. That bar is replaced by one of ours: it reports steps, draws the borders of the bill's phases, and ends a take
at once when `on_step` or the budget raises. (`callback_on_step_end` would do so too, but HunyuanVideo 1.5 and others lack it.)
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.energy.ledger import Ledger
from kinowatt.energy.meter import Meter
from kinowatt.energy.predict import Prediction
from kinowatt.engine import cost
from kinowatt.engine.budget import Pace, fitted
from kinowatt.engine.canvas import on_canvas, picture
from kinowatt.engine.engine import Progress, State, Take, device_name
from kinowatt.engine.plan import Plan, fill
from kinowatt.errors import BudgetError, DeviceError, KinowattError, ShotError
from kinowatt.media.image import fit
from kinowatt.models import foreign, foreign_model, precision
from kinowatt.models.foreign import ForeignSpec
from kinowatt.models.foreign_model import first_line
from kinowatt.shot import OUTSIDE, START, Anchor, Shot


@dataclass(frozen=True)
class Ran:
    """What runs the network."""

    name: str


class ForeignEngine:
    """A pipeline of diffusers on a device, with the surface of `engine.Engine`."""

    def __init__(self, spec: ForeignSpec, device: torch.device, runtime: str = "auto") -> None:
        if runtime not in ("auto", "torch"):
            raise ShotError(f"{spec.name} runs through diffusers, not on {runtime}; use --runtime auto")
        self.device, self.model = device, foreign_model.load(spec, precision.short(device))
        self.runtime = Ran(f"diffusers {self.model.diffusers} {str(self.model.dtype).removeprefix('torch.')}")
        self._pipes, self._placed = {spec.pipeline: self.model.pipe}, ""
        self.anatomy = cost.of(spec)
        self.place = cost.Place(device_name(device), self.runtime.name, device.type == "cuda")
        self._pipe(spec.pipeline)

    def plan(self, shot: Shot) -> Plan:
        """What `generate` would compute, without computing it."""
        return fill(replace(shot, cache=None), self.model.spec)

    def predict(self, plan: Plan) -> Prediction | None:
        """Energy and time of a plan here, from this machine's ledger; None where nothing is known, or the network cannot be counted."""
        return self._predictor()(plan)

    def _predictor(self) -> Callable[[Plan], Prediction | None]:
        counted = self.anatomy
        if counted is None:
            return lambda plan: None
        past = Ledger().past(self.model.spec.name, self.place.device, self.place.runtime)
        return lambda plan: cost.predicted(cost.work(plan, counted), counted, self.place, past)

    def generate(
        self,
        shot: Shot,
        on_step: Callable[[Progress], None] | None = None,
        meter: Meter | None = None,
        resume: State | None = None,
        aside: Path | None = None,  # no window rolls here
    ) -> Take:
        """Make one take. ShotError if this model cannot make it; DeviceError if the device fails. What `on_step` raises ends it at once."""
        spec, meter = self.model.spec, meter or Meter()
        self._refuse(shot, resume)
        try:
            with meter:
                wanted, pace, said = self._budgeted(shot, meter)
                plan = self.plan(wanted)
                watch = _Watch(meter, plan, on_step or (lambda progress: None), pace)
                frames_TCHW, notes = self._shoot(plan, watch)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise DeviceError(f"{plan.width}x{plan.height} with {plan.frames} frames does not fit into memory; ask for less") from error
        if (shot.cache or 1) > 1:
            notes.append(f"{spec.name} computes its guidance at every step: cache {shot.cache} was not used")
        notes = [*plan.warnings, *said, *notes]
        return Take(Clip(frames_TCHW, fps=spec.fps), meter.bill, plan.shot, self.model.sha256, self.runtime.name, tuple(notes))

    def _refuse(self, shot: Shot, resume: State | None) -> None:
        """ShotError, with what this model can do, for anything else than words and one image at the start."""
        spec = self.model.spec
        if resume is not None:
            raise ShotError(f"{spec.name} runs through diffusers and cannot go on from a saved state; begin anew")
        odd = next((reason for anchor in shot.anchors if (reason := _oddity(anchor))), "")
        if not odd and shot.anchors and "start" not in spec.trained_modes:
            odd = "an image"
        if odd or len(shot.anchors) > 1:
            ways = {"text": "from words", "start": "from words and one image at the start"}
            can = " or ".join(said for mode, said in ways.items() if mode in spec.trained_modes)
            raise ShotError(f"{spec.name} makes videos {can}, and knows no use for {odd or 'more than one image'}; leave it out")

    def _budgeted(self, shot: Shot, meter: Meter) -> tuple[Shot, Pace | None, tuple[str, ...]]:
        """The shot with as many steps as fit its budget, and the pace that ends it if it costs more. BudgetError if nothing fits."""
        budget_J = shot.budget.joules(meter.intensity.gCO2e_per_kWh, meter.pue)
        if budget_J is None:
            return shot, None, ()
        if self.anatomy is None:
            raise BudgetError(f"what {self.model.spec.name} costs cannot be told beforehand; leave the budget out")
        spent_J = meter.so_far().energy.total_J or 0.0
        fit_ = fitted(shot, self.model.spec, budget_J, self._predictor(), lambda plan: spent_J)
        steps, known = self.plan(fit_.shot).shot.steps, fit_.prediction
        assert steps is not None
        rest_J = known.rest_Wh * 3600
        step_J = (known.Wh * 3600 - rest_J) / steps
        pace = Pace(budget_J, rest_J, step_J, steps, lambda: meter.so_far().energy.total_J, not known.clips)
        return fit_.shot, pace, fit_.notes

    def _shoot(self, plan: Plan, watch: _Watch) -> tuple[np.ndarray, list[str]]:
        """Frames (T, 3, H, W) uint8 and notes."""
        spec, anchors = self.model.spec, plan.shot.anchors
        pipe = self._pipe(spec.with_image if anchors else spec.pipeline)
        call, notes = self._call(pipe, plan)
        try:
            with _watched(pipe, watch), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the pipeline about its own parts
                result = pipe(**call)
        except ValueError as error:  # diffusers' way of saying that a request does not fit the model
            if error is watch.raised or isinstance(error, KinowattError):
                raise
            raise ShotError(f"{spec.name} cannot make this: {first_line(error)}") from error
        finally:
            pipe.maybe_free_model_hooks()  # where the weights come and go; a pipeline that is broken off does not do it itself
        if getattr(result, "audio", None) is not None:
            notes.append(f"{spec.name} makes sound too, which is left out")
        frames_THWC = np.asarray(result.frames[0])
        if not np.isfinite(frames_THWC).all():
            raise DeviceError(
                f"{spec.name} computed values that are no numbers, in {self.runtime.name}; another size or fewer steps may work"
            )
        frames_TCHW = np.round(frames_THWC.transpose(0, 3, 1, 2) * 255).astype(np.uint8)
        canvas = (plan.canvas_width, plan.canvas_height)
        if frames_TCHW.shape[:1:-1] != canvas:  # pipelines that choose the size by the image
            notes.append(
                f"{spec.name} chose {frames_TCHW.shape[3]}x{frames_TCHW.shape[2]} by itself; it was fitted to {canvas[0]}x{canvas[1]}"
            )
            frames_TCHW = fit(Clip(frames_TCHW, fps=spec.fps), *canvas)[0].frames_TCHW
        if len(frames_TCHW) != plan.frames:
            notes.append(f"{spec.name} made {len(frames_TCHW)} frames instead of {plan.frames}")
        return picture(frames_TCHW, plan), notes

    def _call(self, pipe: Any, plan: Plan) -> tuple[dict[str, Any], list[str]]:
        """The pipeline's arguments, and what of the shot it has no argument for."""
        shot, known, notes = plan.shot, inspect.signature(type(pipe).__call__).parameters, []
        # Drawn on the CPU, so that a seed means the same picture on every device.
        generator = torch.Generator().manual_seed(shot.seed)
        call: dict[str, Any] = {"prompt": plan.tokens[0], "num_inference_steps": shot.steps, "generator": generator, "output_type": "np"}
        call[next(name for name in foreign.LENGTHS if name in known)] = plan.frames
        sides = {"width": plan.canvas_width, "height": plan.canvas_height}
        # Sizes are those of the plan: no pipeline is to round them to a list of its own.
        call |= {name: value for name, value in (sides | {"use_resolution_binning": False}).items() if name in known}
        if "guidance_scale" in known:
            call["guidance_scale"] = shot.guidance
        elif (guider := getattr(pipe, "guider", None)) is not None and "guidance_scale" in guider.config:
            if guider.config.guidance_scale != shot.guidance:
                pipe.guider = guider.new(guidance_scale=shot.guidance)
        elif shot.guidance != self.model.spec.guidance:
            notes.append(f"{self.model.spec.name} has no guidance to set: {shot.guidance:g} was not used")
        # Those with `true_cfg_scale` look at a negative prompt only where guidance is computed twice over, which they are not made for.
        if "negative_prompt" in known and "true_cfg_scale" not in known and shot.guidance != 1.0:
            call |= {"negative_prompt": shot.negative} if shot.negative else {}
        elif shot.negative:
            notes.append(f"{self.model.spec.name} has no use for a negative prompt at guidance {shot.guidance:g}: it was not used")
        if shot.anchors:
            image, more = _image(shot.anchors[0].clip, plan)
            call["image"] = image
            notes += [more] if more else []
        return call, notes

    def _pipe(self, name: str) -> Any:
        """The pipeline of that class, on the device. Those of one model share their weights."""
        if name not in self._pipes:
            self._pipes[name] = self.model.sibling(name)
        pipe = self._pipes[name]
        if self._placed != name:
            foreign_model.place(pipe, self.device)
            self._placed = name
        return pipe


class _Watch:
    """Follows one call of a pipeline: phases of the bill, steps, and an end at once when it is to end."""

    def __init__(self, meter: Meter, plan: Plan, tell: Callable[[Progress], None], pace: Pace | None) -> None:
        self.meter, self.plan, self.pace = meter, plan, pace
        self.done, self.of = 0, 0
        self.raised: BaseException | None = None
        self._tell, self._phase = tell, contextlib.ExitStack()

    def enter(self, phase: str) -> None:
        """What comes now is billed to `phase`."""
        self._phase.close()
        self._phase.enter_context(self.meter.phase(phase))

    def begin(self, total: int) -> None:
        """The first step, or that of a further part of a clip that is made in parts."""
        self.of += total
        self.enter("denoise")
        self.tell("denoise", self.done, self.of)

    def step(self) -> None:
        """A step is behind."""
        self.done += 1
        self.tell("denoise", self.done, self.of)

    def decode(self) -> None:
        """The last step is behind."""
        self.enter("decode")
        self.tell("decode", 0, self.plan.frames)

    def tell(self, phase: str, done: int, of: int) -> None:
        """Report, and see whether one more step is within the budget. What this raises is kept, to be known from diffusers' own errors."""
        try:
            self._tell(Progress(phase, done, of, self.meter.so_far()))
            if self.pace is not None and phase == "denoise" and done < of:
                self.pace.left(done)
        except BaseException as error:
            self.raised = error
            raise

    def end(self) -> None:
        """The call is over."""
        self._phase.close()


class _Bar:
    """What a pipeline takes for its progress bar: the part of tqdm's surface that diffusers' video pipelines use."""

    def __init__(self, watch: _Watch, iterable: Iterable[Any] | None = None, total: int | None = None) -> None:
        self._watch, self._rows = watch, None if iterable is None else list(iterable)
        self._open = True
        watch.begin(total if total is not None else len(self._rows or ()))

    def update(self, steps: int = 1) -> None:
        """So many steps are behind."""
        for _ in range(steps):
            self._watch.step()

    def close(self) -> None:
        """The last step is behind."""
        if self._open:
            self._open = False
            self._watch.decode()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows or ():
            yield row
            self.update()
        self.close()


@contextlib.contextmanager
def _watched(pipe: Any, watch: _Watch) -> Iterator[None]:
    """While inside, the pipeline's bar is ours, and what it spends on its text encoders is billed apart."""
    encode = getattr(pipe, "encode_prompt", None)

    def timed(*given: Any, **named: Any) -> Any:
        assert encode is not None
        with watch.meter.phase("text"):
            return encode(*given, **named)

    pipe.progress_bar = lambda iterable=None, total=None: _Bar(watch, iterable, total)
    if encode is not None:
        pipe.encode_prompt = timed
    watch.enter("encode")
    try:
        yield
        watch.tell("decode", watch.plan.frames, watch.plan.frames)
    finally:
        watch.end()
        for name in ("progress_bar", "encode_prompt"):
            vars(pipe).pop(name, None)


def _oddity(anchor: Anchor) -> str:
    """What about an anchor is more than an image at the start; empty if nothing is."""
    if anchor.at == OUTSIDE:
        return "a reference"
    if anchor.at not in (START, 0.0):
        return f"footage at {anchor.at if isinstance(anchor.at, str) else f'{anchor.at:g} s'}"
    if anchor.clip.frames > 1 or anchor.latents_CFHW is not None:
        return "a video"
    return "an image that may be redrawn (strength below 1)" if anchor.strength < 1 else ""


def _image(clip: Clip, plan: Plan) -> tuple[Any, str | None]:
    """The image at the size that the network computes, for PIL, and a note where its sides were cut off."""
    from PIL import Image

    cut, note = fit(clip, plan.inner_width, plan.inner_height)
    return Image.fromarray(on_canvas(cut, plan).frames_TCHW[0].transpose(1, 2, 0)), note


def load(spec: ForeignSpec, device: torch.device, runtime: str = "auto") -> ForeignEngine:
    """An engine for a folder in diffusers' layout (`models.foreign.read`). WeightsError, MissingDependency, ShotError, DeviceError."""
    try:
        return ForeignEngine(spec, device, runtime)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise DeviceError(f"{spec.name} does not fit into memory; use a smaller model") from error
