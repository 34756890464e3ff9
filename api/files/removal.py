"""Removes a media file with all that belongs to it."""

import uuid

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.files.keys import media_prefix
from db.engine import session_scope
from db.models import TaskState
from db.queries import media_files, tasks
from pipelines import queue


async def remove(services: Services, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Cancel what waits, delete the objects, then the rows.

    The rows go last: whatever stops this half-way leaves a file that can be deleted again, and
    never objects that nobody knows of.

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
    await services.objects.delete_prefix(media_prefix(file.user_id, file.id))
    await services.objects.delete([key for key in (file.object_key, file.thumbnail_key) if key])
    async with session_scope(services.sessions) as session:
        await media_files.remove(session, file_id)
