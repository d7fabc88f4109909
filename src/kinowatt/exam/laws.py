"""PhyWorld's three laws as a part of the exam. Its model is one of its own (exam/phyworld.py), not the candidate: the report says so."""

from __future__ import annotations

from kinowatt.exam import phyworld
from kinowatt.exam.figure import Bar, Estimate, Figure, Section, Shown
from kinowatt.exam.phyworld import FAR_BAR, NEAR_BAR, SEED, Row
from kinowatt.exam.sitting import Sitting
from kinowatt.models import phyworld_model

TITLE = "PhyWorld"
CLIPS = {True: 20, False: 100}  # of each law, near and far, in the quick exam and the full one


def laws(s: Sitting) -> Section:
    """The error of velocity in and out of distribution."""
    if not (phyworld_model.FOLDER / phyworld_model.FILE).is_file():
        return Section("laws", TITLE, ("Not examined: the weights of phyworld are not here. kinowatt train phyworld makes them.",), ())
    found = phyworld.examine(clips=CLIPS[s.amounts.quick], codec=s.candidate.engine.model.codec)
    figures = [_figure(row) for row in found.rows]
    films = [Shown(title, "three frames given", SEED, 0, clip) for title, clip in found.examples]
    words = (
        "PhyWorld (arXiv 2411.02385): uniform motion, elastic collision, parabola, with three frames given. "
        "Judged is kinowatt's own model of this world, not the candidate. The ceiling is the truth, drawn and found again: what the size "
        "of a pixel costs. The floor is what inertia alone would score.",
    )
    return Section("laws", TITLE, words, tuple(figures), tuple(films))


def _figure(row: Row) -> Figure:
    def of(value: float) -> Estimate:
        return Estimate(value, None, None, row.clips)

    coded = None if row.codec is None else of(row.codec)
    where = "out of" if row.far else "in"
    # In distribution the bar is told in truths, drawn and found again; here in units, as the figure is.
    bar = Bar(FAR_BAR if row.far else NEAR_BAR * row.floor, "most")
    says = f"mean error of velocity after the given frames; {row.ratio:.2f} times the ceiling"
    floor_is = "the given frames' velocity kept"
    return Figure(f"{row.law}, {where} distribution", "units/s", of(row.made), of(row.floor), coded, of(row.inertia), floor_is, bar, says)
