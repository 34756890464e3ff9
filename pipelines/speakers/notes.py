"""What the vector store is to be told: noted in the transaction that makes it necessary."""

import uuid
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Destination
from db.queries import outbox


class About(StrEnum):
    """What a note is about."""

    file = "file"
    """The voiceprints of a file's speakers are others, or gone."""
    profile = "profile"
    """A person's voices are others, or the person is gone."""
    user = "user"
    """An account is gone."""


async def note(session: AsyncSession, about: About, which: uuid.UUID, user_id: uuid.UUID) -> None:
    """Whatever the rows say when it is looked at is brought to the store; noted twice is once."""
    payload = {"user_id": str(user_id)}
    await outbox.add(session, Destination.vectors, f"{about}/{which}", payload)
