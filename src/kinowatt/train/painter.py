"""How spark's painter is trained: pixels of the world, from where their rays go, from what stands there and from what captions say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kinowatt import language
from kinowatt.errors import WeightsError
from kinowatt.models import painter, vae, weights
from kinowatt.models.blocking import Blocking, covers
from kinowatt.models.limbs import Limbs
from kinowatt.models.painter import Painter, PainterConfig
from kinowatt.models.spots import Stands, Views, places
from kinowatt.train.latents import Draw, stores
from kinowatt.train.recipes import Recipe
from kinowatt.train.stages import halved

PIXELS = 256  # of each picture, in a step
NEAR, NEARBY = 0.5, 1.8  # so many of them within so many ellipses of a thing
SHADED, SHADY = 0.25, 1.3  # so many of them within so many sizes of the middle of a thing's shadow
UNPOSED = 0.15  # of pictures: it is not known how things are turned


class PainterTask:
    """Words, rays and blockings to colours."""

    name, ema_decay = "painter", 0.998

    def __init__(self, recipe: Recipe, cache: Path, device: torch.device, deadline: float) -> None:
        self.recipe, self.device, self.lr = recipe, device, recipe.painter_lr
        self.model = Painter(PainterConfig(), language.VOCABULARY)
        self.module: nn.Module = self.model
        self.held_out, self.store = stores(recipe, cache, deadline, self.model.text)

    def start(self, folder: Path) -> float | None:
        """Begin with the painter of a model folder, to which numbers of pixels that it was not told mean nothing at first; returns the
        joules that it has cost. WeightsError."""
        tensors, config = weights.load(folder / painter.FILE)
        mine = self.model.state_dict()
        try:
            if config["vocabulary"] != list(language.VOCABULARY):
                raise WeightsError("its words are others")
            if any(v.shape[-1] > mine[k].shape[-1] for k, v in tensors.items()):
                raise WeightsError("it is told more")
            grown = {k: F.pad(v.float(), (0, mine[k].shape[-1] - v.shape[-1])) for k, v in tensors.items()}
            self.model.load_state_dict(grown)
        except (KeyError, RuntimeError, WeightsError) as error:
            said = str(error).splitlines()[0]
            raise WeightsError(f"{folder / painter.FILE} does not fit this painter; train one from nothing ({said})") from error
        cost: float | None = config.get("total_J")
        return cost

    def loss(self, step: int) -> tuple[torch.Tensor, int]:
        """Of this step's pixels."""
        generator = torch.Generator().manual_seed(step)
        draw = self.store.draw(self.recipe.painter_batch, generator, window=1)
        worded = torch.rand(len(draw.rows_BL), 1, generator=generator) >= self.recipe.caption_dropout
        posed = torch.rand(len(draw.rows_BL), generator=generator) >= UNPOSED
        return self._loss(dataclasses.replace(draw, rows_BL=draw.rows_BL * worded), posed, generator, NEAR, SHADED), len(draw.rows_BL)

    def _loss(self, draw: Draw, posed_B: torch.Tensor, generator: torch.Generator, near: float, shaded: float) -> torch.Tensor:
        """Mean squared error of normalised colours, of so large a share of pixels near things, and near their shadows."""
        high, wide = (side * vae.SMALL for side in draw.clean_BCFHW.shape[3:])
        batch, views = len(draw.rows_BL), draw.views
        counts = [round(share * PIXELS) for share in (near, shaded)]
        at = torch.randint(high * wide, (batch, PIXELS - sum(counts)), generator=generator)
        for count, where in zip(counts, (_near, _shaded), strict=True):
            if count:
                # Anywhere where nothing stands.
                beside_BN = where(draw.blocking, views, high, wide)
                at = torch.cat([at, torch.multinomial(beside_BN + 1e-6, count, replacement=True, generator=generator)], 1)
        told = painter.told(views, high, wide).flatten(2)
        true = vae.unfold(draw.clean_BCFHW)[:, 0].float().flatten(2)
        told, true = (part.gather(2, at[:, None].expand(-1, part.shape[1], -1)).transpose(1, 2).to(self.device) for part in (told, true))
        assert draw.blocking.poses_BKFP is not None  # latents' files hold them
        poses = draw.blocking.poses_BKFP * posed_B[:, None, None, None]
        blocking = dataclasses.replace(draw.blocking, poses_BKFP=poses).to(self.device)
        words = self.model.words(draw.rows_BL.to(self.device))
        pixels = places(high, wide)[at].to(self.device)
        seen = self.model.before(self.model(told, words), words, blocking, views.to(self.device), pixels, high)
        seen = self.model.wet(seen, words, views.to(self.device), pixels, high)
        return (seen - true).square().mean()

    def examine(self) -> dict[str, float]:
        """On held-out scenes: the error of all pixels by captions and without; of those near things, with poses and without; of those near
        shadows; and what a mean colour of all pictures would have."""
        asked = {
            "loss": (1, True, 0.0, 0.0), "loss_without_text": (0, True, 0.0, 0.0), "loss_near_things": (1, True, 1.0, 0.0),
            "loss_near_things_without_poses": (1, False, 1.0, 0.0), "loss_near_shadows": (1, True, 0.0, 1.0),
        }  # fmt: skip
        figures = {}
        for name, (worded, posed, near, shaded) in asked.items():
            generator, losses = torch.Generator().manual_seed(0), []
            for _ in range(8):
                draw = self.held_out.draw(64, generator, window=1)
                shown = dataclasses.replace(draw, rows_BL=draw.rows_BL * worded)
                losses.append(float(self._loss(shown, torch.full((64,), posed), generator, near, shaded)))
            figures[name] = round(sum(losses) / 8, 4)
        generator = torch.Generator().manual_seed(0)
        figures["variance"] = round(float(self.held_out.draw(512, generator, window=1).clean_BCFHW.float().var()), 4)
        return figures | {"training_clips": float(self.store.clips)}

    def export(self, folder: Path, receipt: dict[str, Any]) -> None:
        """Write painter.safetensors."""
        config = {"painter": dataclasses.asdict(self.model.config), "vocabulary": list(language.VOCABULARY)}
        said = {"held_out": receipt["held_out"], "total_J": receipt["total_J"]}
        weights.save(folder / painter.FILE, halved(self.model), config | said)


def _near(blocking: Blocking, views: Views, high: int, wide: int) -> torch.Tensor:
    """Which pixels (B, N) lie near things, their thin parts, or the shadows of those, 1 or 0."""
    near_BN = (covers(blocking.wider(NEARBY), high, wide)[0][:, :, 0].amax(1) > 0.5).flatten(1).float()
    stands = Stands(blocking, views)
    for limbs in (Limbs(blocking, stands), Limbs(blocking, stands, fallen=True)):
        beside_NP, _ = limbs.beside(places(high, wide).expand(len(near_BN), -1, -1), high)
        near_BN = near_BN.index_add(0, limbs.b, (beside_NP > 0).float())
    return near_BN.clamp(max=1.0)


def _shaded(blocking: Blocking, views: Views, high: int, wide: int) -> torch.Tensor:
    """Which pixels (B, N) lie near shadows, 1 or 0."""
    batch = len(blocking.looks_BKL)
    stands = Stands(blocking, views)
    near_NP = stands.fallen(places(high, wide).expand(batch, -1, -1)).near(SHADY) > 0
    return torch.zeros(batch, high * wide).index_add(0, stands.b, near_NP.float()).clamp(max=1.0)
