"""A grid study: how much sun and wind a network takes at a planning risk, with every part computed once and kept on disk.

The study is a list of tasks, each written to one .npz in the folder's work/ (aside, then renamed), so that a study that was stopped goes
on where it was. Tasks run in this process, in several, or on Ray. Legend: S scenarios, N nodes, E elements, G growths.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from kinowatt import __version__
from kinowatt.errors import GridError, MissingDependency, OutputError
from kinowatt.grid import storage
from kinowatt.grid.flow import Check, Solver, check
from kinowatt.grid.hosting import LIMITS, Case, Hosted, Tally, evaluate, placements, search
from kinowatt.grid.network import KINDS, Network, read_network
from kinowatt.grid.scenarios import FIELD, WEATHERS, Asked, Scenarios, scenarios_of
from kinowatt.media.image import aside

REINFORCED = 5  # elements whose doubling is tried
CHECKED = 50  # snapshots at random, and as many of the worst, that pandapower solves again
Say = Callable[[str], None]
Task = dict[str, Any]  # what to do, and for which growth, placement, weather or element
Step = Callable[[str, int, int], None]  # what is computed, how many are done, of how many


@dataclass(frozen=True)
class Settings:
    """What was asked for. Growths are factors of what is installed; `limits` is all, thermal or voltage."""

    network: str
    weather: str
    pv_growth: tuple[float, ...] = (1.0,)
    wind_growth: tuple[float, ...] = (1.0,)
    placements: int = 50
    scenarios: int = 500
    horizon_h: float = 24.0
    risk: float = 0.05
    storage: bool = False
    seed: int = 0
    limits: str = "all"
    place: bool = False
    coordinates: str = ""
    history: str = ""  # and `at`: of the weather "model"
    at: str = ""

    def __post_init__(self) -> None:
        assert self.asked  # it looks at itself
        if not 0.0 < self.risk < 1.0:
            raise GridError(f"a planning risk of {self.risk:g} says nothing; give a share above 0 and below 1, such as 0.05")
        if self.limits not in LIMITS:
            raise GridError(f"limits {self.limits!r} are not known; choose {', '.join(LIMITS)}")
        if self.placements < 1 or self.scenarios < 1 or not self.horizon_h > 0:
            raise GridError("a study needs at least one placement, one scenario, and a horizon above 0 h")

    @property
    def asked(self) -> Asked:
        """The weather that is asked for. GridError."""
        return Asked(self.weather, self.history, self.at, self.place)

    @property
    def main(self) -> str:
        """The kind whose growth is searched; the other's values are gone through one by one."""
        return "pv" if len(self.pv_growth) > 1 or len(self.wind_growth) == 1 else "wind"

    @property
    def other(self) -> str:
        """The other kind."""
        return "wind" if self.main == "pv" else "pv"

    def growths(self, kind: str) -> tuple[float, ...]:
        """The axis of a kind."""
        return self.pv_growth if kind == "pv" else self.wind_growth


@dataclass(frozen=True, eq=False)
class Work:
    """What every task needs: the case, the settings, installed MW (N) by kind, MW of growth 1, and shares of placements (P, N).

    `standing` is the tally of what stands, once it is known: with nothing added, all placements are the same.
    """

    case: Case
    settings: Settings
    kinds: tuple[str, ...]
    installed: dict[str, np.ndarray]
    unit_MW: dict[str, float]
    shares: dict[str, np.ndarray]
    threads: int
    standing: Tally | None = None

    def plan(self, main: float, other: float, placement: int) -> dict[str, np.ndarray]:
        """Installed MW (N) of kinds that the weather drives, at two growths and a placement."""
        growth = {self.settings.main: main, self.settings.other: other}
        return {k: self.installed[k] + (growth[k] - 1.0) * self.unit_MW[k] * self.shares[k][placement] for k in self.kinds}


Ready = Callable[[Network, Scenarios, Work], None]


@dataclass(frozen=True, eq=False)
class Study:
    """A study that was computed: inputs, tallies of the reference placement by weather and growth, answers of placements, and more.

    `hosted` is by (index of the other kind's growth, placement); `doubled` by element, with the risk at the map's growth; `relief` by
    growth; `map_index` is the growth of the map: the first beyond the hosting capacity of the reference placement, or else the last.
    """

    settings: Settings
    network: Network
    scenarios: Scenarios
    work: Work
    curves: dict[str, list[Tally]]
    hosted: dict[tuple[int, int], Hosted]
    doubled: dict[int, tuple[Hosted, float]]
    relief: dict[int, dict[str, Any]]
    map_index: int
    check: Check | None
    notes: tuple[str, ...] = field(default=())


