"""Whose turn it is, as the tables say: reads what `pipelines.schedule` decides on, and keeps it."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, ScalarSelect, case, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import RunnerSettings
from db.models import Lane, QueueClock, Task, TaskKind, TaskState, User
from db.queries.tasks import HELD
from pipelines import schedule
from pipelines.language.kinds import KINDS as LANGUAGE
from pipelines.schedule import Clock, Head, Limits, Share

Number = TypeVar("Number", int, float)


async def take(
    session: AsyncSession, row: QueueClock, settings: RunnerSettings, full_of: Collection[TaskKind]
) -> Task | None:
    """The task whose turn it is, locked; its user is charged."""
    heads = await _heads(session, full_of)
    if not heads:
        return None
    clock = Clock(_by_lane(row.virtual_time), _by_lane(row.passed))
    limits = Limits(
        settings.max_tasks_per_user,
        settings.lane_patience,
        settings.max_language_tasks_per_user,
    )
    shares = await _shares(session, {head.user_id for head in heads})
    while choice := schedule.choose(heads, shares, clock, limits):
        task: Task | None = await session.scalar(
            select(Task)
            .where(Task.id == choice.head.task_id, Task.state == TaskState.queued)
            .with_for_update(skip_locked=True)
        )
        if task is not None:
            row.virtual_time = _stored(choice.clock.virtual_time)
            row.passed = _stored(choice.clock.passed)
            await session.execute(
                update(User)
                .where(User.id == task.user_id)
                .values(served=_stored(choice.served), updated_at=User.updated_at)
                .execution_options(synchronize_session=False)
            )
            return task
        # Somebody is cancelling it at this moment.
        heads = [head for head in heads if head.task_id != choice.head.task_id]
    return None


async def _heads(session: AsyncSession, full_of: Collection[TaskKind]) -> Sequence[Head]:
    """The oldest waiting task of each user, lane and sort, of the kinds that have a place."""
    # By its name: PostgreSQL takes the same question with other parameters for another one.
    sort: ColumnElement[bool] = literal_column("is_language")
    rows = await session.execute(
        select(
            Task.id,
            Task.user_id,
            Task.lane,
            # Whoever was claimed before has paid.
            case((Task.fence == 0, Task.audio_seconds), else_=0.0),
            Task.created_at,
            Task.kind.in_(LANGUAGE).label("is_language"),
        )
        .ext(distinct_on(Task.user_id, Task.lane, sort))
        .where(
            Task.state == TaskState.queued,
            Task.run_after <= func.now(),
            Task.kind.not_in(full_of),
            Task.reserved.is_(False),
        )
        .order_by(Task.user_id, Task.lane, sort, Task.created_at, Task.id)
    )
    return [Head(*row) for row in rows]


async def _shares(session: AsyncSession, users: set[uuid.UUID]) -> dict[uuid.UUID, Share]:
    def held(of_this_sort: ColumnElement[bool]) -> ScalarSelect[int]:
        return (
            select(func.count())
            .select_from(Task)
            .where(
                Task.user_id == User.id,
                Task.state.in_(HELD),
                of_this_sort,
                # What a backfill does to a user's files keeps none of their own work waiting.
                Task.reserved.is_(False),
            )
            .scalar_subquery()
        )

    speech, language = held(Task.kind.not_in(LANGUAGE)), held(Task.kind.in_(LANGUAGE))
    rows = await session.execute(
        select(User.id, User.served, User.share_weight, speech, language).where(User.id.in_(users))
    )
    return {
        user: Share(_by_lane(served), weight, running, at_models)
        for user, served, weight, running, at_models in rows
    }


def _by_lane(stored: Mapping[str, Number]) -> dict[Lane, Number]:
    return {Lane(lane): number for lane, number in stored.items()}


def _stored(by_lane: Mapping[Lane, Number]) -> dict[str, Number]:
    return {lane.value: number for lane, number in by_lane.items()}
