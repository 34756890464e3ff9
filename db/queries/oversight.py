"""What operators ask of all users' tasks and files; nothing here is scoped by owner."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import FileStatus, Lane, MediaFile, Task, TaskState, User
from db.queries.tasks import ACTIVE, HELD, is_overdue


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """What of a lane waits, and what runs."""

    waiting_audio_seconds: float = 0.0
    waiting_oldest_seconds: float = 0.0
    running_oldest_seconds: float = 0.0
    overdue: int = 0


async def load(session: AsyncSession) -> Mapping[Lane, LaneLoad]:
    """Every lane's load, from the rows of tasks that are not over."""
    queued = Task.state == TaskState.queued
    # A waiting task is written only when it begins to wait, and may be told to wait longer.
    since = func.greatest(Task.run_after, Task.updated_at)
    rows = await session.execute(
        select(
            Task.lane,
            func.coalesce(func.sum(Task.audio_seconds).filter(queued), 0.0),
            _age(func.min(since).filter(queued)),
            _age(func.min(Task.started_at).filter(Task.state.in_(HELD))),
            func.count().filter(is_overdue()),
        )
        .where(Task.state.in_(ACTIVE))
        .group_by(Task.lane)
    )
    found = {
        lane: LaneLoad(float(audio), float(waiting), float(running), overdue)
        for lane, audio, waiting, running, overdue in rows
    }
    return {lane: found.get(lane, LaneLoad()) for lane in Lane}


def _age(moment: Any) -> ColumnElement[float]:
    """Seconds since a moment; 0 where there is none, or where it is still to come."""
    return func.greatest(func.coalesce(func.extract("epoch", func.now() - moment), 0), 0)


async def task(session: AsyncSession, task_id: uuid.UUID, *, lock: bool = False) -> Task:
    """Anybody's task.

    Raises:
        NotFound: there is none.
    """
    found: Task | None = await session.get(Task, task_id, with_for_update=lock)
    if found is None:
        raise NotFound("task", str(task_id))
    return found


async def require_user(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Raise NotFound where there is no such account."""
    if await session.get(User, user_id) is None:
        raise NotFound("user", str(user_id))


async def overdue(
    session: AsyncSession,
    *,
    limit: int,
    user_id: uuid.UUID | None = None,
    file_id: uuid.UUID | None = None,
) -> Sequence[Task]:
    """Tasks in the hands of runners that have fallen silent, those silent longest first."""
    matching = [is_overdue()]
    if user_id is not None:
        matching.append(Task.user_id == user_id)
    if file_id is not None:
        matching.append(Task.media_file_id == file_id)
    rows = await session.scalars(
        select(Task)
        .where(*matching)
        .order_by(Task.lease_expires_at.nulls_first(), Task.id)
        .limit(limit)
    )
    return rows.all()


async def files_by_status(
    session: AsyncSession, user_id: uuid.UUID | None = None
) -> Mapping[FileStatus, int]:
    """How many files are in each status, of everybody or of one user."""
    rows = await session.execute(
        select(MediaFile.status, func.count())
        .where(*([MediaFile.user_id == user_id] if user_id else []))
        .group_by(MediaFile.status)
    )
    counted = dict(rows.all())
    return {status: counted.get(status, 0) for status in FileStatus}
