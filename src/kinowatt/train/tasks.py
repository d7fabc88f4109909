"""The things that are trained: the codec and its interpolator; on its latents the denoiser with its text encoder; painter, director,
poser and observer; skies; phyworld."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.meter import Meter
from kinowatt.energy.processes import joint, several, speaks, take_own
from kinowatt.engine import parallel
from kinowatt.engine.parallel import World
from kinowatt.errors import InputError
from kinowatt.grid.history import history
from kinowatt.grid.weather_files import read
from kinowatt.models import director, header, interpolator, observer, painter, poser
from kinowatt.places import whole
from kinowatt.train.codec import CodecTask
from kinowatt.train.director import DirectorTask
from kinowatt.train.distil import DistilTask
from kinowatt.train.interpolator import InterpolatorTask
from kinowatt.train.loop import Task, train
from kinowatt.train.observer import ObserverTask
from kinowatt.train.painter import PainterTask
from kinowatt.train.phyworld import PHYWORLD_RECIPES, PhyWorldRecipe, PhyWorldTask
from kinowatt.train.poser import PoserTask
from kinowatt.train.recipes import RECIPES, Recipe
from kinowatt.train.skies import SKIES_RECIPES, SkiesRecipe, SkiesTask
from kinowatt.train.spark import SparkTask

TRAINED = ("codec", "interpolator", "painter", "director", "poser", "observer", "spark", "distil", "skies", "phyworld")
CODEC, DENOISER = "codec.safetensors", "denoiser.safetensors"
STARTED = ("codec", "interpolator", "painter", "spark", "distil")  # these can begin with weights; distil has to


def run(
    what: str,
    recipe_name: str,
    minutes: float | None,
    resume: bool,
    device_name: str,
    folder: Path,
    cache: Path,
    receipts: Path,
    zone: str | None,
    weather: Path | None = None,
    start: Path | None = None,
) -> dict[str, Any]:
    """Train one of TRAINED by a recipe; returns the receipt.

    `weather` is a history that skies learns from beside its world. `start` is a model folder whose weights one of STARTED begins with;
    their joules count. InputError for unknown names, MissingDependency without a renderer, WeightsError.
    """
    recipe = _recipe(what, recipe_name, weather, start)
    if several():
        if what != "spark":
            raise InputError(f"{what} is trained by one process; start it without torchrun, and spark with it")
        take_own()
    world = parallel.start(device_name)
    if device_name == "auto":
        device_name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device_name)
    torch.manual_seed(0)
    wall_s = 60.0 * (recipe.minutes if minutes is None else minutes)
    begun = time.monotonic()
    # Where a command's whole time is limited, the data takes its share of it; where data is kept on disk, it is made in full.
    data_share = recipe.data_share if isinstance(recipe, Recipe) else 0.0
    deadline = begun + wall_s * data_share if data_share else math.inf
    with Meter(zone=zone) as meter:
        with meter.phase("data"):
            if isinstance(recipe, Recipe):
                _give(what, folder, start)
            task = _task(what, recipe, cache, device, deadline, world, weather, folder)
        spent_J: float | None = 0.0
        if start is not None and isinstance(task, CodecTask | InterpolatorTask | PainterTask | SparkTask):
            spent_J = task.start(start)
        left_s = wall_s - (time.monotonic() - begun) if data_share else wall_s
        least_s = max(left_s, wall_s / 10.0)
        receipt = train(
            task,
            minutes=least_s / 60.0,
            folder=folder,
            resume=resume,
            device=device,
            receipts=receipts,
            meter=meter,
            world=world,
            before_J=spent_J,
        )
    bill = meter.bill if world is None else joint(world.gathered(meter.bill))
    if speaks():
        Ledger().add(Run("train", what, receipt["device"], f"torch {torch.__version__}", bill.to_json(), out=str(folder.resolve())))
    return receipt


def _task(
    what: str,
    recipe: Recipe | SkiesRecipe | PhyWorldRecipe,
    cache: Path,
    device: torch.device,
    deadline: float,
    world: World | None,
    weather: Path | None,
    folder: Path,
) -> Task:
    """What is trained, with its data."""
    if isinstance(recipe, SkiesRecipe):
        return SkiesTask(recipe, device, None if weather is None else history(read(weather)))
    if isinstance(recipe, PhyWorldRecipe):
        return PhyWorldTask(recipe, device)
    if what == "codec":
        return CodecTask(recipe, cache, device, deadline)
    if what == "interpolator":
        return InterpolatorTask(recipe, cache, device, deadline, folder / CODEC)
    if what == "director":
        return DirectorTask(recipe, cache, device, deadline)
    if what == "observer":
        return ObserverTask(recipe, cache, device, deadline)
    if what == "painter":
        return PainterTask(recipe, cache, device, deadline)
    if what == "poser":
        return PoserTask(recipe, cache, device, deadline)
    # Without a painter beside it a denoiser is shown no backdrops.
    paints = painter.of(folder / painter.FILE) if (folder / painter.FILE).is_file() else None
    if what == "distil":
        return DistilTask(recipe, cache, device, deadline, paints)
    return SparkTask(recipe, cache, device, deadline, paints, world)


def _give(what: str, folder: Path, start: Path | None) -> None:
    """What the trained will stand beside, the folder's own or copies: a codec that draws its pictures, and of a denoiser the others."""
    if what not in ("interpolator", "spark", "distil"):
        return
    if not (folder / CODEC).is_file():
        if start is None or not (start / CODEC).is_file():
            raise InputError(
                f"{folder / CODEC} is missing, and {what} works on what a codec draws; train it first (kinowatt train codec --folder "
                f"{folder}), or name a model folder with --start"
            )
        _copy(start / CODEC, folder / CODEC)
    for name in () if what == "interpolator" else (interpolator.FILE, painter.FILE, director.FILE, poser.FILE, observer.FILE):
        if start is not None and (start / name).is_file() and not (folder / name).is_file():
            _copy(start / name, folder / name)


def _copy(theirs: Path, own: Path) -> None:
    own.parent.mkdir(parents=True, exist_ok=True)
    with whole(own) as part:
        shutil.copyfile(theirs, part)


def _recipe(what: str, name: str, weather: Path | None, start: Path | None) -> Recipe | SkiesRecipe | PhyWorldRecipe:
    """The recipe of that name. InputError for what does not go together."""
    if what not in TRAINED:
        raise InputError(
            f"{what!r} cannot be trained; train codec, interpolator, painter, director, poser, observer and spark, then distil; or "
            "skies or phyworld alone"
        )
    own: dict[str, dict[str, Any]] = {"skies": SKIES_RECIPES, "phyworld": PHYWORLD_RECIPES}
    known = own.get(what, RECIPES)
    if name not in known:
        raise InputError(f"{what} has no recipe {name!r}; use {' or '.join(known)}")
    if weather is not None and what != "skies":
        raise InputError(f"{what} learns nothing from weather; only skies does")
    if start is not None and what not in STARTED:
        raise InputError(f"{what} begins from nothing; only {', '.join(STARTED)} start from weights")
    if start is None and what == "distil":
        raise InputError(f"{what} goes on from weights; name their folder, for example --start runs/checkpoints/spark")
    if what == "distil" and start is not None and header.config(start / DENOISER).get("one_pass"):
        raise InputError(f"the weights in {start} guide themselves in one pass already; distil goes on from weights that do not")
    recipe: Recipe | SkiesRecipe | PhyWorldRecipe = known[name]
    return recipe
