"""pgvector alone: which way a search takes, what a server must offer, how an outage is told."""

import random
import uuid
from collections.abc import Sequence

import pytest
from alembic import command
from pydantic import SecretStr
from sqlalchemy import event, text

from cluster.settings import DatabaseSettings
from db.engine import create_engine, create_sessions, session_scope
from db.errors import StoreUnavailable
from db.migrations.run import run
from db.vectors.pgvector import PgVectorStore
from db.vectors.port import Point, Space
from tests.fixtures.stores import as_role

ANN, BOB = uuid.uuid4(), uuid.uuid4()
VOICES = Space("voices", 16)
CHOICE = random.Random(11)


def direction() -> list[float]:
    return [CHOICE.gauss(0, 1) for _ in range(VOICES.dimension)]


def some(count: int, owner: uuid.UUID = ANN, **payload: str) -> list[Point]:
    return [Point(uuid.uuid4(), owner, direction(), payload) for _ in range(count)]


@pytest.fixture
async def statements(sessions) -> list[str]:
    """What the database is asked from now on."""
    heard: list[str] = []
    engine = sessions.kw["bind"].sync_engine

    @event.listens_for(engine, "before_cursor_execute")
    def _(_connection, _cursor, statement: str, *_) -> None:
        heard.append(statement)

    return heard


def exact(statements: Sequence[str]) -> list[bool]:
    """Of the searches among these statements, which compared with every point."""
    return ["OFFSET 0" in one for one in statements if "<=>" in one]


async def ids(store: PgVectorStore, vector, limit: int, **how) -> list[uuid.UUID]:
    (hits,) = await store.search(VOICES.name, ANN, [vector], limit=limit, **how)
    return [hit.id for hit in hits]


class TestWays:
    @pytest.fixture
    async def full(self, vectors) -> PgVectorStore:
        """Ann has 500 voices and three profiles, Bob 100 voices."""
        await vectors.ensure(VOICES)
        await vectors.upsert(VOICES.name, some(500, kind="speaker"))
        await vectors.upsert(VOICES.name, some(100, BOB, kind="speaker"))
        await vectors.upsert(VOICES.name, some(3, kind="profile"))
        return vectors

    async def test_an_owner_of_few_points_is_served_exactly(self, full, statements):
        await ids(full, direction(), 20)
        assert exact(statements) == [True]

    async def test_an_owner_of_many_is_served_by_the_index(self, full, sessions, statements):
        by_index = PgVectorStore(sessions, exact_up_to=300)
        async with session_scope(sessions) as session:
            await session.execute(text('ANALYZE vectors."voices"'))
        found, wanted = 0, 0
        for _ in range(10):
            asked = direction()
            best = set(await ids(full, asked, 20))
            found += len(best & set(await ids(by_index, asked, 20)))
            wanted += len(best)
        assert exact(statements) == [True, False] * 10
        assert found / wanted > 0.9

    async def test_the_index_is_there_and_is_used(self, full, sessions):
        async with session_scope(sessions) as session:
            await session.execute(text("SET LOCAL enable_sort = off"))
            plan = "\n".join(
                await session.scalars(
                    text(
                        'EXPLAIN SELECT id FROM vectors."voices" WHERE owner_id = :owner '
                        "ORDER BY embedding <=> CAST(:asked AS vector) LIMIT 20"
                    ),
                    {"owner": ANN, "asked": str(direction())},
                )
            )
        assert "voices_embedding_idx" in plan

    async def test_few_of_a_kind_are_found_among_many_of_others(self, full, sessions, statements):
        by_index = PgVectorStore(sessions, exact_up_to=300)
        assert len(await ids(by_index, direction(), 20, matching={"kind": ["profile"]})) == 3
        assert exact(statements) == [True]

    async def test_a_walk_that_ends_too_early_is_followed_by_an_exact_search(
        self, full, sessions, statements
    ):
        by_index = PgVectorStore(sessions, exact_up_to=1)
        found = await ids(by_index, direction(), 20, matching={"kind": ["profile"]})
        assert len(found) == 3
        assert exact(statements) == [False, True]

    async def test_what_was_set_for_a_walk_ends_with_it(self, full, sessions):
        await ids(PgVectorStore(sessions, exact_up_to=1), direction(), 20)
        async with session_scope(sessions) as session:
            for name, value in (("hnsw.iterative_scan", "off"), ("plan_cache_mode", "auto")):
                assert await session.scalar(text(f"SHOW {name}")) == value


class TestServer:
    async def ensure(self, url: str) -> None:
        engine = create_engine(DatabaseSettings(url=SecretStr(url)))
        try:
            await PgVectorStore(create_sessions(engine)).ensure(VOICES)
        finally:
            await engine.dispose()

    async def test_a_role_that_may_not_make_a_schema_is_told_what_to_do(self, database_url):
        url = await as_role(database_url)
        with pytest.raises(StoreUnavailable, match="let an administrator run: CREATE EXTENSION"):
            await self.ensure(url)

    async def test_a_role_without_rights_does_once_an_administrator_has_done_so(self, database_url):
        url = await as_role(
            database_url,
            "CREATE EXTENSION vector",
            "CREATE SCHEMA vectors AUTHORIZATION {role}",
        )
        await self.ensure(url)

    @pytest.mark.parametrize(
        ("version", "said"), [(None, "no extension `vector`"), ("0.7.4", "0.7.4 is too old")]
    )
    async def test_a_server_without_pgvector_is_not_ready(self, sessions, vectors, version, said):
        async with session_scope(sessions) as session:
            # Hides the system's view.
            await session.execute(
                text(
                    "CREATE TABLE public.pg_available_extensions "
                    "(name text, default_version text, installed_version text)"
                )
            )
            if version:
                await session.execute(
                    text("INSERT INTO public.pg_available_extensions VALUES ('vector', :version)"),
                    {"version": version},
                )
            database = await session.scalar(text("SELECT current_database()"))
            await session.execute(
                text(f"ALTER DATABASE {database} SET search_path TO public, pg_catalog")
            )
        await sessions.kw["bind"].dispose()
        for call in (vectors.ready(), vectors.ensure(VOICES)):
            with pytest.raises(StoreUnavailable, match=said):
                await call

    async def test_a_server_that_is_away(self, unused_tcp_port):
        url = f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/nothing"
        engine = create_engine(DatabaseSettings(url=SecretStr(url)))
        store = PgVectorStore(create_sessions(engine))
        for call in (
            store.ready(),
            store.ensure(VOICES),
            store.search(VOICES.name, ANN, [direction()], limit=1),
            store.count(VOICES.name),
        ):
            with pytest.raises(StoreUnavailable, match="database"):
                await call
        await engine.dispose()


async def test_migrations_do_not_see_spaces(database_url, vectors):
    await vectors.ensure(VOICES)
    await run(database_url, command.check)
    assert await vectors.spaces() == [VOICES.name]
