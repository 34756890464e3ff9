"""Search by words in PostgreSQL, in the database of the rows that passages are made from."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Sessions, session_scope
from db.errors import NotFound
from db.keywords import checks
from db.keywords import postgres_reading as reading
from db.keywords import postgres_rows as rows
from db.keywords import postgres_schema as schema
from db.keywords import postgres_search as searching
from db.keywords import postgres_writing as writing
from db.keywords.port import KeywordHit, KeywordQuery, PassageDocument

Answer = TypeVar("Answer")
Question = Callable[[AsyncSession, int], Awaitable[Answer]]

CHUNK = 500
"""Passages that are written in one statement, whose time is limited."""
REMOVED = 2_000
"""Passages that are removed in one statement."""
PAGE = 1_000
"""Files that are counted at a time."""
ATTEMPTS = 2
UNDEFINED_TABLE = "42P01"


class PostgresKeywordStore:
    """The port, on PostgreSQL's full text search and a vocabulary of each owner."""

    adapter = "postgresql"

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def ready(self) -> None:
        """Return when the server answers and has the extension."""
        async with session_scope(self._sessions) as session:
            await schema.supported(session)

    async def close(self) -> None:
        """Nothing: the sessions are somebody else's."""

    async def indexes(self) -> Sequence[str]:
        """Names of the indexes there are."""
        async with session_scope(self._sessions) as session:
            return await schema.names(session) if await schema.is_there(session) else ()

    async def ensure(self, index: str) -> None:
        """Make an index, unless it is there."""
        if checks.index_name(index) in await self.indexes():
            return
        async with session_scope(self._sessions) as session:
            await schema.create(session, index)

    async def swap(self, index: str, other: str) -> None:
        """Exchange the contents of two indexes at once."""
        wanted = [checks.index_name(name) for name in (index, other)]
        there = await self.indexes()
        for name in wanted:
            if name not in there:
                raise NotFound("index", name)
        async with session_scope(self._sessions) as session:
            # One may have been dropped meanwhile.
            if await schema.swap(session, index, other) < len({index, other}):
                raise NotFound("index", f"{index} or {other}")

    async def drop(self, index: str) -> None:
        """Remove an index with all its passages."""
        if checks.index_name(index) in await self.indexes():
            async with session_scope(self._sessions) as session:
                await schema.drop(session, index)

    async def upsert(self, index: str, passages: Sequence[PassageDocument]) -> None:
        """Store passages, each in the place of the one with its id."""
        checks.index_name(index)
        checks.passages(passages)
        by_owner = attrgetter("owner_id")
        for owner_id, owned in groupby(sorted(passages, key=by_owner), by_owner):
            mine = list(owned)
            for start in range(0, len(mine), CHUNK):
                given = await asyncio.to_thread(rows.given, mine[start : start + CHUNK])
                async with self._writing(index) as (session, number):
                    await writing.write(session, number, owner_id, given)

    async def delete(
        self,
        index: str,
        owner_id: uuid.UUID,
        media_file_id: uuid.UUID | None = None,
        *,
        keep: Collection[uuid.UUID] = (),
    ) -> None:
        """Remove an owner's passages, or those of one file, but those in `keep`."""
        checks.index_name(index)
        removed = REMOVED
        while removed == REMOVED:
            try:
                async with self._writing(index) as (session, number):
                    removed = await writing.remove(
                        session, number, owner_id, media_file_id, keep, REMOVED
                    )
            except NotFound:
                return

    async def remove_files(self, index: str, media_file_ids: Collection[uuid.UUID]) -> None:
        """Remove passages whosever they are."""
        owned = await self._read(index, partial(reading.owned, media_file_ids=media_file_ids))
        for owner_id, media_file_id in owned or ():
            await self.delete(index, owner_id, media_file_id)

    async def search(
        self, index: str, owner_id: uuid.UUID, query: KeywordQuery, *, limit: int
    ) -> Sequence[KeywordHit]:
        """The owner's passages that match, best first."""
        asked = partial(searching.search, owner_id=owner_id, query=query, limit=limit)
        found = await self._read(index, asked)
        # Half a thousand texts take longer to mark than others should wait.
        return await asyncio.to_thread(found.hits) if found is not None else ()

    async def files(self, index: str) -> AsyncIterator[Mapping[uuid.UUID, int]]:
        """How many passages each file has, in pages: no transaction is open meanwhile."""
        after: uuid.UUID | None = None
        while page := await self._read(index, partial(reading.files, after=after, most=PAGE)):
            yield page
            after = max(page)

    async def count(self, index: str, owner_id: uuid.UUID | None = None) -> int:
        """How many passages there are, of one owner or of all, exactly."""
        return await self._read(index, partial(reading.count, owner_id=owner_id)) or 0

    async def _read(self, index: str, question: Question[Answer]) -> Answer | None:
        """The answer of an index; None: there is none.

        Who asks while it is swapped, and the old one dropped, asks the new one.
        """
        checks.index_name(index)
        for _ in range(ATTEMPTS):
            try:
                async with session_scope(self._sessions) as session:
                    number = await schema.number_of(session, index)
                    return await question(session, number) if number is not None else None
            except DBAPIError as error:
                if not _lacks_table(error):
                    raise
        return None

    @asynccontextmanager
    async def _writing(self, index: str) -> AsyncIterator[tuple[AsyncSession, int]]:
        """A transaction in which an index stays what it is; NotFound where there is none."""
        try:
            async with session_scope(self._sessions) as session:
                await session.execute(text(schema.LOCK_SHARED))
                number = await schema.number_of(session, index)
                if number is None:
                    raise NotFound("index", index)
                yield session, number
        except DBAPIError as error:
            if not _lacks_table(error):
                raise
            raise NotFound("index", index) from error


def _lacks_table(error: DBAPIError) -> bool:
    """Whether an index, or the list of them, is not there."""
    return getattr(error.orig, "sqlstate", None) == UNDEFINED_TABLE
