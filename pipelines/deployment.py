"""Runner: the Serve deployment that pulls work; it does no heavy work on its loop."""

import asyncio
import os
import socket
from dataclasses import replace
from functools import partial
from typing import Any

import psutil
from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.logs import configure
from cluster.resources import gpus_held
from cluster.settings import Settings
from cluster.telemetry import catalogue
from cluster.telemetry.catalogue import Origin
from cluster.telemetry.meters import RayMeters
from db.engine import session_scope
from pipelines import demand
from pipelines.backfills.parts import BackfillParts
from pipelines.backfills.ray_driver import RayDriver
from pipelines.backfills.sources import Buckets
from pipelines.composition import compose
from pipelines.runner import Runner as TaskRunner
from pipelines.stages.base import Models
from serving.client import create_ports
from serving.replicas import count_replicas


class Runner:
    """Hosts one task runner. Nobody calls it: replicas are fixed in number (DESIGN §5)."""

    def __init__(
        self, models: Models, batch_size: int, handles: dict[str, DeploymentHandle[Any]]
    ) -> None:
        # A replica is a process of its own: this is its composition root.
        settings = Settings()
        configure(settings.logs, "runner")
        ports = create_ports(handles, settings.runner.call_timeout_seconds)
        meters = RayMeters((*catalogue.of(Origin.runner), catalogue.REPLICA_MEMORY))
        self._engine, parts = compose(settings, ports, models, batch_size, count_replicas, meters)
        backfill = settings.backfill
        self._parts = replace(
            parts,
            backfills=BackfillParts(
                backfill,
                RayDriver(backfill, models, batch_size, partial(gpus_held, settings)),
                Buckets(settings.objects, parts.objects, backfill.import_buckets),
            ),
        )
        self._runner: TaskRunner | None = None
        self._waiting: asyncio.TimerHandle | None = None

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Serve calls this on the replica's event loop before it is ready, and on a change.

        `claims: False` makes it give back what it has and wait, for `seconds` at most: so that no
        task is worked on while models are being replaced (cluster.embedded.rolling).
        """
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if config.get("claims", True):
            self._claim()
        else:
            await self._give_back()
            self._waiting = asyncio.get_running_loop().call_later(config["seconds"], self._claim)

    def _claim(self) -> None:
        if self._runner is None:
            context = serve.get_replica_context()
            # Says to an operator which process has a task.
            owner = f"{context.replica_tag}@{socket.gethostname()}:{os.getpid()}"
            self._runner = TaskRunner(self._parts, owner)
            self._runner.start()

    async def _give_back(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.stop()

    def check_health(self) -> None:
        """Serve asks this; an exception gets the replica replaced."""
        memory = psutil.Process().memory_info().rss
        self._parts.meters.set(catalogue.REPLICA_MEMORY, memory)
        if self._runner is not None:
            self._runner.check()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve asks this for cluster.scaling_policy: what is to be done, by role and lane."""
        async with session_scope(self._parts.sessions) as session:
            return await demand.remaining(session)

    async def stats(self) -> dict[str, Any]:
        """How many tasks are in hand."""
        return {"role": "runner", "running": self._runner.running if self._runner else 0}

    async def __del__(self) -> None:
        """Serve calls this when the replica goes: give the work back."""
        await self._give_back()
        await self._parts.vectors.close()
        await self._parts.keywords.close()
        await self._engine.dispose()
