"""Voices of files: found for their owner, and held while it is decided whose they are."""

import uuid
from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, load_only

from db.errors import NotFound, StoreBusy
from db.models import MediaFile, Speaker, Transcript
from db.queries.among import one_of

PATIENCE = timedelta(seconds=5)
"""Who waits holds a connection of a pool that all users share: some of one user's requests behind a
long one would have it whole. Longer than all but erasures and clusterings take."""
LOCK_NOT_AVAILABLE = "55P03"
"""SQLSTATE of a wait that `lock_timeout` ended."""


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Speakers in files that are this user's."""
    return Speaker.user_id == user_id


async def get(session: AsyncSession, user_id: uuid.UUID, speaker_id: uuid.UUID) -> Speaker:
    """One speaker.

    Raises:
        NotFound: there is none that this user may see.
    """
    speaker: Speaker | None = await session.scalar(
        select(Speaker).where(Speaker.id == speaker_id, readable_by(user_id))
    )
    if speaker is None:
        raise NotFound("speaker", str(speaker_id))
    return speaker


async def serialise(
    session: AsyncSession, user_id: uuid.UUID, patience: timedelta | None = PATIENCE
) -> None:
    """Wait for whoever else decides about this user's speakers, until this transaction ends.

    Call it before anything else is locked. Names, profiles and clusters of one user hang together:
    what one decision reads, another may change. A task waits without `patience` (as long as any
    statement may take): it has more to lose than a request, and there are few at a time.

    Raises:
        StoreBusy: they took longer.
    """
    key = func.hashtextextended(f"speakers {user_id}", 0)
    if await session.scalar(select(func.pg_try_advisory_xact_lock(key))):
        return
    lock = select(func.pg_advisory_xact_lock(key))
    if patience is None:
        await session.execute(lock)
        return
    usual = await session.scalar(select(func.current_setting("lock_timeout")))
    await _wait_for_locks(session, f"{int(patience.total_seconds() * 1000)}ms")
    try:
        await session.execute(lock)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise StoreBusy(f"the speakers of user {user_id} are held by others") from error
    await _wait_for_locks(session, usual)


async def _wait_for_locks(session: AsyncSession, at_most: str | None) -> None:
    await session.execute(select(func.set_config("lock_timeout", at_most, True)))  # noqa: FBT003


async def lock_files(
    session: AsyncSession, files: Select[uuid.UUID], *, edited: bool = True
) -> Sequence[uuid.UUID]:
    """Keep files with their transcripts from going until this transaction ends; says which.

    Nobody else edits the transcripts either, unless this does not (`edited`). Call it after
    `serialise`: whoever deletes a file, edits or replaces its transcript locks in this order too.
    """
    found = await session.scalars(
        select(MediaFile.id)
        .where(MediaFile.id.in_(files))
        .order_by(MediaFile.id)
        .with_for_update(read=True, key_share=True)
    )
    locked = found.all()
    await session.execute(
        select(Transcript.id)
        .where(Transcript.media_file_id.in_(files))
        .order_by(Transcript.media_file_id)
        .with_for_update(read=not edited, key_share=not edited)
    )
    return locked


async def hold(
    session: AsyncSession,
    user_id: uuid.UUID,
    ids: Collection[uuid.UUID],
    *,
    voiceprints: bool = True,
) -> Sequence[Speaker]:
    """Speakers whom nobody changes until this transaction ends, by id, nor their transcripts.

    Where there may be thousands, better without `voiceprints`: these are most of a row.

    Raises:
        NotFound: one of them is not there, or no longer.
        StoreBusy: others hold them (`serialise`).
    """
    await serialise(session, user_id)
    mine = Speaker.id == one_of(ids), readable_by(user_id)
    files = select(Speaker.media_file_id).where(*mine)
    await lock_files(session, files)
    rows = await session.scalars(
        select(Speaker)
        .where(*mine)
        .order_by(Speaker.id)
        .with_for_update()
        .options(*([] if voiceprints else [defer(Speaker.embedding)]))
        .execution_options(populate_existing=True)
    )
    held = rows.all()
    for missing in set(ids) - {speaker.id for speaker in held}:
        raise NotFound("speaker", str(missing))
    return held


async def transcripts_of(
    session: AsyncSession, file_ids: Collection[uuid.UUID]
) -> Sequence[Transcript]:
    """Ids and versions of these files' transcripts, by file."""
    rows = await session.scalars(
        select(Transcript)
        .where(Transcript.media_file_id == one_of(file_ids))
        .order_by(Transcript.media_file_id)
        .options(load_only(Transcript.media_file_id, Transcript.version))
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def existing(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of these speakers that are still there."""
    rows = await session.scalars(
        select(Speaker.id).where(Speaker.id == one_of(ids), readable_by(user_id))
    )
    return set(rows)
