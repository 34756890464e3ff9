"""What an outage of PostgreSQL is called."""

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from cluster.settings import DatabaseSettings
from db.engine import create_engine, create_sessions, session_scope
from db.errors import StoreUnavailable


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
