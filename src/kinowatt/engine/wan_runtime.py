"""Wan's networks in executable form, and what they take beside noise and text: images, as channels and as features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from kinowatt.engine.conditioning import Known, placed, to_signal
from kinowatt.models.protocols import Codec, Denoiser
from kinowatt.models.wan import WanDenoiser, image_channels, image_features
from kinowatt.models.wan_model import WanModel
from kinowatt.shot import Anchor


class WanRuntime:
    """The modules as they are, in the types that their weights have."""

    def __init__(self, model: WanModel, device: torch.device) -> None:
        self.codec: Codec = model.codec
        self._model, self._device = model, device
        kind = str(model.experts.high.proj_out.weight.dtype).removeprefix("torch.")
        self.name = f"torch {kind}" + (" on a CPU" if device.type == "cpu" and kind != "float32" else "")
        self._denoiser: Denoiser = WanDenoiser(model.experts)

    def begin(self, known: Known, anchors: Sequence[Anchor], frames: int, fps: float) -> tuple[Known, list[str]]:
        """Get ready for one take, with its anchors on the canvas. What the denoiser is to be given then, and notes for the user.

        Networks that take images as channels were trained with one level for all frames: given frames are free to them.
        """
        model, notes = self._model, list[str]()
        if not model.folder.image_channels:
            self._denoiser = WanDenoiser(model.experts)
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
        self._denoiser = WanDenoiser(model.experts, channels, features)
        ceiling = torch.where(known.ceiling_1F > 0, known.ceiling_1F, 1.0)
        return replace(known, ceiling_1F=ceiling), notes

    def _features(self, hard: Sequence[tuple[int, Anchor]], frames: int) -> torch.Tensor:
        """CLIP features of the first image, and of the last where the network has places for two."""
        pictures = [anchor.clip.frames_TCHW[0] for start, anchor in hard if start == 0][:1]
        if self._model.folder.dit.image_tokens is not None:
            pictures += [a.clip.frames_TCHW[-1] for start, a in hard if start + a.clip.frames == frames][-1:]
        images = [Image.fromarray(np.ascontiguousarray(p.transpose(1, 2, 0))) for p in pictures]
        kind = self._model.experts.high.proj_out.weight.dtype
        return image_features(self._model.folder.path, images, kind, str(self._device))

    def denoiser(self, x_BCFHW: torch.Tensor, level_BF: torch.Tensor, text_BLD: torch.Tensor) -> torch.Tensor:
        """Velocity in float32."""
        return self._denoiser(x_BCFHW, level_BF, text_BLD)

    def decode_stream(self, latents_BCFHW: torch.Tensor) -> Iterator[torch.Tensor]:
        """Frames in [-1, 1], two latent frames at a time."""
        yield from self.codec.decode_stream(latents_BCFHW)

    def prepare(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> None:
        """Nothing: torch runs any shape."""

    def prepare_J(self, shape_BCFHW: Sequence[int], text_LD: Sequence[int], batches: Sequence[int]) -> float:
        """Nothing."""
        return 0.0
