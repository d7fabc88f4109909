"""The models that a server offers, and which of them a client's name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kinowatt.errors import InputError
from kinowatt.language import LENSES_MM, LEXICON
from kinowatt.models.specs import ModelSpec, find, here

SORA = "sora"  # programs that were written for it name it, sora-2-pro for example; they mean our default


@dataclass(frozen=True)
class Catalogue:
    """`specs` by public name; `where` says what the engine loads for each."""

    default: str
    specs: dict[str, ModelSpec]
    where: dict[str, str]

    @staticmethod
    def of(model: str) -> Catalogue:
        """The known models whose files are on this machine, and `model` (a name or a folder) as the default. WeightsError."""
        chosen, found = find(model), here()
        return Catalogue(chosen.name, {**found, chosen.name: chosen}, {**{name: name for name in found}, chosen.name: model})

    def pick(self, name: str | None) -> tuple[str, ModelSpec]:
        """The model that a client means. InputError if it is not served."""
        wanted = (name or "").strip()
        if not wanted or wanted.lower().split("-")[0] == SORA:
            wanted = self.default
        if wanted not in self.specs:
            raise InputError(
                f"the model {wanted[:80]!r} is not served here; use {', '.join(self.specs)}, or leave it out for {self.default}"
            )
        return wanted, self.specs[wanted]

    def to_json(self) -> list[dict[str, Any]]:
        """The list of models, with what each can do."""
        return [
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "kinowatt",
                "default": name == self.default,
                "size": f"{spec.size[0]}x{spec.size[1]}",
                "seconds": spec.seconds,
                "fps": spec.fps,
                "steps": spec.steps,
                "guidance": spec.guidance,
                "trained_sizes": [f"{w}x{h}" for w, h in spec.trained_sizes],
                "sizes": [f"{w}x{h}" for w, h in spec.trained_sizes or sorted({spec.size, spec.size[::-1]}, reverse=True)],
                "reads": "sentences" if spec.reads_sentences else "words",
                "needs_image": spec.needs_image,
                "trained_modes": sorted(spec.trained_modes),
                "most_pixels": spec.most_pixels,
                "licence": spec.licence,
                "weakness": spec.weakness,
                "controls": {
                    "move": list(LEXICON["move"]),
                    "shot": list(LEXICON["shot"]),
                    "angle": list(LEXICON["angle"]),
                    "light": list(LEXICON["time"]),
                    "mood": list(LEXICON["mood"]),
                    "lens_mm": list(LENSES_MM),
                },
            }
            for name, spec in self.specs.items()
        ]
