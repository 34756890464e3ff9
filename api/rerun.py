"""Runs a file again, for whatever route: what is refused, and the new task."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from db.errors import DuplicateFile
from db.models import FileStatus, MediaFile, Task, TaskState
from db.queries import media_files, tasks
from pipelines import backlog, rerun
from pipelines.rerun import ReprocessStage
from pipelines.task_state import TERMINAL

REFUSALS = (
    ErrorType.file_busy,
    ErrorType.duplicate_file,
    ErrorType.audio_too_long,
    ErrorType.queue_full,
)
"""What a route that runs a file again may refuse with."""


async def idle_file(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> tuple[MediaFile, Task | None]:
    """A file and its latest task, which is over; nobody else runs it again at the same time.

    Raises:
        ApiError: `file_busy`, the task is not over.
    """
    file = await media_files.get(session, user_id, file_id, lock=True)
    task = await tasks.latest_of_file(session, file_id)
    if task is not None and task.state not in TERMINAL:
        raise ApiError(
            ErrorType.file_busy,
            f"Task {task.id} of this file is {task.state}: cancel it or wait for its end.",
            task_id=str(task.id),
            task_state=task.state,
        )
    return file, task


def is_retryable(file: MediaFile, last: Task | None) -> bool:
    """Whether an idle file, or its latest task, came to nothing."""
    done = last is None or last.state is TaskState.completed
    return not (done and file.status is FileStatus.completed)


def require_unsuccessful(file: MediaFile, last: Task | None) -> None:
    """Raise `file_completed` where there is nothing to retry."""
    if not is_retryable(file, last):
        raise ApiError(
            ErrorType.file_completed,
            "The file is completed, so there is nothing to retry. To compute it anew, or with "
            f"other options, use POST /api/files/{file.id}/reprocess.",
            file_status=file.status,
        )


async def retry(
    services: Services, session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> tuple[Task, Task | None]:
    """Run a file that came to nothing again as before; says the new task and the last one.

    Raises:
        ApiError: the file is busy, or there is nothing to retry.
    """
    file, last = await idle_file(session, user_id, file_id)
    require_unsuccessful(file, last)
    task = await run_again(services, session, file, last, last.options if last else {})
    return task, last


async def reprocess(
    services: Services,
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    changes: Mapping[str, Any],
    stages: Collection[ReprocessStage],
) -> tuple[MediaFile, Task]:
    """Compute these stages of a file anew, with changed options; says the file and its new task.

    Raises:
        ApiError: the file is busy.
    """
    file, last = await idle_file(session, user_id, file_id)
    options = rerun.merged(last.options if last else {}, changes, stages)
    return file, await run_again(services, session, file, last, options, stages)


async def run_again(
    services: Services,
    session: AsyncSession,
    file: MediaFile,
    last: Task | None,
    options: Mapping[str, Any],
    stages: Collection[ReprocessStage] = (),
) -> Task:
    """Queue the file's new task.

    Raises:
        ApiError: `duplicate_file`, the bytes of this failed file were uploaded again since.
        QueueFull: too much is waiting.
        AudioTooLong: the limit has become so low that there is never room.
    """
    user_id, sha256 = file.user_id, file.sha256
    await backlog.admit(session, user_id, file.duration or 0.0, services.queue)
    try:
        return await rerun.submit_again(session, file, last, options, stages)
    except DuplicateFile as error:
        existing = await media_files.duplicate_of(session, user_id, sha256)
        raise ApiError(
            ErrorType.duplicate_file,
            f"You have uploaded this recording again since, under the id {existing}: use that.",
            existing_file_id=str(existing) if existing else None,
        ) from error
