"""A shot in one plain sentence, for models that read such. No torch here."""

from __future__ import annotations

from kinowatt import language
from kinowatt.shot import Shot

END_MARKS = " \t\r\n.,;。，；、"  # dropped from a prompt that goes on


def sentence(shot: Shot) -> str:
    """The prompt, then its controls in English: "a red ball, camera: orbit left, 85 mm lens, close-up, low angle, at dusk, lonely mood".

    Without controls the prompt as it is. ShotError if a control has a value that the lexicon does not know.
    """
    camera = shot.camera
    named = language.controls(move=camera.move, shot=camera.shot, angle=camera.angle, light=shot.light, mood=shot.mood)
    values = dict(token.split("=", 1) for token in named)
    language.controls(lens_mm=camera.lens_mm)  # for its refusal alone: any focal length can be written, not only the lexicon's
    said = []
    if "move" in values:  # the lexicon's own words for some moves name a drone, which such a model might show
        said.append("camera: " + values["move"].replace("-", " "))
    if camera.lens_mm is not None:
        said.append(f"{camera.lens_mm:g} mm lens")
    said += [language.LEXICON[slot][values[slot]].english[0] for slot in ("shot", "angle", "time", "mood") if slot in values]
    return ", ".join([shot.prompt.rstrip(END_MARKS) or shot.prompt, *said]) if said else shot.prompt
