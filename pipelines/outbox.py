"""Brings other stores up to date: an outage delays what they are told, and loses nothing."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import structlog

from cluster.settings import MaintenanceSettings
from db.engine import Sessions, session_scope
from db.errors import StoreBusy, StoreError, StoreUnavailable
from db.models import Destination, OutboxEntry
from db.queries import outbox

log = structlog.get_logger(__name__)

BATCH = 100
LEASE = timedelta(minutes=5)
"""Within this an entry's work must end; otherwise another runner does it too, which is harmless."""
MAX_PAUSE_SECONDS = 3600.0
MAX_PAUSE_WHILE_AWAY_SECONDS = 60.0
"""What waits because its store is away is brought soon after it answers again, however long that
took."""
AWAY_AFTER = 3
"""So many entries in a row that a store did not answer to, and the others are not tried either: an
outage makes little work. One alone may be too much for its store; others go on past it."""

Handler = Callable[[OutboxEntry], Awaitable[timedelta | None]]
"""Does an entry's work, which may be done twice. A time: not yet, look again after it."""


async def drain(
    sessions: Sessions,
    handlers: Mapping[Destination, Handler],
    settings: MaintenanceSettings,
    batch: int = BATCH,
) -> int:
    """Do what is due, and say how much that was.

    Args:
        sessions: where entries are.
        handlers: who does them, by destination.
        settings: pauses after failures.
        batch: how many are taken at a time: their work together must end within the lease.
    """
    count = 0
    for destination, handler in handlers.items():
        while True:
            async with session_scope(sessions) as session:
                entries = await outbox.take(session, destination, batch, LEASE)
            tried = await _try(sessions, handler, entries, settings)
            count += tried
            if tried < batch:
                break
    return count


async def _try(
    sessions: Sessions,
    handler: Handler,
    entries: Sequence[OutboxEntry],
    settings: MaintenanceSettings,
) -> int:
    """Do entries until the store is away; how many. The others stay due."""
    unanswered = 0
    for tried, entry in enumerate(entries, 1):
        answered = await _work(sessions, handler, entry, settings)
        unanswered = 0 if answered else unanswered + 1
        if unanswered == AWAY_AFTER:
            async with session_scope(sessions) as session:
                await outbox.give_back(session, entries[tried:])
            return tried
    return len(entries)


async def _work(
    sessions: Sessions, handler: Handler, entry: OutboxEntry, settings: MaintenanceSettings
) -> bool:
    """Do an entry; whether its store answered."""
    error: str | None = None
    answered = True
    what = {"destination": entry.destination, "subject": entry.subject}
    try:
        later = await handler(entry)
    except StoreUnavailable as failure:
        # Who finds a file locked has been answered.
        answered = isinstance(failure, StoreBusy)
        error = str(failure)
        later = min(_pause(entry, settings), timedelta(seconds=MAX_PAUSE_WHILE_AWAY_SECONDS))
        log.warning("a store is away", **what, error=error)
    except StoreError as failure:
        error, later = str(failure), _pause(entry, settings)
        log.warning("a store is behind", **what, error=error)
    except Exception as failure:
        # A fault of ours, or of what is stored: it stays for an operator, and stops no other entry.
        error, later = f"{type(failure).__name__}: {failure}", _pause(entry, settings)
        log.exception("work for a store failed unexpectedly", **what)
    async with session_scope(sessions) as session:
        if later is None:
            await outbox.done(session, entry)
        else:
            await outbox.postpone(session, entry, later, error)
    return answered


def _pause(entry: OutboxEntry, settings: MaintenanceSettings) -> timedelta:
    seconds = settings.outbox_retry_seconds * 2 ** min(entry.failures, 16)
    return timedelta(seconds=min(seconds, MAX_PAUSE_SECONDS))
