"""Uploads in parts."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.models import Upload, UploadPart, UploadState, User


def readable_by(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Uploads that this user may see: their own."""
    return Upload.user_id == user_id


async def add(
    session: AsyncSession,
    *,
    user_id: uuid.UUID,
    filename: str,
    content_type: str,
    size_bytes: int,
    part_bytes: int,
    sha256: str | None,
    options: dict[str, Any],
    lifetime: timedelta,
) -> Upload:
    """Open an upload."""
    upload = Upload(
        user_id=user_id,
        filename=filename,
        content_type=content_type,
        size_bytes=size_bytes,
        part_bytes=part_bytes,
        sha256=sha256,
        options=options,
        expires_at=func.now() + lifetime,
    )
    session.add(upload)
    await session.flush()
    await session.refresh(upload)
    return upload


def _open_of(user_id: uuid.UUID) -> tuple[ColumnElement[bool], ...]:
    return (readable_by(user_id), Upload.state == UploadState.open, Upload.expires_at > func.now())


async def count_open(session: AsyncSession, user_id: uuid.UUID) -> int:
    """How many uploads of a user are open; until this transaction ends, nobody else asks.

    So that of many requests at the same time each one sees those before it.
    """
    await session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    counted = select(func.count()).select_from(Upload).where(*_open_of(user_id))
    return await session.scalar(counted) or 0


async def page_of_open(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, offset: int
) -> tuple[Sequence[Upload], int]:
    """A user's open uploads, newest first, and how many there are."""
    matching = _open_of(user_id)
    rows = await session.scalars(
        select(Upload)
        .where(*matching)
        .order_by(Upload.created_at.desc(), Upload.id)
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(Upload).where(*matching))
    return rows.all(), total or 0


async def get(
    session: AsyncSession, user_id: uuid.UUID, upload_id: uuid.UUID, *, lock: bool = False
) -> Upload:
    """One upload; `lock` keeps it from being closed by others until this transaction ends.

    Raises:
        NotFound: there is none that this user may see.
    """
    query = select(Upload).where(Upload.id == upload_id, readable_by(user_id))
    upload: Upload | None = await session.scalar(query.with_for_update() if lock else query)
    if upload is None:
        raise NotFound("upload", str(upload_id))
    return upload


async def parts(session: AsyncSession, upload_id: uuid.UUID) -> Sequence[UploadPart]:
    """The parts that came through the API, in order."""
    rows = await session.scalars(
        select(UploadPart).where(UploadPart.upload_id == upload_id).order_by(UploadPart.number)
    )
    return rows.all()


async def parts_of(
    session: AsyncSession, upload_ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, list[int]]:
    """By upload: the numbers of the parts that came through the API, in order."""
    rows = await session.execute(
        select(UploadPart.upload_id, UploadPart.number)
        .where(UploadPart.upload_id.in_(upload_ids))
        .order_by(UploadPart.number)
    )
    found: dict[uuid.UUID, list[int]] = {upload_id: [] for upload_id in upload_ids}
    for upload_id, number in rows:
        found[upload_id].append(number)
    return found


async def save_part(
    session: AsyncSession, upload_id: uuid.UUID, number: int, size_bytes: int, sha256: str
) -> None:
    """Note that a part is stored; the same part again replaces it."""
    statement = insert(UploadPart).values(
        upload_id=upload_id, number=number, size_bytes=size_bytes, sha256=sha256
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[UploadPart.upload_id, UploadPart.number],
            set_={"size_bytes": size_bytes, "sha256": sha256},
        )
    )


async def close(
    session: AsyncSession,
    upload_id: uuid.UUID,
    state: UploadState,
    media_file_id: uuid.UUID | None = None,
) -> None:
    """End an upload. The caller holds its lock."""
    await session.execute(
        update(Upload)
        .where(Upload.id == upload_id)
        .values(state=state, media_file_id=media_file_id)
        .execution_options(synchronize_session=False)
    )
