"""The verbs of energy: predict, report, calibrate, plan, shift, the published claims; the label of a clip; the tuning of a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from kinowatt.cli.words import DeviceName, Json, ModelName, RuntimeName, Zone, check_writable, say, size_of
from kinowatt.energy import claims, exports, label, scale
from kinowatt.energy.bill import EnergyBill, in_grams, in_Wh
from kinowatt.energy.grid_source import current
from kinowatt.energy.ledger import By, Ledger
from kinowatt.energy.predict import cold, gpu_efficiency, warm
from kinowatt.engine import cost

energy_app = typer.Typer(no_args_is_help=True, help="What clips cost: before, after, at scale, and in the news.")
GpuName = Annotated[str, typer.Option("--gpu", help="for example H100, B200, A100, RTX 4090")]
Days = Annotated[float | None, typer.Option(help="look back so many days; default: all", min=0.0)]


@energy_app.command("predict")
def predict_verb(
    model: ModelName = "spark",
    size: Annotated[str | None, typer.Option(help="width x height in pixels; default: the model's")] = None,
    frames: Annotated[int | None, typer.Option(help="default: the model's", min=1, max=100_000)] = None,
    steps: Annotated[int | None, typer.Option(help="denoising steps; default: the model's", min=1, max=1000)] = None,
    guidance: Annotated[bool, typer.Option("--guidance/--no-guidance", help="two passes per step, or one")] = True,
    gpu: GpuName = "H100",
    gpus: Annotated[int, typer.Option(help="GPUs that share one clip", min=1, max=1024)] = 1,
    as_json: Json = False,
) -> None:
    """GPU energy and time of a clip before it is made, for every known model, without its weights."""
    anatomy = cost.find(model)
    wanted = anatomy.size if size is None else size_of(size)
    count, taken = frames or anatomy.frames, steps or anatomy.steps
    passes = min(anatomy.passes, 2 if guidance else 1)
    work = cost.work_on_paper(anatomy, wanted, count, taken, passes)
    device = gpu_efficiency(gpu, anatomy.width)
    card = scale.known_gpu(gpu)
    past = cost.past_on(Ledger(), anatomy.name, card) if gpus == 1 else []
    found = warm(work, device, past) if past else cold(work, device, gpus)
    told = {
        "model": anatomy.name,
        "size": f"{wanted[0]}x{wanted[1]}",
        "frames": count,
        "steps": taken,
        "passes": passes,
        "gpu": card.name,
        "gpus": gpus,
        "tokens": anatomy.tokens(count, *wanted),
        "FLOP": work.FLOP,
        "gpu_Wh": round(found.Wh, 6),
        "p10_Wh": round(found.p10_Wh, 6),
        "p90_Wh": round(found.p90_Wh, 6),
        "seconds": round(found.seconds, 3),
        "how": found.how,
    }
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    print(f"{told['model']}, {told['size']}, {count} frames, {taken} steps of {passes} pass(es), {gpus} x {card.name}")
    print(f"  {told['tokens']:,} tokens, {work.FLOP:.3g} FLOP")
    print(
        f"  {in_Wh(found.Wh)} of GPU energy ({in_Wh(found.p10_Wh)} to {in_Wh(found.p90_Wh)} in eight of ten cases), {found.seconds:,.0f} s"
    )
    print(f"  from {found.how}")


@energy_app.command("calibration")
def calibration_verb(
    model: ModelName = "spark",
    out: Annotated[Path, typer.Option("-o", "--out", help="the curve to draw (PNG)")] = Path("calibration.png"),
    as_json: Json = False,
) -> None:
    """How well clips are predicted: the published ones cold, and this machine's own, each from those before it."""
    from kinowatt.energy import calibration

    check_writable(out)
    found = cost.calibrate(Ledger(), model)
    if as_json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        print("\n".join(found.lines()))
    calibration.draw(out, found)
    say.print(str(out), markup=False)


@energy_app.command("report")
def report_verb(
    by: Annotated[str, typer.Option(help="model, day, key or verb")] = "model",
    days: Days = None,
    codecarbon: Annotated[Path | None, typer.Option(help="write the runs as CodeCarbon's CSV too")] = None,
    boamps: Annotated[Path | None, typer.Option(help="write each run as a BoAmps report (JSON) into this folder too")] = None,
    as_json: Json = False,
) -> None:
    """What everything has cost that was made here."""
    import time

    ledger, since = Ledger(), 0.0 if days is None else time.time() - days * 86400
    grouping: By = by  # type: ignore[assignment]  # checked by the ledger
    rows = ledger.report(grouping, since)
    if codecarbon is not None:
        check_writable(codecarbon)
        exports.write_codecarbon(codecarbon, ledger.runs(since))
    if boamps is not None:
        exports.write_boamps(boamps, ledger.runs(since))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    if not rows:
        print(f"nothing was made yet; the ledger is {ledger.path}")
        return
    wide = max(len(by), *(len(row.name) for row in rows))
    print(f"{by:{wide}}  {'runs':>5}  {'video':>9}  {'time':>9}  {'energy':>10}  {'carbon':>13}  {'making, apart':>14}")
    for row in rows:
        energy = "not known" if row.total_Wh is None else in_Wh(row.total_Wh)
        carbon = "not known" if row.carbon_gCO2e is None else in_grams(row.carbon_gCO2e)
        making = "not known" if row.embodied_gCO2e is None else in_grams(row.embodied_gCO2e)
        print(f"{row.name:{wide}}  {row.runs:>5}  {row.video_s:>7.1f} s  {row.wall_s:>7.1f} s  {energy:>10}  {carbon:>13}  {making:>14}")
        if row.unknown:
            print(f"{'':{wide}}  {row.unknown} of them without any energy reading: they are in no sum")


