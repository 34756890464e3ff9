"""Deletes a media file with all that hangs on it: for its owner, an administrator, retention."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import MediaFile, Task, TaskState
from db.objects.keys import media_prefix
from db.queries import downloads, events, media_files, tasks
from pipelines import leftovers, notices, queue
from pipelines.errors import FileBusy
from pipelines.language.kinds import KINDS as LANGUAGE
from pipelines.search import notes as search_notes
from pipelines.speakers import notes


@dataclass(frozen=True, slots=True)
class Remains:
    """Where a deleted file's objects lie, and whether a runner may still write some."""

    prefix: str
    growing: bool


async def remove(session: AsyncSession, file: MediaFile, *, force: bool = False) -> Remains:
    """Delete a file's rows in this transaction, as its last statements.

    With the rows the file is gone for everybody. The objects are noted in the same transaction:
    whoever has time removes them after it, else the outbox does. A task that waits is cancelled,
    and so is a language model's work, which writes nothing but rows; with `force`, any that runs:
    its runner loses it at the next write.

    Raises:
        FileBusy: a runner works on it, and `force` is not set.
        NotFound: somebody else has deleted it meanwhile.
    """
    active = await tasks.locked_active_of_file(session, file.id)
    held = [task for task in active if task.state is not TaskState.queued]
    held = [task for task in held if task.kind not in LANGUAGE]
    if held and not force:
        raise FileBusy(held[0].id, held[0].state)
    # Whoever edits it or names its speakers is waited for, before anything that they want next.
    await media_files.lock(session, [file.id])
    await notes.note_going(session, file.user_id, [file.id])
    await _cancel(session, active)
    remains = Remains(media_prefix(file.user_id, file.id), growing=bool(held))
    after = leftovers.GRACE if remains.growing else timedelta(0)
    await leftovers.note(session, remains.prefix, after=after)
    await downloads.outlive(session, file.id)
    await media_files.remove(session, file.id)
    await search_notes.note_files(session, file.user_id, [file.id], spoken=True)
    await events.append(
        session,
        file.user_id,
        notices.Notice.file_deleted,
        notices.file_deleted(file.id),
        media_file_id=file.id,
    )
    return remains


async def _cancel(session: AsyncSession, active: Sequence[Task]) -> None:
    for task in active:
        if task.state is not TaskState.cancelling:
            await queue.cancel(session, task)
