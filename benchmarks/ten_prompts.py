"""docs/ten-prompts.jpg: ten prompts, seeds 0 to 9, one take each, nothing chosen.

python benchmarks/ten_prompts.py [--model spark] [--out docs/ten-prompts.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kinowatt.engine.load import load
from kinowatt.media.sheet import contact_sheet
from kinowatt.shot import Shot

PROMPTS = (
    "a drone shot of wind turbines at dusk, lonely",
    "a red ball bounces on sand at dusk, close-up",
    "two wind turbines turning fast on the grass at noon, static camera",
    "a row of yellow dominoes topple one after another on the checkered floor",
    "六塊太陽能板在雪地上，正午，晴朗，升鏡",
    "a blue ball swings like a pendulum at night, mysterious mood",
    "一個綠色的方塊在草地上，特寫，環繞航拍，黎明",
    "a black ball crashes into an orange cube on the pavement in thick fog",
    "a purple cone and a white cylinder fall to the ground on the snow, wide shot",
    "a macro shot of a striped pink ball rolling to the left, tense mood",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="spark")
    parser.add_argument("--out", type=Path, default=Path("docs/ten-prompts.jpg"))
    options = parser.parse_args()
    camera = load(options.model)
    rows = []
    for seed, prompt in enumerate(PROMPTS):
        take = camera.generate(Shot(prompt, seed=seed))
        rows.append((prompt, take.clip))
        print(f"{prompt}\n  {take.bill.one_line()}")
    contact_sheet(options.out, rows)


if __name__ == "__main__":
    main()
