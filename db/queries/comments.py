"""Comments on files."""

import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import Comment, MediaFile
from db.queries import media_files


class CommentSort(StrEnum):
    """What a list of comments can be sorted by."""

    created_at = "created_at"
    timestamp = "timestamp"


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Comments that this user wrote, and those on their files."""
    own = select(MediaFile.id).where(
        MediaFile.id == Comment.media_file_id, media_files.readable_by(user_id)
    )
    return or_(Comment.user_id == user_id, own.exists())


async def page(
    session: AsyncSession, file_id: uuid.UUID, *, sort: CommentSort, limit: int, offset: int
) -> tuple[Sequence[Comment], int]:
    """One page of a file's comments, oldest or earliest first, and how many there are in all.

    The caller has seen to it that the file may be read.
    """
    order = {
        CommentSort.created_at: (Comment.created_at,),
        # What is about the whole file comes first.
        CommentSort.timestamp: (Comment.timestamp.asc().nulls_first(), Comment.created_at),
    }
    matching = Comment.media_file_id == file_id
    rows = await session.scalars(
        select(Comment)
        .where(matching)
        .order_by(*order[sort], Comment.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(Comment).where(matching))
    return rows.all(), total or 0


async def get(session: AsyncSession, user_id: uuid.UUID, comment_id: uuid.UUID) -> Comment:
    """One comment.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(Comment).where(Comment.id == comment_id, readable_by(user_id))
    comment: Comment | None = await session.scalar(query)
    if comment is None:
        raise NotFound("comment", str(comment_id))
    return comment


async def add(
    session: AsyncSession,
    *,
    user_id: uuid.UUID,
    file_id: uuid.UUID,
    text: str,
    timestamp: float | None,
) -> Comment:
    """Write a comment on a file that is locked."""
    comment = Comment(user_id=user_id, media_file_id=file_id, text=text, timestamp=timestamp)
    session.add(comment)
    await session.flush()
    await session.refresh(comment)
    return comment


async def change(
    session: AsyncSession, user_id: uuid.UUID, comment_id: uuid.UUID, changes: Mapping[str, Any]
) -> Comment:
    """Change one's own comment.

    Raises:
        NotFound: this user has written none of this id.
    """
    changed: Comment | None = await session.scalar(
        update(Comment)
        .where(Comment.id == comment_id, Comment.user_id == user_id)
        .values(**changes)
        .returning(Comment)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if changed is None:
        raise NotFound("comment", str(comment_id))
    return changed


async def remove(session: AsyncSession, user_id: uuid.UUID, comment_id: uuid.UUID) -> None:
    """Delete a comment: one's own, or one on one's file.

    Raises:
        NotFound: there is none of which this is true.
    """
    statement = delete(Comment).where(Comment.id == comment_id, readable_by(user_id))
    removed = statement.returning(Comment.id).execution_options(synchronize_session=False)
    if await session.scalar(removed) is None:
        raise NotFound("comment", str(comment_id))
