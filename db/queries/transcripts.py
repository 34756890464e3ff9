"""Transcripts with their speakers and segments."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

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
    segments = await session.scalars(
        select(Segment).where(Segment.transcript_id == transcript.id).order_by(Segment.index)
    )
    return StoredTranscript(transcript, await speakers(session, file_id), segments.all())


async def head(session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID) -> Transcript | None:
    """Id and version of a file's transcript, without what is large; None as in `of_file`."""
    found: Transcript | None = await session.scalar(
        select(Transcript)
        .join(MediaFile, MediaFile.id == Transcript.media_file_id)
        .where(MediaFile.id == file_id, readable_by(user_id))
        .options(
            load_only(
                Transcript.media_file_id,
                Transcript.version,
                Transcript.language,
                Transcript.task,
            )
        )
    )
    return found


@dataclass(frozen=True, slots=True)
class Spoken:
    """A segment without its words."""

    start: float
    end: float
    text: str
    speaker_id: uuid.UUID | None
    doubt: str | None


async def spoken(session: AsyncSession, transcript_id: uuid.UUID) -> Sequence[Spoken]:
    """What is said in a transcript, in order."""
    rows = await session.execute(
        select(Segment.start, Segment.end, Segment.text, Segment.speaker_id, Segment.doubt)
        .where(Segment.transcript_id == transcript_id)
        .order_by(Segment.index)
    )
    return [Spoken(*row) for row in rows]


async def has_words(session: AsyncSession, transcript_id: uuid.UUID) -> bool:
    """Whether anything is said in a transcript."""
    said = exists().where(Segment.transcript_id == transcript_id, Segment.text.op("~")(r"\S"))
    return bool(await session.scalar(select(said)))


async def speakers(session: AsyncSession, file_id: uuid.UUID) -> Sequence[Speaker]:
    """The voices of a file, by their labels."""
    rows = await session.scalars(
        select(Speaker).where(Speaker.media_file_id == file_id).order_by(Speaker.label)
    )
    return rows.all()


@dataclass(frozen=True, slots=True)
class SegmentFilter:
    """Which segments: those that overlap an interval (seconds), those of some speakers."""

    start: float | None = None
    end: float | None = None
    speaker_ids: Collection[uuid.UUID] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter in SQL; none: all segments."""
        wanted: list[ColumnElement[bool]] = []
        if self.start is not None:
            wanted.append(Segment.end > self.start)
        if self.end is not None:
            wanted.append(Segment.start < self.end)
        if self.speaker_ids:
            wanted.append(Segment.speaker_id.in_(self.speaker_ids))
        return wanted


async def page(
    session: AsyncSession,
    transcript_id: uuid.UUID,
    matching: SegmentFilter,
    *,
    limit: int,
    offset: int,
) -> tuple[Sequence[Segment], int]:
    """Some segments in order, and how many match."""
    mine = Segment.transcript_id == transcript_id
    conditions = matching.conditions()
    query = select(Segment).where(mine).order_by(Segment.index)
    if conditions:
        query = query.where(*conditions).limit(limit).offset(offset)
        count = select(func.count()).select_from(Segment).where(mine, *conditions)
    else:
        # Indexes have no gaps: a page far behind is found as fast as the first one.
        query = query.where(Segment.index >= offset, Segment.index < offset + limit)
        count = select(func.coalesce(func.max(Segment.index) + 1, 0)).where(mine)
    rows = await session.scalars(query)
    return rows.all(), await session.scalar(count) or 0
