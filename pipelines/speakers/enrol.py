"""One attempt at an enrolment: a clip in which a person speaks alone, and what they sound like."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import session_scope
from db.models import Enrolment
from db.queries import reembedding, speakers
from pipelines import online, queue, task_state
from pipelines.errors import TaskFailed
from pipelines.job import SOURCE_URL_LIFETIME, Job
from pipelines.speakers import notes
from pipelines.speakers.notes import About
from pipelines.speakers.requests import ENROLMENT
from pipelines.stages.base import Options, Recording
from pipelines.stages.diarize import Diarize
from pipelines.stages.prepare import Prepare
from serving.errors import AudioTooLong
from serving.speech import SAMPLE_RATE, Diarization, MediaSource, Pcm

log = structlog.get_logger(__name__)

SHARE = {Prepare.name: 0.3, Diarize.name: 0.7}
"""Each stage's share of the progress."""
MAX_OTHERS_SHARE = 0.1
"""So much of the person's speech may be somebody else's: a greeting, or the diarizer's doubt."""


class ClipAudio:
    """The decoded audio of a clip, in memory: it is no longer than a span."""

    def __init__(self, max_seconds: float) -> None:
        self._max_seconds = max_seconds
        self._blocks: dict[int, Pcm] = {}

    async def write(self, index: int, block: Pcm) -> None:
        """Keep a block.

        Raises:
            AudioTooLong: the clip is longer than one may be.
        """
        self._blocks[index] = block
        if sum(map(len, self._blocks.values())) > self._max_seconds * SAMPLE_RATE:
            raise AudioTooLong(
                f"The clip is longer than {self._max_seconds:g} s: "
                "send a part of it in which the person speaks alone."
            )

    async def complete(self, seconds: float) -> bool:  # noqa: ARG002 - a port's signature
        """Whether an attempt before this one has left it; never."""
        return False

    async def read(self, start: float, end: float) -> Pcm:
        """The samples between two times."""
        audio = np.concatenate([self._blocks[index] for index in sorted(self._blocks)])
        return audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


class NothingKept:
    """Checkpoints of a clip: it is one span, and a crash repeats no more than that anyway."""

    async def load(self, stage: str, fingerprint: str) -> Mapping[int, bytes]:  # noqa: ARG002
        """Nothing."""
        return {}

    async def save(self, stage: str, fingerprint: str, part: int, data: bytes) -> None:
        """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What a clip says of a person."""

    embedding: tuple[float, ...]
    embedding_model: str
    clean_seconds: float


@dataclass(frozen=True, slots=True)
class Enrolling:
    """A claimed enrolment."""

    job: Job

    async def run(self) -> None:
        """Do it, and complete the task in the transaction that stores the voiceprint.

        Raises:
            TaskFailed: the clip is not of one person, has too little speech, or was deleted.
            SpeechError: it cannot be decoded, or a model failed.
            FenceLost: somebody else has the task.
        """
        parts = self.job.parts
        async with session_scope(parts.sessions) as session:
            clip = await self._clip(session)
        url = await parts.objects.presign_get(clip.object_key, SOURCE_URL_LIFETIME)
        recording = Recording(str(clip.id), MediaSource(url, clip.size_bytes), Options())
        audio = ClipAudio(parts.voices.max_enrolment_seconds)
        async with self.job.context(SHARE, audio, NothingKept()) as context:
            steps = ((Prepare(),), (Diarize(),))
            recording = await online.run(recording, steps, context, optional=frozenset())
        found = recording.diarization or Diarization((), ())
        voice = only_voice(found, parts.voices.min_enrolment_seconds)
        async with session_scope(parts.sessions) as session:
            await self._publish(session, voice, recording.timings)

    async def _clip(self, session: AsyncSession, *, lock: bool = False) -> Enrolment:
        task = self.job.task
        clip_id = uuid.UUID(task.options[ENROLMENT])
        clip = await reembedding.enrolment(session, task.user_id, clip_id, lock=lock)
        if clip is None:
            raise TaskFailed("not_found", "The clip, or its person, has been deleted.")
        return clip

    async def _publish(
        self, session: AsyncSession, voice: Voice, timings: Mapping[str, float]
    ) -> None:
        task = await queue.held_task(session, self.job.held, lock=False)
        step = task_state.on_success(task)
        await speakers.serialise(session, task.user_id, patience=None)
        clip = await self._clip(session, lock=True)
        clip.embedding = list(voice.embedding)
        clip.embedding_model = voice.embedding_model
        clip.clean_seconds = voice.clean_seconds
        await session.flush()
        await notes.note(session, About.profile, clip.profile_id, task.user_id)
        await queue.complete(
            session,
            task,
            step,
            timings=dict(timings),
            result={
                "enrolment_id": str(clip.id),
                "profile_id": str(clip.profile_id),
                "embedding_model": voice.embedding_model,
                "clean_seconds": round(voice.clean_seconds, 3),
            },
        )


def only_voice(found: Diarization, min_seconds: float) -> Voice:
    """The voice of a clip in which one person speaks alone.

    Raises:
        TaskFailed: it has too little of such speech, or several people speak.
    """
    clean = found.clean_seconds
    person = max(clean, key=lambda label: clean[label], default="")
    seconds = clean.get(person, 0.0)
    embedding = found.embeddings.get(person)
    if embedding is None or seconds < min_seconds:
        raise TaskFailed(
            "enrolment_unclear",
            f"In this clip one person speaks alone for {seconds:.1f} s, and it takes "
            f"{min_seconds:g} s: send a longer one, without music and other voices.",
        )
    others = sum(turn.end - turn.start for turn in found.turns if turn.speaker != person)
    if others > MAX_OTHERS_SHARE * seconds:
        raise TaskFailed(
            "enrolment_unclear",
            f"Several people speak in this clip: one for {seconds:.1f} s, others for "
            f"{others:.1f} s. Send one in which only this person speaks.",
        )
    return Voice(embedding, found.embedding_model, seconds)
