"""One attempt at a transcription: the plan over a file, and its result as rows."""

from dataclasses import dataclass
from typing import Any

import structlog

from cluster.settings import SpeechSettings
from db.engine import session_scope
from db.models import MediaFile
from pipelines import leftovers, online, persist
from pipelines.checkpoints import StoredCheckpoints
from pipelines.job import SOURCE_URL_LIFETIME, Job
from pipelines.plan import SHARE, plan
from pipelines.stages.base import Options, Recording
from serving.speech import MediaSource, SpeakerBounds

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Transcription:
    """A claimed transcription."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that replaces the transcript.

        Raises:
            SpeechError: a stage without which there is no transcript failed.
            FenceLost: somebody else has the task.
        """
        task, parts = self.job.task, self.job.parts
        async with session_scope(parts.sessions) as session:
            file = await session.get_one(MediaFile, task.media_file_id)
            audio = self.job.audio(file)
            await leftovers.note(session, audio.prefix, leftovers.KeptWhile.task_active, file.id)
        checkpoints = StoredCheckpoints(parts.sessions, self.job.held, file.id)
        async with self.job.context(SHARE, audio, checkpoints) as context:
            options = options_of(task.options, parts.speech)
            url = await parts.objects.presign_get(file.object_key, SOURCE_URL_LIFETIME)
            recording = Recording(file.sha256, MediaSource(url, file.size_bytes), options)
            recording = await online.run(recording, plan(options), context)
        thumbnail = await self._keep_thumbnail(file, recording)
        async with session_scope(parts.sessions) as session:
            await persist.publish(
                session,
                self.job.held,
                recording,
                parts.models,
                thumbnail,
                parts.language.settings,
            )
        log.info("task completed", segments=len(recording.segments))

    async def _keep_thumbnail(self, file: MediaFile, recording: Recording) -> str | None:
        if recording.preparation is None or recording.preparation.thumbnail is None:
            return None
        key = f"{file.object_key}.thumbnail.jpg"
        await self.job.parts.objects.put(key, recording.preparation.thumbnail, "image/jpeg")
        return key


def options_of(stored: dict[str, Any], defaults: SpeechSettings) -> Options:
    """A task's options as the API stored them; what it left out follows the installation's."""
    low, high = stored.get("min_speakers"), stored.get("max_speakers")
    bounds = SpeakerBounds(
        minimum=low or min(defaults.min_speakers, high or defaults.min_speakers),
        maximum=high or max(defaults.max_speakers, low or defaults.max_speakers),
        exact=stored.get("num_speakers"),
    )
    return Options(
        language=stored.get("language") or defaults.whisper_language,
        task=stored.get("task") or "transcribe",
        speakers=bounds,
        diarize=stored.get("diarize", True),
    )
