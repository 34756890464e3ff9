"""Retry and reprocess: a new task, what it reuses, and the transcript that stays meanwhile."""

import asyncio
import uuid

import pytest
from sqlalchemy import select, text

from cluster.settings import RunnerSettings
from db.engine import Sessions, session_scope
from db.models import StageResult, Task, TaskState
from db.queries import stage_results, tasks
from pipelines import queue, task_state
from pipelines.task_state import Failure
from tests.fixtures.api import upload
from tests.integration.api.test_files import FILES, claimed, transcribed, uploaded
from tests.integration.api.test_uploads import error_type, rows

STAGES = ("prepare", "language", "transcribe", "align", "diarize")


async def failed(sessions: Sessions, file_id: str, code: str = "invalid_media") -> None:
    """End the file's queued task as the runner does when an attempt fails for good."""
    await claimed(sessions)
    async with session_scope(sessions) as session:
        task = await tasks.latest_of_file(session, uuid.UUID(file_id))
        await queue.give_up(
            session,
            queue.Claim(task.id, task.fence),
            RunnerSettings(),
            Failure(code, "It could not be decoded."),
        )


async def stored_stages(sessions: Sessions, file_id: str) -> set[str]:
    async with session_scope(sessions) as session:
        found = await session.scalars(
            select(StageResult.stage).where(StageResult.media_file_id == uuid.UUID(file_id))
        )
        return set(found)


async def store_stages(sessions: Sessions, file_id: str) -> None:
    async with session_scope(sessions) as session:
        for stage in STAGES:
            await stage_results.save(session, uuid.UUID(file_id), stage, "f", 0, b"-")


def reprocess(client, file_id, **body):
    return client.post(f"{FILES}/{file_id}/reprocess", json=body)


def retry(client, file_id, **headers):
    return client.post(f"/api/tasks/retry/{file_id}", headers=headers)


