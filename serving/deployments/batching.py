"""Runs blocking batch work for requests of many callers, off the replica's event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from ray import serve

log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

SLOWER_THAN_SLOWEST = 20
"""A batch is stuck only when it takes so many times what the slowest one has taken here."""


@dataclass(slots=True)
class BatchCounter:
    """What a replica has done since it started."""

    batches: int = 0
    items: int = 0
    busy_seconds: float = 0.0
    slowest_seconds: float = 0.0

    def note(self, items: int, seconds: float) -> None:
        """A batch has ended."""
        self.batches += 1
        self.items += items
        self.busy_seconds += seconds
        self.slowest_seconds = max(self.slowest_seconds, seconds)


def separately(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
) -> list[Result | Exception]:
    """The results of a batch; where it fails as a whole, each item is tried alone.

    The items are different users': one on which the engine breaks must not take the others along.
    """
    try:
        return list(work(items))
    except Exception as error:
        if len(items) == 1:
            log.exception("engine failed")
            return [error]
    log.warning("batch failed, trying its items alone", items=len(items))
    return [result for item in items for result in separately(work, [item])]


class Batcher(Generic[Item, Result]):
    """One blocking function over lists, called with single items from many coroutines."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        pool: Executor,
        size: int,
        wait_seconds: float,
        concurrent: int,
        stuck_seconds: float,
    ) -> None:
        self._pool = pool
        self._stuck_seconds = stuck_seconds
        self._running: dict[int, float] = {}
        self.counter = BatchCounter()

        @serve.batch(
            max_batch_size=size,
            batch_wait_timeout_s=wait_seconds,
            max_concurrent_batches=concurrent,
        )
        async def run(items: list[Item]) -> list[Result | Exception]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._measured, work, items)

        self._run: Callable[[Item], Awaitable[Result | Exception]] = run

    def _measured(
        self, work: Callable[[Sequence[Item]], Sequence[Result]], items: list[Item]
    ) -> list[Result | Exception]:
        key, started = id(items), time.monotonic()
        self._running[key] = started
        try:
            return separately(work, items)
        finally:
            del self._running[key]
            self.counter.note(len(items), time.monotonic() - started)

    async def __call__(self, item: Item) -> Result:
        """The result of one item; an item that failed alone raises its own error."""
        result = await self._run(item)
        if isinstance(result, Exception):
            raise result
        return result

    def check(self) -> None:
        """Raise when a batch is stuck: Serve then replaces the replica, whose calls fail."""
        # Measured: what is stuck for one model on one machine is an ordinary batch elsewhere.
        limit = max(self._stuck_seconds, SLOWER_THAN_SLOWEST * self.counter.slowest_seconds)
        now = time.monotonic()
        if any(now - started > limit for started in list(self._running.values())):
            slowest = self.counter.slowest_seconds
            raise RuntimeError(
                f"a batch has been running for over {limit:.1f} s; the slowest took {slowest:.1f} s"
            )
