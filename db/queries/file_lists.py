"""Lists of a user's files: a page in some order, and how many there are in all."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import UUID, ColumnCollection, ColumnElement, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from db.models import MediaFile
from db.queries import file_filters
from db.queries.file_filters import FileFilters


class FileSort(StrEnum):
    """What a list of files can be sorted by."""

    created_at = "created_at"
    completed_at = "completed_at"
    filename = "filename"
    size_bytes = "size_bytes"
    duration = "duration"
    status = "status"


NULLABLE = frozenset({FileSort.completed_at, FileSort.duration})
LARGE = (MediaFile.probe, MediaFile.media_metadata, MediaFile.waveform)
"""Columns that lists do not read."""
COLUMNS = select(
    MediaFile.id, *(getattr(MediaFile, sort.value) for sort in FileSort)
).selected_columns


@dataclass(frozen=True, slots=True)
class Order:
    """An order of files; what is not known yet (a duration, a completion) counts as the least."""

    sort: FileSort = FileSort.created_at
    descending: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the index that it is read from, forwards or backwards."""
        ties = ("created_at",) if self.sort is FileSort.status else ()
        return (self.sort.value, *ties, "id")

    def by(self, columns: ColumnCollection[str, Any] = COLUMNS) -> list[ColumnElement[Any]]:
        """What to order by, where these are the columns."""
        first, *rest = (
            columns[key].desc() if self.descending else columns[key].asc() for key in self.keys
        )
        if self.sort in NULLABLE:
            # Said only where it says something: else no index fits.
            first = first.nulls_last() if self.descending else first.nulls_first()
        return [first, *rest]


NEWEST = Order()


async def page(
    session: AsyncSession,
    user_id: uuid.UUID,
    filters: FileFilters,
    order: Order,
    *,
    limit: int,
    offset: int = 0,
) -> tuple[Sequence[MediaFile], int]:
    """One page of a user's files without their large columns, and how many there are in all."""
    if filters.is_search:
        ids, total = await _searched(session, user_id, filters, order, limit, offset)
    else:
        # An index has it all: the page is a piece of it, and the total needs no rows.
        matching = file_filters.conditions(user_id, filters)
        ids = await _ids(session, matching, order, limit, offset)
        counted = select(func.count()).select_from(MediaFile).where(*matching)
        total = await session.scalar(counted) or 0
    return await _rows(session, ids, order), total


async def newest(
    session: AsyncSession, user_id: uuid.UUID, filters: FileFilters, limit: int
) -> Sequence[MediaFile]:
    """A user's latest files without their large columns."""
    matching = file_filters.conditions(user_id, filters)
    return await _rows(session, await _ids(session, matching, NEWEST, limit, 0), NEWEST)


async def _ids(
    session: AsyncSession,
    matching: Sequence[ColumnElement[bool]],
    order: Order,
    limit: int,
    offset: int,
) -> Sequence[uuid.UUID]:
    found = select(MediaFile.id).where(*matching).order_by(*order.by())
    return (await session.scalars(found.limit(limit).offset(offset))).all()


async def _searched(
    session: AsyncSession,
    user_id: uuid.UUID,
    filters: FileFilters,
    order: Order,
    limit: int,
    offset: int,
) -> tuple[Sequence[uuid.UUID], int]:
    """The ids of a page, and the total: by one search for all that matches.

    To walk along the order until the page is full looks cheap to the planner where it expects many
    matches, and reads everything where there are few. The total needs all of them anyway.
    """
    columns = [COLUMNS[key] for key in order.keys]
    matching = file_filters.conditions(user_id, filters)
    found = select(*columns).where(*matching).cte("found").prefix_with("MATERIALIZED")
    page = select(found.c.id).order_by(*order.by(found.c)).limit(limit).offset(offset)
    ids = func.array(page.scalar_subquery(), type_=ARRAY(UUID(as_uuid=True)))
    total = select(func.count()).select_from(found).scalar_subquery()
    async with _well_planned(session, by_words=filters.transcript_search is not None):
        row = (await session.execute(select(ids, total))).one()
    return row[0], row[1]


@asynccontextmanager
async def _well_planned(session: AsyncSession, *, by_words: bool) -> AsyncIterator[None]:
    """Tell the planner in the block what it does not know.

    How much matches depends on the very words, so that one plan does not serve all. And it takes
    the question for a word to be as cheap as a comparison of numbers, although the vocabulary has
    to be fetched from beside the row and unpacked: reading all rows seems cheaper than the index.
    """
    await _set(session, plan_cache_mode="force_custom_plan")
    if by_words:
        await _set(session, enable_seqscan="off")
    yield
    await _set(session, plan_cache_mode="auto", enable_seqscan="on")


async def _set(session: AsyncSession, **settings: str) -> None:
    """Settings of PostgreSQL until the end of this transaction."""
    local = True
    await session.execute(
        select(*(func.set_config(name, value, local) for name, value in settings.items()))
    )


async def _rows(
    session: AsyncSession, ids: Sequence[uuid.UUID], order: Order
) -> Sequence[MediaFile]:
    if not ids:
        return []
    rows = await session.scalars(
        select(MediaFile)
        .where(MediaFile.id.in_(ids))
        .order_by(*order.by())
        .options(*(defer(column, raiseload=True) for column in LARGE))
    )
    return rows.all()
