"""Rows whose time is over: runners drop them from time to time, an administrator at once."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import ColumnElement, delete, func, inspect, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from cluster.settings import MaintenanceSettings
from db.base import Base
from db.engine import Sessions, session_scope
from db.models import (
    AuditEvent,
    IdempotencyKey,
    RefreshToken,
    SignInAttempt,
    TaskEvent,
    Upload,
    UploadState,
)
from db.objects.keys import upload_prefix
from pipelines import leftovers
from pipelines.system_settings import AuditSettings, current

log = structlog.get_logger(__name__)

LOCK = 0x72617973_6D61696E
"""Advisory lock: of several runners one is enough."""
BATCH = 10_000
"""Rows that one statement deletes: it must end within the statement time-out."""
LATE = timedelta(days=1)
"""What has expired is kept for so long, so that whoever comes late is told that it expired."""


class Old(NamedTuple):
    """Rows of a table whose time is over: the column that says so, and how old it may be."""

    table: type[Base]
    since: InstrumentedAttribute[Any]
    age: timedelta

    def __call__(self) -> ColumnElement[bool]:
        """As a condition."""
        over: ColumnElement[bool] = self.since < func.now() - self.age
        return over


async def _kinds(session: AsyncSession, settings: MaintenanceSettings) -> Mapping[str, Old]:
    audit = await current(session, AuditSettings)
    days, hours = settings.event_retention_days, settings.idempotency_retention_hours
    attempts = settings.sign_in_retention_days
    return {
        "events": Old(TaskEvent, TaskEvent.created_at, timedelta(days=days)),
        "idempotency_keys": Old(IdempotencyKey, IdempotencyKey.created_at, timedelta(hours=hours)),
        "sign_in_attempts": Old(SignInAttempt, SignInAttempt.created_at, timedelta(days=attempts)),
        "audit_events": Old(
            AuditEvent, AuditEvent.created_at, timedelta(days=audit.retention_days)
        ),
        "sessions": Old(RefreshToken, RefreshToken.expires_at, LATE),
        "uploads": Old(Upload, Upload.expires_at, LATE),
    }


async def count_old_rows(sessions: Sessions, settings: MaintenanceSettings) -> Mapping[str, int]:
    """By kind, how many rows `drop_old_rows` would remove."""
    async with session_scope(sessions) as session:
        kinds = await _kinds(session, settings)
        return {
            name: await session.scalar(select(func.count()).select_from(old.table).where(old()))
            or 0
            for name, old in kinds.items()
        }


async def drop_old_rows(sessions: Sessions, settings: MaintenanceSettings) -> Mapping[str, int]:
    """Remove rows past their time; says how many of which kind. Another one at it: none."""
    total: Counter[str] = Counter()
    going_on = True
    while going_on:
        async with session_scope(sessions) as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
                break
            kinds = await _kinds(session, settings)
            dropped = {name: await _drop_batch(session, old) for name, old in kinds.items()}
        total.update(dropped)
        going_on = max(dropped.values()) == BATCH
    if total.total():
        log.info("old rows dropped", **total)
    return total


async def _drop_batch(session: AsyncSession, old: Old) -> int:
    key = tuple_(*inspect(old.table).primary_key)
    oldest = select(*key.clauses).where(old()).order_by(old.since).limit(BATCH)
    if old.table is Upload:
        await _note_parts(session, oldest)
    rows = await session.execute(
        delete(old.table)
        .where(key.in_(oldest))
        .returning(*key.clauses)
        .execution_options(synchronize_session=False)
    )
    return len(rows.all())


async def _note_parts(session: AsyncSession, oldest: Any) -> None:
    """Parts of uploads that nobody ended: noted when the upload began, and again to be sure."""
    rows = await session.execute(
        select(Upload.user_id, Upload.id).where(
            Upload.id.in_(oldest), Upload.state == UploadState.open
        )
    )
    for user_id, upload_id in rows.all():
        await leftovers.note(session, upload_prefix(user_id, upload_id), after=timedelta(0))
