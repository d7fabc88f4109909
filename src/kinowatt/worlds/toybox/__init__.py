"""The toybox: a small world with exact truth. Rigid bodies, light, weather, a camera, and captions that name what is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinowatt.clip import Clip
from kinowatt.errors import InputError
from kinowatt.worlds.toybox import camera, caption, light, physics, scene, truth
from kinowatt.worlds.toybox.caption import Seen
from kinowatt.worlds.toybox.physics import Motion
from kinowatt.worlds.toybox.render import THINGS_MAX, Renderer, threads
from kinowatt.worlds.toybox.scene import Scene

__all__ = ["Sample", "Scene", "Toybox", "threads"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip with its truth: instance ids (T, H, W) uint8 (0: no thing, else 1 + place in `motion.things`), and what is visible.

    Where every thing is and how it lies, in every frame whether it was rendered or not, is in `motion`; `depth_THW` (float32, metres
    along the camera's axis, infinite in the sky) is there where it was asked for.
    """

    clip: Clip
    ids_THW: np.ndarray
    scene: Scene
    motion: Motion
    camera_T44: np.ndarray
    seen: Seen
    focus_m: float  # from the first camera to what it looks at, which gives a camera path its scale
    depth_THW: np.ndarray | None = None
    every: int = 1  # frames of `motion` from one that was rendered to the next

    @property
    def intrinsics_T44(self) -> np.ndarray:
        """Camera to pixels, as in `camera.intrinsics`."""
        return camera.intrinsics(self.camera_T44, (self.clip.width, self.clip.height))

    @property
    def extrinsics_T44(self) -> np.ndarray:
        """World to camera, as in `camera.extrinsics`."""
        return camera.extrinsics(self.camera_T44)

    def flow(self, frame: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Where what a frame shows is in another: pixels to the right and down (2, H, W), and whether (H, W) it lies before that camera
        (truth.py). InputError without depth."""
        if self.depth_THW is None:
            raise InputError("flow is told from depth; film the scene with depth=True")
        here, there = ((self.camera_T44[t], self.motion.solids_TN16[t * self.every]) for t in (frame, end))
        return truth.flow(self.depth_THW[frame], self.ids_THW[frame], here, there)

    @property
    def caption(self) -> str:
        """One English caption that names everything seen."""
        return caption.write(self.seen, seed=self.scene.seed, language="en", full=True)


class Toybox:
    """The world. One graphics context lives in it; keep one per process."""

    def __init__(self) -> None:
        self.renderer = Renderer()

    def sample(
        self, seed: int, size: tuple[int, int] = (256, 256), frames: int = 33, fps: float = 16.0, *,
        depth: bool = False, every: int = 1, **over: Any,
    ) -> Sample:  # fmt: skip
        """Scene number `seed`, rendered at `size` (width, height). The same seed gives the same clip; `over` fixes fields of the scene.

        With `every` above 1 it is the same film of which only every so manieth frame is rendered.
        """
        return self.film(scene.sample(seed, **over), size, frames, fps, depth=depth, every=every)

    def pair(
        self, seed: int, field: str, value: Any, size: tuple[int, int] = (256, 256), frames: int = 33, fps: float = 16.0, *,
        subject: int = 0, depth: bool = False, **over: Any,
    ) -> tuple[Sample, Sample]:  # fmt: skip
        """A counterfactual pair: scene number `seed`, and the same with one field changed as in `scene.changed`."""
        before = scene.sample(seed, **over)
        after = scene.changed(before, field, value, subject)
        return self.film(before, size, frames, fps, depth=depth), self.film(after, size, frames, fps, depth=depth)

    def film(self, drawn: Scene, size: tuple[int, int], frames: int, fps: float, *, depth: bool = False, every: int = 1) -> Sample:
        """A scene, simulated, filmed and looked at."""
        motion = physics.simulate(drawn, frames, fps)
        path = camera.plan(drawn, motion, size[0] / size[1])
        drawn = replace(drawn, shot=path.shot)
        values = light.uniforms(drawn, path.distance_m, 1.0 / fps) | {"DT": every / fps}
        solids_TN16, rows_T44 = motion.solids_TN16[::every], path.rows_T44[::every]
        picture, depth_THW = self.renderer.render(solids_TN16, rows_T44, values, light.constants(drawn), size, depth)
        raw = picture[..., 3]
        ids = np.where(raw <= THINGS_MAX, raw, 0).astype(np.uint8)
        seen = caption.look(drawn, motion, path, raw)
        clip = Clip(np.ascontiguousarray(picture[..., :3].transpose(0, 3, 1, 2)), fps=fps / every)
        return Sample(clip, ids, drawn, motion, rows_T44, seen, path.distance_m, depth_THW, every)

    def captions(self, sample: Sample, n: int) -> list[str]:
        """`n` wordings of what is seen: English and Chinese (traditional and simplified) in turn, some short, some long."""
        languages = ("en", "zh-Hant", "en", "zh-Hans")
        return [caption.write(sample.seen, seed=sample.scene.seed * 16 + i, language=languages[i % 4]) for i in range(n)]
