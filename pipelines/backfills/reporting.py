"""What a backfill came to: in figures, and file by file as Parquet."""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Sessions, session_scope
from db.models import Backfill, BackfillItem, Task
from db.queries import backfills
from db.queries.backfills import Counts

ROWS = 2000
"""Items that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a backfill is."""

    backfill: Backfill
    driver: Task | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Report:
    """What it came to."""

    standing: Standing
    errors: Mapping[tuple[str, str], int]
    """By state and reason."""
    first_begun_at: datetime | None
    last_ended_at: datetime | None

    @property
    def seconds(self) -> float:
        """From the first item's begin to the last one's end, pauses included."""
        if self.first_begun_at is None or self.last_ended_at is None:
            return 0.0
        return max(0.0, (self.last_ended_at - self.first_begun_at).total_seconds())

    @property
    def rtfx(self) -> float | None:
        """Audio seconds done per second; None: nothing was."""
        audio = self.standing.counts.audio_seconds
        return audio / self.seconds if audio and self.seconds else None

    @property
    def model_rtfx(self) -> float | None:
        """Audio seconds done per second that models were busy."""
        audio, model = self.standing.counts.audio_seconds, self.standing.counts.model_seconds
        return audio / model if audio and model else None


async def standing(session: AsyncSession, found: Sequence[Backfill]) -> list[Standing]:
    """How far each of these is."""
    ids = [one.id for one in found]
    drivers, counts = await backfills.drivers(session, ids), await backfills.counts(session, ids)
    return [Standing(one, drivers.get(one.id), counts[one.id]) for one in found]


async def report(session: AsyncSession, backfill_id: uuid.UUID) -> Report:
    """What it came to so far.

    Raises:
        NotFound: there is no such backfill.
    """
    [there] = await standing(session, [await backfills.get(session, backfill_id)])
    errors = await backfills.errors(session, backfill_id)
    return Report(there, errors, *await backfills.span(session, backfill_id))


@asynccontextmanager
async def parquet(sessions: Sessions, backfill_id: uuid.UUID) -> AsyncIterator[BinaryIO]:
    """All its items as a Parquet file of this machine; memory does not grow with their number.

    Raises:
        NotFound: there is no such backfill.
    """
    # Here: nobody else needs it, and it takes a tenth of a second.
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with tempfile.TemporaryFile() as file:
        async with session_scope(sessions) as session:
            await backfills.get(session, backfill_id)
            with pq.ParquetWriter(file, schema) as writer:
                async for items in backfills.all_items(session, backfill_id, ROWS):
                    rows = pa.Table.from_pylist([_row(item) for item in items], schema)
                    await asyncio.to_thread(writer.write_table, rows)
        file.seek(0)
        yield file


def _schema() -> Any:
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("number", pa.int64()),
            ("file_id", pa.string()),
            ("source", pa.string()),
            ("state", pa.string()),
            ("task_id", pa.string()),
            ("attempts", pa.int32()),
            ("audio_seconds", pa.float64()),
            ("model_seconds", pa.float64()),
            ("error_type", pa.string()),
            ("error_message", pa.string()),
            ("fingerprint", pa.string()),
            ("begun_at", moment),
            ("ended_at", moment),
        ]
    )


def _row(item: BackfillItem) -> dict[str, Any]:
    return {
        "number": item.number,
        "file_id": str(item.media_file_id) if item.media_file_id else None,
        "source": item.source,
        "state": item.state.value,
        "task_id": str(item.task_id) if item.task_id else None,
        "attempts": item.attempts,
        "audio_seconds": item.audio_seconds,
        "model_seconds": item.model_seconds,
        "error_type": item.error_type,
        "error_message": item.error_message,
        "fingerprint": item.fingerprint,
        "begun_at": item.begun_at,
        "ended_at": item.ended_at,
    }
