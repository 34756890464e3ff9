"""Collections and the files in them."""

import asyncio
import uuid

import pytest

from tests.fixtures.files import stored_files
from tests.integration.api.test_uploads import error_type

COLLECTIONS = "/api/collections"


async def made(client, name: str = "Spring", **more: str) -> str:
    answer = await client.post(COLLECTIONS, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]["id"]


async def put(client, collection_id: str, file_ids: list[str], verb: str = "") -> tuple[int, int]:
    """How many files a request put in (or took out), and how many there are."""
    path = f"{COLLECTIONS}/{collection_id}/media{verb}"
    answer = await client.post(path, json={"file_ids": file_ids})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["changed"], answer.json()["data"]["media_count"]


async def take(client, collection_id: str, file_ids: list[str]) -> tuple[int, int]:
    return await put(client, collection_id, file_ids, "/remove")


async def media(client, collection_id: str, /, **params) -> list[str]:
    answer = await client.get(f"{COLLECTIONS}/{collection_id}/media", params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["data"]["items"]]


class TestCollections:
    async def test_made_read_changed_deleted(self, client, sessions):
        [file_id] = await stored_files(sessions, client)
        collection_id = await made(client, " Spring ", description="All about\nthe move.")
        await put(client, collection_id, [file_id])
        path = f"{COLLECTIONS}/{collection_id}"
        told = (await client.get(path)).json()["data"]
        assert told["name"] == "Spring"
        assert told["description"] == "All about\nthe move."
        assert told["media_count"] == 1
        changed = (await client.put(path, json={"name": "Summer"})).json()["data"]
        assert (changed["name"], changed["description"]) == ("Summer", "All about\nthe move.")
        assert (changed["id"], changed["media_count"]) == (collection_id, 1)
        assert changed["updated_at"] > told["updated_at"]
        assert (await client.put(path, json={"description": ""})).json()["data"][
            "description"
        ] == ""
        assert (await client.delete(path)).status_code == 204
        assert error_type(await client.get(path)) == (404, "not_found")
        assert (await client.get(f"/api/files/{file_id}")).json()["data"]["collections"] == []

    async def test_by_name_with_their_counts(self, client, stranger, sessions):
        files = await stored_files(sessions, client, 3)
        for name, used in (("c", 1), ("a", 0), ("b", 3)):
            collection_id = await made(client, name)
            if used:
                await put(client, collection_id, files[:used])
        await made(stranger, "theirs")
        page = (await client.get(COLLECTIONS, params={"page_size": 2})).json()["data"]
        counts = [(item["name"], item["media_count"]) for item in page["items"]]
        assert (counts, page["total"], page["total_pages"]) == ([("a", 0), ("b", 3)], 3, 2)

    async def test_a_name_is_had_once(self, client, stranger):
        await made(client, "Spring")
        other = await made(client, "Summer")
        taken = await client.post(COLLECTIONS, json={"name": "Spring"})
        assert error_type(taken) == (409, "name_taken")
        path = f"{COLLECTIONS}/{other}"
        assert error_type(await client.put(path, json={"name": "Spring"})) == (409, "name_taken")
        assert (await client.put(path, json={"name": "Summer"})).status_code == 200
        await made(stranger, "Spring")

    async def test_two_of_a_name_at_once(self, client):
        answers = await asyncio.gather(
            *[client.post(COLLECTIONS, json={"name": "Spring"}) for _ in range(6)]
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "#/name"),
            ({"name": " "}, "#/name"),
            ({"name": "a\u0000b"}, "#/name"),
            ({"name": "x" * 256}, "#/name"),
            ({"name": "fine", "description": "a\u0000b"}, "#/description"),
            ({"name": "fine", "description": "x" * 10_001}, "#/description"),
        ],
    )
    async def test_bodies_that_are_refused(self, client, body, pointer):
        answer = await client.post(COLLECTIONS, json=body)
        assert error_type(answer) == (422, "validation_error")
        assert answer.json()["errors"][0]["pointer"] == pointer

    async def test_a_change_of_nothing(self, client):
        path = f"{COLLECTIONS}/{await made(client)}"
        for body in ({}, {"name": None}):
            assert error_type(await client.put(path, json=body)) == (422, "validation_error")


