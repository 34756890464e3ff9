"""Summaries of files: the latest, older versions, what a new one is called, what goes."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, load_only

from db import vocabulary
from db.errors import NotFound
from db.models import Summary

FACTS = load_only(
    Summary.media_file_id,
    Summary.version,
    Summary.transcript_version,
    Summary.provider,
    Summary.model,
    Summary.prompt_id,
    Summary.prompt_name,
    Summary.language,
    Summary.action_items,
    Summary.prompt_tokens,
    Summary.completion_tokens,
    Summary.calls,
    Summary.seconds,
    Summary.created_at,
    raiseload=True,
)
"""What a list tells: all but what the summary says."""
WHOLE = (defer(Summary.searchable, raiseload=True), defer(Summary.text, raiseload=True))
"""What is for search only is not read."""


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Summaries that are this user's."""
    return Summary.user_id == user_id


def _of(user_id: uuid.UUID, file_id: uuid.UUID) -> tuple[ColumnElement[bool], ...]:
    return Summary.media_file_id == file_id, readable_by(user_id)


async def latest(session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID) -> Summary | None:
    """A file's newest summary without what it says; None: there is none that this user may see."""
    found: Summary | None = await session.scalar(
        select(Summary)
        .where(*_of(user_id, file_id))
        .order_by(Summary.version.desc())
        .limit(1)
        .options(FACTS)
    )
    return found


async def get(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, version: int | None = None
) -> Summary:
    """A version of a file's summary, by default the newest one.

    Raises:
        NotFound: there is none that this user may see.
    """
    asked = () if version is None else (Summary.version == version,)
    found: Summary | None = await session.scalar(
        select(Summary)
        .where(*_of(user_id, file_id), *asked)
        .order_by(Summary.version.desc())
        .limit(1)
        .options(*WHOLE)
    )
    if found is None:
        raise NotFound("summary", str(file_id) if version is None else f"{file_id}/{version}")
    return found


async def page(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Summary], int]:
    """Versions of a file's summary without what they say, newest first, and how many there are."""
    matching = _of(user_id, file_id)
    rows = await session.scalars(
        select(Summary)
        .where(*matching)
        .order_by(Summary.version.desc())
        .limit(limit)
        .offset(offset)
        .options(FACTS)
    )
    total = await session.scalar(select(func.count()).select_from(Summary).where(*matching))
    return rows.all(), total or 0


async def add(
    session: AsyncSession,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    said: Sequence[str],
    values: Mapping[str, Any],
) -> Summary:
    """Store a summary as the file's next version; `said` is all that it says, for search."""
    summary = Summary(
        id=uuid.uuid4(),
        user_id=user_id,
        media_file_id=file_id,
        version=await _next_version(session, file_id),
        text="\n".join(said),
        searchable=vocabulary.stored(said),
        **values,
    )
    session.add(summary)
    await session.flush()
    return summary


async def _next_version(session: AsyncSession, file_id: uuid.UUID) -> int:
    """The number of the next version; nobody else gets one before this transaction ends."""
    # No lock on the file's row: whoever deletes the file locks its tasks first, then that row, and
    # a runner holds its task at the end of this transaction.
    key = func.hashtextextended(f"summaries {file_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))
    highest = select(func.max(Summary.version)).where(Summary.media_file_id == file_id)
    return (await session.scalar(highest) or 0) + 1


async def remove(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, version: int | None = None
) -> None:
    """Delete a file's summary with all its versions, or one of these.

    Raises:
        NotFound: there is none that this user may see.
    """
    asked = () if version is None else (Summary.version == version,)
    gone = await session.scalars(
        delete(Summary)
        .where(*_of(user_id, file_id), *asked)
        .returning(Summary.id)
        .execution_options(synchronize_session=False)
    )
    if not gone.all():
        raise NotFound("summary", str(file_id) if version is None else f"{file_id}/{version}")
