"""`rayscribe inspect`: what the database holds, and the queue."""

import asyncio
from dataclasses import dataclass

from pydantic import SecretStr
from rich.table import Table as RichTable
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from cluster.settings import DatabaseSettings
from db.base import Base
from db.engine import create_engine, create_sessions, session_scope
from db.models import Task
from rayscribe.context import DataDir, console
from rayscribe.database import database_url


@dataclass(frozen=True, slots=True)
class QueueRow:
    """Tasks of one lane and state."""

    lane: str
    state: str
    count: int
    audio_seconds: float
    oldest_seconds: float


def inspect(data_dir: DataDir = None) -> None:
    """Show tables with their rows, and the queue."""
    counts, queue = asyncio.run(_look(database_url(data_dir)))
    tables = RichTable("table", "rows", title="Tables")
    for name, count in sorted(counts.items()):
        tables.add_row(name, str(count))
    console.print(tables)
    lines = RichTable("lane", "state", "tasks", "audio, h", "oldest, s", title="Queue")
    for row in queue:
        lines.add_row(
            row.lane,
            row.state,
            str(row.count),
            f"{row.audio_seconds / 3600:.2f}",
            f"{row.oldest_seconds:.0f}",
        )
    console.print(lines)


async def _look(url: str) -> tuple[dict[str, int], list[QueueRow]]:
    engine = create_engine(DatabaseSettings(url=SecretStr(url)))
    try:
        async with session_scope(create_sessions(engine)) as session:
            return await _counts(session), await _queue(session)
    finally:
        await engine.dispose()


async def _counts(session: AsyncSession) -> dict[str, int]:
    return {
        table.name: await session.scalar(select(func.count()).select_from(table)) or 0
        for table in Base.metadata.sorted_tables
    }


async def _queue(session: AsyncSession) -> list[QueueRow]:
    age = func.extract("epoch", func.now() - func.min(Task.created_at))
    rows = await session.execute(
        select(Task.lane, Task.state, func.count(), func.sum(Task.audio_seconds), age)
        .group_by(Task.lane, Task.state)
        .order_by(Task.lane, Task.state)
    )
    return [QueueRow(r[0], r[1], r[2], float(r[3]), float(r[4])) for r in rows]
