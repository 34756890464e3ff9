"""Suggested tags and collections: asked for, read, accepted, dismissed, for many files."""

import uuid

import pytest
from sqlalchemy import func, select, update

from cluster.settings import ApiSettings, LanguageSettings
from db.engine import session_scope
from db.models import Collection, Tag, Task, TaskEvent, TopicSuggestion, Transcript
from tests.fixtures.api import MAX_UPLOAD_BYTES, PART_BYTES
from tests.fixtures.files import stored_files, user_id
from tests.fixtures.summaries import topics_suggested
from tests.fixtures.transcripts import conversation
from tests.integration.api.test_uploads import error_type

SUMMARIES = "/api/summarization"
NOBODYS = str(uuid.uuid4())
MAX_TAGS = 3


@pytest.fixture
def language_settings() -> LanguageSettings:
    return LanguageSettings(local=True)


@pytest.fixture
def api_settings() -> ApiSettings:
    return ApiSettings(
        max_body_bytes=PART_BYTES,
        part_bytes=PART_BYTES,
        max_upload_bytes=MAX_UPLOAD_BYTES,
        max_tags_per_file=MAX_TAGS,
    )


@pytest.fixture
async def file_id(client, sessions) -> str:
    return await conversation(sessions, client)


def named(*names: str) -> list[dict]:
    return [{"name": name, "confidence": 0.9, "rationale": "Said often."} for name in names]


async def topics(client, file_id: str) -> dict:
    answer = await client.get(f"{SUMMARIES}/{file_id}/topics")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def apply(client, file_id: str, tags=(), collections=()):
    body = {"accepted_tags": list(tags), "accepted_collections": list(collections)}
    return await client.post(f"{SUMMARIES}/{file_id}/topics/apply", json=body)


async def labels(client, file_id: str) -> tuple[list[str], list[str]]:
    items = (await client.get("/api/files")).json()["data"]["items"]
    [file] = [one for one in items if one["id"] == file_id]
    return file["tags"], [one["name"] for one in file["collections"]]


class TestAsking:
    async def test_a_task_is_queued_unless_there_are_some(self, client, file_id, sessions):
        answer = await client.post(f"{SUMMARIES}/{file_id}/topics")
        assert answer.status_code == 202
        task = answer.json()["data"]
        assert (task["kind"], task["lane"]) == ("topic_extraction", "interactive")
        assert error_type(await client.post(f"{SUMMARIES}/{file_id}/topics")) == (409, "conflict")
        async with session_scope(sessions) as session:
            await session.execute(update(Task).values(state="completed"))
        await topics_suggested(sessions, file_id)
        refused = await client.post(f"{SUMMARIES}/{file_id}/topics")
        assert error_type(refused) == (409, "conflict")
        assert refused.json()["suggestion_state"] == "pending"
        body = {"force_regenerate": True}
        assert (await client.post(f"{SUMMARIES}/{file_id}/topics", json=body)).status_code == 202

    async def test_they_are_made_anew_of_another_transcript(self, client, file_id, sessions):
        await topics_suggested(sessions, file_id)
        async with session_scope(sessions) as session:
            await session.execute(update(Transcript).values(version=Transcript.version + 1))
        assert (await topics(client, file_id))["is_stale"]
        assert (await client.post(f"{SUMMARIES}/{file_id}/topics")).status_code == 202

    async def test_for_many_files(self, client, stranger, file_id, sessions):
        done = await conversation(sessions, client)
        await topics_suggested(sessions, done)
        [untranscribed] = await stored_files(sessions, client)
        theirs = await conversation(sessions, stranger)
        body = {"file_ids": [file_id, file_id, done, untranscribed, theirs, NOBODYS]}
        headers = {"Idempotency-Key": "batch"}
        path = f"{SUMMARIES}/topics/batch"
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        told = answer.json()["data"]
        results = {one["file_id"]: one for one in told["results"]}
        assert (told["succeeded"], told["failed"], len(told["results"])) == (1, 4, 5)
        assert {one: results[one]["error_type"] for one in results} == {
            file_id: None,
            done: "conflict",
            untranscribed: "transcript_not_ready",
            theirs: "not_found",
            NOBODYS: "not_found",
        }
        task = (await client.get(f"/api/tasks/{results[file_id]['task_id']}")).json()["data"]
        assert (task["kind"], task["lane"]) == ("topic_extraction", "bulk")
        again = await client.post(path, json=body, headers=headers)
        assert again.json()["data"] == told
        for file_ids in ([], [NOBODYS] * 101, None):
            wrong = await client.post(path, json={"file_ids": file_ids})
            assert error_type(wrong) == (422, "validation_error")


