"""Removes points of the vector store that no row of their owner stands for any more.

Notes of the outbox keep the store equal to the rows; this is for what came about otherwise: a store
that was restored from a backup, rows that were deleted by hand.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from db.engine import Sessions, session_scope
from db.queries import speaker_points
from db.queries.speaker_points import PointRow
from db.vectors.port import VectorStore
from pipelines.spaces import is_voice_space, voice_space
from pipelines.speakers import notes
from pipelines.speakers.notes import About

BATCH = 1000
"""Points that are looked up at a time."""


@dataclass(frozen=True, slots=True)
class Swept:
    """How many points were looked at, and how many of them are gone."""

    looked_at: int
    removed: int


async def remove(sessions: Sessions, store: VectorStore, user_id: uuid.UUID) -> Swept:
    """Remove the points of a user that have no row; nothing is held while the store is asked.

    Raises:
        StoreUnavailable: the store does not answer; what is left is removed next time.
    """
    looked_at = removed = 0
    for space in await store.spaces():
        if not is_voice_space(space):
            continue
        async for ids in _batches(store.ids(space, user_id)):
            orphans = ids - (await _known(sessions, user_id, space, ids)).keys()
            if orphans:
                await store.remove(space, orphans)
                await _note_revived(sessions, user_id, space, orphans)
            looked_at += len(ids)
            removed += len(orphans)
    return Swept(looked_at, removed)


async def _batches(ids: AsyncIterator[uuid.UUID]) -> AsyncIterator[set[uuid.UUID]]:
    batch: set[uuid.UUID] = set()
    async for each in ids:
        batch.add(each)
        if len(batch) == BATCH:
            yield batch
            batch = set()
    if batch:
        yield batch


async def _known(
    sessions: Sessions, user_id: uuid.UUID, space: str, ids: set[uuid.UUID]
) -> Mapping[uuid.UUID, PointRow]:
    """Rows that points of this space stand for: they have a voiceprint of its model."""
    async with session_scope(sessions) as session:
        rows = await speaker_points.rows_of(session, user_id, ids)
    return {row.id: row for row in rows if voice_space(row.model, row.dimension).name == space}


async def _note_revived(
    sessions: Sessions, user_id: uuid.UUID, space: str, gone: set[uuid.UUID]
) -> None:
    """What got its row at the very moment when its point was removed gets a point again."""
    revived = await _known(sessions, user_id, space, gone)
    about = [
        (About.profile, row.id) if row.file_id is None else (About.file, row.file_id)
        for row in revived.values()
    ]
    async with session_scope(sessions) as session:
        await notes.note_all(session, sorted(set(about)), user_id)
