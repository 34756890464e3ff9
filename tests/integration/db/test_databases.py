"""Databases of tests are used again only as they were made."""

import asyncpg
import pytest

STATE = """
    SELECT (SELECT count(*) FROM "user"), (SELECT count(*) FROM sign_in_attempt), queue_clock::text,
        (SELECT array_agg(sequencename || ' ' || coalesce(last_value, 0)) FROM pg_sequences)::text,
        (TABLE alembic_version)
    FROM queue_clock
"""
FILL = """
    INSERT INTO "user" (id, email, role, is_active, full_name)
        SELECT gen_random_uuid(), n || '@example.org', 'user', true, ''
        FROM generate_series(1, 9) n;
    INSERT INTO sign_in_attempt (account, address) VALUES ('', '');
    UPDATE queue_clock SET virtual_time = '{"bulk": 9}';
    DELETE FROM alembic_version;
"""
MANY = """
    INSERT INTO sign_in_attempt (account, address) SELECT 'x', n FROM generate_series(1, 99999) n
"""


async def test_one_that_was_filled_comes_back_as_it_was(databases, postgres_server):
    made = await databases.take()
    connection = await asyncpg.connect(postgres_server.database_url(made.name))
    before = await connection.fetchrow(STATE)
    await connection.execute(FILL)
    # Left open, in the middle of a transaction: nothing that it does later arrives.
    await connection.execute("BEGIN; DELETE FROM queue_clock")
    await databases.give_back(made)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.execute("COMMIT")
    again = await databases.take()
    assert again == made
    connection = await asyncpg.connect(postgres_server.database_url(made.name))
    assert await connection.fetchrow(STATE) == before
    await connection.close()
    await databases.give_back(again)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE planted ()",
        "ALTER TABLE task ALTER COLUMN lane SET DEFAULT 'bulk'",
        "ALTER TABLE task DISABLE TRIGGER ALL",
        "DROP INDEX ix_task_created",
        "CREATE FUNCTION planted() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET jit = off'; END $$",
        MANY,
    ],
)
async def test_one_that_was_changed_is_dropped(databases, postgres_server, change):
    made = await databases.take()
    connection = await asyncpg.connect(postgres_server.database_url(made.name))
    await connection.execute(change)
    await connection.close()
    await databases.give_back(made)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(postgres_server.database_url(made.name))
