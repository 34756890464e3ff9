"""Summaries over HTTP: asked for, read, kept in versions, stale, retried, deleted, of others."""

import asyncio
import uuid

import pytest
from sqlalchemy import select, update

from cluster.settings import LanguageSettings
from db.engine import Sessions, session_scope
from db.models import (
    AuditEvent,
    Speaker,
    StageResult,
    Summary,
    Task,
    TaskKind,
    TaskState,
    Transcript,
)
from tests.fixtures.files import promote, stored_files, user_id
from tests.fixtures.summaries import predicted, summarized
from tests.fixtures.transcripts import conversation
from tests.integration.api.test_uploads import error_type

SUMMARIES = "/api/summarization"
NOBODYS = str(uuid.uuid4())


@pytest.fixture
def language_settings() -> LanguageSettings:
    return LanguageSettings(local=True)


@pytest.fixture
async def file_id(client, sessions) -> str:
    return await conversation(sessions, client)


async def data(answer, status: int = 200) -> dict:
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


async def state(client, file_id: str) -> dict:
    return await data(await client.get(f"{SUMMARIES}/{file_id}/status"))


async def end(
    sessions: Sessions, task_id: str, to: TaskState, error_type: str | None = None
) -> None:
    """A runner is done with a task."""
    async with session_scope(sessions) as session:
        await session.execute(
            update(Task)
            .where(Task.id == uuid.UUID(task_id))
            .values(
                state=to, error_type=error_type, error_message="It broke." if error_type else None
            )
        )


async def edited(sessions: Sessions, file_id: str) -> None:
    async with session_scope(sessions) as session:
        await session.execute(
            update(Transcript)
            .where(Transcript.media_file_id == uuid.UUID(file_id))
            .values(version=Transcript.version + 1)
        )


class TestAsking:
    async def test_a_task_is_queued(self, client, file_id):
        body = {"content_type": "meeting", "language": "de"}
        task = await data(await client.post(f"{SUMMARIES}/{file_id}", json=body), 202)
        assert (task["kind"], task["state"], task["media_file_id"]) == (
            "summarization",
            "queued",
            file_id,
        )
        assert task["options"] == {"content_type": "meeting", "language": "de"}
        assert (task["audio_seconds"], task["lane"]) == (0.0, "interactive")
        read = await data(await client.get(f"/api/tasks/{task['id']}"))
        assert (read["queue_position"], read["eta_seconds"]) == (1, None)

    async def test_the_same_key_asks_once(self, client, file_id, sessions):
        headers = {"Idempotency-Key": "one"}
        first, second = [
            await data(await client.post(f"{SUMMARIES}/{file_id}", headers=headers), 202)
            for _ in range(2)
        ]
        assert first == second
        async with session_scope(sessions) as session:
            assert len((await session.scalars(select(Task))).all()) == 1

    async def test_of_two_at_once_one_is_refused(self, client, file_id):
        answers = await asyncio.gather(*(client.post(f"{SUMMARIES}/{file_id}") for _ in range(2)))
        assert sorted(answer.status_code for answer in answers) == [202, 409]
        [task] = [a.json()["data"]["id"] for a in answers if a.status_code == 202]
        [refused] = [answer.json() for answer in answers if answer.status_code == 409]
        assert (refused["error_type"], refused["task_id"]) == ("conflict", task)

    async def test_what_is_there_is_not_made_again_unless_forced_or_stale(
        self, client, file_id, sessions
    ):
        await summarized(sessions, file_id)
        refused = await client.post(f"{SUMMARIES}/{file_id}")
        assert error_type(refused) == (409, "conflict")
        assert refused.json()["summary_version"] == 1
        forced = await client.post(f"{SUMMARIES}/{file_id}", json={"force_regenerate": True})
        task = await data(forced, 202)
        assert task["options"] == {}
        await end(sessions, task["id"], TaskState.cancelled)
        await edited(sessions, file_id)
        await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)

    async def test_what_is_refused(self, client, file_id, sessions):
        assert error_type(await client.post(f"{SUMMARIES}/{NOBODYS}")) == (404, "not_found")
        for body in ({"language": "sv"}, {"content_type": "dream"}, {"temperature": 1}):
            answer = await client.post(f"{SUMMARIES}/{file_id}", json=body)
            assert error_type(answer) == (422, "validation_error"), body
        answer = await client.post(f"{SUMMARIES}/{file_id}", json={"prompt_id": NOBODYS})
        assert error_type(answer) == (404, "not_found")
        assert "prompt" in answer.json()["detail"]
        [untranscribed] = await stored_files(sessions, client)
        answer = await client.post(f"{SUMMARIES}/{untranscribed}")
        assert error_type(answer) == (409, "transcript_not_ready")
        silent = await conversation(sessions, client, said=[(0, "x")])
        async with session_scope(sessions) as session:
            from db.models import Segment

            ours = select(Transcript.id).where(Transcript.media_file_id == uuid.UUID(silent))
            await session.execute(
                update(Segment).where(Segment.transcript_id.in_(ours)).values(text=" ")
            )
        answer = await client.post(f"{SUMMARIES}/{silent}")
        assert error_type(answer) == (409, "transcript_empty")
        # Nothing of all this was queued.
        async with session_scope(sessions) as session:
            assert (await session.scalars(select(Task))).all() == []

    async def test_a_prompt_of_ones_own(self, client, stranger, file_id):
        body = {
            "name": "Mine",
            "content_type": "general",
            "prompt_text": "{speaker_data} {transcript}",
        }
        prompt = await data(await client.post("/api/prompts", json=body), 201)
        answer = await client.post(f"{SUMMARIES}/{file_id}", json={"prompt_id": prompt["id"]})
        assert (await data(answer, 202))["options"] == {"prompt_id": prompt["id"]}

    async def test_in_bulk(self, client, file_id, sessions):
        done = await conversation(sessions, client)
        await summarized(sessions, done)
        body = {"action": "summarize", "file_ids": [file_id, done, NOBODYS]}
        told = await data(await client.post("/api/files/management/bulk-action", json=body))
        results = {one["file_id"]: one for one in told["results"]}
        assert results[file_id]["success"]
        assert results[file_id]["task_id"]
        assert results[done]["error_type"] == "conflict"
        assert results[NOBODYS]["error_type"] == "not_found"


