"""Wan's networks in executable form, and what they take beside noise and text: images, as channels and as features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from kinowatt.engine import tiles
from kinowatt.engine.conditioning import Known, placed, to_signal
from kinowatt.engine.memory import Layout
from kinowatt.models.dit import VideoDiT
from kinowatt.models.protocols import Codec, Denoiser
from kinowatt.models.wan import ImageEncoder, WanDenoiser, image_channels
from kinowatt.models.wan_model import WanModel
from kinowatt.shot import Anchor


class WanRuntime:
    """The modules as they are, in the types that their weights have, laid out as a plan of memory says."""

    def __init__(self, model: WanModel, device: torch.device, layout: Layout | None = None) -> None:
        self.codec: Codec = model.codec
        self.one_pass = False  # no network of Wan has such a switch
        self._stand_ins: dict[VideoDiT, Callable[..., torch.Tensor]] = {}
        self._model, self._device, self._layout = model, device, layout or Layout(0.0)
        self._eyes: ImageEncoder | None = None
        kind = str(model.experts.high.proj_out.weight.dtype).removeprefix("torch.")
        self.name = f"torch {kind}" + (" on a CPU" if device.type == "cpu" and kind != "float32" else "")
        self._denoiser: Denoiser = WanDenoiser(model.experts)

    def stand_in(self, dit: VideoDiT, other: Callable[..., torch.Tensor]) -> None:
        """Call something else, with (x, level, contexts), in the place of a network."""
        self._stand_ins[dit] = other

    def begin(self, known: Known, anchors: Sequence[Anchor], frames: int, fps: float) -> tuple[Known, list[str]]:
        """Get ready for one take, with its anchors on the canvas. What the denoiser is to be given then, and notes for the user.

        Networks that take images as channels were trained with one level for all frames: given frames are free to them.
        """
        model, notes = self._model, list[str]()
        if not model.folder.image_channels:
            self._denoiser = WanDenoiser(model.experts, stand_ins=self._stand_ins)
            return known, notes
        hard = [(start, a) for start, a in placed(anchors, frames, fps) if a.strength == 1.0]
        given = np.zeros(frames, bool)
        pixels = np.full((frames, *anchors[0].clip.frames_TCHW.shape[1:]), 127, np.uint8)
        for start, anchor in hard:
            pixels[start : start + anchor.clip.frames], given[start : start + anchor.clip.frames] = anchor.clip.frames_TCHW, True
        if given.sum() > given[0] + int(given[-1] and frames > 1):
            notes.append(f"{model.spec.name} was trained to go on from one image, or between two; {given.sum()} frames are given to it")
        with torch.inference_mode():
            channels = image_channels(self.codec, to_signal(pixels).to(self._device), given.tolist())
            features = self._features(hard, frames) if model.folder.sees_image else None
        self._denoiser = WanDenoiser(model.experts, channels, features, self._stand_ins)
        ceiling = torch.where(known.ceiling_1F > 0, known.ceiling_1F, 1.0)
        return replace(known, ceiling_1F=ceiling), notes

    def _features(self, hard: Sequence[tuple[int, Anchor]], frames: int) -> torch.Tensor:
        """CLIP features of the first image, and of the last where the network has places for two."""
        pictures = [anchor.clip.frames_TCHW[0] for start, anchor in hard if start == 0][:1]
        if self._model.folder.dit.image_tokens is not None:
            pictures += [a.clip.frames_TCHW[-1] for start, a in hard if start + a.clip.frames == frames][-1:]
        images = [Image.fromarray(np.ascontiguousarray(p.transpose(1, 2, 0))) for p in pictures]
        if self._eyes is None:
            kind = self._model.experts.high.proj_out.weight.dtype
            self._eyes = ImageEncoder.from_folder(self._model.folder.path, kind, self._device)
        return self._eyes.features(images)

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity in float32.

        The network is told the level in whole thousandths, rounded down, 999 at most, as in Wan's own code and in diffusers.
        """
        level_BF = (1000.0 * level_BF + 1e-3).floor().clamp(max=999.0) / 1000.0
        if self._layout.split and len(x_BCFHW) > 1:  # one clip of the batch after the other: half the memory, and the same result
            rows = zip(x_BCFHW.split(1), level_BF.split(1), text_BLD.split(1), strict=True)
            return torch.cat([self._denoiser(*row) for row in rows])
        return self._denoiser(x_BCFHW, level_BF, text_BLD)

    def decode_stream(self, latents_BCFHW: torch.Tensor) -> Iterator[torch.Tensor]:
        """Frames in [-1, 1], two latent frames at a time, or in tiles after the last of them."""
        tile = self._layout.tile
        yield from self.codec.decode_stream(latents_BCFHW) if tile is None else tiles.decode(self.codec, latents_BCFHW, tile)

    def prepare(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> None:
        """Read the text encoder, which takes longer than to use it; torch itself runs any shape."""
        self._model.text.ready()

    def prepare_J(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> float:
        """Nothing."""
        return 0.0
