"""Voices of files: found for their owner, and held while it is decided whose they are."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from db.errors import NotFound
from db.models import MediaFile, Speaker, Transcript


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


async def serialise(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Wait for whoever else decides about this user's speakers, until this transaction ends.

    Call it before anything else is locked. Names, profiles and clusters of one user hang together:
    what one decision reads, another may change.
    """
    key = func.hashtextextended(f"speakers {user_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def hold(
    session: AsyncSession, user_id: uuid.UUID, ids: Collection[uuid.UUID]
) -> Sequence[Speaker]:
    """Speakers whom nobody changes until this transaction ends, by id, nor their transcripts.

    Raises:
        NotFound: one of them is not there, or no longer.
    """
    await serialise(session, user_id)
    mine = Speaker.id.in_(ids), readable_by(user_id)
    # Whoever deletes a file, edits or replaces its transcript: each locks in this order.
    files = select(Speaker.media_file_id).where(*mine)
    await session.execute(
        select(MediaFile.id)
        .where(MediaFile.id.in_(files))
        .order_by(MediaFile.id)
        .with_for_update(read=True, key_share=True)
    )
    await session.execute(
        select(Transcript.id)
        .where(Transcript.media_file_id.in_(files))
        .order_by(Transcript.media_file_id)
        .with_for_update()
    )
    rows = await session.scalars(
        select(Speaker)
        .where(*mine)
        .order_by(Speaker.id)
        .with_for_update()
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
        .where(Transcript.media_file_id.in_(file_ids))
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
        select(Speaker.id).where(Speaker.id.in_(ids), readable_by(user_id))
    )
    return set(rows)
