"""Does a clip show what its prompt names? Colours, shapes, number, ground, time and weather; the camera, the shot scale, the mood.

Each answer is judged against what is seen in the scene that the prompt describes, never against the prompt's words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from kinowatt.exam import figure, scenes
from kinowatt.exam.figure import Bar, Figure, Section, Table
from kinowatt.exam.judges import Verdict
from kinowatt.exam.sitting import Sitting
from kinowatt.worlds.toybox import Sample
from kinowatt.worlds.toybox.scene import SHOTS
from kinowatt.worlds.toybox.seen import Seen

OTHER = "another scene's clip"
SCALES = tuple(SHOTS)  # from the nearest to the farthest
Marks = Callable[[Seen, Verdict], "list[float] | None"]
LEAST = Bar(95.0, "least")
WITHIN = Bar(-3.0, "least")


def colour(seen: Seen, verdict: Verdict) -> list[float] | None:
    """Of each colour that is asked for or seen: 1 where it is both. So a thing that nobody asked for counts against a clip."""
    asked = {t.color for t in seen.things if t.color}
    return [float(c in asked and c in verdict.colours) for c in sorted(asked | verdict.colours)] if asked else None


def shape(seen: Seen, verdict: Verdict) -> list[float] | None:
    """Of each thing: 1 where one of its colour and kind is seen; each that is seen answers for one only."""
    left, marks = Counter((t.color, t.kind) for t in verdict.things), []
    for thing in seen.things:
        found = left[thing.color, thing.kind] > 0
        left[thing.color, thing.kind] -= found
        marks.append(float(found))
    return marks or None


def number(seen: Seen, verdict: Verdict) -> list[float] | None:
    """1 where as many things are seen; of scenes with things."""
    return [float(len(verdict.things) == len(seen.things))] if seen.things else None


def field(name: str) -> Marks:
    """1 where a field that the prompt names is judged so."""

    def marks(seen: Seen, verdict: Verdict) -> list[float] | None:
        return [float(verdict.fields[name] == seen.fields[name])] if name in seen.fields else None

    return marks


ASKED: dict[str, Marks] = {
    "colour": colour,
    "shape": shape,
    "count": number,
    "ground": field("ground"),
    "time": field("time"),
    "weather": field("weather"),
}
CAMERA, MOOD = field("move"), field("mood")
ALL: dict[str, Marks] = {**ASKED, "camera": CAMERA, "mood": MOOD}


def marked(name: str, marks: Marks, s: Sitting, bar: Bar | None = LEAST, says: str = "") -> Figure:
    """A share of right answers in per cent, with its ceiling, and its floor."""

    def over(verdicts: Sequence[Verdict]) -> figure.Estimate:
        return figure.mean([marks(sample.seen, v) for sample, v in zip(s.samples, verdicts, strict=True)], 100.0)

    return Figure(name, "%", over([a.verdict for a in s.answers]), over(s.truth), over(s.coded), over(s.others), OTHER, bar, says)


def prompts(s: Sitting) -> Section:
    """Things and light, as asked."""
    figures = tuple(marked(name, marks, s) for name, marks in ASKED.items())
    words = (
        f"{len(s.samples)} held-out scenes in the order of their numbers; each is described by one English sentence in the words of "
        "training, which names everything seen. Left the model's clip, right the scene itself, which the model has not seen.",
        "A thing counts as seen where it fills 0.2 % of the frame in a quarter of the looks, as in the captions.",
    )
    clips = tuple(a.shown("from text | the scene itself") for a in s.answers)
    return Section("prompts", "Prompt adherence", words, figures, clips)


def camera(s: Sitting) -> Section:
    """Moves, speeds, shot scales."""
    figures = [
        marked("camera move", CAMERA, s, says=f"one of {len(_moves(s))} moves asked for, by flow alone"),
        marked("camera move, family", _family, s, None, "left and right, in and out taken together"),
        _speed(s),
        _scale(s),
    ]
    pairs = [(sample.seen.fields.get("move", ""), v.fields["move"]) for sample, v in zip(s.samples, s.truth, strict=True)]
    asked = [(sample.seen.fields.get("move", ""), a.verdict.fields["move"]) for sample, a in zip(s.samples, s.answers, strict=True)]
    tables = [taken_for("Ground truth: rows were shown, columns were judged", pairs), taken_for("The model", asked)]
    if known := s.judges.facts.get("confusion"):
        tables.insert(0, Table("Ground truth, on the judges' own held-out scenes", tuple(known[0]), tuple(tuple(r) for r in known[1:])))
    words = ("Optical flow by block matching on nine looks a clip; a small network reads the move from lines fitted to bands of it.",)
    return Section("camera", "Camera and shot scale", words, tuple(figures), (), tuple(tables))


def _moves(s: Sitting) -> set[str]:
    return {sample.seen.fields["move"] for sample in s.samples if "move" in sample.seen.fields}


def family(move: str) -> str:
    """What a move is without its direction."""
    return move if move.startswith("dolly-zoom") else move.split("-")[0]


def _family(seen: Seen, verdict: Verdict) -> list[float] | None:
    return [float(family(verdict.fields["move"]) == family(seen.fields["move"]))] if "move" in seen.fields else None


def taken_for(title: str, pairs: Sequence[tuple[str, str]]) -> Table:
    """Families of moves: shown in rows, judged in columns."""
    names = sorted({family(name) for pair in pairs for name in pair if name})
    rows = []
    for shown in names:
        mine = [family(judged) for true, judged in pairs if family(true) == shown]
        rows.append((shown, *(str(mine.count(n)) if mine.count(n) else "" for n in names)))
    return Table(title, ("", *names), tuple(rows))


def _speed(s: Sitting) -> Figure:
    """How much faster or slower the picture moves as a whole than that of the scene, as a factor of at least 1."""

    def over(verdicts: Sequence[Verdict]) -> figure.Estimate:
        apart = [abs(np.log((v.speed + 0.002) / (t.speed + 0.002))) for v, t in zip(verdicts, s.truth, strict=True)]
        found = figure.median(apart)
        value, low, high = (None if x is None else float(np.exp(x)) for x in (found.value, found.low, found.high))
        return figure.Estimate(value, low, high, found.n)

    made = over([a.verdict for a in s.answers])
    says = "median factor between the flow of the clip and of the scene; 1 is the same speed"
    return Figure("speed of the picture", "×", made, over(s.truth), over(s.coded), over(s.others), OTHER, None, says)


def _scale(s: Sitting) -> Figure:
    """Rank correlation of the tallest thing's height with the scale asked for; turbines and panels have scales of their own."""
    use = [i for i, x in enumerate(s.samples) if x.scene.event not in ("turbine", "solar") and x.seen.things]
    asked = np.array([-SCALES.index(s.samples[i].seen.fields["shot"]) for i in use])

    def over(verdicts: Sequence[Verdict]) -> figure.Estimate:
        heights = np.array([verdicts[i].height for i in use])
        return figure.statistic(len(use), lambda at: figure.spearman(asked[at], heights[at]))

    made = over([a.verdict for a in s.answers])
    says = "Spearman's rank correlation of the tallest thing's height with macro, close-up, near, medium, wide"
    return Figure("shot scale", "", made, over(s.truth), over(s.coded), over(s.others), OTHER, Bar(0.95, "least"), says)


