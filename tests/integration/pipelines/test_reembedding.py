"""Voices embedded anew: after a change of model, after a split; over real stores, fake models."""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, update

from db.engine import Sessions, session_scope
from db.models import (
    FileStatus,
    Lane,
    MediaFile,
    ProfileVoiceprint,
    Speaker,
    SpeakerProfile,
    StageResult,
    Task,
    TaskKind,
    TaskState,
    Transcript,
)
from pipelines import queue
from pipelines.job import RunnerParts
from pipelines.speakers import backfill, requests
from serving.errors import OutOfMemory
from tests.fixtures.media import ffmpeg
from tests.fixtures.runner import (
    SETTINGS,
    Faulty,
    accept,
    count,
    ended,
    get,
    keys,
    running,
    until,
    with_parts,
)
from tests.fixtures.speech import sample

OTHER = "another-model"


class Watched:
    """The embedder, counting spans; it holds back from a certain span on until opened."""

    def __init__(self, port, hold_from: int = 10**6) -> None:
        self._port = port
        self._hold_from = hold_from
        self.calls = 0
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def embed(self, spans, lane):
        self.calls += 1
        if self.calls >= self._hold_from:
            self.reached.set()
            await self.open.wait()
        return await self._port.embed(spans, lane)

    def __getattr__(self, name: str):
        return getattr(self._port, name)


def changed(parts: RunnerParts, **ports) -> RunnerParts:
    """The same installation with another embedding model."""
    return replace(with_parts(parts, **ports), models=replace(parts.models, embedding=OTHER))


async def transcribed(sessions: Sessions, objects, parts: RunnerParts, path: Path) -> MediaFile:
    task_id = await accept(sessions, objects, path)
    async with running(parts):
        task = await until(sessions, task_id, ended, 120)
    assert task.state is TaskState.completed, task.error_message
    async with session_scope(sessions) as session:
        return await session.get_one(MediaFile, task.media_file_id)


async def ask(sessions: Sessions, file: MediaFile) -> uuid.UUID:
    async with session_scope(sessions) as session:
        task = await requests.of_file(session, file.user_id, file.id, file.duration)
        return task.id


async def known_by(sessions: Sessions, profile_id: uuid.UUID, models: set[str]) -> None:
    """Wait until a person's voiceprints are of these models."""
    query = select(ProfileVoiceprint.embedding_model)
    async with asyncio.timeout(30):
        while True:
            async with session_scope(sessions) as session:
                found = await session.scalars(
                    query.where(ProfileVoiceprint.profile_id == profile_id)
                )
                if set(found) == models:
                    return
            await asyncio.sleep(0.05)


async def spans_stored(sessions: Sessions, number: int) -> None:
    """Wait until so many spans are checkpoints: the next one begins while the last is stored."""
    query = select(func.count()).where(StageResult.stage == "embed")
    async with asyncio.timeout(30):
        while True:
            async with session_scope(sessions) as session:
                if await session.scalar(query) == number:
                    return
            await asyncio.sleep(0.02)


