"""What the vector store is to be told: noted in the transaction that makes it necessary."""

import uuid
from collections.abc import Collection
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Destination
from db.notify import OUTBOX, notify
from db.queries import outbox, voiceprints


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
    await note_all(session, [(about, which)], user_id)


async def note_going(
    session: AsyncSession, user_id: uuid.UUID, file_ids: Collection[uuid.UUID]
) -> None:
    """Note that the speakers of these files go, before they do: points, and profiles they made.

    Whoever names speakers is kept off by a lock on the files, or is waited for
    (`db.queries.speakers.serialise`): a profile that wins a voice of theirs now would not be noted.
    """
    files = await voiceprints.with_voices(session, file_ids)
    profiles = await voiceprints.known_by(session, file_ids)
    about = [*((About.file, each) for each in files), *((About.profile, each) for each in profiles)]
    await note_all(session, about, user_id)


async def note_all(
    session: AsyncSession, about: Collection[tuple[About, uuid.UUID]], user_id: uuid.UUID
) -> None:
    """Note several things of one user."""
    payload = {"user_id": str(user_id)}
    subjects = {f"{what}/{which}": payload for what, which in about}
    await outbox.add_all(session, Destination.vectors, subjects)
    if subjects:
        await notify(session, OUTBOX)
