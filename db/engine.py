"""Engine and sessions of the relational store."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from cluster.settings import DatabaseSettings
from db.errors import StoreUnavailable

Sessions = async_sessionmaker[AsyncSession]


def async_url(url: str) -> URL:
    """The URL for asyncpg, from any `postgres://` or `postgresql://` URL."""
    return make_url(url.replace("postgres://", "postgresql://", 1)).set(
        drivername="postgresql+asyncpg"
    )


def create_engine(settings: DatabaseSettings) -> AsyncEngine:
    """An engine whose statements end: a lost connection is noticed before it is handed out."""
    if settings.url is None:
        raise ValueError("DATABASE_URL is not set: start with `rayscribe up`, or name a server")
    timeout = f"{int(settings.statement_timeout_seconds * 1000)}"
    return create_async_engine(
        async_url(settings.url.get_secret_value()),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_pre_ping=True,
        connect_args={
            # The server's own limit does not end a wait for a server that has gone.
            "command_timeout": settings.statement_timeout_seconds + 5,
            "server_settings": {
                "statement_timeout": timeout,
                # A random page costs little more than the next one on what databases run on today;
                # the default is a spinning disk's, for which a whole table is soon cheaper.
                "random_page_cost": "1.1",
                # Compiling takes longer than any of our statements should.
                "jit": "off",
                "application_name": f"rayscribe {os.getpid()}",
            },
        },
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Sessions whose objects stay readable after commit (relationships are never lazy)."""
    return async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def session_scope(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """One transaction: committed at the end, rolled back on an exception.

    Raises:
        StoreUnavailable: the server did not answer, went away in the middle, or ended this
            transaction for the sake of others.
    """
    try:
        async with sessions() as session, session.begin():
            yield session
    except OSError as error:
        raise StoreUnavailable(f"database: {error}") from error
    except DBAPIError as error:
        if not _is_outage(error):
            raise
        raise StoreUnavailable(f"database: {error}") from error


def _is_outage(error: DBAPIError) -> bool:
    """Whether the same may succeed later: nothing is wrong with what was asked.

    The server is away, overloaded or starting (SQLSTATE 08, 53, 57P, 57014), or it ended one of
    several transactions that were in each other's way (deadlock 40P01, serialization 40001): that
    one left nothing behind, and whoever repeats it finds the others gone.

    SQLAlchemy makes no OperationalError of asyncpg's errors: these come as DBAPIError itself.
    """
    state = getattr(error.orig, "sqlstate", None) or ""
    lost = isinstance(error, InterfaceError) or error.connection_invalidated
    return lost or state.startswith(("08", "53", "57P", "57014", "40P01", "40001"))
