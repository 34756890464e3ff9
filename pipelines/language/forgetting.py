"""Takes a person out of what language models made: it is derived, so most of it simply goes."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Task
from db.queries import language_erasure
from pipelines import queue
from pipelines.language.kinds import KINDS, STAGE
from pipelines.speakers.redaction import Person


async def hold(session: AsyncSession, user_id: uuid.UUID) -> Sequence[Task]:
    """The user's work that is being done: nothing of it is stored until this transaction ends.

    Call it after `db.queries.speakers.serialise` and before anything else is locked. What begins
    after this waits for the same lock before it reads a transcript.
    """
    return await language_erasure.locked_running(session, user_id, KINDS)


async def forget(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Collection[uuid.UUID], person: Person
) -> int:
    """Delete what was made of these files, and what mentions the person elsewhere; says how much.

    Of files in which somebody speaks everything goes: a summary may call them by half their name.
    """
    needles, rewrite = person.needles, person.words
    await language_erasure.drop_checkpoints(session, user_id, frozenset(STAGE.values()))
    await language_erasure.rewrite_tasks(session, user_id, KINDS, needles, rewrite)
    return await language_erasure.drop_of_files(
        session, file_ids
    ) + await language_erasure.drop_mentions(session, user_id, needles, rewrite)


async def begin_anew(session: AsyncSession, held: Sequence[Task]) -> None:
    """Let work that is held read its transcript anew, whatever its runner has read by now.

    Tells clients: call it late.
    """
    for task in held:
        await session.refresh(task)
        await queue.recover(session, task)
