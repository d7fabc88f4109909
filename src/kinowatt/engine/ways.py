"""How a model is run: what changes its speed, its memory or its exactness, but not what is asked of it. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kinowatt.errors import ShotError
from kinowatt.models import lora_file, savings
from kinowatt.models.lora_file import Lora
from kinowatt.models.savings import BYTES_PER_WEIGHT

RUNTIMES = ("auto", "torch", "compile", "openvino")


@dataclass(frozen=True)
class Ways:
    """All choices; the defaults are exact.

    `runtime`: see RUNTIMES. `memory_B`: of the device that may be used; None: what is free. `weights`: "int8" or "fp8".
    `step_cache`: see engine/step_cache.py. `window`: see models/windows.py, (frames, rows, columns) in tokens.
    """

    runtime: str = "auto"
    memory_B: float | None = None
    weights: str | None = None
    step_cache: float | None = None
    window: tuple[int, int, int] | None = None
    loras: tuple[Lora, ...] = ()

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise ShotError(f"runtime {self.runtime!r} is unknown; use {', '.join(RUNTIMES)}")
        if self.weights is not None and self.weights not in BYTES_PER_WEIGHT:
            raise ShotError(f"weights {self.weights!r} are unknown; use {' or '.join(BYTES_PER_WEIGHT)}, or leave them as they are")
        if self.step_cache is not None and not 0.0 < self.step_cache < 1.0:
            raise ShotError(f"a step cache of {self.step_cache:g} is out of range; more than 0 and less than 1, for example 0.1")

    @classmethod
    def of(
        cls,
        runtime: str = "auto",
        vram: str | None = None,
        weights: str | None = None,
        step_cache: float | None = None,
        window: str | None = None,
        lora: Sequence[str] | None = None,
    ) -> Ways:
        """Of the words in which options say it. ShotError, WeightsError."""
        memory_B = None if vram is None else bytes_of(vram)
        spans = None if window is None else savings.window_of(window)
        return cls(runtime, memory_B, weights, step_cache, spans, tuple(lora_file.parse(text) for text in lora or ()))

    @property
    def settings(self) -> Sequence[str]:
        """The options that were used, in words."""
        named = {"--weights": self.weights, "--step-cache": self.step_cache, "--window": self.window, "--vram": self.memory_B}
        return [name for name, value in named.items() if value] + ["--lora"] * bool(self.loras)


def bytes_of(text: str) -> float:
    """ "8GB", "11.5 GB" or "8GiB" to bytes. ShotError."""
    match = re.fullmatch(r"\s*(\d{1,4}(?:\.\d+)?)\s*(GB|GiB|G)\s*", text, re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise ShotError(f"{text[:40]!r} is no amount of memory; write for example 8GB or 24GiB")
    return float(match[1]) * (2**30 if match[2].lower() == "gib" else 1e9)
