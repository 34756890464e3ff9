"""What follows when a task changes its state: its file's status, what it keeps, an event."""

from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import FileStatus, MediaFile, Task, TaskKind, TaskState, Transcript
from db.queries import events
from db.queries.reembedding import ANEW
from pipelines import task_state
from pipelines.backfills import items
from pipelines.notices import about
from pipelines.speakers import kept_voiceprints
from pipelines.task_state import TERMINAL


async def follow(session: AsyncSession, task: Task) -> None:
    """Bring to a task's new state what hangs on it; the event is the transaction's last statement.

    At its end the file keeps nothing that somebody had forgotten while the task was storing it.
    """
    if task.state in TERMINAL and task.kind in ANEW and task.media_file_id is not None:
        await kept_voiceprints.drop_forgotten(session, task.media_file_id)
    if task.state in TERMINAL and task.backfill_id is not None:
        await items.follow(session, task)
    notice, told = about(task, await _file_of(session, task))
    await events.append(
        session, task.user_id, notice, told, task_id=task.id, media_file_id=task.media_file_id
    )


async def _file_of(session: AsyncSession, task: Task) -> MediaFile | None:
    """The task's file, with the status that follows from the task if it is a transcription."""
    if task.media_file_id is None:
        return None
    if task.kind is not TaskKind.transcription:
        return await session.get(MediaFile, task.media_file_id)
    kept = select(exists().where(Transcript.media_file_id == task.media_file_id))
    status = task_state.file_status(task.state, has_transcript=bool(await session.scalar(kept)))
    values: dict[str, Any] = {"status": status, "error_type": None, "error_message": None}
    if status is FileStatus.failed:
        values |= {"error_type": task.error_type, "error_message": task.error_message}
    if task.state is TaskState.completed:
        values["completed_at"] = task.finished_at
    file: MediaFile | None = await session.scalar(
        update(MediaFile)
        .where(MediaFile.id == task.media_file_id)
        .values(values)
        .returning(MediaFile)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return file