class TestWithoutAModel:
    @pytest.fixture
    def language_settings(self) -> LanguageSettings:
        return LanguageSettings()

    @pytest.mark.parametrize("path", ["", "/retry", "/identify-speakers", "/topics"])
    async def test_nothing_is_queued(self, client, file_id, sessions, path):
        answer = await client.post(f"{SUMMARIES}/{file_id}{path}")
        assert error_type(answer) == (409, "not_configured")
        assert "/api/llm-settings" in answer.json()["detail"]
        batch = await client.post(f"{SUMMARIES}/topics/batch", json={"file_ids": [file_id]})
        assert error_type(batch) == (409, "not_configured")
        async with session_scope(sessions) as session:
            assert (await session.scalars(select(Task))).all() == []

    async def test_the_status_says_so(self, client, file_id):
        told = await state(client, file_id)
        assert (told["summary_status"], told["llm_available"], told["can_retry"]) == (
            "not_configured",
            False,
            False,
        )

    async def test_what_was_made_before_can_be_read(self, client, file_id, sessions):
        await summarized(sessions, file_id)
        assert (await data(await client.get(f"{SUMMARIES}/{file_id}")))["version"] == 1
        assert (await state(client, file_id))["summary_status"] == "completed"


class TestReading:
    async def test_the_newest_one_and_others(self, client, file_id, sessions):
        await summarized(sessions, file_id)
        await summarized(sessions, file_id, version=2, prompt_name="Interview")
        newest = await data(await client.get(f"{SUMMARIES}/{file_id}"))
        assert (newest["version"], newest["prompt_name"], newest["is_stale"]) == (
            2,
            "Interview",
            False,
        )
        assert newest["content"]["bluf"].startswith("The launch moves")
        assert newest["content"]["action_items"][0]["owner"] == "Ada"
        assert newest["sections"][0]["number"] == 1
        assert (newest["provider"], newest["model"], newest["calls"]) == ("local", "small", 2)
        first = await data(await client.get(f"{SUMMARIES}/{file_id}?version=1"))
        assert (first["version"], first["prompt_name"]) == (1, "Meeting")
        missing = await client.get(f"{SUMMARIES}/{file_id}?version=3")
        assert error_type(missing) == (404, "not_found")
        listed = await data(await client.get(f"{SUMMARIES}/{file_id}/versions"))
        assert [one["version"] for one in listed["items"]] == [2, 1]
        assert "content" not in listed["items"][0]

    async def test_a_file_without_one(self, client, file_id):
        assert error_type(await client.get(f"{SUMMARIES}/{file_id}")) == (404, "not_found")
        listed = await data(await client.get(f"{SUMMARIES}/{file_id}/versions"))
        assert listed["total"] == 0

    async def test_it_is_stale_after_an_edit_and_after_a_name(self, client, file_id, sessions):
        await summarized(sessions, file_id)
        transcript = await data(await client.get(f"/api/files/{file_id}/transcript"))
        segment = transcript["segments"][0]["id"]
        await client.put(
            f"/api/files/{file_id}/transcript/segments/{segment}",
            json={"text": "Good evening to all."},
            headers={"If-Match": "*"},
        )
        read = await data(await client.get(f"{SUMMARIES}/{file_id}"))
        assert (read["is_stale"], read["transcript_version"]) == (True, 1)
        await summarized(sessions, file_id, version=2)
        assert not (await data(await client.get(f"{SUMMARIES}/{file_id}")))["is_stale"]
        speaker = transcript["speakers"][1]["id"]
        await client.put(f"/api/speakers/{speaker}", json={"display_name": "Grace"})
        assert (await data(await client.get(f"{SUMMARIES}/{file_id}")))["is_stale"]
        assert (await state(client, file_id))["is_stale"]

    async def test_administrators_read_with_a_trace(self, client, stranger, file_id, sessions):
        await summarized(sessions, file_id)
        for path in ("", "/versions", "/status", "/speaker-predictions"):
            answer = await stranger.get(f"{SUMMARIES}/{file_id}{path}")
            assert error_type(answer) == (404, "not_found")
        await promote(sessions, stranger)
        for path in ("", "/versions", "/status", "/speaker-predictions"):
            assert (await stranger.get(f"{SUMMARIES}/{file_id}{path}")).status_code == 200
        async with session_scope(sessions) as session:
            read = select(AuditEvent).where(AuditEvent.action == "file.read")
            noted = (await session.scalars(read)).all()
        assert [event.subject_id for event in noted] == [file_id] * 4
        # They change nothing.
        for method, path in (
            ("POST", ""),
            ("DELETE", ""),
            ("POST", "/retry"),
            ("POST", "/identify-speakers"),
        ):
            answer = await stranger.request(method, f"{SUMMARIES}/{file_id}{path}")
            assert error_type(answer) == (404, "not_found")


