"""What an operator sees of the work at a glance: what runs, and what failed lately."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Task, TaskState
from db.queries.tasks import HELD

LATELY = timedelta(days=7)
"""Failures that are older are no news; the bound keeps the question cheap."""


async def running(session: AsyncSession, limit: int) -> Sequence[Task]:
    """Tasks in the hands of runners, the oldest first."""
    rows = await session.scalars(
        select(Task)
        .where(Task.state.in_(HELD))
        .order_by(Task.started_at.nulls_first(), Task.id)
        .limit(limit)
    )
    return rows.all()


async def failed_lately(session: AsyncSession, limit: int) -> Sequence[Task]:
    """The newest of the tasks that failed, of those that were made lately."""
    rows = await session.scalars(
        select(Task)
        .where(Task.state == TaskState.failed, Task.created_at >= func.now() - LATELY)
        .order_by(Task.finished_at.desc(), Task.id)
        .limit(limit)
    )
    return rows.all()
