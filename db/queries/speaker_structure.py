"""Which words are whose: gives a speaker's words and turns to another one, or to nobody."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    TEXT,
    UUID,
    ColumnElement,
    any_,
    case,
    cast,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import Segment, Speaker, Transcript

LABEL = 4
"""Where a word has its speaker's label."""


async def labels(session: AsyncSession, file_id: uuid.UUID) -> Sequence[str]:
    """What a file's speakers are called by its words."""
    rows = await session.scalars(select(Speaker.label).where(Speaker.media_file_id == file_id))
    return rows.all()


async def version_of(session: AsyncSession, transcript_id: uuid.UUID) -> int:
    """A transcript's version as it is now, in this transaction."""
    query = select(Transcript.version).where(Transcript.id == transcript_id)
    return (await session.scalars(query)).one()


async def transcript_of(session: AsyncSession, file_id: uuid.UUID) -> Transcript:
    """A file's transcript with its turns; held before (`db.queries.speakers.hold`).

    Raises:
        NotFound: it has gone.
    """
    found: Transcript | None = await session.scalar(
        select(Transcript)
        .where(Transcript.media_file_id == file_id)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound("transcript of file", str(file_id))
    return found


async def segments_of(
    session: AsyncSession, speaker: Speaker, ids: Collection[uuid.UUID]
) -> list[tuple[float, float]]:
    """Where some of a speaker's segments begin and end.

    Raises:
        NotFound: one of them is not there, or is not this speaker's.
    """
    rows = await session.execute(
        select(Segment.id, Segment.start, Segment.end).where(
            Segment.id == _one_of(ids), Segment.speaker_id == speaker.id
        )
    )
    found = {segment_id: (start, end) for segment_id, start, end in rows}
    for missing in set(ids) - found.keys():
        raise NotFound("segment of this speaker", str(missing))
    return list(found.values())


async def count_segments(session: AsyncSession, speaker_id: uuid.UUID) -> int:
    """How many segments are a speaker's."""
    count = select(func.count()).select_from(Segment).where(Segment.speaker_id == speaker_id)
    return await session.scalar(count) or 0


async def give(
    session: AsyncSession,
    transcript_id: uuid.UUID,
    source: Speaker,
    target: Speaker | None,
    segment_ids: Collection[uuid.UUID] | None = None,
) -> None:
    """Make a speaker's words and segments another one's; None: nobody's.

    All of them, or those of some segments; words of others in these stay theirs.
    """
    among = [Segment.transcript_id == transcript_id]
    if segment_ids is not None:
        among.append(Segment.id == _one_of(segment_ids))
    has_words = func.jsonb_path_exists(
        Segment.words,
        cast(literal(f"$[*] ? (@[{LABEL}] == $label)"), JSONPATH),
        func.jsonb_build_object("label", literal(source.label, TEXT)),
    )
    await session.execute(
        update(Segment)
        .where(*among, or_(Segment.speaker_id == source.id, has_words))
        .values(
            speaker_id=case(
                (Segment.speaker_id == source.id, literal(target.id if target else None, UUID)),
                else_=Segment.speaker_id,
            ),
            words=_relabelled(source.label, target.label if target else None),
        )
        .execution_options(synchronize_session=False)
    )


def _relabelled(source: str, target: str | None) -> ColumnElement[Any]:
    words = func.jsonb_array_elements(Segment.words)
    each = words.table_valued(column("word", JSONB), with_ordinality="place").render_derived("each")
    word, path = each.c.word, literal([str(LABEL)], ARRAY(TEXT))
    label = func.to_jsonb(literal(target, TEXT)) if target else cast(literal("null"), JSONB)
    given = case((word[LABEL].astext == source, func.jsonb_set(word, path, label)), else_=word)
    joined = func.jsonb_agg(aggregate_order_by(given, each.c.place))
    return (
        select(func.coalesce(joined, cast(literal("[]"), JSONB)))
        .select_from(each)
        .correlate(Segment)
        .scalar_subquery()
    )


def _one_of(ids: Collection[uuid.UUID]) -> Any:
    """Not a parameter for each: PostgreSQL's protocol has no more than 32,767."""
    return any_(literal(list(ids), ARRAY(UUID)))


async def remove(session: AsyncSession, speaker: Speaker) -> None:
    """Forget a speaker, of whom nothing is any more."""
    await session.flush()
    session.expunge(speaker)
    await session.execute(
        delete(Speaker).where(Speaker.id == speaker.id).execution_options(synchronize_session=False)
    )
