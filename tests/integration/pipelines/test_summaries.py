"""Summaries, names and topics as tasks: over real stores, a real runner and the fake model."""

import asyncio
import uuid
from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from cluster.settings import LanguageSettings
from db.engine import Sessions, session_scope
from db.models import (
    MediaFile,
    Speaker,
    SpeakerPrediction,
    StageResult,
    Summary,
    Task,
    TaskEvent,
    TaskKind,
    TaskState,
    TopicSuggestion,
    Transcript,
    User,
)
from db.queries import media_files
from pipelines import queue, removal
from pipelines.errors import TaskActive
from serving.errors import LlmFailed, LlmRefused, LlmUnauthorised, LlmUnavailable
from tests.fixtures.language_work import (
    LOCAL,
    FakeLocal,
    Held,
    ask,
    somebody,
    talk,
    transcribed,
    with_model,
)
from tests.fixtures.runner import accept, count, ended, get, running, until
from tests.fixtures.speech import sample


@pytest.fixture
async def user_id(sessions: Sessions) -> uuid.UUID:
    return await somebody(sessions)


async def only(sessions: Sessions, table):
    async with session_scope(sessions) as session:
        return (await session.scalars(select(table))).one()


async def changed(sessions: Sessions, file_id: uuid.UUID) -> None:
    """Somebody edits the transcript."""
    async with session_scope(sessions) as session:
        await session.execute(
            update(Transcript)
            .where(Transcript.media_file_id == file_id)
            .values(version=Transcript.version + 1)
        )


async def events_of(sessions: Sessions, task_id: uuid.UUID) -> list[TaskEvent]:
    async with session_scope(sessions) as session:
        rows = await session.scalars(
            select(TaskEvent).where(TaskEvent.task_id == task_id).order_by(TaskEvent.sequence)
        )
        return list(rows)


async def test_a_transcript_is_summarised(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id, names=("Ada", None))
    task_id = await ask(sessions, file_id)
    local = FakeLocal()
    async with running(with_model(parts, local)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message, task.attempt) == (TaskState.completed, None, 1)
    summary = await only(sessions, Summary)
    assert (summary.version, summary.transcript_version, summary.language) == (1, 1, "en")
    assert (summary.provider, summary.model) == ("local", "fake-language")
    assert summary.prompt_name == "General"
    assert summary.calls == local.calls > 0
    assert summary.prompt_tokens > 0
    assert summary.completion_tokens > 0
    assert {one["speaker"] for one in summary.content["speakers_analysis"]} == {
        "Ada",
        "SPEAKER_01",
    }
    [action, *_] = summary.content["action_items"]
    assert (action["owner"], action["due_date"]) == ("Alan", "by Monday")
    assert summary.action_items == len(summary.content["action_items"])
    assert "Orion" in summary.text
    assert summary.sections[0]["start"] == 0.0
    assert task.result["version"] == 1
    assert task.result["summary_id"] == str(summary.id)
    assert task.result["calls"] == summary.calls
    assert await count(sessions, StageResult) == 0


async def test_what_is_told_while_it_is_made(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id)
    async with running(with_model(parts, FakeLocal())):
        await until(sessions, task_id, ended)
    told = await events_of(sessions, task_id)
    assert {event.type for event in told} == {"summarization_status"}
    assert [event.payload["status"] for event in told] == ["pending", "processing", "completed"]
    assert [event.payload["task_state"] for event in told] == ["queued", "running", "completed"]
    last = told[-1].payload
    assert (last["file_id"], last["progress"], last["filename"]) == (
        str(file_id),
        100.0,
        "talk.flac",
    )
    assert last["result"]["version"] == 1
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, file_id)
    assert file.status == "completed"


