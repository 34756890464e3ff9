"""One attempt at driving a backfill: says what is to be done, has it done, tells how far it is."""

import asyncio
import time
import uuid
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.errors import FenceLost, StoreUnavailable
from db.models import Backfill, BackfillStop
from db.queries import backfills
from db.queries.backfill_files import InUse
from pipelines import queue, task_state
from pipelines.backfills import items
from pipelines.backfills.in_use import fingerprint_of, in_use
from pipelines.backfills.manifests import ManifestInvalid
from pipelines.backfills.parts import BackfillParts, Chunk, Drive, DriverDied, Halt, Outcome
from pipelines.backfills.selecting import Selecting
from pipelines.backfills.sources import SourceRefused
from pipelines.errors import TaskFailed
from pipelines.job import Job
from pipelines.progress import ProgressMeter, reported

log = structlog.get_logger(__name__)

SELECT, WORK = "select", "work"
SHARE = {SELECT: 0.01, WORK: 0.99}
"""Each stage's share of the progress."""
COUNT_SECONDS = 3.0
"""How often it is counted how many items are over."""
PAUSE_PER_COUNT = 20.0
"""Seconds between two counts for each second that one takes: with millions of items they are
rarer, and the database has something else to do."""
MAX_CHUNKS = 10_000
"""References that are handed out at most: with more items, each is of more of them."""
RESTART_SECONDS = 2.0
STAND_DOWN_SECONDS = 15.0
"""How long actors may take to stop what they are at: one window, and writing it down."""


