"""docs/blocking.jpg: what the director told, and what was drawn from it, of four prompts; nothing chosen.

python benchmarks/blockings.py [--model spark] [--out docs/blocking.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from kinowatt.clip import Clip
from kinowatt.engine.load import load
from kinowatt.media.sheet import contact_sheet
from kinowatt.models.blocking import COLORS, Blocking, paint
from kinowatt.shot import Shot

PROMPTS = (
    "a red ball bounces on sand at noon, static camera",
    "a purple cone and a yellow cube fall to the ground on the snow",
    "three green balls roll to the left on the checkered floor",
    "two wind turbines at dusk, orbit left",
)
INK = {
    "red": (200, 40, 40), "orange": (230, 130, 30), "yellow": (230, 210, 40), "green": (40, 140, 60), "blue": (50, 80, 200),
    "purple": (120, 50, 170), "pink": (230, 130, 180), "white": (255, 255, 255), "black": (20, 20, 20), "brown": (110, 75, 40),
    "cyan": (40, 180, 190),
}  # fmt: skip
PAPER, NO_COLOR = (205, 205, 205), (140, 140, 140)


def drawn(blocking: Blocking, side: int, stride: int) -> Clip:
    """A blocking as a film, each thing in its colour."""
    painted = paint(blocking, side, side)[0].numpy()
    inks = np.array([INK[c] for c in COLORS], np.float32)
    there, colors = painted[0], painted[1 : 1 + len(COLORS)]
    rest = (there - colors.sum(0))[..., None] * np.array(NO_COLOR, np.float32)
    film = np.einsum("cfhw,cr->fhwr", colors, inks) + rest + (1.0 - there)[..., None] * np.array(PAPER, np.float32)
    frames = np.clip(film, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2)
    return Clip(np.concatenate([frames[:1], frames[1:].repeat(stride, axis=0)]), fps=16.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="spark")
    parser.add_argument("--out", type=Path, default=Path("docs/blocking.jpg"))
    options = parser.parse_args()
    camera, rows = load(options.model), []
    for seed, prompt in enumerate(PROMPTS):
        shot = Shot(prompt, seed=seed)
        with torch.inference_mode():
            blocking = camera.blocking(camera.plan(shot))
        take = camera.generate(shot)
        rows += [(f"told: {prompt}", drawn(blocking, take.clip.height, 4)), ("drawn", take.clip)]
    contact_sheet(options.out, rows)


if __name__ == "__main__":
    main()
