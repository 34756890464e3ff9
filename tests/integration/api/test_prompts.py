"""Prompts: the system's, one's own, which one is active."""

import asyncio
import uuid
from typing import Any

import pytest

from cluster.settings import LanguageSettings
from db.engine import session_scope
from db.models import ContentType
from pipelines.language.prompts import SYSTEM, chosen
from tests.fixtures.files import user_id
from tests.integration.api.test_uploads import error_type

PROMPTS = "/api/prompts"
TEXT = "Briefly. {speaker_data}\n\n{transcript}"
LIMIT = 4
MEETING = str(SYSTEM[ContentType.meeting].id)
GENERAL = str(SYSTEM[ContentType.general].id)


@pytest.fixture
def language_settings() -> LanguageSettings:
    return LanguageSettings(max_prompts=LIMIT, max_prompt_characters=200)


async def made(client, name: str = "Mine", **more: Any) -> dict[str, Any]:
    answer = await client.post(PROMPTS, json={"name": name, "prompt_text": TEXT, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def told(client, path: str = "", **params: Any) -> dict[str, Any]:
    answer = await client.get(f"{PROMPTS}{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def names(client, **params: Any) -> list[str]:
    return [item["name"] for item in (await told(client, **params))["items"]]


async def choose(client, prompt_id: str | None) -> dict[str, Any]:
    answer = await client.post(f"{PROMPTS}/active/set", json={"prompt_id": prompt_id})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def used(client, sessions, **asked: Any) -> str:
    """The name of the prompt that a summary would be made with."""
    me = await user_id(client)
    async with session_scope(sessions) as session:
        wanted = asked.get("prompt_id"), asked.get("content_type")
        return (await chosen(session, me, *wanted)).name


class TestPrompts:
    async def test_made_read_changed_deleted(self, client):
        row = await made(client, " Mine ", description="For calls.", content_type="meeting")
        assert (row["name"], row["content_type"], row["prompt_text"]) == ("Mine", "meeting", TEXT)
        assert (row["is_system"], row["is_active"]) == (False, False)
        path = f"/{row['id']}"
        assert await told(client, path) == row
        changes = {"name": "Ours", "description": "", "prompt_text": TEXT + " {title}"}
        new = (await client.put(PROMPTS + path, json=changes)).json()["data"]
        assert (new["name"], new["description"], new["content_type"]) == ("Ours", "", "meeting")
        assert new["prompt_text"].endswith("{title}")
        assert new["updated_at"] > row["updated_at"]
        assert (await client.delete(PROMPTS + path)).status_code == 204
        assert error_type(await client.get(PROMPTS + path)) == (404, "not_found")

    async def test_a_name_is_had_once(self, client, stranger):
        await made(client, "a")
        other = await made(client, "b")
        taken = await client.post(PROMPTS, json={"name": "a", "prompt_text": TEXT})
        assert error_type(taken) == (409, "name_taken")
        renamed = await client.put(f"{PROMPTS}/{other['id']}", json={"name": "a"})
        assert error_type(renamed) == (409, "name_taken")
        await made(stranger, "a")

    async def test_their_number_is_limited_also_at_once(self, client):
        answers = await asyncio.gather(
            *[
                client.post(PROMPTS, json={"name": f"{n}", "prompt_text": TEXT})
                for n in range(LIMIT + 3)
            ]
        )
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201] * LIMIT + [409] * 3
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert error_type(refused) == (409, "too_many_prompts")
        assert refused.json()["max_prompts"] == LIMIT

    async def test_what_is_a_strangers_is_not_there(self, client, stranger):
        path = f"{PROMPTS}/{(await made(client))['id']}"
        invalid = {"prompt_text": "no variables"}
        for answer in (
            await stranger.get(path),
            await stranger.put(path, json={"name": "x"}),
            await stranger.put(path, json=invalid),
            await stranger.delete(path),
            await stranger.post(
                f"{PROMPTS}/active/set", json={"prompt_id": path.rsplit("/", 1)[-1]}
            ),
        ):
            assert error_type(answer) == (404, "not_found")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{transcript}", "lacks {speaker_data}"),
            ("{speaker_data}", "lacks {transcript}"),
            (f"{TEXT} {{topic}}", "{topic} at line 3, character 14"),
            (f"{TEXT} {{", "{ at line 3, character 14"),
            (TEXT + "x" * 200, "this installation allows 200"),
        ],
    )
    async def test_a_text_that_cannot_be_used(self, client, text, said):
        answer = await client.post(PROMPTS, json={"name": "a", "prompt_text": text})
        assert error_type(answer) == (422, "prompt_invalid")
        assert said in answer.json()["detail"]
        path = f"{PROMPTS}/{(await made(client))['id']}"
        changed = await client.put(path, json={"prompt_text": text})
        assert error_type(changed) == (422, "prompt_invalid")

    @pytest.mark.parametrize(
        ("wrong", "where"),
        [
            ({"name": ""}, "#/name"),
            ({"name": "a\nb"}, "#/name"),
            ({"content_type": "opera"}, "#/content_type"),
            ({"prompt_text": " "}, "#/prompt_text"),
            ({"prompt_text": "a\u0000b"}, "#/prompt_text"),
        ],
    )
    async def test_bodies_that_are_refused(self, client, wrong, where):
        answer = await client.post(PROMPTS, json={"name": "a", "prompt_text": TEXT, **wrong})
        assert error_type(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["pointer"] == where

    async def test_a_change_of_nothing(self, client):
        path = f"{PROMPTS}/{(await made(client))['id']}"
        for sent in ({}, {"name": None}):
            assert error_type(await client.put(path, json=sent)) == (422, "validation_error")


class TestSystem:
    async def test_everybody_reads_them_and_nobody_changes_them(self, client, stranger):
        for kind, prompt in SYSTEM.items():
            path = f"{PROMPTS}/{prompt.id}"
            read = await told(stranger, f"/{prompt.id}")
            assert (read["content_type"], read["prompt_text"]) == (kind, prompt.text)
            assert (read["is_system"], read["created_at"]) == (True, None)
            for answer in (
                await client.put(path, json={"name": "x"}),
                await client.delete(path),
            ):
                assert error_type(answer) == (403, "read_only")
                assert "make one of your own" in answer.json()["detail"]

    async def test_they_come_before_ones_own(self, client, stranger):
        for name in ("b", "A", "c"):
            await made(client, name, content_type="meeting")
        await made(stranger, "theirs")
        system = [prompt.name for prompt in SYSTEM.values()]
        assert await names(client) == [*system, "A", "b", "c"]
        assert await names(client, include_own=False) == system
        assert await names(client, include_system=False) == ["A", "b", "c"]
        assert await names(client, include_own=False, include_system=False) == []
        assert await names(client, content_type="meeting") == ["Meeting", "A", "b", "c"]
        assert await names(client, content_type="podcast") == ["Podcast"]

    @pytest.mark.parametrize("page_size", [1, 2, 3, 5, 8])
    async def test_pages_of_both(self, client, page_size):
        for name in "abc":
            await made(client, name)
        whole = await names(client)
        pages = [
            await told(client, page=page, page_size=page_size)
            for page in range(1, -(-8 // page_size) + 1)
        ]
        assert [item["name"] for page in pages for item in page["items"]] == whole
        assert {page["total"] for page in pages} == {8}

    async def test_by_kind_of_recordings(self, client):
        mine = await made(client, content_type="podcast")
        await choose(client, mine["id"])
        found = await told(client, "/by-content-type/podcast")
        assert found["system"]["name"] == "Podcast"
        assert [item["name"] for item in found["own"]] == ["Mine"]
        assert found["active_prompt_id"] == mine["id"]
        assert (await told(client, "/by-content-type/general"))["own"] == []
        wrong = await client.get(f"{PROMPTS}/by-content-type/opera")
        assert error_type(wrong) == (422, "validation_error")


class TestActive:
    async def test_nothing_is_set(self, client, sessions):
        found = await told(client, "/active/current")
        assert (found["prompt"]["id"], found["origin"], found["note"]) == (GENERAL, "system", None)
        assert await used(client, sessions) == "General"
        assert await used(client, sessions, content_type=ContentType.podcast) == "Podcast"

    async def test_ones_own_and_the_systems_can_be_set(self, client, stranger, sessions):
        mine = await made(client)
        for prompt_id, name in ((mine["id"], "Mine"), (MEETING, "Meeting")):
            found = await choose(client, prompt_id)
            assert (found["prompt"]["id"], found["origin"]) == (prompt_id, "own")
            assert found["prompt"]["is_active"]
            assert await told(client, "/active/current") == found
            # What is set goes before the kind of recording, and what is asked for before that.
            assert await used(client, sessions, content_type=ContentType.podcast) == name
            asked = SYSTEM[ContentType.interview].id
            assert await used(client, sessions, prompt_id=asked) == "Interview"
        listed = (await told(client))["items"]
        assert [item["name"] for item in listed if item["is_active"]] == ["Meeting"]
        assert (await told(stranger, "/active/current"))["origin"] == "system"

    async def test_null_goes_back_to_the_systems(self, client):
        await choose(client, MEETING)
        assert (await choose(client, None))["origin"] == "system"

    async def test_one_that_is_deleted_is_told(self, client, sessions):
        mine = await made(client)
        await choose(client, mine["id"])
        assert (await client.delete(f"{PROMPTS}/{mine['id']}")).status_code == 204
        found = await told(client, "/active/current")
        assert (found["prompt"]["id"], found["origin"]) == (GENERAL, "fallback")
        assert "deleted" in found["note"]
        assert await used(client, sessions, content_type=ContentType.meeting) == "Meeting"

    async def test_what_is_not_there_cannot_be_set(self, client):
        answer = await client.post(f"{PROMPTS}/active/set", json={"prompt_id": str(uuid.uuid4())})
        assert error_type(answer) == (404, "not_found")
        assert (await told(client, "/active/current"))["origin"] == "system"
