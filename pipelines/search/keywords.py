"""Brings passages to the keyword store."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cluster.settings import SearchSettings
from db.engine import Sessions
from db.errors import StoreUnavailable
from db.keywords.port import KeywordStore, PassageDocument
from db.models import Destination
from db.queries.indexing import SpokenFile
from pipelines.search import documents
from pipelines.search.places import LIVE, NEXT, keyword_place


@dataclass(frozen=True, slots=True)
class KeywordKeeper:
    """Writes files to the index that is searched, and to the next one while it is there."""

    destination: ClassVar = Destination.keywords

    sessions: Sessions
    store: KeywordStore
    settings: SearchSettings
    indexes: tuple[str, ...] = (LIVE, NEXT)
    """Those that are written to, if they are there; the one that is searched is made."""

    def place(self, index: str) -> str:
        """What is written down as the place of an index."""
        return keyword_place(self.store, index, self.settings)

    async def bring(self, file: SpokenFile) -> tuple[Collection[str], int]:
        """Store a file's passages as they are, and no other ones of it.

        Says at which places, and how many.
        """
        found = await self.documents(file)
        indexes = await self._indexes()
        if LIVE in self.indexes and LIVE not in indexes:
            await self.store.ensure(LIVE)
            indexes = [LIVE, *indexes]
        if not indexes:
            raise StoreUnavailable(f"{self.store.adapter}: the index to fill is gone")
        for index in indexes:
            await self.fill(index, file, found)
        return [self.place(index) for index in indexes], len(found)

    async def documents(self, file: SpokenFile) -> Sequence[PassageDocument]:
        """The passages of a file."""
        return documents.documents(file, await documents.cut(file, self.settings))

    async def fill(self, index: str, file: SpokenFile, found: Sequence[PassageDocument]) -> None:
        """Make one index have these passages of a file, and no other ones of it."""
        size = self.settings.index_batch
        for start in range(0, len(found), size):
            await self.store.upsert(index, found[start : start + size])
        keep = {document.id for document in found}
        await self.store.delete(index, file.owner_id, file.id, keep=keep)

    async def remove_file(self, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
        """Remove a file's passages, of this user or whosever they are."""
        del user_id
        for index in await self._indexes():
            await self.store.remove_files(index, [file_id])

    async def remove_user(self, user_id: uuid.UUID) -> None:
        """Remove a user's passages."""
        for index in await self._indexes():
            await self.store.delete(index, user_id)

    async def _indexes(self) -> list[str]:
        return [index for index in await self.store.indexes() if index in self.indexes]
