"""What operators ask of all users' tasks and files; nothing here is scoped by owner."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Double, cast, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from db.base import Base
from db.errors import NotFound
from db.models import (
    Backfill,
    Enrolment,
    FileStatus,
    Lane,
    MediaFile,
    Role,
    Task,
    TaskState,
    Upload,
    UploadState,
    User,
)
from db.queries.tasks import ACTIVE, HELD, is_overdue

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """What of a lane waits, and what runs."""

    waiting_audio_seconds: float = 0.0
    waiting_oldest_seconds: float = 0.0
    waiting_age_seconds: Mapping[float, float] = field(
        default_factory=lambda: dict.fromkeys(QUANTILES, 0.0)
    )
    """How long tasks have waited that wait now, by quantile."""
    running_oldest_seconds: float = 0.0
    overdue: int = 0


async def load(session: AsyncSession) -> Mapping[Lane, LaneLoad]:
    """Every lane's load, from the rows of tasks that are not over."""
    queued = Task.state == TaskState.queued
    # A waiting task is written only when it begins to wait, and may be told to wait longer.
    since = func.greatest(Task.run_after, Task.updated_at)
    # Who comes later has waited less: of moments it is the opposite quantile.
    later = cast([1 - quantile for quantile in QUANTILES], ARRAY(Double))
    moments = func.percentile_disc(later)
    rows = await session.execute(
        select(
            Task.lane,
            func.coalesce(func.sum(Task.audio_seconds).filter(queued), 0.0),
            _age(func.min(since).filter(queued)),
            _age(func.min(Task.started_at).filter(Task.state.in_(HELD))),
            func.count().filter(is_overdue()),
            func.now(),
            moments.within_group(since).filter(queued, since <= func.now()),
        )
        .where(Task.state.in_(ACTIVE))
        .group_by(Task.lane)
    )
    found = {
        lane: LaneLoad(float(audio), float(waiting), _ages(now, since), float(running), overdue)
        for lane, audio, waiting, running, overdue, now, since in rows
    }
    return {lane: found.get(lane, LaneLoad()) for lane in Lane}


def _ages(now: datetime, moments: Sequence[datetime] | None) -> Mapping[float, float]:
    """Seconds since each of the moments, by quantile; 0 where nobody waits."""
    ages = [(now - moment).total_seconds() for moment in moments or ()]
    return {
        quantile: max(0.0, age)
        for quantile, age in zip(QUANTILES, ages or [0.0] * len(QUANTILES), strict=True)
    }


def _age(moment: Any) -> ColumnElement[float]:
    """Seconds since a moment; 0 where there is none, or where it is still to come."""
    return func.greatest(func.coalesce(func.extract("epoch", func.now() - moment), 0), 0)


async def task(session: AsyncSession, task_id: uuid.UUID, *, lock: bool = False) -> Task:
    """Anybody's task.

    Raises:
        NotFound: there is none.
    """
    found: Task | None = await session.get(Task, task_id, with_for_update=lock)
    if found is None:
        raise NotFound("task", str(task_id))
    return found


