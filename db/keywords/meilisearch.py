"""Passages in Meilisearch: an index for each name, in which every filter names the owner."""

import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from meilisearch.models.task import TaskInfo

from cluster.settings import SearchSettings
from db.errors import NotFound, StoreError, StoreUnavailable
from db.keywords import checks
from db.keywords.meilisearch_documents import (
    FILE,
    LONGEST_PREFIX,
    MAX_FACETS,
    OWNER,
    Json,
    are_set,
    asked_for,
    counted_by_file,
    document,
    hits,
    index_settings,
    of_files,
    of_owner,
)
from db.keywords.meilisearch_requests import (
    NO_INDEX,
    Answer,
    NotInTime,
    Question,
    Refused,
    Requests,
    Server,
    Servers,
)
from db.keywords.port import KeywordHit, KeywordQuery, PassageDocument

PREFIX = "rayscribe-"
"""Of our indexes: others may use the server, and a key can be for `rayscribe-*`."""
PAGE = 1_000
"""Indexes that are read at a time."""
FILES_AT_A_TIME = 1_000
"""Whose passages one request removes."""


class MeilisearchStore:
    """The port, on a Meilisearch server."""

    adapter = "meilisearch"

    def __init__(self, servers: Servers, settings: SearchSettings) -> None:
        self._requests = Requests(servers, settings)
        self._batch = settings.index_batch
        self._wanted = index_settings(settings.keyword_timeout_seconds)

    async def ready(self) -> None:
        """Return when the server answers, and takes the key: it asks for none at its /health."""
        await self._ask(_names(0))

    async def close(self) -> None:
        """Close the connections."""
        await self._requests.close()

    async def indexes(self) -> Sequence[str]:
        """Names of the indexes there are that are ours."""
        found: list[str] = []
        names = await self._ask(_names(0))
        while names:
            found += names
            names = await self._ask(_names(len(found))) if len(names) == PAGE else []
        return sorted(name.removeprefix(PREFIX) for name in found if name.startswith(PREFIX))

    async def ensure(self, index: str) -> None:
        """Make an index with its settings, unless it is there."""
        uid, wanted = _uid(index), self._wanted
        # Parts of titles cannot be filtered by otherwise; the server keeps it.
        await self._ask(lambda server: server.client.update_experimental_features(CONTAINS))
        if not await self._is_set(index):
            # It makes the index too: there is none without settings.
            await self._write(index, lambda server: server.index(uid).update_settings(wanted))

    async def _is_set(self, index: str) -> bool:
        uid = _uid(index)
        try:
            found = await self._ask(lambda server: server.index(uid).get_settings(), index)
        except NotFound:
            return False
        return are_set(self._wanted, found)

    async def swap(self, index: str, other: str) -> None:
        """Exchange the contents of two indexes at once; it is asked for once only."""
        names = [_uid(index), _uid(other)]
        try:
            taken = await self._requests.ask(
                lambda server: server.client.swap_indexes([{"indexes": names}]), again=False
            )
            await self._swapped(taken.task_uid)
        except Refused as error:
            raise _told(error, f"{index} or {other}") from error

    async def _swapped(self, task: int) -> None:
        """Wait for an exchange; one that comes too late would undo the next, so it is withdrawn."""
        try:
            await self._requests.done(task)
        except NotInTime:
            await self._requests.ask(lambda server: server.client.cancel_tasks({"uids": str(task)}))
            await self._requests.done(task)

    async def drop(self, index: str) -> None:
        """Remove an index with all its passages."""
        uid = _uid(index)
        await self._remove(index, lambda server: server.client.delete_index(uid))

    async def upsert(self, index: str, passages: Sequence[PassageDocument]) -> None:
        """Store passages, each in the place of the one with its id."""
        uid = _uid(index)
        checks.passages(passages)
        if not await self._has_settings(index):
            # Whoever was to make it has got no further.
            await self.ensure(index)
        chunks = [
            [document(one) for one in passages[start : start + self._batch]]
            for start in range(0, len(passages), self._batch)
        ]
        # All are sent before one is waited for: the server does them together.
        taken = [await self._ask(_add(uid, chunk), index) for chunk in chunks]
        for one in taken:
            await self._wait(index, one.task_uid)
        if not await self._has_settings(index):
            # Somebody has dropped it since, and the documents made one without settings, in which
            # nothing is found.
            await self.drop(index)
            raise NotFound("index", index)

    async def _has_settings(self, index: str) -> bool:
        uid = _uid(index)
        found = await self._ask(lambda s: s.index(uid).get_filterable_attributes(), index)
        return OWNER in found

    async def delete(
        self,
        index: str,
        owner_id: uuid.UUID,
        media_file_id: uuid.UUID | None = None,
        *,
        keep: Collection[uuid.UUID] = (),
    ) -> None:
        """Remove an owner's passages, or those of one file, but those in `keep`."""
        await self._remove(index, _delete(_uid(index), of_owner(owner_id, media_file_id, keep)))

    async def remove_files(self, index: str, media_file_ids: Collection[uuid.UUID]) -> None:
        """Remove passages whosever they are."""
        uid, ids = _uid(index), list(media_file_ids)
        for start in range(0, len(ids), FILES_AT_A_TIME):
            some = ids[start : start + FILES_AT_A_TIME]
            await self._remove(index, _delete(uid, of_files(some)))

    async def search(
        self, index: str, owner_id: uuid.UUID, query: KeywordQuery, *, limit: int
    ) -> Sequence[KeywordHit]:
        """The owner's passages that match, best first."""
        uid, body = _uid(index), asked_for(owner_id, query, limit)
        if body is None:
            return []
        text = body.pop("q")
        try:
            return await self._ask(lambda s: hits(s.index(uid).search(text, body)), index)
        except NotFound:
            return []

    async def files(self, index: str) -> AsyncIterator[Mapping[uuid.UUID, int]]:
        """How many passages each file has; of many, by the first digits of their ids."""
        uid, prefixes = _uid(index), [""]
        while prefixes:
            prefix = prefixes.pop()
            try:
                found = await self._ask(_counted(uid, prefix), index)
            except NotFound:
                return
            if len(found) < MAX_FACETS:
                yield {uuid.UUID(name): count for name, count in found.items()}
            elif len(prefix) < LONGEST_PREFIX:
                prefixes += [f"{prefix}{digit:x}" for digit in range(16)]
            else:
                raise StoreUnavailable("Meilisearch: more files than can be counted")

    async def count(self, index: str, owner_id: uuid.UUID | None = None) -> int:
        """How many passages there are, exactly."""
        uid = _uid(index)
        mine = {"filter": of_owner(owner_id)} if owner_id is not None else {}
        asked = {"limit": 0, "fields": ["id"], **mine}
        try:
            return await self._ask(lambda s: s.index(uid).get_documents({**asked}).total, index)
        except NotFound:
            return 0

    async def _ask(self, question: Question[Answer], index: str | None = None) -> Answer:
        """The answer; NotFound where there is no such index."""
        try:
            return await self._requests.ask(question)
        except Refused as error:
            raise _told(error, index) from error

    async def _write(self, index: str, question: Question[TaskInfo]) -> None:
        taken = await self._ask(question, index)
        await self._wait(index, taken.task_uid)

    async def _wait(self, index: str, task: int) -> None:
        try:
            await self._requests.done(task)
        except Refused as error:
            raise _told(error, index) from error

    async def _remove(self, index: str, question: Question[TaskInfo]) -> None:
        """Remove something; an index that is not there has nothing."""
        try:
            await self._write(index, question)
        except NotFound:
            return


CONTAINS = {"containsFilter": True}


def _uid(index: str) -> str:
    return PREFIX + checks.index_name(index)


def _told(error: Refused, index: str | None) -> StoreError:
    if error.code == NO_INDEX and index is not None:
        return NotFound("index", index)
    return StoreUnavailable(str(error))


def _names(offset: int) -> Question[list[str]]:
    asked = {"limit": PAGE, "offset": offset}

    def names(server: Server) -> list[str]:
        # Its annotation says a list; it is the server's answer.
        found: Any = server.client.get_raw_indexes(asked)
        return [one["uid"] for one in found["results"]]

    return names


def _add(uid: str, chunk: list[Json]) -> Question[TaskInfo]:
    return lambda server: server.index(uid).add_documents(chunk, primary_key="id")


def _delete(uid: str, passing: str) -> Question[TaskInfo]:
    return lambda server: server.index(uid).delete_documents(filter=passing)


def _counted(uid: str, prefix: str) -> Question[dict[str, int]]:
    def counts(server: Server) -> dict[str, int]:
        found = server.index(uid).search("", counted_by_file(prefix))
        counts: dict[str, int] = found["facetDistribution"].get(FILE, {})
        return counts

    return counts
