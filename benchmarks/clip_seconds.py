"""Seconds, phases and memory of one clip of 2 s at 256x256, 8 steps of one pass, S-size, random weights (speed is the same).

    python benchmarks/clip_seconds.py [--runtime openvino] [--size 256x256] [--steps 8] [--guidance 5] [--dit s]

Run it on two cores (taskset -c 0,1). The first line is cold (conversion, caches), the second warm; compare on one machine only.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from dataclasses import replace

import torch

from kinowatt import language
from kinowatt.engine.engine import Engine
from kinowatt.engine.runtime import choose
from kinowatt.models.dit import DITS, VideoDiT
from kinowatt.models.model import Model
from kinowatt.models.specs import SPARK
from kinowatt.models.text import TextConfig, TextEncoder
from kinowatt.models.vae import CODECS, VideoCodec
from kinowatt.shot import Shot


def random_model(dit: str, size: tuple[int, int]) -> Model:
    """spark's shape at a given size, untrained."""
    torch.manual_seed(0)
    config = DITS[dit]
    modules = VideoCodec(CODECS["drawn"]), VideoDiT(config), TextEncoder(TextConfig(language.VOCABULARY, width=config.text_dim))
    codec, network, text = (m.eval().requires_grad_(False) for m in modules)
    return Model(replace(SPARK, size=size, most_pixels=size[0] * size[1]), codec, network, text, shift=2.0, sha256=f"random-{dit}")  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=5.0, help="another one than 5 takes two passes a step")
    parser.add_argument("--dit", default="s")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, device = random_model(options.dit, (width, height)), torch.device("cpu")
    engine = Engine(model, device, choose(options.runtime, model, device))
    words = "a red ball bounces on sand at dusk"
    shot = Shot(words, seed=1, steps=options.steps, guidance=options.guidance, seconds=2.0, size=(width, height))
    for run in range(options.repeat):
        begin = time.perf_counter()
        take = engine.generate(shot)
        total = time.perf_counter() - begin
        phases = "  ".join(f"{name} {phase.wall_s:.2f}" for name, phase in take.bill.phases.items())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cores = len(os.sched_getaffinity(0))
        print(f"{take.runtime:18} {'cold' if run == 0 else 'warm'} {total:6.2f} s on {cores} cores  peak {peak:.2f} GiB  {phases}")


if __name__ == "__main__":
    main()
