"""Asks for a language model's work on a file: what is refused, and the new task.

Such a task counts for no seconds of audio, which is the least that a task costs: it hears nothing,
and takes none of the time that users of the speech models share. With the recording's length it
would put off its user's next recording for work that was not theirs. What it does take, calls of
the language model, is shared out call by call (`pipelines.job.Shared.calls`).
"""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import LanguageSettings
from db.models import Lane, MediaFile, Task, TaskKind, TaskState
from db.queries.tasks import ACTIVE
from pipelines import queue
from pipelines.errors import NotConfigured, TaskActive
from pipelines.language import configurations

AUTOMATIC = "automatic"
"""The option of a task that nobody asked for: it followed a transcription."""


async def require_model(
    session: AsyncSession, user_id: uuid.UUID, settings: LanguageSettings
) -> None:
    """See that a user's work can be done.

    Raises:
        NotConfigured: no language model is set up.
    """
    if await configurations.find(session, user_id, settings) is None:
        raise NotConfigured


async def submit(
    session: AsyncSession,
    file: MediaFile,
    kind: TaskKind,
    options: Mapping[str, Any],
    lane: Lane = Lane.interactive,
    backfill_id: uuid.UUID | None = None,
) -> Task:
    """Queue work on a file whose row is locked; it tells clients, so call it last.

    Raises:
        TaskActive: there is a task of this kind that is not over.
    """
    active = await _task(session, file.id, kind, ACTIVE)
    if active is not None:
        raise TaskActive(active.id, active.state)
    return await queue.submit(
        session,
        user_id=file.user_id,
        media_file_id=file.id,
        kind=kind,
        lane=lane,
        options=options,
        backfill_id=backfill_id,
    )


async def follow(session: AsyncSession, after: Task, kind: TaskKind) -> Task | None:
    """Queue work on a file whose transcription is completed by this transaction, in its lane.

    None: such work waits already. One that is running does not count: it may have read the
    transcript that was replaced just now.
    """
    if after.media_file_id is None:
        raise ValueError(f"task {after.id} has no file")
    if await _task(session, after.media_file_id, kind, (TaskState.queued,)) is not None:
        return None
    return await queue.submit(
        session,
        user_id=after.user_id,
        media_file_id=after.media_file_id,
        kind=kind,
        lane=after.lane,
        options={AUTOMATIC: True},
    )


async def _task(
    session: AsyncSession, file_id: uuid.UUID, kind: TaskKind, states: tuple[TaskState, ...]
) -> Task | None:
    """A task of a file, kind and one of these states."""
    task: Task | None = await session.scalar(
        select(Task)
        .where(Task.media_file_id == file_id, Task.kind == kind, Task.state.in_(states))
        .order_by(Task.created_at, Task.id)
        .limit(1)
    )
    return task


async def latest(session: AsyncSession, file_id: uuid.UUID, kind: TaskKind) -> Task | None:
    """The newest task of a file and kind."""
    task: Task | None = await session.scalar(
        select(Task)
        .where(Task.media_file_id == file_id, Task.kind == kind)
        .order_by(Task.created_at.desc(), Task.id)
        .limit(1)
    )
    return task
