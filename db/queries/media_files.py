"""Media files."""

import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import DuplicateFile, NotFound
from db.models import FileStatus, MediaFile

UNIQUE_BYTES = "uq_media_file_user_sha256"
# Must be the predicate of that unique index.
COUNTS_AS_DUPLICATE = MediaFile.status.not_in([FileStatus.failed, FileStatus.cancelled])


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Files that are this user's. What an administrator reads beside them: `db.queries.reading`."""
    return MediaFile.user_id == user_id


async def get(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, *, lock: bool = False
) -> MediaFile:
    """One file; `lock` keeps its row as it is until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(MediaFile).where(MediaFile.id == file_id, readable_by(user_id))
    # Not its key: checkpoints and transcripts may be written meanwhile.
    file: MediaFile | None = await session.scalar(
        query.with_for_update(key_share=True) if lock else query
    )
    if file is None:
        raise NotFound("file", str(file_id))
    return file


async def exists(session: AsyncSession, file_id: uuid.UUID) -> bool:
    """Whether the row is there, whoever it belongs to."""
    return await session.get(MediaFile, file_id) is not None


async def duplicate_of(session: AsyncSession, user_id: uuid.UUID, sha256: str) -> uuid.UUID | None:
    """The user's file with the same bytes, unless it came to nothing."""
    found: uuid.UUID | None = await session.scalar(
        select(MediaFile.id).where(
            MediaFile.user_id == user_id, MediaFile.sha256 == sha256, COUNTS_AS_DUPLICATE
        )
    )
    return found


@asynccontextmanager
async def unless_duplicate(session: AsyncSession) -> AsyncIterator[None]:
    """A part of a transaction that brings a failed file back to life.

    Raises:
        DuplicateFile: its bytes were uploaded again since, however close the race; this part of the
            transaction is undone.
    """
    try:
        async with session.begin_nested():
            yield
    except IntegrityError as error:
        if UNIQUE_BYTES not in str(error.orig):
            raise
        raise DuplicateFile(UNIQUE_BYTES) from error


async def add(session: AsyncSession, values: dict[str, Any]) -> MediaFile | None:
    """Store a new file; None where the user has these bytes already, however close the race."""
    file: MediaFile | None = await session.scalar(
        insert(MediaFile)
        .values(status=FileStatus.queued, media_metadata={}, **values)
        .on_conflict_do_nothing()
        .returning(MediaFile)
    )
    return file


async def describe(
    session: AsyncSession, user_id: uuid.UUID, file_id: uuid.UUID, values: Mapping[str, Any]
) -> MediaFile:
    """Change what people write about a file; says the file as it is then.

    Raises:
        NotFound: there is none that this user may see.
    """
    file: MediaFile | None = await session.scalar(
        update(MediaFile)
        .where(MediaFile.id == file_id, readable_by(user_id))
        .values(**values)
        .returning(MediaFile)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if file is None:
        raise NotFound("file", str(file_id))
    return file


async def lock(session: AsyncSession, file_ids: Collection[uuid.UUID]) -> None:
    """Keep these files as they are, with all that hangs on them, until this transaction ends."""
    await session.execute(
        select(MediaFile.id)
        .where(MediaFile.id.in_(file_ids))
        .order_by(MediaFile.id)
        .with_for_update()
    )


async def remove(session: AsyncSession, file_id: uuid.UUID) -> None:
    """Delete a file with everything that hangs on it.

    Raises:
        NotFound: somebody else has deleted it meanwhile.
    """
    gone = delete(MediaFile).where(MediaFile.id == file_id).returning(MediaFile.id)
    if await session.scalar(gone) is None:
        raise NotFound("file", str(file_id))


async def durations(
    session: AsyncSession, file_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, float]:
    """Seconds of those of these files that are there, whoever they belong to."""
    rows = await session.execute(
        select(MediaFile.id, func.coalesce(MediaFile.duration, 0.0)).where(
            MediaFile.id.in_(file_ids)
        )
    )
    return dict(rows.all())
