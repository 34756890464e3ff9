"""Transcripts with their speakers and segments."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import MediaFile, Segment, Speaker, Transcript
from db.queries.media_files import readable_by


@dataclass(frozen=True, slots=True)
class StoredTranscript:
    """All rows of one file's transcript."""

    transcript: Transcript
    speakers: Sequence[Speaker]
    segments: Sequence[Segment]


async def of_file(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID
) -> StoredTranscript | None:
    """A file's transcript; None where there is none (yet), or none that this user may see."""
    transcript: Transcript | None = await session.scalar(
        select(Transcript)
        .join(MediaFile, MediaFile.id == Transcript.media_file_id)
        .where(MediaFile.id == file_id, readable_by(user_id))
    )
    if transcript is None:
        return None
    speakers = await session.scalars(
        select(Speaker).where(Speaker.media_file_id == file_id).order_by(Speaker.label)
    )
    segments = await session.scalars(
        select(Segment).where(Segment.transcript_id == transcript.id).order_by(Segment.index)
    )
    return StoredTranscript(transcript, speakers.all(), segments.all())
