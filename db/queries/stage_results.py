"""Checkpoints of stages."""

import uuid
from collections.abc import Collection, Mapping

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Speaker, StageResult


async def load(
    session: AsyncSession, media_file_id: uuid.UUID, stage: str, fingerprint: str
) -> Mapping[int, bytes]:
    """What is stored of a stage: part number to data."""
    rows = await session.execute(
        select(StageResult.part, StageResult.data).where(
            StageResult.media_file_id == media_file_id,
            StageResult.stage == stage,
            StageResult.fingerprint == fingerprint,
        )
    )
    return dict(rows.all())


async def save(
    session: AsyncSession,
    media_file_id: uuid.UUID,
    stage: str,
    fingerprint: str,
    part: int,
    data: bytes,
) -> None:
    """Store one part; the same part again is the same result, so the first stays."""
    await session.execute(
        insert(StageResult)
        .values(
            media_file_id=media_file_id,
            stage=stage,
            fingerprint=fingerprint,
            part=part,
            data=data,
        )
        .on_conflict_do_nothing()
    )


async def drop(session: AsyncSession, media_file_id: uuid.UUID, stages: Collection[str]) -> None:
    """Forget what is stored of these stages: they are to be computed anew."""
    await session.execute(
        delete(StageResult).where(
            StageResult.media_file_id == media_file_id, StageResult.stage.in_(stages)
        )
    )


async def drop_forgotten(
    session: AsyncSession, media_file_id: uuid.UUID, stages: Collection[str]
) -> None:
    """The same, if the voiceprint of one of the file's speakers was forgotten."""
    forgotten = exists().where(
        Speaker.media_file_id == media_file_id, Speaker.voiceprint_erased.is_(True)
    )
    await session.execute(
        delete(StageResult)
        .where(StageResult.media_file_id == media_file_id, StageResult.stage.in_(stages), forgotten)
        .execution_options(synchronize_session=False)
    )
