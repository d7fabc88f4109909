"""Jobs side by side: shares and idle joules add up to the counter, whatever the schedule, and between processes too."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinowatt.energy.devices import CounterLost
from kinowatt.energy.meter import Meter
from kinowatt.energy.shares import Counter, Shares, between_processes


class Device:
    """A counter that a test sets."""

    part, name = "gpu_J", "fake"

    def __init__(self, value: float = 0.0) -> None:
        self.value: float | None = value

    def read_J(self) -> float:
        if self.value is None:
            raise CounterLost("gone")
        return self.value


# What happens at a border: a job begins, or ends, or looks, after so many joules.
EVENTS = st.lists(st.tuples(st.sampled_from(["open", "close", "read"]), st.integers(0, 7), st.floats(0, 1e6)), max_size=60)


@given(start=st.floats(0, 1e9), events=EVENTS)
def test_shares_and_idle_add_up_to_the_counter(start: float, events: list[tuple[str, int, float]]) -> None:
    device = Device(start)
    counter = Counter(device)
    counter.shares()  # the first border
    jobs: list[str] = []
    paid = 0.0
    for what, which, joules in events:
        assert device.value is not None
        device.value += joules
        if what == "open":
            jobs.append(counter.open())
        elif jobs and what == "close":
            paid += counter.read(jobs.pop(which % len(jobs)), close=True).joules_J
        elif jobs:
            counter.read(jobs[which % len(jobs)])
    running = sum(counter.read(token).joules_J for token in jobs)
    now = counter.shares()
    assert device.value is not None
    spent = device.value - start
    assert running + paid + now.idle_J == pytest.approx(spent, rel=1e-6, abs=1e-6)
    assert now.closed_J == pytest.approx(paid, rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 1e3)), min_size=1, max_size=30))
def test_two_meters_bill_the_counter_once(schedule: list[tuple[bool, float]]) -> None:
    device = Device()
    counter = Counter(device)
    meters = [Meter([counter]), Meter([counter])]
    running = [False, False]
    for first, joules in schedule:
        which = 0 if first else 1
        meters[which].__exit__(None, None, None) if running[which] else meters[which].__enter__()
        running[which] = not running[which]
        assert device.value is not None
        device.value += joules
    for meter, on in zip(meters, running, strict=True):
        if on:
            meter.__exit__(None, None, None)
    billed = sum(m.bill.energy.gpu_J or 0.0 for m in meters)
    assert device.value is not None
    assert billed + counter.shares().idle_J == pytest.approx(device.value, rel=1e-6)


def test_what_overlaps_is_halved() -> None:
    device = Device()
    counter = Counter(device)
    a = counter.open()
    device.value = 10.0
    b = counter.open()
    device.value = 30.0
    assert counter.read(a, close=True).joules_J == 20.0
    device.value = 35.0
    assert counter.read(b, close=True).joules_J == 15.0
    device.value = 36.0
    assert counter.shares().idle_J == 1.0


def test_a_counter_that_wraps_goes_on_and_one_that_falls_breaks() -> None:
    shares = Shares()
    shares.settle(90.0, wraps_J=100.0)
    shares.settle(5.0, wraps_J=100.0)
    assert shares.idle_J == 15.0
    device = Device(50.0)
    counter = Counter(device)
    token = counter.open()
    device.value = 40.0
    assert "backwards by 10 J" in counter.read(token).broken
    device.value = 45.0
    assert counter.read(counter.open()).broken == "", "who comes later is not harmed"


WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from kinowatt.energy.shares import between_processes

class Device:
    part, name = "gpu_J", "file"
    def read_J(self):
        return float(Path({file!r}).read_text())

counter = between_processes(Device(), "gpu-1", Path({folder!r}))
token = counter.open()
print("open", flush=True)
sys.stdin.readline()
print(counter.read(token, close=True).joules_J, flush=True)
"""


def test_processes_share_a_device(tmp_path: Path) -> None:
    file = tmp_path / "counter"
    file.write_text("100")

    class OfFile(Device):
        def read_J(self) -> float:
            return float(file.read_text())

    code = WORKER.format(tests="tests", file=str(file), folder=str(tmp_path / "shares"))
    ours = between_processes(OfFile(), "gpu-1", tmp_path / "shares")
    token = ours.open()
    file.write_text("110")
    processes = [subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) for _ in range(2)]
    killed, other = processes
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
    file.write_text("140")
    killed.kill()
    killed.communicate()
    file.write_text("160")  # since the last border, at 110, two have lived
    said, _ = other.communicate("\n", timeout=30)
    mine = ours.read(token, close=True).joules_J
    now = ours.shares()
    assert len(now.accounts) == 0
    assert (float(said), mine) == (25.0, 35.0)
    assert now.closed_J + now.idle_J == pytest.approx(60.0, abs=1e-9)
