"""Removes a media file with all that belongs to it, for its owner."""

import uuid

from api.dependencies import Services
from api.errors import ApiError, ErrorType
from api.files.cleaning import remove_noted
from db.engine import session_scope
from db.models import TaskState
from db.queries import media_files
from pipelines import removal
from pipelines.errors import FileBusy


async def remove(services: Services, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Cancel what waits, delete the rows, then the objects.

    Whatever stops this half-way, or keeps the object store away, only delays the objects' end.

    Raises:
        ApiError: `file_busy`, a task of the file is running.
    """
    async with session_scope(services.sessions) as session:
        file = await media_files.get(session, user_id, file_id)
        try:
            remains = await removal.remove(session, file)
        except FileBusy as error:
            raise ApiError(
                ErrorType.file_busy,
                str(error),
                file_id=str(file_id),
                task_id=str(error.task_id),
                task_state=error.state,
                options={
                    "cancel_task": error.state == TaskState.running,
                    "wait_for_completion": True,
                },
            ) from error
    await remove_noted(services, remains.prefix)
