"""Who may read what: owners their own, administrators everything, which is then written down."""

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Comment, MediaFile, Role, Task, User
from db.queries import audit, comments, media_files, tasks
from db.queries.audit import Action


async def at_one_moment(session: AsyncSession) -> None:
    """Let all queries of this transaction see the same moment; call it before the first one."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def file(session: AsyncSession, reader: User, file_id: uuid.UUID) -> MediaFile:
    """A file to be read, not changed; go on with `file.user_id` for what hangs on it.

    Raises:
        NotFound: there is none, or it is another user's and the reader is no administrator.
    """
    found = await session.get(MediaFile, file_id) if reader.role is Role.admin else None
    if found is None or found.user_id == reader.id:
        return await media_files.get(session, reader.id, file_id)
    audit.add(
        session,
        Action.file_read,
        actor_id=reader.id,
        subject=("file", str(file_id)),
        owner_id=found.user_id,
    )
    return found


async def task(session: AsyncSession, reader: User, task_id: uuid.UUID) -> Task:
    """A task to be read, not changed.

    Raises:
        NotFound: there is none, or it is another user's and the reader is no administrator.
    """
    found = await session.get(Task, task_id) if reader.role is Role.admin else None
    if found is None or found.user_id == reader.id:
        return await tasks.get(session, reader.id, task_id)
    audit.add(
        session,
        Action.task_read,
        actor_id=reader.id,
        subject=("task", str(task_id)),
        owner_id=found.user_id,
    )
    return found


async def comment(session: AsyncSession, reader: User, comment_id: uuid.UUID) -> Comment:
    """A comment to be read, not changed; reading it counts as reading its file.

    Raises:
        NotFound: there is none, or it is another user's and the reader is no administrator.
    """
    found = await session.get(Comment, comment_id) if reader.role is Role.admin else None
    if found is None:
        return await comments.get(session, reader.id, comment_id)
    await file(session, reader, found.media_file_id)
    return found
