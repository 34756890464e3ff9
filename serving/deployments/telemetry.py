"""What a model replica tells operators: metrics and spans of its batches, its memory, its logs."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from opentelemetry.trace import SpanContext

from cluster import logs
from cluster.settings import LogSettings
from cluster.telemetry import catalogue, tracing
from cluster.telemetry.catalogue import Origin
from cluster.telemetry.meters import Meters, RayMeters, RegistryMeters
from serving import calling
from serving.deployments.batching import BatchNote

LINKED = 32
"""Tasks that a span of a batch names."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose item it is."""

    task_id: str | None
    span: SpanContext

    @classmethod
    def here(cls) -> "Caller":
        """Of the request in hand."""
        return cls(calling.task_id(), tracing.caller())


class ReplicaTelemetry:
    """Counts the batches of a replica; made in its process, after its logs are configured."""

    def __init__(self, role: str, meters: Meters | None = None) -> None:
        self._role = role
        self._process = psutil.Process(os.getpid())
        self._meters = meters or _meters(role)

    def note(self, method: str, batch: BatchNote) -> None:
        """A batch has ended."""
        amounts = {
            catalogue.BATCHES: 1,
            catalogue.BATCH_ITEMS: batch.items,
            catalogue.BATCH_PLACES: batch.size,
            catalogue.BATCH_BUSY: batch.seconds,
            catalogue.BATCH_AUDIO: batch.audio_seconds,
            catalogue.BATCH_PADDING: batch.padded_seconds,
        }
        for metric, amount in amounts.items():
            self._meters.add(metric, amount, method=method)
        for lane, seconds in batch.waits:
            self._meters.observe(catalogue.BATCH_WAIT, seconds, method=method, lane=lane)
        self._trace(method, batch, [one for one in batch.callers if isinstance(one, Caller)])

    def show_memory(self) -> None:
        """What the process has in memory now."""
        self._meters.set(catalogue.REPLICA_MEMORY, self._process.memory_info().rss)

    def _trace(self, method: str, batch: BatchNote, callers: Sequence[Caller]) -> None:
        ended_at = time.time()
        tasks = sorted({one.task_id for one in callers if one.task_id})[:LINKED]
        tracing.batch_span(
            f"batch {method}",
            [one.span for one in callers],
            ended_at - batch.seconds,
            ended_at,
            role=self._role,
            items=batch.items,
            size=batch.size,
            audio_seconds=round(batch.audio_seconds, 3),
            task_ids=tasks,
        )


def _meters(role: str) -> Meters:
    """Through Ray in its processes, and logs of the role's own; elsewhere a registry here."""
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return RegistryMeters(catalogue.of(Origin.replica))
    serve = sys.modules.get("ray.serve.context")
    if serve is not None and serve._get_internal_replica_context() is not None:  # noqa: SLF001
        logs.configure(LogSettings(), role)
    return RayMeters(catalogue.of(Origin.replica))