@dataclass(frozen=True, slots=True)
class Backfilling:
    """A claimed task that drives a backfill."""

    job: Job

    @property
    def _parts(self) -> BackfillParts:
        parts = self.job.parts.backfills
        if parts is None:
            raise ValueError("no backfills are driven here")
        return parts

    async def run(self) -> None:
        """Have all items done, and complete the task; also where a budget is used up.

        Raises:
            TaskFailed: something without which no item can be done is missing.
            FenceLost: somebody else drives it, or it was cancelled.
        """
        async with reported(self.job.parts.sessions, self.job.held, SHARE) as meter:
            backfill = await self._begun()
            meter(SELECT, 1, 1)
            await self._driven(backfill, meter)
        async with session_scope(self.job.parts.sessions) as session:
            await self._finish(session, backfill.id)

    async def _begun(self) -> Backfill:
        """The backfill with its items written down; those that other models made, to do again."""
        parts = self.job.parts
        backfill = await self._read()
        used = await in_use(
            backfill.stage,
            parts.models,
            parts.keywords,
            parts.vectors,
            parts.ports.text_embedder,
            parts.search,
        )
        await self._note_what_is_used(backfill, used)
        try:
            await Selecting(self.job, self._parts, await self._read(), used).run()
        except (ManifestInvalid, SourceRefused) as error:
            failed = TaskFailed("validation_error", str(error))
            await self._note(failed)
            raise failed from error
        return await self._read()

    async def _read(self) -> Backfill:
        async with session_scope(self.job.parts.sessions) as session:
            if self.job.task.backfill_id is None:
                raise TaskFailed("not_found", "The backfill has been deleted.")
            return await backfills.get(session, self.job.task.backfill_id)

    async def _note_what_is_used(self, backfill: Backfill, used: InUse) -> None:
        now = fingerprint_of(backfill.stage, used, backfill.options)
        async with session_scope(self.job.parts.sessions) as session:
            await queue.held_task(session, self.job.held, lock=False)
            row = await backfills.get(session, backfill.id, lock=True)
            if row.fingerprint != now:
                again = await backfills.begin_again(session, row.id, backfills.made_otherwise(now))
                row.fingerprint = now
                log.info("backfill", models=asdict(used), done_by_others=again)

    async def _driven(self, backfill: Backfill, meter: ProgressMeter) -> None:
        """Have it driven until nothing waits, or something says why not."""
        in_vain = 0
        while (drive := await self._next(backfill)) is not None:
            chunks = await self._chunks(backfill.id)
            if not chunks:
                return
            before = await self._waiting(backfill.id)
            outcome = await self._watched(self._tried(drive, chunks), backfill.id, meter)
            if outcome is not None and outcome.halt is Halt.fatal:
                error_type, _, message = outcome.message.partition(": ")
                failed = TaskFailed(error_type, message)
                await self._note(failed)
                raise failed
            if outcome is not None and outcome.halt is Halt.overtaken:
                raise FenceLost(f"backfill {backfill.id} is driven by somebody else")
            if await self._waiting(backfill.id) < before:
                in_vain = 0
            else:
                in_vain += 1
            if in_vain > self._parts.settings.driver_restarts:
                raise TaskFailed(
                    "processing_error",
                    "What drives the backfill ended again and again before any file was done.",
                    retryable=True,
                )
            await asyncio.sleep(RESTART_SECONDS if in_vain else 0)

    async def _next(self, backfill: Backfill) -> Drive | None:
        """What the actors are told; None: nothing is to be begun any more."""
        row = await self._read()
        if row.stopped is not None:
            return None
        most = self._parts.settings.max_actors
        return Drive(
            backfill.id,
            self.job.task.id,
            self.job.task.fence,
            row.stage,
            row.engine,
            min(row.actors or most, most),
        )

    async def _chunks(self, backfill_id: uuid.UUID) -> list[Chunk]:
        async with session_scope(self.job.parts.sessions) as session:
            extent = await backfills.waiting_extent(session, backfill_id)
        return [] if extent is None else cut(*extent, self._parts.settings.chunk_items)

    async def _waiting(self, backfill_id: uuid.UUID) -> int:
        async with session_scope(self.job.parts.sessions) as session:
            return (await backfills.counts(session, [backfill_id]))[backfill_id].waiting

    async def _tried(self, drive: Drive, chunks: list[Chunk]) -> Outcome | None:
        """None: the driver died; what it had is found again."""
        try:
            return await self._parts.driver.drive(drive, chunks)
        except DriverDied as error:
            log.warning("the driver of a backfill died", error=str(error))
            return None

    async def _watched(
        self,
        driving: Coroutine[Any, Any, Outcome | None],
        backfill_id: uuid.UUID,
        meter: ProgressMeter,
    ) -> Outcome | None:
        """What comes of it, with the progress told meanwhile.

        Once items end the attempt counts as the first: this takes days, in which runners go.
        """
        work = asyncio.create_task(driving)
        before, forgiven = await self._waiting(backfill_id), False
        pause = COUNT_SECONDS
        try:
            while not work.done():
                await asyncio.wait([work], timeout=pause)
                began = time.monotonic()
                waiting = await self._count(backfill_id, meter)
                pause = max(COUNT_SECONDS, PAUSE_PER_COUNT * (time.monotonic() - began))
                if waiting is not None and waiting < before and not forgiven:
                    await self._forgive()
                    forgiven = True
            return work.result()
        except asyncio.CancelledError:
            await asyncio.shield(self._stood_down(backfill_id, work))
            raise
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def _stood_down(self, backfill_id: uuid.UUID, work: asyncio.Task[Any]) -> None:
        """Have the actors give back what they have, rather than let their leases run out."""
        try:
            async with session_scope(self.job.parts.sessions) as session:
                await backfills.halt(session, backfill_id, self.job.task.fence)
        except StoreUnavailable as error:
            log.warning("actors not told to stop", error=str(error))
        else:
            await asyncio.wait([work], timeout=STAND_DOWN_SECONDS)

    async def _count(self, backfill_id: uuid.UUID, meter: ProgressMeter) -> int | None:
        """Tell the progress; how many items are still to be done, where that is known."""
        try:
            async with session_scope(self.job.parts.sessions) as session:
                found = (await backfills.counts(session, [backfill_id]))[backfill_id]
        except StoreUnavailable as error:
            # The actors wait for it too: there is nothing to begin anew.
            log.warning("items not counted", error=str(error))
            return None
        meter(WORK, found.total - found.waiting, found.total)
        return found.waiting

    async def _forgive(self) -> None:
        if self.job.task.attempt > 1:
            async with session_scope(self.job.parts.sessions) as session:
                await queue.forgive(session, self.job.held)

    async def _note(self, failed: TaskFailed) -> None:
        """Write down why nothing can be done."""
        backfill = await self._read()
        async with session_scope(self.job.parts.sessions) as session:
            await queue.held_task(session, self.job.held, lock=False)
            row = await backfills.get(session, backfill.id, lock=True)
            await items.stop(session, row, BackfillStop.fatal, failed.error_type, failed.message)

    async def _finish(self, session: AsyncSession, backfill_id: uuid.UUID) -> None:
        row = await backfills.get(session, backfill_id)
        if row.stopped is BackfillStop.fatal:
            raise TaskFailed(row.error_type or "processing_error", row.error_message or "")
        found = (await backfills.counts(session, [backfill_id]))[backfill_id]
        result = {state: found.by_state.get(state, 0) for state in found.by_state}
        task = await queue.held_task(session, self.job.held, lock=False)
        step = task_state.on_success(task)
        await queue.complete(session, task, step, result={**result, "stopped": row.stopped})


def cut(first: int, last: int, items_each: int) -> list[Chunk]:
    """Numbers in chunks of so many, or of more where there would be too many chunks."""
    size = max(items_each, -(-(last - first + 1) // MAX_CHUNKS))
    return [Chunk(start, min(start + size - 1, last)) for start in range(first, last + 1, size)]
