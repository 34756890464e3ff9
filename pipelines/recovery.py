"""What an operator can set right: tasks of runners that fell silent, files whose status is wrong.

None of it is needed in ordinary life: a lease that has run out is claimed by the next runner, and
a file's status is written in the transaction that changes its task.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, exists, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import RunnerSettings
from db.errors import DuplicateFile, NotFound
from db.models import FileStatus, MediaFile, Task, TaskState, Transcript
from db.notify import TASKS, notify
from db.queries import events, media_files, tasks
from pipelines import queue, task_state
from pipelines.notices import Notice, file_facts
from pipelines.system_settings import RetrySettings, current
from pipelines.task_state import file_status

LOST_TYPE = "processing_error"
LOST = "The result of this file is not there any more, and no task is at work on it: retry it."


@dataclass(frozen=True, slots=True)
class Finding:
    """A file, the status it has, and the one that follows from its latest task."""

    file_id: uuid.UUID
    user_id: uuid.UUID
    status: FileStatus
    expected: FileStatus


async def release_overdue(
    session: AsyncSession, user_id: uuid.UUID | None = None
) -> Sequence[Task]:
    """Queue the tasks anew whose runners have fallen silent, and wake the others."""
    found = await queue.overdue(session, user_id)
    for task in found:
        await queue.recover(session, task)
    return found


async def attempts_allowed(session: AsyncSession, settings: RunnerSettings) -> int:
    """After how many attempts a task has failed."""
    return (await current(session, RetrySettings)).max_attempts or settings.max_attempts


async def take_over(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, settings: RunnerSettings
) -> Task | None:
    """Queue a file's task anew whose runner has fallen silent, and wake the others.

    This is for owners: it costs the attempt. One that may be what its runners died of stays as it
    is, since the next runner must know that to take it alone. None: no runner of it is silent.
    """
    max_attempts = await attempts_allowed(session, settings)
    found = await queue.overdue(session, user_id, file_id)
    for task in found:
        if not task_state.is_suspect(task, max_attempts):
            await queue.write(session, task, task_state.on_overdue(task))
    await notify(session, TASKS)
    return found[-1] if found else None


async def inconsistent_files(
    session: AsyncSession, *, limit: int, user_id: uuid.UUID | None = None
) -> Sequence[Finding]:
    """Files whose status does not follow from their latest task and transcript."""
    latest = (
        select(Task.state)
        .where(Task.media_file_id == MediaFile.id, tasks.TRANSCRIBES)
        .order_by(Task.created_at.desc(), Task.id)
        .limit(1)
        .scalar_subquery()
    )
    known = (
        select(
            MediaFile.id,
            MediaFile.user_id,
            MediaFile.status,
            latest.label("latest"),
            exists().where(Transcript.media_file_id == MediaFile.id).label("has_transcript"),
        )
        .where(*([MediaFile.user_id == user_id] if user_id else []))
        .cte("known")
        # Else both questions are asked anew for every branch of `expected`.
        .prefix_with("MATERIALIZED")
    )
    expected = _expected(known.c.latest, known.c.has_transcript)
    rows = await session.execute(
        select(known.c.id, known.c.user_id, known.c.status, expected)
        .where(known.c.status != expected)
        .order_by(known.c.id)
        .limit(limit)
    )
    return [Finding(*row) for row in rows]


def _expected(latest: Any, has_transcript: Any) -> Any:
    """`file_status` in SQL: each of its answers."""
    branches = [
        (
            and_(latest.is_(None) if state is None else latest == state, has_transcript == has),
            literal(file_status(state, has_transcript=has), MediaFile.status.type),
        )
        for state in (None, *TaskState)
        for has in (True, False)
    ]
    return case(*branches)


async def fix_file(session: AsyncSession, file_id: uuid.UUID) -> Finding:
    """Give a file the status that follows, where it has another; says both.

    Raises:
        NotFound: there is no such file.
        DuplicateFile: its bytes were uploaded again since, so it cannot come back to life.
    """
    file = await session.get(MediaFile, file_id, with_for_update={"key_share": True})
    if file is None:
        raise NotFound("file", str(file_id))
    task = await tasks.latest_of_file(session, file_id)
    kept = await session.scalar(select(exists().where(Transcript.media_file_id == file_id)))
    expected = file_status(task.state if task else None, has_transcript=bool(kept))
    finding = Finding(file_id, file.user_id, file.status, expected)
    if finding.status is not expected:
        async with media_files.unless_duplicate(session):
            await _write(session, file, task, expected)
    return finding


async def _write(
    session: AsyncSession, file: MediaFile, task: Task | None, status: FileStatus
) -> None:
    values: dict[str, Any] = {"status": status, "error_type": None, "error_message": None}
    if status is FileStatus.failed:
        failed = task if task is not None and task.state is TaskState.failed else None
        values["error_type"] = failed.error_type if failed else LOST_TYPE
        values["error_message"] = failed.error_message if failed else LOST
    if status is FileStatus.completed:
        values["completed_at"] = func.coalesce(MediaFile.completed_at, func.now())
    fixed = await session.scalar(
        update(MediaFile)
        .where(MediaFile.id == file.id)
        .values(values)
        .returning(MediaFile)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if fixed is None:
        raise NotFound("file", str(file.id))
    await events.append(
        session, fixed.user_id, Notice.file_updated, file_facts(fixed), media_file_id=fixed.id
    )


async def fix_files(
    session: AsyncSession, *, limit: int, user_id: uuid.UUID | None = None
) -> tuple[list[Finding], list[Finding]]:
    """Fix what is inconsistent: the files that were, and those whose bytes are elsewhere by now."""
    fixed: list[Finding] = []
    left: list[Finding] = []
    for found in await inconsistent_files(session, limit=limit, user_id=user_id):
        try:
            fixed.append(await fix_file(session, found.file_id))
        except DuplicateFile:
            left.append(found)
        except NotFound:
            # Deleted meanwhile.
            continue
    return fixed, left
