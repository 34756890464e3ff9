"""How much of the transcripts the stores of search have, as it was written down."""

import uuid
from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Destination, IndexedFile, MediaFile, Transcript


@dataclass(frozen=True, slots=True)
class Brought:
    """What one place of a store was given."""

    files: int = 0
    """That have a transcript."""
    indexed: int = 0
    """Of these, it has them as they are now."""
    passages: int = 0
    """That it was given of all of them, whether outdated or not."""


async def brought(
    session: AsyncSession, destination: Destination, place: str, user_id: uuid.UUID | None
) -> Brought:
    """Of a user's files, or of everybody's."""
    there = and_(
        IndexedFile.media_file_id == Transcript.media_file_id,
        IndexedFile.destination == destination,
        IndexedFile.place == place,
    )
    query = (
        select(
            func.count(),
            func.count().filter(IndexedFile.transcript_version == Transcript.version),
            func.coalesce(func.sum(IndexedFile.passages), 0),
        )
        .select_from(Transcript)
        .outerjoin(IndexedFile, there)
    )
    if user_id is not None:
        query = query.join(MediaFile, MediaFile.id == Transcript.media_file_id).where(
            MediaFile.user_id == user_id
        )
    return Brought(*(await session.execute(query)).one())
