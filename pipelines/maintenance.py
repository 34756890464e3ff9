"""What runners do besides tasks: the outbox, and rows whose time is over."""

from datetime import timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import MaintenanceSettings
from db.engine import Sessions, session_scope
from db.models import IdempotencyKey, TaskEvent

log = structlog.get_logger(__name__)

LOCK = 0x72617973_6D61696E
"""Advisory lock: of several runners one is enough."""
BATCH = 10_000
"""Rows that one statement deletes: it must end within the statement time-out."""


async def drop_old_rows(sessions: Sessions, settings: MaintenanceSettings) -> int:
    """Remove events and idempotency keys past their time; says how many rows that were."""
    total = 0
    while True:
        async with session_scope(sessions) as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
                return total
            dropped = await _drop_batch(session, settings)
        total += dropped
        if dropped < BATCH:
            break
    if total:
        log.info("old rows dropped", rows=total)
    return total


async def _drop_batch(session: AsyncSession, settings: MaintenanceSettings) -> int:
    old_events = (
        select(TaskEvent.id)
        .where(TaskEvent.created_at < func.now() - timedelta(days=settings.event_retention_days))
        .order_by(TaskEvent.id)
        .limit(BATCH)
    )
    events = await session.execute(
        delete(TaskEvent)
        .where(TaskEvent.id.in_(old_events.scalar_subquery()))
        .returning(TaskEvent.id)
        .execution_options(synchronize_session=False)
    )
    age = timedelta(hours=settings.idempotency_retention_hours)
    keys = await session.execute(
        delete(IdempotencyKey)
        .where(IdempotencyKey.created_at < func.now() - age)
        .returning(IdempotencyKey.key)
        .execution_options(synchronize_session=False)
    )
    return max(len(events.all()), len(keys.all()))
