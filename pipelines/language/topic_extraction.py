"""One attempt at suggesting tags and collections for a file: it stores them, and applies none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.queries import collections, tags, topic_suggestions
from pipelines.job import Job
from pipelines.language import attempts
from pipelines.language.attempts import Spent
from pipelines.language.conversations import Read
from pipelines.language.storing import storable
from pipelines.language.topics import SHARE, Suggested, Topics, extract_topics
from serving.language import LlmConnection

log = structlog.get_logger(__name__)

KNOWN_LABELS = 200
"""Tags, and collections, of the user's that the model is told of, so that it takes those which
there are: the most used ones."""


@dataclass(frozen=True, slots=True)
class TopicExtraction:
    """A claimed topic extraction."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that stores the suggestions.

        Raises:
            TaskFailed: no model is set up any more, or nothing is said.
            SpeechError: the model failed; what was done is kept.
            FenceLost: somebody else has the task.
        """
        sessions, task = self.job.parts.sessions, self.job.task
        async with session_scope(sessions) as session:
            read = await attempts.read(session, task)
            known = await tags.names_of(session, task.user_id, KNOWN_LABELS)
            sets = await collections.names_of(session, task.user_id, KNOWN_LABELS)
        connection = await attempts.connection(self.job)
        spent = Spent(connection)
        async with attempts.at_work(self.job, connection, SHARE) as work:
            found = await extract_topics(read.conversation, known, sets, work)
        spent.stop(found.usage)
        async with session_scope(sessions) as session:
            await self._store(session, read, connection, found, spent)
        log.info("topics suggested", tags=len(found.tags), **spent.told)

    async def _store(
        self,
        session: AsyncSession,
        read: Read,
        connection: LlmConnection,
        found: Topics,
        spent: Spent,
    ) -> None:
        task = await attempts.begin_to_store(session, self.job)
        suggested = {"tags": _stored(found.tags), "collections": _stored(found.collections)}
        values = {
            **suggested,
            "transcript_version": read.version,
            "provider": connection.provider,
            "model": connection.model,
        }
        await topic_suggestions.store(session, task.user_id, read.file_id, values)
        counts = {name: len(rows) for name, rows in suggested.items()}
        result = {**counts, "transcript_version": read.version}
        await attempts.complete(session, task, spent, result)


def _stored(found: Sequence[Suggested]) -> list[dict[str, Any]]:
    return [
        storable({"name": one.name, "confidence": one.confidence, "rationale": one.rationale})
        for one in sorted(found, key=lambda each: -each.confidence)
    ]
