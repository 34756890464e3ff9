"""One attempt at finding out, from what is said, who speaks: stores predictions, names nobody."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.queries import profiles, speaker_predictions
from pipelines.job import Job
from pipelines.language import attempts
from pipelines.language.attempts import Spent
from pipelines.language.conversations import Read, Voice
from pipelines.language.identify import SHARE, Identified, Predicted, identify
from pipelines.language.storing import storable
from serving.language import LlmConnection, TokenUsage

log = structlog.get_logger(__name__)

KNOWN_NAMES = 200
"""People of the user's that the model is told of, those that were last of interest first: more
would crowd out the transcript."""


@dataclass(frozen=True, slots=True)
class Identification:
    """A claimed speaker identification."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that stores the predictions.

        Raises:
            TaskFailed: no model is set up any more, or nothing is said.
            SpeechError: the model failed; what was done is kept.
            FenceLost: somebody else has the task.
        """
        sessions, task = self.job.parts.sessions, self.job.task
        async with session_scope(sessions) as session:
            read = await attempts.read(session, task)
            known = await profiles.names_of(session, task.user_id, KNOWN_NAMES)
        labels = {voice.shown: voice.label for voice in read.voices if not voice.named}
        connection = await attempts.connection(self.job)
        spent = Spent(connection)
        found = Identified((), TokenUsage())
        if labels:
            async with attempts.at_work(self.job, connection, SHARE) as work:
                found = await identify(read.conversation, labels, known, work)
        spent.stop(found.usage)
        async with session_scope(sessions) as session:
            await self._store(session, read, connection, found, spent)
        log.info("speakers predicted", predictions=len(found.predictions), **spent.told)

    async def _store(
        self,
        session: AsyncSession,
        read: Read,
        connection: LlmConnection,
        found: Identified,
        spent: Spent,
    ) -> None:
        task = await attempts.begin_to_store(session, self.job)
        rows = [
            {
                **row,
                "transcript_version": read.version,
                "provider": connection.provider,
                "model": connection.model,
            }
            for row in rows_of(found.predictions, read.voices)
        ]
        stored = await speaker_predictions.replace(session, task.user_id, read.file_id, rows)
        result = {"predictions": stored, "transcript_version": read.version}
        await attempts.complete(session, task, spent, result)


def rows_of(found: Sequence[Predicted], voices: Sequence[Voice]) -> list[dict[str, Any]]:
    """Predictions as rows, of each speaker and name the surest one.

    Nothing of speakers that have a name, nor of such as are not there.
    """
    by_name = {voice.label: voice for voice in voices if not voice.named}
    rows: dict[tuple[uuid.UUID, str], dict[str, Any]] = {}
    for one in sorted(found, key=lambda each: -each.confidence):
        voice, name = by_name.get(one.speaker), storable(one.name).strip()
        if voice is None or not name:
            continue
        rows.setdefault(
            (voice.id, name.lower()),
            {
                "speaker_id": voice.id,
                "name": name[:255],
                "confidence": one.confidence,
                "reasoning": storable(one.reasoning),
                "evidence": storable([each.stored() for each in one.evidence]),
            },
        )
    return list(rows.values())
