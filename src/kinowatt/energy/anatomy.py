"""What a network consists of, as far as its arithmetic goes: enough to say what a clip costs without its weights. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kinowatt.errors import ShotError

SIDES_px = (16, 16384)  # of a picture whose arithmetic is counted


@dataclass(frozen=True)
class Anatomy:
    """Sizes of a latent video transformer.

    `parameters` are those that one token meets; `stride` is the codec's (frames, height, width), `patch` the transformer's.
    `decode_FLOP` is the decoder's arithmetic per pixel and frame; None where it is not counted apart.
    """

    name: str
    parameters: float
    width: int
    layers: int
    patch: tuple[int, int, int]
    stride: tuple[int, int, int]
    fps: float
    size: tuple[int, int]
    frames: int
    steps: int
    passes: int  # network passes per step as usually run: 2 with classifier-free guidance
    source: str
    decode_FLOP: float | None = None

    def tokens(self, frames: int, width_px: int, height_px: int) -> int:
        """Tokens of a clip; sizes are rounded up to whole patches. ShotError for a size or a length that is none."""
        least, most = SIDES_px
        if not least <= min(width_px, height_px) <= max(width_px, height_px) <= most:
            raise ShotError(f"{width_px}x{height_px} cannot be predicted; each side needs {least} to {most} pixels")
        if frames < 1:
            raise ShotError(f"{frames} frames are no clip; ask for at least one")
        latent_frames = math.ceil((frames - 1) / self.stride[0]) + 1
        rows = (math.ceil(latent_frames / self.patch[0]), *(math.ceil(p / (s * q)) for p, s, q in self._sides(height_px, width_px)))
        return math.prod(rows)

    def _sides(self, height_px: int, width_px: int) -> list[tuple[int, int, int]]:
        return list(zip((height_px, width_px), self.stride[1:], self.patch[1:], strict=True))

    def pass_FLOP(self, tokens: int) -> float:
        """One pass: two operations per parameter and token, and attention of every token to every other, in every layer."""
        return 2.0 * self.parameters * tokens + 4.0 * tokens**2 * self.width * self.layers


_WAN = "Wan team 2025, arXiv 2503.20314, and the models' config.json"
_WAN22 = "Wan 2.2's config.json"
_HUNYUAN = "Kong et al. 2024, arXiv 2412.03603"
_COG = "Yang et al. 2024, arXiv 2408.06072, and the models' config.json"
KNOWN = {
    a.name: a
    for a in (
        Anatomy("wan2.1-t2v-1.3b", 1.419e9, 1536, 30, (1, 2, 2), (4, 8, 8), 16.0, (832, 480), 81, 50, 2, _WAN),
        Anatomy("wan2.1-t2v-14b", 14.29e9, 5120, 40, (1, 2, 2), (4, 8, 8), 16.0, (1280, 720), 81, 50, 2, _WAN),
        Anatomy("wan2.1-i2v-14b", 16.4e9, 5120, 40, (1, 2, 2), (4, 8, 8), 16.0, (1280, 720), 81, 40, 2, _WAN),
        Anatomy("wan2.2-t2v-a14b", 14.29e9, 5120, 40, (1, 2, 2), (4, 8, 8), 16.0, (1280, 720), 81, 40, 2, _WAN22),
        Anatomy("wan2.2-i2v-a14b", 14.29e9, 5120, 40, (1, 2, 2), (4, 8, 8), 16.0, (1280, 720), 81, 40, 2, _WAN22),
        Anatomy("wan2.2-ti2v-5b", 5.0e9, 3072, 30, (1, 2, 2), (4, 16, 16), 24.0, (1280, 704), 121, 50, 2, _WAN22),
        # Guidance is distilled into it: one pass per step.
        Anatomy("hunyuanvideo-13b", 12.8e9, 3072, 60, (1, 2, 2), (4, 8, 8), 24.0, (1280, 720), 129, 50, 1, _HUNYUAN),
        Anatomy("cogvideox-2b", 1.69e9, 1920, 30, (1, 2, 2), (4, 8, 8), 8.0, (720, 480), 49, 50, 2, _COG),
        Anatomy("cogvideox1.5-5b", 5.57e9, 3072, 42, (2, 2, 2), (4, 8, 8), 16.0, (1360, 768), 81, 50, 2, _COG),
    )
}
