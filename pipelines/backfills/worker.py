"""Works through the items that one actor is given: as a runner does through its tasks.

Each item is a task like any other: claimed under a lease and a fence, tried again, checkpointed,
published once. What differs is whose turn it is: these tasks are claimed by whoever makes them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Self

import structlog

from cluster.settings import BackfillSettings
from db.engine import session_scope
from db.errors import StoreError, StoreUnavailable
from db.models import BackfillEngine, TaskState
from db.queries import backfills
from pipelines import queue
from pipelines.attempt import Attempt, Interruption
from pipelines.backfills.gate import Gate, YieldingSlots
from pipelines.backfills.importing import Importing
from pipelines.backfills.in_use import in_use
from pipelines.backfills.parts import Chunk, Drive, Halt, Outcome
from pipelines.backfills.sources import Buckets
from pipelines.backfills.submitting import BUSY_SECONDS, Later
from pipelines.backfills.taking import BringIn, Halted, Over, Taken, Taking
from pipelines.job import RunnerParts, Shared
from pipelines.queue import Claim, Claimed
from serving.errors import SpeechError, SpeechUnavailable

log = structlog.get_logger(__name__)

LONGEST_SLEEP = 5.0
"""Seconds after which it is looked again whether there is anything to wait for."""
FOLLOW_SECONDS = 1.0
"""How often it is looked whether the backfill is still this driver's."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between two tries while a store is away."""


