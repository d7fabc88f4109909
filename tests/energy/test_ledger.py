"""The ledger: many writers, damaged files, what teaches and what does not, and sums in which unknown is never nothing."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kinowatt.energy import carbon
from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.ledger import Ledger, Run, midnight, past_of
from kinowatt.energy.predict import Past, Work
from kinowatt.errors import InputError, OutputError

WORK = Work(3e12, 1e11, 20)


def bill(joules: float | None = 100.0, load_J: float = 0.0, seconds: float = 5.0, missing: str = "", gpu_J: float | None = None) -> Any:
    """A bill of so many modelled joules, of which some went into loading in two of its seconds."""
    whole = Energy(seconds, cpu_modelled_J=joules, gpu_J=gpu_J)
    phases = {"load": Energy(2.0, cpu_modelled_J=load_J, gpu_J=None if gpu_J is None else gpu_J / 4)} if load_J else {}
    gone = {missing: "it fell silent"} if missing else {}
    made = EnergyBill(whole, carbon.intensity("FR"), phases, gone, {"cpu_modelled_J": "a model"}, 1.0, None if joules is None else 0.5)
    return made.to_json()


def run(verb: str = "generate", model: str = "spark", *, work: Work | None = WORK, paid: Any = None, **more: Any) -> Run:
    facts: dict[str, Any] = {"frames": 33, "width": 128, "height": 128, "fps": 16.0, "steps": 20} | more
    return Run(verb, model, "a chip, 2 threads", "torch float32", paid or bill(), work, **facts)


def test_what_is_added_comes_back() -> None:
    ledger, made = Ledger(), run(at=123.0, key="k1", out="/tmp/影片.mp4", predicted_Wh=0.02)
    number = ledger.add(made)
    (found,) = Ledger().runs()
    assert number == found.number == 1
    assert found == Run(**{**vars(made), "number": 1})
    assert found.work == WORK
    assert found.energy_bill.energy.cpu_modelled_J == 100.0


def test_runs_are_told_apart_by_time_model_and_key() -> None:
    ledger = Ledger()
    for at, model, key in ((3.0, "spark", "a"), (1.0, "other", "a"), (2.0, "spark", "")):
        ledger.add(run(model=model, key=key, at=at))
    assert [r.at for r in ledger.runs()] == [1.0, 2.0, 3.0]
    assert [r.at for r in ledger.runs(since=2.0)] == [2.0, 3.0]
    assert [r.at for r in ledger.runs(model="spark")] == [2.0, 3.0]
    assert [r.at for r in ledger.runs(key="a")] == [1.0, 3.0]
    assert [r.at for r in ledger.runs(key="")] == [2.0], "runs without a server"


def write_many(path: str, who: int) -> None:
    for _ in range(25):
        Ledger(Path(path)).add(run(key=str(who)))


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(str(path), who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [w.exitcode for w in writers] == [0] * 4
    found = Ledger(path).runs()
    assert len({r.number for r in found}) == 100
    assert [sum(r.key == str(who) for r in found) for who in range(4)] == [25] * 4


@pytest.mark.parametrize("what", ["garbage", "folder", "no folder", "another table"])
def test_a_file_that_is_no_ledger_is_one_sentence(tmp_path: Path, what: str) -> None:
    path = tmp_path / "ledger.sqlite"
    if what == "garbage":
        path.write_bytes(b"once upon a time " * 500)
    elif what == "folder":
        path.mkdir()
    elif what == "no folder":
        path = tmp_path / "none" / "ledger.sqlite"
    else:
        with sqlite3.connect(path) as file:
            file.execute("CREATE TABLE runs (a TEXT)")
        file.close()
    for use in (lambda: Ledger(path).runs(), lambda: Ledger(path).add(run()), lambda: Ledger(path).report("model")):
        with pytest.raises(OutputError, match="KINOWATT_HOME") as told:
            use()
        assert "\n" not in str(told.value)
        assert told.value.exit_code == 2


@pytest.mark.parametrize("damage", ["{", "[1]", '{"work": {"of": 3}, "bill": {}}', "null"])
def test_a_damaged_row_is_one_sentence(damage: str) -> None:
    ledger = Ledger()
    ledger.add(run())
    with sqlite3.connect(ledger.path) as file:
        file.execute("UPDATE runs SET run = ?", (damage,))
    file.close()
    with pytest.raises(OutputError, match="row 1 of the ledger is damaged"):
        ledger.runs()


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KINOWATT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(OutputError, match="KINOWATT_HOME"):
        Ledger()


def test_rows_of_another_version_are_read() -> None:
    ledger = Ledger()
    ledger.add(run())
    with sqlite3.connect(ledger.path) as file:
        file.execute("UPDATE runs SET run = json_remove(json_set(run, '$.colour', 'red'), '$.predicted_Wh', '$.work.steps')")
    file.close()
    (found,) = ledger.runs()
    assert found.predicted_Wh is None
    assert found.work == Work(3e12, 1e11, 0)


def test_the_past_is_without_loading_and_without_trainings() -> None:
    ledger = Ledger()
    ledger.add(run(paid=bill(100.0, load_J=40.0, seconds=5.0), at=1.0))
    ledger.add(run("train", work=None, at=2.0))
    ledger.add(run(paid=bill(None), at=3.0))
    ledger.add(run(paid=bill(70.0), at=4.0))
    found = ledger.past("spark", "a chip, 2 threads", "torch float32")
    assert found == [Past(WORK, 70.0, 5.0), Past(WORK, 60.0, 3.0)], "newest first"
    assert ledger.past("spark", "a chip, 2 threads", "openvino bfloat16") == []
    assert ledger.past("spark", "another chip", "torch float32") == []
    assert ledger.past("other", "a chip, 2 threads", "torch float32") == []
    assert len(ledger.past("spark", "a chip, 2 threads", "torch float32", limit=1)) == 1


def test_a_bill_that_lost_a_counter_teaches_nothing() -> None:
    ledger = Ledger()
    for at, missing in ((1.0, ""), (2.0, "gpu_J"), (3.0, "")):
        ledger.add(run(paid=bill(5.0 if missing else 100.0, missing=missing), at=at))
    assert [p.joules_J for p in ledger.past("spark", "a chip, 2 threads", "torch float32")] == [100.0, 100.0]
    always = Ledger(ledger.path.with_name("other.sqlite"))
    always.add(run(paid=bill(5.0, missing="dram_J")))
    assert len(always.past("spark", "a chip, 2 threads", "torch float32")) == 1, "what never had the counter is compared with its like"


def test_of_a_gpu_only_its_own_joules_count_where_asked() -> None:
    both = bill(40.0, load_J=10.0, gpu_J=400.0)
    assert past_of(WORK, both) == Past(WORK, 440.0 - 10.0 - 100.0, 3.0)
    assert past_of(WORK, both, gpu_only=True) == Past(WORK, 300.0, 3.0)
    assert past_of(WORK, bill(40.0), gpu_only=True) is None


@pytest.mark.parametrize("joules", [None, 0.0, -3.0])
def test_bills_of_nothing_teach_nothing(joules: float | None) -> None:
    assert past_of(WORK, bill(joules)) is None
    assert past_of(None, bill()) is None
    assert past_of(Work(0.0), bill()) is None


def test_the_last_run_tells_where_a_model_runs() -> None:
    ledger = Ledger()
    assert ledger.last("spark") is None
    ledger.add(run(at=1.0, out="first"))
    ledger.add(run(at=2.0, out="second"))
    ledger.add(run("train", at=3.0, work=None))
    found = ledger.last("spark")
    assert found is not None
    assert found.out == "second"


def test_a_report_adds_up_and_unknown_is_not_nothing() -> None:
    ledger = Ledger()
    for model, joules in (("spark", 3600.0), ("spark", 7200.0), ("spark", None), ("blind", None)):
        ledger.add(run(model=model, paid=bill(joules)))
    blind, spark = ledger.report("model")
    assert (blind.name, blind.runs, blind.unknown) == ("blind", 1, 1)
    assert (blind.total_Wh, blind.carbon_gCO2e, blind.embodied_gCO2e) == (None, None, None)
    assert (spark.name, spark.runs, spark.unknown) == ("spark", 3, 1)
    assert spark.total_Wh == pytest.approx(3.0)
    assert spark.carbon_gCO2e == pytest.approx(3e-3 * carbon.intensity("FR").gCO2e_per_kWh, rel=1e-4)
    assert spark.embodied_gCO2e == 1.0
    assert spark.video_s == pytest.approx(3 * 33 / 16)
    assert spark.wall_s == 15.0


def test_a_report_groups_by_verb_key_and_local_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Taipei")  # eight hours before Greenwich
    time.tzset()
    try:
        ledger = Ledger()
        evening = datetime.fromisoformat("2026-03-01T23:30:00+08:00").timestamp()
        ledger.add(run("generate", key="k", at=evening))
        ledger.add(run("extend", at=evening + 3600))
        ledger.add(run("extend", at=evening + 7200))
        assert [(line.name, line.runs) for line in ledger.report("day")] == [("2026-03-01", 1), ("2026-03-02", 2)]
        assert [(line.name, line.runs) for line in ledger.report("verb")] == [("extend", 2), ("generate", 1)]
        assert [(line.name, line.runs) for line in ledger.report("key")] == [("–", 2), ("k", 1)]
        assert [(line.name, line.runs) for line in ledger.report("day", evening + 3600)] == [("2026-03-02", 2)]
        today = datetime.fromtimestamp(midnight())
        assert (today.hour, today.minute) == (0, 0)
        assert timedelta() <= datetime.now() - today <= timedelta(days=1)
    finally:
        monkeypatch.undo()
        time.tzset()
    with pytest.raises(InputError, match="model, day, key, verb"):
        Ledger().report("colour")  # type: ignore[arg-type]


def test_what_a_key_has_spent_today() -> None:
    ledger, now = Ledger(), time.time()
    for key, joules, at in (("k", 3600.0, now), ("k", 3600.0, now - 90_000), ("other", 3600.0, now), ("k", None, now)):
        ledger.add(run(key=key, at=at, paid=bill(joules)))
    wh, grams = ledger.spent_since(now - 80_000, "k")
    assert wh == pytest.approx(1.0)
    assert grams == pytest.approx(1e-3 * carbon.intensity("FR").gCO2e_per_kWh, rel=1e-4)
