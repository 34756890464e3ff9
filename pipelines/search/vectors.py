"""Brings passages to the vector store: what it has already is not embedded again."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cluster.settings import SearchSettings
from db.engine import Sessions
from db.errors import StoreUnavailable
from db.models import Destination
from db.queries.indexing import SpokenFile
from db.vectors.port import FILE, Point, Space, VectorStore
from pipelines.search import documents
from pipelines.search.passages import Passage
from pipelines.search.places import passage_place
from pipelines.spaces import is_passage_space, passage_space
from serving.errors import SpeechError
from serving.ports import TextEmbedder, TextEmbeddings
from serving.voiceprints import unit_rows

BATCHES = 2
"""Batches of texts that are asked for together: one is computed, the next is on its way. With more
of them, somebody's query would wait behind a long recording."""

Wanted = Sequence[tuple[uuid.UUID, Passage]]


@dataclass(frozen=True, slots=True)
class PassageKeeper:
    """Writes files to the space of the model that embeds texts now."""

    destination: ClassVar = Destination.passages

    sessions: Sessions
    store: VectorStore
    embedder: TextEmbedder
    settings: SearchSettings

    async def space(self) -> Space:
        """Where passages lie that the model embeds.

        Raises:
            StoreUnavailable: the model does not answer.
        """
        return _space_of(await self._embed([]))

    def place(self, space: Space) -> str:
        """What is written down as the place of a space."""
        return passage_place(self.store, space, self.settings)

    async def bring(self, file: SpokenFile) -> tuple[Collection[str], int]:
        """Store a file's passages as they are, and no other ones of it.

        Says at which place, and how many.
        """
        cut = await documents.cut(file, self.settings)
        wanted = list(zip(documents.ids(file.id, cut), cut, strict=True))
        space = await self.space()
        await self.store.ensure(space)
        stored = await self._fill(space, file, wanted)
        keep = [passage_id for passage_id, _ in wanted]
        for name in await self._spaces():
            mine = {FILE: [str(file.id)]}
            await self.store.delete(name, file.owner_id, matching=mine, keep=keep)
        return [self.place(space)], stored

    async def _fill(self, space: Space, file: SpokenFile, wanted: Wanted) -> int:
        """Embed and store what is missing; how many are there then."""
        mine = {FILE: [str(file.id)]}
        there = {one async for one in self.store.ids(space.name, file.owner_id, matching=mine)}
        missing = [one for one in wanted if one[0] not in there]
        count = len(wanted) - len(missing)
        size = BATCHES * self.settings.embedding_batch_size
        for start in range(0, len(missing), size):
            points = await self._points(space, file, missing[start : start + size])
            await self.store.upsert(space.name, points)
            count += len(points)
        return count

    async def _points(self, space: Space, file: SpokenFile, batch: Wanted) -> list[Point]:
        found = await self._embed([passage.text for _, passage in batch])
        if _space_of(found) != space:
            raise StoreUnavailable("text embeddings: the model is being changed")
        vectors, usable = unit_rows(found.vectors)
        # What has no direction is near nothing: no question finds it.
        return [
            Point(passage_id, file.owner_id, vector, documents.payload(file.id, passage))
            for (passage_id, passage), vector, has_direction in zip(
                batch, vectors.tolist(), usable, strict=True
            )
            if has_direction
        ]

    async def _embed(self, texts: Sequence[str]) -> TextEmbeddings:
        try:
            return await self.embedder.embed(texts)
        except SpeechError as error:
            raise StoreUnavailable(f"text embeddings: {error.message}") from error

    async def remove_file(self, user_id: uuid.UUID, file_id: uuid.UUID) -> None:
        """Remove a file's passages."""
        for name in await self._spaces():
            await self.store.delete(name, user_id, matching={FILE: [str(file_id)]})

    async def remove_user(self, user_id: uuid.UUID) -> None:
        """Remove a user's passages."""
        for name in await self._spaces():
            await self.store.delete(name, user_id)

    async def _spaces(self) -> list[str]:
        return [name for name in await self.store.spaces() if is_passage_space(name)]


def _space_of(found: TextEmbeddings) -> Space:
    return passage_space(found.model, found.vectors.shape[1])
