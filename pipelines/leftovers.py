"""Objects that may become leftovers, written down before they exist, and swept when they did.

Whoever is about to write objects under a prefix that nothing in the database names yet notes the
prefix first. Whatever then dies, the sweeper finds the note, and asks whether the objects are
needed.
"""

import uuid
from datetime import timedelta
from enum import StrEnum

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Sessions, session_scope
from db.errors import StoreUnavailable
from db.models import Destination, OutboxEntry
from db.objects.port import ObjectStore
from db.queries import media_files, outbox, tasks
from pipelines.outbox import Handler

log = structlog.get_logger(__name__)

GRACE = timedelta(hours=1)
"""How long objects lie before somebody looks whether they are needed."""


class KeptWhile(StrEnum):
    """What makes objects needed."""

    nothing = "nothing"
    file_exists = "file_exists"
    task_active = "task_active"


async def note(
    session: AsyncSession,
    prefix: str,
    kept_while: KeptWhile = KeptWhile.nothing,
    file_id: uuid.UUID | None = None,
    after: timedelta = GRACE,
) -> None:
    """Objects under this prefix are to be removed `after` from now, unless they are needed then."""
    payload = {"kept_while": kept_while, "file_id": str(file_id) if file_id else None}
    await outbox.add(session, Destination.objects, prefix, payload, after)


async def remove_now(
    sessions: Sessions, objects: ObjectStore, prefix: str, *, forget_it: bool = True
) -> None:
    """Remove all objects under a prefix that is noted; `forget_it` unless more may still arrive.

    While the store is away nothing happens: the rows say already that nobody needs the objects, and
    the note stays for the outbox.
    """
    try:
        await objects.delete_prefix(prefix)
    except StoreUnavailable as error:
        log.warning("objects not removed yet", prefix=prefix, error=str(error))
        return
    if forget_it:
        async with session_scope(sessions) as session:
            await forget(session, prefix)


async def forget(session: AsyncSession, prefix: str) -> None:
    """The objects are gone, or here to stay."""
    await outbox.drop(session, Destination.objects, prefix)


async def still_noted(session: AsyncSession, prefix: str) -> bool:
    """Whether nobody forgot a prefix, nor is about to: waits for a commit that is on its way."""
    return await outbox.locked(session, Destination.objects, prefix)


def sweeper(sessions: Sessions, objects: ObjectStore) -> Handler:
    """Does the entries of the outbox that are for the object store."""

    async def sweep(entry: OutboxEntry) -> timedelta | None:
        async with session_scope(sessions) as session:
            match KeptWhile(entry.payload["kept_while"]):
                case KeptWhile.file_exists:
                    if await media_files.exists(session, uuid.UUID(entry.payload["file_id"])):
                        return None
                case KeptWhile.task_active:
                    if await tasks.has_active(session, uuid.UUID(entry.payload["file_id"])):
                        return GRACE
                case KeptWhile.nothing:
                    pass
        await objects.delete_prefix(entry.subject)
        return None

    return sweep
