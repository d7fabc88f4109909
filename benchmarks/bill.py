"""One spark clip's bill beside an independent integration of the same quantities, and what metering itself costs.

    python benchmarks/bill.py [--clips 20]

Where there is a GPU, its NVML power is sampled every 20 ms and integrated by trapezoids, beside the energy counter of the bill. The CPU
time of the process is read from /proc by another route than the bill's, and its memory is sampled every 10 ms.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from kinowatt.energy.devices import RAM_W_PER_GB, CpuModel
from kinowatt.energy.meter import Meter
from kinowatt.engine import load as engines
from kinowatt.shot import Shot

EVERY_S = 0.01


@dataclass
class Witness:
    """Integrates beside the meter, in a thread of its own."""

    ram_J: float = 0.0
    gpu_J: float | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Witness:
        self._begin = _ticks()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.cpu_s = (_ticks() - self._begin) / os.sysconf("SC_CLK_TCK")

    def _run(self) -> None:
        last_s, last_GB, last_W = time.monotonic(), _gigabytes(), _gpu_W()
        self.gpu_J = None if last_W is None else 0.0
        while not self._stop.wait(EVERY_S):
            now_s, now_GB, now_W = time.monotonic(), _gigabytes(), _gpu_W()
            self.ram_J += (now_GB + last_GB) / 2 * (now_s - last_s) * RAM_W_PER_GB
            if self.gpu_J is not None and now_W is not None and last_W is not None:
                self.gpu_J += (now_W + last_W) / 2 * (now_s - last_s)
            last_s, last_GB, last_W = now_s, now_GB, now_W


def _ticks() -> int:
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15]))  # user and system, own and of ended children


def _gigabytes() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e9
    return 0.0


def _gpu_W() -> float | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0)) / 1e3
    except Exception:  # no GPU here
        return None


def main() -> None:
    """Print both bills and the overhead."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--model", default="spark")
    given = parser.parse_args()
    engine = engines.load(given.model)
    shot = Shot("a red ball bounces on sand at dusk", seed=1)
    engine.generate(shot)  # loaded and converted
    rows = []
    for _ in range(given.clips):
        meter = Meter()
        with Witness() as witness, meter:
            engine.generate(shot, meter=meter)
        energy = meter.bill.energy
        rows.append((energy, witness))
    watts = CpuModel().watts
    for name, bill, own in (
        ("CPU, modelled", [e.cpu_modelled_J for e, _ in rows], [w.cpu_s * watts for _, w in rows]),
        ("memory, modelled", [e.ram_modelled_J for e, _ in rows], [w.ram_J for _, w in rows]),
        ("GPU", [e.gpu_J for e, _ in rows], [w.gpu_J for _, w in rows]),
    ):
        if None in bill or None in own:
            print(f"{name:18} not here")
            continue
        total, other = sum(map(float, bill)), sum(map(float, own))  # type: ignore[arg-type]
        print(
            f"{name:18} bill {total / len(rows):8.3f} J a clip   witness {other / len(rows):8.3f} J   difference {total / other - 1:+.2%}"
        )
    calls = 0
    meter = Meter()
    real = meter._settle

    def counted(*, close: bool = False) -> None:
        nonlocal calls
        calls += 1
        real(close=close)

    meter._settle = counted  # type: ignore[method-assign]
    with meter:
        engine.generate(shot, lambda progress: None, meter)
    wall_s = statistics.median(e.wall_s for e, _ in rows)
    with Meter() as probe:
        begin = time.perf_counter()
        for _ in range(1000):
            probe.so_far()
        each_s = (time.perf_counter() - begin) / 1000
    print(f"metering           {calls} readings a clip of {each_s * 1e6:.0f} µs: {calls * each_s / wall_s:.3%} of {wall_s:.3f} s")


if __name__ == "__main__":
    main()
