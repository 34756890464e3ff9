"""What users' clients are told, numbered per user without gaps, so that they can replay it."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import MediaFile, Task, TaskEvent, TaskState, User
from db.notify import EVENTS, notify
from db.queries import media_files, tasks


async def append(
    session: AsyncSession,
    user_id: uuid.UUID,
    kind: str,
    payload: Mapping[str, Any],
    *,
    task_id: uuid.UUID | None = None,
    media_file_id: uuid.UUID | None = None,
) -> int:
    """Add an event and say its number.

    Call it last in a transaction: the user's row stays locked until the commit, which is what keeps
    numbers in commit order.
    """
    await session.flush()
    sequence: int | None = await session.scalar(
        update(User)
        .where(User.id == user_id)
        .values(event_sequence=User.event_sequence + 1, updated_at=User.updated_at)
        .returning(User.event_sequence)
        .execution_options(synchronize_session=False)
    )
    if sequence is None:
        raise RuntimeError(f"an event of nobody: there is no user {user_id}")
    session.add(
        TaskEvent(
            user_id=user_id,
            sequence=sequence,
            task_id=task_id,
            media_file_id=media_file_id,
            type=kind,
            payload=dict(payload),
        )
    )
    await session.flush()
    await notify(session, EVENTS, f"{user_id} {sequence}")
    return sequence


async def after(
    session: AsyncSession,
    user_id: uuid.UUID,
    sequence: int,
    limit: int,
    *,
    media_file_id: uuid.UUID | None = None,
) -> Sequence[TaskEvent]:
    """A user's events with higher numbers, oldest first; all of them, or those of one file."""
    matching = [TaskEvent.user_id == user_id, TaskEvent.sequence > sequence]
    if media_file_id is not None:
        matching.append(TaskEvent.media_file_id == media_file_id)
    rows = await session.scalars(
        select(TaskEvent).where(*matching).order_by(TaskEvent.sequence).limit(limit)
    )
    return rows.all()


async def bounds(session: AsyncSession, user_id: uuid.UUID) -> tuple[int, int]:
    """The number before the oldest event that is kept, and that of the latest one ever given."""
    oldest = (
        select(func.min(TaskEvent.sequence)).where(TaskEvent.user_id == user_id).scalar_subquery()
    )
    # One statement, so that both numbers are of one moment.
    row = await session.execute(select(oldest, User.event_sequence).where(User.id == user_id))
    first, latest = row.one()
    return (latest if first is None else first - 1), latest


@dataclass(frozen=True, slots=True)
class Standing:
    """A task and its file at the moment when the last event of their user had this number."""

    task: Task | None
    file: MediaFile | None
    sequence: int


async def standing_of_file(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> Standing:
    """A file and its newest task.

    Raises:
        NotFound: there is no such file that this user may see.
    """
    found = await session.execute(
        select(Task, MediaFile, User.event_sequence)
        .select_from(MediaFile)
        .join(User, User.id == MediaFile.user_id)
        .outerjoin(Task, and_(Task.media_file_id == MediaFile.id, tasks.TRANSCRIBES))
        .where(MediaFile.id == file_id, media_files.readable_by(user_id))
        .order_by(Task.created_at.desc(), Task.id)
        .limit(1)
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound("file", str(file_id))
    return Standing(*row)


async def standing_of_running(
    session: AsyncSession, task_ids: Collection[uuid.UUID]
) -> list[Standing]:
    """Those of these tasks that run, of whichever users."""
    rows = await session.execute(
        select(Task, MediaFile, User.event_sequence)
        .join(User, User.id == Task.user_id)
        .outerjoin(MediaFile, MediaFile.id == Task.media_file_id)
        .where(Task.id.in_(task_ids), Task.state == TaskState.running)
    )
    return [Standing(*row) for row in rows]


async def of_task(session: AsyncSession, task_id: uuid.UUID) -> list[TaskEvent]:
    """A task's events, oldest first."""
    rows = await session.scalars(
        select(TaskEvent).where(TaskEvent.task_id == task_id).order_by(TaskEvent.sequence)
    )
    return list(rows)
