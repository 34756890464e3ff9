"""Keeps both stores of search equal to the rows.

A note of the outbox says what may have changed, not how. Who wrote to a store looks at the rows
again, and begins anew where they are others by now; what changes after that look is noted by its
own transaction. Then it is written down what the store has.
"""

import uuid
from collections.abc import Collection
from datetime import timedelta

from db.engine import session_scope
from db.models import OutboxEntry, User
from db.queries import indexing
from db.queries.indexing import SpokenFile
from pipelines.outbox import Handler
from pipelines.search import locks
from pipelines.search.keywords import KeywordKeeper
from pipelines.search.notes import About
from pipelines.search.vectors import PassageKeeper

Keeper = KeywordKeeper | PassageKeeper

BUSY = timedelta(seconds=5)
"""When a file is looked at again that somebody else is writing."""


def handler(keeper: Keeper) -> Handler:
    """Does the entries of the outbox that are for one of the stores."""

    async def work(entry: OutboxEntry) -> timedelta | None:
        about, _, which = entry.subject.partition("/")
        user_id = uuid.UUID(entry.payload["user_id"])
        match About(about):
            case About.file:
                done = await keep_file(keeper, uuid.UUID(which), user_id)
            case About.user:
                done = await keep_user(keeper, user_id)
        return None if done else BUSY

    return work


async def keep_file(keeper: Keeper, file_id: uuid.UUID, user_id: uuid.UUID) -> bool:
    """Bring a store to what the rows say of a user's file; False: somebody else is at it.

    Raises:
        StoreUnavailable: the store, or the model of text embeddings, does not answer.
    """
    async with locks.writing(keeper.sessions, keeper.destination, file_id) as ours:
        if ours:
            await _until_equal(keeper, file_id, user_id)
    return ours


async def _until_equal(keeper: Keeper, file_id: uuid.UUID, user_id: uuid.UUID) -> None:
    async with session_scope(keeper.sessions) as session:
        file = await indexing.read(session, file_id)
    while True:
        places: Collection[str] = ()
        passages = 0
        if file is None:
            await keeper.remove_file(user_id, file_id)
        else:
            places, passages = await keeper.bring(file)
        now = await _written_down(keeper, file_id, file, places, passages)
        if now == file:
            return
        file = now


async def _written_down(
    keeper: Keeper,
    file_id: uuid.UUID,
    file: SpokenFile | None,
    places: Collection[str],
    passages: int,
) -> SpokenFile | None:
    """What the rows say now; where that is what the store has, it is written down."""
    async with session_scope(keeper.sessions) as session:
        now = await indexing.read(session, file_id, lock=True)
        if now == file and now is None:
            await indexing.forget(session, keeper.destination, file_id)
        elif now == file and now is not None:
            await indexing.note_stored(session, now, keeper.destination, places, passages)
    return now


async def keep_user(keeper: Keeper, user_id: uuid.UUID) -> bool:
    """Remove what a store has of an account that is gone; one that is there keeps it."""
    async with session_scope(keeper.sessions) as session:
        if await session.get(User, user_id) is not None:
            return True
    async with locks.writing(keeper.sessions, keeper.destination, user_id) as ours:
        if ours:
            await keeper.remove_user(user_id)
    return ours
