"""The states of a task and the one function that changes them."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import FenceLost
from db.models import FileStatus, MediaFile, Task, TaskState
from db.queries import events
from pipelines.errors import IllegalTransition

TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.queued: frozenset({TaskState.running, TaskState.cancelled}),
    # running → queued: given back (drain, retry, lease lost)
    TaskState.running: frozenset(
        {
            TaskState.completed,
            TaskState.failed,
            TaskState.queued,
            TaskState.cancelling,
            TaskState.running,
        }
    ),
    TaskState.cancelling: frozenset({TaskState.cancelled, TaskState.completed, TaskState.failed}),
    TaskState.completed: frozenset(),
    TaskState.failed: frozenset(),
    TaskState.cancelled: frozenset(),
}

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)

FILE_STATUS = {
    TaskState.queued: FileStatus.queued,
    TaskState.running: FileStatus.processing,
    TaskState.cancelling: FileStatus.processing,
    TaskState.completed: FileStatus.completed,
    TaskState.failed: FileStatus.failed,
    TaskState.cancelled: FileStatus.cancelled,
}


async def transition(session: AsyncSession, task: Task, after: TaskState, **changes: Any) -> None:
    """Move `task` to state `after`, with its file's status and an event, in this transaction.

    The write names the task's fence and state, so that a writer who was overtaken changes nothing.

    Raises:
        IllegalTransition: the table does not allow it.
        FenceLost: the row is no longer as this writer knew it.
    """
    before = task.state
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(before, after)
    values: dict[str, Any] = {"state": after, "updated_at": func.now(), **changes}
    if after in TERMINAL:
        values |= {"finished_at": func.now(), "lease_owner": None, "lease_expires_at": None}
    changed = await session.execute(
        update(Task)
        .where(Task.id == task.id, Task.fence == task.fence, Task.state == before)
        .values(values)
        .returning(Task.updated_at)
        .execution_options(synchronize_session=False)
    )
    moment = changed.scalar_one_or_none()
    if moment is None:
        raise FenceLost(f"task {task.id} is no longer {before} under fence {task.fence}")
    await session.refresh(task)
    await _update_file(session, task, after, moment)
    payload = {"state": after, "attempt": task.attempt, "error_type": task.error_type}
    await events.append(session, task, f"task.{after}", payload)


async def _update_file(
    session: AsyncSession, task: Task, state: TaskState, moment: datetime
) -> None:
    if task.media_file_id is None:
        return
    values: dict[str, Any] = {"status": FILE_STATUS[state]}
    if state is TaskState.completed:
        values |= {"completed_at": moment, "error_type": None, "error_message": None}
    if state is TaskState.failed:
        values |= {"error_type": task.error_type, "error_message": task.error_message}
    await session.execute(
        update(MediaFile)
        .where(MediaFile.id == task.media_file_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )
