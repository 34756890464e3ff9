"""Prometheus metrics: what is counted, and the middleware that counts requests."""

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.models import Destination, Lane
from db.queries.oversight import LaneLoad

BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rayscribe_http_requests",
            "Answered requests",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "rayscribe_http_request_seconds",
            "Time to the end of the answer",
            ["method", "route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.tasks = Gauge("rayscribe_tasks", "Tasks by state", ["state"], registry=self.registry)
        self.running_age = self._gauge(
            "rayscribe_task_running_age_seconds", "Time since the oldest running task was begun"
        )
        self.overdue = self._gauge(
            "rayscribe_task_overdue", "Running tasks whose lease has run out"
        )
        self.queue_audio = self._gauge("rayscribe_queue_audio_seconds", "Audio that waits", "lane")
        self.queue_oldest = self._gauge(
            "rayscribe_queue_oldest_seconds", "How long the longest waiting task has waited", "lane"
        )
        self.outbox_due = self._gauge(
            "rayscribe_outbox_due", "Work for another store that is due", "destination"
        )
        self.outbox_oldest = self._gauge(
            "rayscribe_outbox_oldest_seconds", "How long the oldest of it is overdue", "destination"
        )

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)

    def show_lanes(self, lanes: Mapping[Lane, LaneLoad]) -> None:
        """What of the whole installation waits and runs."""
        for lane, load in lanes.items():
            self.queue_audio.labels(lane.value).set(load.waiting_audio_seconds)
            self.queue_oldest.labels(lane.value).set(load.waiting_oldest_seconds)
        self.running_age.set(max(load.running_oldest_seconds for load in lanes.values()))
        self.overdue.set(sum(load.overdue for load in lanes.values()))

    def show_outbox(self, waiting: Mapping[Destination, tuple[int, float]]) -> None:
        """What other stores are behind."""
        for destination in Destination:
            count, age = waiting.get(destination, (0, 0.0))
            self.outbox_due.labels(destination.value).set(count)
            self.outbox_oldest.labels(destination.value).set(age)


class Measured:
    """Counts and times requests by route template, so that ids do not become labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note its outcome."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 499  # nginx's number for a client that hung up before the answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.requests.labels(scope["method"], route, status).inc()
            self._metrics.seconds.labels(scope["method"], route).observe(time.monotonic() - started)
