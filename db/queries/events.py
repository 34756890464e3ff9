"""Task events, numbered per user without gaps, so that a client can replay what it missed."""

import uuid
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Task, TaskEvent, User
from db.notify import EVENTS, notify


async def append(session: AsyncSession, task: Task, kind: str, payload: dict[str, Any]) -> int:
    """Add an event and say its number.

    Call it last in a transaction: the user's row stays locked until the commit, which is what keeps
    numbers in commit order.
    """
    await session.flush()
    sequence: int | None = await session.scalar(
        update(User)
        .where(User.id == task.user_id)
        .values(event_sequence=User.event_sequence + 1, updated_at=User.updated_at)
        .returning(User.event_sequence)
    )
    if sequence is None:
        raise RuntimeError(f"task {task.id} belongs to no user")
    session.add(
        TaskEvent(
            user_id=task.user_id, sequence=sequence, task_id=task.id, type=kind, payload=payload
        )
    )
    await session.flush()
    await notify(session, EVENTS, f"{task.user_id} {sequence}")
    return sequence


async def of_task(session: AsyncSession, task_id: uuid.UUID) -> list[TaskEvent]:
    """A task's events, oldest first."""
    rows = await session.scalars(
        select(TaskEvent).where(TaskEvent.task_id == task_id).order_by(TaskEvent.sequence)
    )
    return list(rows)
