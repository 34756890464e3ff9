"""Moves a database to a schema version, one process at a time."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from db.engine import async_url

# Any number will do, as long as nobody else locks it: "rayscrib" in ASCII.
LOCK = 0x7261797363726962


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


async def run(database_url: str, step: Callable[[Config], object]) -> None:
    """Run one Alembic command under an advisory lock that ends with the transaction."""
    engine = create_async_engine(async_url(database_url))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            await connection.run_sync(lambda sync: step(_config(sync)))
    finally:
        await engine.dispose()


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`; does nothing where it is there already."""
    asyncio.run(run(database_url, lambda config: command.upgrade(config, revision)))


def downgrade(database_url: str, revision: str) -> None:
    """Take the schema back to `revision` (for example `-1`)."""
    asyncio.run(run(database_url, lambda config: command.downgrade(config, revision)))


async def current(database_url: str) -> str | None:
    """The revision a database is at; None: it is empty."""
    engine = create_async_engine(async_url(database_url))
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(
                lambda sync: MigrationContext.configure(sync).get_current_revision()
            )
    finally:
        await engine.dispose()
