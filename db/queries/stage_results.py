"""Checkpoints of stages."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Speaker, StageResult


@dataclass(frozen=True, slots=True)
class PartResult:
    """What a stage made of one part of a file."""

    stage: str
    fingerprint: str
    part: int
    data: bytes


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
    await save_all(session, media_file_id, [PartResult(stage, fingerprint, part, data)])


async def save_all(
    session: AsyncSession, media_file_id: uuid.UUID, parts: Sequence[PartResult]
) -> None:
    """Store several parts of one file."""
    rows = [{"media_file_id": media_file_id, **asdict(part)} for part in parts]
    # One row at a time in the statement: it is compiled once, and sent with all rows.
    await session.execute(insert(StageResult).on_conflict_do_nothing(), rows)


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
