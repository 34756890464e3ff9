"""The runner over real stores and the real decoder, with fake models: claim to transcript."""

import asyncio
import io
import pickle
import subprocess
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from cluster.settings import SpeechSettings
from db.engine import session_scope
from db.models import MediaFile, Segment, Speaker, StageResult, Task, TaskState, Transcript
from pipelines import queue
from pipelines.transcription import options_of
from serving.errors import EngineFailed, OutOfMemory, SpeechError
from tests.fixtures.media import video
from tests.fixtures.runner import (
    SETTINGS,
    Faulty,
    Gate,
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


async def test_a_recording_becomes_a_transcript(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample())
    async with running(parts):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    assert (task.progress, task.stage, task.attempt) == (1.0, "completed", 1)
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, task.media_file_id)
        transcript = await session.scalar(select(Transcript))
        segments = list(await session.scalars(select(Segment).order_by(Segment.index)))
    assert file.status == "completed"
    assert file.duration == pytest.approx(30.0, abs=0.05)
    assert 0 < len(file.waveform) <= 2000
    assert (transcript.language, transcript.word_timing) == ("en", "ctc_phoneme")
    assert transcript.diarization == "done"
    assert segments
    assert all(segment.speaker_id for segment in segments)
    words = [word for segment in segments for word in segment.words]
    assert all(0 <= word[0] <= word[1] <= 30.1 for word in words)
    assert await keys(objects) == [file.object_key]


class Overheard:
    """A port, and the modules that a replica needs to understand what it is sent."""

    def __init__(self, port: Any, modules: set[str]) -> None:
        self._port, self._modules = port, modules

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)

        def call(*sent: Any) -> Any:
            Named(pickle.dumps(sent), self._modules).load()
            return method(*sent)

        return call


class Named(pickle.Unpickler):
    """Notes which modules are asked for."""

    def __init__(self, data: bytes, modules: set[str]) -> None:
        super().__init__(io.BytesIO(data))
        self._modules = modules

    def find_class(self, module: str, name: str) -> Any:
        self._modules.add(module)
        return super().find_class(module, name)


async def test_replicas_need_no_database_to_understand_what_they_are_sent(sessions, objects, parts):
    modules: set[str] = set()
    ports = {
        field.name: Overheard(getattr(parts.ports, field.name), modules)
        for field in fields(parts.ports)
    }
    task_id = await accept(sessions, objects, sample())
    async with running(with_parts(parts, **ports)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    assert "serving.speech" in modules
    # A second of imports in every replica, and a floor that they are not to stand on.
    assert {name.split(".")[0] for name in modules}.isdisjoint({"db", "pipelines", "sqlalchemy"})


def silence(path: Path, seconds: float) -> Path:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=16000", "-t", str(seconds)]
    subprocess.run([*command, str(path)], check=True)
    return path


async def test_silence_is_completed_empty_and_says_so(sessions, objects, parts, tmp_path):
    task_id = await accept(sessions, objects, silence(tmp_path / "silence.wav", 5))
    async with running(parts):
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.completed
    async with session_scope(sessions) as session:
        transcript = await session.scalar(select(Transcript))
    assert transcript.notes == ["No speech was found in this recording."]
    assert await count(sessions, Segment) == await count(sessions, Speaker) == 0


async def test_a_video_has_a_thumbnail_which_is_kept_with_the_checkpoint(
    sessions, objects, parts, tmp_path
):
    task_id = await accept(sessions, objects, video(tmp_path / "film.mp4", 5))
    async with running(parts):
        task = await until(sessions, task_id, ended)
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, task.media_file_id)
        [again] = await session.scalars(
            select(StageResult.data).where(StageResult.stage == "prepare", StageResult.part == 1)
        )
    assert (task.state, task.error_message) == (TaskState.completed, None)
    picture = await objects.get(file.thumbnail_key)
    assert picture == again
    assert picture.startswith(b"\xff\xd8")