class TestDeleting:
    async def test_all_versions_or_one(self, client, stranger, file_id, sessions):
        for version in (1, 2, 3):
            await summarized(sessions, file_id, version=version)
        async with session_scope(sessions) as session:
            session.add(
                StageResult(
                    media_file_id=uuid.UUID(file_id),
                    stage="summarize",
                    fingerprint="f",
                    part=0,
                    data=b"notes",
                )
            )
        assert error_type(await stranger.delete(f"{SUMMARIES}/{file_id}")) == (404, "not_found")
        assert (await client.delete(f"{SUMMARIES}/{file_id}?version=3")).status_code == 204
        assert (await data(await client.get(f"{SUMMARIES}/{file_id}")))["version"] == 2
        assert (await client.delete(f"{SUMMARIES}/{file_id}")).status_code == 204
        assert error_type(await client.delete(f"{SUMMARIES}/{file_id}")) == (404, "not_found")
        async with session_scope(sessions) as session:
            assert (await session.scalars(select(Summary))).all() == []
            assert (await session.scalars(select(StageResult))).all() == []


class TestStanding:
    async def test_from_nothing_to_a_summary(self, client, file_id, sessions):
        told = await state(client, file_id)
        assert (told["summary_status"], told["summary_exists"], told["can_retry"]) == (
            "pending",
            False,
            True,
        )
        assert (told["llm_available"], told["transcription_status"], told["task"]) == (
            True,
            "completed",
            None,
        )
        task = await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)
        told = await state(client, file_id)
        assert (told["summary_status"], told["can_retry"], told["task"]["id"]) == (
            "pending",
            False,
            task["id"],
        )
        await end(sessions, task["id"], TaskState.running)
        assert (await state(client, file_id))["summary_status"] == "processing"
        await summarized(sessions, file_id)
        await end(sessions, task["id"], TaskState.completed)
        told = await state(client, file_id)
        assert (told["summary_status"], told["summary_version"], told["can_retry"]) == (
            "completed",
            1,
            False,
        )

    @pytest.mark.parametrize(
        ("reason", "status"), [("llm_failed", "failed"), ("not_configured", "not_configured")]
    )
    async def test_a_failure_can_be_retried_with_its_options(
        self, client, file_id, sessions, reason, status
    ):
        await summarized(sessions, file_id)
        body = {"force_regenerate": True, "language": "fr"}
        task = await data(await client.post(f"{SUMMARIES}/{file_id}", json=body), 202)
        busy = await client.post(f"{SUMMARIES}/{file_id}/retry")
        assert error_type(busy) == (409, "conflict")
        assert busy.json()["task_id"] == task["id"]
        await end(sessions, task["id"], TaskState.failed, reason)
        told = await state(client, file_id)
        assert (told["summary_status"], told["summary_exists"], told["can_retry"]) == (
            status,
            True,
            True,
        )
        again = await data(await client.post(f"{SUMMARIES}/{file_id}/retry"), 202)
        assert again["options"] == {"language": "fr"}
        assert again["id"] != task["id"]

    async def test_what_did_not_fail_is_not_retried(self, client, file_id, sessions):
        task = await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)
        await summarized(sessions, file_id)
        await end(sessions, task["id"], TaskState.completed)
        answer = await client.post(f"{SUMMARIES}/{file_id}/retry")
        assert error_type(answer) == (409, "conflict")
        assert "force_regenerate" in answer.json()["detail"]

    async def test_a_cancelled_one_is_as_before_and_can_be_retried(self, client, file_id):
        task = await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)
        assert (await client.post(f"/api/tasks/{task['id']}/cancel")).status_code == 200
        told = await state(client, file_id)
        assert (told["summary_status"], told["can_retry"]) == ("pending", True)


