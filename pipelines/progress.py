"""How far a task is: one number from the stages' counts; never back, at most once a second."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

from db.engine import Sessions, session_scope
from db.errors import FenceLost, StoreUnavailable
from pipelines import queue
from pipelines.queue import Claim

log = structlog.get_logger(__name__)

MIN_INTERVAL_SECONDS = 1.0

Write = Callable[[str, float, float | None], Awaitable[None]]
"""stage, progress 0..1, seconds that remain (None: not known yet)."""


class ProgressMeter:
    """Collects stages' counts; `write` gets the task's progress and remaining time."""

    def __init__(self, share: Mapping[str, float], write: Write) -> None:
        self._share = share
        self._write = write
        self._done = dict.fromkeys(share, 0.0)
        self._stage = ""
        self._started = time.monotonic()
        self._first: float | None = None
        self._changed = asyncio.Event()

    def __call__(self, stage: str, done: float, total: float) -> None:
        """`done` of `total` of a stage."""
        fraction = done / total if total > 0 else 1.0
        self._done[stage] = max(self._done[stage], min(1.0, fraction))
        self._stage = stage
        if self._first is None:
            # What was stored by an earlier attempt took no time now: the rate starts here.
            self._first = self.fraction
        self._changed.set()

    @property
    def fraction(self) -> float:
        """0..1 over all stages."""
        return sum(self._share[stage] * done for stage, done in self._done.items())

    @property
    def eta_seconds(self) -> float | None:
        """What remains at the rate measured so far."""
        gained = self.fraction - (self._first or 0.0)
        if gained <= 0.0:
            return None
        return (time.monotonic() - self._started) * (1.0 - self.fraction) / gained

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write changes while the block runs."""
        writer = asyncio.create_task(self._write_forever())
        try:
            yield
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    async def _write_forever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._write(self._stage, self.fraction, self.eta_seconds)
            except (StoreUnavailable, FenceLost) as error:
                # A lost fence is the heartbeat's to act on; nothing was written under it.
                log.warning("progress not written", error=str(error))
            await asyncio.sleep(MIN_INTERVAL_SECONDS)


@asynccontextmanager
async def reported(
    sessions: Sessions, held: Claim, share: Mapping[str, float]
) -> AsyncIterator[ProgressMeter]:
    """A meter whose changes are written to a claimed task while the block runs."""

    async def write(stage: str, progress: float, eta_seconds: float | None) -> None:
        async with session_scope(sessions) as session:
            await queue.report(
                session, held, stage=stage, progress=progress, eta_seconds=eta_seconds
            )

    meter = ProgressMeter(share, write)
    async with meter.running():
        yield meter