async def test_a_long_transcript_with_a_small_context_is_read_in_sections(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id, talk(240))
    task_id = await ask(sessions, file_id)
    local = FakeLocal(context_tokens=2048)
    settings = LanguageSettings(local=True, max_outstanding_calls_per_task=3)
    local.before = lambda _: asyncio.sleep(0.01)
    async with running(with_model(parts, local, settings)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    summary = await only(sessions, Summary)
    assert len(summary.sections) == task.result["sections"] > 4
    assert local.calls == summary.calls > len(summary.sections)
    # Sections go out together, as many as may.
    assert local.most_under_way == 3


async def test_a_crash_repeats_no_call(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id, talk(120))
    once = FakeLocal(context_tokens=2048)
    task_id = await ask(sessions, file_id)
    async with running(with_model(parts, once)):
        await until(sessions, task_id, ended)

    again = await transcribed(sessions, await somebody(sessions), talk(120))
    task_id = await ask(sessions, again)
    settings = LanguageSettings(local=True, max_outstanding_calls_per_task=1)
    held = Held(first=4)
    first = FakeLocal(context_tokens=2048, before=held)
    async with running(with_model(parts, first, settings)):
        await held.reached.wait()
        async with asyncio.timeout(20):
            while await count(sessions, StageResult) < 3:
                await asyncio.sleep(0.05)
    # The runner went in the middle of the fourth call.
    second = FakeLocal(context_tokens=2048)
    async with running(with_model(parts, second, settings)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    assert 3 + second.calls == once.calls
    assert not set(first.prompts[:3]) & set(second.prompts)
    # All calls are in the account, also those of the attempt before.
    assert task.result["calls"] == once.calls
    assert await count(sessions, StageResult) == 0


async def test_cancelling_ends_it_within_a_call(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id)
    held = Held()
    async with running(with_model(parts, FakeLocal(before=held))):
        await held.reached.wait()
        async with session_scope(sessions) as session:
            await queue.cancel(session, await session.get_one(Task, task_id))
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.cancelled
    assert await count(sessions, Summary) == 0
    told = await events_of(sessions, task_id)
    assert told[-1].payload["status"] == "cancelled"


@pytest.mark.parametrize("kind", ["summarization", "speaker_identification", "topic_extraction"])
async def test_without_a_model_it_fails_and_says_so(sessions, parts, user_id, kind):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id, TaskKind(kind))
    async with running(parts):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type, task.attempt) == (TaskState.failed, "not_configured", 1)
    assert "/api/llm-settings" in task.error_message
    last = (await events_of(sessions, task_id))[-1]
    notice = {"summarization": "summarization_status"}.get(kind, f"{kind}_status")
    assert (last.type, last.payload["status"]) == (notice, "not_configured")
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, file_id)
    assert (file.status, file.error_type) == ("completed", None)


async def test_a_model_that_does_not_answer_is_tried_again_then_given_up(sessions, parts, user_id):
    def fail(_: int):
        raise LlmUnavailable("The model does not answer.")

    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id)
    settings = LanguageSettings(local=True, retries=0)
    async with running(with_model(parts, FakeLocal(before=fail), settings)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type) == (TaskState.failed, "llm_unavailable")
    assert task.attempt == parts.settings.max_attempts
    assert await count(sessions, Summary) == 0
    async with session_scope(sessions) as session:
        file = await session.get_one(MediaFile, file_id)
        transcript = await session.scalar(select(Transcript))
    assert (file.status, file.error_type) == ("completed", None)
    assert transcript is not None


@pytest.mark.parametrize("failure", [LlmFailed, LlmRefused, LlmUnauthorised])
async def test_what_will_not_pass_is_not_tried_again(sessions, parts, user_id, failure):
    def fail(_: int):
        raise failure("The provider will not do it.")

    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id)
    async with running(with_model(parts, FakeLocal(before=fail))):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type, task.attempt) == (TaskState.failed, failure.code, 1)
    told = await events_of(sessions, task_id)
    assert (told[-1].payload["status"], told[-1].payload["error_type"]) == (
        "failed",
        failure.code,
    )


async def test_a_small_context_is_told_when_not_even_a_part_fits(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id)
    async with running(with_model(parts, FakeLocal(context_tokens=200))):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type) == (TaskState.failed, "llm_context_exceeded")
    assert task.attempt == 1


async def test_nothing_is_made_of_nothing(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id, [(0, " ")])
    task_id = await ask(sessions, file_id)
    local = FakeLocal()
    async with running(with_model(parts, local)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type) == (TaskState.failed, "transcript_empty")
    assert local.calls == 0


async def test_an_edit_meanwhile_leaves_a_stale_summary(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id)
    held = Held()
    async with running(with_model(parts, FakeLocal(before=held))):
        await held.reached.wait()
        await changed(sessions, file_id)
        held.open.set()
        task = await until(sessions, task_id, ended)
    assert task.state is TaskState.completed
    summary = await only(sessions, Summary)
    transcript = await only(sessions, Transcript)
    assert (summary.transcript_version, transcript.version) == (1, 2)


