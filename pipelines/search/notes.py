"""What the stores of search are to be told: noted in the transaction that makes it necessary.

Noted last in a transaction, when its rows are written: then nobody who has a note still waits for
rows that another one holds who waits for the note.
"""

import uuid
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, UUID, Select, Text, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Destination
from db.notify import OUTBOX, notify
from db.queries import outbox


class About(StrEnum):
    """What a note is about."""

    file = "file"
    """What is found of a file is something else, or nothing."""
    user = "user"
    """An account is gone."""


async def note_files(
    session: AsyncSession,
    user_id: uuid.UUID,
    file_ids: Collection[uuid.UUID] | Select[uuid.UUID],
    *,
    spoken: bool,
) -> None:
    """Note that a user's files are found by something else, or are gone.

    Args:
        session: the transaction that changes them.
        user_id: whose they are.
        file_ids: which; a query where they may be many.
        spoken: whether text, times or speakers may be others. Else only what files and speakers
            are called, tags and collections are: vectors do not follow from these.
    """
    if not isinstance(file_ids, Select):
        if not file_ids:
            return
        file_ids = select(func.unnest(literal(list(file_ids), ARRAY(UUID))))
    stores = (Destination.keywords, Destination.passages) if spoken else (Destination.keywords,)
    for destination in stores:
        await outbox.add_selected(session, destination, _subjects(file_ids, user_id))
    await notify(session, OUTBOX)


def _subjects(file_ids: Select[uuid.UUID], user_id: uuid.UUID) -> Select[str, Mapping[str, Any]]:
    """Each file once, as something to be noted."""
    [file_id] = file_ids.subquery().c
    return select(
        literal(f"{About.file}/") + cast(file_id, Text),
        func.jsonb_build_object("user_id", cast(literal(str(user_id)), Text)),
    ).distinct()


async def note_user_gone(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Note that an account goes, with all that is found of it."""
    noted = {f"{About.user}/{user_id}": {"user_id": str(user_id)}}
    for destination in (Destination.keywords, Destination.passages):
        await outbox.add_all(session, destination, noted)
    await notify(session, OUTBOX)
