"""Deletes files whose time is over: every day at a set time, or when an administrator says so.

A transaction deletes one file and writes down that it did, so that a crash leaves nothing half
done; what runs twice finds nothing left to do. Objects go by the outbox, as after a user's delete.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

import structlog
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Sessions, session_scope
from db.models import MediaFile
from db.queries import audit, retention, system_settings, tasks
from db.queries.audit import Action
from db.queries.retention import Rule
from pipelines import removal
from pipelines.system_settings import RetentionSettings, current

log = structlog.get_logger(__name__)

LOCK = 0x72617973_72657461
"""Advisory lock: of several runners one is enough."""
DAY = timedelta(days=1)
STATE = "retention_run"
"""Where the daily run is kept among the installation's settings; no section of its own."""


class DailyRun(BaseModel):
    """The latest daily run; it may have been stopped and gone on."""

    scheduled_for: datetime
    started_at: datetime
    finished_at: datetime | None = None
    files: int = 0
    bytes: int = 0

    def and_one(self, file: MediaFile) -> Self:
        """With one more file deleted."""
        return self.model_copy(
            update={"files": self.files + 1, "bytes": self.bytes + file.size_bytes}
        )


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a run by hand deleted, and whether files are left."""

    files: int
    bytes: int
    more: bool


def rule_of(settings: RetentionSettings) -> Rule:
    """Which files the settings want deleted."""
    return Rule(settings.days, settings.delete_failed)


def latest_moment(settings: RetentionSettings, now: datetime) -> datetime:
    """When the latest daily run should have begun: now, or within the day before."""
    today = _today(settings, now)
    moment = _moment(settings, today)
    return moment if moment <= now else _moment(settings, today - DAY)


def next_moment(settings: RetentionSettings, now: datetime) -> datetime:
    """When the next daily run begins."""
    today = _today(settings, now)
    moment = _moment(settings, today)
    return moment if moment > now else _moment(settings, today + DAY)


def _today(settings: RetentionSettings, now: datetime) -> date:
    return now.astimezone(settings.time.tzinfo).date()


def _moment(settings: RetentionSettings, day: date) -> datetime:
    # In UTC: a time that a change of clocks leaves out equals no other, not even itself elsewhere.
    return datetime.combine(day, settings.time).astimezone(UTC)


def due_since(
    settings: RetentionSettings, now: datetime, changed_at: datetime | None, last: DailyRun | None
) -> datetime | None:
    """The moment of a run that has not been made, or not to its end; None: nothing is due.

    A change never starts a run by itself: it counts from the next time on.
    """
    moment = latest_moment(settings, now)
    if not settings.enabled or (changed_at is not None and moment <= changed_at):
        return None
    if last is not None and last.finished_at is not None and last.scheduled_for >= moment:
        return None
    return moment


async def last_run(session: AsyncSession) -> DailyRun | None:
    """The latest daily run; None: there was none yet."""
    stored = await system_settings.values(session, STATE)
    return DailyRun.model_validate(stored) if stored else None


async def run_if_due(sessions: Sessions) -> DailyRun | None:
    """Make the daily run, or go on with it; None: it is not due, or another runner is at it."""
    run = None
    while True:
        async with session_scope(sessions) as session:
            run, going_on = await _daily_step(session, run)
        if not going_on:
            return run


async def _daily_step(session: AsyncSession, run: DailyRun | None) -> tuple[DailyRun | None, bool]:
    """Delete one file, or end the run; what is known of it, and whether there is more to do."""
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        return run, False
    settings = await current(session, RetentionSettings)
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    last = await last_run(session)
    changed_at = await system_settings.changed_at(session, RetentionSettings.section)
    moment = due_since(settings, now, changed_at, last)
    if moment is None:
        return run, False
    if last is None or last.scheduled_for != moment:
        last = DailyRun(scheduled_for=moment, started_at=now)
    file = await retention.take(session, rule_of(settings))
    if file is None:
        last = last.model_copy(update={"finished_at": now})
        _write_down(session, settings, last.files, last.bytes, by="schedule")
        log.info("retention", files=last.files, bytes=last.bytes)
    elif await _delete(session, file, by="schedule"):
        last = last.and_one(file)
    await system_settings.save(session, STATE, last.model_dump(mode="json"))
    return last, file is not None


async def run_now(
    sessions: Sessions, limit: int, *, actor_id: uuid.UUID, address: str = ""
) -> Deleted:
    """Delete at most `limit` files now, whether the daily run is enabled or not."""
    count = size_bytes = 0
    more = True
    for _ in range(limit):
        async with session_scope(sessions) as session:
            settings = await current(session, RetentionSettings)
            file = await retention.take(session, rule_of(settings))
            more = file is not None
            if file is None:
                break
            if await _delete(session, file, by="administrator", actor_id=actor_id, address=address):
                count, size_bytes = count + 1, size_bytes + file.size_bytes
    async with session_scope(sessions) as session:
        settings = await current(session, RetentionSettings)
        more = more and bool(await retention.due(session, rule_of(settings), 1))
        _write_down(
            session,
            settings,
            count,
            size_bytes,
            "administrator",
            actor_id=actor_id,
            address=address,
        )
    return Deleted(count, size_bytes, more)


async def _delete(
    session: AsyncSession,
    file: MediaFile,
    by: str,
    *,
    actor_id: uuid.UUID | None = None,
    address: str = "",
) -> bool:
    """Delete a file that is locked; False where a task has begun since it was found."""
    if await tasks.has_active(session, file.id):
        return False
    audit.add(
        session,
        Action.file_deleted,
        actor_id=actor_id,
        subject=("file", str(file.id)),
        owner_id=file.user_id,
        address=address,
        details={"reason": "retention", "by": by, "size_bytes": file.size_bytes},
    )
    await removal.remove(session, file)
    return True


def _write_down(
    session: AsyncSession,
    settings: RetentionSettings,
    files: int,
    size_bytes: int,
    by: str,
    *,
    actor_id: uuid.UUID | None = None,
    address: str = "",
) -> None:
    audit.add(
        session,
        Action.retention_run,
        actor_id=actor_id,
        address=address,
        details={
            "by": by,
            "days": settings.days,
            "delete_failed": settings.delete_failed,
            "files": files,
            "bytes": size_bytes,
        },
    )
