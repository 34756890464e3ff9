"""The task queue: rows of the `task` table, claimed under a lease and a fence.

Times are the database's. A claim skips rows that others have locked, takes those that are queued
and due, and those whose lease ran out: their runner is taken for dead.
"""

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Interval, and_, case, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import RunnerSettings
from db.errors import FenceLost
from db.models import Lane, Task, TaskKind, TaskState
from db.notify import TASKS, notify
from db.queries import events
from pipelines.task_state import transition

LANE_ORDER = case({lane.value: rank for rank, lane in enumerate(Lane)}, value=Task.lane)
EXHAUSTED = "attempts_exhausted"


def _seconds(value: float) -> Any:
    return func.make_interval(0, 0, 0, 0, 0, 0, value, type_=Interval)


@dataclass(frozen=True, slots=True)
class Claim:
    """A task in this runner's hands: every write names the fence."""

    task_id: uuid.UUID
    fence: int


async def submit(
    session: AsyncSession,
    *,
    user_id: uuid.UUID,
    media_file_id: uuid.UUID | None,
    kind: TaskKind = TaskKind.transcription,
    lane: Lane = Lane.interactive,
    options: Mapping[str, Any] | None = None,
    audio_seconds: float = 0.0,
) -> Task:
    """Add a task; it exists if and only if this transaction commits, and wakes a runner then."""
    task = Task(
        user_id=user_id,
        media_file_id=media_file_id,
        kind=kind,
        lane=lane,
        options=dict(options or {}),
        audio_seconds=audio_seconds,
    )
    session.add(task)
    await session.flush()
    await notify(session, TASKS)
    await events.append(session, task, "task.queued", {"state": TaskState.queued, "attempt": 0})
    return task


async def claim(
    session: AsyncSession, owner: str, limit: int, settings: RunnerSettings
) -> list[Task]:
    """Take up to `limit` tasks: attempt and fence grow, the lease starts.

    A task that has used up its attempts is failed here instead, so that a file which kills its
    runner stops after `max_attempts` whatever the runner could or could not write.
    """
    due = or_(
        and_(Task.state == TaskState.queued, Task.run_after <= func.now()),
        and_(
            Task.state.in_([TaskState.running, TaskState.cancelling]),
            Task.lease_expires_at < func.now(),
        ),
    )
    tasks = await session.scalars(
        select(Task)
        .where(due)
        .order_by(LANE_ORDER, Task.created_at, Task.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = []
    for task in tasks:
        if task.state is TaskState.cancelling:
            await transition(session, task, TaskState.cancelled)
        elif task.attempt >= settings.max_attempts:
            await _give_up(session, task)
        else:
            await transition(
                session,
                task,
                TaskState.running,
                attempt=task.attempt + 1,
                fence=task.fence + 1,
                lease_owner=owner,
                lease_expires_at=func.now() + _seconds(settings.lease_seconds),
                started_at=func.coalesce(Task.started_at, func.now()),
            )
            taken.append(task)
    return taken


async def _give_up(session: AsyncSession, task: Task) -> None:
    message = (
        f"Processing was started {task.attempt} times and did not come to an end"
        + (f"; the last error was: {task.error_message}" if task.error_message else "")
        + ". The file may be one that the decoder or a model cannot survive; ask an operator for "
        "the log of this task before you try again."
    )
    if task.state is TaskState.queued:
        # A dead letter goes through `running` under a fence of its own: its old runner may live.
        await transition(session, task, TaskState.running, fence=task.fence + 1)
    await transition(session, task, TaskState.failed, error_type=EXHAUSTED, error_message=message)


async def heartbeat(
    session: AsyncSession, claims: list[Claim], settings: RunnerSettings
) -> dict[Claim, TaskState]:
    """Renew leases. Says each claim's state; one that is missing was taken by somebody else."""
    if not claims:
        return {}
    rows = await session.execute(
        update(Task)
        .where(
            tuple_(Task.id, Task.fence).in_([(item.task_id, item.fence) for item in claims]),
            Task.state.in_([TaskState.running, TaskState.cancelling]),
        )
        .values(
            lease_expires_at=func.now() + _seconds(settings.lease_seconds),
            updated_at=func.now(),
        )
        .returning(Task.id, Task.fence, Task.state)
        .execution_options(synchronize_session=False)
    )
    return {Claim(task_id, fence): state for task_id, fence, state in rows}


async def report(
    session: AsyncSession, held: Claim, *, stage: str, progress: float, eta_seconds: float | None
) -> None:
    """Write how far a task is (0..1); progress never goes back."""
    changed = await session.execute(
        update(Task)
        .where(Task.id == held.task_id, Task.fence == held.fence)
        .values(
            stage=stage,
            progress=func.greatest(Task.progress, progress),
            eta_seconds=eta_seconds,
            updated_at=func.now(),
        )
        .execution_options(synchronize_session=False)
        .returning(Task.id)
    )
    if changed.scalar_one_or_none() is None:
        raise FenceLost(f"task {held.task_id} was claimed by another runner")


async def held_task(session: AsyncSession, held: Claim, *, lock: bool = True) -> Task:
    """The task of a claim, locked for this transaction unless told otherwise.

    Raises:
        FenceLost: somebody else has claimed it since.
    """
    query = select(Task).where(Task.id == held.task_id, Task.fence == held.fence)
    task: Task | None = await session.scalar(query.with_for_update() if lock else query)
    if task is None:
        raise FenceLost(f"task {held.task_id} was claimed by another runner")
    return task


async def release(session: AsyncSession, held: Claim, *, delay_seconds: float = 0.0) -> None:
    """Give a task back unfinished: a drain, which does not count as an attempt."""
    task = await held_task(session, held)
    if task.state is TaskState.running:
        await transition(
            session,
            task,
            TaskState.queued,
            attempt=task.attempt - 1,
            lease_owner=None,
            lease_expires_at=None,
            run_after=func.now() + _seconds(delay_seconds),
        )
        await notify(session, TASKS)


async def give_up(
    session: AsyncSession,
    held: Claim,
    settings: RunnerSettings,
    error_type: str,
    message: str,
    *,
    retryable: bool,
) -> None:
    """End a failed attempt: again later where it may help and attempts remain, else failed."""
    task = await held_task(session, held)
    error = {"error_type": error_type, "error_message": message}
    if task.state is TaskState.cancelling:
        await transition(session, task, TaskState.cancelled)
    elif retryable and task.attempt < settings.max_attempts:
        pause = settings.retry_base_seconds * 2 ** (task.attempt - 1)
        pause *= random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        await transition(
            session,
            task,
            TaskState.queued,
            lease_owner=None,
            lease_expires_at=None,
            run_after=func.now() + _seconds(pause),
            **error,
        )
    else:
        await transition(session, task, TaskState.failed, **error)


async def cancel(session: AsyncSession, task: Task) -> None:
    """Cancel a task: at once while it waits, within one window while it runs."""
    after = TaskState.cancelled if task.state is TaskState.queued else TaskState.cancelling
    await transition(session, task, after)
