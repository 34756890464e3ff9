"""Reading tasks. Changing them is the business of pipelines.queue and pipelines.task_state."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import Task, TaskKind, TaskState

HELD = (TaskState.running, TaskState.cancelling)
"""States of a task that a runner has."""
ACTIVE = (TaskState.queued, *HELD)
TRANSCRIBES = Task.kind == TaskKind.transcription
"""The kind from which a file's status follows; a download is over when its file is made."""
LANGUAGE = frozenset(
    {TaskKind.summarization, TaskKind.speaker_identification, TaskKind.topic_extraction}
)
"""Kinds that are a language model's work on a transcript: nothing of a file follows from them."""


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Tasks that are this user's."""
    return Task.user_id == user_id


def is_overdue() -> ColumnElement[bool]:
    """Whether the runner that has a task has fallen silent."""
    lost = or_(Task.lease_expires_at.is_(None), Task.lease_expires_at < func.now())
    return and_(Task.state.in_(HELD), lost)


async def get(
    session: AsyncSession, user_id: uuid.UUID, task_id: uuid.UUID, *, lock: bool = False
) -> Task:
    """One task; `lock` keeps its state as it is until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(Task).where(Task.id == task_id, readable_by(user_id))
    task: Task | None = await session.scalar(query.with_for_update() if lock else query)
    if task is None:
        raise NotFound("task", str(task_id))
    return task


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilters:
    """What tasks a list shows; what is left out narrows nothing."""

    states: Sequence[TaskState] = ()
    kinds: Sequence[TaskKind] = ()
    file_id: uuid.UUID | None = None
    parent_id: uuid.UUID | None = None
    periods: Sequence[tuple[datetime | None, datetime | None]] = ()
    """From when until before when a task was asked for: in all of these."""


def _conditions(filters: TaskFilters) -> Iterator[ColumnElement[bool]]:
    if filters.states:
        yield Task.state.in_(filters.states)
    if filters.kinds:
        yield Task.kind.in_(filters.kinds)
    if filters.file_id is not None:
        yield Task.media_file_id == filters.file_id
    if filters.parent_id is not None:
        yield Task.parent_id == filters.parent_id
    for start, end in filters.periods:
        if start is not None:
            yield Task.created_at >= start
        if end is not None:
            yield Task.created_at < end


async def page(
    session: AsyncSession, user_id: uuid.UUID, filters: TaskFilters, *, limit: int, offset: int
) -> tuple[Sequence[Task], int]:
    """One page of a user's tasks, newest first, and how many there are in all."""
    matching = [readable_by(user_id), *_conditions(filters)]
    rows = await session.scalars(
        select(Task)
        .where(*matching)
        .order_by(Task.created_at.desc(), Task.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(Task).where(*matching))
    return rows.all(), total or 0


async def latest_of_file(session: AsyncSession, file_id: uuid.UUID) -> Task | None:
    """The newest transcription of a file: its status follows from this one."""
    task: Task | None = await session.scalar(
        select(Task)
        .where(Task.media_file_id == file_id, TRANSCRIBES)
        .order_by(Task.created_at.desc(), Task.id)
        .limit(1)
    )
    return task


async def latest_of_files(
    session: AsyncSession, file_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Task]:
    """The newest transcription of each of these files."""
    rows = await session.scalars(
        select(Task)
        .ext(distinct_on(Task.media_file_id))
        .where(Task.media_file_id.in_(file_ids), TRANSCRIBES)
        .order_by(Task.media_file_id, Task.created_at.desc(), Task.id)
    )
    return {task.media_file_id: task for task in rows if task.media_file_id}


async def locked_active_of_file(session: AsyncSession, file_id: uuid.UUID) -> Sequence[Task]:
    """A file's tasks that are not over; no runner can claim them until this transaction ends."""
    rows = await session.scalars(
        select(Task)
        .where(Task.media_file_id == file_id, Task.state.in_(ACTIVE))
        .order_by(Task.created_at)
        .with_for_update()
    )
    return rows.all()


async def locked_active_of_user(session: AsyncSession, user_id: uuid.UUID) -> Sequence[Task]:
    """A user's tasks that are not over; no runner can claim them until this transaction ends."""
    rows = await session.scalars(
        select(Task)
        .where(Task.user_id == user_id, Task.state.in_(ACTIVE))
        .order_by(Task.created_at, Task.id)
        .with_for_update()
    )
    return rows.all()


async def has_active(session: AsyncSession, file_id: uuid.UUID) -> bool:
    """Whether a file has a task that is not over."""
    found = select(Task.id).where(Task.media_file_id == file_id, Task.state.in_(ACTIVE)).limit(1)
    return await session.scalar(found) is not None


async def latest_of_kind(
    session: AsyncSession, kind: TaskKind, states: Sequence[TaskState] = tuple(TaskState)
) -> Task | None:
    """The newest task of a kind, whoever asked for it, that is in one of these states."""
    task: Task | None = await session.scalar(
        select(Task)
        .where(Task.kind == kind, Task.state.in_(states))
        .order_by(Task.created_at.desc(), Task.id)
        .limit(1)
    )
    return task


async def count_by_state(session: AsyncSession) -> Mapping[TaskState, int]:
    """How many tasks of all users are in each state."""
    rows = await session.execute(select(Task.state, func.count()).group_by(Task.state))
    return dict(rows.all())
