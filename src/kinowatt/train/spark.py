"""How spark's denoiser is trained: flow matching on cached latents, in every mode, with captions in words that never repeat."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kinowatt import language
from kinowatt.engine.parallel import World
from kinowatt.engine.shown import DARKER, Shown
from kinowatt.engine.standing import Cameras, Dice
from kinowatt.errors import WeightsError
from kinowatt.models import precision, vae, weights
from kinowatt.models.blocking import Blocking, covers
from kinowatt.models.dit import DITS, DiTConfig, VideoDiT
from kinowatt.models.painter import BACKDROP_CHANNELS, Painter
from kinowatt.models.protocols import Denoiser
from kinowatt.models.steering import steered, steering
from kinowatt.models.text import TextConfig, TextEncoder
from kinowatt.train.data import HELD_OUT
from kinowatt.train.latents import Draw, LatentStore, latent_blocks
from kinowatt.train.loss import Noised, noised, random_ceilings, velocity_loss
from kinowatt.train.recipes import Recipe
from kinowatt.train.shard import Rows
from kinowatt.train.stages import EXAM_BLOCKS, halved, in_time

PATH_SHARE = 0.5  # of clips whose camera path is given as rays
BACKDROP_SHARE = 0.8  # of clips whose backdrop is shown, of those that are no edits: an enlarged one has none
BEGINS = 0.9  # the level of noise at which such clips begin, their backdrop under it (engine/backdrop.py)
POSED_SHARE = 0.9  # of clips in whose backdrop things are turned as they are
WORDS_ALONE, BLOCKING_ALONE = 0.15, 0.05  # of clips: told no blocking, or nothing but that
REFERENCE_SHARE = 0.1  # of batches with a close look beside the clip, outside of time
SHORT, SHORT_SHARE = 5, 0.5  # latent frames (17 of the film) of clips that are cut short, and how many are: they cost less than half
STILL_SHARE = 0.4  # of batches: single frames of clips, of which there are more for the same work
STILLS_PER_CLIP = 8
OF_FALLS = 8.0  # and so much more where rain or snow changes it by one: else a network leaves out what is so faint
OF_THINGS = 4.0  # what a pixel of a thing counts: things are a tenth of the picture, and what people look at
WIDER = 1.3  # than its ellipse is what counts as a thing
BEHIND = "dit.behind."  # by name: lets nothing through at first
BLOCKS, ADDING = "dit.blocks.", ("to_out", "ffn.net.2", "scale_shift_table")  # by name: what a block adds goes through these


class Spark(nn.Module):
    """What the denoiser's file holds: the DiT and its text encoder, trained together."""

    def __init__(self, dit: DiTConfig, text: TextConfig) -> None:
        super().__init__()
        self.dit, self.text = VideoDiT(dit), TextEncoder(text)

    def forward(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, ids_BL: torch.Tensor) -> torch.Tensor:
        """Velocity, of a text as its token rows (B, L)."""
        return self.dit(x_BCFHW, level_BF, self.text(ids_BL))

    def start(self, tensors: dict[str, torch.Tensor], config: dict[str, Any]) -> None:
        """Take over the weights of a denoiser's file: input channels that it lacks begin at zero, words as an average word, and blocks
        add nothing. WeightsError."""
        mine = self.state_dict()
        embed = mine["text.embed.weight"]
        try:
            theirs = {k: v.float() for k, v in tensors.items()}
            theirs = {k: v for k, v in mine.items() if k.startswith(BEHIND)} | self._deeper(theirs, config["dit"]["layers"])
            for name in ("dit.patch_embedding.weight", "dit.ends.conv_in.weight"):
                old = theirs[name]
                theirs[name] = torch.cat([old, torch.zeros_like(mine[name][:, old.shape[1] :])], 1)
            row = {token: i + 1 for i, token in enumerate(config["text"]["vocabulary"])}
            table = theirs["text.embed.weight"]
            # Words that are new to the weights begin as an average word.
            grown = table[1 : len(row) + 1].mean(0).expand_as(embed).clone()
            grown[0] = 0.0
            for token, i in self.text.row.items():
                if token in row:
                    grown[i] = table[row[token]]
            grown[-self.text.config.buckets :] = table[-self.text.config.buckets :]
            self.load_state_dict(theirs | {"text.embed.weight": grown})
        except (KeyError, RuntimeError) as error:
            said = str(error).splitlines()[0]
            raise WeightsError(f"these weights do not fit the recipe's network; start from others ({said})") from error

    def _deeper(self, theirs: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
        """The same with as many blocks as this network has: new ones, that add nothing at first, after each of theirs."""
        each = len(self.dit.blocks) // layers
        if each * layers != len(self.dit.blocks) or each == 1:
            return theirs
        grown = {
            name: torch.zeros_like(own) if any(part in name for part in ADDING) else own
            for name, own in self.state_dict().items()
            if name.startswith(BLOCKS)
        }
        for name, own in theirs.items():
            if name.startswith(BLOCKS):
                number, _, rest = name.removeprefix(BLOCKS).partition(".")
                name = f"{BLOCKS}{each * int(number)}.{rest}"
            grown[name] = own
        return grown


@dataclass(frozen=True, eq=False)
class Lesson:
    """A batch as it is taught: clean latents (B, C, F, H, W), token rows (B, L), rays (zeros: no path), from where the clips are seen, what
    stands where (no things: it is not told), of which clips (B) that is told, backdrops with what is told of that and without (zeros:
    none), with all of it, the levels (B) at which clips begin from that, by how much what falls changes each number, which frames are given
    (ceilings (B, F) and lags (B)), and, or None, what stands beside."""

    clean_BCFHW: torch.Tensor
    rows_BL: torch.Tensor
    rays_BCFHW: torch.Tensor
    cameras: Cameras
    blocking: Blocking
    told_B: torch.Tensor
    backdrop_BCFHW: torch.Tensor
    empty_BCFHW: torch.Tensor
    under_BCFHW: torch.Tensor
    begins_B: torch.Tensor
    falls_BCFHW: torch.Tensor
    anchored: tuple[torch.Tensor, torch.Tensor]
    beside_BCFHW: torch.Tensor | None

    def noised(self, recipe: Recipe, generator: torch.Generator) -> Noised:
        """Its clips on their way to noise."""
        dice, under = Dice(recipe.standing, self.cameras, self.blocking), (self.under_BCFHW, self.begins_B)
        beside, anchored = self.beside_BCFHW, self.anchored
        return noised(self.clean_BCFHW, recipe.shift, generator, beside=beside, dice=dice, under=under, anchored=anchored)

    def untold(self) -> Lesson:
        """With nothing told of what stands where: guidance moves away from that."""
        none_B = torch.zeros_like(self.told_B)
        return dataclasses.replace(self, told_B=none_B, blocking=self.blocking.only(none_B), backdrop_BCFHW=self.empty_BCFHW)

    def steering(self, switch: float) -> torch.Tensor:
        """Channels of steering, with the switch for guidance in one pass at `switch`."""
        height, width = self.clean_BCFHW.shape[3:]
        told = self.blocking.channels(height, width, self.told_B)
        return steering(self.rays_BCFHW, torch.full((len(self.rows_BL),), switch), told, self.backdrop_BCFHW).to(self.clean_BCFHW)


def weights_of(blocking: Blocking, falls_BCFHW: torch.Tensor, of_things: float, rest: float) -> torch.Tensor:
    """What each number of latents (B, C, F, H, W) counts: so much where things stand, so much elsewhere, and more where what falls changes
    it."""
    height, width = falls_BCFHW.shape[3:]
    inside, _, _ = covers(blocking.wider(WIDER), height * vae.SMALL, width * vae.SMALL)
    stands = inside.amax(1)[:, None].expand(-1, vae.COLOURS, -1, -1, -1)
    return vae.fold(rest + (of_things - rest) * stands).to(falls_BCFHW) + rest * OF_FALLS * falls_BCFHW


def as_footage_shows(painter: Painter, draw: Draw, blocking: Blocking, b: int, given_F: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Backdrops (BACKDROP_CHANNELS, F, H, W) of clip b of which frames are given, with what stands there and without, as a take has them;
    its light is that of the scene, where shadows tell of it."""
    given = {f: draw.clean_BCFHW[b : b + 1, :, f : f + 1].float() for f in given_F.nonzero()[:, 0].tolist()}
    cameras = Cameras(draw.cameras.rows_BF44[b : b + 1], draw.cameras.focus_B[b : b + 1])
    seen = Shown(painter, cameras, draw.words_BL[b : b + 1], blocking.one(b).things(), given)
    seen = dataclasses.replace(seen, light=draw.lights_B3[b] if seen.darker(draw.lights_B3[b]) > DARKER else None)
    full, empty = seen.of(0, draw.clean_BCFHW.shape[2], *draw.clean_BCFHW.shape[3:])
    return (full if bool(draw.told_B[b]) else empty)[0], empty[0]


class SparkTask:
    """Flow matching with random ceilings per latent frame on cached latents."""

    name, ema_decay = "spark", 0.999

    def __init__(
        self, recipe: Recipe, cache: Path, device: torch.device, deadline: float, painter: Painter | None, world: World | None = None
    ) -> None:
        self.recipe, self.device, self.lr, self.world = recipe, device, recipe.spark_lr, world
        self.painter = painter
        dit = DITS[recipe.dit]
        self.model = Spark(dit, TextConfig(language.VOCABULARY, width=dit.text_dim))
        self.module: nn.Module = self.model
        self.denoiser: Denoiser = self.model if world is None else Rows(self.model, world)
        latents = cache / "latents"

        def paths(blocks: range, deadline: float) -> list[Path]:
            """Of all blocks; each process makes its part of them."""
            own = blocks if world is None else blocks[world.rank :: world.size]
            made = in_time(latent_blocks(latents, own, recipe.buckets, recipe.workers), deadline)
            return made if world is None else [path for part in world.gathered(made) for path in part]

        self.held_out = LatentStore(paths(range(HELD_OUT, HELD_OUT + EXAM_BLOCKS), math.inf), self.model.text)
        self.store = LatentStore(paths(range(recipe.latent_blocks), deadline), self.model.text)

    def start(self, folder: Path) -> float | None:
        """Begin with the weights of a model folder; returns the joules that they have cost. WeightsError."""
        tensors, config = weights.load(folder / "denoiser.safetensors")
        self.model.start(tensors, config)
        cost: float | None = config.get("total_J")
        return cost

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Velocity loss of this step's batch."""
        generator = torch.Generator().manual_seed(step)
        draw = self._captioned(self._draw(generator), generator)
        return self._loss(draw, generator, OF_THINGS), len(draw.rows_BL)

    def _captioned(self, draw: Draw, generator: torch.Generator) -> Draw:
        """Some of its clips with nothing told, as guidance wants it; some with words alone, and some with a blocking alone."""
        lot = torch.rand(len(draw.rows_BL), generator=generator) - self.recipe.caption_dropout
        worded = (lot >= 0) & ~((lot >= WORDS_ALONE) & (lot < WORDS_ALONE + BLOCKING_ALONE))
        return dataclasses.replace(draw, rows_BL=draw.rows_BL * worded[:, None], told_B=lot >= WORDS_ALONE)

    def _draw(self, generator: torch.Generator) -> Draw:
        """A batch of clips, of parts of clips, or of pictures."""
        still, short = (torch.rand(2, generator=generator) < torch.tensor([STILL_SHARE, SHORT_SHARE])).tolist()
        if still:
            return self.store.draw(self.recipe.spark_batch * STILLS_PER_CLIP, generator, window=1)
        return self.store.draw(self.recipe.spark_batch, generator, window=SHORT if short else None)

    def _lesson(self, draw: Draw, generator: torch.Generator) -> Lesson:
        """With a camera path or none; with a reference beside them or none."""
        clean, rays = draw.clean_BCFHW, draw.rays_BCFHW
        path = torch.rand(len(clean), generator=generator) < PATH_SHARE
        beside = draw.looks_BCFHW if clean.shape[2] > 1 and torch.rand(1, generator=generator) < REFERENCE_SHARE else None
        rays = rays * path[:, None, None, None, None]
        if beside is not None:
            rays = torch.cat([rays, torch.zeros_like(rays[:, :, : beside.shape[2]])], 2)
            beside = beside.to(self.device).float()
        blocking = draw.blocking.only(draw.told_B)
        anchored = random_ceilings(len(clean), clean.shape[2], generator)
        edits = ((anchored[0] > 0) & (anchored[0] < 1)).all(1)
        shown = (torch.rand(len(clean), generator=generator) < BACKDROP_SHARE) & ~edits
        empty = clean.new_zeros(len(clean), BACKDROP_CHANNELS, *clean.shape[2:], dtype=torch.float32)
        full = all_of_it = empty
        falls = torch.zeros_like(empty[:, : clean.shape[1]])
        if self.painter is not None:
            views = draw.views
            dry = self.painter.paint(views, draw.words_BL, *clean.shape[3:])
            posed = torch.rand(len(clean), 1, 1, 1, generator=generator) < POSED_SHARE
            poses = None if draw.blocking.poses_BKFP is None else draw.blocking.poses_BKFP * posed
            # What is not told is seen all the same in what a clip begins from: guidance moves away from a network that sees it so.
            stand = dataclasses.replace(draw.blocking, poses_BKFP=poses)
            full = self.painter.peopled(dry, views, draw.words_BL, stand)
            all_of_it, empty = (self.painter.rained(painted, views, draw.words_BL) for painted in (full, dry))
            falls = (all_of_it - full)[:, : clean.shape[1]].abs()
            full = torch.where(draw.told_B[:, None, None, None, None], all_of_it, empty)
            for b in (shown & (anchored[0] == 0).any(1)).nonzero()[:, 0].tolist():
                full[b], empty[b] = as_footage_shows(self.painter, draw, stand, b, anchored[0][b] == 0)
        full, empty = ((painted * shown[:, None, None, None, None]).to(self.device) for painted in (full, empty))
        under, begins = all_of_it[:, : vae.COLOURS * vae.SMALL**2].to(self.device), torch.where(shown, BEGINS, 1.0)
        if self.painter is None:
            begins = torch.ones_like(begins)
        return Lesson(
            clean.to(self.device).float(), draw.rows_BL.to(self.device), rays, draw.cameras.to(self.device),
            blocking.to(self.device), draw.told_B.to(self.device), full, empty, under, begins, falls.to(self.device), anchored, beside,
        )  # fmt: skip

    def _loss(self, draw: Draw, generator: torch.Generator, of_things: float, rest: float = 1.0) -> torch.Tensor:
        """Velocity loss, where things stand counted `of_things`, elsewhere `rest`."""
        lesson = self._lesson(draw, generator)
        weight = None if of_things == rest else weights_of(draw.blocking, lesson.falls_BCFHW, of_things, rest)
        denoiser, at = steered(self.denoiser, lesson.steering(0.0)), lesson.noised(self.recipe, generator)
        return velocity_loss(denoiser, at, lesson.rows_BL, weight)

    def examine(self) -> dict[str, float]:
        """Velocity loss on held-out scenes, told their captions and what stands where (all over, and of things alone), captions alone, or
        nothing, at the same noise."""
        figures = {}
        asked = {
            "loss": (1, True, 1.0), "loss_of_things": (1, True, 0.0), "loss_without_blocking": (1, False, 1.0),
            "loss_without_text": (0, False, 1.0),
        }  # fmt: skip
        for name, (worded, told, rest) in asked.items():
            generator, losses = torch.Generator().manual_seed(0), []
            for _ in range(8):
                draw = self.held_out.draw(16, generator)
                shown = dataclasses.replace(draw, rows_BL=draw.rows_BL * worded, told_B=torch.full_like(draw.told_B, told))
                with precision.autocast(self.device):
                    losses.append(float(self._loss(shown, generator, 1.0, rest)))
            figures[name] = round(float(np.mean(losses)), 4)
        return figures | {"training_clips": float(self.store.clips)}

    def described(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """What stands beside the weights in their file."""
        return {
            "dit": dataclasses.asdict(self.model.dit.config),
            "text": self.model.text.config.to_json(),
            "shift": self.recipe.shift,
            "standing": self.recipe.standing,
            "begins": 1.0 if self.painter is None else BEGINS,
            "held_out": receipt["held_out"],
            "total_J": receipt["total_J"],
        }

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write denoiser.safetensors."""
        tensors = halved(self.model)
        if self.world is None or self.world.rank == 0:
            weights.save(folder / "denoiser.safetensors", tensors, self.described(receipt))
