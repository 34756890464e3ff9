"""Removes a media file with all that belongs to it."""

import uuid
from datetime import timedelta

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.files.cleaning import remove_noted
from api.files.keys import media_prefix
from db.engine import session_scope
from db.models import TaskState
from db.queries import events, media_files, tasks
from pipelines import leftovers, notices, queue


async def remove(services: Services, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Cancel what waits, delete the rows, then the objects.

    With the rows the file is gone for everybody; the objects are noted in the same transaction, so
    that whatever stops this half-way, or keeps the store away, only delays their end.

    Raises:
        ApiError: `file_busy`, a task of the file is running.
    """
    async with session_scope(services.sessions) as session:
        file = await media_files.get(session, user_id, file_id)
        active = await tasks.locked_active_of_file(session, file_id)
        for task in active:
            if task.state is not TaskState.queued:
                raise ApiError(
                    ErrorType.file_busy,
                    f"Task {task.id} is working on this file: cancel it or wait for its end.",
                    task_id=str(task.id),
                    task_state=task.state,
                )
            await queue.cancel(session, task)
        prefix = media_prefix(file.user_id, file.id)
        await leftovers.note(session, prefix, after=timedelta(0))
        await media_files.remove(session, file_id)
        await events.append(
            session,
            user_id,
            notices.Notice.file_deleted,
            notices.file_deleted(file_id),
            media_file_id=file_id,
        )
    await remove_noted(services, prefix)
