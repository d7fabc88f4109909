"""The ledger in the words of others: CodeCarbon's very columns, reports that BoAmps' schemas accept, and models named as models."""

from __future__ import annotations

import csv
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kinowatt.energy import carbon, exports
from kinowatt.energy.bill import Energy, EnergyBill
from kinowatt.energy.ledger import Ledger, Run
from kinowatt.energy.predict import Work
from kinowatt.errors import OutputError

# The fields of EmissionsData in codecarbon/output_methods/emissions_data.py of version 3, in their order.
CODECARBON = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate"),
    *("cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "water_consumed"),
    *("country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "os", "python_version", "codecarbon_version"),
    *("cpu_count", "cpu_model", "gpu_count", "gpu_model", "longitude", "latitude", "ram_total_size", "tracking_mode"),
    *("cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
)
SOURCES = {"gpu_J": "a GPU: NVML energy counter", "cpu_modelled_J": "CPU time at 5 W per busy core", "ram_modelled_J": "memory at 0.4 W/GB"}


def run(energy: Energy, zone: str = "FR", pue: float = 1.0, verb: str = "generate", at: float = 1_700_000_000.0) -> Run:
    sources = {part: said for part, said in SOURCES.items() if getattr(energy, part) is not None}
    bill = EnergyBill(energy, carbon.intensity(zone), {}, {}, sources, pue)
    return Run(
        verb, "spark", "A GPU", "torch bfloat16", bill.to_json(), Work(1e12), frames=33, width=160, height=96, fps=16.0, at=at, number=7
    )


MIXED = Energy(10.0, gpu_J=3600.0, cpu_modelled_J=360.0, ram_modelled_J=36.0)
MODELLED = Energy(10.0, cpu_modelled_J=360.0)
UNKNOWN = Energy(10.0)


def test_codecarbon_has_these_columns_and_no_other() -> None:
    assert len(CODECARBON) == 38
    assert tuple(f.name for f in fields(exports.CodeCarbonRow)) == CODECARBON


def test_codecarbon_in_its_units() -> None:
    row = exports.codecarbon_row(run(MIXED))
    assert row.gpu_energy == pytest.approx(0.001), "kWh"
    assert row.cpu_energy == pytest.approx(0.0001)
    assert row.ram_energy == pytest.approx(0.00001)
    assert row.energy_consumed == pytest.approx(0.00111)
    assert (row.gpu_power, row.cpu_power, row.ram_power) == (pytest.approx(360.0), pytest.approx(36.0), pytest.approx(3.6)), "W"
    grams = carbon.intensity("FR").gCO2e_per_kWh
    assert row.emissions == pytest.approx(0.00111 * grams / 1000, rel=1e-4), "kg"
    assert row.emissions_rate == pytest.approx(row.emissions / 10, rel=1e-6), "kg/s"
    assert (row.country_iso_code, row.country_name, row.region) == ("FRA", "France", "")
    assert (row.gpu_count, row.gpu_model, row.tracking_mode) == (1, "A GPU", "machine")
    assert row.project_name == "kinowatt"
    assert row.water_consumed is None


def test_codecarbon_counts_the_building_into_its_energies() -> None:
    one, half_more = (exports.codecarbon_row(run(MIXED, pue=pue)) for pue in (1.0, 1.5))
    for name in ("cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "gpu_power", "emissions"):
        assert getattr(half_more, name) == pytest.approx(1.5 * getattr(one, name), rel=1e-4)
    assert half_more.pue == 1.5
    assert half_more.emissions / half_more.energy_consumed * 1000 == pytest.approx(carbon.intensity("FR").gCO2e_per_kWh, rel=1e-4)


def test_codecarbon_names_what_is_modelled() -> None:
    said = [exports.codecarbon_row(run(e)).codecarbon_version for e in (MIXED, MODELLED, Energy(1.0, gpu_J=5.0, cpu_J=2.0, dram_J=1.0))]
    assert said[0].endswith(", modelled: cpu_energy, ram_energy, energy_consumed")
    assert said[1].endswith(", modelled: cpu_energy, energy_consumed")
    assert "modelled" not in said[2]
    host = exports.codecarbon_row(run(Energy(1.0, cpu_J=5.0, host_modelled_J=40.0)))
    assert host.codecarbon_version.endswith(", modelled: energy_consumed")
    assert host.energy_consumed == pytest.approx(45 / 3.6e6)


def test_what_is_unknown_is_empty_not_nothing(tmp_path: Path) -> None:
    path = tmp_path / "emissions.csv"
    exports.write_codecarbon(path, [run(UNKNOWN), run(MIXED)])
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        blank, known = table
    assert tuple(table.fieldnames or ()) == CODECARBON
    for name in ("cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "emissions", "emissions_rate", "gpu_power", "gpu_count"):
        assert blank[name] == ""
    assert float(known["gpu_energy"]) == pytest.approx(0.001)
    assert float(blank["duration"]) == 10.0
    assert [p.name for p in tmp_path.iterdir()] == ["emissions.csv"]


@pytest.mark.parametrize(
    ("zone", "wanted"), [("world", ("", "")), ("DE", ("DEU", "")), ("US-CA", ("USA", "California")), ("CN-GD", ("CHN", "Guangdong"))]
)
def test_codecarbon_countries_have_three_letters_and_their_regions(zone: str, wanted: tuple[str, str]) -> None:
    row = exports.codecarbon_row(run(MIXED, zone))
    assert row.country_iso_code == wanted[0]
    assert wanted[1] in row.region
    assert bool(row.region) == bool(wanted[1])


def text(*choices: str) -> dict[str, Any]:
    return {"type": "string", **({"enum": [*choices]} if choices else {})}


def thing(required: str, **properties: Any) -> dict[str, Any]:
    """A JSON object of a schema; here no property may be one that the schema does not know."""
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


NUMBER = {"type": "number"}
# What BoAmps demands (model/report_schema.json and the schemas that it names, of 2025), as far as our reports go.
ALGORITHM = thing("", algorithmType=text(), foundationModelName=text(), framework=text(), parametersNumber=NUMBER)
DATA_TYPES = ("tabular", "audio", "boolean", "image", "video", "object", "text", "token", "word", "other")
DATASET = thing("dataUsage dataType", dataUsage=text("input", "output"), dataType=text(*DATA_TYPES), dataQuantity=NUMBER, shape=text())
MEASURE = thing(
    "measurementMethod powerConsumption",
    measurementMethod=text(),
    version=text(),
    cpuTrackingMode=text(),
    gpuTrackingMode=text(),
    powerConsumption=NUMBER,
    measurementDuration=NUMBER,
    measurementDateTime=text(),
)
REPORT = thing(
    "task measures infrastructure",
    header=thing(
        "reportDatetime",
        formatVersionSpecificationUri=text(),
        reportId=text(),
        reportDatetime={"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"},
        reportStatus=text("draft", "final", "corrective", "other"),
        publisher=thing(
            "confidentialityLevel", projectName=text(), confidentialityLevel=text("public", "internal", "confidential", "secret")
        ),
    ),
    task=thing(
        "taskStage taskFamily algorithms dataset",
        taskStage=text(),
        taskFamily=text(),
        nbRequest=NUMBER,
        algorithms={"type": "array", "minItems": 1, "items": ALGORITHM},
        dataset={"type": "array", "minItems": 1, "items": DATASET},
    ),
    measures={"type": "array", "minItems": 1, "items": MEASURE},
    system=thing("os", os=text()),
    software=thing("language", language=text(), version=text()),
    infrastructure=thing(
        "infraType components",
        infraType=text("publicCloud", "privateCloud", "onPremise", "other"),
        components={
            "type": "array",
            "minItems": 1,
            "items": thing("componentType nbComponent", componentName=text(), componentType=text(), nbComponent={"type": "integer"}),
        },
    ),
    environment=thing("country", country=text(), powerSourceCarbonIntensity=NUMBER),
    quality=text("high", "medium", "low"),
)


@pytest.mark.parametrize("verb", ["generate", "serve", "train"])
@pytest.mark.parametrize("energy", [MIXED, MODELLED, Energy(3.0, cpu_J=5.0)])
def test_boamps_reports_keep_to_its_schemas(verb: str, energy: Energy) -> None:
    report = exports.boamps(run(energy, verb=verb))
    jsonschema.Draft4Validator(REPORT).validate(json.loads(json.dumps(report, allow_nan=False)))


def test_boamps_keeps_measured_and_modelled_apart() -> None:
    report = exports.boamps(run(MIXED))
    assert report is not None
    measured, modelled = report["measures"]
    assert measured["measurementMethod"] == f"kinowatt, measured: {SOURCES['gpu_J']}"
    assert measured["powerConsumption"] == pytest.approx(0.001), "kWh"
    assert measured["gpuTrackingMode"] == SOURCES["gpu_J"]
    assert "cpuTrackingMode" not in measured
    assert modelled["measurementMethod"].startswith("kinowatt, modelled: CPU time")
    assert modelled["powerConsumption"] == pytest.approx(0.00011)
    assert report["quality"] == "medium"
    only = exports.boamps(run(MODELLED))
    assert only is not None
    assert [m["measurementMethod"].split(":")[0] for m in only["measures"]] == ["kinowatt, modelled"]
    assert only["quality"] == "low"
    assert sum(m["powerConsumption"] for m in report["measures"]) == pytest.approx((3600 + 360 + 36) / 3.6e6)


def test_boamps_tells_training_from_inference() -> None:
    train, generate = (exports.boamps(run(MIXED, verb=verb)) for verb in ("train", "generate"))
    assert train is not None
    assert generate is not None
    assert (train["task"]["taskStage"], train["task"]["nbRequest"]) == ("training", 0)
    assert (generate["task"]["taskStage"], generate["task"]["nbRequest"]) == ("inference", 1)
    assert {"dataUsage": "output", "dataType": "video", "dataQuantity": 1, "shape": "(33, 96, 160, 3)"} in generate["task"]["dataset"]


def test_boamps_has_no_report_without_energy(tmp_path: Path) -> None:
    assert exports.boamps(run(UNKNOWN)) is None
    written = exports.write_boamps(tmp_path / "new", [run(UNKNOWN), run(MIXED), replace(run(MODELLED), number=8)])
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in written)
    assert len(written) == 2
    first = json.loads(written[0].read_text(encoding="utf-8"))
    assert first["header"]["reportId"] != json.loads(written[1].read_text(encoding="utf-8"))["header"]["reportId"]
    assert exports.write_boamps(tmp_path / "new", [run(MIXED)])[0] == written[0], "the same run, the same file"
    assert json.loads(written[0].read_text(encoding="utf-8")) == first


def test_places_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        exports.write_codecarbon(tmp_path / "none" / "emissions.csv", [run(MIXED)])
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot be made"):
            exports.write_boamps(folder, [run(MIXED)])


def test_rows_of_the_ledger_are_exported_as_they_are(tmp_path: Path) -> None:
    ledger = Ledger()
    for at in (1_700_000_000.0, 1_700_000_001.0):
        ledger.add(run(MIXED, at=at))
    runs = ledger.runs()
    assert len({exports.codecarbon_row(r).run_id for r in runs}) == 2
    assert len(exports.write_boamps(tmp_path, runs)) == 2
