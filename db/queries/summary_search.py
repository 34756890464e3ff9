"""Searches the newest summaries of a user's files."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, defer

from db import vocabulary
from db.models import MediaFile, Speaker, Summary, Transcript
from db.queries.summaries import readable_by

Newer = aliased(Summary)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryFilters:
    """Which summaries are found; what is left out narrows nothing."""

    words: str | None = None
    """Words that a summary has all of, each also as the beginning of a longer one."""
    speakers: Sequence[str] = ()
    """Names or labels of speakers, of which the file has all."""
    from_date: datetime | None = None
    """Made at this moment or later."""
    before_date: datetime | None = None
    """Made earlier than this moment."""
    has_action_items: bool | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A summary, its file, and what is to be known of its transcript."""

    summary: Summary
    filename: str
    title: str | None
    transcript_version: int | None
    """As it is now; None: it is gone."""


def is_newest() -> ColumnElement[bool]:
    """Whether a file has no newer summary than this one."""
    newer = select(Newer.id).where(
        Newer.media_file_id == Summary.media_file_id, Newer.version > Summary.version
    )
    return ~newer.exists()


def in_period(start: datetime | None, before: datetime | None) -> Iterator[ColumnElement[bool]]:
    """When a summary was made."""
    if start is not None:
        yield Summary.created_at >= start
    if before is not None:
        yield Summary.created_at < before


def _conditions(user_id: uuid.UUID, filters: SummaryFilters) -> Iterator[ColumnElement[bool]]:
    yield readable_by(user_id)
    yield is_newest()
    yield from in_period(filters.from_date, filters.before_date)
    if filters.words is not None:
        holds = vocabulary.contains(Summary.searchable.expression, filters.words)
        if holds is None:
            raise ValueError(f"{filters.words!r} holds no word")
        yield holds
    for name in filters.speakers:
        called = (func.lower(Speaker.display_name), func.lower(Speaker.label))
        yield Summary.media_file_id.in_(
            select(Speaker.media_file_id).where(
                Speaker.user_id == user_id, or_(*(each == func.lower(name) for each in called))
            )
        )
    if filters.has_action_items is not None:
        yield (Summary.action_items > 0) == filters.has_action_items


def _rank(words: str | None) -> ColumnElement[float]:
    wanted = vocabulary.question(words) if words is not None else None
    if wanted is None:
        return literal(0.0)
    # Of texts with the same words, the shorter one is more about them.
    return func.ts_rank(Summary.searchable, cast(wanted, TSQUERY), 1)


async def page(
    session: AsyncSession, user_id: uuid.UUID, filters: SummaryFilters, *, limit: int, offset: int
) -> tuple[Sequence[Found], int]:
    """The newest summaries that meet all filters, best first, then newest; and how many there are.

    Raises:
        ValueError: `words` has no word.
    """
    matching = list(_conditions(user_id, filters))
    rows = await session.execute(
        select(Summary, MediaFile.filename, MediaFile.title, Transcript.version)
        .join(MediaFile, MediaFile.id == Summary.media_file_id)
        .outerjoin(Transcript, Transcript.media_file_id == Summary.media_file_id)
        .where(*matching)
        .order_by(_rank(filters.words).desc(), Summary.created_at.desc(), Summary.id)
        .limit(limit)
        .offset(offset)
        .options(defer(Summary.searchable, raiseload=True), defer(Summary.sections, raiseload=True))
    )
    total = await session.scalar(select(func.count()).select_from(Summary).where(*matching))
    return [Found(*row) for row in rows], total or 0
