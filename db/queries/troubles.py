"""What is wrong with a user's files: runners that fell silent, failures, and how long ago."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import FileStatus, MediaFile, Task, TaskState
from db.queries.tasks import LANGUAGE, is_overdue


async def stuck(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int = 0
) -> tuple[list[tuple[MediaFile, Task]], int]:
    """Files whose runner has fallen silent, with their task, silent longest first; and how many."""
    matching = (Task.user_id == user_id, MediaFile.user_id == user_id, is_overdue())
    joined = select(MediaFile, Task).join(Task, Task.media_file_id == MediaFile.id).where(*matching)
    rows = await session.execute(
        joined.order_by(Task.lease_expires_at.nulls_first(), Task.id).limit(limit).offset(offset)
    )
    total = await session.scalar(joined.with_only_columns(func.count(), maintain_column_froms=True))
    return [(file, task) for file, task in rows], total or 0


async def failed(session: AsyncSession, user_id: uuid.UUID, *, limit: int) -> Sequence[uuid.UUID]:
    """Files that failed, newest first."""
    rows = await session.scalars(
        select(MediaFile.id)
        .where(MediaFile.user_id == user_id, MediaFile.status == FileStatus.failed)
        .order_by(MediaFile.created_at.desc(), MediaFile.id.desc())
        .limit(limit)
    )
    return rows.all()


async def last_failure(session: AsyncSession, file_id: uuid.UUID) -> Task | None:
    """The latest task of a file that an attempt of failed, whatever came of it then.

    A summary that failed is no trouble of its file.
    """
    task: Task | None = await session.scalar(
        select(Task)
        .where(
            Task.media_file_id == file_id,
            Task.error_type.is_not(None),
            Task.kind.not_in(LANGUAGE),
        )
        .order_by(Task.created_at.desc(), Task.id)
        .limit(1)
    )
    return task


async def tried_within(session: AsyncSession, file_id: uuid.UUID, time: timedelta) -> bool:
    """Whether a task of this file was asked for so lately, by the database's clock."""
    lately: ColumnElement[bool] = Task.created_at > func.now() - time
    ours = Task.media_file_id == file_id, Task.kind.not_in(LANGUAGE)
    found = select(Task.id).where(*ours, lately).limit(1)
    return await session.scalar(found) is not None


async def has_overdue(session: AsyncSession, file_id: uuid.UUID) -> bool:
    """Whether a runner that has a task of this file has fallen silent."""
    held = Task.state.in_((TaskState.running, TaskState.cancelling))
    found = select(Task.id).where(Task.media_file_id == file_id, held, is_overdue()).limit(1)
    return await session.scalar(found) is not None
