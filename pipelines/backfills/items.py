"""What follows for a backfill when a task of it ends: written in the task's own transaction."""

from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Backfill, BackfillItem, BackfillStop, ItemState, Task, TaskKind, TaskState
from db.queries import backfills
from pipelines import usage

FATAL = frozenset({"model_unavailable", "store_unavailable", "speech_unavailable"})
"""Failures that say nothing about the file, and that the next one would meet as well."""


async def follow(session: AsyncSession, task: Task) -> None:
    """The item of a file's task ends with it; what a driver leaves is anybody's."""
    if task.backfill_id is None:
        return
    if task.kind is TaskKind.backfill:
        await let_go(session, task)
    elif task.state is TaskState.failed and task.error_type in FATAL:
        await _stop(session, task)
    else:
        await _settle(session, task)


async def _settle(session: AsyncSession, task: Task) -> None:
    backfill = await session.get_one(Backfill, task.backfill_id)
    values: dict[str, Any] = {
        "audio_seconds": task.audio_seconds,
        "model_seconds": _model_seconds(task),
        "attempts": task.attempt,
        "ended_at": func.now(),
        "fingerprint": backfill.fingerprint,
        "error_type": None,
        "error_message": None,
    }
    match task.state:
        case TaskState.completed:
            values["state"] = ItemState.done
        case TaskState.cancelled:
            reason = "Its task was cancelled."
            values |= {"state": ItemState.skipped, "error_type": "cancelled"}
            values["error_message"] = reason
        case _:
            values |= {"state": ItemState.failed, "error_type": task.error_type}
            values["error_message"] = task.error_message
    await backfills.settle(session, task.id, values)


def _model_seconds(task: Task) -> ColumnElement[float]:
    """With those of all attempts, and of the tasks that an item had before."""
    # A failed attempt is on the task's row by now; one that ends well is still in the account.
    used = task.busy_seconds if task.state is TaskState.failed else usage.carried(task)
    return BackfillItem.model_seconds + sum(used.values())


async def _stop(session: AsyncSession, task: Task) -> None:
    """No file can be done: this one waits for a new task, and the backfill says why it stopped."""
    values = {
        "task_id": None,
        "error_type": task.error_type,
        "error_message": task.error_message,
        "attempts": task.attempt,
        "model_seconds": _model_seconds(task),
    }
    if task.backfill_id and await backfills.settle(session, task.id, values):
        await stop(
            session,
            await backfills.get(session, task.backfill_id, lock=True),
            BackfillStop.fatal,
            task.error_type,
            task.error_message,
        )


async def stop(
    session: AsyncSession,
    backfill: Backfill,
    why: BackfillStop,
    error_type: str | None = None,
    message: str | None = None,
) -> None:
    """Have nothing more begun; the first reason stays."""
    if backfill.stopped is None:
        backfill.stopped = why
        backfill.error_type, backfill.error_message = error_type, message
        await session.flush()


async def let_go(session: AsyncSession, driver: Task) -> None:
    """What the actors had, and nobody has now, ordinary runners may do."""
    if driver.backfill_id is None:
        return
    # Whoever begins an item has this lock: a task that is made at this moment is seen, too.
    await backfills.get(session, driver.backfill_id, lock=True)
    left = await backfills.reserved_tasks(session, driver.backfill_id)
    await backfills.free(session, [task.id for task in left])
