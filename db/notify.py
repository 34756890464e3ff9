"""Wake-up calls between processes: PostgreSQL channels that carry no data worth stealing."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

TASKS = "rayscribe_tasks"
EVENTS = "rayscribe_events"


async def notify(session: AsyncSession, channel: str, payload: str = "") -> None:
    """Wake the channel's listeners when this transaction commits."""
    await session.execute(select(func.pg_notify(channel, payload)))


@asynccontextmanager
async def listening(
    url: str, channel: str, woken: Callable[[str], None]
) -> AsyncIterator[asyncpg.Connection]:
    """Call `woken(payload)` at each notification of `channel`, on a connection of its own.

    The caller watches `connection.is_closed()`: a listener whose server went away hears nothing.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.add_listener(channel, lambda *call: woken(str(call[3])))
        yield connection
    finally:
        await connection.close()
