"""Asks for voiceprints to be computed: of a file's voices anew, of a clip."""

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Lane, Task, TaskKind
from db.queries import reembedding
from pipelines import queue

ENROLMENT = "enrolment_id"
"""The option of a task that says which clip it is about."""


async def of_file(
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    audio_seconds: float,
    *,
    lane: Lane = Lane.interactive,
    delay_seconds: float = 0.0,
) -> Task | None:
    """Have a file's voices embedded from the turns that it has then; None: that waits already.

    A task that is running may have read the turns before they changed, so it does not count. Tells
    clients: call it late in a transaction.
    """
    if await reembedding.waits(session, file_id):
        return None
    return await queue.submit(
        session,
        user_id=user_id,
        media_file_id=file_id,
        kind=TaskKind.voiceprints,
        lane=lane,
        audio_seconds=audio_seconds,
        delay_seconds=delay_seconds,
    )


async def of_enrolment(
    session: AsyncSession,
    user_id: uuid.UUID,
    enrolment_id: uuid.UUID,
    audio_seconds: float = 0.0,
    *,
    lane: Lane = Lane.interactive,
) -> Task:
    """Have a clip embedded. Tells clients: call it late in a transaction."""
    return await queue.submit(
        session,
        user_id=user_id,
        media_file_id=None,
        kind=TaskKind.enrolment,
        lane=lane,
        options={ENROLMENT: str(enrolment_id)},
        audio_seconds=audio_seconds,
    )
