"""From a request to what it asks for: the API and a runner over the same stores, a fake model."""

import uuid

import pytest
from sqlalchemy import update

from cluster.settings import LanguageSettings
from db.engine import session_scope
from db.models import Speaker
from tests.fixtures.language_work import FakeLocal, talk, with_model
from tests.fixtures.runner import ended, running, until
from tests.fixtures.transcripts import conversation

SUMMARIES = "/api/summarization"


@pytest.fixture
def language_settings() -> LanguageSettings:
    return LanguageSettings(local=True)


@pytest.fixture
async def file_id(client, sessions) -> str:
    made = await conversation(sessions, client, talk(16))
    async with session_scope(sessions) as session:
        await session.execute(update(Speaker).values(display_name=None))
    return made


async def data(answer, status: int = 200) -> dict:
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


async def done(sessions, parts, task: dict, local: FakeLocal | None = None) -> None:
    async with running(with_model(parts, local or FakeLocal())):
        found = await until(sessions, uuid.UUID(task["id"]), ended)
    assert (found.state, found.error_message) == ("completed", None)


@pytest.mark.parametrize("context_tokens", [2048, 16384])
async def test_a_summary(client, sessions, parts, file_id, context_tokens):
    task = await data(await client.post(f"{SUMMARIES}/{file_id}"), 202)
    await done(sessions, parts, task, FakeLocal(context_tokens))
    told = await data(await client.get(f"{SUMMARIES}/{file_id}"))
    assert (told["version"], told["is_stale"], told["language"]) == (1, False, "en")
    assert told["content"]["bluf"]
    assert told["content"]["action_items"][0]["owner"] == "Alan"
    assert told["content"]["metadata"]["model"] == told["model"] == "fake-language"
    assert told["sections"][0]["topics"]
    state = await data(await client.get(f"{SUMMARIES}/{file_id}/status"))
    assert (state["summary_status"], state["summary_version"]) == ("completed", 1)
    assert state["task"]["result"]["calls"] == told["calls"]
    found = await data(await client.post(f"{SUMMARIES}/search", json={"query": "orion"}))
    assert [hit["file_id"] for hit in found["items"]] == [file_id]
    assert "<mark>Orion</mark>" in found["items"][0]["highlights"][0]
    figures = await data(await client.get(f"{SUMMARIES}/analytics"))
    assert figures["totals"]["total_summaries"] == 1
    assert {one["speaker"] for one in figures["speaker_stats"]} == {"SPEAKER_00", "SPEAKER_01"}
    assert figures["provider_usage"][0]["calls"] == told["calls"]


async def test_names(client, sessions, parts, file_id):
    task = await data(await client.post(f"{SUMMARIES}/{file_id}/identify-speakers"), 202)
    await done(sessions, parts, task)
    told = await data(await client.get(f"{SUMMARIES}/{file_id}/speaker-predictions"))
    assert "Grace" in told["speakers"][0]["predictions"][0]["name"]
    listed = await data(await client.get(f"/api/speakers?file_id={file_id}"))
    [first, *_] = listed["items"]
    assert first["display_name"] is None
    assert first["suggestions"][0]["source"] == "llm"


async def test_topics(client, sessions, parts, file_id):
    await client.post("/api/tags", json={"name": "orion"})
    task = await data(await client.post(f"{SUMMARIES}/{file_id}/topics"), 202)
    await done(sessions, parts, task)
    told = await data(await client.get(f"{SUMMARIES}/{file_id}/topics"))
    names = [one["name"] for one in told["suggested_tags"]]
    body = {"accepted_tags": names[:2]}
    applied = await data(await client.post(f"{SUMMARIES}/{file_id}/topics/apply", json=body))
    assert len(applied["tags"]) == 2
