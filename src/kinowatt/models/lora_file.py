"""Which LoRA files a network is given, how strong, and to which of two experts. No torch here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kinowatt.errors import WeightsError

_WRITTEN = re.compile(r"(?P<path>.+?)(:(?P<scale>[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?))?(@(?P<expert>high|low))?", re.IGNORECASE)


@dataclass(frozen=True)
class Lora:
    """A LoRA file. `expert`: the one of two experts (A14B) that it is for, by its noise levels; None: for every network."""

    path: Path
    scale: float = 1.0
    expert: Literal["high", "low"] | None = None

    def __post_init__(self) -> None:
        if self.path.suffix.lower() != ".safetensors":
            raise WeightsError(f"{self.path} is no .safetensors file, and LoRAs are read from no others; write FILE[:scale][@high|@low]")
        if not math.isfinite(self.scale):
            raise WeightsError(f"the scale of {self.path} is {self.scale}; use a number such as 0.8")


def parse(text: str) -> Lora:
    """FILE, FILE:scale, FILE@high or FILE:scale@low. WeightsError if it is none of them."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise WeightsError("a LoRA without a file; write FILE[:scale][@high|@low]")
    expert: dict[str | None, Literal["high", "low"] | None] = {"high": "high", "low": "low"}
    return Lora(Path(match["path"]), float(match["scale"] or 1.0), expert.get((match["expert"] or "").lower()))