async def test_versions_are_kept_and_follow_the_options(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id, task="translate", language="de")
    async with running(with_model(parts, FakeLocal())):
        await until(sessions, await ask(sessions, file_id), ended)
        second = await ask(sessions, file_id, language="fr", content_type="interview")
        await until(sessions, second, ended)
    async with session_scope(sessions) as session:
        found = list(await session.scalars(select(Summary).order_by(Summary.version)))
    assert [summary.version for summary in found] == [1, 2]
    # What Whisper translated is English.
    assert [summary.language for summary in found] == ["en", "fr"]
    assert [summary.prompt_name for summary in found] == ["General", "Interview"]


async def test_a_deleted_prompt_is_not_replaced_by_another_one(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id, prompt_id=str(uuid.uuid4()))
    async with running(with_model(parts, FakeLocal())):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_type) == (TaskState.failed, "not_found")


async def test_doubtful_text_is_marked(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    async with session_scope(sessions) as session:
        from db.models import Segment

        await session.execute(update(Segment).where(Segment.index == 0).values(doubt="silence"))
    local = FakeLocal()
    async with running(with_model(parts, local)):
        await until(sessions, await ask(sessions, file_id), ended)
    assert "[00:00] [?] Good morning" in local.prompts[0]


async def test_speakers_are_predicted_and_nobody_is_named(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id, TaskKind.speaker_identification)
    async with running(with_model(parts, FakeLocal())):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    async with session_scope(sessions) as session:
        speakers = {row.id: row for row in await session.scalars(select(Speaker))}
        [prediction, *_] = await session.scalars(
            select(SpeakerPrediction).order_by(SpeakerPrediction.confidence.desc())
        )
    assert speakers[prediction.speaker_id].label == "SPEAKER_00"
    assert "Grace" in prediction.name
    assert 0.5 <= prediction.confidence <= 1
    assert prediction.evidence[0]["kind"] == "self_introduction"
    assert "this is Grace" in prediction.evidence[0]["quote"]
    assert {speaker.display_name for speaker in speakers.values()} == {None}
    assert task.result["predictions"] == await count(sessions, SpeakerPrediction)
    # Again: they take the place of those before.
    async with running(with_model(parts, FakeLocal())):
        await until(sessions, await ask(sessions, file_id, TaskKind.speaker_identification), ended)
    assert await count(sessions, SpeakerPrediction) == task.result["predictions"]


async def test_predictions_about_speakers_that_have_gone_are_dropped(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id, TaskKind.speaker_identification)
    held = Held()
    async with running(with_model(parts, FakeLocal(before=held))):
        await held.reached.wait()
        async with session_scope(sessions) as session:
            for speaker in await session.scalars(select(Speaker)):
                await session.delete(speaker)
        held.open.set()
        task = await until(sessions, task_id, ended)
    assert (task.state, task.result["predictions"]) == (TaskState.completed, 0)


async def test_where_everybody_has_a_name_nothing_is_asked(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id, names=("Ada", "Grace"))
    task_id = await ask(sessions, file_id, TaskKind.speaker_identification)
    local = FakeLocal()
    async with running(with_model(parts, local)):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.result["predictions"], local.calls) == (TaskState.completed, 0, 0)


async def test_topics_are_suggested_and_none_is_applied(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id, TaskKind.topic_extraction)
    async with running(with_model(parts, FakeLocal())):
        task = await until(sessions, task_id, ended)
    assert (task.state, task.error_message) == (TaskState.completed, None)
    found = await only(sessions, TopicSuggestion)
    assert (found.state, found.decisions, found.transcript_version) == ("pending", {}, 1)
    assert found.tags
    assert {*found.tags[0]} == {"name", "confidence", "rationale"}
    confidences = [one["confidence"] for one in found.tags]
    assert confidences == sorted(confidences, reverse=True)
    assert task.result["tags"] == len(found.tags)
    async with session_scope(sessions) as session:
        told = await events_of(sessions, task_id)
        assert await session.scalar(select(func.count()).select_from(TaskEvent)) == len(told)
    assert {event.type for event in told} == {"topic_extraction_status"}


async def test_one_task_of_a_kind_and_file_at_a_time(sessions, user_id):
    file_id = await transcribed(sessions, user_id)
    first = await ask(sessions, file_id)
    with pytest.raises(TaskActive) as refused:
        await ask(sessions, file_id)
    assert refused.value.task_id == first
    await ask(sessions, file_id, TaskKind.topic_extraction)


