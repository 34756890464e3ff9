"""Wake-up calls between processes: PostgreSQL channels that carry no data worth stealing."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

TASKS = "rayscribe_tasks"
"""Something to claim, or (payload CANCEL) to stop."""
CANCEL = "cancel"
EVENTS = "rayscribe_events"
"""`<user id> <sequence>`: this user has a new event."""
PROGRESS = "rayscribe_progress"
"""`<user id> <task id>`: this task's row tells a new progress."""
OUTBOX = "rayscribe_outbox"
"""Work for another store is due at once."""


async def notify(session: AsyncSession, channel: str, payload: str = "") -> None:
    """Wake the channel's listeners when this transaction commits."""
    await session.execute(select(func.pg_notify(channel, payload)))


@asynccontextmanager
async def listening(
    url: str, channels: Mapping[str, Callable[[str], None]]
) -> AsyncIterator[asyncpg.Connection]:
    """Call each channel's function with the payload of its notifications, on a connection of ours.

    The caller watches `connection.is_closed()`: a listener whose server went away hears nothing.
    """
    connection = await asyncpg.connect(url)

    def told(_connection: object, _pid: int, channel: str, payload: object) -> None:
        channels[channel](str(payload))

    try:
        for channel in channels:
            await connection.add_listener(channel, told)
        yield connection
    finally:
        await connection.close()