async def require_user(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Raise NotFound where there is no such account."""
    if await session.get(User, user_id) is None:
        raise NotFound("user", str(user_id))


async def overdue(
    session: AsyncSession,
    *,
    limit: int,
    user_id: uuid.UUID | None = None,
    file_id: uuid.UUID | None = None,
) -> Sequence[Task]:
    """Tasks in the hands of runners that have fallen silent, those silent longest first."""
    matching = [is_overdue()]
    if user_id is not None:
        matching.append(Task.user_id == user_id)
    if file_id is not None:
        matching.append(Task.media_file_id == file_id)
    rows = await session.scalars(
        select(Task)
        .where(*matching)
        .order_by(Task.lease_expires_at.nulls_first(), Task.id)
        .limit(limit)
    )
    return rows.all()


async def files_by_status(
    session: AsyncSession, user_id: uuid.UUID | None = None
) -> Mapping[FileStatus, int]:
    """How many files are in each status, of everybody or of one user."""
    rows = await session.execute(
        select(MediaFile.status, func.count())
        .where(*([MediaFile.user_id == user_id] if user_id else []))
        .group_by(MediaFile.status)
    )
    counted = dict(rows.all())
    return {status: counted.get(status, 0) for status in FileStatus}


@dataclass(frozen=True, slots=True)
class UserTotals:
    """How many accounts there are, of which kinds; `new`: made in the last days."""

    total: int
    active: int
    inactive: int
    admins: int
    new: int


async def user_totals(session: AsyncSession, new: timedelta) -> UserTotals:
    """All accounts, counted."""
    total = func.count()
    row = await session.execute(
        select(
            total,
            total.filter(User.is_active),
            total.filter(~User.is_active),
            total.filter(User.role == Role.admin),
            total.filter(User.created_at >= func.now() - new),
        ).select_from(User)
    )
    return UserTotals(*row.one())


@dataclass(frozen=True, slots=True)
class FileTotals:
    """All files: how many, seconds of audio, bytes."""

    total: int
    new: int
    duration: float
    size_bytes: int
    by_status: Mapping[FileStatus, int]


async def file_totals(session: AsyncSession, new: timedelta) -> FileTotals:
    """All files, counted and summed up."""
    rows = await session.execute(
        select(
            MediaFile.status,
            func.count(),
            func.count().filter(MediaFile.created_at >= func.now() - new),
            func.coalesce(func.sum(MediaFile.duration), 0.0),
            func.coalesce(func.sum(MediaFile.size_bytes), 0),
        ).group_by(MediaFile.status)
    )
    found = rows.all()
    return FileTotals(
        total=sum(row[1] for row in found),
        new=sum(row[2] for row in found),
        duration=sum(row[3] or 0.0 for row in found),
        size_bytes=sum(int(row[4]) for row in found),
        by_status=dict.fromkeys(FileStatus, 0) | {row[0]: row[1] for row in found},
    )


COUNTED_EXACTLY = 50_000
"""Rows up to which a table is counted, which takes a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many rows a table has, and whether that is an estimate."""

    value: int
    estimated: bool


async def amount(session: AsyncSession, table: type[Base]) -> Amount:
    """A small table is counted; of a large one PostgreSQL's own estimate is taken.

    The estimate is of the table's last (auto)vacuum or analyse.
    """
    first = select(text("1")).select_from(table).limit(COUNTED_EXACTLY + 1).subquery()
    counted = (await session.execute(select(func.count()).select_from(first))).scalar_one()
    if counted <= COUNTED_EXACTLY:
        return Amount(counted, estimated=False)
    estimate = await session.scalar(
        text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)"),
        {"name": table.__tablename__},
    )
    # -1: never vacuumed yet. What was counted is surely there.
    return Amount(max(estimate or 0, counted), estimated=True)


async def recent_tasks(session: AsyncSession, limit: int) -> Sequence[Task]:
    """The newest tasks of all users."""
    rows = await session.scalars(
        select(Task).order_by(Task.created_at.desc(), Task.id).limit(limit)
    )
    return rows.all()


async def processing_seconds(session: AsyncSession, latest: int) -> float | None:
    """What the latest completed tasks took on average; None: there are none."""
    took = (
        select(func.extract("epoch", Task.finished_at - Task.started_at).label("seconds"))
        .where(Task.state == TaskState.completed)
        .order_by(Task.finished_at.desc())
        .limit(latest)
        .subquery()
    )
    average = await session.scalar(select(func.avg(took.c.seconds)))
    return None if average is None else float(average)


async def files(
    session: AsyncSession,
    *,
    owner_id: uuid.UUID | None,
    statuses: Sequence[FileStatus],
    limit: int,
    offset: int,
) -> tuple[Sequence[MediaFile], int]:
    """One page of all users' files, newest first, and how many there are in all."""
    matching = []
    if owner_id is not None:
        matching.append(MediaFile.user_id == owner_id)
    if statuses:
        matching.append(MediaFile.status.in_(statuses))
    rows = await session.scalars(
        select(MediaFile)
        .where(*matching)
        .order_by(MediaFile.created_at.desc(), MediaFile.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = await session.scalar(select(func.count()).select_from(MediaFile).where(*matching))
    return rows.all(), total or 0


async def file(session: AsyncSession, file_id: uuid.UUID) -> MediaFile:
    """Anybody's file.

    Raises:
        NotFound: there is none.
    """
    found: MediaFile | None = await session.get(MediaFile, file_id)
    if found is None:
        raise NotFound("file", str(file_id))
    return found


async def known_files(session: AsyncSession, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these files that there are."""
    return set(await session.scalars(select(MediaFile.id).where(MediaFile.id.in_(ids))))


async def known_enrolments(session: AsyncSession, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these clips that there are."""
    return set(await session.scalars(select(Enrolment.id).where(Enrolment.id.in_(ids))))


async def open_uploads(session: AsyncSession, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these uploads whose parts are still needed."""
    rows = await session.scalars(
        select(Upload.id).where(Upload.id.in_(ids), Upload.state == UploadState.open)
    )
    return set(rows)


async def unread_manifests(session: AsyncSession, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these manifests whose rows a backfill has not written down yet."""
    manifest = Backfill.selection["manifest"].astext
    rows = await session.scalars(
        select(manifest).where(Backfill.selected_at.is_(None), manifest.is_not(None))
    )
    named = {location.rpartition("/")[2] for location in rows}
    return {key for key in ids if str(key) in named}
