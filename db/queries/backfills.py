"""Backfills, their items, and the tasks that drive and do them; asked for administrators."""

import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import (
    Backfill,
    BackfillItem,
    ItemState,
    Lane,
    Task,
    TaskKind,
    TaskState,
)
from db.queries.tasks import ACTIVE

DRIVES = Task.kind == TaskKind.backfill
"""The task that drives a backfill, not one of its files'."""
UNTIL_BUSY = (Lane.live, Lane.interactive)
"""Lanes of users who wait."""


async def get(session: AsyncSession, backfill_id: uuid.UUID, *, lock: bool = False) -> Backfill:
    """A backfill as it is; `lock` keeps it so until this transaction ends.

    Raises:
        NotFound: there is none.
    """
    query = select(Backfill).where(Backfill.id == backfill_id)
    query = query.execution_options(populate_existing=True)
    found: Backfill | None = await session.scalar(
        # Not its key: items are written meanwhile.
        query.with_for_update(key_share=True) if lock else query
    )
    if found is None:
        raise NotFound("backfill", str(backfill_id))
    return found


async def page(session: AsyncSession, *, limit: int, offset: int) -> tuple[Sequence[Backfill], int]:
    """One page of all backfills, newest first, and how many there are."""
    rows = await session.scalars(
        select(Backfill)
        .order_by(Backfill.created_at.desc(), Backfill.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(Backfill))
    return rows.all(), total or 0


async def drivers(
    session: AsyncSession, backfill_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Task]:
    """The task that drives each of these, or drove it last."""
    rows = await session.scalars(
        select(Task)
        .ext(distinct_on(Task.backfill_id))
        .where(Task.backfill_id.in_(backfill_ids), DRIVES)
        .order_by(Task.backfill_id, Task.created_at.desc(), Task.id)
    )
    return {task.backfill_id: task for task in rows if task.backfill_id}


async def driver(session: AsyncSession, backfill_id: uuid.UUID) -> Task | None:
    """The task that drives it, or drove it last."""
    return (await drivers(session, [backfill_id])).get(backfill_id)


async def is_driven_by(
    session: AsyncSession, backfill_id: uuid.UUID, task_id: uuid.UUID, fence: int
) -> bool:
    """Whether this claim of its task is still the one that drives it."""
    found = (
        select(Task.id)
        .join(Backfill, Backfill.id == Task.backfill_id)
        .where(
            Task.id == task_id,
            Backfill.id == backfill_id,
            Task.fence == fence,
            Task.state == TaskState.running,
            Backfill.halted_fence.is_distinct_from(fence),
        )
    )
    return await session.scalar(found) is not None


async def halt(session: AsyncSession, backfill_id: uuid.UUID, fence: int) -> None:
    """Have everything given back that was begun under a fence."""
    await session.execute(
        update(Backfill)
        .where(Backfill.id == backfill_id)
        .values(halted_fence=fence)
        .execution_options(synchronize_session=False)
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Items of a backfill."""

    by_state: Mapping[ItemState, int] = field(default_factory=dict)
    audio_seconds: float = 0.0
    """Of those that are done."""
    model_seconds: float = 0.0
    total_audio_seconds: float = 0.0
    """Of all, as far as it is known."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_state.values())

    @property
    def waiting(self) -> int:
        """Those that are still to be done."""
        return self.by_state.get(ItemState.waiting, 0)


async def counts(
    session: AsyncSession, backfill_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Counts]:
    """The items of each of these."""
    rows = await session.execute(
        select(
            BackfillItem.backfill_id,
            BackfillItem.state,
            func.count(),
            func.sum(BackfillItem.audio_seconds),
            func.sum(BackfillItem.model_seconds),
        )
        .where(BackfillItem.backfill_id.in_(backfill_ids))
        .group_by(BackfillItem.backfill_id, BackfillItem.state)
    )
    found = {backfill_id: Counts() for backfill_id in backfill_ids}
    for backfill_id, state, number, audio, model in rows:
        before = found[backfill_id]
        done = audio if state is ItemState.done else 0.0
        found[backfill_id] = Counts(
            {**before.by_state, state: number},
            before.audio_seconds + done,
            before.model_seconds + model,
            before.total_audio_seconds + audio,
        )
    return found


async def model_seconds(session: AsyncSession, backfill_id: uuid.UUID) -> float:
    """What its items have taken so far."""
    total = select(func.sum(BackfillItem.model_seconds)).where(
        BackfillItem.backfill_id == backfill_id
    )
    return float(await session.scalar(total) or 0.0)


async def errors(session: AsyncSession, backfill_id: uuid.UUID) -> Mapping[tuple[str, str], int]:
    """How many items failed or were skipped, by state and reason."""
    rows = await session.execute(
        select(BackfillItem.state, BackfillItem.error_type, func.count())
        .where(
            BackfillItem.backfill_id == backfill_id,
            BackfillItem.state.in_((ItemState.failed, ItemState.skipped)),
        )
        .group_by(BackfillItem.state, BackfillItem.error_type)
        .order_by(func.count().desc())
    )
    return {(state, error_type or ""): number for state, error_type, number in rows}


async def span(
    session: AsyncSession, backfill_id: uuid.UUID
) -> tuple[datetime | None, datetime | None]:
    """When its first item was begun, and when its last one ended."""
    row = await session.execute(
        select(func.min(BackfillItem.begun_at), func.max(BackfillItem.ended_at)).where(
            BackfillItem.backfill_id == backfill_id
        )
    )
    first, last = row.one()
    return first, last


async def items(
    session: AsyncSession,
    backfill_id: uuid.UUID,
    states: Sequence[ItemState],
    *,
    limit: int,
    offset: int,
) -> tuple[Sequence[BackfillItem], int]:
    """One page of a backfill's items in their order, and how many there are."""
    matching = [BackfillItem.backfill_id == backfill_id]
    if states:
        matching.append(BackfillItem.state.in_(states))
    rows = await session.scalars(
        select(BackfillItem)
        .where(*matching)
        .order_by(BackfillItem.number)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(BackfillItem).where(*matching))
    return rows.all(), total or 0


async def all_items(
    session: AsyncSession, backfill_id: uuid.UUID, at_a_time: int
) -> AsyncIterator[Sequence[BackfillItem]]:
    """All of them in their order, some at a time: memory does not grow with their number."""
    after = -1
    while True:
        rows = await session.scalars(
            select(BackfillItem)
            .where(BackfillItem.backfill_id == backfill_id, BackfillItem.number > after)
            .order_by(BackfillItem.number)
            .limit(at_a_time)
        )
        if not (found := rows.all()):
            return
        yield found
        after = found[-1].number
        session.expunge_all()


async def waiting(
    session: AsyncSession, backfill_id: uuid.UUID, first: int, last: int
) -> Sequence[int]:
    """Those of these numbers, both included, that are still to be done."""
    rows = await session.scalars(
        select(BackfillItem.number)
        .where(
            BackfillItem.backfill_id == backfill_id,
            BackfillItem.state == ItemState.waiting,
            BackfillItem.number.between(first, last),
        )
        .order_by(BackfillItem.number)
    )
    return rows.all()


async def waiting_extent(session: AsyncSession, backfill_id: uuid.UUID) -> tuple[int, int] | None:
    """The first and the last number that is still to be done; None: nothing is."""
    row = await session.execute(
        select(func.min(BackfillItem.number), func.max(BackfillItem.number)).where(
            BackfillItem.backfill_id == backfill_id, BackfillItem.state == ItemState.waiting
        )
    )
    first, last = row.one()
    return None if first is None else (first, last)


async def item(
    session: AsyncSession, backfill_id: uuid.UUID, number: int, *, lock: bool = False
) -> BackfillItem:
    """One item as it is now."""
    query = select(BackfillItem).where(
        BackfillItem.backfill_id == backfill_id, BackfillItem.number == number
    )
    query = query.execution_options(populate_existing=True)
    found: BackfillItem = (
        await session.scalars(query.with_for_update(key_share=True) if lock else query)
    ).one()
    return found


async def next_number(session: AsyncSession, backfill_id: uuid.UUID) -> int:
    """The number that the next item gets."""
    last = select(func.max(BackfillItem.number)).where(BackfillItem.backfill_id == backfill_id)
    found: int | None = await session.scalar(last)
    return 0 if found is None else found + 1


async def add_items(
    session: AsyncSession, backfill_id: uuid.UUID, rows: Iterable[Mapping[str, Any]]
) -> int:
    """Write items down; a file, or a source, that is there already is not written twice.

    How many are new.
    """
    first = await next_number(session, backfill_id)
    values = [
        {
            "backfill_id": backfill_id,
            "number": number,
            "state": ItemState.waiting,
            "media_file_id": None,
            "source": None,
            "facts": {},
            "audio_seconds": 0.0,
            "error_type": None,
            "error_message": None,
            **row,
        }
        for number, row in enumerate(rows, first)
    ]
    if not values:
        return 0
    added = await session.scalars(
        insert(BackfillItem).on_conflict_do_nothing().returning(BackfillItem.number),
        values,
        execution_options={"synchronize_session": False},
    )
    return len(added.all())


async def settle(session: AsyncSession, task_id: uuid.UUID, values: Mapping[str, Any]) -> bool:
    """Write down how the item ended whose task this is; False: it was written before, or none."""
    changed = await session.execute(
        update(BackfillItem)
        .where(BackfillItem.task_id == task_id, BackfillItem.state == ItemState.waiting)
        .values(values)
        .execution_options(synchronize_session=False)
        .returning(BackfillItem.number)
    )
    return changed.scalar_one_or_none() is not None


async def begin_again(
    session: AsyncSession, backfill_id: uuid.UUID, matching: ColumnElement[bool]
) -> int:
    """Have items done again; how many."""
    changed = await session.execute(
        update(BackfillItem)
        .where(BackfillItem.backfill_id == backfill_id, matching)
        .values(
            state=ItemState.waiting,
            task_id=None,
            attempts=0,
            error_type=None,
            error_message=None,
            ended_at=None,
        )
        .execution_options(synchronize_session=False)
        .returning(BackfillItem.number)
    )
    return len(changed.all())


async def reserved_tasks(session: AsyncSession, backfill_id: uuid.UUID) -> Sequence[Task]:
    """Tasks of its files that are not over, locked."""
    rows = await session.scalars(
        select(Task)
        .where(
            Task.backfill_id == backfill_id,
            Task.reserved.is_(True),
            Task.state.in_(ACTIVE),
        )
        .order_by(Task.created_at, Task.id)
        .with_for_update()
    )
    return rows.all()


async def free(session: AsyncSession, task_ids: Collection[uuid.UUID]) -> None:
    """Let ordinary runners have these tasks."""
    await session.execute(
        update(Task)
        .where(Task.id.in_(task_ids))
        .values(reserved=False)
        .execution_options(synchronize_session=False)
    )


async def users_wait(
    session: AsyncSession, kinds: Collection[TaskKind], states: Collection[TaskState]
) -> bool:
    """Whether work of users who wait, of these kinds, is in one of these states."""
    # Said in words, not by lists: PostgreSQL then sees that a partial index has all of it.
    found = select(Task.id).where(
        Task.state.in_(ACTIVE),
        Task.state.in_(states),
        Task.lane.in_(UNTIL_BUSY),
        Task.kind.in_(kinds),
        Task.reserved.is_(False),
        Task.run_after <= func.now(),
    )
    return await session.scalar(found.limit(1)) is not None


def made_otherwise(fingerprint: str) -> ColumnElement[bool]:
    """Items that were done under another fingerprint."""
    return and_(
        BackfillItem.state == ItemState.done,
        BackfillItem.fingerprint.is_distinct_from(fingerprint),
    )
