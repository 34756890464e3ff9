"""The vector store beside the rows: how far apart they are, and how they come together again.

Points are derived, so a store that was lost, restored from an old backup or replaced by another one
is filled from PostgreSQL: what belongs there is noted in the outbox, what does not is removed.
"""

import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from cluster.settings import VoiceSettings
from db.engine import Sessions, session_scope
from db.models import Destination
from db.notify import OUTBOX, notify
from db.queries import outbox, voice_points
from db.vectors.port import VectorStore
from pipelines.spaces import is_voice_space, voice_space
from pipelines.speakers.notes import About

BATCH = 5_000
"""Ids of points that are looked up in the rows at a time."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A space beside its rows, as they were one after the other."""

    rows: int
    """Voiceprints that belong there."""
    points: int
    missing: int
    """Voiceprints that have no point."""
    orphaned: int
    """Points of no voiceprint."""

    @property
    def equal(self) -> bool:
        """Whether everything has its counterpart."""
        return self.missing == 0 and self.orphaned == 0


async def note_all(sessions: Sessions) -> int:
    """Note every file with voiceprints and every profile; how many that is. Runners do the rest."""
    async with session_scope(sessions) as session:
        noted = [
            await outbox.add_selected(session, Destination.vectors, everything)
            for everything in (
                voice_points.files(f"{About.file}/"),
                voice_points.profiles(f"{About.profile}/"),
            )
        ]
        await notify(session, OUTBOX)
    return sum(noted)


async def compare(
    sessions: Sessions, store: VectorStore, settings: VoiceSettings
) -> Mapping[str, Comparison]:
    """By space. What is written meanwhile may seem to be missing or orphaned."""
    rows = await _rows(sessions, settings)
    found: dict[str, Comparison] = {}
    for space in sorted({*rows, *await _spaces(store)}):
        points = orphaned = 0
        async for batch in _batches(store, space):
            points += len(batch)
            orphaned += len(await _orphans(sessions, space, batch, settings))
        wanted = rows.get(space, 0)
        missing = max(0, wanted - (points - orphaned))
        found[space] = Comparison(wanted, points, missing, orphaned)
    return found


async def remove_orphans(sessions: Sessions, store: VectorStore, settings: VoiceSettings) -> int:
    """Remove the points of no voiceprint, and spaces of models that nothing is of; how many points.

    `note_all` afterwards brings back what is written just now, and gone with a space.
    """
    removed = 0
    rows = await _rows(sessions, settings)
    for space in await _spaces(store):
        if space not in rows:
            removed += await store.count(space)
            await store.drop(space)
            continue
        async for batch in _batches(store, space):
            orphans = await _orphans(sessions, space, batch, settings)
            await store.remove(space, orphans)
            removed += len(orphans)
    return removed


async def _spaces(store: VectorStore) -> list[str]:
    return [space for space in await store.spaces() if is_voice_space(space)]


async def _rows(sessions: Sessions, settings: VoiceSettings) -> Mapping[str, int]:
    """How many voiceprints belong to each space."""
    async with session_scope(sessions) as session:
        counted = await voice_points.counted(session, settings.min_clean_seconds)
    return {
        voice_space(model.name, model.dimension).name: number for model, number in counted.items()
    }


async def _batches(store: VectorStore, space: str) -> AsyncIterator[list[uuid.UUID]]:
    batch: list[uuid.UUID] = []
    async for one in store.ids(space):
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _orphans(
    sessions: Sessions, space: str, ids: Collection[uuid.UUID], settings: VoiceSettings
) -> list[uuid.UUID]:
    """Those of these points that no voiceprint calls for in this space.

    The points were read before the rows are, which are there before their points.
    """
    async with session_scope(sessions) as session:
        found = await voice_points.called_for(session, ids, settings.min_clean_seconds)
    here = {
        one
        for one, models in found.items()
        if any(voice_space(model.name, model.dimension).name == space for model in models)
    }
    return [one for one in ids if one not in here]
