"""What every model replica has: an engine that is loaded before the replica is ready."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from serving import assembly
from serving.arguments import SpeechArguments
from serving.deployments.batching import Batcher


class EngineReplica:
    """Loads its role's engine, answers health checks, tells what it has done."""

    role: str

    def __init__(self, arguments: SpeechArguments) -> None:
        self.engine: Any = assembly.BUILDERS[self.role](arguments)
        self.engine.load()
        self.model = arguments.model_of(self.role)
        # One thread: engines are not made for more; the next batch fills while one runs.
        self.pool = ThreadPoolExecutor(1, thread_name_prefix=self.role)
        self.batchers: dict[str, Batcher[Any, Any]] = {}

    def check_health(self) -> None:
        """Serve asks this; an exception gets the replica replaced."""
        for batcher in self.batchers.values():
            batcher.check()

    async def stats(self) -> dict[str, Any]:
        """Its model, batches and items by method, and this process's memory in bytes."""
        memory = psutil.Process(os.getpid()).memory_info()
        counters = {
            name: {
                "batches": batcher.counter.batches,
                "items": batcher.counter.items,
                "busy_seconds": batcher.counter.busy_seconds,
            }
            for name, batcher in self.batchers.items()
        }
        known = {"role": self.role, "model": self.model, "pid": os.getpid()}
        return {**known, "rss_bytes": memory.rss, **counters}
