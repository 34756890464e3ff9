"""The runner: claims tasks, keeps their leases, gives them back on a drain."""

import asyncio
import random
import time
import uuid
from contextlib import suppress
from typing import Any

import structlog

from db.engine import session_scope
from db.models import Task, TaskState
from db.notify import TASKS, listening
from pipelines import queue
from pipelines.attempt import Attempt, Interruption, RunnerParts, Slots
from pipelines.queue import Claim

log = structlog.get_logger(__name__)


class Runner:
    """Claims and runs until stopped. All state of a task is in PostgreSQL."""

    def __init__(self, parts: RunnerParts, owner: str | None = None) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._owner = owner or f"runner-{uuid.uuid4().hex[:12]}"
        # By claim, not by task: a runner may meet a task again whose lease it lost.
        self._running: dict[Claim, Attempt] = {}
        self._wake = asyncio.Event()
        self._slots = Slots.of(
            parts.settings.max_outstanding_windows, parts.settings.max_outstanding_spans
        )
        self._loops: list[asyncio.Task[None]] = []
        self._beaten_at = time.monotonic()

    @property
    def running(self) -> int:
        """How many tasks are in this runner's hands."""
        return len(self._running)

    def start(self) -> None:
        """Begin to claim."""
        loops = (self._claim_forever, self._beat_forever, self._listen_forever)
        self._loops = [
            asyncio.create_task(self._forever(loop), name=loop.__name__) for loop in loops
        ]

    def check(self) -> None:
        """Raise when no heartbeat has come through for two leases: the runner must be replaced."""
        silent = time.monotonic() - self._beaten_at
        if silent > 2 * self._settings.lease_seconds + self._settings.heartbeat_seconds:
            raise RuntimeError(f"no heartbeat for {silent:.0f} s")

    async def stop(self) -> None:
        """Drain: claim no more, end the work, give every lease back."""
        for loop in self._loops:
            loop.cancel()
        attempts = list(self._running.values())
        for attempt in attempts:
            attempt.interrupt(Interruption.drain)
        works = [attempt.work for attempt in attempts if attempt.work is not None]
        await asyncio.gather(*self._loops, *works, return_exceptions=True)

    async def _forever(self, loop: Any) -> None:
        """A loop that outlives its store: an outage is logged, waited out, and tried again."""
        while True:
            try:
                await loop()
            except Exception:
                log.exception("runner loop failed", loop=loop.__name__)
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def _claim_forever(self) -> None:
        while True:
            self._wake.clear()
            while len(self._running) < self._settings.max_tasks and await self._claim_one():
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_seconds):
                    await self._wake.wait()

    async def _claim_one(self) -> bool:
        """One task per transaction: each locks its user's row, and two at once could deadlock."""
        async with asyncio.timeout(self._settings.lease_seconds / 2):
            async with session_scope(self._parts.sessions) as session:
                tasks = await queue.claim(session, self._owner, 1, self._settings)
        for task in tasks:
            self._begin(task)
        return bool(tasks)

    async def _listen_forever(self) -> None:
        async with listening(
            self._parts.database_url, TASKS, lambda _: self._wake.set()
        ) as connection:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await gone.wait()

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_seconds)
            # What is claimed while the answer is on its way is not in it.
            attempts = dict(self._running)
            async with asyncio.timeout(self._settings.lease_seconds / 2):
                async with session_scope(self._parts.sessions) as session:
                    states = await queue.heartbeat(session, list(attempts), self._settings)
            self._beaten_at = time.monotonic()
            for held, attempt in attempts.items():
                if held not in states:
                    attempt.interrupt(Interruption.lost)
                elif states[held] is TaskState.cancelling:
                    attempt.interrupt(Interruption.cancelled)

    def _begin(self, task: Task) -> None:
        attempt = Attempt(self._parts, task, self._slots)
        held = attempt.held
        self._running[held] = attempt

        def ended(_: asyncio.Task[None]) -> None:
            self._running.pop(held, None)
            self._wake.set()

        attempt.start().add_done_callback(ended)