class TestSpeakers:
    async def test_a_task_is_queued_where_somebody_has_no_name(self, client, file_id, sessions):
        task = await data(await client.post(f"{SUMMARIES}/{file_id}/identify-speakers"), 202)
        assert task["kind"] == "speaker_identification"
        async with session_scope(sessions) as session:
            await session.execute(update(Speaker).values(display_name="Ada", verified=True))
        await end(sessions, task["id"], TaskState.cancelled)
        answer = await client.post(f"{SUMMARIES}/{file_id}/identify-speakers")
        assert error_type(answer) == (409, "conflict")
        alone = await conversation(sessions, client, said=[(None, "Hello.")], speakers=0)
        answer = await client.post(f"{SUMMARIES}/{alone}/identify-speakers")
        assert error_type(answer) == (409, "conflict")

    async def test_predictions_are_read_and_dismissed(self, client, stranger, file_id, sessions):
        async with session_scope(sessions) as session:
            rows = await session.scalars(select(Speaker).order_by(Speaker.label))
            first, second = [row.id for row in rows]
        sure = await predicted(sessions, second, "Grace")
        await predicted(sessions, second, "Alan", confidence=0.6)
        told = await data(await client.get(f"{SUMMARIES}/{file_id}/speaker-predictions"))
        [speaker] = told["speakers"]
        assert (speaker["speaker_id"], speaker["label"]) == (str(second), "SPEAKER_01")
        assert [one["name"] for one in speaker["predictions"]] == ["Grace", "Alan"]
        assert speaker["predictions"][0]["evidence"][0]["quote"] == "This is Grace."
        assert not speaker["predictions"][0]["is_stale"]
        path = f"{SUMMARIES}/{file_id}/speaker-predictions/{sure}"
        assert error_type(await stranger.delete(path)) == (404, "not_found")
        elsewhere = await conversation(sessions, client)
        wrong = f"{SUMMARIES}/{elsewhere}/speaker-predictions/{sure}"
        assert error_type(await client.delete(wrong)) == (404, "not_found")
        assert (await client.delete(path)).status_code == 204
        await edited(sessions, file_id)
        told = await data(await client.get(f"{SUMMARIES}/{file_id}/speaker-predictions"))
        assert [one["name"] for one in told["speakers"][0]["predictions"]] == ["Alan"]
        assert told["speakers"][0]["predictions"][0]["is_stale"]
        assert first != second


class TestTasks:
    async def test_they_are_tasks_like_others(self, client, file_id, sessions):
        task = await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)
        listed = await data(await client.get("/api/tasks?kind=summarization"))
        assert [one["id"] for one in listed["items"]] == [task["id"]]
        # The file's own status follows from its transcription only, and nothing is in its way.
        file = await data(await client.get(f"/api/files/{file_id}"))
        assert file["status"] == "completed"
        await end(sessions, task["id"], TaskState.running)
        assert (await client.delete(f"/api/files/{file_id}")).status_code == 204

    async def test_a_failed_one_is_no_trouble_of_the_file(self, client, file_id, sessions):
        task = await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)
        await end(sessions, task["id"], TaskState.failed, "llm_failed")
        file = await data(await client.get(f"/api/my-files/{file_id}/status"))
        assert (file["file"]["status"], file["file"]["error_type"]) == ("completed", None)
        assert "llm_failed" not in str(file)

    async def test_they_wait_beside_recordings_not_before_them(self, client, sessions):
        from pipelines import backlog, queue

        me = await user_id(client)
        files = [await conversation(sessions, client) for _ in range(3)]
        for file_id in files:
            await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)
        async with session_scope(sessions) as session:
            recording = await queue.submit(
                session, user_id=me, media_file_id=None, audio_seconds=60.0
            )
            own, everybody = await backlog._waiting_seconds(session, me)
        assert (own, everybody) == (60.0, 60.0)
        told = await data(await client.get(f"/api/tasks/{recording.id}"))
        assert (told["queue_position"], told["eta_seconds"]) == (1, 60.0)
        listed = await data(await client.get(f"/api/tasks?kind={TaskKind.summarization}"))
        assert sorted(one["queue_position"] for one in listed["items"]) == [1, 2, 3]