class TestReading:
    async def test_what_is_suggested(self, client, stranger, file_id, sessions):
        answer = await client.get(f"{SUMMARIES}/{file_id}/topics")
        assert error_type(answer) == (404, "not_found")
        await topics_suggested(sessions, file_id)
        told = await topics(client, file_id)
        assert told["suggested_tags"] == [
            {"name": "launch", "confidence": 0.8, "rationale": "It is about the launch."}
        ]
        assert (told["status"], told["user_decisions"], told["is_stale"]) == (
            "pending",
            {"tags": [], "collections": []},
            False,
        )
        answer = await stranger.get(f"{SUMMARIES}/{file_id}/topics")
        assert error_type(answer) == (404, "not_found")


class TestAccepting:
    async def test_tags_and_collections_are_made_and_linked(self, client, file_id, sessions):
        await topics_suggested(
            sessions,
            file_id,
            tags=named("Launch", "budget", "Bergen"),
            collections=named("Launches", "Boards"),
        )
        # What is there already is taken, however it is written.
        await client.post("/api/tags", json={"name": "launch"})
        await client.post("/api/collections", json={"name": "launches"})
        answer = await apply(
            client, file_id, ["LAUNCH", "budget", "budget"], ["Launches", "boards"]
        )
        assert answer.status_code == 200, answer.text
        told = answer.json()["data"]
        assert told["tags"] == ["budget", "launch"]
        assert [one["name"] for one in told["collections"]] == ["Boards", "launches"]
        assert told["topics"]["status"] == "accepted"
        assert told["topics"]["user_decisions"] == {
            "tags": ["Launch", "budget"],
            "collections": ["Launches", "Boards"],
        }
        assert await labels(client, file_id) == (["budget", "launch"], ["Boards", "launches"])
        async with session_scope(sessions) as session:
            assert await session.scalar(select(func.count()).select_from(Tag)) == 2
            assert await session.scalar(select(func.count()).select_from(Collection)) == 2
            event = await session.scalar(select(TaskEvent).order_by(TaskEvent.sequence.desc()))
        assert event.type == "file_updated"
        # Again changes nothing.
        assert (await apply(client, file_id, ["Launch", "budget"], ["Boards"])).status_code == 200
        assert await labels(client, file_id) == (["budget", "launch"], ["Boards", "launches"])

    async def test_all_or_nothing(self, client, stranger, file_id, sessions):
        await topics_suggested(sessions, file_id, tags=named("a", "b", "c", "d", "x" * 51))
        wrong = await apply(client, file_id, ["a", "z"], ["nowhere"])
        assert error_type(wrong) == (422, "validation_error")
        assert wrong.json()["errors"][0]["pointer"] == "#/accepted_tags/1"
        wrong = await apply(client, file_id, ["a", "x" * 51])
        assert error_type(wrong) == (422, "validation_error")
        assert error_type(await apply(client, file_id)) == (422, "validation_error")
        many = await apply(client, file_id, ["a", "b", "c", "d"])
        assert error_type(many) == (409, "conflict")
        assert many.json()["max_tags_per_file"] == MAX_TAGS
        assert error_type(await apply(stranger, file_id, ["a"])) == (404, "not_found")
        assert await labels(client, file_id) == ([], [])
        assert (await topics(client, file_id))["status"] == "pending"
        async with session_scope(sessions) as session:
            assert await session.scalar(select(func.count()).select_from(Tag)) == 0

    async def test_without_suggestions(self, client, file_id):
        assert error_type(await apply(client, file_id, ["a"])) == (404, "not_found")


class TestDismissing:
    async def test_they_are_rejected_and_can_be_asked_for_anew(
        self, client, stranger, file_id, sessions
    ):
        path = f"{SUMMARIES}/{file_id}/topics"
        assert error_type(await client.delete(path)) == (404, "not_found")
        await topics_suggested(sessions, file_id)
        assert error_type(await stranger.delete(path)) == (404, "not_found")
        for _ in range(2):
            assert (await client.delete(path)).status_code == 204
        assert (await topics(client, file_id))["status"] == "rejected"
        refused = await client.post(path)
        assert error_type(refused) == (409, "conflict")
        assert refused.json()["suggestion_state"] == "rejected"

    async def test_new_ones_take_their_place(self, client, file_id, sessions):
        from cluster.settings import LlmProvider
        from db.queries import topic_suggestions

        await topics_suggested(sessions, file_id)
        await client.delete(f"{SUMMARIES}/{file_id}/topics")
        me = await user_id(client)
        values = {
            "tags": named("new"),
            "collections": [],
            "transcript_version": 1,
            "provider": LlmProvider.local,
            "model": "small",
        }
        async with session_scope(sessions) as session:
            await topic_suggestions.store(session, me, uuid.UUID(file_id), values)
        told = await topics(client, file_id)
        assert (told["status"], [one["name"] for one in told["suggested_tags"]]) == (
            "pending",
            ["new"],
        )
        async with session_scope(sessions) as session:
            assert await session.scalar(select(func.count()).select_from(TopicSuggestion)) == 1
