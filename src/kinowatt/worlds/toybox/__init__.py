"""The toybox: a small world with exact truth. Rigid bodies, light, weather, a camera, and captions that name what is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinowatt.clip import Clip
from kinowatt.worlds.toybox import camera, caption, light, physics, scene
from kinowatt.worlds.toybox.caption import Seen
from kinowatt.worlds.toybox.physics import Motion
from kinowatt.worlds.toybox.render import THINGS_MAX, Renderer, threads
from kinowatt.worlds.toybox.scene import Scene

__all__ = ["Sample", "Scene", "Toybox", "threads"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip with its truth: instance ids (T, H, W) uint8 (0: no thing, else 1 + place in `motion.things`), and what is visible."""

    clip: Clip
    ids_THW: np.ndarray
    scene: Scene
    motion: Motion
    camera_T44: np.ndarray
    seen: Seen

    @property
    def caption(self) -> str:
        """One English caption that names everything seen."""
        return caption.write(self.seen, seed=self.scene.seed, language="en", full=True)


class Toybox:
    """The world. One graphics context lives in it; keep one per process."""

    def __init__(self) -> None:
        self.renderer = Renderer()

    def sample(self, seed: int, size: tuple[int, int] = (256, 256), frames: int = 33, fps: float = 16.0, **over: Any) -> Sample:
        """Scene number `seed`, rendered at `size` (width, height). The same seed gives the same clip; `over` fixes fields of the scene."""
        drawn = scene.sample(seed, **over)
        motion = physics.simulate(drawn, frames, fps)
        path = camera.plan(drawn, motion, size[0] / size[1])
        drawn = replace(drawn, shot=path.shot)
        values = light.uniforms(drawn, path.distance_m) | {"DT": 1.0 / fps}
        picture = self.renderer.render(motion.solids_TN16, path.rows_T44, values, size)
        raw = picture[..., 3]
        ids = np.where(raw <= THINGS_MAX, raw, 0).astype(np.uint8)
        seen = caption.look(drawn, motion, path, raw)
        clip = Clip(np.ascontiguousarray(picture[..., :3].transpose(0, 3, 1, 2)), fps=fps)
        return Sample(clip, ids, drawn, motion, path.rows_T44, seen)

    def captions(self, sample: Sample, n: int) -> list[str]:
        """`n` wordings of what is seen: English and Chinese (traditional and simplified) in turn, some short, some long."""
        languages = ("en", "zh-Hant", "en", "zh-Hans")
        return [caption.write(sample.seen, seed=sample.scene.seed * 16 + i, language=languages[i % 4]) for i in range(n)]
