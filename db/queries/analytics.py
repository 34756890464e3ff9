"""Figures about conversations, kept by the version of the transcript they are of."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import Analytics, MediaFile, Segment, Speaker, Transcript


@dataclass(frozen=True, slots=True)
class Counted:
    """What figures are computed from: lines are start, end, text and the speaker's label."""

    version: int
    language: str | None
    duration: float | None
    lines: Sequence[tuple[float, float, str, str | None]]
    turns: Sequence[Any] | None
    """None where nobody looked for speakers, or that failed."""


async def stored(
    session: AsyncSession, file_id: uuid.UUID, version: int, schema_version: str
) -> Analytics | None:
    """The figures of this version of the transcript by these definitions, if there are any."""
    found: Analytics | None = await session.scalar(
        select(Analytics).where(
            Analytics.media_file_id == file_id,
            Analytics.transcript_version == version,
            Analytics.schema_version == schema_version,
        )
    )
    return found


async def counted(session: AsyncSession, file_id: uuid.UUID) -> Counted:
    """What a file's figures are computed from (`db.queries.reading.at_one_moment`).

    Raises:
        NotFound: the transcript has gone.
    """
    row = await session.execute(
        select(
            Transcript.id,
            Transcript.version,
            Transcript.language,
            Transcript.diarization,
            Transcript.turns,
            MediaFile.duration,
        )
        .join(MediaFile, MediaFile.id == Transcript.media_file_id)
        .where(MediaFile.id == file_id)
    )
    head = row.one_or_none()
    if head is None:
        raise NotFound("transcript of file", str(file_id))
    lines = await session.execute(
        select(Segment.start, Segment.end, Segment.text, Speaker.label)
        .outerjoin(Speaker, Speaker.id == Segment.speaker_id)
        .where(Segment.transcript_id == head.id)
        .order_by(Segment.index)
    )
    return Counted(
        head.version,
        head.language,
        head.duration,
        [(start, end, text, label) for start, end, text, label in lines],
        head.turns if head.diarization == "done" else None,
    )


async def store(
    session: AsyncSession,
    file_id: uuid.UUID,
    version: int,
    schema_version: str,
    figures: Mapping[str, Any],
) -> datetime:
    """Keep figures, unless those of a later version are there already; says when this was.

    Raises:
        NotFound: the file was deleted meanwhile.
    """
    exists = select(MediaFile.id).where(MediaFile.id == file_id)
    if await session.scalar(exists.with_for_update(read=True, key_share=True)) is None:
        raise NotFound("file", str(file_id))
    now: datetime = (await session.execute(select(func.now()))).scalar_one()
    values = {
        "created_at": now,
        "transcript_version": version,
        "schema_version": schema_version,
        "figures": dict(figures),
    }
    statement = insert(Analytics).values(media_file_id=file_id, **values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Analytics.media_file_id],
            set_=values,
            where=or_(
                Analytics.transcript_version <= version,
                Analytics.schema_version != schema_version,
            ),
        ).execution_options(synchronize_session=False)
    )
    return now
