"""The exam as a whole: its sections, one after another, each kept when it is done; and the report."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kinowatt.engine.engine import Engine
from kinowatt.errors import OutputError
from kinowatt.exam import adherence, drift, judges, laws, physics, reconstruction, report, sources, takes
from kinowatt.exam.candidate import MAKING, Candidate
from kinowatt.exam.figure import Section
from kinowatt.exam.sitting import FULL, QUICK, Amounts, Sitting
from kinowatt.media.video import write_video
from kinowatt.models import phyworld_model
from kinowatt.places import whole

SECTIONS: tuple[Callable[[Sitting], Section], ...] = (
    adherence.prompts,
    adherence.camera,
    adherence.mood,
    adherence.splits,
    physics.physics,
    takes.takes,
    laws.laws,
    drift.long,
    reconstruction.codec,
    reconstruction.likeness,
)
"""Each gets the sitting and gives its part. What it needs of other parts it asks the sitting for, which keeps it."""


def examine(
    engine: Engine, quick: bool, out: Path, kept: Path, say: Callable[[str], None], amounts: Amounts | None = None
) -> dict[str, Any]:
    """Ask everything, write report.html, report.json and clips/ into `out`, and give report.json back.

    What was made before by the same weights is taken from `kept`, so a broken exam goes on where it was. OutputError.
    """
    check(out)
    begun = time.monotonic()
    amounts = amounts or (QUICK if quick else FULL)
    jury = judges.load()
    sitting = Sitting(Candidate(engine, kept / "clips"), jury, amounts, say)
    said = [
        engine.model.sha256,
        engine.runtime.name,
        jury.sha256,
        sources.sha256("worlds.toybox"),
        asdict(amounts),
        sources.sha256("exam", without="report"),
        sources.sha256(*MAKING),
        phyworld_model.SHA256,
    ]
    folder = kept / hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]
    sections: list[Section] = []
    for ask in SECTIONS:
        say(f"{ask.__name__} ({len(sections) + 1} of {len(SECTIONS)}), {time.monotonic() - begun:.0f} s")
        sections.append(_kept(folder / ask.__name__) or _keep(folder / ask.__name__, ask(sitting)))
    facts = _facts(engine, jury, quick, time.monotonic() - begun)
    _publish(out, folder, facts, sections)
    return facts | {"sections": [s.to_json() for s in sections]}


def check(out: Path) -> None:
    """That a report can be written there, before a joule is spent. OutputError."""
    parent = out if out.is_dir() else out.parent
    if (out.exists() and not out.is_dir()) or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"{out} cannot be a folder to write to; name another one with -o")


def _keep(folder: Path, section: Section) -> Section:
    """Write a section and its clips; what is whole has a section.json."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for i, shown in enumerate(section.clips):
        assert shown.clip is not None
        file = f"{section.name}-{i:03d}.mp4"
        write_video(folder / file, shown.clip, {"title": shown.prompt, "comment": f"{shown.label}; scene {shown.scene}, seed {shown.seed}"})
        clips.append(replace(shown, clip=None, file=f"clips/{file}"))
    section = replace(section, clips=tuple(clips))
    with whole(folder / "section.json") as part:
        part.write_text(json.dumps(section.to_json(), ensure_ascii=False))
    return section


def _kept(folder: Path) -> Section | None:
    path = folder / "section.json"
    return Section.from_json(json.loads(path.read_text())) if path.is_file() else None


def _facts(engine: Engine, jury: judges.Judges, quick: bool, seconds: float) -> dict[str, Any]:
    spec = engine.model.spec
    known = jury.facts.get("accuracy", {})
    told = ", ".join(f"{name} {100 * value:.0f} %" for name, value in known.items())
    words = [
        "Every figure stands between a ceiling, the world's own clips through the same judge, and a floor. Small numbers under a figure "
        "are the interval that holds 95 of 100 resamplings of the clips. No score means more than its ceiling.",
        f"The judges learned from {jury.facts.get('scenes', 0)} training scenes, shapes from {jury.facts.get('glanced', 0)}, "
        f"and saw no clip of any model. On {jury.facts.get('held_out', 0)} held-out renders they are right in: {told}.",
    ]
    if spec.weakness:
        words.append(f"Of the model its makers say: {spec.weakness}.")
    return {
        "model": spec.name,
        "weights_sha256": engine.model.sha256,
        "runtime": engine.runtime.name,
        "device": engine.place.device,
        "date": time.strftime("%Y-%m-%d"),
        "quick": quick,
        "amount": "The quick exam: few clips, wide intervals" if quick else "The full exam",
        "seconds": round(seconds, 1),
        "judges_sha256": jury.sha256,
        "judges": jury.facts,
        "words": words,
        "cards": {"the exam took, without what was kept of earlier runs": f"{seconds / 60:.1f} min"},
    }


def _publish(out: Path, folder: Path, facts: dict[str, Any], sections: list[Section]) -> None:
    """Copy the clips, then write the pages that name them."""
    try:
        (out / "clips").mkdir(parents=True, exist_ok=True)
        for ask, section in zip(SECTIONS, sections, strict=True):
            for shown in section.clips:
                shutil.copyfile(folder / ask.__name__ / Path(shown.file).name, out / shown.file)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from error
    made = facts | {"sections": [s.to_json() for s in sections]}
    with whole(out / "report.json") as part:
        part.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with whole(out / "report.html") as part:
        part.write_text(report.page(facts, sections), encoding="utf-8")