class TestAdvice:
    async def test_a_failed_task_says_why_whether_and_what(self, client, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        waiting = (await client.get(f"/api/tasks/{task_id}")).json()["data"]
        assert (waiting["error_category"], waiting["retryable"]) == (None, None)
        assert waiting["suggestions"] == []
        await failed(sessions, file_id)
        task = (await client.get(f"/api/tasks/{task_id}")).json()["data"]
        assert (task["error_type"], task["error_category"]) == ("invalid_media", "format_issue")
        assert task["retryable"] is False
        assert 1 <= len(task["suggestions"]) <= 5
        detail = (await client.get(f"{FILES}/{file_id}")).json()["data"]
        assert detail["task"]["suggestions"] == task["suggestions"]

    async def test_one_that_is_tried_again_has_not_failed(self, client, recording, sessions):
        _, task_id = await uploaded(client, recording)
        await claimed(sessions)
        async with session_scope(sessions) as session:
            failure = Failure("out_of_memory", "Full.", retryable=True)
            held = queue.Claim(uuid.UUID(task_id), 1)
            await queue.give_up(session, held, RunnerSettings(), failure)
        task = (await client.get(f"/api/tasks/{task_id}")).json()["data"]
        assert (task["state"], task["error_type"]) == ("queued", "out_of_memory")
        assert (task["error_category"], task["retryable"]) == (None, None)


class TestRetry:
    async def test_a_failed_file_gets_a_new_task_with_the_options_of_the_last(
        self, client, recording, sessions
    ):
        accepted = await client.post(
            "/api/files/upload",
            files={"file": ("a.flac", recording)},
            data={"language": "de", "max_speakers": "3"},
        )
        file_id = accepted.json()["data"]["file"]["id"]
        await store_stages(sessions, file_id)
        await failed(sessions, file_id)
        answer = await retry(client, file_id)
        assert answer.status_code == 201, answer.text
        told = answer.json()["data"]
        assert told["task"]["id"] != accepted.json()["data"]["task"]["id"]
        assert told["task"]["state"] == "queued"
        assert told["task"]["options"] == accepted.json()["data"]["task"]["options"]
        assert told["task"]["audio_seconds"] == pytest.approx(2, abs=0.1)
        assert await stored_stages(sessions, file_id) == set(STAGES)
        file = (await client.get(f"{FILES}/{file_id}")).json()["data"]
        assert (file["status"], file["error_type"]) == ("queued", None)

    async def test_it_says_whether_it_can_help(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        for code, helps in (("invalid_media", False), ("store_unavailable", True)):
            await failed(sessions, file_id, code)
            told = (await retry(client, file_id)).json()["data"]
            assert (told["previous_error_type"], told["retryable"]) == (code, helps)
            assert ("will not help" in told["note"]) is not helps

    async def test_a_cancelled_file_too(self, client, recording):
        file_id, task_id = await uploaded(client, recording)
        await client.post(f"/api/tasks/{task_id}/cancel")
        told = (await retry(client, file_id)).json()["data"]
        assert (told["previous_error_type"], told["retryable"]) == (None, None)
        assert "cancelled" in told["note"]

    @pytest.mark.parametrize("running", [False, True])
    async def test_not_while_a_task_is_active(self, client, recording, sessions, running):
        file_id, task_id = await uploaded(client, recording)
        if running:
            await claimed(sessions)
        for answer in (await retry(client, file_id), await reprocess(client, file_id)):
            assert error_type(answer) == (409, "file_busy")
            assert answer.json()["task_id"] == task_id
            assert answer.json()["task_state"] == ("running" if running else "queued")

    async def test_a_completed_file_is_to_be_reprocessed(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        answer = await retry(client, file_id)
        assert error_type(answer) == (409, "file_completed")
        assert f"/api/files/{file_id}/reprocess" in answer.json()["detail"]

    async def test_a_failed_reprocessing_can_be_retried(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        await reprocess(client, file_id, language="fr")
        await failed(sessions, file_id)
        told = (await retry(client, file_id)).json()["data"]
        assert told["task"]["options"]["language"] == "fr"

    async def test_two_at_once_make_one_task(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await failed(sessions, file_id)
        answers = await asyncio.gather(*[retry(client, file_id) for _ in range(5)])
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
        assert await rows(sessions, "task") == 2

    async def test_the_same_request_again_gets_the_same_answer(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await failed(sessions, file_id)
        key = {"Idempotency-Key": "one"}
        first, second = await retry(client, file_id, **key), await retry(client, file_id, **key)
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        assert await rows(sessions, "task") == 2


class TestDuplicates:
    async def test_bytes_that_came_again_since(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await failed(sessions, file_id)
        other = (await upload(client, recording)).json()["data"]["file"]["id"]
        for answer in (await retry(client, file_id), await reprocess(client, file_id)):
            assert error_type(answer) == (409, "duplicate_file")
            assert answer.json()["existing_file_id"] == other
        assert await rows(sessions, "task") == 2
        file = (await client.get(f"{FILES}/{file_id}")).json()["data"]
        assert (file["status"], file["error_type"]) == ("failed", "invalid_media")

    async def test_a_refused_reprocessing_forgets_nothing(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await store_stages(sessions, file_id)
        await failed(sessions, file_id)
        await upload(client, recording)
        answer = await reprocess(client, file_id, stages=["transcription", "rediarize"])
        assert error_type(answer) == (409, "duplicate_file")
        assert await stored_stages(sessions, file_id) == set(STAGES)

    async def test_of_a_retry_and_an_upload_at_once_one_wins(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        for _ in range(5):
            await failed(sessions, file_id)
            retried, sent = await asyncio.gather(
                retry(client, file_id), upload(client, recording, "again.flac")
            )
            assert sorted([retried.status_code, sent.status_code]) == [201, 409]
            loser = retried if retried.status_code == 409 else sent
            assert error_type(loser) == (409, "duplicate_file")
            async with session_scope(sessions) as session:
                alive = await session.scalar(
                    text("SELECT count(*) FROM media_file WHERE status = 'queued'")
                )
                assert alive == 1
                await session.execute(
                    text("DELETE FROM media_file WHERE id != :id"), {"id": file_id}
                )
            if retried.status_code == 409:
                assert (await retry(client, file_id)).status_code == 201


class TestReprocess:
    async def test_without_a_word_it_is_the_same_once_more(self, client, recording, sessions):
        file_id, task_id = await uploaded(client, recording)
        await store_stages(sessions, file_id)
        await transcribed(sessions, file_id)
        answer = await client.post(f"{FILES}/{file_id}/reprocess")
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        assert data["task"]["id"] != task_id
        assert data["task"]["options"] == {"task": "transcribe"}
        assert data["file"]["status"] == "queued"
        assert await stored_stages(sessions, file_id) == set(STAGES)

    @pytest.mark.parametrize(
        ("stages", "left"),
        [
            (["transcription"], {"prepare", "diarize"}),
            (["rediarize"], {"prepare", "language", "transcribe", "align"}),
            (["rediarize", "transcription"], {"prepare"}),
        ],
    )
    async def test_named_stages_are_forgotten(self, client, recording, sessions, stages, left):
        file_id, _ = await uploaded(client, recording)
        await store_stages(sessions, file_id)
        await transcribed(sessions, file_id)
        assert (await reprocess(client, file_id, stages=stages)).status_code == 201
        assert await stored_stages(sessions, file_id) == left

    async def test_what_is_sent_changes_and_the_rest_stays(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        answer = await reprocess(
            client, file_id, language="de", min_speakers=2, max_speakers=4, diarize=True
        )
        first = {"task": "transcribe", "language": "de", "min_speakers": 2, "max_speakers": 4}
        assert answer.json()["data"]["task"]["options"] == {**first, "diarize": True}
        await transcribed_again(sessions, file_id)
        answer = await reprocess(client, file_id, num_speakers=3, task="translate")
        expected = {"task": "translate", "language": "de", "num_speakers": 3, "diarize": True}
        assert answer.json()["data"]["task"]["options"] == expected

    @pytest.mark.parametrize(
        ("body", "refusal"),
        [
            ({"stages": ["analytics"]}, "validation_error"),
            ({"stages": ["search_indexing"]}, "validation_error"),
            ({"stages": ["speaker_llm"]}, "validation_error"),
            ({"stages": ["summarization"]}, "validation_error"),
            ({"stages": ["topic_extraction"]}, "validation_error"),
            ({"stages": ["rediarize"], "diarize": False}, "validation_error"),
            ({"min_speakers": 5, "max_speakers": 2}, "validation_error"),
            ({"num_speakers": 0}, "validation_error"),
            ({"task": "sing"}, "validation_error"),
            ({"language": "klingon"}, "language_unsupported"),
        ],
    )
    async def test_what_makes_no_sense(self, client, recording, sessions, body, refusal):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        assert error_type(await reprocess(client, file_id, **body)) == (422, refusal)
        assert await rows(sessions, "task") == 1

    async def test_the_old_transcript_is_readable_all_the_time(self, client, recording, sessions):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)

        async def readable() -> bool:
            transcript = await client.get(f"{FILES}/{file_id}/transcript")
            exported = await client.get(f"{FILES}/{file_id}/exports/srt")
            return (transcript.status_code, exported.status_code) == (200, 200)

        async def status() -> str:
            return (await client.get(f"{FILES}/{file_id}")).json()["data"]["status"]

        await reprocess(client, file_id)
        assert (await status(), await readable()) == ("queued", True)
        await failed(sessions, file_id)
        assert (await status(), await readable()) == ("completed", True)
        task = (await reprocess(client, file_id)).json()["data"]["task"]
        await claimed(sessions)
        assert (await status(), await readable()) == ("processing", True)
        await client.post(f"/api/tasks/{task['id']}/cancel")
        async with session_scope(sessions) as session:
            await queue.stopped(session, queue.Claim(uuid.UUID(task["id"]), 1))
        assert (await status(), await readable()) == ("completed", True)

    async def test_a_full_queue_refuses_it(self, client, recording, sessions, app):
        file_id, _ = await uploaded(client, recording)
        await transcribed(sessions, file_id)
        async with session_scope(sessions) as session:
            file = await session.scalar(text("SELECT user_id FROM media_file"))
            await queue.submit(
                session, user_id=file, media_file_id=None, audio_seconds=1_000_000_000
            )
        answer = await reprocess(client, file_id)
        assert error_type(answer) == (429, "queue_full")
        assert int(answer.headers["Retry-After"]) > 0


async def transcribed_again(sessions: Sessions, file_id: str) -> None:
    await claimed(sessions)
    async with session_scope(sessions) as session:
        task = await tasks.latest_of_file(session, uuid.UUID(file_id))
        await queue.write(session, task, task_state.on_success(task))
        assert (await session.get_one(Task, task.id)).state is TaskState.completed
