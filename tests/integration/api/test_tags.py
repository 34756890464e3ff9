"""Tags, and tags on files."""

import asyncio
import json
import uuid

import pytest
from sqlalchemy import text

from db.engine import session_scope
from db.queries import tags
from tests.fixtures.files import stored_files, user_id
from tests.integration.api.test_uploads import error_type

TAGS = "/api/tags"


async def made(client, name: str) -> str:
    answer = await client.post(TAGS, json={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]["id"]


async def put(client, file_id: str, name: str) -> str:
    answer = await client.post(f"{TAGS}/files/{file_id}", json={"name": name})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["id"]


async def counts(client) -> list[tuple[str, int]]:
    items = (await client.get(TAGS)).json()["data"]["items"]
    return [(item["name"], item["usage_count"]) for item in items]


async def updates(sessions, file_id: str) -> int:
    """How many events said that a file changed."""
    async with session_scope(sessions) as session:
        query = "SELECT count(*) FROM task_event WHERE type = 'file_updated' AND media_file_id = :f"
        return int(await session.scalar(text(query), {"f": file_id}) or 0)


class TestTags:
    async def test_most_used_first(self, client, sessions):
        files = await stored_files(sessions, client, 3)
        for name, used in (("rare", 1), ("often", 3), ("also rare", 1)):
            for file_id in files[:used]:
                await put(client, file_id, name)
        await made(client, "never")
        assert await counts(client) == [("often", 3), ("also rare", 1), ("rare", 1), ("never", 0)]
        page = (await client.get(TAGS, params={"page": 2, "page_size": 3})).json()["data"]
        assert (page["total"], [item["name"] for item in page["items"]]) == (4, ["never"])

    @pytest.mark.parametrize("again", ["Über uns", "über uns", "  ÜBER UNS ", "U\u0308ber uns"])
    async def test_the_same_in_other_letters_is_the_same(self, client, stranger, again):
        await made(client, "Über uns")
        assert error_type(await client.post(TAGS, json={"name": again})) == (409, "name_taken")
        await made(stranger, "Über uns")

    @pytest.mark.parametrize("name", ["", "  ", "a\0b", "two\nlines", "x" * 51, "\ud800", 7, None])
    async def test_names_that_are_none(self, client, sessions, name):
        [file_id] = await stored_files(sessions, client)
        tag_id = await made(client, "fine")
        # As escapes: a client's own JSON could not carry some of them.
        body = {"content": json.dumps({"name": name})}
        headers = {"Content-Type": "application/json"}
        for method, path in (
            ("POST", TAGS),
            ("PUT", f"{TAGS}/{tag_id}"),
            ("POST", f"{TAGS}/files/{file_id}"),
        ):
            answer = await client.request(method, path, headers=headers, **body)
            assert error_type(answer) == (422, "validation_error")
            assert answer.json()["errors"][0]["pointer"] == "#/name"

    async def test_rename(self, client, sessions):
        [file_id] = await stored_files(sessions, client)
        tag_id = await put(client, file_id, "interwiev")
        await made(client, "other")
        renamed = await client.put(f"{TAGS}/{tag_id}", json={"name": "Interview"})
        assert renamed.json()["data"]["name"] == "Interview"
        assert renamed.json()["data"]["usage_count"] == 1
        # Its own name in other letters is no other tag's.
        again = await client.put(f"{TAGS}/{tag_id}", json={"name": "INTERVIEW"})
        assert again.status_code == 200
        taken = await client.put(f"{TAGS}/{tag_id}", json={"name": "OTHER"})
        assert error_type(taken) == (409, "name_taken")
        assert await counts(client) == [("INTERVIEW", 1), ("other", 0)]

    async def test_delete_takes_it_off_its_files(self, client, sessions):
        [file_id] = await stored_files(sessions, client)
        tag_id = await put(client, file_id, "gone")
        assert (await client.delete(f"{TAGS}/{tag_id}")).status_code == 204
        assert await counts(client) == []
        assert (await client.get(f"/api/files/{file_id}")).json()["data"]["tags"] == []
        assert error_type(await client.delete(f"{TAGS}/{tag_id}")) == (404, "not_found")

    async def test_unused_ones_of_ones_own(self, client, stranger, sessions):
        [file_id] = await stored_files(sessions, client)
        await put(client, file_id, "used")
        await made(client, "b unused")
        await made(client, "a unused")
        await made(stranger, "theirs")
        unused = (await client.get(f"{TAGS}/unused")).json()["data"]
        assert [item["name"] for item in unused["items"]] == ["a unused", "b unused"]
        removed = await client.delete(f"{TAGS}/unused")
        assert removed.json()["data"] == {"removed": 2}
        assert await counts(client) == [("used", 1)]
        assert await counts(stranger) == [("theirs", 0)]

    async def test_what_is_put_on_a_file_meanwhile_is_used(self, client, sessions):
        [file_id] = await stored_files(sessions, client)
        await made(client, "in between")
        owner = await user_id(client)
        async with session_scope(sessions) as session:
            tag = await tags.ensure(session, owner, "in between")
            cleanup = asyncio.create_task(client.delete(f"{TAGS}/unused"))
            await _waiting_for_a_lock(sessions)
            await tags.put(session, tag.id, uuid.UUID(file_id))
        assert (await cleanup).json()["data"] == {"removed": 0}
        assert await counts(client) == [("in between", 1)]


async def _waiting_for_a_lock(sessions) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while True:
            async with session_scope(sessions) as session:
                if await session.scalar(text(query)):
                    return
            await asyncio.sleep(0.01)


class TestTagsOnFiles:
    async def test_again_changes_nothing(self, client, sessions):
        [file_id] = await stored_files(sessions, client)
        first = await put(client, file_id, "Interview")
        assert await put(client, file_id, " interview") == first
        assert await counts(client) == [("Interview", 1)]
        assert await updates(sessions, file_id) == 1

    async def test_taken_off(self, client, sessions):
        one, other = await stored_files(sessions, client, 2)
        tag_id = await put(client, one, "t")
        await put(client, other, "t")
        path = f"{TAGS}/files/{one}/{tag_id}"
        assert (await client.delete(path)).status_code == 204
        assert error_type(await client.delete(path)) == (404, "not_found")
        assert await counts(client) == [("t", 1)]
        assert await updates(sessions, one) == 2

    async def test_many_at_once_make_one(self, client, sessions):
        files = await stored_files(sessions, client, 8)
        ids = await asyncio.gather(
            *[put(client, file_id, name) for file_id in files for name in ("Same", "SAME")]
        )
        assert len(set(ids)) == 1
        [(_, count)] = await counts(client)
        assert count == 8

    async def test_no_more_than_the_limit(self, client, sessions, services):
        [file_id] = await stored_files(sessions, client)
        limit = services.api.max_tags_per_file
        for number in range(limit):
            await put(client, file_id, f"tag {number}")
        answer = await client.post(f"{TAGS}/files/{file_id}", json={"name": "one more"})
        assert error_type(answer) == (409, "conflict")
        assert answer.json()["max_tags_per_file"] == limit
        # The tag was not made either, and those that are there can be put on again.
        assert (await client.get(TAGS)).json()["data"]["total"] == limit
        await put(client, file_id, "tag 7")

    async def test_a_strangers_tag_is_not_taken_off(self, client, stranger, sessions):
        [theirs] = await stored_files(sessions, stranger)
        [mine] = await stored_files(sessions, client)
        tag_id = await put(stranger, theirs, "theirs")
        for file_id in (theirs, mine):
            answer = await client.delete(f"{TAGS}/files/{file_id}/{tag_id}")
            assert error_type(answer) == (404, "not_found")
        assert await counts(stranger) == [("theirs", 1)]
