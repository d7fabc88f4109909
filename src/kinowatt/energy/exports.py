"""The ledger in the words of others: CodeCarbon's CSV columns, and BoAmps' JSON reports (Boavizta's format for the energy of AI tasks)."""

from __future__ import annotations

import csv
import json
import os
import platform
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kinowatt
from kinowatt.energy.ledger import Run
from kinowatt.energy.processors import cpu_name
from kinowatt.errors import OutputError

BOAMPS = "https://github.com/Boavizta/BoAmps/tree/main/model"
STAGES = {"train": ("training", "video generation")}  # every other verb is inference
SPACE = uuid.UUID("6f1f1d0e-5c0b-5d57-9b7a-6b696e6f7761")  # so that a run exported twice has one id


@dataclass(frozen=True)
class CodeCarbonRow:
    """CodeCarbon's columns (its EmissionsData, version 3), in its units: kWh, kg, W, seconds. What is not known is empty."""

    timestamp: str
    project_name: str
    run_id: str
    experiment_id: str
    duration: float
    emissions: float | None
    emissions_rate: float | None
    cpu_power: float | None
    gpu_power: float | None
    ram_power: float | None
    cpu_energy: float | None
    gpu_energy: float | None
    ram_energy: float | None
    energy_consumed: float | None
    water_consumed: float | None
    country_name: str
    country_iso_code: str
    region: str
    cloud_provider: str
    cloud_region: str
    os: str
    python_version: str
    codecarbon_version: str
    cpu_count: float | None
    cpu_model: str
    gpu_count: float | None
    gpu_model: str
    longitude: float | None
    latitude: float | None
    ram_total_size: float | None
    tracking_mode: str
    cpu_utilization_percent: float | None
    gpu_utilization_percent: float | None
    ram_utilization_percent: float | None
    ram_used_gb: float | None
    on_cloud: str
    pue: float
    wue: float | None


def codecarbon_row(run: Run) -> CodeCarbonRow:
    """A run in CodeCarbon's columns."""
    bill, energy = run.energy_bill, run.energy_bill.energy
    cpu_J = energy.cpu_J if energy.cpu_J is not None else energy.cpu_modelled_J
    ram_J = energy.dram_J if energy.dram_J is not None else energy.ram_modelled_J
    duration, grams = energy.wall_s, bill.carbon_gCO2e
    on_gpu = energy.gpu_J is not None
    return CodeCarbonRow(
        timestamp=datetime.fromtimestamp(run.at).isoformat(timespec="seconds"),
        project_name="kinowatt",
        run_id=str(uuid.uuid5(SPACE, f"{run.at} {run.number}")),
        experiment_id=run.verb,
        duration=duration,
        emissions=_over(grams, 1000.0),
        emissions_rate=_over(grams, 1000.0 * duration),
        cpu_power=_over(cpu_J, duration),
        gpu_power=_over(energy.gpu_J, duration),
        ram_power=_over(ram_J, duration),
        cpu_energy=_over(cpu_J, 3.6e6),
        gpu_energy=_over(energy.gpu_J, 3.6e6),
        ram_energy=_over(ram_J, 3.6e6),
        energy_consumed=_over(energy.total_J, 3.6e6),
        water_consumed=None,
        country_name=bill.intensity.name,
        country_iso_code=bill.intensity.zone,
        region="",
        cloud_provider="",
        cloud_region="",
        os=platform.platform(),
        python_version=platform.python_version(),
        codecarbon_version=f"kinowatt {kinowatt.__version__}",
        cpu_count=os.cpu_count(),
        cpu_model=cpu_name(),
        gpu_count=1 if on_gpu else None,
        gpu_model=run.device if on_gpu else "",
        longitude=None,
        latitude=None,
        ram_total_size=None,
        tracking_mode="process" if energy.measured_J is None else "machine",
        cpu_utilization_percent=None,
        gpu_utilization_percent=None,
        ram_utilization_percent=None,
        ram_used_gb=None,
        on_cloud="",
        pue=bill.pue,
        wue=None,
    )


def write_codecarbon(path: Path, runs: Sequence[Run]) -> None:
    """All runs as CodeCarbon's emissions.csv. OutputError if it cannot be written."""
    names = list(CodeCarbonRow.__dataclass_fields__)

    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(asdict(codecarbon_row(run)) for run in runs)

    _aside(path, write)


def boamps(run: Run, parameters: float | None = None) -> dict[str, Any]:
    """A run as one BoAmps report. A modelled energy is said to be of low quality, a measured one of medium."""
    bill, energy = run.energy_bill, run.energy_bill.energy
    stage, family = STAGES.get(run.verb, ("inference", "video generation"))
    at = datetime.fromtimestamp(run.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    algorithm = {"algorithmType": "latent video diffusion", "foundationModelName": run.model, "framework": run.runtime}
    if parameters is not None:
        algorithm["parametersNumber"] = round(parameters / 1e9, 6)  # type: ignore[assignment]
    shape = f"({run.frames}, {run.height}, {run.width}, 3)"
    if stage == "training":
        data: list[dict[str, Any]] = [{"dataUsage": "input", "dataType": "video"}]
    else:
        data = [
            {"dataUsage": "input", "dataType": "text", "dataQuantity": 1},
            {"dataUsage": "output", "dataType": "video", "dataQuantity": 1, "shape": shape},
        ]
    measured = energy.measured_J is not None
    measure: dict[str, Any] = {
        "measurementMethod": "kinowatt: " + "; ".join(bill.sources.values()),
        "version": kinowatt.__version__,
        "cpuTrackingMode": bill.sources.get("cpu_J") or bill.sources.get("cpu_modelled_J") or "none",
        "gpuTrackingMode": bill.sources.get("gpu_J", "none"),
        "measurementDuration": energy.wall_s,
        "measurementDateTime": at,
    }
    if energy.total_J is not None:
        measure["powerConsumption"] = energy.total_J / 3.6e6  # kWh
    return {
        "header": {
            "formatVersionSpecificationUri": BOAMPS,
            "reportId": str(uuid.uuid5(SPACE, f"{run.at} {run.number}")),
            "reportDatetime": at,
            "reportStatus": "final",
            "publisher": {"projectName": "kinowatt", "confidentialityLevel": "internal"},
        },
        "task": {
            "taskStage": stage,
            "taskFamily": family,
            "nbRequest": int(stage == "inference"),
            "algorithms": [algorithm],
            "dataset": data,
        },
        "measures": [measure],
        "system": {"os": platform.system()},
        "software": {"language": "python", "version": platform.python_version()},
        "infrastructure": {
            "infraType": "other",
            "components": [{"componentName": run.device, "componentType": "gpu" if "gpu_J" in bill.sources else "cpu", "nbComponent": 1}],
        },
        "environment": {"country": bill.intensity.name, "powerSourceCarbonIntensity": bill.intensity.gCO2e_per_kWh},
        "quality": "medium" if measured else "low",
    }


def write_boamps(folder: Path, runs: Sequence[Run]) -> list[Path]:
    """One report per run, into a folder. OutputError if one cannot be written."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    for run in runs:
        text = json.dumps(boamps(run), ensure_ascii=False, indent=1)
        path = folder / f"boamps-{datetime.fromtimestamp(run.at):%Y%m%d-%H%M%S}-{run.number}.json"
        _aside(path, lambda part, text=text: part.write_text(text + "\n", encoding="utf-8"))
        written.append(path)
    return written


def _aside(path: Path, write: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(part)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _over(value: float | None, by: float) -> float | None:
    return None if value is None or by == 0 else value / by
