"""What a file's next task computes anew, and what it takes from the one before."""

import uuid
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from db.engine import session_scope
from db.models import MediaFile, Segment, StageResult, TaskState, Transcript
from db.queries import edits, tasks
from pipelines import rerun
from pipelines.rerun import CHECKPOINTS, ReprocessStage
from serving.errors import SpeechUnavailable
from tests.fixtures.runner import Faulty, accept, ended, get, running, until, with_parts
from tests.fixtures.speech import sample


class Calls:
    """How often the models were asked since the last look."""

    def __init__(self, ports) -> None:
        never = SpeechUnavailable()
        self._asked = {
            "text": Faulty(ports.transcriber, "transcribe", never, 0),
            "speakers": Faulty(ports.segmenter, "segment", never, 0),
        }
        self.ports = {
            "transcriber": self._asked["text"],
            "segmenter": self._asked["speakers"],
        }

    def since(self) -> set[str]:
        names = {name for name, port in self._asked.items() if port.calls}
        for port in self._asked.values():
            port.calls = 0
        return names


async def again(sessions, task_id: uuid.UUID, changes=(), stages=()) -> uuid.UUID:
    """What the API does to run a file again; the new task's id."""
    file_id = (await get(sessions, task_id)).media_file_id
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, file_id)
        last = await tasks.latest_of_file(session, file_id)
        options = rerun.merged(last.options, dict(changes), stages)
        return (await rerun.submit_again(session, file, last, options, stages)).id


@pytest.fixture
def calls(ports) -> Calls:
    return Calls(ports)


async def test_only_what_is_named_or_needed_is_computed_anew(sessions, objects, parts, calls):
    task_id = await accept(sessions, objects, sample())

    async def finished(task_id: uuid.UUID) -> set[str]:
        task = await until(sessions, task_id, ended)
        assert (task.state, task.error_message) == (TaskState.completed, None)
        return calls.since()

    async with running(with_parts(parts, **calls.ports)):
        assert await finished(task_id) == {"text", "speakers"}
        async with session_scope(sessions) as session:
            stored = set(await session.scalars(select(StageResult.stage)))
        assert stored == {"prepare"}.union(*CHECKPOINTS.values())

        async def run(stages=(), **changes) -> set[str]:
            return await finished(await again(sessions, task_id, changes, stages))

        assert await run() == set()
        assert await run(num_speakers=2) == set()
        assert await run([ReprocessStage.rediarize]) == {"speakers"}
        assert await run([ReprocessStage.transcription]) == {"text"}
        assert await run(task="translate") == {"text"}
        assert await run(list(ReprocessStage)) == {"text", "speakers"}


async def test_embeddings_of_another_model_are_not_taken_over(sessions, objects, parts, calls):
    task_id = await accept(sessions, objects, sample())
    fake = with_parts(parts, **calls.ports)
    async with running(fake):
        await until(sessions, task_id, ended)
    assert calls.since() == {"text", "speakers"}
    task_id = await again(sessions, task_id)
    async with running(replace(fake, models=replace(fake.models, embedding="another"))):
        await until(sessions, task_id, ended)
    assert calls.since() == {"speakers"}


async def test_a_retry_goes_on_where_the_failed_task_stopped(sessions, objects, parts, ports):
    broken = Faulty(ports.aligner, "align", SpeechUnavailable("away"), 10_000)
    task_id = await accept(sessions, objects, sample())
    impatient = {"max_attempts": 1, "window_retries": 0}
    once = replace(parts, settings=parts.settings.model_copy(update=impatient))
    async with running(with_parts(once, aligner=broken)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type) == (TaskState.failed, "speech_unavailable")
    calls = Calls(ports)
    retried = await again(sessions, task_id)
    async with running(with_parts(parts, **calls.ports)):
        task = await until(sessions, retried, ended)
    assert task.state is TaskState.completed
    assert "text" not in calls.since()


async def test_a_new_transcript_is_a_new_version_and_edits_go_with_the_old_one(
    sessions, objects, parts
):
    task_id = await accept(sessions, objects, sample())
    file_id = (await get(sessions, task_id)).media_file_id
    async with running(parts):
        await until(sessions, task_id, ended)
        async with session_scope(sessions) as session:
            await session.execute(update(Transcript).values(version=7, reassigned=True))
            await session.execute(update(Segment).values(text="Edited.", edited=True))
        await until(sessions, await again(sessions, task_id), ended)
    async with session_scope(sessions) as session:
        transcript = await session.scalar(select(Transcript))
        assert (transcript.version, transcript.reassigned) == (8, False)
        texts = set(await session.scalars(select(Segment.text).where(Segment.edited)))
        assert texts == set()
        [(note, user)], total = await edits.page(session, file_id, limit=5, offset=0)
    assert (note.action, note.version, total) == ("reprocessed", 8, 1)
    assert (note.before, note.after) == ({"version": 7}, {"version": 8})
    assert user.id == note.user_id
