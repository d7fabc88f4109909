"""Milliseconds of CPU per frame of the simulated world: by event and weather at the smallest size, and by size over random scenes.

    python benchmarks/render.py [--sizes 128,256,512] [--frames 33] [--scenes 3]

One thread of the software renderer, as a training worker has it. CPU time, not wall time, since machines are shared; even so figures
are noisy: the least of the scenes stands beside their median, and only those of one run are compared. Each scene is filmed once before
it is timed, for its program to be compiled (seconds; the driver keeps programs on the disk).
"""

from __future__ import annotations

import argparse
import statistics
import time

from kinowatt.worlds.toybox import Toybox, scene, threads


def milliseconds(world: Toybox, seeds: range, size: int, frames: int, **over: object) -> list[float]:
    """CPU milliseconds per frame of each seed's clip, physics and captions included."""
    spent = []
    for seed in seeds:
        world.sample(seed, (16, 16), 1, **over)
        begin = time.process_time()
        world.sample(seed, (size, size), frames, **over)
        spent.append(1000 * (time.process_time() - begin) / frames)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="128,256,512")
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--scenes", type=int, default=3)
    options = parser.parse_args()
    sizes = [int(s) for s in options.sizes.split(",")]
    threads(1)
    world = Toybox()
    world.sample(0, (16, 16), 1)
    print(f"{world.renderer.name}; {options.frames} frames, one thread\n")
    print(f"| event at {sizes[0]}x{sizes[0]} | least ms/frame | median |\n|---|---|---|")
    for event in scene.EVENTS:
        spent = milliseconds(world, range(options.scenes), sizes[0], options.frames, event=event)
        print(f"| {event} | {min(spent):.1f} | {statistics.median(spent):.1f} |", flush=True)
    print(f"\n| weather at {sizes[0]}x{sizes[0]} | least ms/frame | median |\n|---|---|---|")
    for weather in scene.WEATHERS:
        spent = milliseconds(world, range(options.scenes), sizes[0], options.frames, weather=weather)
        print(f"| {weather} | {min(spent):.1f} | {statistics.median(spent):.1f} |", flush=True)
    print("\n| size | least ms/frame | median |\n|---|---|---|")
    for size in sizes:
        spent = milliseconds(world, range(100, 100 + options.scenes), size, options.frames)
        print(f"| {size}x{size} | {min(spent):.1f} | {statistics.median(spent):.1f} |", flush=True)


if __name__ == "__main__":
    main()
