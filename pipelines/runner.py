"""The runner: claims tasks, keeps their leases, gives them back on a drain."""

import asyncio
import random
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from db.engine import session_scope
from db.errors import StoreError
from db.models import Destination, Task, TaskKind, TaskState
from db.notify import CANCEL, OUTBOX, TASKS, listening
from pipelines import leftovers, maintenance, outbox, queue, retention
from pipelines.attempt import Attempt, Interruption
from pipelines.job import RunnerParts, Shared
from pipelines.language.kinds import KINDS as LANGUAGE
from pipelines.outbox import Handler
from pipelines.queue import Claim
from pipelines.search import keeping, rebuilding
from pipelines.search.keywords import KeywordKeeper
from pipelines.search.vectors import PassageKeeper
from pipelines.speakers import sync
from pipelines.telemetry import RunnerTelemetry
from serving.errors import SpeechUnavailable

log = structlog.get_logger(__name__)

SPEECH = frozenset(TaskKind) - LANGUAGE
"""Tasks about recordings and voices, and search over them."""
KEYWORD_BATCH = 10
PASSAGE_BATCH = 1
"""Files that are taken from the outbox at a time: the passages of long ones take minutes, and what
a runner that dies has taken waits for the end of its lease."""


class Runner:
    """Claims and runs until stopped. All state of a task is in PostgreSQL."""

    def __init__(self, parts: RunnerParts, owner: str | None = None) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._owner = owner or f"runner-{uuid.uuid4().hex[:12]}"
        # By claim, not by task: a runner may meet a task again whose lease it lost.
        self._running: dict[Claim, Attempt] = {}
        self._wake = asyncio.Event()
        self._cancelled = asyncio.Event()
        self._noted = {destination: asyncio.Event() for destination in Destination}
        self._shared = Shared.of(parts)
        self._loops: list[asyncio.Task[None]] = []
        self._beaten_at = time.monotonic()
        self._telemetry = RunnerTelemetry(parts.meters)

    @property
    def running(self) -> int:
        """How many tasks are in this runner's hands."""
        return len(self._running)

    def start(self) -> None:
        """Begin to claim."""
        loops = (
            self._claim_forever,
            self._beat_forever,
            self._fit_forever,
            self._listen_forever,
            self._sweep_objects_forever,
            self._keep_vectors_forever,
            self._keep_keywords_forever,
            self._keep_passages_forever,
            self._drop_abandoned_forever,
            self._maintain_forever,
        )
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
            while self._has_place and await self._claim_one():
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_seconds):
                    await self._wake.wait()

    async def _claim_one(self) -> bool:
        """Claim the next task, if there is one; it may turn out to be a dead letter."""
        async with asyncio.timeout(self._settings.lease_seconds / 2):
            async with session_scope(self._parts.sessions) as session:
                claimed = await queue.claim(
                    session,
                    self._owner,
                    self._settings.model_copy(update={"max_tasks_per_user": self._tasks_per_user}),
                    has_suspect=self._has_suspect,
                    full_of=self._full_of,
                )
        if claimed is not None and claimed.task.state is TaskState.running:
            self._begin(claimed)
        return claimed is not None

    @property
    def _full_of(self) -> frozenset[TaskKind]:
        """Kinds for which no place is left: language models' work has places of its own."""
        speech = len(self._speech)
        full: frozenset[TaskKind] = frozenset()
        if len(self._running) - speech >= self._parts.language.settings.max_tasks:
            full |= LANGUAGE
        if speech >= self._shared.capacity.tasks:
            full |= SPEECH
        return full

    @property
    def _speech(self) -> list[Task]:
        """Those in hand that are not language models' work."""
        tasks = [attempt.task for attempt in self._running.values()]
        return [task for task in tasks if task.kind not in LANGUAGE]

    @property
    def _tasks_per_user(self) -> int:
        seconds = [task.audio_seconds for task in self._speech]
        return self._shared.capacity.tasks_per_user(seconds)

    @property
    def _has_place(self) -> bool:
        return self._full_of != LANGUAGE | SPEECH

    @property
    def _has_suspect(self) -> bool:
        return any(attempt.suspect for attempt in self._running.values())

    async def _listen_forever(self) -> None:
        def told(payload: str) -> None:
            (self._cancelled if payload == CANCEL else self._wake).set()

        def noted(_: str) -> None:
            for event in self._noted.values():
                event.set()

        channels = {TASKS: told, OUTBOX: noted}
        async with listening(self._parts.database_url, channels) as connection:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await gone.wait()

    async def _beat_forever(self) -> None:
        while True:
            # A cancellation is looked for when it is told of, not only at the next beat.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.heartbeat_seconds):
                    await self._cancelled.wait()
            self._cancelled.clear()
            await self._beat()

    async def _fit_forever(self) -> None:
        """Have as much under way as the replicas need that there are now."""
        while True:
            try:
                replicas = await self._parts.count_replicas()
            except SpeechUnavailable as error:
                log.warning("replicas not counted", error=error.message)
            else:
                self._fit(replicas)
            await asyncio.sleep(self._settings.poll_seconds)

    def _fit(self, replicas: Mapping[str, int]) -> None:
        if replicas != self._shared.capacity.replicas:
            log.info("replicas counted", **replicas)
            self._shared.fit(replicas)
            # There may be room for more tasks.
            self._wake.set()

    async def _beat(self) -> None:
        """Renew the leases, and stop what is cancelled or lost."""
        # What is claimed while the answer is on its way is not in it.
        attempts = dict(self._running)
        async with asyncio.timeout(self._settings.lease_seconds / 2):
            async with session_scope(self._parts.sessions) as session:
                states = await queue.heartbeat(session, list(attempts), self._settings)
        self._beaten_at = time.monotonic()
        # Again and again: Ray's agent forgets a gauge that is not set anew.
        self._tell_running()
        for held, attempt in attempts.items():
            if held not in states:
                attempt.interrupt(Interruption.lost)
            elif states[held] is TaskState.cancelling:
                attempt.interrupt(Interruption.cancelled)

    async def _sweep_objects_forever(self) -> None:
        parts, settings = self._parts, self._parts.maintenance
        handlers = {Destination.objects: leftovers.sweeper(parts.sessions, parts.objects)}
        while True:
            await outbox.drain(parts.sessions, handlers, settings)
            await asyncio.sleep(settings.outbox_poll_seconds)

    async def _keep_vectors_forever(self) -> None:
        parts = self._parts
        voices = sync.keeper(parts.sessions, parts.vectors, parts.voices)
        await self._keep_forever(Destination.vectors, voices, outbox.BATCH)

    async def _keep_keywords_forever(self) -> None:
        parts = self._parts
        keeper = KeywordKeeper(parts.sessions, parts.keywords, parts.search)
        await self._keep_forever(Destination.keywords, keeping.handler(keeper), KEYWORD_BATCH)

    async def _keep_passages_forever(self) -> None:
        parts = self._parts
        embedder = parts.ports.text_embedder
        keeper = PassageKeeper(parts.sessions, parts.vectors, embedder, parts.search)
        await self._keep_forever(Destination.passages, keeping.handler(keeper), PASSAGE_BATCH)

    # A loop for each: while one store is away, or has much to do, the others' work goes on.
    async def _keep_forever(self, destination: Destination, work: Handler, batch: int) -> None:
        sessions, settings = self._parts.sessions, self._parts.maintenance
        noted = self._noted[destination]
        while True:
            noted.clear()
            await outbox.drain(sessions, {destination: work}, settings, batch)
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.outbox_poll_seconds):
                    await noted.wait()

    async def _drop_abandoned_forever(self) -> None:
        parts = self._parts
        keeper = KeywordKeeper(parts.sessions, parts.keywords, parts.search)
        while True:
            try:
                await rebuilding.drop_abandoned(keeper)
            except StoreError as error:
                log.warning("an index may be left over", error=str(error))
            await asyncio.sleep(parts.maintenance.interval_seconds)

    async def _maintain_forever(self) -> None:
        settings = self._parts.maintenance
        while True:
            await maintenance.drop_old_rows(self._parts.sessions, settings)
            await retention.run_if_due(self._parts.sessions)
            await asyncio.sleep(settings.interval_seconds)

    def _tell_running(self) -> None:
        self._telemetry.running(len(self._running))

    def _begin(self, claimed: queue.Claimed) -> None:
        attempt = Attempt(
            self._parts,
            claimed.task,
            self._shared,
            suspect=claimed.suspect,
            last=claimed.last_attempt,
        )
        held = attempt.held
        self._running[held] = attempt
        attempt.telemetry.claimed(claimed.task)
        self._tell_running()

        def ended(_: asyncio.Task[None]) -> None:
            self._running.pop(held, None)
            self._tell_running()
            self._wake.set()

        attempt.start().add_done_callback(ended)
