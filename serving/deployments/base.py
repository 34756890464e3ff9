"""What every model replica has: an engine that is loaded and warm before the replica is ready."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import psutil
import structlog

from serving import assembly
from serving.arguments import SpeechArguments
from serving.deployments.batching import Batcher, BatchNote, EngineThreads
from serving.deployments.speed import Speed
from serving.deployments.telemetry import Caller, ReplicaTelemetry
from serving.deployments.waiting import BatchRules, Traits

log = structlog.get_logger(__name__)

Item = TypeVar("Item")
LENGTH_STEP_SECONDS = 30.0
"""Spans that differ by less count as equally long."""


@dataclass(frozen=True, slots=True)
class Laned(Generic[Item]):
    """An argument that says nothing of its caller, with the caller's lane."""

    item: Item
    lane: str
    seconds: float = 0.0
    """Of audio."""

    def traits(self) -> Traits:
        """What a batch is formed by."""
        return Traits(self.lane, None, self.seconds, int(self.seconds // LENGTH_STEP_SECONDS))


class EngineReplica:
    """Loads its role's engine, answers health checks, tells what it has done."""

    role: str

    def __init__(self, arguments: SpeechArguments) -> None:
        self.arguments = arguments
        self.telemetry = ReplicaTelemetry(self.role)
        self.engine: Any = assembly.BUILDERS[self.role](arguments)
        self.engine.load()
        if arguments.warm_up:
            started = time.monotonic()
            self.warm_up()
            log.info("warm", role=self.role, seconds=round(time.monotonic() - started, 2))
        self.model = arguments.model_of(self.role)
        self.threads = EngineThreads(self.role, 1, arguments.stuck_batch_seconds)
        self.speed = Speed(self.threads.threads)
        self.batchers: dict[str, Batcher[Any, Any]] = {}

    def warm_up(self) -> None:
        """Let the engine work once, so that nobody's request pays for what comes with the first."""

    def batcher(
        self,
        method: str,
        work: Callable[[Sequence[Any]], Sequence[Any]],
        traits: Callable[[Any], Traits],
        *,
        size: int,
        max_seconds: float | None = None,
        wait_seconds: float | None = None,
        prepare: Callable[[Any], Any] | None = None,
    ) -> Batcher[Any, Any]:
        """The batches of one of its methods, by the operator's rules."""
        arguments = self.arguments
        made: Batcher[Any, Any] = Batcher(
            work,
            threads=self.threads,
            rules=BatchRules(size, max_seconds, arguments.shared_places, arguments.lane_patience),
            wait_seconds=arguments.batch_wait_seconds if wait_seconds is None else wait_seconds,
            traits=traits,
            prepare=prepare,
            on_batch=partial(self.on_batch, method),
            caller=Caller.here,
        )
        self.batchers[method] = made
        return made

    def on_batch(self, method: str, note: BatchNote) -> None:
        """A batch has ended."""
        self.speed.note(note)
        self.telemetry.note(method, note)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve asks this for cluster.scaling_policy."""
        return self.speed.stats()

    def check_health(self) -> None:
        """Serve asks this; an exception gets the replica replaced."""
        self.telemetry.show_memory()
        for batcher in self.batchers.values():
            batcher.check()

    async def stats(self) -> dict[str, Any]:
        """Its model, what each method's batches were, and this process's memory in bytes."""
        memory = psutil.Process(os.getpid()).memory_info()
        methods = {
            method: {**batcher.counter.stats(), "waiting": batcher.waiting()}
            for method, batcher in self.batchers.items()
        }
        known = {"role": self.role, "model": self.model, "pid": os.getpid()}
        return {**known, "rss_bytes": memory.rss, **methods}
