"""Checkpoints of one task's file in PostgreSQL, written only while the task is ours."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from db.engine import Sessions, session_scope
from db.queries import stage_results
from db.queries.stage_results import PartResult
from pipelines import queue
from pipelines.queue import Claim


@dataclass(slots=True, eq=False)
class _Waiting:
    """A result that is to be stored."""

    result: PartResult
    stored: bool = False


class StoredCheckpoints:
    """Results of parts, stored in short transactions.

    A transaction takes all that came while the one before it ran: over many replicas, parts end
    faster than transactions, and all of a task's lock the same row.
    """

    def __init__(self, sessions: Sessions, held: Claim, media_file_id: uuid.UUID) -> None:
        self._sessions = sessions
        self._held = held
        self._file = media_file_id
        self._waiting: list[_Waiting] = []
        self._writing = asyncio.Lock()

    async def load(self, stage: str, fingerprint: str) -> Mapping[int, bytes]:
        """Part number to stored result."""
        async with session_scope(self._sessions) as session:
            return await stage_results.load(session, self._file, stage, fingerprint)

    async def save(self, stage: str, fingerprint: str, part: int, data: bytes) -> None:
        """Keep the result of a part; it is stored when this returns.

        Raises:
            FenceLost: another runner has the task.
        """
        own = _Waiting(PartResult(stage, fingerprint, part, data))
        self._waiting.append(own)
        try:
            async with self._writing:
                if not own.stored:
                    await self._write()
        finally:
            # It failed, or nobody waits for it any more: it is not the next one's to store.
            if not own.stored:
                self._waiting.remove(own)

    async def _write(self) -> None:
        """Store all that waits; where that fails, each who waits tries for itself."""
        together = list(self._waiting)
        async with session_scope(self._sessions) as session:
            await queue.hold(session, self._held)
            results = [one.result for one in together]
            await stage_results.save_all(session, self._file, results)
        for one in together:
            one.stored = True
        self._waiting = [one for one in self._waiting if not one.stored]
