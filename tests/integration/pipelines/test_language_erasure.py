"""A person is forgotten while language models are at work on what was said: nothing comes back."""

import asyncio
import uuid

import pytest
from sqlalchemy import select, text

from db.engine import Sessions, session_scope
from db.models import (
    SpeakerPrediction,
    SpeakerProfile,
    StageResult,
    Summary,
    Task,
    TaskKind,
    TaskState,
    TopicSuggestion,
)
from pipelines.speakers import erasure
from tests.fixtures.language_work import FakeLocal, Held, ask, somebody, transcribed, with_model
from tests.fixtures.runner import count, ended, get, running, until
from tests.fixtures.summaries import content, summarized

NAME = "Zerlina Quandt"
SAID = [(0, "Let us begin."), (1, "Alan will send the report by Monday."), (0, "Fine.")]
DERIVED = (Summary, TopicSuggestion, SpeakerPrediction, StageResult)


@pytest.fixture
async def user_id(sessions: Sessions) -> uuid.UUID:
    return await somebody(sessions)


async def person(sessions: Sessions, user_id: uuid.UUID, file_id: uuid.UUID) -> uuid.UUID:
    """The first speaker of a file is somebody who has a profile."""
    async with session_scope(sessions) as session:
        profile = SpeakerProfile(id=uuid.uuid4(), user_id=user_id, name=NAME)
        session.add(profile)
        await session.flush()
        await session.execute(
            text(
                "UPDATE speaker SET display_name = :name, profile_id = :id, verified = true, "
                "name_source = 'person' WHERE media_file_id = :file AND label = 'SPEAKER_00'"
            ),
            {"name": NAME, "id": profile.id, "file": file_id},
        )
    return profile.id


async def forget(sessions: Sessions, user_id: uuid.UUID, profile_id: uuid.UUID) -> None:
    async with session_scope(sessions) as session:
        await erasure.forget_person(session, user_id, profile_id)


async def mentions(sessions: Sessions) -> set[str]:
    """Tables that name her."""
    found = set()
    async with session_scope(sessions) as session:
        for table in DERIVED:
            # Bytes are hexadecimal there.
            rows = await session.scalars(text(f"SELECT t::text FROM {table.__tablename__} t"))
            hidden = NAME.encode().hex()
            if any(NAME in row or hidden in row for row in rows):
                found.add(table.__tablename__)
    return found


@pytest.mark.parametrize("kind", ["summarization", "speaker_identification", "topic_extraction"])
async def test_work_that_has_read_the_name_begins_anew(sessions, parts, user_id, kind):
    file_id = await transcribed(sessions, user_id, SAID)
    profile_id = await person(sessions, user_id, file_id)
    task_id = await ask(sessions, file_id, TaskKind(kind))
    held = Held()
    local = FakeLocal(before=held)
    async with running(with_model(parts, local)):
        await held.reached.wait()
        assert NAME in local.prompts[0]
        await forget(sessions, user_id, profile_id)
        held.open.set()
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    # What the attempt before had read was not its last one.
    assert (task.attempt, task.fence) == (1, 3)
    assert len(local.prompts) > 1
    assert not any(NAME in prompt for prompt in local.prompts[1:])
    assert await mentions(sessions) == set()


async def test_work_on_another_file_may_have_been_told_the_name_too(sessions, parts, user_id):
    """People whom a user knows are named to the model, whatever it reads."""
    file_id = await transcribed(sessions, user_id, SAID)
    profile_id = await person(sessions, user_id, file_id)
    other = await transcribed(sessions, user_id)
    task_id = await ask(sessions, other, TaskKind.speaker_identification)
    held = Held()
    local = FakeLocal(before=held)
    async with running(with_model(parts, local)):
        await held.reached.wait()
        assert NAME in local.prompts[0]
        await forget(sessions, user_id, profile_id)
        held.open.set()
        await until(sessions, task_id, ended)
    assert not any(NAME in prompt for prompt in local.prompts[1:])


async def test_what_waits_reads_what_is_left(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id, SAID)
    profile_id = await person(sessions, user_id, file_id)
    task_id = await ask(sessions, file_id)
    await forget(sessions, user_id, profile_id)
    local = FakeLocal()
    async with running(with_model(parts, local)):
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.completed
    assert not any(NAME in prompt for prompt in local.prompts)


async def test_against_the_end_of_the_work(sessions, parts, user_id):
    """Whichever comes first: nothing of her is left, and neither of both fails."""
    for _ in range(3):
        owner = await somebody(sessions)
        file_id = await transcribed(sessions, owner, SAID)
        profile_id = await person(sessions, owner, file_id)
        asked = [await ask(sessions, file_id, TaskKind(kind)) for kind in KINDS]
        held = Held()
        async with running(with_model(parts, FakeLocal(before=held))):
            await held.reached.wait()
            held.open.set()
            await asyncio.sleep(0)
            await forget(sessions, owner, profile_id)
            for task_id in asked:
                task = await until(sessions, task_id, ended)
                assert (task.state, task.error_message) == (TaskState.completed, None)
        assert await mentions(sessions) == set()
        async with session_scope(sessions) as session:
            await session.execute(text("DELETE FROM summary"))
    assert await count(sessions, StageResult) == 0
    async with session_scope(sessions) as session:
        assert set(await session.scalars(select(Task.state))) == {TaskState.completed}


KINDS = ("summarization", "topic_extraction")


async def test_a_task_that_is_being_cancelled_is_cancelled(sessions, parts, user_id):
    from pipelines import queue

    file_id = await transcribed(sessions, user_id, SAID)
    profile_id = await person(sessions, user_id, file_id)
    task_id = await ask(sessions, file_id)
    held = Held()
    async with running(with_model(parts, FakeLocal(before=held))):
        await held.reached.wait()
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.get_one(Task, task_id))
            await session.commit()
        await forget(sessions, user_id, profile_id)
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.cancelled
    assert (await get(sessions, task_id)).state is TaskState.cancelled


async def test_a_name_within_a_word_is_nobodys(sessions, user_id):
    file_id = await transcribed(sessions, user_id, SAID)
    others = [await transcribed(sessions, user_id) for _ in range(2)]
    profile_id = await person(sessions, user_id, file_id)
    async with session_scope(sessions) as session:
        await session.execute(text("UPDATE speaker_profile SET name = 'Al'"))
        await session.execute(text("UPDATE speaker SET display_name = 'Al' WHERE verified"))
    for other, said in zip(others, ("Also Alan, always.", "It is al's."), strict=True):
        await summarized(sessions, other, content(bluf=said))
    await forget(sessions, user_id, profile_id)
    async with session_scope(sessions) as session:
        assert (await session.scalars(select(Summary.media_file_id))).all() == [others[0]]