async def test_what_cannot_be_decoded_fails_once_with_its_own_reason(
    sessions, objects, parts, tmp_path
):
    path = tmp_path / "broken.wav"
    path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEnothing at all follows here")
    task_id = await accept(sessions, objects, path)
    async with running(parts):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.attempt) == (TaskState.failed, 1)
    assert task.error_type == "invalid_media"
    assert task.error_message


async def test_without_diarization_there_are_no_speakers(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample(), diarize=False)
    async with running(parts):
        await until(sessions, task_id, ended)
    async with session_scope(sessions) as session:
        transcript = await session.scalar(select(Transcript))
        segments = list(await session.scalars(select(Segment)))
    assert transcript.diarization == "off"
    assert {segment.speaker_id for segment in segments} == {None}


async def test_a_window_whose_replica_died_is_asked_again(sessions, objects, parts):
    faulty = Faulty(parts.ports.transcriber, "transcribe", OutOfMemory(), 2)
    task_id = await accept(sessions, objects, sample())
    async with running(with_parts(parts, transcriber=faulty)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.attempt) == (TaskState.completed, 1)
    assert faulty.calls > 2


async def test_a_diarization_that_always_fails_leaves_a_transcript_that_says_so(
    sessions, objects, parts
):
    faulty = Faulty(parts.ports.segmenter, "segment", SpeechError("no such luck"), 1000)
    task_id = await accept(sessions, objects, sample())
    async with running(with_parts(parts, segmenter=faulty)):
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.completed
    async with session_scope(sessions) as session:
        transcript = await session.scalar(select(Transcript))
    assert transcript.diarization == "failed"
    assert transcript.notes == ["diarize failed: no such luck"]
    assert await count(sessions, Segment) > 0


async def test_an_attempt_after_a_failure_repeats_no_window_that_is_done(sessions, objects, parts):
    """The aligner fails for a whole attempt: transcription is not done again."""
    transcriber = Faulty(parts.ports.transcriber, "transcribe", OutOfMemory(), 0)
    aligner = Faulty(parts.ports.aligner, "align", OutOfMemory(), SETTINGS.window_retries + 1)
    task_id = await accept(sessions, objects, sample(), diarize=False)
    async with running(with_parts(parts, transcriber=transcriber, aligner=aligner)):
        task = await until(sessions, task_id, ended, 120)
    assert (task.state, task.attempt) == (TaskState.completed, 2)
    async with session_scope(sessions) as session:
        windows = await session.scalar(
            select(func.count()).where(StageResult.stage == "transcribe")
        )
    assert transcriber.calls == windows


async def test_a_drain_gives_the_task_back_and_the_next_runner_ends_it(sessions, objects, parts):
    gate = Gate(parts.ports.transcriber)
    task_id = await accept(sessions, objects, sample())
    async with running(with_parts(parts, transcriber=gate)):
        await gate.reached.wait()
    task = await get(sessions, task_id)
    assert (task.state, task.attempt, task.lease_owner) == (TaskState.queued, 0, None)
    async with running(parts, "second"):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.attempt) == (TaskState.completed, 1)


async def test_a_running_task_is_cancelled(sessions, objects, parts):
    gate = Gate(parts.ports.transcriber)
    task_id = await accept(sessions, objects, sample())
    async with running(with_parts(parts, transcriber=gate)) as runner:
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.get_one(Task, task_id))
        task = await until(sessions, task_id, ended)
        assert task.state is TaskState.cancelled
        await asyncio.sleep(0.1)
        assert runner.running == 0
    assert await count(sessions, Transcript) == 0
    assert len(await keys(objects)) == 1


