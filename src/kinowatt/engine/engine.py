"""How one Shot is shot: text, anchors, steps, pixels, bill."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from kinowatt import language
from kinowatt.clip import Clip
from kinowatt.energy.bill import EnergyBill
from kinowatt.energy.meter import Meter
from kinowatt.engine import conditioning, noise, sample
from kinowatt.engine.runtime import Runtime, choose
from kinowatt.errors import DeviceError, ShotError
from kinowatt.media.image import fit
from kinowatt.models import model as models
from kinowatt.models import specs
from kinowatt.models.protocols import Conditioning
from kinowatt.shot import Shot, still

MAX_FRAMES = 961  # one minute at 16 fps


@dataclass(frozen=True, eq=False)
class State:
    """A take between two steps: enough to go on later, on any machine, with the same shot. `latents_1CFHW` float32."""

    done: int
    latents_1CFHW: np.ndarray


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


@dataclass(frozen=True)
class Plan:
    """A shot with every default filled in: what will be computed. Sizes in pixels."""

    shot: Shot
    frames: int
    width: int
    height: int
    canvas_width: int  # what the network computes; the clip is cut from its middle
    canvas_height: int
    tokens: tuple[str, ...]
    reading: language.Reading
    warnings: tuple[str, ...] = field(default=())


def fill(shot: Shot, spec: specs.ModelSpec, grid: int) -> Plan:
    """Fill the defaults of the model into a shot; `grid` is the pixel multiple that the network needs. ShotError if it cannot be made."""
    width, height = shot.size or _default_size(shot, spec)
    if width % 2 or height % 2:
        raise ShotError(
            f"{width}x{height} has an odd side, which H.264 video cannot hold; {width + width % 2}x{height + height % 2} would work"
        )
    seconds = spec.seconds if shot.seconds is None else shot.seconds
    frames = min(max(round(seconds * spec.fps / 4), 0) * 4 + 1, MAX_FRAMES)
    canvas = [math.ceil(side / grid) * grid for side in (width, height)]
    reading = language.read(shot.prompt)
    camera = shot.camera
    extra = language.controls(move=camera.move, lens_mm=camera.lens_mm, shot=camera.shot, angle=camera.angle, mood=shot.mood)
    steps = spec.steps if shot.steps is None else shot.steps
    guidance = spec.guidance if shot.guidance is None else shot.guidance
    filled = replace(shot, size=(width, height), seconds=frames / spec.fps, steps=steps, guidance=guidance)
    plan = Plan(filled, frames, width, height, canvas[0], canvas[1], language.merge(reading, extra), reading)
    return replace(plan, warnings=_warnings(plan, spec))


def _default_size(shot: Shot, spec: specs.ModelSpec) -> tuple[int, int]:
    """The model's own size, or, where footage is given, the trained size that is nearest to its aspect."""
    if not shot.anchors:
        return spec.size
    clip = shot.anchors[0].clip
    return min(spec.trained_sizes, key=lambda s: abs(math.log(s[0] / s[1]) - math.log(clip.width / clip.height)))


def _warnings(plan: Plan, spec: specs.ModelSpec) -> tuple[str, ...]:
    said = [spec.weakness] if spec.weakness else []
    areas = [w * h for w, h in spec.trained_sizes]
    if not 0.7 * min(areas) <= plan.width * plan.height <= 1.4 * max(areas):
        sizes = ", ".join(f"{w}x{h}" for w, h in spec.trained_sizes)
        said.append(f"{spec.name} was trained at {sizes}; {plan.width}x{plan.height} is beyond that and will look worse")
    if plan.frames > spec.trained_frames:
        most = spec.trained_frames / spec.fps
        said.append(f"{spec.name} was trained on clips of {most:.1f} s; {plan.frames / spec.fps:.1f} s in one go will drift")
    mode = mode_of(plan.shot)
    if mode not in spec.trained_modes:
        said.append(f"{spec.name} was not trained on the mode {mode!r}")
    if not plan.reading.understood:
        said.append(f"{spec.name} understood no word of the prompt; it will show a scene of its own choice")
    return tuple(said)


def mode_of(shot: Shot) -> str:
    """The way of placing anchors, in the words of `ModelSpec.trained_modes`."""
    at = {a.at for a in shot.anchors}
    if not at:
        return "text"
    if any(a.strength < 1 for a in shot.anchors):
        return "soft"
    if at - {"start", "end"}:
        return "keys"
    return "both" if len(at) > 1 else str(at.pop())