async def voices(sessions: Sessions) -> list[Speaker]:
    async with session_scope(sessions) as session:
        return list(await session.scalars(select(Speaker).order_by(Speaker.label)))


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample over and over: three spans."""
    folder = tmp_path_factory.mktemp("talk")
    loop = ("-stream_loop", "24", "-i", str(sample()))
    return ffmpeg(folder / "talk.flac", *loop, "-t", "700")


async def test_a_change_of_model_embeds_every_voice_anew(sessions, objects, parts):
    file = await transcribed(sessions, objects, parts, sample())
    before = await voices(sessions)
    assert {voice.embedding_model for voice in before} == {"fake"}
    async with session_scope(sessions) as session:
        profile = SpeakerProfile(user_id=file.user_id, name="Ann")
        session.add(profile)
        await session.flush()
        await session.execute(
            update(Speaker)
            .where(Speaker.id == before[0].id)
            .values(profile_id=profile.id, display_name="Ann", verified=True)
        )
        version = await session.scalar(select(Transcript.version))
    async with session_scope(sessions) as session:
        assert await backfill.begin(session, OTHER, 10) == backfill.Begun(1, 0, more=False)
    async with session_scope(sessions) as session:
        assert await backfill.begin(session, OTHER, 10) == backfill.Begun(0, 0, more=False)
        task = await session.scalar(select(Task).where(Task.kind == TaskKind.voiceprints))
    assert (task.lane, task.state) == (Lane.bulk, TaskState.queued)
    async with running(changed(parts)):
        task = await until(sessions, task.id, ended)
        # The notes are of the same transaction; the person's voiceprint follows.
        await known_by(sessions, profile.id, {OTHER})
    assert (task.state, task.progress, task.error_message) == (TaskState.completed, 1.0, None)
    assert task.result == {"embedding_model": OTHER, "overtaken": False}
    after = await voices(sessions)
    assert [voice.id for voice in after] == [voice.id for voice in before]
    assert {voice.embedding_model for voice in after} == {OTHER}
    for old, new in zip(before, after, strict=True):
        # The same turns of the same sound by the same fake model, by chunks instead of seconds.
        assert np.dot(old.embedding, new.embedding) > 0.8
        assert np.linalg.norm(new.embedding) == pytest.approx(1, abs=1e-5)
        assert new.clean_seconds == pytest.approx(old.clean_seconds, abs=0.01)
    assert after[0].display_name == "Ann"
    async with session_scope(sessions) as session:
        assert await session.scalar(select(Transcript.version)) == version
        stored = set(await session.scalars(select(StageResult.stage)))
        assert await backfill.begin(session, OTHER, 10) == backfill.Begun(0, 0, more=False)
        assert (await backfill.overview(session, OTHER)).stale.files == 0
    assert "embed" not in stored
    assert await keys(objects) == [file.object_key]


async def test_it_goes_on_at_the_last_span(sessions, objects, parts, long_talk):
    file = await transcribed(sessions, objects, parts, long_talk)
    task_id = await ask(sessions, file)
    # One span at a time: the third is held back, and the runner goes away meanwhile.
    settings = SETTINGS.model_copy(update={"max_outstanding_spans": 1})
    held = Watched(parts.ports.embedder, hold_from=3)
    first = replace(changed(parts, embedder=held), settings=settings)
    async with running(first):
        await held.reached.wait()
        await spans_stored(sessions, 2)
    task = await get(sessions, task_id)
    assert (task.state, task.attempt) == (TaskState.queued, 0)
    assert 0 < task.progress < 1
    second = Watched(parts.ports.embedder)
    async with running(changed(parts, embedder=second), "second"):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    assert (held.calls, second.calls) == (3, 1)
    assert {voice.embedding_model for voice in await voices(sessions)} == {OTHER}


async def test_a_failed_attempt_is_repeated_from_what_is_done(sessions, objects, parts, long_talk):
    file = await transcribed(sessions, objects, parts, long_talk)
    settings = SETTINGS.model_copy(update={"max_outstanding_spans": 1})
    faulty = Faulty(
        Watched(parts.ports.embedder), "embed", OutOfMemory(), settings.window_retries + 1
    )
    task_id = await ask(sessions, file)
    async with running(replace(changed(parts, embedder=faulty), settings=settings)):
        task = await until(sessions, task_id, ended, 120)
    assert (task.state, task.attempt) == (TaskState.completed, 2)
    assert faulty.calls - (settings.window_retries + 1) == 3


async def test_one_that_fails_for_good_leaves_file_and_voices_as_they_are(sessions, objects, parts):
    file = await transcribed(sessions, objects, parts, sample())
    before = [voice.embedding for voice in await voices(sessions)]
    await objects.put(file.object_key, b"no longer a recording")
    task_id = await ask(sessions, file)
    async with running(changed(parts)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.attempt) == (TaskState.failed, 1)
    assert task.error_type == "invalid_media"
    async with session_scope(sessions) as session:
        again = await session.get_one(MediaFile, file.id)
        assert (again.status, again.error_type) == (FileStatus.completed, None)
        # It is asked for again, since it is still another model's.
        assert (await backfill.begin(session, OTHER, 10)).files == 1
    assert [voice.embedding for voice in await voices(sessions)] == before


async def test_it_is_cancelled_within_a_span(sessions, objects, parts):
    file = await transcribed(sessions, objects, parts, sample())
    gate = Watched(parts.ports.embedder, hold_from=1)
    task_id = await ask(sessions, file)
    async with running(changed(parts, embedder=gate)) as runner:
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.get_one(Task, task_id))
        task = await until(sessions, task_id, ended)
        async with asyncio.timeout(30):
            while runner.running:
                await asyncio.sleep(0.02)
    assert task.state is TaskState.cancelled
    async with session_scope(sessions) as session:
        assert (await session.get_one(MediaFile, file.id)).status is FileStatus.completed
    assert {voice.embedding_model for voice in await voices(sessions)} == {"fake"}
    assert await keys(objects) == [file.object_key]


async def test_turns_that_change_meanwhile_are_a_new_tasks_work(sessions, objects, parts):
    file = await transcribed(sessions, objects, parts, sample())
    gate = Watched(parts.ports.embedder, hold_from=1)
    task_id = await ask(sessions, file)
    async with running(changed(parts, embedder=gate)):
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            turns = await session.scalar(select(Transcript.turns))
            await session.execute(update(Transcript).values(turns=turns[:-1]))
        gate.open.set()
        task = await until(sessions, task_id, ended)
    assert (task.state, task.result["overtaken"]) == (TaskState.completed, True)
    assert {voice.embedding_model for voice in await voices(sessions)} == {"fake"}
    async with session_scope(sessions) as session:
        [again] = await session.scalars(
            select(Task).where(Task.kind == TaskKind.voiceprints, Task.id != task_id)
        )
        assert (again.state, again.lane) == (TaskState.queued, task.lane)
        assert again.run_after > again.created_at
        # One that waits is enough.
        assert await requests.of_file(session, file.user_id, file.id, 1.0) is None


async def test_a_file_whose_transcript_is_replaced_meanwhile_keeps_the_new_voices(
    sessions, objects, parts
):
    file = await transcribed(sessions, objects, parts, sample())
    gate = Watched(parts.ports.embedder, hold_from=1)
    task_id = await ask(sessions, file)
    async with running(changed(parts, embedder=gate)):
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            old = list(await session.scalars(select(Speaker)))
            for speaker in old:
                await session.delete(speaker)
            await session.flush()
            facts = {"user_id": file.user_id, "media_file_id": file.id, "label": "SPEAKER_07"}
            session.add(Speaker(**facts, embedding=[1.0, 0.0], embedding_model="newest"))
            await session.execute(update(Transcript).values(turns=[[0.0, 1.0, "SPEAKER_07"]]))
        gate.open.set()
        await until(sessions, task_id, ended)
    [voice] = await voices(sessions)
    assert (voice.label, voice.embedding_model) == ("SPEAKER_07", "newest")


async def test_a_file_that_is_deleted_meanwhile_takes_its_task_along(sessions, objects, parts):
    file = await transcribed(sessions, objects, parts, sample())
    gate = Watched(parts.ports.embedder, hold_from=1)
    await ask(sessions, file)
    async with running(changed(parts, embedder=gate)) as runner:
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            await session.delete(await session.get_one(MediaFile, file.id))
        gate.open.set()
        async with asyncio.timeout(30):
            while runner.running:
                await asyncio.sleep(0.02)
    assert await count(sessions, Task) == await count(sessions, Speaker) == 0


async def test_a_voice_that_was_split_off_is_embedded_from_its_own_words(sessions, objects, parts):
    file = await transcribed(sessions, objects, parts, sample())
    async with session_scope(sessions) as session:
        # All after half of the recording is somebody else's.
        turns = await session.scalar(select(Transcript.turns))
        turns = [[start, end, "SPEAKER_09" if start >= 15 else who] for start, end, who in turns]
        await session.execute(update(Transcript).values(turns=turns))
        facts = {"user_id": file.user_id, "media_file_id": file.id, "label": "SPEAKER_09"}
        session.add(Speaker(**facts, speech_seconds=5.0))
    task_id = await ask(sessions, file)
    async with running(parts):
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.completed
    [*others, new] = await voices(sessions)
    assert new.embedding_model == "fake"
    assert new.clean_seconds == pytest.approx(
        sum(end - start for start, end, who in turns if who == "SPEAKER_09"), abs=0.1
    )
    assert all(np.dot(new.embedding, other.embedding) < 0.9 for other in others)


async def test_somebody_without_turns_has_no_voiceprint_and_is_done(sessions, objects, parts):
    file = await transcribed(sessions, objects, parts, sample())
    async with session_scope(sessions) as session:
        await session.execute(update(Transcript).values(turns=[]))
    embedder = Watched(parts.ports.embedder)
    task_id = await ask(sessions, file)
    async with running(changed(parts, embedder=embedder)):
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.completed
    assert embedder.calls == 0
    found = await voices(sessions)
    assert {(voice.embedding, voice.embedding_model) for voice in found} == {(None, OTHER)}
    async with session_scope(sessions) as session:
        assert (await backfill.begin(session, OTHER, 10)).total == 0


async def test_a_backfill_keeps_no_new_recording_out(sessions, objects, parts):
    """What waits is limited by hours of audio; these hours were let in before."""
    from cluster.settings import QueueSettings
    from pipelines import backlog

    file = await transcribed(sessions, objects, parts, sample())
    async with session_scope(sessions) as session:
        limits = QueueSettings(max_hours_per_user=1)
        await requests.of_file(session, file.user_id, file.id, 10 * 3600.0)
        await backlog.admit(session, file.user_id, 60.0, limits)
        waiting = select(func.count()).where(Task.state == TaskState.queued)
        assert await session.scalar(waiting) == 1
