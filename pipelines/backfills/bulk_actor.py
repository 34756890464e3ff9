"""The actor of a backfill: Ray Data gives it references, a worker in its loop does the rest."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import ray
import structlog

from cluster.logs import configure
from cluster.settings import Settings
from cluster.telemetry import catalogue
from cluster.telemetry.catalogue import Origin
from cluster.telemetry.meters import RayMeters
from db.errors import StoreError
from db.models import BackfillEngine
from pipelines.backfills.parts import Chunk, Drive, Halt, Outcome
from pipelines.backfills.sources import Buckets
from pipelines.backfills.worker import Worker
from pipelines.composition import compose, models_of
from pipelines.stages.base import Models
from serving import client, inprocess
from serving.arguments import speech_arguments
from serving.errors import ModelUnavailable, SpeechError
from serving.ports import Ports
from serving.replicas import count_replicas

log = structlog.get_logger(__name__)

Batch = Mapping[str, Any]

CONNECTIONS = 3
"""To PostgreSQL, beside one for each task: leases, what waits, and who begins something."""
CLOSING_SECONDS = 10.0


class BulkActor:
    """One member of the pool.

    Ray Data drops it when the pool goes, and then it closes; so nothing else may hold it, least of
    all the loop that it keeps running.
    """

    def __init__(self, drive: Drive, models: Models, batch_size: int) -> None:
        self._inside = Inside(drive, models, batch_size)

    def __call__(self, batch: Batch) -> Batch:
        """What became of the chunks; one is a block."""
        return self._inside.work_through(batch)

    def __del__(self) -> None:
        """Give back what is under way."""
        self._inside.close()


class Inside:
    """A process with a loop, models or handles, and a worker."""

    def __init__(self, drive: Drive, models: Models, batch_size: int) -> None:
        self._drive = drive
        self._models = models
        self._batch_size = batch_size
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._once = asyncio.Lock()
        self._open: asyncio.Future[Worker] | None = None
        self._closing = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    def work_through(self, batch: Batch) -> Batch:
        """What became of the chunks."""
        outcomes = [
            self._in_loop(self._work(Chunk(int(first), int(last))))
            for first, last in zip(batch["first"], batch["last"], strict=True)
        ]
        return {
            "items": np.array([one.items for one in outcomes]),
            "halt": np.array([str(one.halt or "") for one in outcomes]),
            "message": np.array([one.message for one in outcomes]),
        }

    def _in_loop(self, work: Any) -> Outcome:
        outcome: Outcome = asyncio.run_coroutine_threadsafe(work, self._loop).result()
        return outcome

    async def _work(self, chunk: Chunk) -> Outcome:
        try:
            worker = await self._started()
        except SpeechError as error:
            return Outcome(halt=Halt.fatal, message=f"{error.code}: {error.message}")
        except StoreError as error:
            return Outcome(halt=Halt.fatal, message=f"store_unavailable: {error}")
        return await worker.work(chunk)

    async def _started(self) -> Worker:
        """The worker, made at the first chunk: what then fails is told, not only logged."""
        async with self._once:
            if self._open is None:
                self._open = self._loop.create_future()
                self._life = self._loop.create_task(self._live(self._open))
        return await asyncio.shield(self._open)

    async def _live(self, opened: asyncio.Future[Worker]) -> None:
        try:
            async with self._worker() as worker, worker.running():
                opened.set_result(worker)
                await self._closing.wait()
        except Exception as error:
            # Whatever it is: nobody else tells those who wait for the worker.
            if opened.done():
                raise
            opened.set_exception(error)

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[Worker]:
        settings = Settings()
        configure(settings.logs, "backfill")
        connections = settings.backfill.tasks_per_actor + CONNECTIONS
        settings.database = settings.database.model_copy(update={"pool_size": connections})
        ports = await asyncio.to_thread(self._ports, settings)
        meters = RayMeters(catalogue.of(Origin.runner))
        engine, parts = compose(
            settings, ports, self._models, self._batch_size, count_replicas, meters
        )
        try:
            buckets = Buckets(settings.objects, parts.objects, settings.backfill.import_buckets)
            owner = f"backfill-{self._drive.backfill_id}@{socket.gethostname()}:{os.getpid()}"
            yield await Worker.of(parts, settings.backfill, buckets, self._drive, owner)
        finally:
            await parts.vectors.close()
            await parts.keywords.close()
            await engine.dispose()

    def _ports(self, settings: Settings) -> Ports:
        """Handles of the replicas, or models of our own.

        Raises:
            ModelUnavailable: weights are missing here, or are others than the runner's.
        """
        if self._drive.engine is BackfillEngine.online:
            return client.create_ports(client.find_handles(), settings.runner.call_timeout_seconds)
        arguments = speech_arguments(settings, len(ray.get_gpu_ids()))
        if models_of(arguments) != self._models:
            raise ModelUnavailable(
                "The settings where the backfill's actors run name other models than the runner's."
            )
        return inprocess.create_ports(arguments)

    def close(self) -> None:
        """Give back what is under way, and end the loop."""
        self._loop.call_soon_threadsafe(self._closing.set)
        if self._life is not None:
            ended = asyncio.wait([self._life], timeout=CLOSING_SECONDS)
            try:
                asyncio.run_coroutine_threadsafe(ended, self._loop).result(CLOSING_SECONDS + 1)
            except TimeoutError:
                # The interpreter is ending and took the loop's thread along; leases run out.
                log.warning("actor not closed in order")
        self._loop.call_soon_threadsafe(self._loop.stop)