async def test_a_recording_is_transcribed_while_slow_models_hold_their_places(
    sessions, objects, parts, user_id
):
    held = Held()
    settings = LanguageSettings(local=True, max_tasks=2)
    runner = parts.settings.model_copy(update={"max_tasks": 1, "max_language_tasks_per_user": 5})
    asked = [await ask(sessions, await transcribed(sessions, user_id)) for _ in range(4)]
    async with running(
        replace(with_model(parts, FakeLocal(before=held), settings), settings=runner)
    ) as found:
        await held.reached.wait()
        task_id = await accept(sessions, objects, sample(), diarize=False)
        async with session_scope(sessions) as session:
            # The same user's: neither their limit nor their older tasks stand in front of it.
            await session.execute(update(Task).where(Task.id == task_id).values(user_id=user_id))
        task = await until(sessions, task_id, ended)
        assert (task.state, task.error_message) == (TaskState.completed, None)
        states = [(await get(sessions, one)).state for one in asked]
        assert states == [TaskState.running] * 2 + [TaskState.queued] * 2
        async with asyncio.timeout(20):
            while found.running != 2:
                await asyncio.sleep(0.05)
        held.open.set()
        for one in asked:
            assert (await until(sessions, one, ended)).state is TaskState.completed


async def test_of_one_user_no_more_than_so_many_are_worked_on(sessions, parts, user_id):
    held = Held()
    runner = parts.settings.model_copy(update={"max_language_tasks_per_user": 1})
    mine = [await ask(sessions, await transcribed(sessions, user_id)) for _ in range(3)]
    theirs = await ask(sessions, await transcribed(sessions, await somebody(sessions)))
    made = replace(with_model(parts, FakeLocal(before=held)), settings=runner)
    async with running(made):
        await until(sessions, theirs, lambda task: task.state is TaskState.running)
        await held.reached.wait()
        states = [(await get(sessions, one)).state for one in mine]
        assert states.count(TaskState.running) == 1
        held.open.set()
        for one in mine:
            await until(sessions, one, ended)


async def test_calls_are_shared_out_among_users(sessions, parts, user_id):
    """Of those who wait for a place, the user who has none is next."""
    settings = LanguageSettings(
        local=True, max_outstanding_calls=2, max_outstanding_calls_per_task=8
    )
    held = Held()
    local = FakeLocal(context_tokens=2048, before=held)
    long = await ask(sessions, await transcribed(sessions, user_id, talk(240)))
    async with running(with_model(parts, local, settings)) as runner:
        await held.reached.wait()
        other = await somebody(sessions)
        said = [(0, "Zebras have stripes, and this is all that is said.")]
        short = await ask(sessions, await transcribed(sessions, other, said))
        async with asyncio.timeout(30):
            while not any(other in users for users in runner._shared.calls._waiting.values()):
                await asyncio.sleep(0.05)
        held.open.set()
        for task_id in (short, long):
            assert (await until(sessions, task_id, ended)).state is TaskState.completed
    assert local.most_under_way == 2
    # Two of the long one were under way, and more of it waited for longer.
    first = next(n for n, prompt in enumerate(local.prompts) if "Zebras" in prompt)
    assert first in {2, 3}
    assert len(local.prompts) > 8


async def test_a_file_is_deleted_while_it_is_summarised(sessions, parts, user_id):
    file_id = await transcribed(sessions, user_id)
    task_id = await ask(sessions, file_id)
    held = Held()
    async with running(with_model(parts, FakeLocal(before=held))) as runner:
        await held.reached.wait()
        async with session_scope(sessions) as session:
            await removal.remove(session, await media_files.get(session, user_id, file_id))
        held.open.set()
        async with asyncio.timeout(20):
            while runner.running:
                await asyncio.sleep(0.05)
    async with session_scope(sessions) as session:
        assert await session.get(Task, task_id) is None
    assert await count(sessions, Summary) == 0


async def test_users_see_only_their_own(sessions, parts, user_id):
    from db.queries import summaries

    file_id = await transcribed(sessions, user_id)
    async with running(with_model(parts, FakeLocal(), LOCAL)):
        await until(sessions, await ask(sessions, file_id), ended)
    other = await somebody(sessions)
    async with session_scope(sessions) as session:
        assert (await summaries.latest(session, user_id, file_id)).version == 1
        assert await summaries.latest(session, other, file_id) is None
        assert await session.get(User, other) is not None
