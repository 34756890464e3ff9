"""Recordings that users fetch from addresses: which they have, and how many they asked for."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import MediaFile, Task, TaskKind, TaskState
from db.queries.media_files import COUNTS_AS_DUPLICATE
from db.queries.tasks import ACTIVE, readable_by

KINDS = (TaskKind.download, TaskKind.playlist)
LOCK = 0x64776E6C
"""With a user: whoever asks for a download sees those that were asked for before."""
URL = Task.options["url"].astext


async def lock(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Let no other download of this user begin until this transaction ends."""
    key = func.hashtextextended(str(user_id), LOCK)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def get(session: AsyncSession, user_id: uuid.UUID, task_id: uuid.UUID) -> Task:
    """A download or playlist.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(Task).where(Task.id == task_id, readable_by(user_id), Task.kind.in_(KINDS))
    task: Task | None = await session.scalar(query)
    if task is None:
        raise NotFound("download", str(task_id))
    return task


async def files_from(
    session: AsyncSession, user_id: uuid.UUID, urls: Collection[str]
) -> Mapping[str, uuid.UUID]:
    """The user's files from these addresses, unless they came to nothing."""
    rows = await session.execute(
        select(MediaFile.source_url, MediaFile.id).where(
            MediaFile.user_id == user_id, MediaFile.source_url.in_(urls), COUNTS_AS_DUPLICATE
        )
    )
    return {url: file_id for url, file_id in rows if url is not None}


async def active_from(
    session: AsyncSession, user_id: uuid.UUID, urls: Collection[str]
) -> Mapping[str, uuid.UUID]:
    """The user's downloads from these addresses that are not over."""
    rows = await session.execute(
        select(URL, Task.id).where(
            readable_by(user_id), Task.kind.in_(KINDS), Task.state.in_(ACTIVE), URL.in_(urls)
        )
    )
    return dict(rows.all())


async def count_open(session: AsyncSession, user_id: uuid.UUID) -> int:
    """How many of the user's downloads are not over."""
    query = select(func.count()).where(
        readable_by(user_id), Task.kind.in_(KINDS), Task.state.in_(ACTIVE)
    )
    return await session.scalar(query) or 0


async def asked_for(
    session: AsyncSession, user_id: uuid.UUID, within: timedelta, limit: int
) -> tuple[int, float]:
    """How many downloads a user asked for lately, and in how many seconds they are below `limit`.

    0.0: they are already.
    """
    recent = (
        select(
            Task.created_at, func.row_number().over(order_by=Task.created_at.desc()).label("place")
        )
        .where(readable_by(user_id), Task.kind.in_(KINDS), Task.created_at > func.now() - within)
        .subquery()
        .c
    )
    # The limit-th newest one has to leave the time that counts.
    leaves = func.max(recent.created_at).filter(recent.place == limit) + within - func.now()
    row = await session.execute(select(func.count(), func.extract("epoch", leaves)))
    count, seconds = row.one()
    return count, float(seconds or 0.0)


async def outlive(session: AsyncSession, file_id: uuid.UUID) -> None:
    """Keep the download that fetched a file which is to be deleted: it still counts as asked for.

    What hangs on a file goes with it, and with its download the user's quota would come back.
    """
    await session.execute(
        update(Task)
        .where(Task.media_file_id == file_id, Task.kind.in_(KINDS))
        .values(media_file_id=None)
        .execution_options(synchronize_session=False)
    )


async def entries(
    session: AsyncSession, parent_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Task], int]:
    """One page of the downloads that a playlist began, in its order, and how many there are."""
    matching = Task.parent_id == parent_id
    rows = await session.scalars(
        select(Task).where(matching).order_by(Task.run_after, Task.id).limit(limit).offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(Task).where(matching))
    return rows.all(), total or 0


async def entries_by_state(session: AsyncSession, parent_id: uuid.UUID) -> Mapping[TaskState, int]:
    """How many downloads of a playlist are in each state."""
    rows = await session.execute(
        select(Task.state, func.count()).where(Task.parent_id == parent_id).group_by(Task.state)
    )
    return dict(rows.all())


async def locked_open(session: AsyncSession, task_id: uuid.UUID) -> Sequence[Task]:
    """A download and the entries that it began, as far as they are not over."""
    # A statement sees what was there when it began, so the entries are read by another one: those
    # that a runner was beginning while this one waited are there by then.
    await session.execute(select(Task.id).where(Task.id == task_id).with_for_update())
    rows = await session.scalars(
        select(Task)
        .where((Task.id == task_id) | (Task.parent_id == task_id), Task.state.in_(ACTIVE))
        .order_by(Task.created_at, Task.id)
        .with_for_update()
    )
    return rows.all()