class Worker:
    """One actor's work on a backfill; `running` while it may be given chunks."""

    def __init__(
        self,
        parts: RunnerParts,
        settings: BackfillSettings,
        buckets: Buckets,
        drive: Drive,
        taking: Taking,
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._drive = drive
        self._taking = taking
        self._importing = Importing(parts, taking, buckets)
        self._gate = Gate(parts.sessions, settings, drive.stage)
        self._shared = shared_behind(parts, self._gate, drive)
        self._places = asyncio.Semaphore(settings.tasks_per_actor)
        # One that its actors may have died of is tried alone.
        self._suspects = asyncio.Lock()
        self._held: dict[Claim, Attempt] = {}
        self._halt: Outcome | None = None

    @classmethod
    async def of(
        cls,
        parts: RunnerParts,
        settings: BackfillSettings,
        buckets: Buckets,
        drive: Drive,
        owner: str,
    ) -> Self:
        """One that knows what is in use here.

        Raises:
            SpeechError: a model that the stage needs does not answer.
        """
        used = await in_use(
            drive.stage,
            parts.models,
            parts.keywords,
            parts.vectors,
            parts.ports.text_embedder,
            parts.search,
        )
        return cls(parts, settings, buckets, drive, Taking(parts, drive, used, owner))

    @property
    def held_back_seconds(self) -> float:
        """How long it left the models to users."""
        return self._gate.held_back_seconds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Keep leases and look out for users while the block runs; then give everything back."""
        await self._gate.look()
        loops = [
            asyncio.create_task(self._gate.watch()),
            asyncio.create_task(self._beat_forever()),
            asyncio.create_task(self._follow_forever()),
        ]
        if self._drive.engine is BackfillEngine.online:
            loops.append(asyncio.create_task(self._fit_forever()))
        try:
            yield self
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops)
            await self._give_back()

    async def work(self, chunk: Chunk) -> Outcome:
        """Work through a chunk; says how many items ended, or why it was left."""
        if self._halt is not None:
            return self._halt
        try:
            numbers = await self._patiently_waiting(chunk)
            done = await self._all(numbers)
        except StoreUnavailable as error:
            return self._halted(Outcome(halt=Halt.fatal, message=f"store_unavailable: {error}"))
        return replace(self._halt, items=done) if self._halt else Outcome(items=done)

    async def _patiently_waiting(self, chunk: Chunk) -> Sequence[int]:
        async def read() -> Sequence[int]:
            async with session_scope(self._parts.sessions) as session:
                return await backfills.waiting(
                    session, self._drive.backfill_id, chunk.first, chunk.last
                )

        deadline = time.monotonic() + self._settings.outage_seconds
        pause = FIRST_PAUSE
        while True:
            try:
                return await read()
            except StoreUnavailable:
                if time.monotonic() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _all(self, numbers: Sequence[int]) -> int:
        """How many of these items ended."""
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(self._one(number)) for number in numbers]
        return sum(one.result() for one in work)

    async def _one(self, number: int) -> bool:
        """Bring one item to its end; False: it was left."""
        since: float | None = None
        while self._halt is None:
            wait = 0.0
            async with self._places:
                await self._gate.passed()
                try:
                    taken = await self._taking.take(number)
                    done = await self._done(taken)
                except (StoreError, SpeechError) as error:
                    since = since or time.monotonic()
                    self._give_up_after(since, error)
                    wait = BUSY_SECONDS
                else:
                    since = None
                    if isinstance(done, bool):
                        return done
                    wait = done
            # Without a place: others have something to do meanwhile.
            await asyncio.sleep(min(wait, LONGEST_SLEEP))
        return False

    def _give_up_after(self, since: float, error: StoreError | SpeechError) -> None:
        """A store or the decoder that is away for too long stops the backfill, not the item."""
        log.warning("an item has to wait", error=str(error))
        if time.monotonic() - since > self._settings.outage_seconds:
            code = error.code if isinstance(error, SpeechError) else "store_unavailable"
            self._halted(Outcome(halt=Halt.fatal, message=f"{code}: {error}"))

    async def _done(self, taken: Taken) -> bool | float:
        """Whether the item ended, or seconds after which it is looked at again."""
        match taken:
            case Over():
                return True
            case Halted():
                self._halted(Outcome(halt=taken.why))
                return False
            case Later():
                return taken.seconds
            case BringIn():
                await self._importing.bring_in(taken)
            case Claimed() if taken.task.state is TaskState.running:
                await self._attempted(taken)
        return 0.0

    def _halted(self, outcome: Outcome) -> Outcome:
        """The first reason stays; what is under way is given back at the end of the block."""
        if self._halt is None:
            log.info("backfill halted", why=outcome.halt, message=outcome.message)
            self._halt = outcome
            if outcome.halt is not Halt.stopped:
                # What is begun under a budget is finished.
                for attempt in self._held.values():
                    attempt.interrupt(Interruption.drain)
        return self._halt

    async def _attempted(self, claimed: Claimed) -> None:
        attempt = Attempt(
            self._parts,
            claimed.task,
            self._shared,
            suspect=claimed.suspect,
            last=claimed.last_attempt,
        )
        attempt.telemetry.claimed(claimed.task)
        # Its lease is kept from now on, also while it waits for another suspect's end.
        self._held[attempt.held] = attempt
        try:
            async with self._suspects if claimed.suspect else _nobody():
                if self._halt is None:
                    await self._worked(attempt)
        finally:
            del self._held[attempt.held]

    async def _worked(self, attempt: Attempt) -> None:
        work = attempt.start()
        try:
            await asyncio.wait([work])
        finally:
            attempt.interrupt(Interruption.drain)
            await asyncio.wait([work])

    async def _give_back(self) -> None:
        held = list(self._held.values())
        for attempt in held:
            attempt.interrupt(Interruption.drain)
        works = [attempt.work for attempt in held if attempt.work is not None]
        if works:
            await asyncio.wait(works)

    async def _beat_forever(self) -> None:
        """Renew leases, and stop what is cancelled or lost."""
        while True:
            await asyncio.sleep(self._parts.settings.heartbeat_seconds)
            with suppress(StoreUnavailable):
                await self._beat()

    async def _beat(self) -> None:
        held = dict(self._held)
        async with session_scope(self._parts.sessions) as session:
            states = await queue.heartbeat(session, list(held), self._parts.settings)
        for claim, attempt in held.items():
            if claim not in states:
                attempt.interrupt(Interruption.lost)
            elif states[claim] is TaskState.cancelling:
                attempt.interrupt(Interruption.cancelled)

    async def _fit_forever(self) -> None:
        """Have as much under way as the replicas need that there are now."""
        while True:
            try:
                self._shared.fit(await self._parts.count_replicas())
            except SpeechUnavailable as error:
                log.warning("replicas not counted", error=error.message)
            await asyncio.sleep(self._parts.settings.poll_seconds)

    async def _follow_forever(self) -> None:
        """Give everything back when the backfill is cancelled, given back, or somebody else's."""
        drive = self._drive
        while self._halt is None:
            await asyncio.sleep(FOLLOW_SECONDS)
            with suppress(StoreUnavailable):
                async with session_scope(self._parts.sessions) as session:
                    ours = await backfills.is_driven_by(
                        session, drive.backfill_id, drive.task_id, drive.fence
                    )
                if not ours:
                    self._halted(Outcome(halt=Halt.overtaken))


@asynccontextmanager
async def _nobody() -> AsyncIterator[None]:
    """No lock."""
    yield


def shared_behind(parts: RunnerParts, gate: Gate, drive: Drive) -> Shared:
    """What the attempts of an actor share: all of it held back while users wait."""
    # Models of its own are all its own; the online ones it shares with its like, not with runners.
    sharing = 1 if drive.engine is BackfillEngine.inprocess else drive.actors
    settings = parts.settings.model_copy(update={"replicas": sharing})
    shared = Shared.of(replace(parts, settings=settings))
    patience = parts.settings.lane_patience
    shared.parts = {
        stage: YieldingSlots(slots.places, patience, gate) for stage, slots in shared.parts.items()
    }
    shared.calls = YieldingSlots(shared.calls.places, patience, gate)
    return shared
