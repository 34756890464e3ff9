"""What follows a transcription by itself: where a model is set up, and as the user wants it."""

import uuid

import pytest
from sqlalchemy import select, update

from cluster.settings import LanguageSettings, LlmProvider
from db.engine import Sessions, session_scope
from db.models import (
    Lane,
    LlmConfiguration,
    Summary,
    Task,
    TaskEvent,
    TaskKind,
    TaskState,
    Transcript,
)
from db.queries import user_settings
from pipelines.language import tasks
from pipelines.language.wishes import Wishes
from tests.fixtures.language_work import FakeLocal, Held, ask, tasks_of, with_model
from tests.fixtures.media import silence as silence_of
from tests.fixtures.runner import accept, count, ended, get, running, until
from tests.fixtures.speech import sample


async def owner(sessions: Sessions, task_id: uuid.UUID) -> tuple[uuid.UUID, uuid.UUID]:
    task = await get(sessions, task_id)
    return task.user_id, task.media_file_id


async def wish(sessions: Sessions, user_id: uuid.UUID, **values) -> None:
    async with session_scope(sessions) as session:
        await user_settings.merge(session, user_id, Wishes.section, values)


async def test_names_are_looked_for_and_a_summary_is_made(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample())
    async with running(with_model(parts, FakeLocal())):
        await until(sessions, task_id, ended)
        _, file_id = await owner(sessions, task_id)
        made = await tasks_of(sessions, file_id)
        assert {task.kind for task in made} == {
            TaskKind.speaker_identification,
            TaskKind.summarization,
        }
        for task in made:
            done = await until(sessions, task.id, ended)
            assert (done.state, done.error_message) == (TaskState.completed, None)
            assert done.options == {"automatic": True}
            assert done.audio_seconds == 0.0
    assert await count(sessions, Summary) == 1
    async with session_scope(sessions) as session:
        told = list(await session.scalars(select(TaskEvent).order_by(TaskEvent.sequence)))
    # The end of the transcription is told before what follows it.
    kinds = [(event.type, event.payload["task_state"]) for event in told]
    end = kinds.index(("transcription_status", "completed"))
    assert kinds.index(("summarization_status", "queued")) > end


@pytest.mark.parametrize(
    ("wishes", "kinds"),
    [
        ({"enabled": False, "speakers": False}, set()),
        ({"enabled": False}, {"speaker_identification"}),
        ({"speakers": False, "topics": True}, {"summarization", "topic_extraction"}),
    ],
)
async def test_what_the_user_wants(sessions, objects, parts, wishes, kinds):
    task_id = await accept(sessions, objects, sample())
    user_id, file_id = await owner(sessions, task_id)
    await wish(sessions, user_id, **wishes)
    settings = LanguageSettings(local=True, max_tasks=1)
    held = Held()
    async with running(with_model(parts, FakeLocal(before=held), settings)):
        await until(sessions, task_id, ended)
        assert {task.kind for task in await tasks_of(sessions, file_id)} == kinds


async def test_without_a_model_nothing_follows(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample())
    async with running(parts):
        await until(sessions, task_id, ended)
    _, file_id = await owner(sessions, task_id)
    assert await tasks_of(sessions, file_id) == []


async def test_without_words_or_speakers_nothing_follows(sessions, objects, parts, tmp_path):
    silence = await accept(sessions, objects, silence_of(tmp_path / "silence.wav", 3))
    lonely = await accept(sessions, objects, sample(), diarize=False)
    async with running(with_model(parts, FakeLocal())):
        for task_id in (silence, lonely):
            task = await until(sessions, task_id, ended)
            assert (task.state, task.error_message) == (TaskState.completed, None)
    _, file_id = await owner(sessions, silence)
    assert await tasks_of(sessions, file_id) == []
    _, file_id = await owner(sessions, lonely)
    assert [task.kind for task in await tasks_of(sessions, file_id)] == [TaskKind.summarization]


async def test_a_configuration_that_cannot_be_used_takes_no_transcript_away(
    sessions, objects, parts
):
    """Its key was encrypted by another installation: the task that follows says so."""
    task_id = await accept(sessions, objects, sample(), diarize=False)
    user_id, file_id = await owner(sessions, task_id)
    async with session_scope(sessions) as session:
        session.add(
            LlmConfiguration(
                user_id=user_id,
                name="mine",
                provider=LlmProvider.openai,
                model="some",
                api_key="v1.broken",
                is_active=True,
            )
        )
    async with running(parts):
        task = await until(sessions, task_id, ended)
        assert task.state is TaskState.completed
        [after] = await tasks_of(sessions, file_id)
        failed = await until(sessions, after.id, ended)
    assert (failed.state, failed.error_type) == (TaskState.failed, "llm_unauthorised")
    assert await count(sessions, Transcript) == 1


async def test_the_lane_is_the_recordings(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample(), diarize=False)
    async with session_scope(sessions) as session:
        await session.execute(update(Task).values(lane=Lane.bulk))
    async with running(with_model(parts, FakeLocal())):
        await until(sessions, task_id, ended)
    _, file_id = await owner(sessions, task_id)
    assert [task.lane for task in await tasks_of(sessions, file_id)] == [Lane.bulk]


async def test_the_language_of_the_output_is_the_users(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample(), diarize=False)
    user_id, file_id = await owner(sessions, task_id)
    await wish(sessions, user_id, language="de")
    async with running(with_model(parts, FakeLocal())):
        await until(sessions, task_id, ended)
        [task] = await tasks_of(sessions, file_id)
        await until(sessions, task.id, ended)
    async with session_scope(sessions) as session:
        assert await session.scalar(select(Summary.language)) == "de"


async def test_one_that_waits_is_enough_one_that_runs_is_not(sessions, objects, parts):
    task_id = await accept(sessions, objects, sample(), diarize=False)
    _, file_id = await owner(sessions, task_id)
    asked = await ask(sessions, file_id)
    async with session_scope(sessions) as session:
        after = await session.get_one(Task, task_id)
        assert await tasks.follow(session, after, TaskKind.summarization) is None
        await session.execute(update(Task).where(Task.id == asked).values(state=TaskState.running))
        assert await tasks.follow(session, after, TaskKind.summarization) is not None
