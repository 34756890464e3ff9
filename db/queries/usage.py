"""The ledger of what users have used."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Task, UsageEntry, UsageMeasure, User


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of a measure."""

    measure: UsageMeasure
    amount: float
    stage: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """From a moment on, until before another; None: without an end."""

    date_from: datetime | None = None
    date_to: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """For a WHERE."""
        found = []
        if self.date_from is not None:
            found.append(UsageEntry.created_at >= self.date_from)
        if self.date_to is not None:
            found.append(UsageEntry.created_at < self.date_to)
        return found


async def add(session: AsyncSession, task: Task, amounts: Collection[Amount]) -> None:
    """Write down what a task used, in the transaction that completes it.

    A second time for the same task is an IntegrityError: nothing is counted twice.
    """
    session.add_all(
        UsageEntry(
            user_id=task.user_id,
            task_id=task.id,
            kind=task.kind.value,
            lane=task.lane.value,
            measure=one.measure,
            stage=one.stage,
            model=one.model,
            amount=one.amount,
        )
        for one in amounts
    )
    await session.flush()


async def totals(
    session: AsyncSession, user_ids: Collection[uuid.UUID], period: Period
) -> Mapping[uuid.UUID, Sequence[Amount]]:
    """What each of these users used: a sum for each measure, stage and model."""
    keys = (UsageEntry.measure, UsageEntry.stage, UsageEntry.model)
    rows = await session.execute(
        select(UsageEntry.user_id, *keys, func.sum(UsageEntry.amount))
        .where(UsageEntry.user_id.in_(user_ids), *period.conditions())
        .group_by(UsageEntry.user_id, *keys)
        .order_by(*keys)
    )
    found: dict[uuid.UUID, list[Amount]] = {user_id: [] for user_id in user_ids}
    for user_id, measure, stage, model, amount in rows:
        found[user_id].append(Amount(measure, float(amount), stage, model))
    return found


async def users(
    session: AsyncSession,
    period: Period,
    *,
    user_id: uuid.UUID | None = None,
    limit: int,
    after: uuid.UUID | None = None,
    offset: int = 0,
) -> Sequence[uuid.UUID]:
    """Users who used anything, by id; whether or not their accounts are still there."""
    matching = period.conditions()
    if user_id is not None:
        matching.append(UsageEntry.user_id == user_id)
    if after is not None:
        matching.append(UsageEntry.user_id > after)
    rows = await session.scalars(
        select(UsageEntry.user_id)
        .where(*matching)
        .distinct()
        .order_by(UsageEntry.user_id)
        .limit(limit)
        .offset(offset)
    )
    return rows.all()


async def count_users(
    session: AsyncSession, period: Period, user_id: uuid.UUID | None = None
) -> int:
    """How many users used anything."""
    matching = period.conditions()
    if user_id is not None:
        matching.append(UsageEntry.user_id == user_id)
    total = await session.scalar(select(func.count(UsageEntry.user_id.distinct())).where(*matching))
    return total or 0


async def emails(session: AsyncSession, user_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """The addresses of those of these users whose accounts are still there."""
    rows = await session.execute(select(User.id, User.email).where(User.id.in_(user_ids)))
    return dict(rows.tuples().all())


async def audio_of_the_last(
    session: AsyncSession, age: timedelta, named: int
) -> tuple[Mapping[uuid.UUID, float], float]:
    """Seconds of audio published lately: of the users with most, and of all others together."""
    amount = func.sum(UsageEntry.amount)
    rows = await session.execute(
        select(UsageEntry.user_id, amount)
        .where(
            UsageEntry.measure == UsageMeasure.audio_seconds,
            UsageEntry.created_at >= func.now() - age,
        )
        .group_by(UsageEntry.user_id)
        .order_by(amount.desc(), UsageEntry.user_id)
    )
    found = [(user_id, float(seconds)) for user_id, seconds in rows]
    return dict(found[:named]), sum(seconds for _, seconds in found[named:])