@energy_app.command("claims")
def claims_verb(
    key: Annotated[list[str] | None, typer.Argument(help="which; default: all eleven")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="name=value: another assumption, for example batch=64")] = None,
    as_json: Json = False,
) -> None:
    """Published figures, computed anew from their inputs, with a verdict and the source."""
    overrides = claims.overrides_from(settings or [])
    if as_json:
        print(json.dumps(claims.claims_json(key or None, overrides), ensure_ascii=False))
    else:
        print(claims.claims_text(key or None, overrides))


@energy_app.command("plan")
def plan_verb(
    model: ModelName = "wan2.1-t2v-14b",
    size: Annotated[str | None, typer.Option(help="width x height in pixels; default: the model's")] = None,
    seconds: Annotated[float, typer.Option(help="of a clip")] = 5.0,
    users: Annotated[float | None, typer.Option(help="people, for example 1e6")] = None,
    clips_per_user: Annotated[float, typer.Option(help="a day")] = 1.0,
    steps: Annotated[int | None, typer.Option(min=1, max=1000)] = None,
    train_flops: Annotated[float | None, typer.Option(help="plan a training of so many operations")] = None,
    parameters: Annotated[float | None, typer.Option(help="of the network to train")] = None,
    tokens: Annotated[float | None, typer.Option(help="that it sees in training")] = None,
    gpus: Annotated[int | None, typer.Option(help="to train on, for the days it takes", min=1)] = None,
    mfu: Annotated[float, typer.Option(help="share of peak arithmetic in training")] = scale.MFU,
    gpu: GpuName = "H100",
    zone: Zone = None,
    pue: Annotated[float, typer.Option(help="of the building")] = scale.PUE_MEAN,
    utilisation: Annotated[float, typer.Option(help="share of the day that a GPU works")] = scale.UTILISATION,
    host_w: Annotated[float, typer.Option(help="watts of the rest of the server, per GPU")] = scale.HOST_W_PER_GPU,
    as_json: Json = False,
) -> None:
    """GPUs, energy and carbon of a service (--users) or of a training (--train-flops, or --parameters and --tokens), on paper."""
    grid = current(zone)
    if users is None:
        found = scale.training(
            gpu, grid, flops=train_flops, parameters=parameters, tokens=tokens, gpus=gpus, mfu=mfu, pue=pue, host_W=host_w
        )
    else:
        anatomy = cost.find(model)
        wanted = anatomy.size if size is None else size_of(size)
        means: dict[str, Any] = {"steps": steps, "pue": pue, "utilisation": utilisation, "host_W": host_w}
        found = scale.service(anatomy, wanted, seconds, users, clips_per_user, gpu, grid, **means)
    print(json.dumps(found.to_json(), ensure_ascii=False) if as_json else "\n".join(scale.lines(found)))


@energy_app.command("shift")
def shift_verb(
    trace: Annotated[Path | None, typer.Option(help="hourly CSV of g CO2e/kWh; default: a synthetic week")] = None,
    jobs: Annotated[int, typer.Option(help="in the week", min=1, max=100_000)] = 80,
    workers: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Simulate a week of jobs with deadlines: what running them in the greenest hours saves against first come, first served."""
    from kinowatt.energy import deferral, hourly

    week = deferral.synthetic_week(seed) if trace is None else hourly.read_trace(trace)
    found = deferral.simulate(week, deferral.random_week_jobs(seed, jobs, begin_s=week.start_s), workers)
    print("\n".join(found.table()))


def label_verb(
    clip: Path,
    svg: Annotated[Path | None, typer.Option(help="draw the label as SVG")] = None,
    png: Annotated[Path | None, typer.Option(help="draw the label as PNG")] = None,
    classes: Annotated[bool, typer.Option("--classes", help="print what the classes A to G mean")] = False,
    as_json: Json = False,
) -> None:
    """Read the energy label and the shot out of a clip, check that neither was changed, and draw it."""
    from kinowatt.media.provenance import read_label, verify

    for path in (svg, png):
        if path is not None:
            check_writable(path)
    found, verdict = read_label(clip), verify(clip)
    figures = label.Figures.of(found, verdict.intact)
    if svg is not None:
        label.save_svg(svg, figures)
    if png is not None:
        label.png(png, figures)
    if as_json:
        print(json.dumps({**found, "figures": figures.to_json(), "verdict": verdict.to_json()}, ensure_ascii=False))
    else:
        shot = found["shot"]
        print(f"{clip}\n  {shot['prompt']!r}, {shot['model']}, seed {shot['seed']}, {shot['steps']} steps")
        print(f"  {EnergyBill.from_json(found['energy']).one_line()}")
        for line in (label.sentence(figures), *verdict.sentences()):
            print(f"  {line}")
        for row in label.thresholds() if classes else []:
            most = row["most_J_per_megapixel_frame"]
            bound = f"up to {most:g}" if most is not None else f"above {row['above_J_per_megapixel_frame']:g}"
            print(f"  {row['label']}  {bound} J per megapixel-frame, without loading")
    if not verdict.intact:
        raise typer.Exit(1)


def tune_verb(
    model: ModelName = "spark",
    clips: Annotated[int, typer.Option(help="clips per choice; more make the score surer", min=8, max=1000)] = 32,
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    zone: Zone = None,
    out: Annotated[Path | None, typer.Option(help="folder of frontier.json; default: beside the weights")] = None,
    png: Annotated[Path, typer.Option(help="the drawing")] = Path("frontier.png"),
) -> None:
    """Measure quality against joules over steps, guidance, size and caching, and write the frontier that budgets choose from."""
    from kinowatt.train import tune

    check_writable(png)
    print("\n".join(tune.tune(model, clips, device, runtime, zone, out, png, lambda line: say.print(line, markup=False))))
