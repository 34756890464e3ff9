"""What an outage of PostgreSQL is called."""

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from cluster.settings import DatabaseSettings
from db.engine import Sessions, create_engine, create_sessions, session_scope
from db.errors import StoreUnavailable


@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_who_was_in_the_way_of_others_may_try_again(sessions: Sessions, state: str):
    statement = f"DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(StoreUnavailable, match="in the way"):
        async with session_scope(sessions) as session:
            await session.execute(text(statement))


async def test_a_statement_that_takes_too_long_is_an_outage(database_url: str):
    """Whoever waits for a lock that long finds the store overloaded, not a fault of ours."""
    settings = DatabaseSettings(url=SecretStr(database_url), statement_timeout_seconds=0.2)
    engine = create_engine(settings)
    try:
        with pytest.raises(StoreUnavailable):
            async with session_scope(create_sessions(engine)) as session:
                await session.execute(text("select pg_sleep(5)"))
    finally:
        await engine.dispose()
