"""The picture: solids, camera and light through one compute shader, a clip per dispatch."""

from __future__ import annotations

import os
from importlib import resources
from typing import Any

import numpy as np

from kinowatt.errors import DeviceError, MissingDependency
from kinowatt.worlds.toybox.scene import MATERIALS

THINGS_MAX = 63  # ids above are land
SOLIDS = (0b000001, 0b000111, 0b101111, 0b111111)
"""Sets of types with a program of their own: balls; and boxes, cylinders; all but the torus; all."""


class Renderer:
    """One graphics context. Keep one per process: two contexts that are not entered in turn render black."""

    def __init__(self) -> None:
        try:
            import moderngl
        except ImportError as e:
            raise MissingDependency("the toybox needs moderngl: pip install 'kinowatt[world]'") from e
        try:
            settings: dict[str, Any] = {"backend": "egl"}  # typed as a mapping by moderngl, read as keywords
            self.context: Any = moderngl.create_context(standalone=True, require=430, **settings)
        except Exception as e:  # moderngl raises bare Exceptions here
            need = "libegl1 libegl-mesa0 libgl1-mesa-dri (Debian's names)"
            raise MissingDependency(f"the toybox renders through EGL with OpenGL 4.3, which is missing here ({e}); install {need}") from e
        self.source = resources.files(__package__).joinpath("world.glsl").read_text()
        self.shaders: dict[str, Any] = {}
        self.name = str(self.context.info["GL_RENDERER"])

    def _shader(self, constants: dict[str, int | bool]) -> Any:
        """The program for a set of constants, compiled once."""
        head = "".join(f"const {'bool' if isinstance(v, bool) else 'int'} {k} = {str(v).lower()};\n" for k, v in sorted(constants.items()))
        if head not in self.shaders:
            self.shaders[head] = self.context.compute_shader("#version 430\n" + head + self.source)
        return self.shaders[head]

    def render(
        self,
        solids_TN16: np.ndarray,
        camera_T44: np.ndarray,
        uniforms: dict[str, Any],
        constants: dict[str, bool],
        size: tuple[int, int],
        depth: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Frames (T, H, W, 4) uint8: red, green, blue and the raw id (0 sky or nameless, 1..63 things, 64 ground, 65 hills, 66 water).

        With `depth` also (T, H, W) float32: metres along the camera's axis at each pixel's centre, infinite in the sky.
        """
        frames, n = solids_TN16.shape[:2]
        width, height = size
        rows = np.concatenate([camera_T44, solids_TN16.reshape(frames, n * 4, 4)], 1).astype(np.float32)
        with self.context:
            occur = sum(1 << int(t) for t in set(solids_TN16[0, :, 3]))
            solids = next(known for known in SOLIDS if known | occur == known)
            glass = bool((solids_TN16[0, :, 7] == MATERIALS["glass"]).any())
            shader = self._shader(constants | {"SOLIDS": solids, "GLASS": glass, "DEPTH": depth})
            for name, value in (uniforms | {"N": n, "SAMPLES": 6, "RES": (width, height)}).items():
                if name in shader:  # the driver drops what a scene does not use
                    shader[name].value = value if isinstance(value, (int, float)) else tuple(map(float, value))
            given = self.context.buffer(np.ascontiguousarray(rows).tobytes())
            drawn = self.context.buffer(reserve=frames * width * height * 4)
            measured = self.context.buffer(reserve=frames * width * height * 4 if depth else 4)
            given.bind_to_storage_buffer(1)
            measured.bind_to_storage_buffer(3)
            drawn.bind_to_storage_buffer(2)
            shader.run((width + 7) // 8, (height + 7) // 8, frames)
            self.context.finish()
            picture = np.frombuffer(drawn.read(), np.uint8).reshape(frames, height, width, 4)
            metres = np.frombuffer(measured.read(), np.float32).reshape(frames, height, width) if depth else None
            for buffer in (given, drawn, measured):
                buffer.release()
        if not picture.any():
            raise DeviceError("the graphics driver returned black frames; a second graphics context in this process may be the cause")
        return picture, metres


def threads(count: int) -> None:
    """How many threads a software renderer may use in this process; call before the first Renderer."""
    os.environ["LP_NUM_THREADS"] = str(count)
