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
from kinowatt.energy.bill import MEASURED, MODELLED, Energy, EnergyBill
from kinowatt.energy.carbon import WORLD, Intensity, code_of, zone_name
from kinowatt.energy.ledger import Run
from kinowatt.energy.processors import cpu_name
from kinowatt.errors import OutputError
from kinowatt.places import whole

BOAMPS = "https://github.com/Boavizta/BoAmps/tree/main/model"
STAGES = {"train": ("training", "video generation")}  # every other verb is inference
SPACE = uuid.UUID("6f1f1d0e-5c0b-5d57-9b7a-6b696e6f7761")  # so that a run exported twice has one id


@dataclass(frozen=True)
class CodeCarbonRow:
    """CodeCarbon's columns (its EmissionsData, version 3), in its units: kWh, kg, W, seconds. What is not known is empty.

    As CodeCarbon does, energies and powers hold the building's share (`pue`). It has no column for what is modelled: `codecarbon_version`,
    which says with what the figures were made, names those columns.
    """

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
    """A run in CodeCarbon's columns. Measured and modelled energy share columns there; `_modelled` says which are modelled."""
    bill, energy = run.energy_bill, run.energy_bill.energy
    cpu_J = energy.cpu_J if energy.cpu_J is not None else energy.cpu_modelled_J
    ram_J = energy.dram_J if energy.dram_J is not None else energy.ram_modelled_J
    duration, grams = energy.wall_s, bill.carbon_gCO2e
    on_gpu = energy.gpu_J is not None
    cpu_J, gpu_J, ram_J, total_J = (None if v is None else v * bill.pue for v in (cpu_J, energy.gpu_J, ram_J, energy.total_J))
    country, iso, region = _place(bill.intensity)
    modelled = ", ".join(_modelled(energy))
    return CodeCarbonRow(
        timestamp=datetime.fromtimestamp(run.at).isoformat(timespec="seconds"),
        project_name="kinowatt",
        run_id=str(uuid.uuid5(SPACE, f"{run.at} {run.number}")),
        experiment_id=run.verb,
        duration=duration,
        emissions=_over(grams, 1000.0),
        emissions_rate=_over(grams, 1000.0 * duration),
        cpu_power=_over(cpu_J, duration),
        gpu_power=_over(gpu_J, duration),
        ram_power=_over(ram_J, duration),
        cpu_energy=_over(cpu_J, 3.6e6),
        gpu_energy=_over(gpu_J, 3.6e6),
        ram_energy=_over(ram_J, 3.6e6),
        energy_consumed=_over(total_J, 3.6e6),
        water_consumed=None,
        country_name=country,
        country_iso_code=iso,
        region=region,
        cloud_provider="",
        cloud_region="",
        os=platform.platform(),
        python_version=platform.python_version(),
        codecarbon_version=f"kinowatt {kinowatt.__version__}" + (f", modelled: {modelled}" if modelled else ""),
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


def _modelled(energy: Energy) -> list[str]:
    """CodeCarbon's columns that hold no measurement, or not only."""
    names = ["cpu_energy"] if energy.cpu_J is None and energy.cpu_modelled_J is not None else []
    names += ["ram_energy"] if energy.dram_J is None and energy.ram_modelled_J is not None else []
    return [*names, "energy_consumed"] if energy.modelled_J is not None else names


def _place(intensity: Intensity) -> tuple[str, str, str]:
    """Country, its ISO code and the region in it, of a zone."""
    country, _, region = intensity.zone.partition("-")
    code = code_of(country)
    if code == WORLD:
        return intensity.name, "", ""
    if not region or code is None:
        return intensity.name, intensity.zone, ""
    return zone_name(code), code, intensity.name


def write_codecarbon(path: Path, runs: Sequence[Run]) -> None:
    """All runs as CodeCarbon's emissions.csv. OutputError if it cannot be written."""
    names = list(CodeCarbonRow.__dataclass_fields__)

    with whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows(asdict(codecarbon_row(run)) for run in runs)


def boamps(run: Run) -> dict[str, Any] | None:
    """A run as one BoAmps report; None where its energy is not known, for the format demands it.

    Measured and modelled energy are two measures, each with its method. A wholly modelled run is of low quality, others of medium.
    """
    bill, energy = run.energy_bill, run.energy_bill.energy
    if energy.total_J is None:
        return None
    stage, family = STAGES.get(run.verb, ("inference", "video generation"))
    at = datetime.fromtimestamp(run.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    algorithm = {"algorithmType": "latent video diffusion", "foundationModelName": run.model, "framework": run.runtime}
    shape = f"({run.frames}, {run.height}, {run.width}, 3)"
    if stage == "training":
        data: list[dict[str, Any]] = [{"dataUsage": "input", "dataType": "video"}]
    else:
        data = [
            {"dataUsage": "input", "dataType": "text", "dataQuantity": 1},
            {"dataUsage": "output", "dataType": "video", "dataQuantity": 1, "shape": shape},
        ]
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
        "measures": _measures(bill, at),
        "system": {"os": platform.system()},
        "software": {"language": "python", "version": platform.python_version()},
        "infrastructure": {
            "infraType": "other",
            "components": [{"componentName": run.device, "componentType": "gpu" if "gpu_J" in bill.sources else "cpu", "nbComponent": 1}],
        },
        "environment": {"country": bill.intensity.name, "powerSourceCarbonIntensity": bill.intensity.gCO2e_per_kWh},
        "quality": "low" if energy.measured_J is None else "medium",
    }


def _measures(bill: EnergyBill, at: str) -> list[dict[str, Any]]:
    """What was measured and what was modelled, apart; kWh and seconds."""
    found = []
    kinds = (("measured", MEASURED, bill.energy.measured_J), ("modelled", MODELLED, bill.energy.modelled_J))
    for kind, parts, joules in kinds:
        if joules is None:
            continue
        sources = {part: bill.sources.get(part, "unknown") for part in parts if getattr(bill.energy, part) is not None}
        measure: dict[str, Any] = {
            "measurementMethod": f"kinowatt, {kind}: {'; '.join(sources.values())}",
            "version": kinowatt.__version__,
            "powerConsumption": joules / 3.6e6,
            "measurementDuration": bill.energy.wall_s,
            "measurementDateTime": at,
        }
        for mode, part in (("cpuTrackingMode", "cpu_J"), ("cpuTrackingMode", "cpu_modelled_J"), ("gpuTrackingMode", "gpu_J")):
            if part in sources:
                measure[mode] = sources[part]
        found.append(measure)
    return found


def write_boamps(folder: Path, runs: Sequence[Run]) -> list[Path]:
    """One report per run of known energy, into a folder. OutputError if one cannot be written."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    for run in runs:
        report = boamps(run)
        if report is None:
            continue
        text = json.dumps(report, ensure_ascii=False, indent=1)
        path = folder / f"boamps-{datetime.fromtimestamp(run.at):%Y%m%d-%H%M%S}-{run.number}.json"
        with whole(path) as part:
            part.write_text(text + "\n", encoding="utf-8")
        written.append(path)
    return written


def _over(value: float | None, by: float) -> float | None:
    return None if value is None or by == 0 else value / by
