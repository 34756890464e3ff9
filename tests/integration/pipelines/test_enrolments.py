"""Clips of people become voiceprints, or say why not; over real stores, with fake models."""

import asyncio
import io
import uuid
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sqlalchemy import select

from db.engine import Sessions, session_scope
from db.models import (
    Enrolment,
    Lane,
    ProfileVoiceprint,
    SpeakerProfile,
    Task,
    TaskKind,
    TaskState,
    User,
)
from db.objects.keys import enrolment_key
from pipelines import queue
from pipelines.speakers import backfill, requests
from serving.errors import OutOfMemory
from serving.speech import SAMPLE_RATE
from tests.fixtures.runner import Faulty, ended, get, keys, running, until, with_parts
from tests.fixtures.speech import sample

LOUD, QUIET = 3000, 200
"""Mean absolute samples of the fake models' two voices."""


def clip(*seconds: tuple[int, int]) -> bytes:
    """Speech of so many seconds at such loudness, as a WAV file."""
    with wave.open(str(sample())) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
    # The part of the sample in which somebody speaks without a pause.
    speech = np.resize(speech[7 * SAMPLE_RATE : 13 * SAMPLE_RATE], 400 * SAMPLE_RATE)
    levels = [loudness for count, loudness in seconds for _ in range(count)]
    pieces = []
    for second, loudness in enumerate(levels):
        piece = speech[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE].astype(np.float64)
        pieces.append(piece * loudness / max(1.0, np.abs(piece).mean()))
    # The fake diarizer hears the first second of each of its chunks, which have ten.
    pieces.append(np.zeros(9 * SAMPLE_RATE))
    return wav_of(np.clip(np.concatenate(pieces), -32768, 32767).astype(np.int16))