async def test_a_runner_that_was_overtaken_publishes_nothing(sessions, objects, parts):
    gate = Gate(parts.ports.transcriber)
    await accept(sessions, objects, sample())
    async with running(with_parts(parts, transcriber=gate)) as first:
        await gate.reached.wait()
        # As after a long pause of the machine: the lease is over, and somebody else has claimed.
        async with session_scope(sessions) as session:
            await session.execute(update(Task).values(fence=Task.fence + 1))
        gate.open.set()
        async with asyncio.timeout(30):
            while first.running:
                await asyncio.sleep(0.05)
    assert await count(sessions, Transcript) == 0


async def test_the_store_going_away_for_a_while_loses_nothing(
    sessions, objects, parts, postgres_server, database_url
):
    name = database_url.rsplit("/", 1)[-1]
    task_id = await accept(sessions, objects, sample())
    async with running(parts):
        await until(sessions, task_id, lambda task: task.state is TaskState.running)
        for _ in range(3):
            await postgres_server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.2)
        second = await accept(sessions, objects, sample())
        for each in (task_id, second):
            assert (await until(sessions, each, ended, 90)).state is TaskState.completed


async def test_a_runner_that_lost_its_own_lease_ends_the_task_in_its_next_attempt(
    sessions, objects, parts
):
    """As after an outage of the database longer than a lease."""
    gate = Gate(parts.ports.transcriber)
    task_id = await accept(sessions, objects, sample(), diarize=False)
    # No heartbeat comes in between: it would renew the lease that is made to end here.
    silent = replace(parts, settings=SETTINGS.model_copy(update={"heartbeat_seconds": 60}))
    async with running(with_parts(silent, transcriber=gate)) as runner:
        await gate.reached.wait()
        async with session_scope(sessions) as session:
            await session.execute(
                update(Task).values(lease_expires_at=func.now() - func.make_interval(0, 0, 0, 0, 1))
            )
        await until(sessions, task_id, lambda task: task.attempt == 2)
        gate.open.set()
        task = await until(sessions, task_id, ended)
        assert (task.state, task.attempt) == (TaskState.completed, 2)
        async with asyncio.timeout(5):
            while runner.running:
                await asyncio.sleep(0.05)


async def test_many_tasks_are_claimed_while_leases_are_renewed(sessions, objects, parts):
    """A task that is claimed while a heartbeat is on its way is not taken for lost."""
    settings = SETTINGS.model_copy(update={"heartbeat_seconds": 0.01})
    hasty = replace(parts, settings=settings)
    ids = [await accept(sessions, objects, sample(), diarize=False) for _ in range(6)]
    async with running(hasty):
        tasks = [await until(sessions, task_id, ended) for task_id in ids]
    assert {(task.state, task.attempt) for task in tasks} == {(TaskState.completed, 1)}


async def test_one_window_that_the_model_cannot_read_is_marked(sessions, objects, parts, tmp_path):
    path = tmp_path / "long.wav"
    command = ["ffmpeg", "-v", "error", "-stream_loop", "2", "-i", str(sample()), str(path)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    faulty = Faulty(parts.ports.transcriber, "transcribe", EngineFailed(), 1)
    task_id = await accept(sessions, objects, path, diarize=False)
    async with running(with_parts(parts, transcriber=faulty)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.attempt) == (TaskState.completed, 1)
    async with session_scope(sessions) as session:
        transcript = await session.scalar(select(Transcript))
    assert transcript.notes == [
        f"1 of {faulty.calls} parts of the recording could not be transcribed."
    ]


@pytest.mark.parametrize(
    ("stored", "bounds"),
    [
        ({}, (1, 20, None)),
        ({"min_speakers": 25}, (25, 25, None)),
        ({"max_speakers": 3}, (1, 3, None)),
        ({"num_speakers": 60}, (1, 20, 60)),
    ],
)
def test_what_a_request_leaves_out_follows_the_installation(stored, bounds):
    options = options_of(stored, SpeechSettings(whisper_language="de"))
    speakers = options.speakers
    assert (speakers.minimum, speakers.maximum, speakers.exact) == bounds
    assert options.language == "de"
