"""Schemas of PostgreSQL that migrations do not see, and the extensions that they need."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import StoreUnavailable

FORBIDDEN = "42501"


async def provide(session: AsyncSession, schema: str, extension: str, *first: str) -> None:
    """Make an extension and a schema, each unless it is there, then run the first statements in it.

    Names and statements are ours.

    Raises:
        StoreUnavailable: this role may not; the message says what an administrator runs.
    """
    try:
        await _make(session, schema, extension)
        for statement in first:
            await session.execute(text(statement))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != FORBIDDEN:
            raise
        raise StoreUnavailable(
            f"this database role may not make the extension and the schema of {schema}; let an "
            f"administrator run: CREATE EXTENSION IF NOT EXISTS {extension}; "
            f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION <the role>"
        ) from error


async def _make(session: AsyncSession, schema: str, extension: str) -> None:
    """Not IF NOT EXISTS alone: it asks for the right before it looks."""
    there = text("SELECT 1 FROM pg_extension WHERE extname = :name")
    if await session.scalar(there, {"name": extension}) is None:
        await session.execute(text(f"CREATE EXTENSION IF NOT EXISTS {extension}"))
    there = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
    if await session.scalar(there, {"name": schema}) is None:
        await session.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
