"""Names that begin, or have a word, as somebody types: titles, speakers, tags of one owner."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, distinct, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import FileTag, MediaFile, Speaker, Tag, Transcript
from db.queries.found_files import CALLED
from db.queries.media_files import readable_by


@dataclass(frozen=True, slots=True)
class Named:
    """Something that is called so, and how many files have it."""

    name: str
    files: int
    file_id: uuid.UUID | None = None
    """Of a title, the newest file."""


async def titles(
    session: AsyncSession, user_id: uuid.UUID, part: str, limit: int
) -> Sequence[Named]:
    """What transcribed files are called; those first that begin so, then the newest."""
    newest = func.max(MediaFile.created_at)
    rows = await session.execute(
        select(
            CALLED,
            func.count(),
            func.array_agg(aggregate_order_by(MediaFile.id, MediaFile.created_at)),
        )
        .where(
            readable_by(user_id),
            MediaFile.id.in_(select(Transcript.media_file_id)),
            CALLED.icontains(part, autoescape=True),
        )
        .group_by(CALLED)
        .order_by(_later(CALLED, part), newest.desc(), CALLED)
        .limit(limit)
    )
    return [Named(name, count, ids[-1]) for name, count, ids in rows]


async def speakers(
    session: AsyncSession, user_id: uuid.UUID, part: str, limit: int
) -> Sequence[Named]:
    """Names of speakers, who speaks in most files first."""
    name, files = func.min(Speaker.display_name), func.count(distinct(Speaker.media_file_id))
    rows = await session.execute(
        select(name, files)
        .where(
            Speaker.user_id == user_id,
            Speaker.display_name.icontains(part, autoescape=True),
        )
        .group_by(func.lower(Speaker.display_name))
        .order_by(_later(name, part), files.desc(), name)
        .limit(limit)
    )
    return [Named(name, count) for name, count in rows if name is not None]


async def tags(session: AsyncSession, user_id: uuid.UUID, part: str, limit: int) -> Sequence[Named]:
    """Names of tags, those of most files first."""
    files = func.count(FileTag.media_file_id)
    rows = await session.execute(
        select(Tag.name, files)
        .outerjoin(FileTag, FileTag.tag_id == Tag.id)
        .where(Tag.user_id == user_id, Tag.name.icontains(part, autoescape=True))
        .group_by(Tag.id)
        .order_by(_later(Tag.name, part), files.desc(), Tag.name)
        .limit(limit)
    )
    return [Named(*row) for row in rows]


def _later(name: Any, part: str) -> ColumnElement[int]:
    """What begins so comes first."""
    return case((name.istartswith(part, autoescape=True), 0), else_=1)
