"""Asks for the stores of search to be made anew or mended: one such task at a time."""

import uuid
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Lane, Task, TaskKind, TaskState
from db.queries import tasks
from pipelines import queue
from pipelines.errors import TaskActive

LOCK = 0x72617973_69647861
"""Advisory lock: who asks sees who has asked before."""
ACTION = "action"
"""The option that says what a task does."""


class Action(StrEnum):
    """What is done with the stores."""

    reindex = "reindex"
    """Everything is brought to both anew; what no longer belongs to them goes."""
    repair = "repair"
    """Only what differs from the rows is brought to them, or goes."""


async def submit(session: AsyncSession, user_id: uuid.UUID, action: Action) -> Task:
    """Queue it in the bulk lane; an administrator's task. Tells clients: call it late.

    Raises:
        TaskActive: one waits or is at work.
    """
    await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    if (task := await active(session)) is not None:
        raise TaskActive(task.id, task.state)
    return await queue.submit(
        session,
        user_id=user_id,
        media_file_id=None,
        kind=TaskKind.search_index,
        lane=Lane.bulk,
        options={ACTION: action},
    )


async def active(session: AsyncSession) -> Task | None:
    """The task that waits or is at work."""
    return await tasks.latest_of_kind(session, TaskKind.search_index, tasks.ACTIVE)


async def latest(session: AsyncSession) -> Task | None:
    """The newest one, also if it is over."""
    return await tasks.latest_of_kind(session, TaskKind.search_index)


async def stop(session: AsyncSession) -> Task | None:
    """Cancel the task that waits or is at work; None: there is none."""
    found = await active(session)
    if found is None:
        return None
    task = await tasks.get(session, found.user_id, found.id, lock=True)
    await session.refresh(task)
    if task.state in tasks.ACTIVE and task.state is not TaskState.cancelling:
        await queue.cancel(session, task)
    return task