class TestMedia:
    async def test_again_changes_nothing(self, client, sessions):
        files = await stored_files(sessions, client, 3)
        collection_id = await made(client)
        assert await put(client, collection_id, [*files[:2], files[0]]) == (2, 2)
        assert await put(client, collection_id, files) == (1, 3)
        assert await take(client, collection_id, files[:1]) == (1, 2)
        assert await take(client, collection_id, files[:2]) == (1, 1)
        assert await media(client, collection_id) == files[2:]
        for file_id in files:
            assert (await client.get(f"/api/files/{file_id}")).status_code == 200

    async def test_all_or_nothing(self, client, stranger, sessions):
        files = await stored_files(sessions, client, 2)
        [theirs] = await stored_files(sessions, stranger)
        collection_id = await made(client)
        await put(client, collection_id, files[:1])
        told = []
        for foreign in (theirs, str(uuid.uuid4())):
            for verb in ("", "/remove"):
                path = f"{COLLECTIONS}/{collection_id}/media{verb}"
                answer = await client.post(path, json={"file_ids": [*files, foreign]})
                assert error_type(answer) == (404, "not_found")
                told.append(answer.json()["detail"].replace(foreign, "ID"))
        assert len(set(told)) == 1
        assert await media(client, collection_id) == files[:1]

    @pytest.mark.parametrize(
        "file_ids", [[], ["1"], None, [str(uuid.uuid4()) for _ in range(1001)]]
    )
    async def test_lists_that_are_refused(self, client, file_ids):
        path = f"{COLLECTIONS}/{await made(client)}/media"
        for verb in ("", "/remove"):
            answer = await client.post(path + verb, json={"file_ids": file_ids})
            assert error_type(answer) == (422, "validation_error")

    async def test_a_thousand_at_once_from_both_ends(self, client, sessions):
        files = await stored_files(sessions, client, 1000)
        collection_id = await made(client)
        counted = await asyncio.gather(
            put(client, collection_id, files), put(client, collection_id, files[::-1])
        )
        assert sum(changed for changed, _ in counted) == 1000
        assert await take(client, collection_id, files) == (1000, 0)

    async def test_filters_order_and_pages_are_those_of_files(self, client, sessions):
        inside = await stored_files(sessions, client, 3)
        [long] = await stored_files(sessions, client, duration=3600.0, filename="long.flac")
        [outside] = await stored_files(sessions, client, filename="outside.flac")
        collection_id = await made(client)
        await put(client, collection_id, [*inside, long])
        assert await media(client, collection_id, min_duration=100) == [long]
        by_name = {"sort": "filename", "order": "asc"}
        assert await media(client, collection_id, **by_name) == [*inside, long]
        assert await media(client, collection_id, **by_name, page=2, page_size=3) == [long]
        assert await media(client, collection_id, search="outside") == []
        # The path says which collection: a parameter of the same name changes nothing.
        other = await made(client, "other")
        await put(client, other, [outside])
        assert len(await media(client, collection_id, collection_id=other)) == 4

    async def test_a_strangers_collection_is_not_there(self, client, stranger, sessions):
        collection_id = await made(client)
        await put(client, collection_id, await stored_files(sessions, client))
        theirs = await stranger.get(f"{COLLECTIONS}/{collection_id}/media")
        assert error_type(theirs) == (404, "not_found")
        files = await stored_files(sessions, stranger)
        path = f"{COLLECTIONS}/{collection_id}/media"
        answer = await stranger.post(path, json={"file_ids": files})
        assert error_type(answer) == (404, "not_found")
        assert len(await media(client, collection_id)) == 1
