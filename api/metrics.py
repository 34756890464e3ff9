"""The API's Prometheus metrics (cluster.telemetry.catalogue), and what counts requests."""

import time
import uuid
from collections.abc import Mapping

from prometheus_client.exposition import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.telemetry import catalogue
from cluster.telemetry.catalogue import Origin
from cluster.telemetry.meters import RegistryMeters
from db.models import Destination, Lane, TaskState
from db.queries.oversight import LaneLoad

OTHERS = "other"
"""All users that are not named."""


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.meters = RegistryMeters(catalogue.of(Origin.api))

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.meters.registry)

    def show_tasks(self, counted: Mapping[TaskState, int]) -> None:
        """Tasks by state."""
        for state in TaskState:
            self.meters.set(catalogue.TASKS, counted.get(state, 0), state=state.value)

    def show_lanes(self, lanes: Mapping[Lane, LaneLoad]) -> None:
        """What of the whole installation waits and runs."""
        for lane, load in lanes.items():
            name = lane.value
            self.meters.set(catalogue.QUEUE_AUDIO, load.waiting_audio_seconds, lane=name)
            self.meters.set(catalogue.QUEUE_OLDEST, load.waiting_oldest_seconds, lane=name)
            for quantile, age in load.waiting_age_seconds.items():
                self.meters.set(catalogue.QUEUE_AGE, age, lane=name, quantile=f"{quantile:g}")
        oldest = max(load.running_oldest_seconds for load in lanes.values())
        self.meters.set(catalogue.RUNNING_AGE, oldest)
        self.meters.set(catalogue.OVERDUE, sum(load.overdue for load in lanes.values()))

    def show_outbox(self, waiting: Mapping[Destination, tuple[int, float]]) -> None:
        """What other stores are behind."""
        for destination in Destination:
            count, age = waiting.get(destination, (0, 0.0))
            self.meters.set(catalogue.OUTBOX_DUE, count, destination=destination.value)
            self.meters.set(catalogue.OUTBOX_OLDEST, age, destination=destination.value)

    def show_users(self, audio_seconds: Mapping[uuid.UUID, float], others: float) -> None:
        """Who has used most lately; whoever is not among them any more is one of the others."""
        self.meters.forget(catalogue.USER_AUDIO)
        for user_id, seconds in audio_seconds.items():
            self.meters.set(catalogue.USER_AUDIO, seconds, user_id=str(user_id))
        self.meters.set(catalogue.USER_AUDIO, others, user_id=OTHERS)


class Measured:
    """Counts and times requests by route template, so that ids do not become labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._meters = metrics.meters

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
            known = {
                "method": scope["method"],
                "route": getattr(scope.get("route"), "path", "unknown"),
            }
            self._meters.add(catalogue.REQUESTS, status=str(status), **known)
            seconds = time.monotonic() - started
            self._meters.observe(catalogue.REQUEST_SECONDS, seconds, **known)
