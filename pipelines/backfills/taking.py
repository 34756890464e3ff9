"""Takes one item in one transaction: its task is made and claimed by whoever will do it.

Everybody who begins something locks the backfill's row first: budget and rate are one for all
actors, and an actor of a driver that was overtaken begins nothing any more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.models import (
    Backfill,
    BackfillItem,
    BackfillStage,
    BackfillStop,
    ItemState,
    MediaFile,
    Task,
    TaskState,
)
from db.queries import backfill_files, backfills
from db.queries.backfill_files import InUse
from pipelines import queue
from pipelines.backfills import items, submitting
from pipelines.backfills.orders import Selection
from pipelines.backfills.parts import Drive, Halt
from pipelines.backfills.submitting import FileOf, Later, Skipped
from pipelines.job import RunnerParts
from pipelines.queue import Claimed
from pipelines.task_state import EXHAUSTED, TERMINAL

MINUTE = 60.0
TAKEN_IN = "taken_in"
"""The fact that stays of a recording that has become a file."""


@dataclass(frozen=True, slots=True)
class Over:
    """The item has ended."""


@dataclass(frozen=True, slots=True)
class BringIn:
    """A recording that is still to be taken in."""

    item: BackfillItem
    backfill: Backfill


@dataclass(frozen=True, slots=True)
class Halted:
    """Nothing may be begun any more."""

    why: Halt


Taken = Claimed | Later | Over | BringIn | Halted


@dataclass(frozen=True, slots=True)
class Taking:
    """Takes items for one actor."""

    parts: RunnerParts
    drive: Drive
    used: InUse
    owner: str
    """Who has the leases."""

    async def take(self, number: int) -> Taken:
        """The item's task, claimed; or why it is not to be had.

        Raises:
            StoreUnavailable: nothing happened.
        """
        async with session_scope(self.parts.sessions) as session:
            backfill = await backfills.get(session, self.drive.backfill_id, lock=True)
            if (halt := await self.halted(session, backfill)) is not None:
                return Halted(halt)
            known = await backfills.item(session, backfill.id, number)
            # A task is locked before its item, as by whoever ends it.
            task = await _locked_task(session, known)
            item = await backfills.item(session, backfill.id, number, lock=True)
            if item.state is not ItemState.waiting:
                return Over()
            if item.task_id is not None:
                return await self._claimed(session, item, task)
            return await self._begun(session, backfill, item)

    async def halted(self, session: AsyncSession, backfill: Backfill) -> Halt | None:
        """Why nothing may be begun any more."""
        drive = self.drive
        if not await backfills.is_driven_by(session, backfill.id, drive.task_id, drive.fence):
            return Halt.overtaken
        return Halt.stopped if backfill.stopped is not None else None

    async def _claimed(self, session: AsyncSession, item: BackfillItem, task: Task | None) -> Taken:
        """The task that an earlier actor made, or that is tried again."""
        if task is None:
            # It was made at this moment, by an actor that is being replaced.
            return Later(submitting.BUSY_SECONDS)
        if task.state in TERMINAL:
            await items.follow(session, task)
            return Over()
        wait = await _seconds_until(session, task)
        if wait > 0:
            return Later(wait)
        item.attempts = task.attempt + 1
        return await queue.claim_this(session, task, self.owner, self.parts.settings)

    async def _begun(self, session: AsyncSession, backfill: Backfill, item: BackfillItem) -> Taken:
        file = await _locked_file(session, item)
        skipped = await self._skipped(session, backfill, item, file)
        if skipped is not None:
            _settle(item, ItemState.skipped, skipped)
            return Over()
        allowed = await allow(session, backfill, item)
        if allowed is not None:
            return allowed
        if file is None:
            return self._to_bring_in(backfill, item)
        of = FileOf(session, backfill, file, self.parts.language.settings)
        match made := await submitting.submit(of):
            case Skipped():
                _settle(item, ItemState.skipped, made)
                return Over()
            case Later():
                return made
        item.task_id, item.attempts = made.id, 1
        await session.flush()
        return await queue.claim_this(session, made, self.owner, self.parts.settings)

    def _to_bring_in(self, backfill: Backfill, item: BackfillItem) -> Taken:
        """Counted before, as every attempt: a recording that kills actors stops after some."""
        if item.attempts >= self.parts.settings.max_attempts:
            said = f"It was begun {item.attempts} times and never taken in."
            _settle(item, ItemState.failed, Skipped(EXHAUSTED, said))
            return Over()
        item.attempts += 1
        return BringIn(item, backfill)

    async def _skipped(
        self,
        session: AsyncSession,
        backfill: Backfill,
        item: BackfillItem,
        file: MediaFile | None,
    ) -> Skipped | None:
        if file is None:
            is_to_come = (
                backfill.stage is BackfillStage.bring_in
                and item.source is not None
                # One that has been here was deleted: its owner does not get it back.
                and not item.facts.get(TAKEN_IN)
            )
            return None if is_to_come else Skipped("not_found", "The file has been deleted.")
        if backfill.stage is BackfillStage.bring_in:
            return None
        wanted = Selection.of(backfill.selection).wanted
        conditions = backfill_files.chosen(backfill.stage, wanted, self.used)
        if await backfill_files.still_meets(session, file.id, conditions):
            return None
        return Skipped("not_needed", "It is as this stage would make it, or no longer chosen.")


async def allow(session: AsyncSession, backfill: Backfill, item: BackfillItem) -> Taken | None:
    """Count an item that is begun for the first time; else when, or why it may not be begun."""
    if item.begun_at is not None:
        return None
    seconds = item.audio_seconds
    if _exceeds(backfill.max_audio_seconds, backfill.begun_audio_seconds + seconds):
        await items.stop(session, backfill, BackfillStop.audio_budget)
        return Halted(Halt.stopped)
    if backfill.max_model_seconds is not None:
        used = await backfills.model_seconds(session, backfill.id)
        if used >= backfill.max_model_seconds:
            await items.stop(session, backfill, BackfillStop.model_budget)
            return Halted(Halt.stopped)
    now = await _now(session)
    if backfill.next_begin_at is not None and backfill.next_begin_at > now:
        return Later((backfill.next_begin_at - now).total_seconds())
    backfill.begun_audio_seconds += seconds
    item.begun_at = now
    if backfill.audio_seconds_per_minute:
        pause = seconds / backfill.audio_seconds_per_minute * MINUTE
        backfill.next_begin_at = now + timedelta(seconds=pause)
    await session.flush()
    return None


def _exceeds(limit: float | None, amount: float) -> bool:
    return limit is not None and amount > limit


def _settle(item: BackfillItem, state: ItemState, why: Skipped) -> None:
    item.state, item.error_type, item.error_message = state, why.error_type, why.message
    item.ended_at = func.now()


async def _locked_task(session: AsyncSession, item: BackfillItem) -> Task | None:
    if item.task_id is None:
        return None
    task: Task | None = await session.scalar(
        select(Task).where(Task.id == item.task_id).with_for_update()
    )
    return task


async def _locked_file(session: AsyncSession, item: BackfillItem) -> MediaFile | None:
    if item.media_file_id is None:
        return None
    file: MediaFile | None = await session.scalar(
        select(MediaFile).where(MediaFile.id == item.media_file_id).with_for_update(key_share=True)
    )
    return file


async def _seconds_until(session: AsyncSession, task: Task) -> float:
    """When a task may be claimed: its turn comes, or its lease runs out."""
    moment = task.run_after if task.state is TaskState.queued else task.lease_expires_at
    if moment is None:
        return 0.0
    return float(max(0.0, (moment - await _now(session)).total_seconds()))


async def _now(session: AsyncSession) -> datetime:
    """By the database's clock."""
    now: datetime = (await session.scalars(select(func.clock_timestamp()))).one()
    return now
