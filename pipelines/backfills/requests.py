"""Asks for a backfill, has it go on, or stops it."""

import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Backfill, BackfillEngine, BackfillItem, ItemState, Lane, Task, TaskKind
from db.queries import backfills
from db.queries.tasks import ACTIVE
from pipelines import queue
from pipelines.backfills.orders import Limits, Order
from pipelines.errors import TaskActive


@dataclass(frozen=True, slots=True)
class Begun:
    """A backfill, and the task that drives it."""

    backfill: Backfill
    task: Task


async def submit(
    session: AsyncSession, user_id: uuid.UUID, order: Order, engine: BackfillEngine
) -> Begun:
    """Write it down and queue what drives it. Tells clients: call it late."""
    limits = order.limits
    backfill = Backfill(
        id=uuid.uuid4(),
        user_id=user_id,
        stage=order.stage,
        engine=engine,
        selection=order.selection.stored(),
        options=dict(order.options),
        actors=limits.actors,
        max_audio_seconds=limits.audio_seconds,
        max_model_seconds=limits.model_seconds,
        audio_seconds_per_minute=limits.audio_seconds_per_minute,
    )
    session.add(backfill)
    await session.flush()
    await session.refresh(backfill)
    return Begun(backfill, await _queued(session, user_id, backfill))


async def resume(
    session: AsyncSession,
    user_id: uuid.UUID,
    backfill_id: uuid.UUID,
    limits: Limits,
    *,
    retry_failed: bool,
) -> Begun:
    """Have it go on after its end, whatever the end was; items that are done stay done.

    What `limits` says takes the place of what was said before. Tells clients: call it late.

    Raises:
        NotFound: there is no such backfill.
        TaskActive: it is being driven.
    """
    backfill = await backfills.get(session, backfill_id, lock=True)
    driver = await backfills.driver(session, backfill_id)
    if driver is not None and driver.state in ACTIVE:
        raise TaskActive(driver.id, driver.state)
    if retry_failed:
        failed = BackfillItem.state == ItemState.failed
        await backfills.begin_again(session, backfill_id, failed)
    backfill.stopped = backfill.error_type = backfill.error_message = None
    # The new task's fences begin at one.
    backfill.halted_fence = None
    backfill.actors = limits.actors or backfill.actors
    backfill.max_audio_seconds = limits.audio_seconds or backfill.max_audio_seconds
    backfill.max_model_seconds = limits.model_seconds or backfill.max_model_seconds
    backfill.audio_seconds_per_minute = (
        limits.audio_seconds_per_minute or backfill.audio_seconds_per_minute
    )
    await session.flush()
    return Begun(backfill, await _queued(session, user_id, backfill))


async def stop(session: AsyncSession, backfill_id: uuid.UUID) -> Begun | None:
    """Cancel what drives it; files that are being done go back. None: nothing drives it.

    Raises:
        NotFound: there is no such backfill.
    """
    backfill = await backfills.get(session, backfill_id)
    found = await backfills.driver(session, backfill_id)
    if found is None:
        return None
    task = await session.get_one(Task, found.id, with_for_update=True)
    await session.refresh(task)
    if task.state not in ACTIVE:
        return None
    await queue.cancel(session, task)
    return Begun(backfill, task)


async def _queued(session: AsyncSession, user_id: uuid.UUID, backfill: Backfill) -> Task:
    return await queue.submit(
        session,
        user_id=user_id,
        media_file_id=None,
        kind=TaskKind.backfill,
        lane=Lane.bulk,
        options={"stage": backfill.stage},
        backfill_id=backfill.id,
    )
