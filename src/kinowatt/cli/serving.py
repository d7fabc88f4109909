"""The verbs of the server: serve, keys, webhooks."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from kinowatt.cli.words import DeviceName, LoraFiles, ModelName, RuntimeName, StepCache, Vram, Weights, Window
from kinowatt.engine.ways import Ways
from kinowatt.errors import InputError, MissingDependency
from kinowatt.places import home

if TYPE_CHECKING:
    from kinowatt.serve.database import Database

say = Console(stderr=True, highlight=False)
keys_app = typer.Typer(no_args_is_help=True, help="Who may use a server, and how much.")
webhooks_app = typer.Typer(no_args_is_help=True, help="Who is told when a video is done.")


def _default_data() -> Path:
    return Path(os.environ.get("KINOWATT_DATA") or home())


Data = Annotated[
    Path | None, typer.Option(help="folder of the database and the videos; default: KINOWATT_DATA, else the user's data folder")
]
DatabaseUrl = Annotated[str | None, typer.Option("--database", help="postgresql+psycopg://…; default: SQLite in the data folder")]


def serve_verb(
    host: Annotated[str, typer.Option(help="address to listen on; others than loopback need keys")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    data: Data = None,
    model: ModelName = "spark",
    workers: Annotated[int, typer.Option(help="worker processes on this machine; 0 where others work", min=0, max=256)] = 1,
    device: DeviceName = "auto",
    runtime: RuntimeName = "auto",
    vram: Vram = None,
    lora: LoraFiles = None,
    weights: Weights = None,
    step_cache: StepCache = None,
    window: Window = None,
    database: DatabaseUrl = None,
    ray: Annotated[str | None, typer.Option(help="address of a Ray cluster (auto, local or ray://…) that makes the videos")] = None,
    keep_days: Annotated[float, typer.Option(help="how long finished videos are kept", min=0.0)] = 30.0,
    allow_private_urls: Annotated[bool, typer.Option("--allow-private-urls", help="fetch references from private addresses too")] = False,
    weather: Annotated[
        list[Path] | None,
        typer.Option(help="weather that grid studies may use: .nc, .h5, .zarr, or a folder of them", envvar="KINOWATT_WEATHER"),
    ] = None,
) -> None:
    """Serve the Videos API and the studio."""
    import uvicorn

    from kinowatt.serve import auth, logs
    from kinowatt.serve.app import create_app
    from kinowatt.serve.catalogue import Catalogue
    from kinowatt.serve.office import Office
    from kinowatt.serve.store import Store
    from kinowatt.serve.studies import Studies
    from kinowatt.serve.supervisor import Supervisor, study_command, worker_command

    catalogue = Catalogue.of(model)
    opened, url, folder = _open(data, database)
    if not _is_loopback(host) and not auth.keys(opened):
        raise InputError(
            f"refusing to listen on {host} without keys: anyone could use this machine; make one with kinowatt keys create NAME"
        )
    logs.start()
    office = Office(opened, Store(folder), catalogue, allow_private_urls=allow_private_urls)
    keep_s = keep_days * 86400.0
    Ways.of(runtime, vram, weights, step_cache, window, lora)  # says what is wrong before a worker does
    settings = {"database": url, "data": folder, "model": model, "device": device, "runtime": runtime, "keep_s": keep_s}
    settings |= {"vram": vram, "lora": lora, "weights": weights, "step_cache": step_cache, "window": window}
    studies = Studies(office.jobs, office.files, weather or ())
    study = study_command(url, folder, keep_s) if workers else None
    supervisor = Supervisor(opened, office.jobs, office.files, worker_command(**settings), 0 if ray else workers, studies, study)
    app = create_app(office, supervisor, studies)
    if ray:
        from kinowatt.serve.on_ray import start

        start(ray, settings, workers)
    say.print(
        f"kinowatt {model}: studio at http://{'localhost' if _is_loopback(host) else host}:{port}/, API at /v1, data in {folder}",
        markup=False,
    )
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=3)


def _open(data: Path | None, url: str | None) -> tuple[Database, str, Path]:
    """The database, brought up to date; its URL; the data folder."""
    try:
        from kinowatt.serve.database import Database, sqlite_url
    except ModuleNotFoundError as error:
        raise MissingDependency(f"{error.name} is not installed; the server needs: pip install 'kinowatt[serve]'") from error
    folder = (data or _default_data()).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    where = url or sqlite_url(folder)
    database = Database(where)
    database.migrate()
    return database, where, folder


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@keys_app.command("create")
def keys_create(
    name: str,
    wh_per_day: Annotated[float | None, typer.Option(help="energy that it may use a day, in Wh")] = None,
    gco2e_per_day: Annotated[float | None, typer.Option(help="carbon that it may cause a day, in grams of CO2 equivalent")] = None,
    rpm: Annotated[int | None, typer.Option(help="requests a minute")] = None,
    data: Data = None,
    database: DatabaseUrl = None,
) -> None:
    """Make a key. It is shown once."""
    from kinowatt.serve import auth

    key = auth.create(_open(data, database)[0], name, wh_per_day, rpm, gco2e_per_day)
    say.print(f"the key of {name}; it is kept as a hash only and not shown again:", markup=False)
    print(key)


@keys_app.command("list")
def keys_list(data: Data = None, database: DatabaseUrl = None) -> None:
    """Names and limits of all keys."""
    from kinowatt.serve import auth

    for key in auth.keys(_open(data, database)[0]):
        limits = [f"{key.wh_per_day:g} Wh a day"] if key.wh_per_day else []
        limits += [f"{key.gco2e_per_day:g} g CO2e a day"] if key.gco2e_per_day else []
        limits += [f"{key.rpm} requests a minute"] if key.rpm else []
        print(f"{key.name}\t{'revoked' if key.revoked else ', '.join(limits) or 'no limits'}")


@keys_app.command("revoke")
def keys_revoke(name: str, data: Data = None, database: DatabaseUrl = None) -> None:
    """End a key. Its videos stay."""
    from kinowatt.serve import auth

    auth.revoke(_open(data, database)[0], name)
    say.print(f"the key {name} is revoked; a running server knows within {auth.CACHE_S:.0f} s", markup=False)


@webhooks_app.command("add")
def webhooks_add(
    url: str,
    key: Annotated[str | None, typer.Option(help="only of the videos of this key")] = None,
    data: Data = None,
    database: DatabaseUrl = None,
) -> None:
    """Tell a URL of every video that completes or fails. Prints the signing secret, once."""
    from kinowatt.serve import webhooks

    webhook = webhooks.add(_open(data, database)[0], url, key)
    say.print(f"{url} will be told; the secret that its signatures are checked with:", markup=False)
    print(webhook.secret)
