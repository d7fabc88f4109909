"""What Prometheus scrapes: the queue and the energy from the database, the latency of requests from this process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from kinowatt.serve.database import Database
from kinowatt.serve.tables import COMPLETED, FAILED, Video

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class _Queue(Collector):
    """Read at each scrape, so that it is true for all processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def collect(self) -> Iterator[Any]:
        """Videos by status, jobs ended, watt-hours, seconds of waiting and of making."""
        with self.database.read() as session:
            by_status = session.execute(select(Video.status, func.count()).where(Video.deleted.is_(False)).group_by(Video.status)).all()
            energy = session.scalar(select(func.sum(Video.energy_Wh))) or 0.0
            ended = session.execute(
                select(
                    func.count(),
                    func.sum(Video.started_at - Video.created_at),
                    func.sum(Video.completed_at - Video.started_at),
                ).where(Video.status.in_((COMPLETED, FAILED)), Video.started_at.is_not(None))
            ).one()
        gauge = GaugeMetricFamily("kinowatt_videos", "Videos by status", labels=["status"])
        for status, count in by_status:
            gauge.add_metric([status], count)
        yield gauge
        yield CounterMetricFamily("kinowatt_energy_watt_hours", "Energy of all jobs, measured and modelled", value=energy)
        yield CounterMetricFamily("kinowatt_jobs_ended", "Jobs that began and ended", value=ended[0])
        yield CounterMetricFamily("kinowatt_wait_seconds", "Time that ended jobs had waited before they began", value=ended[1] or 0.0)
        yield CounterMetricFamily("kinowatt_work_seconds", "Time from the begin of ended jobs to their end", value=ended[2] or 0.0)


class Latency:
    """ASGI middleware: seconds per request, by method, route and status."""

    def __init__(self, app: Callable[..., Awaitable[None]], histogram: Histogram) -> None:
        self.app, self.histogram = app, histogram

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Time the request to the first byte of its answer: a stream's length says nothing."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()

        async def timed(message: Any) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                self.histogram.labels(scope["method"], route, str(message["status"])).observe(time.perf_counter() - begin)
            await send(message)

        await self.app(scope, receive, timed)


def registry(database: Database) -> tuple[CollectorRegistry, Histogram]:
    """A registry of one server, and its histogram of requests."""
    own = CollectorRegistry()
    own.register(_Queue(database))
    histogram = Histogram("kinowatt_request_seconds", "Time to answer", ["method", "route", "status"], registry=own, buckets=BUCKETS_S)
    return own, histogram