def prepare(settings: Settings, threads: int, say: Say) -> tuple[Network, Scenarios, Work]:
    """Read the network and the weather, and make powers of them. GridError."""
    network = read_network(settings.network, Path(settings.coordinates) if settings.coordinates else None)
    say(f"{network.name}: {network.circuit.nodes} nodes, {network.circuit.elements} lines and transformers")
    wanted = [k for k in ("pv", "wind") if max(settings.growths(k)) > 1.0]
    scenarios = scenarios_of(settings.asked, network, settings.scenarios, settings.horizon_h, settings.seed, wanted)
    say(f"{scenarios.source}: {scenarios.count} scenarios of {scenarios.steps} steps, driving {' and '.join(scenarios.kinds)}")
    rest_YN = -network.load_YN_MW
    for kind in KINDS:
        if kind not in scenarios.kinds:
            rest_YN = rest_YN + network.plants[kind].profile_YN_MW
    net = network.net if network.circuit.regulated else None
    year_ST = network.year_index(scenarios.times_ST)
    case = Case(network.circuit, net, scenarios.pu, year_ST, rest_YN, -network.load_YN_Mvar, scenarios.hours, settings.limits)
    installed = {k: network.plants[k].installed_N_MW.astype(float) for k in scenarios.kinds}
    unit = {k: float(mw.sum()) or network.peak_load_MW for k, mw in installed.items()}
    loads_N = network.load_YN_MW.mean(0)
    shares = {}
    for number, kind in enumerate(scenarios.kinds):
        here = installed[kind] if installed[kind].any() else loads_N
        if not here.any():
            raise GridError(f"{network.name} has no {kind} and no loads to set a scale by; give a network with either")
        shares[kind] = placements(here / here.sum(), network.candidates(), settings.placements, [settings.seed, 4, number])
    return network, scenarios, Work(case, settings, scenarios.kinds, installed, unit, shares, threads)


def run(folder: Path, settings: Settings, workers: int, ray: bool, resume: bool, say: Say, step: Step, ready: Ready | None = None) -> Study:
    """Compute a study in a folder. GridError for what cannot be studied, OutputError for a folder that holds another one.

    `ready` is told the network and its weather once both are read.
    """
    kept = open_folder(folder, settings, resume)
    threads = -1 if workers > 1 or ray else 0
    network, scenarios, work = prepare(settings, threads, say)
    if ready is not None:
        ready(network, scenarios, work)
    main = settings.growths(settings.main)
    tasks = Tasks(kept, work, workers, ray, step)
    curve: list[Task] = [{"do": "curve", "weather": w, "growth": g} for w in WEATHERS for g in range(len(main))]
    found = tasks.run("growth by growth", curve)
    curves = {w: [_tally(found[_name(t)]) for t in curve if t["weather"] == w] for w in WEATHERS}
    tasks.work = replace(work, standing=curves[FIELD][0])
    others = range(len(settings.growths(settings.other)))
    places: list[Task] = [
        {"do": "place", "other": j, "placement": p} for j in others for p in range(settings.placements) if (j, p) != (0, 0)
    ]
    found = tasks.run("placements", places)
    hosted = {(int(t["other"]), int(t["placement"])): _hosted(found[_name(t)]) for t in places}
    hosted[0, 0] = search(len(main), settings.risk, lambda i: curves[FIELD][i])
    last = hosted[0, 0].last
    index = min(last + 1, len(main) - 1)
    strongest = np.argsort(-curves[FIELD][index].worst_E, kind="stable")[:REINFORCED]
    chosen = [int(e) for e in strongest if curves[FIELD][index].worst_E[e] > 0] if not network.circuit.regulated else []
    again: list[Task] = [{"do": "double", "element": e, "growth": index} for e in chosen]
    found = tasks.run("reinforcement", again)
    doubled = {t["element"]: (_hosted(found[_name(t)]), float(found[_name(t)]["risk"])) for t in again}
    wanted = [g for g in range(len(main)) if curves[FIELD][g].violated_S.any()]
    relief: list[Task] = [{"do": "relief", "growth": g} for g in wanted]
    found = tasks.run("curtailment and storage" if settings.storage else "curtailment", relief)
    said = {t["growth"]: {k: v.item() if v.ndim == 0 else v for k, v in found[_name(t)].items()} for t in relief}
    step("check with pandapower", 0, 1)
    verdict = None if network.circuit.regulated else oracle(network, work, curves[FIELD][index], main[index])
    step("check with pandapower", 1, 1)
    notes = (*network.notes, *scenarios.notes)
    return Study(settings, network, scenarios, work, curves, hosted, doubled, said, index, verdict, notes)


