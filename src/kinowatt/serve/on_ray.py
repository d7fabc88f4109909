"""Workers as Ray actors: each runs the same loop as a worker process, placed where the cluster has a free GPU."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinowatt.errors import InputError, MissingDependency

NAMESPACE = "kinowatt"


def start(address: str, settings: Mapping[str, Any], workers: int) -> list[Any]:
    """Join (or with "local" begin) a Ray cluster and start `workers` actors; each has a GPU to itself where the cluster has any.

    The data folder and the database must be reachable under the same names from every node. An actor that dies is started again by
    Ray; its job goes back when the lease ends. MissingDependency without Ray, InputError if the cluster does not answer.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingDependency("Ray is not installed; pip install 'kinowatt[ray]'") from error
    where = {} if address == "local" else {"address": address}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**where, namespace=NAMESPACE, log_to_driver=True, include_dashboard=False, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"the Ray cluster at {address} does not answer: {str(error).splitlines()[0][:200]}") from error
    signal.signal(signal.SIGTERM, before)  # Ray's own handler would end the server in the middle of a request
    gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
    options = {"num_gpus": gpus, "num_cpus": 1, "max_restarts": -1, "max_task_retries": -1}
    actor = ray.remote(**options)(RayWorker)
    actors = [actor.remote({**settings, "data": str(settings["data"])}) for _ in range(workers)]
    for one in actors:
        one.run.remote()  # never answers; Ray calls it again when it has started a dead actor again
    return actors


class RayWorker:
    """An actor that makes videos until it is killed."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from kinowatt.serve import logs

        logs.start()
        self.settings = settings

    def run(self) -> None:
        """The loop of a worker process."""
        from kinowatt.serve.worker import Settings, Worker

        Worker(Settings(**{**self.settings, "data": Path(self.settings["data"])})).run()
