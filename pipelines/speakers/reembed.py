"""One attempt at embedding the voices of a file anew, from the turns that its transcript has."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.models import MediaFile, Speaker
from db.queries import reembedding, speakers, stage_results, transcripts
from pipelines import documents, leftovers, online, queue, task_state
from pipelines.checkpoints import StoredCheckpoints
from pipelines.job import SOURCE_URL_LIFETIME, Job
from pipelines.speakers import notes, requests
from pipelines.speakers.notes import About
from pipelines.stages.base import Options, Recording
from pipelines.stages.embed import Embed
from pipelines.stages.prepare import Prepare
from serving.speech import Diarization, MediaSource, SpeakerTurn

log = structlog.get_logger(__name__)

SHARE = {Prepare.name: 0.4, Embed.name: 0.6}
"""Each stage's share of the progress."""
EDITING_SECONDS = 30.0
"""Who changes turns while they are embedded probably changes more of them."""

Turns = Sequence[SpeakerTurn]


@dataclass(frozen=True, slots=True)
class Reembedding:
    """A claimed task about the voices of a file; what the file is called or its status stays."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that stores the voiceprints.

        Raises:
            SpeechError: the file cannot be decoded any more, or the embedder failed.
            FenceLost: somebody else has the task, or the file is gone.
        """
        parts = self.job.parts
        async with session_scope(parts.sessions) as session:
            file = await session.get_one(MediaFile, self.job.task.media_file_id)
            turns = await turns_of(session, file)
            audio = self.job.audio(file)
            await leftovers.note(session, audio.prefix, leftovers.KeptWhile.task_active, file.id)
        recording = await self._embedded(file, turns)
        async with session_scope(parts.sessions) as session:
            await self._publish(session, file, turns, recording)

    async def _embedded(self, file: MediaFile, turns: Turns) -> Recording:
        objects, audio = self.job.parts.objects, self.job.audio(file)
        url = await objects.presign_get(file.object_key, SOURCE_URL_LIFETIME)
        recording = Recording(
            file.sha256,
            MediaSource(url, file.size_bytes),
            Options(),
            diarization=Diarization(tuple(turns), ()),
        )
        checkpoints = StoredCheckpoints(self.job.parts.sessions, self.job.held, file.id)
        async with self.job.context(SHARE, audio, checkpoints) as context:
            # Without turns there is nothing to decode for.
            steps = ((Prepare(),), (Embed(),)) if turns else ((Embed(),),)
            return await online.run(recording, steps, context)

    async def _publish(
        self, session: AsyncSession, file: MediaFile, turns: Turns, recording: Recording
    ) -> None:
        """Store voiceprints, unless the turns are others by now: then that is a new task's work."""
        task = await queue.held_task(session, self.job.held, lock=False)
        step = task_state.on_success(task)
        await speakers.serialise(session, task.user_id, patience=None)
        voices = await reembedding.hold_file(session, task.user_id, file.id)
        current = await turns_of(session, file) == turns
        if current and recording.diarization is not None:
            await self._store(session, file, voices, recording.diarization)
        # The turns are part of their fingerprint: nobody finds them again.
        await stage_results.drop(session, file.id, {Embed.name})
        await queue.complete(
            session,
            task,
            step,
            timings=dict(recording.timings),
            result={"embedding_model": self.job.parts.models.embedding, "overtaken": not current},
        )
        if not current:
            log.info("the turns were changed meanwhile", file_id=str(file.id))
            await requests.of_file(
                session,
                task.user_id,
                file.id,
                task.audio_seconds,
                lane=task.lane,
                delay_seconds=EDITING_SECONDS,
            )

    async def _store(
        self,
        session: AsyncSession,
        file: MediaFile,
        voices: Sequence[Speaker],
        found: Diarization,
    ) -> None:
        for speaker in voices:
            if speaker.voiceprint_erased:
                continue
            voiceprint = found.embeddings.get(speaker.label)
            speaker.embedding = list(voiceprint) if voiceprint else None
            speaker.embedding_model = found.embedding_model
            speaker.clean_seconds = found.clean_seconds.get(speaker.label, 0.0)
        await session.flush()
        people = {one.profile_id for one in voices if one.profile_id is not None}
        about = [(About.file, file.id), *((About.profile, one) for one in sorted(people))]
        await notes.note_all(session, about, file.user_id)


async def turns_of(session: AsyncSession, file: MediaFile) -> Turns:
    """Who speaks when, as people have said since where they have; empty: there is no transcript."""
    stored = await transcripts.of_file(session, file.user_id, file.id)
    return documents.of_rows(file, stored).turns if stored else ()
