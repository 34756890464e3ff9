"""Vectors in PostgreSQL, in the database of the rows they are made from."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Select, delete, not_, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Sessions, session_scope
from db.errors import NotFound
from db.vectors import checks, pgvector_schema
from db.vectors import pgvector_statements as statements
from db.vectors.pgvector_schema import SCHEMA, qualified, table
from db.vectors.pgvector_statements import Conditions
from db.vectors.port import Hit, Point, Space, Values, Vector

EXACT_UP_TO = 10_000
"""So many points of an owner are compared one by one, which takes about as long as a walk through
the index, and misses none; more are looked for in the index."""
CHUNK = 500
"""Points that are sent in one statement, whose time is limited."""
PAGE = 5_000
"""Ids that are read at a time."""
FILES = 1_000
"""Files whose points are counted at a time."""
UNDEFINED_TABLE = "42P01"


class PgVectorStore:
    """The port, on pgvector."""

    adapter = "pgvector"

    def __init__(self, sessions: Sessions, exact_up_to: int = EXACT_UP_TO) -> None:
        self._sessions = sessions
        self._exact_up_to = exact_up_to
        self._dimensions: dict[str, int] = {}
        """Of the spaces that are known to be there; another process may drop one."""

    async def ready(self) -> None:
        """Return when the server answers and has the extension."""
        async with session_scope(self._sessions) as session:
            await pgvector_schema.supported(session)

    async def close(self) -> None:
        """Nothing: the sessions are somebody else's."""

    async def spaces(self) -> Sequence[str]:
        """Names of the spaces there are."""
        tables = text("SELECT tablename FROM pg_tables WHERE schemaname = :schema ORDER BY 1")
        async with session_scope(self._sessions) as session:
            return (await session.scalars(tables, {"schema": SCHEMA})).all()

    async def ensure(self, space: Space) -> None:
        """Make a space with its indexes, unless it is there."""
        checks.checked(space)
        found = await self._dimension(space.name)
        if found is None:
            async with session_scope(self._sessions) as session:
                found = await pgvector_schema.create(session, space)
            self._dimensions[space.name] = found
        checks.same_dimension(space, found)

    async def drop(self, space: str) -> None:
        """Remove a space with all its points."""
        checks.space_name(space)
        self._dimensions.pop(space, None)
        async with session_scope(self._sessions) as session:
            await session.execute(text(f"DROP TABLE IF EXISTS {qualified(space)}"))

    async def upsert(self, space: str, points: Sequence[Point]) -> None:
        """Store points, each in the place of the one with its id."""
        dimension = await self._dimension(space)
        if dimension is None:
            raise NotFound("space", space)
        rows = statements.rows(points, dimension)
        try:
            await self._write(space, rows)
        except NotFound:
            # Another process has dropped it, after this one was told that it is there.
            await self.ensure(Space(space, dimension))
            await self._write(space, rows)

    async def _write(self, space: str, rows: list[dict[str, Any]]) -> None:
        async with self._transaction(space) as session:
            for start in range(0, len(rows), CHUNK):
                await session.execute(statements.replacing(space), rows[start : start + CHUNK])

    async def search(
        self,
        space: str,
        owner_id: uuid.UUID,
        vectors: Sequence[Vector],
        *,
        limit: int,
        at_least: float = -1.0,
        matching: Values | None = None,
        excluding: Values | None = None,
    ) -> list[list[Hit]]:
        """For each vector the owner's nearest points, nearest first."""
        mine = statements.mine(checks.space_name(space), owner_id, matching)
        wanted = [*mine, *statements.without(space, excluding)]
        dimension = await self._dimension(space)
        if dimension is None:
            return [[] for _ in vectors]
        asked = [str(one) for one in checks.directions(vectors, dimension)]
        try:
            async with self._transaction(space) as session:
                await session.execute(statements.OWN_PLAN)
                many = await session.scalar(statements.more_than(space, mine, self._exact_up_to))
                if many:
                    found = await _by_index(session, space, wanted, limit, asked)
                else:
                    found = await _exactly(session, space, wanted, limit, asked)
        except NotFound:
            return [[] for _ in vectors]
        return [[hit for hit in hits if hit.similarity >= at_least] for hits in found]

    async def delete(
        self,
        space: str,
        owner_id: uuid.UUID,
        *,
        matching: Values | None = None,
        keep: Collection[uuid.UUID] = (),
    ) -> None:
        """Remove an owner's points but those in `keep`."""
        condition = statements.mine(checks.space_name(space), owner_id, matching)
        await self._delete(space, [*condition, not_(statements.among(space, keep))])

    async def remove(self, space: str, ids: Collection[uuid.UUID]) -> None:
        """Remove points whosever they are."""
        await self._delete(checks.space_name(space), [statements.among(space, ids)])

    async def _delete(self, space: str, condition: Conditions) -> None:
        try:
            async with self._transaction(space) as session:
                await session.execute(delete(table(space)).where(*condition))
        except NotFound:
            return

    async def ids(
        self,
        space: str,
        owner_id: uuid.UUID | None = None,
        *,
        matching: Values | None = None,
    ) -> AsyncIterator[uuid.UUID]:
        """Ids of all points that match, read in pages: no transaction is open meanwhile."""
        checks.space_name(space)
        wanted = statements.having(space, matching)
        if owner_id is not None:
            wanted = statements.mine(space, owner_id, matching)
        after: uuid.UUID | None = None
        while page := await self._page(space, statements.page_of_ids(space, wanted, after, PAGE)):
            for (one,) in page:
                yield one
            after = page[-1][0]

    async def files(self, space: str) -> AsyncIterator[Mapping[uuid.UUID, int]]:
        """How many points each file has, read in pages."""
        checks.space_name(space)
        after: tuple[uuid.UUID, str] | None = None
        while page := await self._page(space, statements.page_of_files(space, after, FILES)):
            counted: Counter[uuid.UUID] = Counter()
            for _, file, number in page:
                counted[uuid.UUID(file)] += number
            yield counted
            after = page[-1][0], page[-1][1]

    async def _page(self, space: str, page: Select[Any]) -> Sequence[Any]:
        """Rows of a page; none where somebody has dropped the space."""
        try:
            async with self._transaction(space) as session:
                rows: Sequence[Any] = (await session.execute(page)).all()
                return rows
        except NotFound:
            return ()

    async def count(self, space: str, owner_id: uuid.UUID | None = None) -> int:
        """How many points there are."""
        checks.space_name(space)
        try:
            async with self._transaction(space) as session:
                return await session.scalar(statements.number_of(space, owner_id)) or 0
        except NotFound:
            return 0

    async def _dimension(self, space: str) -> int | None:
        """Of a space; None: there is none."""
        checks.space_name(space)
        if space not in self._dimensions:
            async with session_scope(self._sessions) as session:
                found = await pgvector_schema.dimension_of(session, space)
            if found is None:
                return None
            self._dimensions[space] = found
        return self._dimensions[space]

    @asynccontextmanager
    async def _transaction(self, space: str) -> AsyncIterator[AsyncSession]:
        """A transaction on a space; NotFound where somebody has dropped it."""
        try:
            async with session_scope(self._sessions) as session:
                yield session
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != UNDEFINED_TABLE:
                raise
            self._dimensions.pop(space, None)
            raise NotFound("space", space) from error


async def _exactly(
    session: AsyncSession, space: str, wanted: Conditions, limit: int, asked: list[str]
) -> list[list[Hit]]:
    """By comparing with every point that is wanted."""
    return await _hits(session, statements.nearest(space, wanted, limit, by_index=False), asked)


async def _by_index(
    session: AsyncSession, space: str, wanted: Conditions, limit: int, asked: list[str]
) -> list[list[Hit]]:
    """By a walk through the index; exactly if that ended before it had found enough.

    It ends after a number of points, whosever they are (hnsw.max_scan_tuples).
    """
    await session.execute(statements.INDEX_WALK)
    search = statements.nearest(space, wanted, limit, by_index=True)
    found = await _hits(session, search, asked)
    if all(len(hits) == limit for hits in found):
        return found
    return await _exactly(session, space, wanted, limit, asked)


async def _hits(session: AsyncSession, search: Select[Any], asked: list[str]) -> list[list[Hit]]:
    found: list[list[Hit]] = [[] for _ in asked]
    for number, key, distance, payload in await session.execute(search, {"asked": asked}):
        # Rounding can take it out of -1..1.
        similarity = max(-1.0, min(1.0, 1.0 - distance))
        found[number - 1].append(Hit(key, similarity, payload))
    return found
