"""How fast backfills, and the installation, have been: what a plan reckons with."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    Backfill,
    BackfillItem,
    BackfillStage,
    ItemState,
    Task,
    TaskKind,
    TaskState,
    UsageEntry,
    UsageMeasure,
)

LATELY = timedelta(days=30)
LATEST = 500
"""Items, or tasks, that are looked at."""
GAP_SECONDS = 600.0
"""A longer pause between two ends was no work."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Audio seconds per second, all that worked on it together."""

    speed: float
    items: int


async def measured(session: AsyncSession, stage: BackfillStage) -> Pace | None:
    """By the latest backfill of this stage, else by the latest transcriptions; None: by nothing."""
    return await _of_backfill(session, stage) or await _of_tasks(session)


async def _of_backfill(session: AsyncSession, stage: BackfillStage) -> Pace | None:
    ended = (
        select(
            BackfillItem.ended_at,
            BackfillItem.audio_seconds,
            func.lag(BackfillItem.ended_at)
            .over(partition_by=BackfillItem.backfill_id, order_by=BackfillItem.ended_at)
            .label("before"),
        )
        .join(Backfill, Backfill.id == BackfillItem.backfill_id)
        .where(
            Backfill.stage == stage,
            BackfillItem.state == ItemState.done,
            BackfillItem.ended_at > func.now() - LATELY,
        )
        .order_by(BackfillItem.ended_at.desc())
        .limit(LATEST)
        .subquery()
        .c
    )
    gap = func.extract("epoch", ended.ended_at - ended.before)
    counted = (gap.is_not(None)) & (gap < GAP_SECONDS)
    row = await session.execute(
        select(
            func.sum(ended.audio_seconds).filter(counted),
            func.sum(gap).filter(counted),
            func.count().filter(counted),
        )
    )
    audio, seconds, number = row.one()
    return Pace(float(audio) / float(seconds), number) if audio and seconds else None


async def _of_tasks(session: AsyncSession) -> Pace | None:
    latest = (
        select(Task.started_at, Task.finished_at, Task.audio_seconds)
        .where(
            Task.state == TaskState.completed,
            Task.kind == TaskKind.transcription,
            Task.finished_at > func.now() - LATELY,
        )
        .order_by(Task.finished_at.desc())
        .limit(LATEST)
        .subquery()
        .c
    )
    # One after the other: several at once are faster, and nobody knows yet how many there will be.
    took = func.extract("epoch", latest.finished_at - latest.started_at)
    row = await session.execute(
        select(func.sum(latest.audio_seconds), func.sum(took), func.count())
    )
    audio, seconds, number = row.one()
    return Pace(float(audio) / float(seconds), number) if audio and seconds else None


async def busy_per_audio_second(
    session: AsyncSession, stages: Collection[str]
) -> Mapping[str, float]:
    """How long models of each stage are busy with a second of audio, by the ledger of use."""
    latest = (
        select(UsageEntry.task_id, UsageEntry.stage, UsageEntry.amount)
        .where(
            UsageEntry.measure == UsageMeasure.model_seconds,
            UsageEntry.stage.in_(stages),
            UsageEntry.created_at > func.now() - LATELY,
        )
        .order_by(UsageEntry.created_at.desc())
        .limit(LATEST * len(stages))
        .subquery()
        .c
    )
    # The task's own length: not every kind of task has audio in the ledger.
    ratio = func.sum(latest.amount) / func.sum(Task.audio_seconds)
    rows = await session.execute(
        select(latest.stage, ratio)
        .join(Task, Task.id == latest.task_id)
        .group_by(latest.stage)
        .having(func.sum(Task.audio_seconds) > 0)
    )
    return {stage: float(seconds) for stage, seconds in rows}
