"""One attempt at timing a transcript's words anew: what people wrote and said of it stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from db import models
from db.engine import session_scope
from db.models import MediaFile, Transcript
from db.queries import edits, stage_results, transcripts
from db.queries.edits import EditAction
from db.queries.transcripts import StoredTranscript
from pipelines import documents, leftovers, online, queue, task_state
from pipelines.checkpoints import StoredCheckpoints
from pipelines.errors import TaskFailed
from pipelines.job import SOURCE_URL_LIFETIME, Job
from pipelines.lines import word_rows
from pipelines.search import notes as search_notes
from pipelines.stages.base import Options, Recording
from pipelines.stages.prepare import Prepare
from pipelines.stages.realign import Realign
from serving.speech import LanguageGuess, MediaSource, Segment

log = structlog.get_logger(__name__)

SHARE = {Prepare.name: 0.4, Realign.name: 0.6}
"""Each stage's share of the progress."""
TRIES = 3
"""How often it is done again for somebody who edits the transcript meanwhile."""


@dataclass(frozen=True, slots=True)
class Realigning:
    """A claimed task about the word times of a file."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that stores the times.

        Raises:
            SpeechError: the recording cannot be decoded, or no aligner knows its language.
            TaskFailed: there is no transcript; or somebody is editing it all the time.
            FenceLost: somebody else has the task.
        """
        parts = self.job.parts
        async with session_scope(parts.sessions) as session:
            file = await session.get_one(MediaFile, self.job.task.media_file_id)
            audio = self.job.audio(file)
            await leftovers.note(session, audio.prefix, leftovers.KeptWhile.task_active, file.id)
        for _ in range(TRIES):
            stored = await self._read(file)
            recording = await self._aligned(file, stored)
            async with session_scope(parts.sessions) as session:
                if await self._published(session, file, stored, recording):
                    return
            log.info("the transcript was changed meanwhile", file_id=str(file.id))
        raise TaskFailed(
            "processing_error", "The transcript is being edited all the time.", retryable=True
        )

    async def _read(self, file: MediaFile) -> StoredTranscript:
        async with session_scope(self.job.parts.sessions) as session:
            stored = await transcripts.of_file(session, file.user_id, file.id)
        if stored is None:
            raise TaskFailed("not_found", "The file has no transcript any more.")
        return stored

    async def _aligned(self, file: MediaFile, stored: StoredTranscript) -> Recording:
        parts, audio = self.job.parts, self.job.audio(file)
        url = await parts.objects.presign_get(file.object_key, SOURCE_URL_LIFETIME)
        recording = Recording(
            file.sha256,
            MediaSource(url, file.size_bytes),
            Options(task=stored.transcript.task),
            language=LanguageGuess(stored.transcript.language or "", 1.0),
            segments=documents.of_rows(file, stored).segments,
        )
        checkpoints = StoredCheckpoints(parts.sessions, self.job.held, file.id)
        async with self.job.context(SHARE, audio, checkpoints) as context:
            return await online.run(recording, ((Prepare(),), (Realign(),)), context)

    async def _published(
        self,
        session: AsyncSession,
        file: MediaFile,
        stored: StoredTranscript,
        recording: Recording,
    ) -> bool:
        """Store the times; False: the transcript is another one by now."""
        task = await queue.held_task(session, self.job.held, lock=False)
        step = task_state.on_success(task)
        _, transcript = await edits.hold(session, file.user_id, file.id)
        if transcript is None or transcript.version != stored.transcript.version:
            return False
        await _store_times(session, stored.segments, recording.segments)
        version = await edits.next_version(session, transcript, vocabulary=None, reassigned=False)
        await _store_model(session, stored.transcript, recording, self.job.parts.models.alignment)
        before, after = {"version": version - 1}, {"version": version}
        edits.note(session, file.id, file.user_id, version, EditAction.reprocessed, before, after)
        await stage_results.drop(session, file.id, {Realign.name})
        result = {"alignment_model": self.job.parts.models.alignment}
        await queue.complete(session, task, step, timings=dict(recording.timings), result=result)
        await search_notes.note_files(session, file.user_id, [file.id], spoken=True)
        return True


async def _store_times(
    session: AsyncSession, rows: Sequence[models.Segment], segments: Sequence[Segment]
) -> None:
    """Write the times of the lines that have words; the others were not listened to."""
    values: list[dict[str, Any]] = [
        {
            "id": row.id,
            "start": segment.start,
            "end": segment.end,
            "words": word_rows(segment.words),
        }
        for row, segment in zip([row for row in rows if row.words], segments, strict=True)
    ]
    if values:
        await session.execute(update(models.Segment), values)


async def _store_model(
    session: AsyncSession, transcript: Transcript, recording: Recording, model: str
) -> None:
    await session.execute(
        update(Transcript)
        .where(Transcript.id == transcript.id)
        .values(
            models={**transcript.models, "alignment": model},
            word_timing=recording.word_timing,
        )
        .execution_options(synchronize_session=False)
    )
