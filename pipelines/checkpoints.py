"""Checkpoints of one task's file in PostgreSQL, written only while the task is ours."""

import uuid
from collections.abc import Mapping

from db.engine import Sessions, session_scope
from db.queries import stage_results
from pipelines.queue import Claim, held_task


class StoredCheckpoints:
    """Results of parts, each in its own short transaction."""

    def __init__(self, sessions: Sessions, held: Claim, media_file_id: uuid.UUID) -> None:
        self._sessions = sessions
        self._held = held
        self._file = media_file_id

    async def load(self, stage: str, fingerprint: str) -> Mapping[int, bytes]:
        """Part number to stored result."""
        async with session_scope(self._sessions) as session:
            return await stage_results.load(session, self._file, stage, fingerprint)

    async def save(self, stage: str, fingerprint: str, part: int, data: bytes) -> None:
        """Keep the result of a part.

        Raises:
            FenceLost: another runner has the task.
        """
        async with session_scope(self._sessions) as session:
            await held_task(session, self._held)
            await stage_results.save(session, self._file, stage, fingerprint, part, data)
