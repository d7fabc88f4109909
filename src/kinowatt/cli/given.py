"""The options that all verbs that make something share, written once: a verb asks for `given: Given` and gets what they said."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from kinowatt.cli.take import How
from kinowatt.cli.words import (
    DeviceName,
    Json,
    LoraFiles,
    ModelName,
    RuntimeName,
    StepCache,
    Vram,
    Weights,
    Window,
    Zone,
    size_of,
)
from kinowatt.engine.ways import Ways
from kinowatt.errors import ShotError
from kinowatt.shot import MAX_PROMPT_CHARS, Budget, Shot


@dataclass(frozen=True)
class Given:
    """The shared options, with the types, defaults and help that typer shows; in the order of --help."""

    out: Annotated[Path, typer.Option("-o", "--out", help="the MP4 to write, or a .png for one picture")] = Path("out.mp4")
    size: Annotated[str | None, typer.Option(help="width x height in pixels, for example 256x256; default: the model's")] = None
    seconds: Annotated[float | None, typer.Option(help="duration, up to 600; frames come in 4k+1")] = None
    seed: Annotated[
        int | None, typer.Option(help="same seed, same machine: same frames; default: random, or the one of the clip that goes on")
    ] = None
    steps: Annotated[int | None, typer.Option(help="denoising steps")] = None
    guidance: Annotated[float | None, typer.Option(help="how strongly the words count; 1 = off, half the energy")] = None
    cache: Annotated[int | None, typer.Option(help="the term of guidance is computed at every so manieth step, kept in between")] = None
    enlarge: Annotated[str | None, typer.Option(help="sizes beyond the model's: refine or lanczos; default: as was measured better")] = None
    model: ModelName = "spark"
    device: DeviceName = "auto"
    runtime: RuntimeName = "auto"
    vram: Vram = None
    lora: LoraFiles = None
    weights: Weights = None
    step_cache: StepCache = None
    window: Window = None
    zone: Zone = None
    budget_wh: Annotated[float | None, typer.Option(help="what it may cost in all, in watt-hours")] = None
    budget_gco2e: Annotated[float | None, typer.Option("--budget-gco2e", help="what it may cost in all, in grams of CO2 equivalent")] = None
    deadline: Annotated[str | None, typer.Option(help="wait for the greenest hours before then: 6h, 2d, or 2026-12-01T06:00")] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what it would be and cost, and make nothing")] = False
    resume: Annotated[Path | None, typer.Option(help="latents that a take which was broken off has left: go on from them")] = None
    sheet: Annotated[bool, typer.Option("--sheet", help="a contact sheet (PNG) beside the video")] = False
    as_json: Json = False

    def shot(self, prompt: str, negative: str = "") -> Shot:
        """The request, without anchors. ShotError, PromptError."""
        if len(negative) > MAX_PROMPT_CHARS:
            raise ShotError(f"the negative prompt has {len(negative)} characters; at most {MAX_PROMPT_CHARS} are read")
        size = None if self.size is None else size_of(self.size)
        budget = Budget(self.budget_wh, self.budget_gco2e)
        shot = Shot(prompt, negative=negative, seconds=self.seconds, size=size, model=self.model, budget=budget)
        shot = replace(shot, steps=self.steps, guidance=self.guidance, cache=self.cache, enlarge=self.enlarge)
        return shot if self.seed is None else replace(shot, seed=self.seed)

    def how(self) -> How:
        """Where it goes and on what it runs. ShotError."""
        ways = Ways.of(self.runtime, self.vram, self.weights, self.step_cache, self.window, self.lora)
        return How(self.out, self.device, ways, self.zone, self.deadline, self.dry_run, self.sheet, self.as_json, self.resume)


def with_given(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb as typer should see it: its own options, then those of `Given` in the place of its parameter `given`."""
    own = [p for name, p in inspect.signature(verb, eval_str=True).parameters.items() if name != "given"]
    hints = get_type_hints(Given, include_extras=True)
    shared = [inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name]) for f in fields(Given)]

    @functools.wraps(verb)
    def told(*args: Any, **named: Any) -> None:
        given = Given(**{f.name: named.pop(f.name) for f in fields(Given)})
        verb(*args, **named, given=given)

    told.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    told.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
    return told
