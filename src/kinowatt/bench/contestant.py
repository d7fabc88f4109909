"""One contestant of `bench peers`, in a process of its own: loads a folder, then makes clips as it is told, one line of JSON each.

    python -m kinowatt.bench.contestant < requests > answers

Standard output is for answers alone; whatever libraries print goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from kinowatt.bench.folders import PRESETS, Preset
from kinowatt.energy.meter import Meter

PROMPT = "a red ball rolls slowly over wet sand towards the sea, at dusk, while the camera follows it from the left, close to the ground."
NEGATIVE = "blurred, overexposed, static, subtitles, low quality."
MIB = 2.0**20


class Made(NamedTuple):
    """A clip and what it took. `latents` as they were decoded, normalised; `denoise_s` with the encoding of the text."""

    frames_TCHW: np.ndarray
    latents: np.ndarray
    denoise_s: float
    decode_s: float
    joules_J: float | None
    measured: bool
    runs: str


Make = Callable[[int, int], Made]  # (seed, steps)


def theirs(folder: Path, preset: Preset, device: str, dtype: str, compiled: bool, attention: str | None) -> Make:
    """diffusers' pipeline as its documentation says; the codec in float32, as there."""
    import diffusers

    pipe = diffusers.WanPipeline.from_pretrained(folder, torch_dtype={"vae": torch.float32, "default": getattr(torch, dtype)})
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    if dtype == "bfloat16" and device == "cpu":
        pipe.vae.to(torch.bfloat16)  # at its best: float32 is what costs on a CPU
    if attention is not None:
        pipe.transformer.set_attention_backend(attention)
    if compiled:
        pipe.transformer.compile_repeated_blocks(fullgraph=True)
        if device == "cpu":
            pipe.vae.decoder.compile()

    def make(seed: int, steps: int) -> Made:
        ends: list[float] = []
        last: list[torch.Tensor] = []

        def seen(pipe: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            if step == steps - 1:
                _wait(device)
                ends.append(time.perf_counter())
                last.append(values["latents"])
            return {}

        with Meter() as meter:
            begin = time.perf_counter()
            video = pipe(
                PROMPT,
                NEGATIVE,
                height=preset.height,
                width=preset.width,
                num_frames=preset.frames,
                num_inference_steps=steps,
                guidance_scale=preset.guidance,
                generator=torch.Generator().manual_seed(seed),
                callback_on_step_end=seen,
            ).frames[0]
            end = time.perf_counter()
        frames = np.round(video * 255.0).astype(np.uint8).transpose(0, 3, 1, 2)
        energy = meter.bill.energy
        runs = f"diffusers {diffusers.__version__} {dtype}" + (f", {attention}" if attention else "") + (", compiled" if compiled else "")
        return Made(
            frames,
            last[0].float().cpu().numpy(),
            ends[0] - begin,
            end - ends[0],
            energy.total_J,
            energy.measured_J is not None,
            runs,
        )

    return make