def wav_of(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


@dataclass(frozen=True)
class Enrolled:
    """A clip that was taken in, as the API does it."""

    sessions: Sessions
    user_id: uuid.UUID
    profile_id: uuid.UUID
    id: uuid.UUID
    task_id: uuid.UUID

    async def row(self) -> Enrolment | None:
        async with session_scope(self.sessions) as session:
            return await session.get(Enrolment, self.id)

    async def end(self) -> Task:
        return await until(self.sessions, self.task_id, ended)


@pytest.fixture
def enrol(sessions, objects):
    async def take_in(data: bytes) -> Enrolled:
        user_id, profile_id, enrolment_id = (uuid.uuid4() for _ in range(3))
        key = enrolment_key(user_id, profile_id, enrolment_id)
        await objects.put(key, data)
        async with session_scope(sessions) as session:
            session.add(User(id=user_id, email=f"{user_id}@example.org", password_hash="-"))
            await session.flush()
            session.add(SpeakerProfile(id=profile_id, user_id=user_id, name="Ann"))
            await session.flush()
            facts = {"filename": "ann.wav", "object_key": key, "size_bytes": len(data)}
            session.add(Enrolment(id=enrolment_id, profile_id=profile_id, **facts))
            await session.flush()
            task = await requests.of_enrolment(session, user_id, enrolment_id)
            return Enrolled(sessions, user_id, profile_id, enrolment_id, task.id)

    return take_in


class Gate:
    """The segmenter, held back until opened."""

    def __init__(self, port) -> None:
        self._port = port
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def segment(self, spans, lane):
        self.reached.set()
        await self.open.wait()
        return await self._port.segment(spans, lane)


class Clusterer:
    """The clusterer of another model."""

    def __init__(self, port, model: str) -> None:
        self._port = port
        self._model = model

    async def cluster(self, *arguments):
        return replace(await self._port.cluster(*arguments), embedding_model=self._model)


async def test_a_clip_of_one_person_is_what_they_sound_like(sessions, objects, parts, enrol):
    taken = await enrol(clip((8, LOUD)))
    async with running(parts):
        task = await taken.end()
        assert (task.state, task.error_message) == (TaskState.completed, None)
        async with asyncio.timeout(30):
            while not (known := await voiceprints_of(sessions, taken.profile_id)):
                await asyncio.sleep(0.05)
    row = await taken.row()
    assert row.embedding_model == "fake"
    assert np.linalg.norm(row.embedding) == pytest.approx(1, abs=1e-5)
    assert 7 <= row.clean_seconds <= 8
    assert (task.progress, task.stage) == (1.0, "completed")
    assert task.result == {
        "enrolment_id": str(taken.id),
        "profile_id": str(taken.profile_id),
        "embedding_model": "fake",
        "clean_seconds": pytest.approx(row.clean_seconds, abs=0.001),
    }
    # The person is known by it; the clip stays, for the next model.
    assert np.dot(known["fake"], row.embedding) == pytest.approx(1, abs=1e-5)
    assert await keys(objects) == [row.object_key]


async def voiceprints_of(sessions: Sessions, profile_id: uuid.UUID) -> dict[str, list[float]]:
    query = select(ProfileVoiceprint).where(ProfileVoiceprint.profile_id == profile_id)
    async with session_scope(sessions) as session:
        return {row.embedding_model: row.embedding for row in await session.scalars(query)}


def refused() -> Iterator[tuple[str, bytes, str]]:
    yield "two people", clip((8, LOUD), (4, QUIET)), "Several people speak in this clip"
    yield "too short", clip((3, LOUD)), "speaks alone for 3.0 s, and it takes 5 s"
    yield "silence", wav_of(np.zeros(8 * SAMPLE_RATE, dtype=np.int16)), "alone for 0.0 s"


@pytest.mark.parametrize(
    ("data", "said"), [(data, said) for _, data, said in refused()], ids=[r[0] for r in refused()]
)
async def test_a_clip_that_is_not_one_persons_says_why(parts, enrol, data, said):
    taken = await enrol(data)
    async with running(parts):
        task = await taken.end()
    assert (task.state, task.attempt) == (TaskState.failed, 1)
    assert task.error_type == "enrolment_unclear"
    assert said in task.error_message
    assert (await taken.row()).embedding is None


async def test_a_word_of_somebody_else_is_let_pass(parts, enrol):
    taken = await enrol(clip((12, LOUD), (1, QUIET)))
    async with running(parts):
        task = await taken.end()
    assert (task.state, task.error_message) == (TaskState.completed, None)
    assert (await taken.row()).clean_seconds >= 11


async def test_what_cannot_be_decoded_fails_with_its_own_reason(parts, enrol):
    taken = await enrol(b"RIFF\x24\x00\x00\x00WAVEnothing at all follows here")
    async with running(parts):
        task = await taken.end()
    assert (task.state, task.error_type) == (TaskState.failed, "invalid_media")


async def test_a_clip_is_given_up_where_it_is_longer_than_one_may_be(parts, enrol):
    taken = await enrol(clip((301, LOUD)))
    async with running(parts):
        task = await taken.end()
    assert (task.state, task.error_type) == (TaskState.failed, "audio_too_long")
    assert "longer than 300 s" in task.error_message


async def test_a_diarizer_that_fails_is_asked_again_and_never_left_out(parts, enrol):
    """In a transcription a failed diarization is a note; here it is all there is."""
    taken = await enrol(clip((8, LOUD)))
    faulty = Faulty(parts.ports.embedder, "embed", OutOfMemory(), 10**6)
    settings = parts.settings.model_copy(update={"window_retries": 0, "max_attempts": 2})
    async with running(replace(with_parts(parts, embedder=faulty), settings=settings)):
        task = await taken.end()
    assert (task.state, task.error_type, task.attempt) == (TaskState.failed, "out_of_memory", 2)
    assert faulty.calls == 2


async def test_an_enrolment_is_cancelled(parts, enrol):
    taken = await enrol(clip((8, LOUD)))
    gate = Gate(parts.ports.segmenter)
    async with running(with_parts(parts, segmenter=gate)) as runner:
        await gate.reached.wait()
        async with session_scope(parts.sessions) as session:
            await queue.cancel(session, await session.get_one(Task, taken.task_id))
        assert (await taken.end()).state is TaskState.cancelled
        async with asyncio.timeout(30):
            while runner.running:
                await asyncio.sleep(0.02)
    assert (await taken.row()).embedding is None


async def test_a_drain_gives_it_back_and_the_next_runner_does_it(parts, enrol):
    taken = await enrol(clip((8, LOUD)))
    gate = Gate(parts.ports.segmenter)
    async with running(with_parts(parts, segmenter=gate)):
        await gate.reached.wait()
    task = await get(parts.sessions, taken.task_id)
    assert (task.state, task.attempt) == (TaskState.queued, 0)
    async with running(parts, "second"):
        assert (await taken.end()).state is TaskState.completed


async def test_a_person_who_is_deleted_meanwhile_stays_so(parts, enrol):
    taken = await enrol(clip((8, LOUD)))
    gate = Gate(parts.ports.segmenter)
    async with running(with_parts(parts, segmenter=gate)):
        await gate.reached.wait()
        async with session_scope(parts.sessions) as session:
            await session.delete(await session.get_one(SpeakerProfile, taken.profile_id))
        gate.open.set()
        task = await taken.end()
    assert (task.state, task.error_type, task.attempt) == (TaskState.failed, "not_found", 1)
    assert await taken.row() is None
    assert await voiceprints_of(parts.sessions, taken.profile_id) == {}


async def test_a_clip_of_somebody_elses_is_not_looked_at(parts, enrol):
    """The id in a task's options is no authority: the clip must be its user's."""
    mine, theirs = await enrol(clip((8, LOUD))), await enrol(clip((8, LOUD)))
    async with session_scope(parts.sessions) as session:
        task = await requests.of_enrolment(session, mine.user_id, theirs.id)
    async with running(parts):
        task = await until(parts.sessions, task.id, ended)
        await theirs.end()
    assert (task.state, task.error_type) == (TaskState.failed, "not_found")


async def test_a_change_of_model_covers_clips(sessions, parts, enrol):
    taken, silent = await enrol(clip((8, LOUD))), await enrol(clip((3, LOUD)))
    async with running(parts):
        await taken.end()
        await silent.end()
    before = (await taken.row()).embedding
    async with session_scope(sessions) as session:
        # One that nobody could embed is not better now.
        assert await backfill.begin(session, "other", 10) == backfill.Begun(0, 1, more=False)
    async with session_scope(sessions) as session:
        assert (await backfill.begin(session, "other", 10)).total == 0
        bulk = await session.scalar(select(Task).where(Task.lane == Lane.bulk))
        assert bulk.kind is TaskKind.enrolment
    other = Clusterer(parts.ports.clusterer, "other")
    changed = replace(parts, models=replace(parts.models, embedding="other"))
    async with running(with_parts(changed, clusterer=other)):
        task = await until(sessions, bulk.id, ended)
    assert task.state is TaskState.completed
    row = await taken.row()
    assert (row.embedding_model, row.embedding) == ("other", before)
    async with session_scope(sessions) as session:
        found = await backfill.overview(session, "other")
        assert (found.stale.enrolments, found.enrolments_by_model["other"]) == (0, 1)