def mood(s: Sitting) -> Section:
    """Moods by what makes them."""
    words = (
        "A small network reads the mood from tint, saturation, brightness, contrast, the number of things and the speed of the picture, "
        "beside the time, weather and ground that are seen. Prompts name the mood, not its causes.",
    )
    return Section("mood", "Mood", words, (marked("mood", MOOD, s), *_causes(s)))


def _causes(s: Sitting) -> list[Figure]:
    """How well each cause follows the scene's, by rank; over all scenes, for a mood moves them all."""
    found = []
    for name in ("warmth", "saturation", "brightness", "contrast", "things", "speed"):
        truth = np.array([t.causes[name] for t in s.truth])

        def over(verdicts: Sequence[Verdict], name: str = name, truth: np.ndarray = truth) -> figure.Estimate:
            values = np.array([v.causes[name] for v in verdicts])
            return figure.statistic(len(values), lambda at: figure.spearman(values[at], truth[at]))

        made = over([a.verdict for a in s.answers])
        found.append(Figure(name, "", made, over(s.truth), over(s.coded), over(s.others), OTHER, None, "rank correlation with the scene"))
    return found


def mark(sample: Sample, verdict: Verdict) -> float:
    """All that a prompt asks for as one number: the mean of its parts."""
    parts = [float(np.mean(found)) for marks in ALL.values() if (found := marks(sample.seen, verdict)) is not None]
    return float(np.mean(parts))


def splits(s: Sitting) -> Section:
    """Words never trained on, Chinese, and pairs of attributes that were never trained on together."""
    n = min(s.amounts.split, len(s.samples))
    plain = [mark(a.sample, a.verdict) for a in s.answers[:n]]
    figures: list[Figure] = []
    clips: list[figure.Shown] = []
    ways: dict[str, dict[str, str]] = {"paraphrased": {"split": "paraphrase"}, "Chinese": {"language": "zh-Hant"}}
    for name, how in ways.items():
        answers = [s.answer(sample, scenes.prompt(sample, **how)) for sample in s.samples[:n]]
        lost = [mark(a.sample, a.verdict) - p for a, p in zip(answers, plain, strict=True)]
        says = f"mean mark of the same {n} scenes minus that of plain English ({100 * np.mean(plain):.1f} %)"
        figures.append(Figure(name, "points", figure.mean(lost, 100.0), bar=WITHIN, says=says))
        clips += [a.shown(f"{name} | the scene itself") for a in answers]
    paired = [s.world.sample(number) for number in scenes.first(n, paired=True)]
    figures.append(_composed(s, paired, clips))
    words = (
        "A mark is the mean over colour, shape, count, ground, time, weather, camera and mood, of what a prompt names of them.",
        "Composition: scenes with a pair of attributes (such as a purple cone) that training never saw together.",
    )
    return Section("splits", "Other words, another language, new combinations", words, tuple(figures), tuple(clips))


def _composed(s: Sitting, paired: Sequence[Sample], clips: list[figure.Shown]) -> Figure:
    answers = [s.answer(sample, scenes.prompt(sample)) for sample in paired]
    clips += [a.shown("new combination | the scene itself") for a in answers]
    truth = [s.judges.judge(sample.clip) for sample in paired]
    coded = [s.judges.judge(s.candidate.coded(sample.clip)) for sample in paired]
    sets: dict[str, Sequence[Verdict]] = {"truth": truth, "coded": coded, "floor": [*truth[1:], *truth[:1]]}
    rest = {name: figure.mean([mark(x, v) for x, v in zip(paired, v, strict=True)], 100.0) for name, v in sets.items()}
    made = figure.mean([mark(a.sample, a.verdict) for a in answers], 100.0)
    seen = 100 * float(np.mean([mark(a.sample, a.verdict) for a in s.answers]))
    says = f"mean mark; of the {len(s.answers)} scenes with common combinations it is {seen:.1f} %"
    return Figure("new combinations", "%", made, rest["truth"], rest["coded"], rest["floor"], OTHER, says=says)
