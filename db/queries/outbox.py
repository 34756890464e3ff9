"""Work on other stores that is still to be done."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Destination, OutboxEntry

NOW = timedelta(0)
BATCH = 1000
"""Entries of one statement: PostgreSQL takes 65,535 values at most, asyncpg half of them."""


async def add(
    session: AsyncSession,
    destination: Destination,
    subject: str,
    payload: Mapping[str, Any],
    after: timedelta = NOW,
) -> None:
    """Note work that is due `after` from now; noted again, the later word counts."""
    await add_all(session, destination, {subject: payload}, after)


async def add_all(
    session: AsyncSession,
    destination: Destination,
    noted: Mapping[str, Mapping[str, Any]],
    after: timedelta = NOW,
) -> None:
    """Note several things at once: payloads by subject."""
    if not noted:
        return
    due_at = func.now() + after
    entry = {"destination": destination, "due_at": due_at, "attempts": 0}
    # In one order: two who note the same things wait, and not for each other.
    rows = [{**entry, "subject": key, "payload": dict(noted[key])} for key in sorted(noted)]
    for at in range(0, len(rows), BATCH):
        await session.execute(_later_counts(insert(OutboxEntry).values(rows[at : at + BATCH])))


async def add_selected(
    session: AsyncSession, destination: Destination, noted: Select[str, Mapping[str, Any]]
) -> int:
    """Note what a query finds, subjects and payloads, as due now; how much that is."""
    subject, payload = noted.subquery().c
    where_to = literal(destination, OutboxEntry.destination.type)
    to_do = select(where_to, subject, payload, func.now(), literal(0)).order_by(subject)
    columns = ["destination", "subject", "payload", "due_at", "attempts"]
    entries = insert(OutboxEntry).from_select(columns, to_do)
    rows = await session.execute(_later_counts(entries).returning(literal(1)))
    return len(rows.all())


def _later_counts(statement: Insert) -> Insert:
    return statement.on_conflict_do_update(
        index_elements=[OutboxEntry.destination, OutboxEntry.subject],
        set_={
            "payload": statement.excluded.payload,
            "due_at": statement.excluded.due_at,
            # Grows, so that who is at work on the older entry does not remove this one.
            "attempts": OutboxEntry.attempts + 1,
            "failures": 0,
        },
    )


async def drop(session: AsyncSession, destination: Destination, subject: str) -> None:
    """Forget work that is done, or no longer needed."""
    await session.execute(
        delete(OutboxEntry).where(
            OutboxEntry.destination == destination, OutboxEntry.subject == subject
        )
    )


async def locked(session: AsyncSession, destination: Destination, subject: str) -> bool:
    """Whether work is noted, once a transaction that is about to forget it has ended.

    The note is locked until this transaction ends.
    """
    row = await session.scalar(
        select(OutboxEntry.id)
        .where(OutboxEntry.destination == destination, OutboxEntry.subject == subject)
        .with_for_update()
    )
    return row is not None


async def take(
    session: AsyncSession, destination: Destination, limit: int, lease: timedelta
) -> Sequence[OutboxEntry]:
    """Entries that are due, oldest first; nobody else takes them until the lease has run out."""
    due = (
        select(OutboxEntry.id)
        .where(OutboxEntry.destination == destination, OutboxEntry.due_at <= func.now())
        .order_by(OutboxEntry.due_at, OutboxEntry.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = await session.scalars(
        update(OutboxEntry)
        .where(OutboxEntry.id.in_(due.scalar_subquery()))
        .values(due_at=func.now() + lease, attempts=OutboxEntry.attempts + 1)
        .returning(OutboxEntry)
        .execution_options(synchronize_session=False)
    )
    return sorted(rows.all(), key=lambda entry: entry.id)


async def done(session: AsyncSession, entry: OutboxEntry) -> None:
    """Remove an entry, unless it was noted anew meanwhile."""
    await session.execute(
        delete(OutboxEntry).where(
            OutboxEntry.id == entry.id, OutboxEntry.attempts == entry.attempts
        )
    )


async def postpone(
    session: AsyncSession, entry: OutboxEntry, after: timedelta, error: str | None
) -> None:
    """Leave an entry for later; with an error, it has failed once more."""
    failures = 0 if error is None else OutboxEntry.failures + 1
    await session.execute(
        update(OutboxEntry)
        .where(OutboxEntry.id == entry.id, OutboxEntry.attempts == entry.attempts)
        .values(due_at=func.now() + after, failures=failures, last_error=error)
        .execution_options(synchronize_session=False)
    )


async def give_back(session: AsyncSession, entries: Sequence[OutboxEntry]) -> None:
    """Make entries that were taken and not tried due again."""
    if not entries:
        return
    await session.execute(
        update(OutboxEntry)
        .where(
            tuple_(OutboxEntry.id, OutboxEntry.attempts).in_(
                [(entry.id, entry.attempts) for entry in entries]
            )
        )
        .values(due_at=func.now())
        .execution_options(synchronize_session=False)
    )


async def waiting(session: AsyncSession) -> Mapping[Destination, tuple[int, float]]:
    """By destination: how many entries are due, and for how many seconds the oldest has been."""
    rows = await session.execute(
        select(
            OutboxEntry.destination,
            func.count(),
            func.extract("epoch", func.now() - func.min(OutboxEntry.due_at)),
        )
        .where(OutboxEntry.due_at <= func.now())
        .group_by(OutboxEntry.destination)
    )
    return {destination: (count, float(age)) for destination, count, age in rows}