class Engine:
    """A loaded model on a device. `generate` makes one take; it may be called again and again."""

    def __init__(self, model: models.Model, device: torch.device, runtime: str = "auto") -> None:
        self.model, self.device = model, device
        self.runtime: Runtime = choose(runtime, model, device)
        self.grid = model.codec.stride[1] * model.dit.config.patch[1]

    def plan(self, shot: Shot) -> Plan:
        """What `generate` would compute, without computing it."""
        return fill(shot, self.model.spec, self.grid)

    def generate(
        self, shot: Shot, on_step: Callable[[Progress], None] | None = None, meter: Meter | None = None, resume: State | None = None
    ) -> Take:
        """Make one take, or finish one from its saved state. ShotError if it cannot be made; DeviceError if the device fails."""
        plan = self.plan(shot)
        meter = meter or Meter()
        try:
            with meter:
                frames_TCHW, notes, latents = self._shoot(plan, meter, on_step or (lambda progress: None), resume)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise DeviceError(f"{plan.width}x{plan.height} with {plan.frames} frames does not fit into memory; ask for less") from error
        read = plan.reading
        return Take(
            Clip(frames_TCHW, fps=self.model.spec.fps),
            meter.bill,
            plan.shot,
            self.model.sha256,
            self.runtime.name,
            (*plan.warnings, *notes),
            read.understood,
            read.not_understood,
            latents,
        )

    def _shoot(
        self, plan: Plan, meter: Meter, tell: Callable[[Progress], None], resume: State | None
    ) -> tuple[np.ndarray, list[str], np.ndarray]:
        shot = plan.shot
        assert shot.steps is not None
        assert shot.guidance is not None
        with meter.phase("text"), torch.inference_mode():
            negative = language.read(shot.negative).tokens if shot.negative else ()
            text = self.model.text.encode([plan.tokens, negative])
        with meter.phase("encode"):
            known, notes = self._anchors(plan)
        tell(Progress("denoise", resume.done if resume else 0, shot.steps, meter.so_far()))

        def step(done: int, of: int, x: torch.Tensor, clean: torch.Tensor) -> None:
            tell(Progress("denoise", done, of, meter.so_far(), State(done, x.cpu().numpy()), lambda: self._look(clean, plan)))

        with meter.phase("denoise"):
            ceiling = known.ceiling_1F.to(self.device)
            cond = Conditioning(text[:1], text[1:], known.latents_1CFHW.to(self.device), ceiling)
            latents = sample.denoise(
                self.runtime.denoiser,
                cond,
                self._start(cond, shot, resume),
                noise.schedule(shot.steps, ceiling.shape[1], shift=self.model.shift),
                guidance=shot.guidance,
                on_step=step,
                done=resume.done if resume else 0,
            )
        with meter.phase("decode"), torch.inference_mode():
            parts = []
            for signal in self.runtime.decode_stream(latents):
                parts.append(conditioning.to_frames(signal))
                tell(Progress("decode", sum(map(len, parts)), plan.frames, meter.so_far()))
        frames_TCHW = conditioning.paste_back(np.concatenate(parts), known)
        return _off_canvas(frames_TCHW, plan), notes, latents.cpu().numpy()

    def _start(self, cond: Conditioning, shot: Shot, resume: State | None) -> torch.Tensor:
        """Noise of the shot's seed, or the latents of a saved state. ShotError if the state is of another shot."""
        shape = cond.known_BCFHW.shape
        if resume is None:
            # Drawn on the CPU, so that a seed means the same picture on every device.
            return torch.randn(shape, generator=torch.Generator().manual_seed(shot.seed)).to(self.device)
        if resume.latents_1CFHW.shape != shape or resume.done > (shot.steps or 0):
            raise ShotError("the saved state belongs to another shot; begin anew")
        return torch.from_numpy(resume.latents_1CFHW).to(self.device)

    def _look(self, clean_1CFHW: torch.Tensor, plan: Plan) -> np.ndarray:
        """The middle of the clip as one frame (3, H, W), decoded alone."""
        middle = clean_1CFHW.shape[2] // 2
        with torch.inference_mode():
            signal = self.runtime.codec.decode(clean_1CFHW[:, :, middle : middle + 1])
        return _off_canvas(conditioning.to_frames(signal), plan)[0]

    def _anchors(self, plan: Plan) -> tuple[conditioning.Known, list[str]]:
        """Fit the anchors to the clip and encode them."""
        fitted, notes = [], []
        for number, anchor in enumerate(plan.shot.anchors, 1):
            # A still has no rate: it holds one frame of any.
            fps = self.model.spec.fps if anchor.clip.frames > 1 else None
            clip, note = fit(anchor.clip, plan.width, plan.height, fps)
            clip = _on_canvas(clip, plan)
            if note:
                notes.append(f"anchor {number}: {note}")
            if clip.frames == 1 and anchor.strength < 1:
                clip = still(clip, plan.frames)  # an edit of a photograph: it stands over the whole clip
            fitted.append(replace(anchor, clip=clip))
        size = (plan.canvas_height, plan.canvas_width)
        return conditioning.build(fitted, self.runtime.codec, plan.frames, *size, self.model.spec.fps), notes


def _off_canvas(frames_TCHW: np.ndarray, plan: Plan) -> np.ndarray:
    top, left = (plan.canvas_height - plan.height) // 2, (plan.canvas_width - plan.width) // 2
    return np.ascontiguousarray(frames_TCHW[:, :, top : top + plan.height, left : left + plan.width])


def _on_canvas(clip: Clip, plan: Plan) -> Clip:
    """Footage of the wanted size in the middle of the canvas; its borders run on to the edges, so that no pixel is resampled."""
    more_h, more_w = plan.canvas_height - plan.height, plan.canvas_width - plan.width
    pads = ((0, 0), (0, 0), (more_h // 2, more_h - more_h // 2), (more_w // 2, more_w - more_w // 2))
    return replace(clip, frames_TCHW=np.pad(clip.frames_TCHW, pads, "edge"))


def load(name: str = "spark", device: str = "auto", runtime: str = "auto") -> Engine:
    """An engine for a named model (or a folder) on "auto", "cpu" or "cuda". WeightsError, ShotError."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda") and not device.startswith("cuda:"):
        raise ShotError(f"device {device!r} is unknown; use auto, cpu or cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ShotError("no CUDA device answers on this machine; use --device cpu")
    where = torch.device(device)
    return Engine(models.load(specs.find(name), where), where, runtime)