def open_folder(folder: Path, settings: Settings, resume: bool) -> Path:
    """The folder's work/, made or found again. OutputError if it holds a study and none is resumed, or another one."""
    kept = folder / "work"
    setup = kept / "setup.json"
    said = json.loads(json.dumps({**asdict(settings), "version": __version__, **_stamp(settings)}))
    try:
        if setup.is_file():
            before = json.loads(setup.read_text(encoding="utf-8"))
            if not resume:
                raise OutputError(f"{folder} holds a study already; go on with it by --resume, or write to another folder")
            changed = sorted(k for k in said.keys() | before.keys() if said.get(k) != before.get(k))
            if changed:
                raise OutputError(f"{folder} holds a study with another {', '.join(changed)}; give the same, or another folder")
        kept.mkdir(parents=True, exist_ok=True)
        setup.write_text(json.dumps(said, indent=1), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise (
            error if isinstance(error, OutputError) else OutputError(f"{folder} cannot be used: {error}; choose another with -o")
        ) from None
    return kept


def _stamp(settings: Settings) -> dict[str, Any]:
    """Sizes and times of files that a study reads: one that changed makes another study."""
    paths = {f"{n}_file": Path(getattr(settings, n)) for n in ("network", "weather", "coordinates", "history")}
    return {k: [p.stat().st_size, p.stat().st_mtime_ns] for k, p in paths.items() if p.name and p.is_file()}


class Tasks:
    """Runs tasks that are not on disk yet, and reads those that are."""

    def __init__(self, kept: Path, work: Work, workers: int, ray: bool, step: Step) -> None:
        self.kept, self.work, self.workers, self.ray, self.step = kept, work, workers, ray, step

    def run(self, what: str, tasks: Sequence[Task]) -> dict[str, dict[str, np.ndarray]]:
        """Arrays of every task, by its name."""
        todo = [t for t in tasks if not (self.kept / f"{_name(t)}.npz").is_file()]
        done = len(tasks) - len(todo)
        self.step(what, done, len(tasks))
        for number, _ in enumerate(self._computed(todo), done + 1):
            self.step(what, number, len(tasks))
        return {_name(t): _read(self.kept / f"{_name(t)}.npz") for t in tasks}

    def _computed(self, todo: Sequence[Task]) -> Iterator[None]:
        if not todo:
            return
        if self.ray:
            yield from _on_ray(self.kept, self.work, todo)
        elif self.workers == 1 or len(todo) == 1:
            for task in todo:
                _write(self.kept, task, compute(replace(self.work, threads=0), task))
                yield
        else:
            # Started anew, not forked: a fork of a process with threads may hang.
            with ProcessPoolExecutor(self.workers, get_context("spawn"), _begin, (self.kept, self.work)) as pool:
                running: list[Future[None]] = [pool.submit(_one, task) for task in todo]
                try:
                    for future in as_completed(running):
                        yield future.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise


_here: tuple[Path, Work] | None = None  # of a worker process


def _begin(kept: Path, work: Work) -> None:
    global _here  # noqa: PLW0603
    _here = kept, work


def _one(task: Task) -> None:
    assert _here is not None
    _write(_here[0], task, compute(_here[1], task))


def _on_ray(kept: Path, work: Work, todo: Sequence[Task]) -> Iterator[None]:
    """On Ray: the cluster of RAY_ADDRESS, or one of this machine's cores. All nodes must see the folder under the same name."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingDependency("Ray is not installed; pip install 'kinowatt[ray]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    shared = ray.put(work)
    remote = ray.remote(num_cpus=1)(lambda held, task: _write(kept.resolve(), task, compute(held, task)))
    waiting = [remote.remote(shared, task) for task in todo]
    while waiting:
        ready, waiting = ray.wait(waiting)
        yield ray.get(ready[0])


def compute(work: Work, task: Task) -> dict[str, Any]:
    """One task's arrays."""
    s, case = work.settings, work.case
    main, other = s.growths(s.main), s.growths(s.other)
    solver = Solver(case.circuit, case.net, work.threads)
    if task["do"] == "curve":
        return asdict(evaluate(case, solver, task["weather"], work.plan(main[task["growth"]], other[0], 0)))
    if task["do"] == "place":
        known = work.standing if main[0] == other[task["other"]] == 1.0 else None

        def at(i: int) -> Tally:
            plan = work.plan(main[i], other[task["other"]], task["placement"])
            return known if i == 0 and known is not None else evaluate(case, solver, FIELD, plan, s.risk)

        return _packed(search(len(main), s.risk, at))
    if task["do"] == "double":
        stronger = replace(case, circuit=case.circuit.doubled(task["element"]))
        solver = Solver(stronger.circuit, None, work.threads)
        at = lambda i: evaluate(stronger, solver, FIELD, work.plan(main[i], other[0], 0), s.risk)  # noqa: E731
        there = evaluate(stronger, solver, FIELD, work.plan(main[task["growth"]], other[0], 0))
        return {**_packed(search(len(main), s.risk, at)), "risk": there.risk}
    assert task["do"] == "relief"
    plan = work.plan(main[task["growth"]], other[0], 0)
    cut = storage.curtail(case, solver, FIELD, plan)
    out: dict[str, Any] = {
        "curtailed_MWh": cut.energy_MWh, "available_MWh": cut.available_MWh, "violated": cut.violated, "left": cut.left,
        "curtailed_N_MWh": cut.cut_STN_MW.sum((0, 1)) * case.hours,
    }  # fmt: skip
    if s.storage:
        out |= {f"storage_{k}": v for k, v in asdict(storage.store(case, solver, FIELD, plan, cut)).items()}
    return out


def oracle(network: Network, work: Work, tally: Tally, growth: float) -> Check:
    """pandapower on 50 random and the 50 worst snapshots of the reference placement. GridError if it differs."""
    steps, rng = tally.steps, np.random.default_rng([work.settings.seed, 5])
    worst_X = np.nan_to_num(tally.worst_ST.reshape(-1), nan=np.inf)
    chosen = np.unique(np.concatenate([np.argsort(-worst_X)[:CHECKED], rng.permutation(len(worst_X))[:CHECKED]]))
    plan = work.plan(growth, work.settings.growths(work.settings.other)[0], 0)
    p, q = [], []
    for snapshot in chosen:
        one, t = slice(snapshot // steps, snapshot // steps + 1), snapshot % steps
        rest = work.case.rest(one)
        p.append((rest[0] + work.case.available(FIELD, plan, one))[0, t])
        q.append(rest[1][0, t])
    flows = Solver(network.circuit).solve(np.array(p), np.array(q))
    return check(network.circuit, network.net, np.array(p), np.array(q), flows)


def _name(task: Task) -> str:
    return "-".join(str(v) for v in task.values())


def _write(kept: Path, task: Task, arrays: dict[str, Any]) -> None:
    path = kept / f"{_name(task)}.npz"
    part = aside(path)
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError) as error:
        raise OutputError(f"{path} is damaged; remove it and go on with --resume") from error


LEAN = ("power_ST_MW", "worst_ST")  # what is kept of the reference placement only


def _packed(hosted: Hosted) -> dict[str, Any]:
    """Arrays of an answer: each field of its tallies, one row per tested growth."""
    out: dict[str, Any] = {"last": hosted.last, "tested": np.array(hosted.tested)}
    for name in Tally.__dataclass_fields__:
        if name in LEAN:
            continue
        for i, tally in enumerate(hosted.tallies):
            out[f"{i}_{name}"] = getattr(tally, name)
    return out


def _hosted(arrays: dict[str, np.ndarray]) -> Hosted:
    tested = tuple(int(i) for i in arrays["tested"])
    none = {name: np.zeros((0, 0), np.float32) for name in LEAN}
    tallies = tuple(
        _tally({n: none[n] if n in none else arrays[f"{i}_{n}"] for n in Tally.__dataclass_fields__}) for i in range(len(tested))
    )
    return Hosted(int(arrays["last"]), tested, tallies)


def _tally(arrays: dict[str, np.ndarray]) -> Tally:
    values: dict[str, Any] = {k: v.item() if v.ndim == 0 else v for k, v in arrays.items()}
    return Tally(**values)
