"""Locks that are held for as long as a request runs, on connections of their own."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import exc, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from cluster.settings import DatabaseSettings
from db.engine import Sessions, async_url, session_scope
from db.errors import StoreError

KEPT_OPEN = 2
"""Connections that stay open between requests."""
WAIT_SECONDS = 10
"""How long a request waits for a connection before it is refused."""


class GuardsExhausted(StoreError):
    """All connections for locks are held by others."""


def create_guard_engine(
    settings: DatabaseSettings, wait_seconds: float = WAIT_SECONDS
) -> AsyncEngine:
    """An engine apart from the one for work.

    In one pool, requests that hold a lock and wait for a connection could be waiting for each
    other: enough of them would bring it to a standstill.
    """
    if settings.url is None:
        raise ValueError("DATABASE_URL is not set: start with `rayscribe up`, or name a server")
    kept = min(KEPT_OPEN, settings.max_guarded_requests)
    return create_async_engine(
        async_url(settings.url.get_secret_value()),
        pool_size=kept,
        max_overflow=settings.max_guarded_requests - kept,
        pool_timeout=wait_seconds,
        pool_pre_ping=True,
        connect_args={
            "command_timeout": settings.statement_timeout_seconds + 5,
            "server_settings": {
                "application_name": "rayscribe guard",
                # To be idle in a transaction is what a guard is for.
                "idle_in_transaction_session_timeout": "0",
            },
        },
    )


@asynccontextmanager
async def guard(guards: Sessions, *names: str) -> AsyncIterator[AsyncSession | None]:
    """Hold the lock of these names while the block runs; None where somebody else has it.

    The session is for reading what the lock protects: it ends when the block does. A guard whose
    connection breaks keeps nobody out any more, so that what must not happen twice needs a
    constraint as well.

    Raises:
        GuardsExhausted: no connection became free in time.
        StoreUnavailable: the server did not answer.
    """
    async with session_scope(guards) as session:
        try:
            locked = await session.scalar(select(func.pg_try_advisory_xact_lock(_number(*names))))
        except exc.TimeoutError as error:
            raise GuardsExhausted from error
        yield session if locked else None


def _number(*names: str) -> int:
    """64 bits of the names' hash, as PostgreSQL counts: from minus to plus."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
