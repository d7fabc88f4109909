"""docs/going-on.jpg: what comes of five given frames, beside what truly came, of the exam's first scene of each event; nothing chosen.

python benchmarks/going_on.py [--model spark] [--out docs/going-on.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kinowatt.clip import Clip
from kinowatt.engine.load import load
from kinowatt.exam import physics, scenes
from kinowatt.media.sheet import contact_sheet
from kinowatt.shot import END, START, Anchor, Shot


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="spark")
    parser.add_argument("--out", type=Path, default=Path("docs/going-on.jpg"))
    options = parser.parse_args()
    camera, rows = load(options.model), list[tuple[str, Clip]]()
    world = scenes.World(camera.model.spec.size)
    for event in physics.EVENTS:
        sample = world.sample(scenes.first(1, event=event, **physics.PLAIN)[0], event=event, **physics.PLAIN)
        film, last, prompt = sample.clip, scenes.FRAMES, scenes.prompt(sample)
        anchor = Anchor(film.cut(0, physics.GIVEN), START)
        if event == "roll":  # one of them into the past
            anchor = Anchor(film.cut(last - physics.GIVEN, last), END)
        shot = Shot(prompt, seconds=last / scenes.FPS, seed=sample.scene.seed, anchors=(anchor,))
        rows += [(f"{event}: the {'last' if anchor.at == END else 'first'} five frames were given", camera.generate(shot).clip)]
        rows += [(f"{event}: what truly happened", film)]
    contact_sheet(options.out, rows)


if __name__ == "__main__":
    main()
